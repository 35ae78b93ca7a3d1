//! Tensors of numbers that are the same on every machine, and how far apart outputs are.

#[path = "../../../njet-kernels/tests/noise/mod.rs"]
mod noise;

use burn::tensor::{Device, Tensor, TensorData};
use noise::noise;

pub fn device() -> Device {
    Device::flex()
}

pub fn tensor<const D: usize>(seed: u64, shape: [usize; D]) -> Tensor<D> {
    let values = noise(seed, shape.iter().product()).into_iter().map(|v| v as f32).collect::<Vec<_>>();
    Tensor::from_data(TensorData::new(values, shape), &device())
}

pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// The largest difference, in parts of the largest magnitude expected.
pub fn apart(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    assert!(largest.is_finite() && found.iter().all(|v| v.is_finite()));
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest.max(f32::MIN_POSITIVE)
}

/// f32 sums of some thousand terms of either sign: a few 1e-7 each, and what is cut, 1e-6.
pub const SAME: f32 = 1e-5;
