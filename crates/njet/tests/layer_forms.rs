//! Every form of σ, stride and padding: the engine against the composition, and the gradient of the parameters against
//! central differences in f64.

#[path = "../../njet-kernels/tests/noise/mod.rs"]
mod noise;

use burn::tensor::{DType, Device, Tensor, TensorData};
use njet::layer::{Bound, LayerWarning, Settings, njet_conv2d, njet_conv2d_composed, runs_on_engine};
use njet::{Discretisation, NJetConv2d, NJetConv2dConfig, NearestRule, PaddingMode, SigmaBounds, SigmaSharing, Stride};
use njet_basis::JetIndex;
use noise::noise;
use proptest::prelude::*;

#[derive(Debug, Clone)]
struct Form {
    batch: usize,
    groups: usize,
    per_group: [usize; 2],
    order: usize,
    extent: f64,
    size: [usize; 2],
    sharing: SigmaSharing,
    separate: bool,
    stride: Stride,
    mode: PaddingMode,
    seed: u64,
}

fn strides() -> impl Strategy<Value = Stride> {
    prop_oneof![
        [1usize..3, 1usize..3].prop_map(Stride::Fixed),
        [0.5..2.5f64, 0.5..2.5f64].prop_map(Stride::Real),
        (0.4..1.6f64).prop_map(|ratio| Stride::Safe { ratio }),
    ]
}

fn forms() -> impl Strategy<Value = Form> {
    (
        (1usize..3, 1usize..3, [1usize..4, 1usize..4]),
        (0usize..4, prop::sample::select(vec![2.0, 4.0])),
        [1usize..13, 1usize..13],
        (prop::sample::select(SigmaSharing::ALL.to_vec()), any::<bool>()),
        strides(),
        prop::sample::select(vec![
            PaddingMode::Zeros,
            PaddingMode::Replicate,
            PaddingMode::Reflect,
            PaddingMode::Circular,
        ]),
        any::<u64>(),
    )
        .prop_map(
            |((batch, groups, per_group), (order, extent), size, (sharing, separate), stride, mode, seed)| Form {
                batch,
                groups,
                per_group,
                order,
                extent,
                size,
                sharing,
                separate,
                stride,
                mode,
                seed,
            },
        )
}

impl Form {
    fn channels(&self) -> [usize; 2] {
        self.per_group.map(|n| n * self.groups)
    }

    fn parameters(&self) -> Vec<f64> {
        let sets = self.sharing.sets(self.channels(), self.groups) * if self.separate { 2 } else { 1 };
        // σ from 0.6 to 1.7, and into the bend of the bounds.
        noise(self.seed ^ 7, sets).iter().map(|v| 0.75 * v).collect()
    }

    fn bounds(&self) -> SigmaBounds {
        SigmaBounds { min: 0.5, max: 2.0 }
    }

    fn settings(&self, parameters: &[f64]) -> Settings {
        Settings {
            scales: parameters.iter().map(|&s| self.bounds().scale(s)).collect(),
            separate: self.separate,
            sharing: self.sharing,
            stride: self.stride,
            groups: self.groups,
            padding_mode: self.mode,
            ..Settings::new(1.0, self.extent, self.order)
        }
    }

    fn input(&self) -> [usize; 4] {
        [self.batch, self.channels()[0], self.size[0], self.size[1]]
    }

    fn alpha(&self) -> [usize; 3] {
        [self.channels()[1], self.per_group[0], (self.order + 1) * (self.order + 2) / 2]
    }
}

type Path = fn(Tensor<4>, Tensor<3>, Tensor<1>, Option<Tensor<1>>, &Settings) -> Tensor<4>;

fn tensor<const D: usize>(values: &[f64], shape: [usize; D], device: &Device, dtype: DType) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), (device, dtype))
}

fn values(data: TensorData) -> Vec<f64> {
    data.iter::<f64>().collect()
}

