//! Models in and out.
//!
//! - [`onnx`]: the format that inference engines read.
//! - [`tensors`]: the tensors in files of other programs.
//! - [`mod@fit`]: N-jets in place of given filters.
//! - [`mod@import`]: N-jet networks of PyTorch.
//! - [`mod@convert`]: networks of plain convolutions as networks of N-jet layers.

pub mod convert;
pub mod fit;
pub mod import;
pub mod onnx;
pub mod tensors;
