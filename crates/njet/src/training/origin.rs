//! Runs whose weights come from elsewhere.

use super::config::{OriginKind, RunConfig};
use super::error::TrainingError;
use super::run::{RunDirectory, load_weights};
use crate::models::Classifier;
use burn::tensor::Device;
use std::fs;
use std::path::Path;

/// Makes a run at `out` of a model that is trained already: `config.toml` and `model.safetensors`, and where training is
/// to go on from it, `origin.safetensors`, the same weights, which stay when the model becomes a better one.
///
/// # Errors
/// `out` holds anything, or cannot be written.
pub fn write_run(out: &Path, config: &RunConfig, model: &Classifier) -> Result<RunDirectory, TrainingError> {
    let existed = out.exists();
    let made = RunDirectory::create(out, config)?;
    let goes_on = config.origin.as_ref().is_some_and(|origin| origin.by == OriginKind::Convert);
    let write = || {
        if goes_on {
            made.save_weights(model, &made.origin_path())?;
        }
        made.save_model(model)
    };
    if let Err(error) = write() {
        // A directory without its model would be taken for a run that was interrupted.
        let _ = fs::remove_file(made.origin_path());
        let _ = fs::remove_file(made.config_path());
        if !existed {
            let _ = fs::remove_dir(out);
        }
        return Err(error);
    }
    Ok(made)
}

/// The weights that training starts from, where they are not random.
pub(super) fn first_weights(
    run: &RunDirectory,
    config: &RunConfig,
    device: &Device,
) -> Result<Option<Classifier>, TrainingError> {
    match &config.origin {
        Some(origin) if origin.by == OriginKind::Convert => {
            load_weights(run, config, &run.origin_path(), device).map(Some)
        }
        _ => Ok(None),
    }
}
