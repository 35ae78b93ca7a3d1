//! One module a command.

pub mod bench;
pub mod convert;
pub mod data;
pub mod eval;
pub mod export;
pub mod fit;
pub mod import;
pub mod inspect;
pub mod jet;
pub mod predict;
pub mod report;
pub mod reproduce;
pub mod train;
pub mod transfer;

use crate::{Usage, progress};
use anyhow::{Context, Result, bail};
use njet::data::{self as images, DataError, Dataset};
use njet::segmentation::data::{self as scenes, Scenes, SegmentationSet};
use njet::training::NO_DATA;
use serde::Serialize;
use std::io::Write;
use std::path::Path;

/// The data that the command line names. An unknown name, or a multi-size set that cannot be, is its fault.
fn load(source: &str) -> Result<Dataset> {
    read(source).map_err(dataset_error)
}

/// The images of a source; how far the decoding is is told.
fn read(source: &str) -> Result<Dataset, DataError> {
    progress::watched(&format!("reading {source}"), |watch| images::load_watched(source, watch))
}

/// The images with masks of a source, likewise.
fn read_scenes(source: &str) -> Result<SegmentationSet, DataError> {
    progress::watched(&format!("reading {source}"), |watch| scenes::load_watched(source, watch))
}

/// Makes the scenes of a part that are composed; how far it is is told.
fn compose(scenes: &Scenes) {
    progress::watched("composing scenes", |watch| scenes.compose(watch));
}

/// The data that a run was trained on.
fn data_of(run: &Path, source: &str) -> Result<Dataset> {
    if source == NO_DATA {
        bail!("{} was made without data: import it again with `--data`", run.display());
    }
    Ok(read(source)?)
}

/// Data that does not come of what the command line says.
fn dataset_error(error: DataError) -> anyhow::Error {
    match error {
        DataError::UnknownSource { .. }
        | DataError::MultiSize { .. }
        | DataError::UnknownScenes { .. }
        | DataError::Composition { .. } => Usage(error.into()).into(),
        other => other.into(),
    }
}

/// Prints one JSON object on standard output, or what `text` makes for people.
fn report<T: Serialize>(json: bool, value: &T, text: impl FnOnce(&T) -> String) -> Result<()> {
    let text = if json { serde_json::to_string(value)? + "\n" } else { text(value) };
    std::io::stdout().write_all(text.as_bytes()).context("cannot write the result to standard output")
}
