//! The N-jet convolution layer.

mod call;
mod composed;
mod config;
mod conv2d;
#[cfg(feature = "flex")]
mod extension;
mod initializer;
mod padding;
mod precision;
mod present;
mod sample;
mod sigma;
mod sigma_images;
mod stride;
mod transpose;

pub use call::{Call, CallError, Settings};
pub use composed::njet_conv2d_composed;
pub use config::{LayerError, NJetConv2dConfig};
pub use conv2d::{AtBound, LEAST_SAMPLED, LayerWarning, NJetConv2d, Widened, njet_conv2d, runs_on_engine};
pub use initializer::Initializer;
pub use padding::PaddingMode;
pub(crate) use padding::around;
pub use precision::Precision;
pub(crate) use sample::neighbours;
pub use sigma::{Bound, Scale, SharingError, SigmaBounds, SigmaSharing};
pub(crate) use sigma_images::with_sigma_images;
pub(crate) use stride::nearest_pixels;
pub use stride::{NearestRule, SMOOTH_EXTENT, Stride};
pub use transpose::{NJetConvTranspose2d, NJetConvTranspose2dConfig, njet_conv_transpose2d};
