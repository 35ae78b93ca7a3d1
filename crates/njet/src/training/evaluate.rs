//! Loss and accuracy on a set of images.

use crate::data::{ImageSet, Normalisation, Random, Stream, fill_batch};
use crate::models::Classifier;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::Serialize;

/// Images in a batch of evaluation: large enough for the product, small enough for the cache.
const BATCH: usize = 128;

/// Loss and accuracy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Evaluation {
    /// Images.
    pub count: usize,
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Part of the images whose label has the highest logit.
    pub accuracy: f64,
}

/// Evaluates a model, which must be in evaluation mode, at some images of a set.
pub fn evaluate(
    model: &Classifier,
    set: &ImageSet,
    indices: &[usize],
    normalisation: Normalisation,
    device: &Device,
) -> Evaluation {
    let (mut loss, mut right) = (0.0, 0);
    let mut pixels = Vec::new();
    // Nothing is random without augmentation.
    let mut random = Random::for_stream(0, Stream::Augment, 0);
    for batch in indices.chunks(BATCH) {
        fill_batch(set, batch, normalisation, None, &mut random, &mut pixels);
        let (images, labels) = tensors(set, batch, &pixels, device);
        let logits = model.forward(images);
        right += correct(&logits, set, batch);
        let mean = CrossEntropyLossConfig::new().init(device).forward(logits, labels);
        loss += f64::from(mean.into_scalar::<f32>()) * batch.len() as f64;
    }
    let count = indices.len();
    let part = |sum: f64| if count == 0 { 0.0 } else { sum / count as f64 };
    Evaluation { count, loss: part(loss), accuracy: part(right as f64) }
}

/// A filled batch as `[batch, channels, height, width]` and its labels.
pub(super) fn tensors(set: &ImageSet, batch: &[usize], pixels: &[f32], device: &Device) -> (Tensor<4>, Tensor<1, Int>) {
    let [channels, height, width] = set.shape();
    let images = TensorData::new(pixels.to_vec(), [batch.len(), channels, height, width]);
    let labels: Vec<i32> = batch.iter().map(|&i| i32::from(set.label(i))).collect();
    (Tensor::from_data(images, device), Tensor::from_data(TensorData::new(labels, [batch.len()]), device))
}

/// Images of a batch whose label has the highest logit.
pub(super) fn correct(logits: &Tensor<2>, set: &ImageSet, batch: &[usize]) -> usize {
    let classes = logits.dims()[1];
    let logits: Vec<f32> = logits.clone().into_data().iter::<f32>().collect();
    let best = |row: &[f32]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]));
    let guesses = logits.chunks_exact(classes).map(best);
    guesses.zip(batch).filter(|(guess, i)| *guess == Some(usize::from(set.label(**i)))).count()
}
