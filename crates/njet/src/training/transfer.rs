//! A run made from another: the same weights, every σ multiplied.

use super::config::{Origin, OriginKind, RunConfig};
use super::error::TrainingError;
use super::origin::write_run;
use super::run::{RunDirectory, load_model};
use super::scales::scaled_size;
use crate::layer::{LayerWarning, SigmaBounds};
use crate::models::{Classifier, Convolution, Fixed, Rescaled};
use burn::tensor::{Device, Tensor};
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
    pub fixed: Vec<Fixed>,
    /// What is unusual about the new layers, with their names.
    pub warnings: Vec<(String, LayerWarning)>,
}

/// Makes a run at `out` with the weights of `run` and every σ times `factor`, for images `factor` times as large.
///
/// # Errors
/// `run` has no model, or none of its layers has a σ; the factor is no positive number or leads out of range; `out` holds
/// anything, or cannot be written.
pub fn transfer(run: &RunDirectory, config: &RunConfig, factor: f64, out: &Path) -> Result<Transfer, TrainingError> {
    let model = load_model(run, config, &Device::flex())?;
    if model.njet_layers().next().is_none() {
        return Err(TrainingError::NoScale { path: run.path().to_owned() });
    }
    let size = scaled_size(&config.model, config.data.size, factor)?;
    let Rescaled { mut model, fixed, warnings } = model.rescale(factor)?;
    let mut config = config.clone();
    config.data.size = size;
    config.model.bounds = share_bounds(&mut model, config.model.bounds);
    let others = model.njet_layers().filter(|(_, layer)| layer.discretisation != config.model.discretisation);
    config.model.discretisations = others.map(|(name, layer)| (name.to_owned(), layer.discretisation)).collect();
    // A chain of transfers is one factor, from the run that was trained.
    let before = config.origin.take();
    config.origin = Some(Origin {
        run: before.as_ref().map_or_else(|| run.path().display().to_string(), |origin| origin.run.clone()),
        scale: factor * before.map_or(1.0, |origin| origin.scale),
        by: OriginKind::Transfer,
    });
    let made = write_run(out, &config, &model)?;
    Ok(Transfer { run: made, config, model, fixed, warnings })
}

/// Rescaling widens the bounds of σ layer by layer, and a run has one pair: the widest, by which every layer keeps its σ.
fn share_bounds(model: &mut Classifier, bounds: SigmaBounds) -> SigmaBounds {
    let wider = |a: SigmaBounds, b: SigmaBounds| SigmaBounds { min: a.min.min(b.min), max: a.max.max(b.max) };
    let shared = model.njet_layers().fold(bounds, |shared, (_, layer)| wider(shared, layer.bounds));
    for block in &mut model.blocks {
        if let Convolution::Njet(layer) = &mut block.convolution
            && layer.bounds != shared
        {
            let parameters: Vec<f32> = layer.sigmas().iter().map(|&sigma| shared.parameter(sigma) as f32).collect();
            layer.bounds = shared;
            layer.log2_sigma =
                layer.log2_sigma.clone().map(|s| Tensor::from_floats(parameters.as_slice(), &s.device()));
        }
    }
    shared
}
