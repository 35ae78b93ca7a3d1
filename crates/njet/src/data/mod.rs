//! Image data: reading it, splitting it, and filling batches from it.
//!
//! Data flows one way: [`load`] finds a source by name or directory and returns a [`Dataset`]; [`stratified_split`] and
//! [`limit`] choose indices; a [`Preparation`] turns the images at some indices into a normalised `f32` [`Batch`], and a
//! [`Feed`] does so ahead of time on other threads. Images are in memory or in files ([`Samples`]); pixels stay bytes
//! until they are used. Every random choice comes from [`Random`], which repeats bit for bit.
//!
//! ```
//! use njet::data::{self, Augment, Normalisation, Preparation, Sizing};
//!
//! # fn main() -> Result<(), data::DataError> {
//! let set = data::load("fashion-mnist-subset")?; // built in: no files are needed
//! let (train, validation) = data::stratified_split(set.train.labels(), 0.1, 42);
//! assert_eq!((train.len(), validation.len()), (10_800, 1_200));
//!
//! let normalisation = Normalisation::of(&set.train);
//! let preparation = Preparation { sizing: Sizing::Letterbox, size: [32, 32], least: 1, channels: 1, normalisation };
//! let augment = Some(Augment { shift: 2, flip: true });
//! let mut random = data::batch_random(42, 1, 0); // seed 42, epoch 1, batch 0
//! let batch = preparation.batch(&set.train, &train[..16], augment, &mut random)?;
//! assert_eq!(batch.shape, [16, 1, 32, 32]);
//! # Ok(())
//! # }
//! ```

mod augment;
mod cifar;
pub(crate) mod cores;
pub(crate) mod decode;
mod error;
mod feed;
pub(crate) mod files;
pub(crate) mod folder;
mod idx;
mod multi_size;
mod prepare;
mod random;
mod resample;
mod samples;
mod set;
mod sizing;
mod source;
mod split;
mod summary;

pub use augment::{Augment, Normalisation, fill_batch};
pub use cores::Watch;
pub use decode::{MOST_PIXELS, Unusable, read_image};
pub use error::DataError;
pub use feed::{Feed, workers};
pub use files::{ImageFiles, Skipped};
pub use folder::{FolderConfig, load_image_folder};
pub use idx::{IdxImages, parse_idx_images, parse_idx_labels, read_idx_images, read_idx_labels, read_idx_set};
pub use multi_size::{Form, MULTI_SIZE_PREFIX, MultiSize, Part, Placement};
pub use prepare::{Batch, Preparation, batch_random};
pub use random::{Random, Stream};
pub use resample::{Resampler, resample};
pub use samples::{Extents, Image, Samples};
pub use set::{Dataset, ImageSet};
pub use sizing::{Sizing, UnknownSizing};
pub use source::{
    DEFAULT_SOURCE, FASHION_MNIST_CLASSES, FASHION_MNIST_VARIABLE, SourceInfo, load, load_directory,
    load_idx_directory, load_watched, sources,
};
pub use split::{limit, stratified_split};
pub use summary::{PartSummary, Summary};
