//! Segmentation: a class for every pixel.
//!
//! A [`SegmentationConfig`] decides a run, [`SegmentationTrainer`] trains a [`UNet`](crate::models::UNet) on its training
//! scenes, and a [`Segmenter`] uses it on images of any size, by tiles where they are large.
//!
//! - [`data`]: images with masks, from directories or composed, and their joint augmentation.
//! - [`loss`]: cross-entropy, Dice and focal loss, and their weighted sum.
//! - [`metrics`]: intersection over union, Dice, boundary F1, and the accuracy of objects by their size.

mod batch;
mod config;
pub mod data;
mod evaluate;
pub mod loss;
pub mod metrics;
mod sizes;
mod tiles;
mod trainer;

pub(crate) use config::MOST_EPOCHS;
pub use config::{SceneConfig, SegmentationConfig, UNET};
pub use evaluate::{SceneEvaluation, evaluate_scenes};
pub use tiles::{Segmenter, Tile, TileError};
pub use trainer::{SegmentationSummary, SegmentationTrainer, check_scenes};
