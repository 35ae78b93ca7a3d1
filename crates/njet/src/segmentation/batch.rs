//! Scenes as tensors.

use super::data::Scene;
use crate::data::Normalisation;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Scenes of one size, ready for a network.
#[derive(Debug)]
pub(crate) struct SceneBatch {
    pixels: Vec<f32>,
    /// Scene by scene, `[height, width]`.
    pub(super) masks: Vec<u8>,
    shape: [usize; 4],
}

impl SceneBatch {
    /// Scenes of one size. A grey one is repeated for each of `channels`.
    pub(super) fn new(scenes: &[Scene], channels: usize, normalisation: Normalisation) -> Self {
        let Scene { height, width, .. } = scenes[0];
        let planes = scenes.iter().flat_map(|scene| (0..channels).map(move |channel| scene.plane(channel)));
        let samples = planes.flatten();
        Self {
            pixels: samples.map(|&v| normalisation.apply(v)).collect(),
            masks: scenes.iter().flat_map(|scene| &scene.mask).copied().collect(),
            shape: [scenes.len(), channels, height, width],
        }
    }

    /// The number of scenes.
    pub(super) fn len(&self) -> usize {
        self.shape[0]
    }

    /// `[batch, channels, height, width]`
    pub(super) fn images(&self, device: &Device) -> Tensor<4> {
        Tensor::from_data(TensorData::new(self.pixels.clone(), self.shape), device)
    }

    /// `[batch, height, width]`
    pub(super) fn targets(&self, device: &Device) -> Tensor<3, Int> {
        let [batch, _, height, width] = self.shape;
        targets(&self.masks, [batch, height, width], device)
    }
}

/// Classes as a tensor.
pub(super) fn targets(masks: &[u8], shape: [usize; 3], device: &Device) -> Tensor<3, Int> {
    let numbers: Vec<i32> = masks.iter().map(|&class| i32::from(class)).collect();
    Tensor::from_data(TensorData::new(numbers, shape), device)
}
