//! What can go wrong in a run.

use super::config::{ConfigError, Task};
use super::scales::ScaleError;
use crate::data::DataError;
use crate::models::{ModelError, RescaleError};
use crate::segmentation::TileError;
use crate::segmentation::loss::LossError;
use njet_basis::BasisError;
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
        "the model was made for {model_channels} channels and {model_classes} classes, but {data} has {channels} and {classes}: give data like what it was trained on"
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
        "images of {height}×{width} pixels in {data} are too small for {arch}: at least {smallest}×{smallest} are needed"
    )]
    TooSmall {
        /// Name of the data.
        data: String,
        /// Name of the architecture.
        arch: &'static str,
        /// Side of the smallest images that it can take.
        smallest: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// Images of several sizes, and no choice what to do about it.
    #[error(
        "the images of {data} have sizes from {} to {} pixels: choose what to do with `--sizing letterbox`, `--sizing random-resized-crop` or `--sizing group`",
        by(least),
        by(greatest)
    )]
    MixedSizes {
        /// Name of the data.
        data: String,
        /// Least rows and columns.
        least: [usize; 2],
        /// Greatest rows and columns.
        greatest: [usize; 2],
    },
    /// The images are not those that the run was started with.
    #[error(
        "the images of {data} are not those that the run was started with: their size, mean or deviation is another; bring them back, or train a new run"
    )]
    OtherImages {
        /// Name of the data.
        data: String,
    },
    /// Too few images to train and to validate.
    #[error(
        "{images} training images leave {training} to train and {validation} to validate: use more images (`--limit`), or another validation part (`--validation`)"
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
    #[error("{} is not a run, it has no config.toml: name the directory that `njet train` made", path.display())]
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
    #[error("{} is damaged: {reason}; {advice}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What to do about it.
        advice: String,
    },
    /// A part of the run cannot be brought into the form of a file.
    #[error("cannot make {}: {reason}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Why.
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
    /// The scale of a layer left the range that filters can be built for.
    #[error(
        "{layer} cannot go on after epoch {epoch}, step {step}: {source}; the run diverged: try a smaller learning rate (`--sigma-lr`, `--lr`)"
    )]
    Scale {
        /// Name of the layer.
        layer: String,
        /// What is wrong with its scale.
        source: BasisError,
        /// From 1.
        epoch: usize,
        /// From 1.
        step: usize,
    },
    /// The run learns something else.
    #[error("{} is a run that learns to {task}, and this is for runs that learn to {wanted}", path.display())]
    OtherTask {
        /// The run.
        path: PathBuf,
        /// What it learns.
        task: Task,
        /// What it should learn.
        wanted: Task,
    },
    /// The observer wished it.
    #[error("stopped in epoch {epoch}, of which nothing is kept")]
    Stopped {
        /// From 1.
        epoch: usize,
    },
    /// The loss cannot be computed.
    #[error(transparent)]
    Loss(#[from] LossError),
    /// An image is too large to segment.
    #[error(transparent)]
    Tiles(#[from] TileError),
    /// A scale that the model cannot be used at.
    #[error(transparent)]
    AtScale(#[from] ScaleError),
    /// The σ of a model cannot be multiplied so.
    #[error(transparent)]
    Rescale(#[from] RescaleError),
    /// No layer has a σ.
    #[error("{} has no N-jet layers: there is no sigma to rescale; name a run of `--layer njet`", path.display())]
    NoScale {
        /// The run.
        path: PathBuf,
    },
    /// A transferred run has no training to go on with.
    #[error("the run was not trained but made from {from} by `{by}`: there is no training to go on with")]
    Transferred {
        /// The run or file that it was made from.
        from: String,
        /// The command that made it.
        by: &'static str,
    },
}

fn by([height, width]: &[usize; 2]) -> String {
    format!("{height}×{width}")
}

impl TrainingError {
    pub(crate) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }
}
