//! Files of safetensors: eight bytes with the length of a JSON header, the header, the values.
//!
//! Written out here because the bytes are to be the same each time: the crate keeps metadata in random order.

use super::description;
use crate::interop::graph::{Array, Graph};
use serde_json::{Map, Value as Json, json};

/// The network as the bytes of a file: the state dict, and in the metadata `graph`, the list of its operations as JSON, beside
/// what is given.
pub fn safetensors(graph: &Graph, metadata: &[(String, String)]) -> Vec<u8> {
    let graph_entry = ("graph".to_owned(), description(graph).to_string());
    let metadata: Vec<_> = std::iter::once(graph_entry).chain(metadata.iter().cloned()).collect();
    arrays(&graph.parameters(), &metadata)
}

/// Arrays with their names as the bytes of a file.
///
/// ```
/// use njet::interop::{graph::Array, state_dict::arrays};
/// let bytes = arrays(&[("x".to_owned(), Array::vector(vec![1.0, 2.0]))], &[]);
/// let length = u64::from_le_bytes(bytes[..8].try_into()?) as usize;
/// assert_eq!(bytes.len(), 8 + length + 8);
/// assert!(bytes[8..].starts_with(br#"{"x":{"data_offsets":[0,8],"dtype":"F32","shape":[2]}}"#));
/// # Ok::<(), std::array::TryFromSliceError>(())
/// ```
pub fn arrays(arrays: &[(String, Array)], metadata: &[(String, String)]) -> Vec<u8> {
    let mut header = Map::new();
    if !metadata.is_empty() {
        let entries = metadata.iter().map(|(key, value)| (key.clone(), Json::from(value.clone())));
        header.insert("__metadata__".to_owned(), entries.collect::<Map<_, _>>().into());
    }
    let mut at = 0;
    for (name, array) in arrays {
        let end = at + 4 * array.values.len();
        header.insert(name.clone(), json!({ "dtype": "F32", "shape": array.shape, "data_offsets": [at, end] }));
        at = end;
    }
    let mut header = Json::from(header).to_string().into_bytes();
    // The values begin at a multiple of eight.
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = Vec::with_capacity(8 + header.len() + at);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header);
    for (_, array) in arrays {
        bytes.extend(array.values.iter().flat_map(|value| value.to_le_bytes()));
    }
    bytes
}
