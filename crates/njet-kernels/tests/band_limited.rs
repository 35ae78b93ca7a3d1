//! Layers on a coarser lattice: every result within the bound that `Options::band_limit` states, on images
//! with everything in them that a coarse lattice cannot hold.

use njet_basis::{TapSpec, Taps as BasisTaps};
use njet_kernels::engine::{self, Isa, LoopOrder, Options};
use njet_kernels::{AxisConfig, Backward, Forward, Geometry, GeometryConfig, Gradients, Real, Taps, Wanted};
use proptest::prelude::*;

const TOLERANCE: f64 = engine::DEFAULT_BAND_TOLERANCE;

#[derive(Debug, Clone, Copy)]
enum Image {
    WhiteNoise,
    Checkerboard,
    /// A single pixel in a corner, and one in the middle of a border.
    BorderImpulses,
    /// Impulses one pixel inside, where the one-sided interpolators end.
    InnerImpulses,
}

const IMAGES: [Image; 4] = [Image::WhiteNoise, Image::Checkerboard, Image::BorderImpulses, Image::InnerImpulses];

fn noise(seed: usize, len: usize) -> Vec<f64> {
    let mut state = seed as u64;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / (1u64 << 23) as f64 - 1.0
        })
        .collect()
}

fn image(kind: Image, seed: usize, planes: usize, [height, width]: [usize; 2]) -> Vec<f64> {
    match kind {
        Image::WhiteNoise => noise(seed, planes * height * width),
        Image::Checkerboard => (0..planes * height * width)
            .map(|i| if (i / width + i % width + i / (height * width)).is_multiple_of(2) { 1.0 } else { -1.0 })
            .collect(),
        Image::BorderImpulses | Image::InnerImpulses => {
            let inset = usize::from(matches!(kind, Image::InnerImpulses));
            let mut x = vec![0.0; planes * height * width];
            for (p, plane) in x.chunks_exact_mut(height * width).enumerate() {
                let corner = [inset.min(height - 1), inset.min(width - 1)];
                plane[corner[0] * width + corner[1]] = 1.0;
                plane[(height - 1 - corner[0]) * width + (width / 2 + p % 2).min(width - 1)] = -1.0;
            }
            x
        }
    }
}

struct Case {
    geometry: Geometry,
    config: GeometryConfig,
    taps: Vec<f64>,
    d_taps: Vec<f64>,
    alpha: Vec<f64>,
    x: Vec<f64>,
    grad_y: Vec<f64>,
}

impl Case {
    fn new(sigma: f64, extent: f64, order: usize, channels: [usize; 2], size: [usize; 2], kind: Image) -> Self {
        Self::placed(sigma, extent, order, channels, 1, size, 1, kind)
    }

    #[allow(clippy::too_many_arguments)]
    fn placed(
        sigma: f64,
        extent: f64,
        order: usize,
        [channels_in, channels_out]: [usize; 2],
        groups: usize,
        size: [usize; 2],
        stride: usize,
        kind: Image,
    ) -> Self {
        let basis = BasisTaps::new(&TapSpec::new(sigma, extent, order)).unwrap();
        let radius = basis.radius();
        let axis = |input| AxisConfig { input, radius, stride, padding: (radius, radius) };
        let config =
            GeometryConfig { batch: 2, channels_in, channels_out, groups, order, y: axis(size[0]), x: axis(size[1]) };
        let geometry = Geometry::new(config).unwrap();
        let outputs = size.map(|size| (size - 1) / stride + 1);
        let mut grad_y = image(kind, 7, 2 * channels_out, outputs);
        // No plane cancels another.
        for (p, plane) in grad_y.chunks_exact_mut(outputs[0] * outputs[1]).enumerate() {
            plane.iter_mut().for_each(|g| *g *= 1.0 / (p + 1) as f64);
        }
        Self {
            taps: basis.values().to_vec(),
            d_taps: basis.d_sigma_values().to_vec(),
            alpha: noise(3, geometry.alpha_len()),
            x: image(kind, 5, 2 * channels_in, size),
            grad_y,
            geometry,
            config,
        }
    }

