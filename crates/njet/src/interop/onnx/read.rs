//! The tensors that an ONNX file holds.

use super::proto::{DataType, EXTERNAL, Model, Tensor};
use crate::interop::tensors::Dtype;
use prost::Message;

/// Values of a file, brought to f32, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct OnnxTensor {
    /// Name of the initialiser, or of the output of the constant node.
    pub name: String,
    /// Lengths of the axes.
    pub shape: Vec<usize>,
    /// As many as the product of the shape.
    pub values: Vec<f32>,
}

/// A file that is no usable ONNX file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OnnxError {
    /// It cannot be taken apart.
    #[error("it is no ONNX file, or a part of one: {0}")]
    Form(String),
    /// Nothing is in it.
    #[error("it is no ONNX file: there is no graph in it")]
    NoGraph,
    /// A tensor cannot be used.
    #[error("its tensor {name} cannot be used: {reason}")]
    Tensor {
        /// Which.
        name: String,
        /// Why.
        reason: String,
    },
}

/// The floating-point tensors of an ONNX file in the order of the file: the initialisers, then the values of constant
/// nodes. Half, bfloat16 and double precision become f32; tensors of other types are left out.
///
/// # Errors
/// The bytes are no ONNX file or break off; a tensor has not as many values as its shape says; its values are in another
/// file.
///
/// ```
/// use njet::interop::onnx::read_tensors;
/// assert!(read_tensors(b"something else").is_err());
/// ```
pub fn read_tensors(bytes: &[u8]) -> Result<Vec<OnnxTensor>, OnnxError> {
    let model = Model::decode(bytes).map_err(|error| OnnxError::Form(error.to_string()))?;
    let graph = model.graph.ok_or(OnnxError::NoGraph)?;
    let constants = graph.node.into_iter().filter(|node| node.op_type == "Constant").filter_map(|node| {
        let name = node.output.into_iter().next()?;
        let value = node.attribute.into_iter().find(|attribute| attribute.name == "value")?.t?;
        Some(Tensor { name, ..value })
    });
    graph.initializer.into_iter().chain(constants).filter_map(|tensor| read(tensor).transpose()).collect()
}

/// `None` where it holds something else than floating-point numbers.
fn read(tensor: Tensor) -> Result<Option<OnnxTensor>, OnnxError> {
    let Tensor { name, dims, data_type, float_data, int32_data, raw_data, double_data, data_location } = tensor;
    let kinds = [DataType::Float, DataType::Float16, DataType::Double, DataType::Bfloat16];
    let Some(kind) = kinds.into_iter().find(|&kind| kind as i32 == data_type) else { return Ok(None) };
    let unusable = |reason: String| OnnxError::Tensor { name: name.clone(), reason };
    if data_location == EXTERNAL {
        return Err(unusable("its values are in another file; save the model as one file".to_owned()));
    }
    let shape: Option<Vec<usize>> = dims.iter().map(|&length| usize::try_from(length).ok()).collect();
    let shape = shape.ok_or_else(|| unusable(format!("its shape is {dims:?}")))?;
    let values = if raw_data.is_empty() {
        match kind {
            DataType::Double => double_data.into_iter().map(|v| v as f32).collect(),
            DataType::Float16 => int32_data.into_iter().map(|bits| half(bits as u16)).collect(),
            DataType::Bfloat16 => int32_data.into_iter().map(|bits| bfloat(bits as u16)).collect(),
            _ => float_data,
        }
    } else {
        unpacked(&raw_data, kind).ok_or_else(|| unusable(format!("{} bytes are no whole numbers", raw_data.len())))?
    };
    let expected = shape.iter().try_fold(1usize, |product, &length| product.checked_mul(length));
    if expected != Some(values.len()) {
        return Err(unusable(format!("it has {} values and the shape {shape:?}", values.len())));
    }
    Ok(Some(OnnxTensor { name, shape, values }))
}

/// Numbers from their little-endian bytes; `None` where a part of one is left over.
fn unpacked(bytes: &[u8], kind: DataType) -> Option<Vec<f32>> {
    fn numbers<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Option<Vec<f32>> {
        let (whole, rest) = bytes.as_chunks::<N>();
        rest.is_empty().then(|| whole.iter().map(|&bytes| number(bytes)).collect())
    }
    match kind {
        DataType::Double => numbers(bytes, |bytes| f64::from_le_bytes(bytes) as f32),
        DataType::Float16 => numbers(bytes, |bytes| half(u16::from_le_bytes(bytes))),
        DataType::Bfloat16 => numbers(bytes, |bytes| bfloat(u16::from_le_bytes(bytes))),
        _ => numbers(bytes, f32::from_le_bytes),
    }
}

/// From the bits of half precision.
fn half(bits: u16) -> f32 {
    Dtype::F16.decode(&bits.to_le_bytes(), false) as f32
}

