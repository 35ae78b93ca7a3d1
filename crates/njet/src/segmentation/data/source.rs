//! Sets of images with masks, by name or directory.

use std::path::Path;

use super::{Composition, MaskFolderConfig, SCENES, Scenes, SegmentationSummary, folder};
use crate::data::{DataError, Watch};

/// Images with masks: classes, and scenes for training, validation and test.
#[derive(Debug, Clone)]
pub struct SegmentationSet {
    /// The name it was loaded by.
    pub name: String,
    /// The names of the classes; a mask holds indices into them.
    pub classes: Vec<String>,
    /// Channels of every scene: 3 where any image has colours, 1 where all are grey.
    pub channels: usize,
    /// Scenes to train on.
    pub train: Scenes,
    /// Scenes to choose the best model by.
    pub val: Scenes,
    /// Scenes kept for the final figure. A directory without any has those of `val` here.
    pub test: Scenes,
}

impl SegmentationSet {
    /// Counts, sizes and classes, as `njet data info` shows them.
    ///
    /// # Errors
    ///
    /// As [`Scenes::load`].
    pub fn summary(&self) -> Result<SegmentationSummary, DataError> {
        SegmentationSummary::of(self)
    }
}

/// Whether a source is `scenes`, alone or with options: then it is no directory, whatever there is of that name.
pub fn is_composition(source: &str) -> bool {
    source.split_once('?').map_or(source, |(name, _)| name) == SCENES
}

/// Whether a source names images with masks: `scenes`, alone or with options, or a directory with `train/masks`.
pub fn is_segmentation_source(source: &str) -> bool {
    is_composition(source) || folder::is_mask_folder(Path::new(source))
}

/// Loads images with masks by name or from a directory.
///
/// - `scenes`: composed from the built-in items of Fashion-MNIST; `scenes?canvas=96&seed=2` and so on, see [`Composition`].
/// - a directory: see [`load_mask_folder`](super::load_mask_folder). One of the name `scenes` is given as `./scenes`.
///
/// # Errors
///
/// A [`DataError`] that says where was looked, what is wrong there, and what to do.
pub fn load(source: &str) -> Result<SegmentationSet, DataError> {
    load_watched(source, &|_, _| {})
}

/// [`load`]; `watch` is told of every image that is decoded, with its mask. Composed scenes are made later:
/// [`Scenes::compose`].
///
/// # Errors
///
/// As [`load`].
pub fn load_watched(source: &str, watch: Watch<'_>) -> Result<SegmentationSet, DataError> {
    match source {
        composition if is_composition(composition) => composition.parse::<Composition>()?.load(),
        directory if Path::new(directory).is_dir() => {
            folder::read_mask_folder(Path::new(directory), &MaskFolderConfig::default(), watch)
        }
        _ => Err(DataError::UnknownScenes { name: source.to_owned() }),
    }
}
