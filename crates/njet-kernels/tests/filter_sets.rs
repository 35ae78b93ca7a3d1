//! Filters that differ between channels, between the axes, and from output to output: the engine against the reference,
//! and every gradient against central differences.

mod noise;

use njet_basis::{ShiftedTaps, TapSpec, Taps as BasisTaps};
use njet_kernels::engine::{self, Isa, LoopOrder, Options};
use njet_kernels::{
    AxisConfig, Backward, CentredAxis, CentredConfig, Forward, Geometry, GeometryConfig, Gradients, KernelError, Real,
    Sharing, Taps, Wanted, centred_position, reference,
};
use noise::noise;
use proptest::prelude::*;

#[derive(Debug, Clone)]
struct Shape {
    batch: usize,
    groups: usize,
    group_in: usize,
    group_out: usize,
    order: usize,
    extent: f64,
    size: [usize; 2],
    stride: [usize; 2],
    /// Distances of the outputs, where they are real.
    factors: Option<[f64; 2]>,
    sharing: Sharing,
    seed: u64,
}

fn shapes(max_order: usize, max_size: usize) -> impl Strategy<Value = Shape> {
    (
        (1usize..3, 1usize..3, 1usize..4, 1usize..4),
        (0..=max_order, 1.5..4.5f64),
        [1..=max_size, 1..=max_size],
        [1usize..3, 1usize..3],
        prop::option::of([0.4..3.5f64, 0.4..3.5f64]),
        prop::sample::select(vec![Sharing::Layer, Sharing::Group, Sharing::Input, Sharing::Output]),
        any::<u64>(),
    )
        .prop_map(
            |((batch, groups, group_in, group_out), (order, extent), size, stride, factors, sharing, seed)| Shape {
                batch,
                groups,
                group_in,
                group_out,
                order,
                extent,
                size,
                stride,
                factors,
                sharing,
                seed,
            },
        )
}

/// A layer with everything that its passes need, in f64.
struct Layer {
    shape: Shape,
    geometry: Geometry,
    /// σ of each set along y and x.
    sigma: Vec<[f64; 2]>,
    /// Of the largest σ along y and x.
    radius: [usize; 2],
    alpha: Vec<f64>,
    bias: Vec<f64>,
    x: Vec<f64>,
    grad_y: Vec<f64>,
}

/// The arrays of one axis: the taps, and their derivatives one after the other.
struct Arrays {
    taps: Vec<f64>,
    tangents: Vec<f64>,
}

impl Layer {
    fn new(shape: &Shape) -> Self {
        let [channels_in, channels_out] = [shape.group_in, shape.group_out].map(|n| n * shape.groups);
        let sets = match shape.sharing {
            Sharing::Layer => 1,
            Sharing::Group => shape.groups,
            Sharing::Input => channels_in,
            Sharing::Output => channels_out,
        };
        let sigma: Vec<[f64; 2]> =
            noise(shape.seed ^ 9, 2 * sets).chunks(2).map(|v| [1.1 + 0.8 * v[0], 1.1 + 0.8 * v[1]]).collect();
        let radius =
            [0, 1].map(|axis| sigma.iter().map(|sigma| njet_basis::radius(sigma[axis], shape.extent)).max().unwrap());
        let Shape { batch, groups, order, size, stride, .. } = *shape;
        let geometry = match shape.factors {
            None => {
                let axis = |a: usize| AxisConfig {
                    input: size[a],
                    radius: radius[a],
                    stride: stride[a],
                    padding: (radius[a], radius[a]),
                };
                let (y, x) = (axis(0), axis(1));
                Geometry::new(GeometryConfig { batch, channels_in, channels_out, groups, order, y, x })
            }
            Some(factors) => {
                let axis = |a: usize| CentredAxis {
                    input: size[a],
                    output: ((size[a] - 1) as f64 / factors[a]).floor() as usize + 1,
                    radius: radius[a],
                    factor: factors[a],
                };
                let (y, x) = (axis(0), axis(1));
                Geometry::centred(CentredConfig { batch, channels_in, channels_out, groups, order, y, x })
            }
        };
        let geometry = geometry.unwrap().with_sharing(shape.sharing);
        Self {
            sigma,
            radius,
            alpha: noise(shape.seed, geometry.alpha_len()),
            bias: noise(shape.seed ^ 1, geometry.channels_out()),
            x: noise(shape.seed ^ 2, geometry.input_len()),
            grad_y: noise(shape.seed ^ 3, geometry.output_len()),
            geometry,
            shape: shape.clone(),
        }
    }