/// From the upper half of the bits of an f32.
fn bfloat(bits: u16) -> f32 {
    Dtype::Bf16.decode(&bits.to_le_bytes(), false) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interop::onnx::proto::{Attribute, AttributeKind, Graph, Node};
    use proptest::prelude::*;

    fn tensor(name: &str, dims: &[i64], kind: DataType) -> Tensor {
        Tensor { name: name.to_owned(), dims: dims.to_vec(), data_type: kind as i32, ..Tensor::default() }
    }

    fn file(initializer: Vec<Tensor>) -> Vec<u8> {
        let constant = Tensor { float_data: vec![7.0], ..tensor("", &[], DataType::Float) };
        let attribute = Attribute {
            name: "value".to_owned(),
            t: Some(constant),
            kind: AttributeKind::Tensor as i32,
            ..Attribute::default()
        };
        let node = Node {
            op_type: "Constant".to_owned(),
            output: vec!["seven".to_owned()],
            attribute: vec![attribute],
            ..Node::default()
        };
        let graph = Graph { node: vec![node], initializer, ..Graph::default() };
        Model { ir_version: 8, graph: Some(graph), ..Model::default() }.encode_to_vec()
    }

    fn all_kinds() -> Vec<u8> {
        let values = [1.5f32, -2.0, 0.25, 1024.0];
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        file(vec![
            Tensor { raw_data: raw, ..tensor("raw", &[2, 2], DataType::Float) },
            Tensor { float_data: values.to_vec(), ..tensor("floats", &[4, 1], DataType::Float) },
            Tensor { double_data: vec![0.5, -3.0], ..tensor("doubles", &[2], DataType::Double) },
            Tensor { int32_data: vec![0x3e00, 0xc000, 0x0001], ..tensor("halves", &[3], DataType::Float16) },
            Tensor { raw_data: vec![0xc0, 0x3f, 0x00, 0xc0], ..tensor("bfloats", &[2], DataType::Bfloat16) },
            tensor("shape", &[4], DataType::Int64),
            tensor("none", &[0, 3], DataType::Float),
        ])
    }

    #[test]
    fn floats_of_all_kinds() {
        let tensors = read_tensors(&all_kinds()).unwrap();
        let found: Vec<_> =
            tensors.iter().map(|t| (t.name.as_str(), t.shape.as_slice(), t.values.as_slice())).collect();
        let values = [1.5, -2.0, 0.25, 1024.0];
        assert_eq!(
            found,
            [
                ("raw", &[2usize, 2][..], &values[..]),
                ("floats", &[4, 1], &values),
                ("doubles", &[2], &[0.5, -3.0]),
                ("halves", &[3], &[1.5, -2.0, 2f32.powi(-24)]),
                ("bfloats", &[2], &[1.5, -2.0]),
                ("none", &[0, 3], &[]),
                ("seven", &[], &[7.0]),
            ]
        );
        assert_eq!([half(0x7c00), half(0xfc00)], [f32::INFINITY, f32::NEG_INFINITY]);
        assert!(half(0x7e00).is_nan());
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let message = |tensor| read_tensors(&file(vec![tensor])).unwrap_err().to_string();
        let short = Tensor { float_data: vec![1.0; 5], ..tensor("w", &[2, 3], DataType::Float) };
        assert_eq!(message(short), "its tensor w cannot be used: it has 5 values and the shape [2, 3]");
        let negative = tensor("w", &[-1], DataType::Float);
        assert_eq!(message(negative), "its tensor w cannot be used: its shape is [-1]");
        let huge = tensor("w", &[i64::MAX, i64::MAX], DataType::Float);
        assert!(message(huge).contains("it has 0 values"));
        let odd = Tensor { raw_data: vec![0; 7], ..tensor("w", &[2], DataType::Float) };
        assert_eq!(message(odd), "its tensor w cannot be used: 7 bytes are no whole numbers");
        let elsewhere = Tensor { data_location: EXTERNAL, ..tensor("w", &[2], DataType::Float) };
        assert!(message(elsewhere).contains("in another file"));
        assert_eq!(read_tensors(&[]), Err(OnnxError::NoGraph));
    }

    #[test]
    fn a_part_of_a_file_is_an_error() {
        let whole = all_kinds();
        let graph = whole.len() - 2;
        for length in 0..whole.len() {
            let result = read_tensors(&whole[..length]);
            assert!(result.is_err(), "the first {length} of {graph} bytes");
        }
    }

    proptest! {
        /// Whatever a file holds, there is an answer.
        #[test]
        fn damage_does_no_harm(at in 0usize..400, to in any::<u8>(), rest in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = all_kinds();
            let at = at % bytes.len();
            bytes[at] = to;
            if let Ok(tensors) = read_tensors(&bytes) {
                for tensor in tensors {
                    prop_assert_eq!(tensor.values.len(), tensor.shape.iter().product::<usize>());
                }
            }
            let _ = read_tensors(&rest);
        }
    }
}
