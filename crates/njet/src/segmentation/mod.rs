//! Segmentation: a class for every pixel.
//!
//! - [`data`]: images with masks, from directories or composed, and their joint augmentation.
//! - [`loss`]: cross-entropy, Dice and focal loss, and their weighted sum.
//! - [`metrics`]: intersection over union, Dice, boundary F1, and the accuracy of objects by their size.

pub mod data;
pub mod loss;
pub mod metrics;
