//! Image data: reading it, splitting it, and filling batches from it.
//!
//! Data flows one way: [`load`] finds a source by name or directory and returns a [`Dataset`]; [`stratified_split`] and
//! [`limit`] choose indices; [`fill_batch`] turns the images at some indices into a normalised `f32` batch. Pixels stay
//! bytes until then, so a set takes a quarter of the memory. Every random choice comes from [`Random`], which repeats
//! bit for bit.
//!
//! ```
//! use njet::data::{self, Augment, Normalisation, Random, Stream};
//!
//! # fn main() -> Result<(), data::DataError> {
//! let set = data::load("fashion-mnist-subset")?; // built in: no files are needed
//! let (train, validation) = data::stratified_split(set.train.labels(), 0.1, 42);
//! assert_eq!((train.len(), validation.len()), (10_800, 1_200));
//!
//! let normalisation = Normalisation::of(&set.train);
//! let augment = Some(Augment { shift: 2, flip: true });
//! let mut rng = Random::for_stream(42, Stream::Augment, 0);
//! let mut batch = Vec::new();
//! data::fill_batch(&set.train, &train[..32], normalisation, augment, &mut rng, &mut batch);
//! assert_eq!(batch.len(), 32 * 28 * 28);
//! # Ok(())
//! # }
//! ```

mod augment;
mod error;
mod idx;
mod random;
mod resample;
mod set;
mod source;
mod split;
mod summary;

pub use augment::{Augment, Normalisation, fill_batch};
pub use error::DataError;
pub use idx::{IdxImages, parse_idx_images, parse_idx_labels, read_idx_images, read_idx_labels, read_idx_set};
pub use random::{Random, Stream};
pub use resample::{Resampler, resample};
pub use set::{Dataset, ImageSet};
pub use source::{
    DEFAULT_SOURCE, FASHION_MNIST_CLASSES, FASHION_MNIST_VARIABLE, SourceInfo, load, load_idx_directory, sources,
};
pub use split::{limit, stratified_split};
pub use summary::{PartSummary, Summary};