/// y and the gradients of Σ y · upstream by x, α, bias and s.
fn run(form: &Form, path: Path, dtype: DType) -> [Vec<f64>; 5] {
    let device = Device::flex().autodiff();
    let parameters = form.parameters();
    let tracked = |seed: u64, len: usize| noise(form.seed ^ seed, len);
    let (input, alpha) = (form.input(), form.alpha());
    let x = tensor(&tracked(1, input.iter().product()), input, &device, dtype).require_grad();
    let a = tensor(&tracked(2, alpha.iter().product()), alpha, &device, dtype).require_grad();
    let s = tensor(&parameters, [parameters.len()], &device, dtype).require_grad();
    let bias = tensor(&tracked(3, alpha[0]), [alpha[0]], &device, dtype).require_grad();
    let y = path(x.clone(), a.clone(), s.clone(), Some(bias.clone()), &form.settings(&parameters));
    let upstream = tensor(&tracked(4, y.shape().num_elements()), y.dims(), &device, dtype);
    let gradients = (y.clone() * upstream).sum().backward();
    [
        values(y.into_data()),
        values(x.grad(&gradients).unwrap().into_data()),
        values(a.grad(&gradients).unwrap().into_data()),
        values(bias.grad(&gradients).unwrap().into_data()),
        values(s.grad(&gradients).unwrap().into_data()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn engine_and_composition_agree(form in forms()) {
        let (ours, theirs) = (run(&form, njet_conv2d, DType::F64), run(&form, njet_conv2d_composed, DType::F64));
        for (what, (ours, theirs)) in ["y", "x", "alpha", "bias", "s"].iter().zip(ours.iter().zip(&theirs)) {
            prop_assert_eq!(ours.len(), theirs.len());
            let scale = theirs.iter().fold(1.0, |m: f64, v| m.max(v.abs()));
            for (a, b) in ours.iter().zip(theirs) {
                prop_assert!((a - b).abs() <= 1e-10 * scale, "{what}: {a} and {b}");
            }
        }
    }

    /// Along s, through σ, the taps and, at extent 4, the stride: R, the number of outputs and the nearest pixels are
    /// constants, so a step that changes one of them says nothing.
    #[test]
    fn the_gradient_of_the_parameters(form in forms()) {
        let device = Device::flex();
        let parameters = form.parameters();
        let (input, alpha) = (form.input(), form.alpha());
        let x = tensor(&noise(form.seed ^ 1, input.iter().product()), input, &device, DType::F64);
        let a = tensor(&noise(form.seed ^ 2, alpha.iter().product()), alpha, &device, DType::F64);
        let loss = |parameters: &[f64]| {
            let s = tensor(parameters, [parameters.len()], &device, DType::F64);
            let y = njet_conv2d(x.clone(), a.clone(), s, None, &form.settings(parameters));
            let upstream = noise(form.seed ^ 4, y.shape().num_elements());
            values(y.into_data()).iter().zip(&upstream).map(|(y, g)| y * g).sum::<f64>()
        };
        let gradient = run(&form, njet_conv2d, DType::F64)[4].clone();
        let k = form.seed as usize % parameters.len();
        let h = 1e-5;
        let at = |step: f64| {
            let mut moved = parameters.clone();
            moved[k] += step;
            moved
        };
        let shape = |p: &[f64]| {
            let call = form.settings(p);
            let steps = call.factors();
            let radii: Vec<usize> = call.scales.iter().map(|s| njet_basis::radius(s.sigma, form.extent)).collect();
            let nearest: Vec<Vec<i64>> = (0..2).map(|axis| {
                let (n, f) = (form.size[axis], steps[axis]);
                let m = ((n - 1) as f64 / f * (1.0 + 1e-6)).floor() as usize + 1;
                (0..m).map(|p| ((p as f64 - 0.5 * (m as f64 - 1.0)) * f + 0.5 * (n as f64 - 1.0)).round() as i64).collect()
            }).collect();
            (radii, nearest)
        };
        // Below extent 4 the stride is no function of σ for the gradient.
        let follows = matches!(form.stride, Stride::Safe { .. }) && form.extent < 4.0
            && form.settings(&parameters).factors().iter().any(|&f| f != 1.0);
        let bends = matches!(form.stride, Stride::Safe { ratio } if form.settings(&parameters).scales.iter().any(|s| (s.sigma - ratio).abs() < 1e-3));
        prop_assume!(!follows && !bends && shape(&at(h)) == shape(&at(-h)));
        let slope = (loss(&at(h)) - loss(&at(-h))) / (2.0 * h);
        let scale = gradient.iter().fold(1.0, |m: f64, g| m.max(g.abs()));
        prop_assert!((gradient[k] - slope).abs() <= 1e-5 * scale, "{} {slope}", gradient[k]);
    }
}

/// What two scales differ by is what the gradient between them adds up to, stride and all.
#[test]
fn safe_subsampling_integrates_its_gradient() {
    let device = Device::flex().autodiff();
    let layer = |sigma: f64| {
        NJetConv2dConfig::new([1, 1])
            .with_sigma(sigma)
            .with_order(1)
            .with_bias(false)
            .with_stride(Stride::Safe { ratio: 1.0 })
            .init(&device)
    };
    let n = 41;
    // A smooth image, so that nothing is said by the pixels that enter and leave.
    let image: Vec<f64> = (0..n * n)
        .map(|i| ((i / n) as f64 * 0.31).sin() + (((i % n) as f64 - 0.3 * (i / n) as f64) * 0.17).cos())
        .collect();
    let x = tensor(&image, [1, 1, n, n], &device, DType::F32);
    let run = |sigma: f64| {
        let mut layer = layer(sigma);
        layer.alpha = burn::module::Param::from_tensor(tensor(&[1.0, 0.7, -0.4], [1, 1, 3], &device, DType::F32));
        let y = layer.forward(x.clone());
        // The middle outputs, which do not see the border.
        let [_, _, height, width] = y.dims();
        let middle = y.slice([0..1, 0..1, height / 2 - 2..height / 2 - 1, width / 2 + 2..width / 2 + 3]).sum();
        let value = middle.clone().into_scalar::<f32>();
        let by_s = values(layer.log2_sigma.val().grad(&middle.backward()).unwrap().into_data())[0];
        (f64::from(value), by_s, [height, width])
    };
    // No radius, no number of outputs changes between these.
    let (from, to, steps) = (2.01f64.log2(), 2.10f64.log2(), 32);
    let at = |k: f64| run((from + (to - from) * k / f64::from(steps)).exp2());
    let ((y0, _, size0), (y1, _, size1)) = (at(0.0), at(f64::from(steps)));
    assert_eq!(size0, size1);
    let integral: f64 = (0..steps).map(|k| at(f64::from(k) + 0.5).1).sum::<f64>() * (to - from) / f64::from(steps);
    assert!((y1 - y0).abs() > 1e-3, "{y0} {y1}");
    assert!((y1 - y0 - integral).abs() <= 0.01 * (y1 - y0).abs(), "{} {integral}", y1 - y0);
}

#[test]
fn strides_give_their_sizes() {
    let device = Device::flex();
    let size = |stride: Stride, sigma: f64| {
        let layer = NJetConv2dConfig::new([2, 3]).with_sigma(sigma).with_stride(stride).init(&device);
        let y = layer.forward(Tensor::zeros([1, 2, 29, 40], &device));
        ([y.dims()[2], y.dims()[3]], layer.stride_now())
    };
    assert_eq!(size(Stride::Real([1.5, 2.5]), 1.0), ([19, 16], [1.5, 2.5]));
    assert_eq!(size(Stride::Safe { ratio: 1.0 }, 0.9).0, [29, 40]);
    assert_eq!(size(Stride::Safe { ratio: 1.0 }, 2.0).0, [15, 20]);
    assert_eq!(size(Stride::Real([0.5, 1.0]), 1.0).0, [57, 40]);
    let nearest = |rule| Stride::Nearest { rule, ratio: 1.0 };
    assert_eq!(size(nearest(NearestRule::Sigma), 2.0).0, [14, 20]);
    assert_eq!(size(nearest(NearestRule::PowerOfSigma), 2.0).0, [7, 10]);
}

/// A constant image stays constant where its border is its own.
#[test]
fn padding_modes_keep_a_constant() {
    let device = Device::flex();
    for mode in [PaddingMode::Replicate, PaddingMode::Reflect, PaddingMode::Circular] {
        for stride in [Stride::Fixed([1, 1]), Stride::Fixed([2, 3]), Stride::Real([1.7, 2.2])] {
            let mut layer = NJetConv2dConfig::new([1, 1])
                .with_order(0)
                .with_sigma(2.0)
                .with_padding_mode(mode)
                .with_stride(stride)
                .init(&device);
            layer.alpha = burn::module::Param::from_tensor(Tensor::ones([1, 1, 1], &device));
            // Narrower than the filters: the image is continued to and fro.
            let y = layer.forward(Tensor::ones([1, 1, 5, 12], &device));
            for value in values(y.into_data()) {
                assert!((value - 1.0).abs() < 1e-5, "{mode:?} {stride:?}: {value}");
            }
        }
    }
}

#[test]
fn forms_run_on_the_engine() {
    let device = Device::flex();
    let layer = NJetConv2dConfig::new([2, 3]).with_sharing(SigmaSharing::Output).with_separate_axes(true).init(&device);
    assert_eq!(layer.log2_sigma.dims(), [6]);
    assert!(runs_on_engine(&Tensor::zeros([1, 2, 5, 5], &device), &layer.alpha.val(), &layer.log2_sigma.val()));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let device = Device::flex();
    let config = || NJetConv2dConfig::new([2, 2]);
    let message = |config: NJetConv2dConfig| config.try_init(&device).unwrap_err().to_string();
    assert!(message(config().with_stride(Stride::Real([0.0, 1.0]))).contains("positive numbers of pixels"));
    assert!(message(config().with_stride(Stride::Safe { ratio: -1.0 })).contains("ratio -1"));
    let bounds = SigmaBounds { min: 2.0, max: 1.0 };
    assert!(message(config().with_bounds(bounds)).contains("are no interval"));
    let discrete =
        config().with_stride(Stride::Safe { ratio: 1.0 }).with_discretisation(Discretisation::DiscreteAnalogue);
    assert!(message(discrete).contains("whole pixels only"));
    let valid = config().with_stride(Stride::Real([2.0, 2.0])).with_padding(burn::nn::PaddingConfig2d::Valid);
    assert!(message(valid).contains("can only be `Same`"));
}

#[test]
fn bounds_hold_sigma_and_give_way() {
    let device = Device::flex();
    let config = NJetConv2dConfig::new([1, 1]).with_sigma(10.0);
    let layer = config.init(&device);
    assert_eq!(layer.bounds, SigmaBounds { min: 0.3, max: 20.0 });
    assert!((layer.sigma() - 10.0).abs() < 1e-4);
    assert!(config.warnings()[0].to_string().contains("they are now 0.3 to 20"), "{}", config.warnings()[0]);
    let mut pushed = NJetConv2dConfig::new([1, 1]).init(&device);
    assert!(pushed.at_bounds().is_empty());
    pushed.log2_sigma = burn::module::Param::from_tensor(Tensor::from_floats([9.0], &device));
    assert!(pushed.sigma() < 8.0);
    assert_eq!(pushed.at_bounds()[0].bound, Bound::Upper);
}

/// A trained layer sees a band-limited image that was resampled as it saw the original.
#[test]
fn rescaled_layers_see_resampled_images() {
    let device = Device::flex();
    // A sum of waves, so that it can be sampled at any density; the longest ones that the sampling allows are short
    // enough to matter to filters of this size.
    let waves: Vec<[f64; 4]> = (0..12)
        .map(|k| {
            let v = noise(100 + k, 4);
            [0.9 * v[0], 0.9 * v[1], 3.0 * v[2], 1.0 + v[3]]
        })
        .collect();
    let image = |n: usize, per_unit: f64| -> Vec<f64> {
        let at = |i: usize| (i as f64 - 0.5 * (n as f64 - 1.0)) / per_unit;
        let value = |y: f64, x: f64| waves.iter().map(|w| w[3] * (w[0] * y + w[1] * x + w[2]).sin()).sum::<f64>();
        (0..n * n).map(|i| value(at(i / n), at(i % n))).collect()
    };
    for (sigma, factor, extent) in [(1.0, 2.0, 4.0), (2.0, 0.5, 4.0), (1.3, 3.0, 4.0), (1.0, 1.5, 5.0)] {
        let layer = NJetConv2dConfig::new([1, 3]).with_sigma(sigma).with_extent(extent).with_bias(false).init(&device);
        let (larger, warnings) = layer.clone().rescale(factor);
        assert!(warnings.is_empty(), "{warnings:?}");
        let middle = |layer: &NJetConv2d, n: usize, per_unit: f64, step: usize| -> Vec<f64> {
            let y = layer.forward(tensor(&image(n, per_unit), [1, 1, n, n], &device, DType::F32));
            let centre = n / 2;
            let mut out = Vec::new();
            for o in 0..3 {
                for (dy, dx) in [(0i64, 0i64), (2, 0), (0, -2), (-2, 2)] {
                    let at = |d: i64| (centre as i64 + d * step as i64 / 2) as usize;
                    let y = y.clone().slice([0..1, o..o + 1, at(dy)..at(dy) + 1, at(dx)..at(dx) + 1]);
                    out.extend(values(y.into_data()));
                }
            }
            out
        };
        // Odd sizes: the pixel in the middle stands at the same place in both. Steps are whole pixels in both.
        let (step, step_larger) = (2 * 2, (2.0 * 2.0 * factor) as usize);
        let a = middle(&layer, 121, 1.0, step);
        let b = middle(&larger, 241, factor, step_larger);
        let norm = a.iter().map(|v| v * v).sum::<f64>().sqrt();
        let off = a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        assert!(off <= 0.005 * norm, "σ {sigma} × {factor}, extent {extent}: {:.4}", off / norm);
    }
    let narrow = NJetConv2dConfig::new([1, 1]).with_extent(2.0).init(&device).rescale(16.0);
    assert!(matches!(narrow.1[..], [LayerWarning::Widened(_), LayerWarning::InexactRescale { .. }]), "{:?}", narrow.1);
    assert!((narrow.0.sigma() - 16.0).abs() < 1e-3);
}

/// Samples of a narrow Gaussian are no derivative: rescaled to one, a layer would answer a constant image.
#[test]
fn layers_that_become_too_narrow_are_integrated() {
    let device = Device::flex();
    let config = NJetConv2dConfig::new([1, 1]).with_sigma(0.8).with_extent(4.0).with_bias(false);
    let mut layer = config.init(&device);
    // ∂²/∂x² alone.
    let second = JetIndex { y: 0, x: 2 }.position();
    let alpha: Vec<f64> = (0..6).map(|b| if b == second { 1.0 } else { 0.0 }).collect();
    layer.alpha = burn::module::Param::from_tensor(tensor(&alpha, [1, 1, 6], &device, DType::F32));
    let of_constant = |layer: &NJetConv2d| {
        let y = layer.forward(Tensor::ones([1, 1, 15, 15], &device));
        values(y.into_data())[7 * 15 + 7]
    };
    let (narrow, warnings) = layer.clone().rescale(0.5);
    assert_eq!(narrow.discretisation, Discretisation::Integrated);
    let said =
        |warning: &LayerWarning| matches!(warning, LayerWarning::Integrated { sigma } if (sigma - 0.4).abs() < 1e-6);
    assert!(warnings.iter().any(said), "{warnings:?}");
    assert!(of_constant(&narrow).abs() < 1e-5, "{}", of_constant(&narrow));
    let sampled = NJetConv2d { discretisation: layer.discretisation, ..narrow.clone() };
    assert!(of_constant(&sampled).abs() > 0.4, "{}", of_constant(&sampled));
    // Wide enough, or made larger, filters stay what they were; and so do those that no sampling spoils.
    assert_eq!(layer.clone().rescale(0.8).0.discretisation, layer.discretisation);
    assert_eq!(config.clone().with_sigma(0.5).init(&device).rescale(1.1).0.discretisation, layer.discretisation);
    let analogue = config.with_discretisation(Discretisation::DiscreteAnalogue).init(&device);
    assert_eq!(analogue.rescale(0.5).0.discretisation, Discretisation::DiscreteAnalogue);
}

/// The shortcut's samples move with σ where the stride does: along s they have the gradient of central differences.
#[test]
fn samples_carry_the_gradient_of_their_positions() {
    let device = Device::flex().autodiff();
    for separate in [false, true] {
        let layer = NJetConv2dConfig::new([2, 2])
            .with_sigma(2.3)
            .with_separate_axes(separate)
            .with_stride(Stride::Safe { ratio: 1.0 })
            .init(&device);
        let x = tensor(&noise(8, 2 * 14 * 17), [1, 2, 14, 17], &device, DType::F32);
        let loss = |step: f64, k: usize| {
            let mut layer = layer.clone();
            let mut s = values(layer.log2_sigma.val().into_data());
            s[k] += step;
            let s = tensor(&s, [s.len()], &device, DType::F32).require_grad();
            layer.log2_sigma = burn::module::Param::from_tensor(s);
            let y = layer.sample(x.clone());
            let upstream = tensor(&noise(9, y.shape().num_elements()), y.dims(), &device, DType::F32);
            let loss = (y.clone() * upstream).sum();
            let by_s = values(layer.log2_sigma.val().grad(&loss.clone().backward()).unwrap().into_data());
            (f64::from(loss.into_scalar::<f32>()), by_s, y.dims())
        };
        for k in 0..if separate { 2 } else { 1 } {
            let h = 2e-3;
            let ((up, _, a), (down, _, b), (_, by_s, _)) = (loss(h, k), loss(-h, k), loss(0.0, k));
            assert_eq!(a, b);
            let slope = (up - down) / (2.0 * h);
            assert!(slope.abs() > 0.1 && (by_s[k] - slope).abs() <= 1e-2 * slope.abs(), "{} {slope}", by_s[k]);
        }
    }
}