    /// One axis (0: y, 1: x) with other scales and, where the outputs stand at real distances, another factor. Each set
    /// is cut at the radius of its own scale.
    fn arrays(&self, axis: usize, sigma: &[f64], factor_step: f64) -> Arrays {
        let Shape { order, extent, .. } = self.shape;
        let cut = |set: usize| njet_basis::radius(self.sigma[set][axis], extent);
        let side = 2 * self.radius[axis] + 1;
        let mut taps = Vec::new();
        let mut tangents = [Vec::new(), Vec::new()];
        // Zeros around the taps of a smaller scale.
        let put = |to: &mut Vec<f64>, row: &[f64]| {
            let zeros = (side - row.len()) / 2;
            to.resize(to.len() + zeros, 0.0);
            to.extend_from_slice(row);
            to.resize(to.len() + zeros, 0.0);
        };
        for (set, &sigma) in sigma.iter().enumerate() {
            let spec = TapSpec::new(sigma, extent, order);
            match self.shape.factors {
                None => {
                    let basis = BasisTaps::with_radius(&spec, cut(set)).unwrap();
                    for n in 0..=order {
                        put(&mut taps, basis.order(n));
                        put(&mut tangents[0], basis.d_sigma(n));
                    }
                }
                Some(factors) => {
                    let grid = if axis == 0 { self.geometry.y() } else { self.geometry.x() };
                    let (inputs, outputs) = (grid.input(), grid.output());
                    let shifted: Vec<_> = grid
                        .positions()
                        .enumerate()
                        .map(|(o, (nearest, _))| {
                            let at = centred_position(o, inputs, outputs, factors[axis] + factor_step);
                            ShiftedTaps::new(&spec, cut(set), at - nearest as f64).unwrap()
                        })
                        .collect();
                    let side = 2 * cut(set) + 1;
                    for n in 0..=order {
                        for (o, shifted) in shifted.iter().enumerate() {
                            let row = |values: &[f64]| values[n * side..][..side].to_vec();
                            put(&mut taps, &row(shifted.values()));
                            put(&mut tangents[0], &row(shifted.d_sigma_values()));
                            // How far the output moves with the factor.
                            let moves = o as f64 - 0.5 * (outputs as f64 - 1.0);
                            let by_factor: Vec<f64> =
                                row(shifted.d_offset_values()).iter().map(|d| moves * d).collect();
                            put(&mut tangents[1], &by_factor);
                        }
                    }
                }
            }
        }
        Arrays { taps, tangents: tangents.concat() }
    }

    fn both_axes(&self) -> [Arrays; 2] {
        [0, 1].map(|axis| self.arrays(axis, &self.sigma.iter().map(|s| s[axis]).collect::<Vec<_>>(), 0.0))
    }

    /// `None`: the reference.
    fn run<T: Real>(&self, options: Option<Options>) -> Result<(Vec<f64>, Gradients<f64>), KernelError> {
        self.run_of::<T>(options, |v| v)
    }

    /// The reference with the absolute value of every argument: its results are the sums of the absolute values of the
    /// terms, which is what rounding errors are relative to.
    fn magnitudes(&self) -> (Vec<f64>, Gradients<f64>) {
        self.run_of::<f64>(None, f64::abs).unwrap()
    }

    /// With a function of every argument in its place.
    fn run_of<T: Real>(
        &self,
        options: Option<Options>,
        of: fn(f64) -> f64,
    ) -> Result<(Vec<f64>, Gradients<f64>), KernelError> {
        let cast = |values: &[f64]| values.iter().map(|&v| T::from_f64(of(v))).collect::<Vec<T>>();
        let back = |values: Vec<T>| values.iter().map(|v| v.to_f64()).collect::<Vec<f64>>();
        let [y, x] = self.both_axes();
        let (taps_y, taps_x) = (cast(&y.taps), cast(&x.taps));
        let (d_taps_y, d_taps_x) = (cast(&y.tangents), cast(&x.tangents));
        let (alpha, bias, x, grad_y) = (cast(&self.alpha), cast(&self.bias), cast(&self.x), cast(&self.grad_y));
        let taps = Taps { y: &taps_y[..], x: &taps_x };
        let forward = Forward { taps, alpha: &alpha, bias: Some(&bias), x: &x };
        let d_taps = Some(Taps { y: &d_taps_y[..], x: &d_taps_x });
        let backward = Backward { taps, d_taps, alpha: &alpha, x: &x, grad_y: &grad_y, wanted: Wanted::ALL };
        let (y, gradients) = match options {
            None => (reference::forward(&self.geometry, &forward)?, reference::backward(&self.geometry, &backward)?),
            Some(options) => (
                engine::forward(&self.geometry, &forward, options)?,
                engine::backward(&self.geometry, &backward, options)?,
            ),
        };
        let gradients = Gradients {
            x: gradients.x.map(back),
            alpha: gradients.alpha.map(back),
            bias: gradients.bias.map(back),
            sigma: gradients.sigma,
        };
        Ok((back(y), gradients))
    }

