//! A run made from another: the same weights, every σ multiplied.

use super::config::{Origin, RunConfig};
use super::error::TrainingError;
use super::run::{RunDirectory, load_model};
use super::scales::{rescaled, scaled_size};
use crate::models::{After, Classifier, Convolution};
use burn::tensor::Device;
use std::fs;
use std::path::Path;

/// What [`transfer`] made.
#[derive(Debug)]
pub struct Transfer {
    /// The new run.
    pub run: RunDirectory,
    /// Its settings.
    pub config: RunConfig,
    /// Its model.
    pub model: Classifier,
    /// What stays as it was although the images are larger or smaller.
    pub unscaled: Vec<Unscaled>,
}

/// A part of a model that counts in pixels and does not follow a change of scale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unscaled {
    /// Name of the layer.
    pub layer: String,
    /// Which part of it.
    pub part: UnscaledPart,
}

/// Which part of a layer does not follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnscaledPart {
    /// A convolution without σ, of so many taps along y and x.
    Convolution([usize; 2]),
    /// A stride along y and x.
    Stride([usize; 2]),
    /// The pooling after the layer.
    Pooling,
}

/// Makes a run at `out` with the weights of `run` and every σ times `factor`, for images `factor` times as large.
///
/// # Errors
/// `run` has no model, or none of its layers has a σ; the factor is no positive number or leads out of range; `out` holds
/// anything, or cannot be written.
pub fn transfer(run: &RunDirectory, config: &RunConfig, factor: f64, out: &Path) -> Result<Transfer, TrainingError> {
    let device = Device::flex();
    let model = load_model(run, config, &device)?;
    if model.njet_layers().next().is_none() {
        return Err(TrainingError::NoScale { path: run.path().to_owned() });
    }
    let size = scaled_size(&config.model, &model, config.data.size, factor)?;
    let model = rescaled(&model, factor)?;
    let mut config = config.clone();
    config.data.size = size;
    // A chain of transfers is one factor, from the run that was trained.
    let before = config.origin.take();
    config.origin = Some(Origin {
        run: before.as_ref().map_or_else(|| run.path().display().to_string(), |origin| origin.run.clone()),
        scale: factor * before.map_or(1.0, |origin| origin.scale),
    });
    let existed = out.exists();
    let made = RunDirectory::create(out, &config)?;
    if let Err(error) = made.save_model(&model) {
        // A directory without its model would be taken for a run that was interrupted.
        let _ = fs::remove_file(made.config_path());
        if !existed {
            let _ = fs::remove_dir(out);
        }
        return Err(error);
    }
    let unscaled = unscaled(&config, &model);
    Ok(Transfer { run: made, config, model, unscaled })
}

fn unscaled(config: &RunConfig, model: &Classifier) -> Vec<Unscaled> {
    let specs = config.model.arch.blocks();
    let mut parts = Vec::new();
    for ((name, block), spec) in model.named_blocks().zip(&specs) {
        let mut add = |part| parts.push(Unscaled { layer: name.to_owned(), part });
        let stride = match &block.convolution {
            Convolution::Njet(layer) => layer.stride,
            Convolution::Conv(layer) => {
                let [_, _, height, width] = layer.weight.dims();
                if height * width > 1 {
                    add(UnscaledPart::Convolution([height, width]));
                }
                layer.stride
            }
        };
        if stride != [1, 1] {
            add(UnscaledPart::Stride(stride));
        }
        if spec.after == After::AveragePool {
            add(UnscaledPart::Pooling);
        }
    }
    parts
}
