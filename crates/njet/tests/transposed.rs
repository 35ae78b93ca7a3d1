//! The transposed layer: the adjoint of the convolution, its gradients, sizes, and what it does to a smooth image.

#[path = "../../njet-kernels/tests/noise/mod.rs"]
mod noise;

use burn::tensor::{DType, Device, Tensor, TensorData};
use njet::layer::{Scale, Settings, njet_conv_transpose2d, njet_conv2d};
use njet::{Initializer, NJetConvTranspose2dConfig, NearestRule, SigmaSharing, Stride};
use noise::noise;
use proptest::prelude::*;

fn tensor<const D: usize>(values: &[f64], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), (device, DType::F64))
}

fn values(data: TensorData) -> Vec<f64> {
    data.iter::<f64>().collect()
}

#[derive(Debug, Clone)]
struct Case {
    groups: usize,
    /// Of the transposed layer, for each group.
    channels: [usize; 2],
    order: usize,
    /// Of the output.
    size: [usize; 2],
    sharing: SigmaSharing,
    separate: bool,
    stride: Stride,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let stride = prop_oneof![
        [1usize..3, 1usize..3].prop_map(Stride::Fixed),
        [0.6..2.5f64, 0.6..2.5f64].prop_map(Stride::Real),
        (0.4..1.6f64).prop_map(|ratio| Stride::Safe { ratio }),
    ];
    (
        (1usize..3, [1usize..4, 1usize..4], 0usize..4),
        [1usize..12, 1usize..12],
        (prop::sample::select(SigmaSharing::ALL.to_vec()), any::<bool>()),
        stride,
        any::<u64>(),
    )
        .prop_map(|((groups, channels, order), size, (sharing, separate), stride, seed)| Case {
            groups,
            channels,
            order,
            size,
            sharing,
            separate,
            stride,
            seed,
        })
}

impl Case {
    /// Of the convolution: from `channels[1]` to `channels[0]`.
    fn settings(&self, parameters: &[f64]) -> Settings {
        Settings {
            scales: parameters.iter().map(|s| Scale::unbounded(s.exp2())).collect(),
            separate: self.separate,
            sharing: self.sharing,
            stride: self.stride,
            groups: self.groups,
            ..Settings::new(1.0, 4.0, self.order)
        }
    }

    fn parameters(&self) -> Vec<f64> {
        let [channels_in, channels_out] = self.channels.map(|n| n * self.groups);
        let sets = self.sharing.sets([channels_out, channels_in], self.groups) * if self.separate { 2 } else { 1 };
        noise(self.seed ^ 7, sets).iter().map(|v| 0.6 * v).collect()
    }

