//! ONNX files.

pub(crate) mod proto;
mod read;

pub use read::{OnnxError, OnnxTensor, read_tensors};
