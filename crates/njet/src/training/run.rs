//! The directory of a run.

use super::config::RunConfig;
use super::error::TrainingError;
use crate::models::Classifier;
use burn::store::{ModuleSnapshot, SafetensorsStore};
use burn::tensor::Device;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The directory of a run and the places of its files.
#[derive(Debug, Clone)]
pub struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    /// Makes the directory, with its parents, and writes `config.toml`.
    ///
    /// # Errors
    /// The directory holds a run or anything else; it cannot be written.
    pub fn create(path: &Path, config: &RunConfig) -> Result<Self, TrainingError> {
        let run = Self { path: path.to_owned() };
        if run.config_path().exists() {
            return Err(TrainingError::HoldsRun { path: run.path });
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(TrainingError::file("create", parent))?;
        }
        match fs::create_dir(path) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => {
                if holds_anything(path).map_err(TrainingError::file("read", path))? {
                    return Err(TrainingError::NotEmpty { path: run.path });
                }
            }
            Err(e) => return Err(TrainingError::file("create", path)(e)),
        }
        let text = toml::to_string(config).expect("settings are plain values");
        let written = write(&run.config_path(), text.as_bytes());
        if written.is_err() {
            // Only an empty directory can be removed this way.
            let _ = fs::remove_dir(path);
        }
        written.map(|()| run)
    }

    /// Opens a run that exists.
    ///
    /// # Errors
    /// The directory is no run; its settings cannot be read.
    pub fn open(path: &Path) -> Result<(Self, RunConfig), TrainingError> {
        let run = Self { path: path.to_owned() };
        let file = run.config_path();
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(TrainingError::NotRun { path: run.path }),
            Err(e) => return Err(TrainingError::file("read", file)(e)),
        };
        let config: RunConfig =
            toml::from_str(&text).map_err(|e| TrainingError::Damaged { path: file, reason: e.to_string() })?;
        config.validate()?;
        Ok((run, config))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `config.toml`.
    pub fn config_path(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// `metrics.jsonl`: a line for each epoch.
    pub fn metrics_path(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// `model.safetensors`: the best model.
    pub fn model_path(&self) -> PathBuf {
        self.path.join("model.safetensors")
    }

    /// `checkpoints/`.
    pub fn checkpoints_path(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// Writes the model to `model.safetensors`.
    pub(super) fn save_model(&self, model: &Classifier) -> Result<(), TrainingError> {
        let path = self.model_path();
        let damaged = |e: &dyn std::fmt::Display| TrainingError::Damaged { path: path.clone(), reason: e.to_string() };
        let mut store = SafetensorsStore::from_bytes(None).skip_enum_variants(true);
        model.save_into(&mut store).map_err(|e| damaged(&e))?;
        let bytes = store.get_bytes().map_err(|e| damaged(&e))?;
        write(&path, &bytes)
    }
}

/// The best model of a run, for evaluation.
///
/// # Errors
/// There is none yet; the file cannot be read or does not fit the run's settings.
pub fn load_model(run: &RunDirectory, config: &RunConfig, device: &Device) -> Result<Classifier, TrainingError> {
    let path = run.model_path();
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(TrainingError::NoModel { path: run.path.clone() });
        }
        Err(e) => return Err(TrainingError::file("read", path)(e)),
    };
    let mut model = config.model.init(device)?;
    let mut store = SafetensorsStore::from_bytes(Some(bytes)).skip_enum_variants(true);
    model.load_from(&mut store).map_err(|e| TrainingError::Damaged { path, reason: e.to_string() })?;
    Ok(burn::module::Module::valid(&model))
}

/// Whether a directory holds more than what a killed process may have left of a file.
fn holds_anything(path: &Path) -> std::io::Result<bool> {
    for entry in fs::read_dir(path)? {
        if Path::new(&entry?.file_name()).extension().is_none_or(|extension| extension != "tmp") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes a file whole or not at all: to a temporary file beside it, then renamed.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), TrainingError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let result = fs::File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result.map_err(TrainingError::file("write", path))
}