    /// Input and output channels of a group.
    fn group(&self) -> [usize; 2] {
        [self.config.channels_in, self.config.channels_out].map(|channels| channels / self.config.groups)
    }

    fn run<T: Real>(&self, options: Options) -> (Vec<f64>, Gradients<f64>, [[usize; 2]; 2]) {
        let cast = |values: &[f64]| values.iter().map(|&v| T::from_f64(v)).collect::<Vec<T>>();
        let back = |values: Vec<T>| values.into_iter().map(T::to_f64).collect::<Vec<f64>>();
        let (taps, d_taps, alpha) = (cast(&self.taps), cast(&self.d_taps), cast(&self.alpha));
        let (x, grad_y) = (cast(&self.x), cast(&self.grad_y));
        let taps = Taps { y: &taps[..], x: &taps };
        let forward = Forward { taps, alpha: &alpha, bias: None, x: &x };
        let d_taps = Some(Taps { y: &d_taps[..], x: &d_taps });
        let backward = Backward { taps, d_taps, alpha: &alpha, x: &x, grad_y: &grad_y, wanted: Wanted::ALL };
        let steps = [
            engine::band_step(&self.geometry, &forward, options).unwrap(),
            engine::band_step_backward(&self.geometry, &backward, options).unwrap(),
        ];
        let y = engine::forward(&self.geometry, &forward, options).unwrap();
        let gradients = engine::backward(&self.geometry, &backward, options).unwrap();
        let gradients = Gradients {
            x: gradients.x.map(back),
            alpha: gradients.alpha.map(back),
            bias: gradients.bias.map(back),
            sigma: gradients.sigma,
        };
        (back(y), gradients, steps)
    }

    /// Σ|W| from input channel `c` of a group to output channel `o`, with `f` along y and `g` along x.
    fn norm(&self, o: usize, c: usize, f: &[f64], g: &[f64]) -> f64 {
        let geometry = &self.geometry;
        let (side, basis) = (2 * self.config.y.radius + 1, geometry.basis());
        let alpha = &self.alpha[(o * self.group()[0] + c) * basis..][..basis];
        let value = |y: usize, x: usize| -> f64 {
            geometry.jet().zip(alpha).map(|((i, j), a)| a * f[i * side + y] * g[j * side + x]).sum()
        };
        (0..side * side).map(|t| value(t / side, t % side).abs()).sum()
    }

    /// max_o Σ_c Σ|W|.
    fn output_norm(&self, f: &[f64], g: &[f64]) -> f64 {
        let outputs = 0..self.config.channels_out;
        let sum = |o| (0..self.group()[0]).map(|c| self.norm(o, c, f, g)).sum::<f64>();
        outputs.map(sum).fold(0.0, f64::max)
    }

    /// max_c Σ_o Σ|W|.
    fn input_norm(&self) -> f64 {
        let [group_in, group_out] = self.group();
        let sum = |channel: usize| -> f64 {
            let (group, c) = (channel / group_in, channel % group_in);
            let outputs = group * group_out..(group + 1) * group_out;
            outputs.map(|o| self.norm(o, c, &self.taps, &self.taps)).sum()
        };
        (0..self.config.channels_in).map(sum).fold(0.0, f64::max)
    }

