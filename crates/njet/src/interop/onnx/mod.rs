//! ONNX files.

pub(crate) mod proto;
mod read;
mod write;

pub use read::{OnnxError, OnnxTensor, read_tensors};
pub use write::{IMAGE, LOGITS, OPSET, encode};
