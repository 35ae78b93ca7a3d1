//! What a model says of images, at the size they have or at another.

use super::evaluate::Evaluation;
use crate::data::{ImageSet, Normalisation, Random, Resampler, Stream, fill_batch};
use crate::models::Classifier;
use burn::tensor::{Device, Tensor, TensorData};

/// Bytes of activations that a batch may take, about: small beside the memory of any machine that trains.
const BATCH_BYTES: usize = 1 << 29;

/// Images in a batch at most, as many as in [`evaluate`](super::evaluate).
const BATCH: usize = 128;

/// How a model sees images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// How bytes become numbers.
    pub normalisation: Normalisation,
    /// Rows and columns that every image is resampled to, with antialiasing; its own size leaves it as it is.
    pub size: [usize; 2],
}

/// Logits of images, `[indices.len(), classes]` row-major. The model must be in evaluation mode.
///
/// `progress` is told after each batch how many images are done.
///
/// # Panics
/// If an index is `≥ set.len()`; if the pooling of the model leaves nothing of `view.size`, which
/// [`scaled_size`](super::scaled_size) checks.
pub fn logits(
    model: &Classifier,
    set: &ImageSet,
    indices: &[usize],
    view: View,
    device: &Device,
    progress: &mut dyn FnMut(usize),
) -> Vec<f32> {
    let [channels, height, width] = set.shape();
    let [rows, columns] = view.size;
    let batch = (BATCH_BYTES / activation_bytes(model, view.size).max(1)).clamp(1, BATCH);
    let own = [height, width];
    let resampler = (own != view.size).then(|| Resampler::new(own, view.size));
    let (mut all, mut pixels) = (Vec::new(), Vec::new());
    // Nothing is random without augmentation.
    let mut random = Random::for_stream(0, Stream::Augment, 0);
    let mut done = 0;
    for batch in indices.chunks(batch) {
        fill_batch(set, batch, view.normalisation, None, &mut random, &mut pixels);
        let seen = match &resampler {
            None => pixels.clone(),
            Some(resampler) => pixels.chunks_exact(height * width).flat_map(|plane| resampler.plane(plane)).collect(),
        };
        let images = TensorData::new(seen, [batch.len(), channels, rows, columns]);
        all.extend(model.forward(Tensor::from_data(images, device)).into_data().iter::<f32>());
        done += batch.len();
        progress(done);
    }
    all
}

/// Bytes that an image of this size takes on its way through the model, at most: what goes into the widest layer, what
/// comes out, and its normalisation.
pub(super) fn activation_bytes(model: &Classifier, [rows, columns]: [usize; 2]) -> usize {
    let widest = model.blocks.iter().map(|block| block.norm.gamma.dims()[0]).max().unwrap_or(1);
    rows.saturating_mul(columns).saturating_mul(3 * widest * size_of::<f32>())
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
}
