//! The layer and the networks on a GPU, against the engine on the CPU. Where no GPU is found the tests say so, and count
//! for nothing.
//!
//! ```sh
//! cargo test --release -p njet --features wgpu --test gpu
//! ```
#![cfg(feature = "wgpu")]

#[path = "../../njet-kernels/tests/noise/mod.rs"]
mod noise;

use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{DType, Device, DeviceKind, Tensor, TensorData};
use njet::models::{Architecture, ModelConfig, Network, Subsampling, UNetConfig};
use njet::{NJetConv2d, NJetConv2dConfig, NJetConvTranspose2dConfig, PaddingMode, SigmaSharing, Stride};
use noise::noise;
use std::panic::catch_unwind;

/// Sums of some hundred products in f32, in another order; parts of the largest value.
const TOLERANCE: f32 = 1e-4;

fn gpu() -> Option<Device> {
    let found = catch_unwind(|| {
        let device = Device::wgpu(DeviceKind::DefaultDevice);
        assert_eq!(Tensor::<1>::ones([3], &device).sum().into_scalar::<f32>(), 3.0);
        device
    });
    if found.is_err() {
        eprintln!("no GPU was found: not tested");
    }
    found.ok()
}

fn drawn<const D: usize>(seed: u64, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(noise(seed, shape.iter().product()), shape), (device, DType::F32))
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn same(what: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let most = expected.iter().fold(0.0f32, |most, v| most.max(v.abs()));
    let off = got.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(most > 0.0 && off <= TOLERANCE * most, "{what}: off by {off} of {most}");
}

/// y, and the gradients of Σ y · upstream by x, α, s and the bias.
fn results(layer: &NJetConv2d, device: &Device) -> [Vec<f32>; 5] {
    let layer = layer.clone().fork(device).train();
    let device = device.clone().autodiff();
    let x = drawn(1, [2, layer.groups * layer.alpha.dims()[1], 19, 22], &device).require_grad();
    let y = layer.forward(x.clone());
    let gradients = (y.clone() * drawn(2, y.dims(), &device)).sum().backward();
    [
        values(y),
        values(x.grad(&gradients).unwrap()),
        values(layer.alpha.grad(&gradients).unwrap()),
        values(layer.log2_sigma.grad(&gradients).unwrap()),
        values(layer.bias.as_ref().unwrap().grad(&gradients).unwrap()),
    ]
}

#[test]
fn every_form_of_the_layer() {
    let Some(gpu) = gpu() else { return };
    let config = || NJetConv2dConfig::new([4, 6]).with_sigma(1.3);
    let forms = [
        ("plain", config()),
        ("order 4, extent 4", config().with_order(4).with_extent(4.0)),
        ("filters wider than the image", config().with_sigma(6.0).with_extent(4.0)),
        ("two groups", config().with_groups(2).with_sharing(SigmaSharing::Group)),
        ("depthwise", NJetConv2dConfig::new([4, 4]).with_groups(4)),
        ("a σ for each input", config().with_sharing(SigmaSharing::Input)),
        ("a σ for each output", config().with_sharing(SigmaSharing::Output)),
        ("a σ for each axis", config().with_separate_axes(true)),
        ("stride 2", config().with_stride([2, 2])),
        ("a real stride", config().with_stride(Stride::Real([1.4, 2.3]))),
        ("safe subsampling", config().with_extent(4.0).with_stride(Stride::Safe { ratio: 0.7 })),
        ("replicated", config().with_padding_mode(PaddingMode::Replicate)),
        ("reflected", config().with_padding_mode(PaddingMode::Reflect)),
        ("circular", config().with_padding_mode(PaddingMode::Circular)),
    ];
    for (name, config) in forms {
        let layer = config.with_bias(true).init(&Device::flex());
        let (got, expected) = (results(&layer, &gpu), results(&layer, &Device::flex()));
        for (what, (got, expected)) in ["y", "∂x", "∂α", "∂s", "∂bias"].iter().zip(got.iter().zip(&expected)) {
            same(&format!("{name}, {what}"), got, expected);
        }
    }
}

#[test]
fn the_transposed_layer() {
    let Some(gpu) = gpu() else { return };
    let layer = NJetConvTranspose2dConfig::new([4, 3]).with_stride([2, 2]).init(&Device::flex());
    let run = |device: &Device| {
        let layer = layer.clone().fork(device).train();
        let device = device.clone().autodiff();
        let x = drawn(3, [2, 4, 9, 8], &device).require_grad();
        let y = layer.forward(x.clone());
        let gradients = (y.clone() * drawn(4, y.dims(), &device)).sum().backward();
        let by = &layer.convolution;
        [
            values(y),
            values(x.grad(&gradients).unwrap()),
            values(by.alpha.grad(&gradients).unwrap()),
            values(by.log2_sigma.grad(&gradients).unwrap()),
        ]
    };
    let (got, expected) = (run(&gpu), run(&Device::flex()));
    for (what, (got, expected)) in ["y", "∂x", "∂α", "∂s"].iter().zip(got.iter().zip(&expected)) {
        same(what, got, expected);
    }
}

/// Some steps of AdamW on a batch: the losses.
fn losses<M: Network, const D: usize>(
    model: M,
    device: &Device,
    forward: impl Fn(&M, Tensor<4>) -> Tensor<D>,
) -> Vec<f32> {
    let mut model = model.fork(device).train();
    let device = device.clone().autodiff();
    let mut optimizer = AdamWConfig::new().with_epsilon(1e-8).init();
    let x = drawn(5, [8, 1, 20, 20], &device);
    (0..6)
        .map(|_| {
            let y = forward(&model, x.clone());
            let loss = (y.clone() - drawn(6, y.dims(), &device)).powi_scalar(2).mean();
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            model = optimizer.step(1e-3, model.clone(), gradients);
            loss.into_scalar::<f32>()
        })
        .collect()
}

/// The first loss is that of the CPU; the later ones are near it, for AdamW makes steps of one size out of gradients however
/// small, rounding included.
fn train_alike(what: &str, got: &[f32], expected: &[f32]) {
    same(what, &got[..1], &expected[..1]);
    let off = got.iter().zip(expected).map(|(a, b)| (a / b - 1.0).abs()).fold(0.0, f32::max);
    assert!(off < 0.02, "{what}: {got:?} instead of {expected:?}");
    assert!(got[5] < 0.97 * got[0], "{what} does not learn: {got:?}");
}

#[test]
fn networks_train_as_on_the_cpu() {
    let Some(gpu) = gpu() else { return };
    for subsampling in [Subsampling::Strides, Subsampling::Safe] {
        let config = ModelConfig { subsampling: Some(subsampling), ..ModelConfig::new(Architecture::Small, 1, 5) };
        let model = config.init(&Device::flex()).unwrap();
        let run = |device: &Device| losses(model.clone(), device, |model, x| model.forward(x));
        train_alike(&format!("njet-small, {subsampling}"), &run(&gpu), &run(&Device::flex()));
        let config = UNetConfig { subsampling, widths: vec![4, 8, 8, 8], ..UNetConfig::new(1, 3) };
        let model = config.init(&Device::flex()).unwrap();
        let run = |device: &Device| losses(model.clone(), device, |model, x| model.forward(x));
        train_alike(&format!("unet, {subsampling}"), &run(&gpu), &run(&Device::flex()));
    }
}
