//! What a model says of images, at the size they have or at another.

use super::evaluate::Evaluation;
use super::scales::seen_size;
use crate::data::{Batch, DataError, Feed, Preparation, Resampler, Samples, batch_random, workers};
use crate::models::{Classifier, ModelConfig};
use burn::tensor::{Device, Tensor, TensorData};

/// Bytes of activations that a batch may take, about: small beside the memory of any machine that trains.
const BATCH_BYTES: usize = 1 << 29;

/// Images in a batch at most, as many as in [`evaluate`](super::evaluate).
const BATCH: usize = 128;

/// How a model sees images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// How they become its input.
    pub preparation: Preparation,
    /// How many times as large they are made after that, with antialiasing; 1 leaves them as they are.
    pub scale: f64,
}

/// Logits of images, `[indices.len(), classes]` row-major. The model must be in evaluation mode, `settings` its own.
///
/// `progress` is told after each batch how many images are done.
///
/// # Errors
/// An image that cannot be read any more; images of several sizes with [`Sizing::Fixed`](crate::data::Sizing::Fixed).
///
/// # Panics
/// If an index is `≥ samples.len()`; if nothing is left of an image, which [`scaled_size`](super::scaled_size) checks.
pub fn logits(
    settings: &ModelConfig,
    model: &Classifier,
    samples: &Samples,
    indices: &[usize],
    view: &View,
    device: &Device,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<f32>, DataError> {
    let seen = seen_size(&view.preparation, samples).map(|side| (side as f64 * view.scale) as usize);
    let batch = (BATCH_BYTES / activation_bytes(settings, seen).max(1)).clamp(1, BATCH);
    let batches = view.preparation.batches(samples, indices.to_vec(), batch, None);
    // Nothing is random without augmentation.
    let make = |number: usize| {
        let batch = view.preparation.batch(samples, &batches[number], None, &mut batch_random(0, 0, 0))?;
        Ok(if view.scale == 1.0 { batch } else { scaled(batch, view.scale) })
    };
    let (rows, done) = (indices.len(), &mut 0);
    let by_batch = Feed::run(batches.len(), workers(samples), make, |feed| {
        let mut all = Vec::new();
        for batch in feed.by_ref() {
            let Batch { pixels, shape, labels } = batch?;
            let images = Tensor::from_data(TensorData::new(pixels, shape), device);
            all.extend(model.forward(images).into_data().iter::<f32>());
            *done += labels.len();
            progress(*done);
        }
        Ok::<_, DataError>(all)
    })?;
    Ok(in_order(&by_batch, &batches.concat(), indices, by_batch.len() / rows.max(1)))
}

/// Every plane of a batch `scale` times as large.
fn scaled(batch: Batch, scale: f64) -> Batch {
    let Batch { pixels, shape: [images, channels, height, width], labels } = batch;
    let size = [height, width].map(|side| ((side as f64 * scale).round() as usize).max(1));
    let resampler = Resampler::cubic([height, width], size);
    let pixels = pixels.chunks_exact(height * width).flat_map(|plane| resampler.plane(plane)).collect();
    Batch { pixels, shape: [images, channels, size[0], size[1]], labels }
}

/// Rows that came in the order of `from`, in the order of `to`: the same indices.
fn in_order(rows: &[f32], from: &[usize], to: &[usize], width: usize) -> Vec<f32> {
    let places = |indices: &[usize]| {
        let mut places: Vec<usize> = (0..indices.len()).collect();
        places.sort_by_key(|&place| indices[place]);
        places
    };
    let mut ordered = vec![0.0; rows.len()];
    for (from, to) in places(from).into_iter().zip(places(to)) {
        ordered[to * width..][..width].copy_from_slice(&rows[from * width..][..width]);
    }
    ordered
}

/// Bytes that an image of this size takes on its way through the model, about: what goes into the largest operation,
/// what comes out, and what it works with.
pub(super) fn activation_bytes(settings: &ModelConfig, [height, width]: [usize; 2]) -> usize {
    // Sizes that are far beyond any memory must not overflow.
    const FAR: usize = 1 << 20;
    if height.max(width) > FAR {
        return usize::MAX;
    }
    settings.largest_activation(height, width).saturating_mul(3 * size_of::<f32>())
}

/// The softmax of one row of logits.
///
/// ```
/// let p = njet::training::probabilities(&[0.0, 0.0]);
/// assert_eq!(p, [0.5, 0.5]);
/// ```
pub fn probabilities(logits: &[f32]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|&logit| f64::from(logit - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// The class with the highest logit, the last of equals, as [`evaluate`](super::evaluate) counts.
pub fn best_class(logits: &[f32]) -> usize {
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or(0)
}

/// The cross-entropy of one image in nats.
pub fn cross_entropy(logits: &[f32], label: usize) -> f64 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - most).exp()).sum();
    sum.ln() - f64::from(logits[label] - most)
}

impl Evaluation {
    /// From logits `[labels.len(), classes]`.
    pub fn of(logits: &[f32], labels: &[u8]) -> Self {
        let count = labels.len();
        if count == 0 {
            return Self { count, loss: 0.0, accuracy: 0.0 };
        }
        let (mut loss, mut right) = (0.0, 0);
        for (row, &label) in logits.chunks_exact(logits.len() / count).zip(labels) {
            loss += cross_entropy(row, usize::from(label));
            right += usize::from(best_class(row) == usize::from(label));
        }
        Self { count, loss: loss / count as f64, accuracy: right as f64 / count as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_logits_are_no_trouble() {
        let p = probabilities(&[1000.0, 1000.0, -1000.0]);
        assert_eq!(p, [0.5, 0.5, 0.0]);
        assert!((cross_entropy(&[1000.0, 1000.0, -1000.0], 0) - 2f64.ln()).abs() < 1e-12);
        assert_eq!(cross_entropy(&[0.0, 800.0], 0), 800.0);
    }

    #[test]
    fn an_evaluation_counts_and_averages() {
        let logits = [0.0, 1.0, /* */ 3.0, 0.0, /* */ 0.0, 2.0];
        let Evaluation { count, loss, accuracy } = Evaluation::of(&logits, &[1, 0, 0]);
        let each = [(1.0 + (-1f64).exp()).ln(), (1.0 + (-3f64).exp()).ln(), (1.0 + 2f64.exp()).ln()];
        assert_eq!((count, accuracy), (3, 2.0 / 3.0));
        assert!((loss - each.iter().sum::<f64>() / 3.0).abs() < 1e-7, "{loss}");
        assert_eq!(Evaluation::of(&[], &[]), Evaluation { count: 0, loss: 0.0, accuracy: 0.0 });
    }

    #[test]
    fn rows_find_their_order_again() {
        let rows = [70.0, 71.0, 50.0, 51.0, 90.0, 91.0, 50.0, 51.0];
        let ordered = in_order(&rows, &[7, 5, 9, 5], &[5, 9, 5, 7], 2);
        assert_eq!(ordered, [50.0, 51.0, 90.0, 91.0, 50.0, 51.0, 70.0, 71.0]);
    }
}
