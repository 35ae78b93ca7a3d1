//! Models in and out: plain convolutions, ONNX, state dicts, filters and networks of others.
//!
//! After training σ is a number, and an N-jet layer is a convolution with a fixed kernel. [`NJetConv2d::bake`] gives it as
//! Burn's `Conv2d`; `Classifier::bake` and `UNet::bake` a whole model as a [`PlainNetwork`]. Both go by way of a [`Graph`], a short
//! list of plain operations with their weights, and so does everything else that leaves njet:
//!
//! - [`onnx`]: the format that inference engines read; and the tensors of such files.
//! - [`state_dict`]: weights by their conventional names, for `torch.nn`.
//!
//! What comes in:
//!
//! - [`tensors`]: the tensors in files of other programs.
//! - [`mod@fit`]: N-jets in place of given filters.
//! - [`mod@import`]: N-jet networks of PyTorch.
//! - [`mod@convert`]: networks of plain convolutions as networks of N-jet layers.
//!
//! [`NJetConv2d::bake`]: crate::NJetConv2d::bake

mod bake;
pub mod convert;
pub mod fit;
pub mod graph;
pub mod import;
mod metadata;
pub mod onnx;
pub mod state_dict;
pub mod tensors;

pub use bake::{BakeError, Baking, Form, PlainNetwork};
pub use graph::Graph;
pub use metadata::{Pixels, metadata, segmentation_metadata};