    /// The loss Σ y · grad_y with the given taps, by the reference.
    fn loss(&self, taps_y: &[f64], taps_x: &[f64]) -> f64 {
        let call =
            Forward { taps: Taps { y: taps_y, x: taps_x }, alpha: &self.alpha, bias: Some(&self.bias), x: &self.x };
        let y = reference::forward(&self.geometry, &call).unwrap();
        y.iter().zip(&self.grad_y).map(|(y, g)| y * g).sum()
    }

    /// Loop orders that the sharing admits.
    fn options(&self) -> Vec<Options> {
        let degenerate = self.shape.group_in == 1 && self.shape.group_out == 1;
        let orders = match self.shape.sharing {
            Sharing::Input if !degenerate => vec![None, Some(LoopOrder::FilterThenMix)],
            Sharing::Output if !degenerate => vec![None, Some(LoopOrder::MixThenFilter)],
            _ => vec![None, Some(LoopOrder::FilterThenMix), Some(LoopOrder::MixThenFilter)],
        };
        let options = |loop_order| Isa::ALL.map(|isa| Options { loop_order, isa, ..Options::default() });
        orders.into_iter().flat_map(options).collect()
    }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |m: f64, v| m.max(v.abs()))
}

fn differ(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |m: f64, (a, b)| if (a - b).abs() <= m { m } else { (a - b).abs() })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn engine_agrees_with_the_reference(shape in shapes(4, 24)) {
        let layer = Layer::new(&shape);
        let (y, gradients) = layer.run::<f64>(None).unwrap();
        let flat = |g: &Gradients<f64>| g.sigma.as_ref().unwrap().concat();
        let (y_scale, scales) = layer.magnitudes();
        let scales = [
            largest(&y_scale),
            largest(scales.x.as_ref().unwrap()),
            largest(scales.alpha.as_ref().unwrap()),
            largest(scales.bias.as_ref().unwrap()),
            largest(&flat(&scales)),
        ];
        for options in layer.options() {
            // A few hundred roundings in either type.
            let (double, single) = (200.0 * f64::EPSILON, 20.0 * f64::from(f32::EPSILON));
            for (result, tolerance) in [(layer.run::<f64>(Some(options)), double), (layer.run::<f32>(Some(options)), single)] {
                let (near, near_gradients) = result.unwrap();
                let off = [
                    differ(&near, &y),
                    differ(near_gradients.x.as_ref().unwrap(), gradients.x.as_ref().unwrap()),
                    differ(near_gradients.alpha.as_ref().unwrap(), gradients.alpha.as_ref().unwrap()),
                    differ(near_gradients.bias.as_ref().unwrap(), gradients.bias.as_ref().unwrap()),
                    differ(&flat(&near_gradients), &flat(&gradients)),
                ];
                for (k, (off, scale)) in off.iter().zip(scales).enumerate() {
                    prop_assert!(*off <= tolerance * scale, "result {k}: {off:e} of {scale:e}, {options:?}");
                }
            }
        }
    }

    #[test]
    fn sigma_and_factor_agree_with_central_differences(shape in shapes(3, 14)) {
        let layer = Layer::new(&shape);
        let (_, gradients) = layer.run::<f64>(None).unwrap();
        let sums = gradients.sigma.unwrap();
        let sets = layer.geometry.sets();
        let arrays = layer.both_axes();
        let scale = largest(&sums.concat()).max(1e-2 * largest(gradients.alpha.as_ref().unwrap()));
        let slope = |at: &dyn Fn(f64) -> f64, h: f64| (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
        let set = shape.seed as usize % sets;
        for axis in 0..2 {
            let at = |taps: &[f64]| match axis {
                0 => layer.loss(taps, &arrays[1].taps),
                _ => layer.loss(&arrays[0].taps, taps),
            };
            let scales: Vec<f64> = layer.sigma.iter().map(|s| s[axis]).collect();
            let moved = |step: f64| {
                let mut scales = scales.clone();
                scales[set] += step;
                at(&layer.arrays(axis, &scales, 0.0).taps)
            };
            let expected = slope(&moved, 1e-3);
            prop_assert!((sums[set][axis] - expected).abs() <= 1e-6 * scale, "σ: {} {expected}", sums[set][axis]);
            if shape.factors.is_some() {
                let moved = |step: f64| at(&layer.arrays(axis, &scales, step).taps);
                let expected = slope(&moved, 1e-4);
                let got: f64 = sums[sets..].iter().map(|by| by[axis]).sum();
                prop_assert!((got - expected).abs() <= 1e-6 * scale.max(got.abs()), "factor: {got} {expected}");
            }
        }
    }
}

