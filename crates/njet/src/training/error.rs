//! What can go wrong in a run.

use super::config::ConfigError;
use crate::data::DataError;
use crate::models::ModelError;
use std::io;
use std::path::PathBuf;

/// A run that cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// A setting makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The model cannot be built.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The images cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The images do not fit the model.
    #[error(
        "the model was made for {model_channels} channels and {model_classes} classes, but {data} has {channels} and {classes}"
    )]
    Mismatch {
        /// Name of the data.
        data: String,
        /// Channels of the model.
        model_channels: usize,
        /// Classes of the model.
        model_classes: usize,
        /// Channels of the data.
        channels: usize,
        /// Classes of the data.
        classes: usize,
    },
    /// The images shrink to nothing.
    #[error(
        "images of {height}×{width} pixels are too small for {arch}, which halves them twice: at least 4×4 are needed"
    )]
    TooSmall {
        /// Name of the architecture.
        arch: &'static str,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// Too few images to train and to validate.
    #[error(
        "{images} training images leave {training} to train and {validation} to validate: use more images, or another validation part"
    )]
    TooFewImages {
        /// Before the split.
        images: usize,
        /// After.
        training: usize,
        /// After.
        validation: usize,
    },
    /// The output directory already holds a run.
    #[error(
        "{} already holds a run: go on with it by `--resume {}`, or choose another directory with `--out`",
        path.display(),
        path.display()
    )]
    HoldsRun {
        /// The directory.
        path: PathBuf,
    },
    /// The output directory holds other things.
    #[error("{} is not empty: choose a new or an empty directory with `--out`", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// A directory that should be a run is none.
    #[error("{} is not a run: it has no config.toml", path.display())]
    NotRun {
        /// The directory.
        path: PathBuf,
    },
    /// Nothing has been trained yet.
    #[error("{} has no model yet: it was interrupted before its first epoch ended; go on with `njet train --resume {}`", path.display(), path.display())]
    NoModel {
        /// The run.
        path: PathBuf,
    },
    /// A file of the run cannot be read or written.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// `read`, `write` or `create`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the run does not hold what it should.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The loss is not a number any more.
    #[error(
        "the loss became {loss} in epoch {epoch}, step {step}: the run diverged; try a smaller learning rate (`--lr`, `--sigma-lr`)"
    )]
    Diverged {
        /// The loss.
        loss: f64,
        /// From 1.
        epoch: usize,
        /// From 1.
        step: usize,
    },
}

impl TrainingError {
    pub(super) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }
}
