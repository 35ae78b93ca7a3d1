//! The `Preserving` initialisation keeps the second moment through a deep stack of N-jet layers and ReLUs.

use burn::tensor::activation::relu;
use burn::tensor::{Device, Distribution, Tensor};
use njet::{Initializer, NJetConv2d, NJetConv2dConfig};

const CHANNELS: usize = 48;
const SIDE: usize = 48;

fn layer(sigma: f64, initializer: Initializer, device: &Device) -> NJetConv2d {
    NJetConv2dConfig::new([CHANNELS, CHANNELS])
        .with_sigma(sigma)
        .with_bias(false)
        .with_initializer(initializer)
        .init(device)
}

fn second_moment(x: &Tensor<4>) -> f64 {
    f64::from((x.clone() * x.clone()).mean().into_scalar::<f32>())
}

/// Second moments after the ReLU of layers 1 and 10.
fn first_and_tenth(sigma: f64, input: Tensor<4>, initializer: fn(bool) -> Initializer, device: &Device) -> (f64, f64) {
    let mut x = input;
    let mut first = 0.0;
    for depth in 1..=10 {
        x = relu(layer(sigma, initializer(depth > 1), device).forward(x));
        if depth == 1 {
            first = second_moment(&x);
        }
    }
    (first, second_moment(&x))
}

fn white(device: &Device) -> Tensor<4> {
    Tensor::random([2, CHANNELS, SIDE, SIDE], Distribution::Normal(0.0, 1.0), device)
}

/// White noise blurred at σ, channel by channel, to unit variance.
fn blurred(sigma: f64, device: &Device) -> Tensor<4> {
    let mut blur = NJetConv2dConfig::new([CHANNELS, CHANNELS]).with_groups(CHANNELS).with_order(0).with_sigma(sigma);
    blur.bias = false;
    let mut blur = blur.init(device);
    blur.alpha = burn::module::Param::from_tensor(Tensor::ones([CHANNELS, 1, 1], device));
    let x = blur.forward(white(device));
    let scale = second_moment(&x).sqrt();
    x / scale
}

#[test]
fn preserving_keeps_the_second_moment() {
    let device = Device::flex();
    device.seed(7);
    let preserving = |after_relu| Initializer::Preserving { after_relu };
    for (sigma, factor) in [(0.5, 20.0), (1.0, 10.0), (2.0, 10.0), (4.0, 10.0)] {
        for (kind, input) in [("white", white(&device)), ("blurred", blurred(sigma, &device))] {
            let (first, tenth) = first_and_tenth(sigma, input, preserving, &device);
            println!("sigma {sigma}, {kind} input: {first:.3} after layer 1, {tenth:.3} after layer 10");
            let ratio = tenth / first;
            assert!(
                ratio < factor && ratio > 1.0 / factor,
                "sigma {sigma}, {kind} input: {first} after layer 1, {tenth} after layer 10"
            );
        }
    }
}

/// The test above can fail: the initialisation for white noise explodes in the same stack.
#[test]
fn white_does_not() {
    let device = Device::flex();
    let (first, tenth) = first_and_tenth(2.0, white(&device), |_| Initializer::White, &device);
    assert!(tenth > 1000.0 * first, "{first} after layer 1, {tenth} after layer 10");
}

#[test]
fn white_gives_unit_variance_to_white_noise() {
    let device = Device::flex();
    for sigma in [0.5, 1.0, 2.0] {
        let y = layer(sigma, Initializer::White, &device).forward(white(&device));
        // Away from the border, which sees zeros.
        let reach = layer(sigma, Initializer::White, &device).kernel_size()[0] / 2;
        let inner = reach..SIDE - reach;
        let moment = second_moment(&y.slice([0..2, 0..CHANNELS, inner.clone(), inner]));
        assert!((moment - 1.0).abs() < 0.25, "sigma {sigma}: {moment}");
    }
}
