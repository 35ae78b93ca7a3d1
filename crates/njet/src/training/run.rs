//! The directory of a run.

use super::config::{RunConfig, Task};
use super::error::TrainingError;
use super::objective::Settings;
use super::{checkpoint, checksum};
use crate::models::Network;
use burn::store::{ApplyError, ModuleSnapshot, SafetensorsStore};
use burn::tensor::Device;
use std::fs;
use std::io::{ErrorKind, Write};
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
    pub fn create(path: &Path, config: &impl Settings) -> Result<Self, TrainingError> {
        let run = Self { path: path.to_owned() };
        if run.config_path().exists() {
            return Err(TrainingError::HoldsRun { path: run.path });
        }
        // A run that died right here leaves nothing but this, and is not worth a name.
        let stillborn = temporary(&run.config_path());
        if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
            fs::create_dir_all(parent).map_err(TrainingError::file("create", path))?;
        }
        match fs::create_dir(path) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::AlreadyExists && path.is_dir() => {
                if holds_anything(path, &stillborn).map_err(TrainingError::file("read", path))? {
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

    /// Opens a run that exists and learns to classify: [`open_as`](Self::open_as) for its settings.
    ///
    /// # Errors
    /// As there.
    pub fn open(path: &Path) -> Result<(Self, RunConfig), TrainingError> {
        Self::open_as(path)
    }

    /// Opens a run that exists.
    ///
    /// # Errors
    /// The directory is no run; it learns something else; its settings cannot be read.
    pub fn open_as<S: Settings>(path: &Path) -> Result<(Self, S), TrainingError> {
        let (run, text) = Self::read(path)?;
        let task = run.task_of(&text)?;
        if task != S::TASK {
            return Err(TrainingError::OtherTask { path: run.path, task, wanted: S::TASK });
        }
        let config: S = toml::from_str(&text).map_err(|e| run.damaged_config(&e))?;
        config.validate().map_err(|e| run.damaged_config(&e))?;
        Ok((run, config))
    }

    /// What the run at `path` learns.
    ///
    /// # Errors
    /// The directory is no run; its settings cannot be read.
    pub fn task(path: &Path) -> Result<Task, TrainingError> {
        let (run, text) = Self::read(path)?;
        run.task_of(&text)
    }

    /// A directory and the text of its `config.toml`.
    fn read(path: &Path) -> Result<(Self, String), TrainingError> {
        let run = Self { path: path.to_owned() };
        let file = run.config_path();
        match fs::read_to_string(&file) {
            Ok(text) => Ok((run, text)),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Err(TrainingError::NotRun { path: run.path })
            }
            Err(e) => Err(TrainingError::file("read", file)(e)),
        }
    }

    fn task_of(&self, text: &str) -> Result<Task, TrainingError> {
        #[derive(serde::Deserialize)]
        struct Settings {
            task: Task,
        }
        let Settings { task } = toml::from_str(text).map_err(|e| self.damaged_config(&e))?;
        Ok(task)
    }

    fn damaged_config(&self, reason: &dyn std::fmt::Display) -> TrainingError {
        TrainingError::Damaged {
            path: self.config_path(),
            reason: reason.to_string().trim_end().to_owned(),
            advice: "mend it, or train a new run".to_owned(),
        }
    }

    /// A model with random parameters, by the settings of this run.
    pub(super) fn init_model<S: Settings>(&self, config: &S, device: &Device) -> Result<S::Model, TrainingError> {
        config.init(device).map_err(|e| self.damaged_config(&e))
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

    /// `origin.safetensors`: what training started from, where that was not random.
    pub fn origin_path(&self) -> PathBuf {
        self.path.join("origin.safetensors")
    }

    /// `checkpoints/`.
    pub fn checkpoints_path(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// Writes the model to `model.safetensors`.
    pub(super) fn save_model(&self, model: &impl Network) -> Result<(), TrainingError> {
        self.save_weights(model, &self.model_path())
    }

    /// Writes the weights of a model to a file of the run.
    pub(super) fn save_weights(&self, model: &impl Network, path: &Path) -> Result<(), TrainingError> {
        let form = |e: &dyn std::fmt::Display| TrainingError::Form { path: path.to_owned(), reason: e.to_string() };
        // One entry at most: they come in random order, and the same run is to give the same bytes.
        let store = SafetensorsStore::from_bytes(None).clear_metadata().metadata(checksum::KEY, checksum::ZEROS);
        let mut store = store.skip_enum_variants(true);
        model.save_into(&mut store).map_err(|e| form(&e))?;
        let mut bytes = store.get_bytes().map_err(|e| form(&e))?;
        checksum::seal(&mut bytes);
        write(path, &bytes)
    }
}

/// The best model of a run, for evaluation.
///
/// # Errors
/// There is none yet; the file cannot be read or does not fit the run's settings.
pub fn load_model<S: Settings>(run: &RunDirectory, config: &S, device: &Device) -> Result<S::Model, TrainingError> {
    let path = run.model_path();
    if !path.exists() && checkpoint::finished(run)?.is_empty() {
        return Err(TrainingError::NoModel { path: run.path.clone() });
    }
    Ok(burn::module::Module::valid(&load_weights(run, config, &path, device)?))
}

/// The model of a run with the weights of one of its files.
pub(super) fn load_weights<S: Settings>(
    run: &RunDirectory,
    config: &S,
    path: &Path,
    device: &Device,
) -> Result<S::Model, TrainingError> {
    let bytes = fs::read(path).map_err(TrainingError::file("read", path))?;
    let mut model = run.init_model(config, device)?;
    let damaged = |reason: &dyn std::fmt::Display| TrainingError::Damaged {
        path: path.to_owned(),
        reason: reason.to_string(),
        advice: "bring back a copy of it, or train a new run".to_owned(),
    };
    if !checksum::intact(&bytes) {
        return Err(damaged(&"its bytes are not those that were saved"));
    }
    // Validated here: the store's own message lists every tensor.
    let mut store =
        SafetensorsStore::from_bytes(Some(bytes)).skip_enum_variants(true).validate(false).allow_partial(true);
    let loaded = model.load_from(&mut store).map_err(|e| damaged(&e))?;
    if let Some(error) = loaded.errors.first() {
        return Err(damaged(&format!("it does not fit the settings in config.toml: {}", unfit(error))));
    }
    if let Some((name, _)) = loaded.missing.first() {
        return Err(damaged(&format!("it has no tensor {name}, which the settings in config.toml ask for")));
    }
    Ok(model)
}

/// Whether a directory holds anything but one file.
fn holds_anything(path: &Path, but: &Path) -> std::io::Result<bool> {
    for entry in fs::read_dir(path)? {
        if entry?.path() != but {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is wrong with a tensor that does not fit.
fn unfit(error: &ApplyError) -> String {
    match error {
        ApplyError::ShapeMismatch { path, expected, found } => {
            format!("{path} has the shape {:?} instead of {:?}", found.to_vec(), expected.to_vec())
        }
        other => other.to_string(),
    }
}

/// Where a file is written before it is renamed.
fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// Writes a file whole or not at all: to a temporary file beside it, then renamed.
///
/// # Errors
/// What the system says, with the path.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), TrainingError> {
    let temporary = temporary(path);
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
