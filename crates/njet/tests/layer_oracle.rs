//! The layer in Burn, on the engine and composed of tensor operations, against the golden files and
//! (where they are at hand) the oracle files.

#[path = "../../njet-kernels/tests/layer/mod.rs"]
mod layer;

use burn::nn::PaddingConfig2d;
use burn::tensor::{DType, Device, Tensor, TensorData};
use layer::{Case, Results, golden_layers, oracle_layers};
use njet::layer::{Settings, njet_conv2d, njet_conv2d_composed, runs_on_engine};
use std::f64::consts::LN_2;

type Layer = fn(Tensor<4>, Tensor<3>, Tensor<1>, Option<Tensor<1>>, &Settings) -> Tensor<4>;

fn run(case: &Case, layer: Layer, dtype: DType) -> Results {
    let device = Device::flex().autodiff();
    fn tensor<const D: usize>(values: &[f64], shape: [usize; D], on: (&Device, DType)) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values.to_vec(), shape), on).require_grad()
    }
    let on = (&device, dtype);
    let arguments = &case.layer;
    let geometry = &arguments.geometry;
    let [batch, channels_in, ..] = case.input;
    let channels_out = geometry.channels_out();
    let order = geometry.jet().last().unwrap().0;
    let x = tensor(&arguments.x, case.input, on);
    let alpha = tensor(&arguments.alpha, [channels_out, channels_in / case.groups, geometry.basis()], on);
    let log2_sigma = tensor(&[case.sigma.log2()], [1], on);
    let bias = tensor(&arguments.bias, [channels_out], on);
    let [top, left, bottom, right] = case.padding;
    let settings = Settings {
        stride: case.stride.into(),
        groups: case.groups,
        padding: PaddingConfig2d::Explicit(top, left, bottom, right),
        ..Settings::new(case.sigma, case.extent, order)
    };
    let y = layer(x.clone(), alpha.clone(), log2_sigma.clone(), Some(bias.clone()), &settings);
    assert_eq!(y.dims(), [batch, channels_out, geometry.y().output(), geometry.x().output()], "{}", case.name);
    let grad_y = Tensor::from_data(TensorData::new(arguments.grad_y.clone(), y.dims()), on);
    let gradients = (y.clone() * grad_y).sum().backward();
    fn values(data: TensorData) -> Vec<f64> {
        data.iter::<f64>().collect()
    }
    Results {
        y: values(y.into_data()),
        grad_x: values(x.grad(&gradients).unwrap().into_data()),
        grad_alpha: values(alpha.grad(&gradients).unwrap().into_data()),
        grad_bias: values(bias.grad(&gradients).unwrap().into_data()),
        grad_sigma: values(log2_sigma.grad(&gradients).unwrap().into_data())[0] / (case.sigma * LN_2),
    }
}

fn check(cases: &[Case], layer: Layer, dtype: DType, tolerance: f64) {
    for case in cases {
        for (what, error) in run(case, layer, dtype).errors(&case.expected) {
            assert!(error <= tolerance, "{}: {what} is off by {error:.2e} in {dtype:?}", case.name);
        }
    }
}

#[test]
fn engine_against_the_golden_files() {
    check(&golden_layers(), njet_conv2d, DType::F32, 2e-5);
    check(&golden_layers(), njet_conv2d, DType::F64, 1e-12);
}

#[test]
fn composition_against_the_golden_files() {
    check(&golden_layers(), njet_conv2d_composed, DType::F32, 2e-5);
}

#[test]
fn engine_against_the_oracle() {
    let Some(cases) = oracle_layers() else { return };
    check(&cases, njet_conv2d, DType::F32, 2e-5);
    check(&cases, njet_conv2d, DType::F64, 1e-12);
}

#[test]
fn composition_against_the_oracle() {
    let Some(cases) = oracle_layers() else { return };
    check(&cases, njet_conv2d_composed, DType::F32, 2e-5);
}

/// The CPU backend takes the engine, with gradients and without, in f32 and f64.
#[test]
fn the_engine_is_taken() {
    for device in [Device::flex(), Device::flex().autodiff()] {
        for dtype in [DType::F32, DType::F64] {
            let x = Tensor::<4>::zeros([1, 1, 4, 4], (&device, dtype));
            let alpha = Tensor::<3>::zeros([1, 1, 1], (&device, dtype));
            let s = Tensor::<1>::zeros([1], (&device, dtype));
            assert!(runs_on_engine(&x, &alpha, &s));
        }
        let half = (&device, DType::F16);
        let (x, alpha, s) =
            (Tensor::zeros([1, 1, 4, 4], half), Tensor::zeros([1, 1, 1], half), Tensor::zeros([1], half));
        assert!(!runs_on_engine(&x, &alpha, &s));
    }
}
