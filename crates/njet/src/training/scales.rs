//! Accuracy against scale: the test images made larger or smaller, the model as it is or with every σ made larger or
//! smaller with them ([`Classifier::rescale`]).

use super::evaluate::Evaluation;
use super::outputs::{View, activation_bytes, logits};
use crate::data::{DataError, Preparation, Samples, Sizing};
use crate::models::{Classifier, ModelConfig};
use burn::tensor::Device;

/// Bytes that one image may take on its way through the model, about.
const MOST_BYTES: usize = 4_000_000_000;

/// A scale at which a model cannot be tested or used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScaleError {
    /// Not a positive number.
    #[error("{factor} is not a scale: it must be a finite number above 0")]
    Factor {
        /// The factor asked for.
        factor: f64,
    },
    /// The pooling leaves nothing of the images.
    #[error(
        "at scale {factor} the images become {}×{} pixels, too small for {arch}: it needs {least}×{least} or more; give a larger scale",
        size[0],
        size[1]
    )]
    TooSmall {
        /// The factor asked for.
        factor: f64,
        /// Rows and columns that follow.
        size: [usize; 2],
        /// Name of the architecture.
        arch: &'static str,
        /// The smallest side.
        least: usize,
    },
    /// An image takes more memory than a scale may.
    #[error(
        "at scale {factor} the images become {}×{} pixels: one of them would take about {} GB in this network, and {} GB are allowed; give a smaller scale",
        size[0],
        size[1],
        gigabytes(*bytes),
        gigabytes(MOST_BYTES)
    )]
    TooLarge {
        /// The factor asked for.
        factor: f64,
        /// Rows and columns that follow.
        size: [usize; 2],
        /// Bytes of its activations, about.
        bytes: usize,
    },
}

fn gigabytes(bytes: usize) -> String {
    format!("{:.0}", (bytes as f64 / 1e9).ceil())
}

/// Rows and columns of images of `size` made `factor` times as large, each rounded to whole pixels.
///
/// # Errors
/// A factor that is no positive number; a size that the model leaves nothing of, or whose activations take more than 4 GB
/// an image.
pub fn scaled_size(settings: &ModelConfig, size: [usize; 2], factor: f64) -> Result<[usize; 2], ScaleError> {
    if !(factor > 0.0 && factor.is_finite()) {
        return Err(ScaleError::Factor { factor });
    }
    // The cast saturates, and whatever is that large is refused below.
    let scaled = size.map(|side| (side as f64 * factor).round() as usize);
    let least = settings.smallest_image();
    if scaled[0].min(scaled[1]) < least {
        return Err(ScaleError::TooSmall { factor, size: scaled, arch: settings.arch.name(), least });
    }
    let bytes = activation_bytes(settings, scaled);
    if bytes > MOST_BYTES {
        return Err(ScaleError::TooLarge { factor, size: scaled, bytes });
    }
    Ok(scaled)
}

/// Rows and columns that a model sees of some images: their own, or those that they are brought to; with
/// [`Sizing::Group`] at most these.
pub fn seen_size(preparation: &Preparation, samples: &Samples) -> [usize; 2] {
    match preparation.sizing {
        Sizing::Fixed => samples.extents().map_or(preparation.size, |extents| extents.greatest),
        Sizing::Letterbox | Sizing::RandomResizedCrop | Sizing::Group => preparation.size,
    }
}

/// Evaluates a model at images that are made `view.scale` times as large, with antialiasing.
///
/// `progress` is told after each batch how many images are done.
///
/// # Errors
/// An image that cannot be read any more; images of several sizes with [`Sizing::Fixed`].
///
/// # Panics
/// If an index is `≥ samples.len()`; if nothing is left of an image, which [`scaled_size`] checks.
pub fn evaluate_at(
    settings: &ModelConfig,
    model: &Classifier,
    samples: &Samples,
    indices: &[usize],
    view: &View,
    device: &Device,
    progress: &mut dyn FnMut(usize),
) -> Result<Evaluation, DataError> {
    let logits = logits(settings, model, samples, indices, view, device, progress)?;
    let labels: Vec<u8> = indices.iter().map(|&i| samples.label(i)).collect();
    Ok(Evaluation::of(&logits, &labels))
}
