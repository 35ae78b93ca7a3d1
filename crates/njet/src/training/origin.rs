//! Runs whose weights come from elsewhere.

use super::config::RunConfig;
use super::error::TrainingError;
use super::objective::Settings;
use super::run::RunDirectory;
use crate::models::Classifier;
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
    let write = || {
        if config.goes_on() {
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
