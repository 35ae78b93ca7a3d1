//! Images with masks.
//!
//! [`load`] finds a [`SegmentationSet`] by name or directory: training, validation and test [`Scenes`], each of which
//! gives a [`Scene`] by its number. [`JointAugment`] changes image and mask together and cuts out a piece of one size.
//! [`Objects`] tells which pixels belong to one thing, so that results can be told apart by its size.
//!
//! ```
//! use njet::data::{Random, Stream};
//! use njet::segmentation::data::{self, JointAugment};
//!
//! # fn main() -> Result<(), njet::data::DataError> {
//! let set = data::load("scenes?canvas=96&largest=3")?; // built in: no files are needed
//! assert_eq!((set.classes.len(), set.channels), (11, 1));
//! let scene = set.train.load(0)?;
//! assert_eq!(scene.mask.len(), 96 * 96);
//!
//! let mut random = Random::for_stream(42, Stream::Augment, 0);
//! let piece = JointAugment::default().apply(&scene, [64, 64], &mut random);
//! assert_eq!([piece.height, piece.width], [64, 64]);
//! # Ok(())
//! # }
//! ```

mod augment;
mod compose;
mod composition;
mod files;
mod folder;
mod mask;
mod objects;
mod picture;
mod scene;
mod scenes;
mod source;
mod summary;

pub use augment::JointAugment;
pub use compose::ComposedScenes;
pub use composition::{Composition, SCENES};
pub use files::SceneFiles;
pub use folder::{MaskFolderConfig, load_mask_folder};
pub use mask::{Mask, read_mask};
pub use objects::{Object, Objects, SizeUnit};
pub use picture::{class_colour, overlay, thumbnail};
pub use scene::{IGNORED, MOST_CLASSES, Scene};
pub use scenes::{MemoryScenes, Scenes};
pub use source::{SegmentationSet, is_composition, is_segmentation_source, load, load_watched};
pub use summary::{ScenesSummary, SegmentationSummary};