    /// The largest part of its bound that each result takes, the errors of ∂α and ∂σ relative to the largest
    /// entry, and the steps of both passes.
    fn parts<T: Real>(&self, isa: Isa, tolerance: f64) -> ([f64; 4], [f64; 2], [[usize; 2]; 2]) {
        let exact = Options { isa, ..Options::default() };
        let (y, gradients, _) = self.run::<f64>(exact);
        let (near, near_gradients, steps) = self.run::<T>(Options { band_limit: Some(tolerance), ..exact });
        let max = |values: &[f64]| values.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        let off = |a: &[f64], b: &[f64]| a.iter().zip(b).fold(0.0, |m: f64, (a, b)| m.max((a - b).abs()));
        let (x, upstream) = (max(&self.x), max(&self.grad_y));
        let relative = |a: &[f64], b: &[f64]| off(a, b) / max(b);
        let relative = [
            relative(near_gradients.alpha.as_ref().unwrap(), gradients.alpha.as_ref().unwrap()),
            relative(&near_gradients.sigma.as_ref().unwrap()[0], &gradients.sigma.as_ref().unwrap()[0]),
        ];
        let geometry = &self.geometry;

        let channels = self.config.channels_out;
        let pixels = self.grad_y.len() / (self.config.batch * channels);
        let alpha_part = || {
            let side = 2 * self.config.y.radius + 1;
            let row_norm = |n: usize| self.taps[n * side..][..side].iter().map(|g| g.abs()).sum::<f64>();
            let channel_sum = |o: usize| -> f64 {
                (0..self.config.batch)
                    .flat_map(|n| &self.grad_y[(n * channels + o) * pixels..][..pixels])
                    .map(|g| g.abs())
                    .sum()
            };
            let (a, b) = (near_gradients.alpha.as_ref().unwrap(), gradients.alpha.as_ref().unwrap());
            let row = self.group()[0] * geometry.basis();
            let jet: Vec<_> = geometry.jet().collect();
            (0..a.len())
                .map(|k| {
                    let (i, j) = jet[k % geometry.basis()];
                    let bound = 10.0 * tolerance * row_norm(i) * row_norm(j) * x * channel_sum(k / row);
                    (a[k] - b[k]).abs() / bound
                })
                .fold(0.0, f64::max)
        };
        let sigma_part = || {
            let total: f64 = self.grad_y.iter().map(|g| g.abs()).sum();
            let norms = [self.output_norm(&self.d_taps, &self.taps), self.output_norm(&self.taps, &self.d_taps)];
            let (a, b) = (near_gradients.sigma.as_ref().unwrap()[0], gradients.sigma.as_ref().unwrap()[0]);
            (0..2).map(|k| (a[k] - b[k]).abs() / (10.0 * tolerance * norms[k] * x * total)).fold(0.0, f64::max)
        };
        let parts = [
            off(&near, &y) / (tolerance * self.output_norm(&self.taps, &self.taps) * x),
            off(near_gradients.x.as_ref().unwrap(), gradients.x.as_ref().unwrap())
                / (tolerance * self.input_norm() * upstream),
            alpha_part(),
            sigma_part(),
        ];
        (parts, relative, steps)
    }
}

#[test]
fn every_image_is_within_the_bounds() {
    for (sigma, extent, order) in [(8.0, 5.0, 2), (8.0, 5.0, 1), (6.0, 5.5, 2), (8.0, 6.0, 3), (5.0, 6.0, 0)] {
        for kind in IMAGES {
            let case = Case::new(sigma, extent, order, [3, 2], [64, 61], kind);
            for isa in Isa::ALL {
                let (parts, relative, steps) = case.parts::<f64>(isa, TOLERANCE);
                assert!(steps.iter().flatten().any(|&step| step > 1), "{steps:?}");
                assert!(parts.iter().all(|&part| part <= 1.0), "{parts:?}");
                // The bounds of ∂α and ∂σ hold whatever the image and are far above what this one does. The checkerboard
                // leaves gradients that are themselves as small as the tolerance.
                if matches!(kind, Image::WhiteNoise) {
                    assert!(relative[0] <= TOLERANCE && relative[1] <= 10.0 * TOLERANCE, "{relative:?}");
                }
            }
        }
    }
}

