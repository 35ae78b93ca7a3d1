//! What keeps a claim from being decided.

use crate::data::DataError;
use crate::models::RescaleError;
use crate::training::TrainingError;
use std::path::PathBuf;

/// A table that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExperimentError {
    /// No seeds.
    #[error("a table needs at least one seed and at most {most}, not {seeds}", most = super::plan::MOST_SEEDS)]
    Seeds {
        /// How many were asked for.
        seeds: usize,
    },
    /// The images cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The images have several sizes where one is needed.
    #[error("the images of {data} have several sizes, and this claim is about one: name a set whose images are alike")]
    MixedSizes {
        /// Name of the data.
        data: String,
    },
    /// No images.
    #[error("{data} has no images to {doing}: name a set with training and test images")]
    Empty {
        /// Name of the data.
        data: String,
        /// `train on` or `test on`.
        doing: &'static str,
    },
    /// A cell cannot be trained.
    #[error("cell {cell}: {source}")]
    Training {
        /// Its name.
        cell: String,
        /// Why.
        source: Box<TrainingError>,
    },
    /// A trained model cannot be rescaled.
    #[error("cell {cell}: {source}")]
    Rescale {
        /// Its name.
        cell: String,
        /// Why.
        source: Box<RescaleError>,
    },
    /// A cell of this name was trained otherwise.
    #[error(
        "{} was trained with other settings than those wanted now ({found} instead of {wanted}): choose another directory with `--out`, or remove this one",
        path.display()
    )]
    OtherSettings {
        /// The directory of the cell.
        path: PathBuf,
        /// The first line that differs, as it is.
        found: String,
        /// That line as it is wanted.
        wanted: String,
    },
    /// A file of results cannot be read or written.
    #[error(transparent)]
    File(Box<TrainingError>),
}

impl ExperimentError {
    pub(super) fn training(cell: &str, source: TrainingError) -> Self {
        Self::Training { cell: cell.to_owned(), source: Box::new(source) }
    }

    pub(super) fn file(source: TrainingError) -> Self {
        Self::File(Box::new(source))
    }
}
