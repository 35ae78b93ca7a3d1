//! Learned-resolution convolution for [Burn](https://burn.dev).
//!
//! In a convolutional network people fix the resolution by hand: filter sizes, strides, pooling.
//! Here it is learned. A kernel is a combination of Gaussian derivatives (the N-jet) with learned
//! coefficients α, and the scale σ of the Gaussian, in pixels, is a parameter: it sets how much
//! detail a filter sees and how far it reaches (Pintea et al., "Resolution learning in deep
//! convolutional networks using scale-space theory", IEEE TIP 2021).
//!
//! [`NJetConv2d`] stands where a `Conv2d` stands:
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use njet::NJetConv2dConfig;
//!
//! let device = Device::flex();
//! let layer = NJetConv2dConfig::new([3, 8]).with_order(2).with_sigma(1.0).init(&device);
//! let y = layer.forward(Tensor::<4>::zeros([1, 3, 28, 28], &device));
//! assert_eq!(y.dims(), [1, 8, 28, 28]);
//! ```
//!
//! - [`layer`]: the layer, its initialisation, its forward and backward passes.
//! - [`models`]: architectures built from it, each with a twin of plain convolutions.
//! - [`data`]: image sets, splits, augmentation.
//! - [`segmentation`]: images with masks, and what it takes to learn a class for every pixel.
//! - [`training`]: the training loop, checkpoints, run directories.
//! - [`scale_space`]: derivative maps of an image, and blobs with their scales.
//! - [`interop`]: models in and out: plain convolutions, ONNX.
//! - [`interop`]: models in and out: plain convolutions, ONNX, tensors of other programs, N-jets fitted to filters.
//! - [`experiments`]: the claims of the project, and the runs that decide them.

#[cfg(feature = "flex")]
mod backend;
pub mod data;
pub mod experiments;
pub mod interop;
pub mod layer;
pub mod models;
pub mod scale_space;
pub mod segmentation;
pub mod training;

pub use layer::{
    Initializer, LayerError, NJetConv2d, NJetConv2dConfig, NJetConvTranspose2d, NJetConvTranspose2dConfig, NearestRule,
    PaddingMode, Precision, SigmaBounds, SigmaSharing, Stride,
};
pub use njet_basis::Discretisation;

/// The examples of the pages about Burn, export and PyTorch, compiled and run.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../../docs/burn.md")]
    struct Burn;
    #[doc = include_str!("../../../docs/export.md")]
    struct Export;
    #[doc = include_str!("../../../docs/pytorch.md")]
    struct Pytorch;
}
