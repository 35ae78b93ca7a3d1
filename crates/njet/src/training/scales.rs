//! Accuracy against scale: the test images made larger or smaller, the model as it is or with every σ made larger or
//! smaller with them.
//!
//! A filter of scale σ on an image answers, at the corresponding place, as the filter of scale f·σ does on the image
//! made f times as large: with scale-normalised derivatives the coefficients α stay as they are (Lindeberg 1998). What
//! does not follow are the parts that count in pixels: pooling, strides, and convolutions without a scale.

use super::evaluate::Evaluation;
use super::outputs::{View, activation_bytes, logits};
use crate::data::{ImageSet, Normalisation};
use crate::models::{After, Classifier, Convolution, ModelConfig};
use burn::tensor::Device;
use njet_basis::{BasisError, Taps};

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
    /// A layer's σ leaves the range that filters can be built for.
    #[error("{layer} cannot be rescaled by {factor}: {source}")]
    Sigma {
        /// The factor asked for.
        factor: f64,
        /// Name of the layer.
        layer: String,
        /// What is wrong with its σ.
        source: BasisError,
    },
}

fn gigabytes(bytes: usize) -> String {
    format!("{:.0}", (bytes as f64 / 1e9).ceil())
}

/// Rows and columns of images of `size` made `factor` times as large, each rounded to whole pixels.
///
/// # Errors
/// A factor that is no positive number; a size that the pooling of `model` leaves nothing of, or whose activations take
/// more than 4 GB an image.
pub fn scaled_size(
    settings: &ModelConfig,
    model: &Classifier,
    size: [usize; 2],
    factor: f64,
) -> Result<[usize; 2], ScaleError> {
    if !(factor > 0.0 && factor.is_finite()) {
        return Err(ScaleError::Factor { factor });
    }
    // The cast saturates, and whatever is that large is refused below.
    let scaled = size.map(|side| (side as f64 * factor).round() as usize);
    let least = least_side(settings);
    if scaled[0].min(scaled[1]) < least {
        return Err(ScaleError::TooSmall { factor, size: scaled, arch: settings.arch.name(), least });
    }
    let bytes = activation_bytes(model, scaled);
    if bytes > MOST_BYTES {
        return Err(ScaleError::TooLarge { factor, size: scaled, bytes });
    }
    Ok(scaled)
}

/// The smallest side of an image that the pooling of a model leaves a pixel of.
pub fn least_side(settings: &ModelConfig) -> usize {
    1 << settings.arch.blocks().iter().filter(|block| block.after == After::AveragePool).count()
}

/// The model with the σ of every N-jet layer multiplied by `factor`. Nothing else changes.
///
/// # Errors
/// A factor that is no positive number; a σ that filters cannot be built for.
pub fn rescaled(model: &Classifier, factor: f64) -> Result<Classifier, ScaleError> {
    if !(factor > 0.0 && factor.is_finite()) {
        return Err(ScaleError::Factor { factor });
    }
    let mut model = model.clone();
    for block in &mut model.blocks {
        if let Convolution::Njet(layer) = &mut block.convolution {
            let log2_sigma = layer.log2_sigma.clone();
            layer.log2_sigma = log2_sigma.map(|s| s + factor.log2());
        }
    }
    for (name, layer) in model.njet_layers() {
        if let Err(source) = Taps::new(&layer.settings().taps) {
            return Err(ScaleError::Sigma { factor, layer: name.to_owned(), source });
        }
    }
    Ok(model)
}

/// Evaluates a model at images resampled to `size` with antialiasing.
///
/// `progress` is told after each batch how many images are done.
///
/// # Panics
/// If an index is `≥ set.len()`; if the pooling of the model leaves nothing of `size`, which [`scaled_size`] checks.
pub fn evaluate_at(
    model: &Classifier,
    set: &ImageSet,
    indices: &[usize],
    normalisation: Normalisation,
    size: [usize; 2],
    device: &Device,
    progress: &mut dyn FnMut(usize),
) -> Evaluation {
    let logits = logits(model, set, indices, View { normalisation, size }, device, progress);
    let labels: Vec<u8> = indices.iter().map(|&i| set.label(i)).collect();
    Evaluation::of(&logits, &labels)
}
