//! A cell of a table: one run, and what it came to.

use super::error::ExperimentError;
use super::transfer::{self, Treated};
use crate::data::Dataset;
use crate::models::LayerKind;
use crate::training::{
    Observer, RunConfig, RunDirectory, Settings, Summary, Trainer, TrainingError, load_model, write_file as write,
};
use burn::tensor::Device;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The file of a finished cell, beside those of the run.
pub(super) const RESULT: &str = "result.json";

/// The file of a cell that was tested at other scales.
const TRANSFER: &str = "transfer.json";

/// One run of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Name of its directory: what is trained on what, how long, with which seed.
    pub name: String,
    /// All settings.
    pub config: RunConfig,
    /// Whether it is tested at other scales too.
    pub transfer: bool,
}

/// What a cell came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellResult {
    /// What the run came to.
    pub summary: Summary,
    /// Its accuracy at other scales, where it was tested there.
    pub transfer: Vec<Treated>,
}

impl Cell {
    /// `data` is a short name of the images.
    pub(super) fn new(data: &str, config: RunConfig, transfer: bool) -> Self {
        Self { name: name(data, &config), config, transfer }
    }

    /// Whether there is nothing left to do for it below `cells`.
    pub fn finished(&self, cells: &Path) -> bool {
        let path = cells.join(&self.name);
        path.join(RESULT).exists() && (!self.transfer || path.join(TRANSFER).exists())
    }

    /// Checks that the directory of the cell below `cells`, if there is one, holds these settings.
    ///
    /// # Errors
    /// Other settings; files that cannot be read.
    pub fn check(&self, cells: &Path) -> Result<(), ExperimentError> {
        check(&self.name, &self.config, &cells.join(&self.name))
    }

    /// Trains what is not trained yet, tests what is not tested yet, and returns what came of it.
    ///
    /// # Errors
    /// Other settings in the directory of this name; whatever training says.
    pub fn run(
        &self,
        cells: &Path,
        dataset: &Dataset,
        device: &Device,
        observer: &mut dyn Observer,
    ) -> Result<CellResult, ExperimentError> {
        let training = |source| ExperimentError::training(&self.name, source);
        let path = cells.join(&self.name);
        let run = begin(&self.name, &self.config, &path)?;
        let summary = match read(&path.join(RESULT))? {
            Some(summary) => summary,
            None => {
                let trainer = Trainer::new(&self.config, dataset, device).map_err(training)?;
                let summary = trainer.run(&run, observer).map_err(training)?;
                keep(&path.join(RESULT), &summary)?;
                summary
            }
        };
        if !self.transfer {
            return Ok(CellResult { summary, transfer: Vec::new() });
        }
        let transfer = match read(&path.join(TRANSFER))? {
            Some(transfer) => transfer,
            None => {
                let model = load_model(&run, &self.config, device).map_err(training)?;
                let transfer = transfer::test(&self.name, &model, &self.config, dataset, device)?;
                keep(&path.join(TRANSFER), &transfer)?;
                transfer
            }
        };
        Ok(CellResult { summary, transfer })
    }
}

/// The directory of a cell: made, or that which was begun, if it holds these settings.
pub(super) fn begin<S: Settings>(name: &str, config: &S, path: &Path) -> Result<RunDirectory, ExperimentError> {
    let training = |source| ExperimentError::training(name, source);
    match path.join("config.toml").exists() {
        true => open(name, config, path),
        false => RunDirectory::create(path, config).map_err(training),
    }
}

/// Checks that the directory of a cell, if there is one, holds these settings.
pub(super) fn check<S: Settings>(name: &str, config: &S, path: &Path) -> Result<(), ExperimentError> {
    if path.join("config.toml").exists() { open(name, config, path).map(drop) } else { Ok(()) }
}

/// The directory of a cell that was begun, if it holds the settings wanted now.
fn open<S: Settings>(name: &str, config: &S, path: &Path) -> Result<RunDirectory, ExperimentError> {
    let training = |source| ExperimentError::training(name, source);
    let (run, mut found) = RunDirectory::open_as::<S>(path).map_err(training)?;
    found.fill(config);
    if found == *config {
        return Ok(run);
    }
    let [found, wanted] = [&found, config].map(|config| toml::to_string(config).expect("settings are plain values"));
    let differ = found.lines().zip(wanted.lines()).find(|(found, wanted)| found != wanted);
    let (found, wanted) = differ.unwrap_or(("fewer settings", "all"));
    Err(ExperimentError::OtherSettings { path: path.to_owned(), found: found.to_owned(), wanted: wanted.to_owned() })
}

/// What decides a run, in words that are good for a directory. Settings at their defaults are left out where a table has
/// them so throughout; two that differ in what is left out are told apart by their `config.toml`.
fn name(data: &str, config: &RunConfig) -> String {
    let model = &config.model;
    let mut parts = vec![data.to_owned()];
    parts.push(config.data.limit.map_or("all".to_owned(), |limit| limit.to_string()));
    parts.push(format!("{}ep", config.epochs));
    parts.push(model.arch.to_string());
    parts.push(model.layer.to_string());
    match model.layer {
        LayerKind::Conv => parts.extend(model.conv_side.map(|side| format!("{side}x{side}"))),
        LayerKind::Njet => {
            let sigma = if model.learn_sigma { "learned" } else { "fixed" };
            parts.push(format!("order{}", model.order));
            parts.push(format!("extent{}", model.extent));
            parts.push(format!("{sigma}{}", model.sigma));
            parts.push(model.discretisation.to_string());
            parts.push(model.sharing.to_string());
            if model.separate_axes {
                parts.push("axes".to_owned());
            }
        }
    }
    parts.push(model.subsampling().to_string());
    parts.push(format!("seed{}", config.seed));
    parts.join("-")
}

/// A file of results, where there is one.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ExperimentError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(ExperimentError::file(TrainingError::file("read", path)(e))),
    };
    let damaged = |e: serde_json::Error| TrainingError::Damaged {
        path: PathBuf::from(path),
        reason: e.to_string(),
        advice: "remove it: the cell is then tested again".to_owned(),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|e| ExperimentError::file(damaged(e)))
}

pub(super) fn keep<T: Serialize>(path: &Path, value: &T) -> Result<(), ExperimentError> {
    write(path, &serde_json::to_vec(value).expect("plain values")).map_err(ExperimentError::file)
}
