//! Models in and out.
//!
//! - [`onnx`]: the format that inference engines read.

pub mod onnx;
