//! Loss and accuracy on a set of images.

use crate::data::{Batch, DataError, Feed, Preparation, Random, Samples, batch_random, workers};
use crate::models::Classifier;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::Serialize;
use std::time::Duration;

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

/// Evaluates a model, which must be in evaluation mode, at some images.
///
/// # Errors
/// An image that cannot be read any more; images of several sizes with [`Sizing::Fixed`](crate::data::Sizing::Fixed).
pub fn evaluate(
    model: &Classifier,
    samples: &Samples,
    indices: &[usize],
    preparation: &Preparation,
    device: &Device,
) -> Result<Evaluation, DataError> {
    timed(model, samples, indices, preparation, device).map(|(evaluation, _)| evaluation)
}

/// [`evaluate`], and how long it waited for images.
pub(super) fn timed(
    model: &Classifier,
    samples: &Samples,
    indices: &[usize],
    preparation: &Preparation,
    device: &Device,
) -> Result<(Evaluation, Duration), DataError> {
    let batches = preparation.batches(samples, indices.to_vec(), BATCH, None);
    let make = |number: usize| preparation.batch(samples, &batches[number], None, &mut unused());
    let criterion = CrossEntropyLossConfig::new().init(device);
    let (loss, right, waited) = Feed::run(batches.len(), workers(samples), make, |feed| {
        let (mut loss, mut right) = (0.0, 0);
        for batch in feed.by_ref() {
            let (images, targets, labels) = tensors(batch?, device);
            let logits = model.forward(images);
            right += correct(&logits, &labels);
            loss += f64::from(criterion.forward(logits, targets).into_scalar::<f32>()) * labels.len() as f64;
        }
        Ok::<_, DataError>((loss, right, feed.waited()))
    })?;
    let count = indices.len();
    let part = |sum: f64| if count == 0 { 0.0 } else { sum / count as f64 };
    Ok((Evaluation { count, loss: part(loss), accuracy: part(right as f64) }, waited))
}

/// Nothing is random without augmentation.
fn unused() -> Random {
    batch_random(0, 0, 0)
}

/// A batch as `[batch, channels, height, width]`, and its labels as a tensor and as they are.
pub(super) fn tensors(batch: Batch, device: &Device) -> (Tensor<4>, Tensor<1, Int>, Vec<u8>) {
    let Batch { pixels, shape, labels } = batch;
    let targets: Vec<i32> = labels.iter().map(|&label| i32::from(label)).collect();
    let targets = TensorData::new(targets, [labels.len()]);
    (Tensor::from_data(TensorData::new(pixels, shape), device), Tensor::from_data(targets, device), labels)
}

/// Images of a batch whose label has the highest logit.
pub(super) fn correct(logits: &Tensor<2>, labels: &[u8]) -> usize {
    let classes = logits.dims()[1];
    let logits: Vec<f32> = logits.clone().into_data().iter::<f32>().collect();
    let best = |row: &[f32]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]));
    let guesses = logits.chunks_exact(classes).map(best);
    guesses.zip(labels).filter(|(guess, label)| *guess == Some(usize::from(**label))).count()
}
