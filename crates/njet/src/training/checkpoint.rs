//! What is needed to go on after an interruption: one directory for each finished epoch, complete or absent.

use super::error::TrainingError;
use super::record::EpochRecord;
use super::run::{RunDirectory, write};
use burn::module::Module;
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Finished epochs whose checkpoints stay: the last, and one more in case the disk loses it.
const KEPT: usize = 2;

const MODEL: &str = "model.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const STATE: &str = "state.json";

/// The small part of a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Optimiser steps taken.
    pub(crate) steps: usize,
    /// Seconds of training so far, over all interruptions.
    pub(crate) seconds: f64,
    /// A record for each finished epoch.
    pub(crate) epochs: Vec<EpochRecord>,
}

/// What `state.json` holds.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    state: State,
    /// CRC-32 of the other files: a record with a flipped bit loads as well, or brings the loader down.
    crc32: BTreeMap<String, u32>,
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn directory(run: &RunDirectory, epoch: usize) -> PathBuf {
    run.checkpoints_path().join(format!("epoch-{epoch:04}"))
}

/// The finished epochs that have a checkpoint, ascending.
pub(super) fn finished(run: &RunDirectory) -> Result<Vec<usize>, TrainingError> {
    let path = run.checkpoints_path();
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
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
    model: &impl Module,
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

fn fill(path: &Path, model: &impl Module, optimizer: &ModuleOptimizer, state: &State) -> Result<(), TrainingError> {
    if path.exists() {
        fs::remove_dir_all(path).map_err(TrainingError::file("write", path))?;
    }
    fs::create_dir_all(path).map_err(TrainingError::file("create", path))?;
    let mut stored = Stored { state: state.clone(), crc32: BTreeMap::new() };
    let records = [(MODEL, model.clone().into_record().into_bytes()), (OPTIMIZER, optimizer.into_bytes())];
    for (name, record) in records {
        let file = path.join(name);
        let bytes = record.map_err(|e| TrainingError::Form { path: file.clone(), reason: e.to_string() })?;
        write(&file, &bytes)?;
        stored.crc32.insert(name.to_owned(), crc32(&bytes));
    }
    write(&path.join(STATE), &serde_json::to_vec(&stored).expect("plain values"))
}

/// The newest checkpoint of a run, or `None` where no epoch has been finished.
pub(super) fn load<M: Module>(
    run: &RunDirectory,
    model: M,
    optimizer: impl FnOnce(&M) -> ModuleOptimizer,
) -> Result<Option<(M, ModuleOptimizer, State)>, TrainingError> {
    let Some(&epoch) = finished(run)?.last() else { return Ok(None) };
    let path = directory(run, epoch);
    let damaged = |name: &str, reason: &dyn std::fmt::Display| TrainingError::Damaged {
        path: path.join(name),
        reason: reason.to_string(),
        advice: format!("remove {} to go on from the checkpoint before it", path.display()),
    };
    let read = |name: &str| {
        let file = path.join(name);
        fs::read(&file).map_err(|e| match e.kind() {
            ErrorKind::NotFound => damaged(name, &"it is missing"),
            _ => TrainingError::file("read", file)(e),
        })
    };
    let Stored { state, crc32: sums } = serde_json::from_slice(&read(STATE)?).map_err(|e| damaged(STATE, &e))?;
    if state.epochs.len() != epoch {
        return Err(damaged(STATE, &format!("it has {} epochs", state.epochs.len())));
    }
    let record = |name: &str| {
        let bytes = read(name)?;
        if sums.get(name) != Some(&crc32(&bytes)) {
            return Err(damaged(name, &"its bytes are not those that were saved"));
        }
        Ok(Bytes::from_bytes_vec(bytes))
    };
    // The bytes are those that were saved: what has changed are the settings. Burn's own message lists every tensor.
    let unfit = |name: &str| TrainingError::Damaged {
        path: path.join(name),
        reason: "it does not fit the settings in config.toml".to_owned(),
        advice: "bring back the settings that the run began with, or train a new run".to_owned(),
    };
    let model = ModuleRecord::from_bytes(record(MODEL)?).and_then(|record| model.try_load_record(record));
    let model = model.map_err(|_| unfit(MODEL))?;
    let record = OptimizerRecord::from_bytes(record(OPTIMIZER)?).map_err(|_| unfit(OPTIMIZER))?;
    // The groups of the optimiser go by the identities of the parameters, which the record brought back.
    let optimizer = optimizer(&model).load_record(record);
    Ok(Some((model, optimizer, state)))
}