    fn alpha(&self) -> [usize; 3] {
        [self.channels[0] * self.groups, self.channels[1], (self.order + 1) * (self.order + 2) / 2]
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// ⟨u, Tᵀx⟩ · 1 = f_y f_x ⟨T u, x⟩, on the engine; the composition of tensor operations gives the same, gradients
    /// and all; and the gradient of the parameters is that of the loss.
    #[test]
    fn it_is_the_adjoint_and_its_gradients_are_right(case in cases()) {
        let device = Device::flex().autodiff();
        let parameters = case.parameters();
        let settings = case.settings(&parameters);
        let [channels_in, channels_out] = case.channels.map(|n| n * case.groups);
        let big = [2, channels_out, case.size[0], case.size[1]];
        let u = tensor(&noise(case.seed ^ 1, big.iter().product()), big, &device);
        let alpha = tensor(&noise(case.seed ^ 2, case.alpha().iter().product()), case.alpha(), &device).require_grad();
        let s = tensor(&parameters, [parameters.len()], &device).require_grad();
        let convolved = njet_conv2d(u.clone(), alpha.clone().detach(), s.clone().detach(), None, &settings);
        let small = convolved.dims();
        prop_assert_eq!(small[1], channels_in);
        let x = tensor(&noise(case.seed ^ 3, small.iter().product()), small, &device).require_grad();
        let bias = tensor(&noise(case.seed ^ 4, channels_out), [channels_out], &device).require_grad();
        let run = |x: &Tensor<4>, bias: Option<Tensor<1>>| {
            njet_conv_transpose2d(x.clone(), alpha.clone(), s.clone(), bias, &settings, case.size)
        };
        let y = run(&x, None);
        prop_assert_eq!(y.dims(), big);
        let dot = |a: &Tensor<4>, b: &Tensor<4>| values((a.clone() * b.clone()).sum().into_data())[0];
        let [fy, fx] = settings.factors();
        let (left, right) = (dot(&u, &y), fy * fx * dot(&convolved, &x));
        let size = values((u.clone().abs() * y.clone().abs()).sum().into_data())[0];
        prop_assert!((left - right).abs() <= 1e-11 * size.max(1.0), "{left} {right}");

        let biased = run(&x, Some(bias.clone()));
        let off = biased.clone() - y.clone() - bias.clone().reshape([1, channels_out, 1, 1]);
        let largest_y = values(y.abs().max().into_data())[0];
        prop_assert!(values(off.abs().max().into_data())[0] <= 1e-12 * largest_y.max(1.0), "bias");
        let gradients = (biased * u.clone()).sum().backward();
        let by = |data: TensorData| values(data);
        let (by_x, by_alpha) = (by(x.grad(&gradients).unwrap().into_data()), by(alpha.grad(&gradients).unwrap().into_data()));
        let (by_s, by_bias) = (by(s.grad(&gradients).unwrap().into_data()), by(bias.grad(&gradients).unwrap().into_data()));
        let expected = values((convolved * (fy * fx)).into_data());
        let largest = |v: &[f64]| v.iter().fold(1.0, |m: f64, v| m.max(v.abs()));
        for (a, b) in by_x.iter().zip(&expected) {
            prop_assert!((a - b).abs() <= 1e-11 * largest(&expected), "x: {a} {b}");
        }
        // Linear in α: the loss is its own derivative along α.
        let along: f64 = by_alpha.iter().zip(values(alpha.clone().into_data())).map(|(g, a)| g * a).sum();
        prop_assert!((along - left).abs() <= 1e-10 * size.max(1.0), "α: {along} {left}");
        let sums = values(u.clone().sum_dim(3).sum_dim(2).sum_dim(0).into_data());
        for (a, b) in by_bias.iter().zip(&sums) {
            prop_assert!((a - b).abs() <= 1e-10 * largest(&sums));
        }
        // The radius and the nearest pixels are constants, so a step that changes one of them says nothing.
        let h = 1e-5;
        let k = case.seed as usize % parameters.len();
        let at = |step: f64| {
            let mut moved = parameters.clone();
            moved[k] += step;
            moved
        };
        let shape = |p: &[f64]| {
            let settings = case.settings(p);
            let radii: Vec<usize> = settings.scales.iter().map(|s| njet_basis::radius(s.sigma, 4.0)).collect();
            let nearest: Vec<Vec<i64>> = (0..2).map(|axis| {
                let (n, m, f) = (case.size[axis], small[2 + axis], settings.factors()[axis]);
                (0..m).map(|p| ((p as f64 - 0.5 * (m as f64 - 1.0)) * f + 0.5 * (n as f64 - 1.0)).round() as i64).collect()
            }).collect();
            (radii, nearest)
        };
        let bends = matches!(case.stride, Stride::Safe { ratio } if settings.scales.iter().any(|s| (s.sigma - ratio).abs() < 1e-3));
        if !bends && shape(&at(h)) == shape(&at(-h)) {
            let loss = |parameters: &[f64]| {
                let s = tensor(parameters, [parameters.len()], &device);
                let settings = case.settings(parameters);
                let y = njet_conv_transpose2d(x.clone(), alpha.clone(), s, None, &settings, case.size);
                dot(&u, &y)
            };
            let slope = (loss(&at(h)) - loss(&at(-h))) / (2.0 * h);
            prop_assert!((by_s[k] - slope).abs() <= 1e-5 * largest(&by_s).max(1e-2 * size), "s: {} {slope}", by_s[k]);
        }
    }
}

/// On other backends than the CPU's: half precision takes the composition, which must be the same layer.
#[test]
fn the_composition_is_the_same_layer() {
    let device = Device::flex();
    for sharing in SigmaSharing::ALL {
        for stride in [Stride::Fixed([2, 1]), Stride::Real([1.6, 2.2])] {
            for groups in [1, 2] {
                let layer = NJetConvTranspose2dConfig::new([4, 6])
                    .with_sharing(sharing)
                    .with_stride(stride)
                    .with_groups(groups)
                    .with_initializer(Initializer::White)
                    .init(&device);
                let x = Tensor::<4>::from_data(TensorData::new(noise(3, 4 * 5 * 6), [1, 4, 5, 6]), &device);
                let y = values(layer.forward(x.clone()).into_data());
                let convolution = &layer.convolution;
                let half = |t: Tensor<3>| t.cast(DType::F16);
                let near = njet_conv_transpose2d(
                    x.cast(DType::F16),
                    half(convolution.alpha.val()),
                    convolution.log2_sigma.val().cast(DType::F16),
                    None,
                    &convolution.settings(),
                    layer.output_size([5, 6]),
                );
                let near = values(near.into_data());
                let scale = y.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
                assert_eq!(y.len(), near.len());
                for (a, b) in y.iter().zip(&near) {
                    // Eleven bits, some dozens of roundings.
                    assert!((a - b).abs() <= 1e-2 * scale, "{sharing} {stride:?} {groups}: {a} {b}");
                }
            }
        }
    }
}

/// A constant comes out as a constant, away from the border, whatever the stride.
#[test]
fn a_constant_stays_what_it_is() {
    let device = Device::flex();
    for (stride, sigma) in
        [(Stride::Fixed([2, 2]), 2.0), (Stride::Real([1.7, 2.4]), 2.4), (Stride::Safe { ratio: 1.0 }, 3.0)]
    {
        let mut layer =
            NJetConvTranspose2dConfig::new([1, 1]).with_order(0).with_sigma(sigma).with_stride(stride).init(&device);
        layer.convolution.alpha = burn::module::Param::from_tensor(Tensor::ones([1, 1, 1], &device));
        let y = layer.forward(Tensor::ones([1, 1, 24, 24], &device));
        let [_, _, height, width] = y.dims();
        let middle = y.slice([0..1, 0..1, height / 2 - 4..height / 2 + 4, width / 2 - 4..width / 2 + 4]);
        for value in values(middle.into_data()) {
            assert!((value - 1.0).abs() < 0.02, "{stride:?}: {value}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let device = Device::flex();
    let nearest = Stride::Nearest { rule: NearestRule::Sigma, ratio: 1.0 };
    let error = NJetConvTranspose2dConfig::new([1, 1]).with_stride(nearest).try_init(&device).unwrap_err();
    assert!(error.to_string().contains("takes a fixed, real or safe one"), "{error}");
}

#[test]
#[should_panic(expected = "the layer would make [5, 5] pixels of [10, 10], so it cannot make those of [4, 4]")]
fn a_size_that_does_not_fit_is_refused() {
    let device = Device::flex();
    let layer = NJetConvTranspose2dConfig::new([1, 1]).with_stride([2, 2]).init(&device);
    layer.forward_to(Tensor::zeros([1, 1, 4, 4], &device), [10, 10]);
}