/// In f32 the rounding of every step comes on top, as in the ordinary pass.
#[test]
fn single_precision_is_within_the_bounds_and_its_roundings() {
    for kind in IMAGES {
        let case = Case::new(8.0, 5.0, 2, [3, 2], [64, 61], kind);
        for isa in Isa::ALL {
            let (parts, _, steps) = case.parts::<f32>(isa, TOLERANCE);
            assert!(steps[0] == [2, 2] || steps[0] == [3, 3], "{steps:?}");
            assert!(parts.iter().all(|&part| part <= 1.2), "{kind:?} {isa:?} {parts:?}");
        }
    }
}

/// Cut at two σ the filters jump by a tenth of their peak, which no lattice can hold.
#[test]
fn refused_at_extent_two() {
    for sigma in [2.0, 4.0, 8.0, 16.0] {
        let case = Case::new(sigma, 2.0, 2, [2, 2], [64, 64], Image::WhiteNoise);
        for tolerance in [1e-6, 1e-5, 1e-4, 1e-3] {
            let (y, gradients, steps) = case.run::<f64>(Options { band_limit: Some(tolerance), ..Options::default() });
            assert_eq!(steps, [[1, 1], [1, 1]], "σ {sigma} tolerance {tolerance}");
            let (exact, exact_gradients, _) = case.run::<f64>(Options::default());
            assert_eq!(y, exact);
            assert_eq!(gradients.x, exact_gradients.x);
        }
    }
}

#[test]
fn off_by_default_and_finer_for_a_finer_tolerance() {
    let case = Case::new(8.0, 5.0, 2, [2, 2], [64, 64], Image::WhiteNoise);
    assert_eq!(case.run::<f64>(Options::default()).2, [[1, 1], [1, 1]]);
    let step = |tolerance| case.run::<f64>(Options { band_limit: Some(tolerance), ..Options::default() }).2[0][0];
    let steps = [1e-9, 1e-6, 1e-5, 1e-3, 1e-2].map(step);
    assert!(steps.is_sorted() && steps[0] == 1 && steps[2] >= 2 && steps[4] > steps[2], "{steps:?}");
}

/// A tolerance that is no number, or none that a result can keep, gives the ordinary pass.
#[test]
fn odd_tolerances_are_harmless() {
    let case = Case::new(8.0, 5.0, 2, [2, 2], [32, 32], Image::WhiteNoise);
    let exact = case.run::<f64>(Options::default());
    for tolerance in [0.0, -1.0, f64::NAN] {
        let (y, gradients, steps) = case.run::<f64>(Options { band_limit: Some(tolerance), ..Options::default() });
        assert_eq!((y, gradients.x, steps), (exact.0.clone(), exact.1.x.clone(), [[1, 1], [1, 1]]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_layer_is_within_the_bounds(
        sigma in 2.0..10.0f64,
        extent in 4.5..7.0f64,
        order in 0usize..4,
        (groups, group_in, group_out) in (1usize..3, 1usize..3, 1usize..3),
        size in [1usize..80, 1usize..80],
        stride in 1usize..3,
        loop_order in prop::sample::select(vec![None, Some(LoopOrder::FilterThenMix), Some(LoopOrder::MixThenFilter)]),
        kind in prop::sample::select(IMAGES.to_vec()),
        tolerance in prop::sample::select(vec![1e-3, 1e-4, 1e-5, 1e-6]),
    ) {
        let channels = [groups * group_in, groups * group_out];
        let case = Case::placed(sigma, extent, order, channels, groups, size, stride, kind);
        let (parts, _, steps) = case.parts::<f64>(Isa::Best, tolerance);
        prop_assert!(parts.iter().all(|&part| part <= 1.0 || part.is_nan()), "{parts:?} {steps:?}");
        let options = Options { loop_order, band_limit: Some(tolerance), ..Options::default() };
        let (y, ..) = case.run::<f64>(options);
        prop_assert!(y.iter().all(|y| y.is_finite()));
    }
}
