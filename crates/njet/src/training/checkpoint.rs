//! What is needed to go on after an interruption: one directory for each finished epoch, complete or absent.

use super::error::TrainingError;
use super::run::{RunDirectory, write};
use super::trainer::EpochRecord;
use crate::models::Classifier;
use burn::module::Module;
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// Finished epochs whose checkpoints stay: the last, and one more in case the disk loses it.
const KEPT: usize = 2;

/// The small part of a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// Optimiser steps taken.
    pub(super) steps: usize,
    /// Seconds of training so far, over all interruptions.
    pub(super) seconds: f64,
    /// A record for each finished epoch.
    pub(super) epochs: Vec<EpochRecord>,
}

fn directory(run: &RunDirectory, epoch: usize) -> PathBuf {
    run.checkpoints_path().join(format!("epoch-{epoch:04}"))
}

/// The finished epochs that have a checkpoint, ascending.
fn finished(run: &RunDirectory) -> Result<Vec<usize>, TrainingError> {
    let path = run.checkpoints_path();
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(TrainingError::file("read", path)(e)),
    };
    let mut epochs = Vec::new();
    for entry in entries {
        let name = entry.map_err(TrainingError::file("read", &path))?.file_name();
        // Anything else in there, an unfinished checkpoint included, is passed over.
        epochs.extend(name.to_str().and_then(|n| n.strip_prefix("epoch-")).and_then(|n| n.parse::<usize>().ok()));
    }
    epochs.sort_unstable();
    Ok(epochs)
}

/// Saves the state after an epoch and drops old checkpoints.
pub(super) fn save(
    run: &RunDirectory,
    model: &Classifier,
    optimizer: &ModuleOptimizer,
    state: &State,
) -> Result<(), TrainingError> {
    let epoch = state.epochs.len();
    let path = directory(run, epoch);
    let temporary = run.checkpoints_path().join("unfinished");
    let result = fill(&temporary, model, optimizer, state).and_then(|()| {
        // A checkpoint of this epoch may be left from before an interruption: the same bytes.
        if path.exists() {
            fs::remove_dir_all(&path).map_err(TrainingError::file("write", &path))?;
        }
        fs::rename(&temporary, &path).map_err(TrainingError::file("write", &path))
    });
    if result.is_err() {
        let _ = fs::remove_dir_all(&temporary);
    }
    result?;
    let epochs = finished(run)?;
    for old in &epochs[..epochs.len().saturating_sub(KEPT)] {
        let path = directory(run, *old);
        fs::remove_dir_all(&path).map_err(TrainingError::file("write", path))?;
    }
    Ok(())
}

fn fill(path: &Path, model: &Classifier, optimizer: &ModuleOptimizer, state: &State) -> Result<(), TrainingError> {
    if path.exists() {
        fs::remove_dir_all(path).map_err(TrainingError::file("write", path))?;
    }
    fs::create_dir_all(path).map_err(TrainingError::file("create", path))?;
    let damaged = |e: &dyn std::fmt::Display| TrainingError::Damaged { path: path.to_owned(), reason: e.to_string() };
    let bytes = model.clone().into_record().into_bytes().map_err(|e| damaged(&e))?;
    write(&path.join("model.bpk"), &bytes)?;
    let bytes = optimizer.into_bytes().map_err(|e| damaged(&e))?;
    write(&path.join("optimizer.bpk"), &bytes)?;
    write(&path.join("state.json"), &serde_json::to_vec(state).expect("plain values"))
}

/// The newest checkpoint of a run, or `None` where no epoch has been finished.
pub(super) fn load(
    run: &RunDirectory,
    model: Classifier,
    optimizer: impl FnOnce(&Classifier) -> ModuleOptimizer,
) -> Result<Option<(Classifier, ModuleOptimizer, State)>, TrainingError> {
    let Some(&epoch) = finished(run)?.last() else { return Ok(None) };
    let path = directory(run, epoch);
    let read = |name: &str| {
        let file = path.join(name);
        fs::read(&file).map_err(TrainingError::file("read", file))
    };
    let damaged =
        |name: &str, e: &dyn std::fmt::Display| TrainingError::Damaged { path: path.join(name), reason: e.to_string() };
    let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(read("model.bpk")?));
    let model = record.and_then(|record| model.try_load_record(record)).map_err(|e| damaged("model.bpk", &e))?;
    let record = OptimizerRecord::from_bytes(Bytes::from_bytes_vec(read("optimizer.bpk")?))
        .map_err(|e| damaged("optimizer.bpk", &e))?;
    // The groups of the optimiser go by the identities of the parameters, which the record brought back.
    let optimizer = optimizer(&model).load_record(record);
    let state: State = serde_json::from_slice(&read("state.json")?).map_err(|e| damaged("state.json", &e))?;
    if state.epochs.len() != epoch {
        return Err(damaged("state.json", &format!("it has {} epochs", state.epochs.len())));
    }
    Ok(Some((model, optimizer, state)))
}