/// A layer whose sets all have the same scale is the layer with one set.
#[test]
fn equal_sets_are_one_set() {
    let shape = Shape {
        batch: 2,
        groups: 2,
        group_in: 3,
        group_out: 2,
        order: 2,
        extent: 3.0,
        size: [19, 33],
        stride: [1, 1],
        factors: None,
        sharing: Sharing::Layer,
        seed: 5,
    };
    let one = Layer::new(&shape);
    for sharing in [Sharing::Group, Sharing::Input, Sharing::Output] {
        let mut many = Layer::new(&Shape { sharing, ..shape.clone() });
        many.sigma.fill(one.sigma[0]);
        many.radius = one.radius;
        let geometry = one.geometry.with_sharing(sharing);
        many.geometry = geometry;
        let options = Options::default();
        let ((y, a), (near, b)) = (one.run::<f64>(Some(options)).unwrap(), many.run::<f64>(Some(options)).unwrap());
        assert!(differ(&y, &near) <= 1e-12 * largest(&y), "{sharing:?}");
        let total =
            |g: &Gradients<f64>| g.sigma.as_ref().unwrap().iter().fold([0.0; 2], |s, v| [s[0] + v[0], s[1] + v[1]]);
        assert!(differ(&total(&a), &total(&b)) <= 1e-11 * largest(&total(&a)), "{sharing:?}");
    }
}

/// A factor of 1 is the ordinary layer, computed the other way.
#[test]
fn a_factor_of_one_is_the_ordinary_layer() {
    let shape = Shape {
        batch: 3,
        groups: 1,
        group_in: 4,
        group_out: 5,
        order: 3,
        extent: 4.0,
        size: [17, 30],
        stride: [1, 1],
        factors: None,
        sharing: Sharing::Layer,
        seed: 11,
    };
    let ordinary = Layer::new(&shape);
    let centred = Layer::new(&Shape { factors: Some([1.0, 1.0]), ..shape });
    let (a, b) =
        (ordinary.run::<f64>(Some(Options::default())).unwrap(), centred.run::<f64>(Some(Options::default())).unwrap());
    assert!(differ(&a.0, &b.0) <= 1e-12 * largest(&a.0));
    assert!(differ(a.1.x.as_ref().unwrap(), b.1.x.as_ref().unwrap()) <= 1e-12 * largest(a.1.x.as_ref().unwrap()));
    let by_sigma = |g: &Gradients<f64>| g.sigma.as_ref().unwrap()[0];
    assert!(differ(&by_sigma(&a.1), &by_sigma(&b.1)) <= 1e-11 * largest(&by_sigma(&a.1)));
}

#[test]
fn an_order_that_mixes_different_filters_is_refused() {
    let shape = Shape {
        batch: 1,
        groups: 1,
        group_in: 2,
        group_out: 3,
        order: 1,
        extent: 2.0,
        size: [8, 8],
        stride: [1, 1],
        factors: None,
        sharing: Sharing::Input,
        seed: 1,
    };
    let refused = |sharing, loop_order| {
        let layer = Layer::new(&Shape { sharing, ..shape.clone() });
        layer.run::<f32>(Some(Options { loop_order: Some(loop_order), ..Options::default() })).unwrap_err().to_string()
    };
    let message = refused(Sharing::Input, LoopOrder::MixThenFilter);
    assert!(message.contains("each input channel cannot be applied after the channels are mixed"), "{message}");
    let message = refused(Sharing::Output, LoopOrder::FilterThenMix);
    assert!(message.contains("each output channel cannot be applied before the channels are mixed"), "{message}");
}

#[test]
fn centred_axes_that_make_no_sense_are_refused() {
    let axis = |input, output, factor| CentredAxis { input, output, radius: 3, factor };
    let message = |y: CentredAxis| {
        let x = axis(8, 4, 2.0);
        let config = CentredConfig { batch: 1, channels_in: 1, channels_out: 1, groups: 1, order: 1, y, x };
        Geometry::centred(config).unwrap_err().to_string()
    };
    assert!(message(axis(8, 4, 0.0)).contains("along y is 0: it must be a positive number"));
    assert!(message(axis(8, 4, f64::NAN)).contains("NaN"));
    assert!(message(axis(0, 4, 1.0)).contains("along y there are 0 input and 4 output pixels"));
    assert!(message(axis(8, 0, 1.0)).contains("8 input and 0 output pixels"));
    assert!(message(axis(8, 4, 1e30)).contains("more elements than memory"));
}
