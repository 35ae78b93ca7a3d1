//! Files of `torch.save`: a ZIP archive with a pickled dict of tensors and a record for each of their storages.
//!
//! Everything is stored, nothing compressed, and the values begin at multiples of 64 bytes, as PyTorch writes them.
//! `torch.load(…, weights_only=True)` reads them.

use super::description;
use crate::interop::graph::{Array, Graph};
use flate2::Crc;
use serde_json::{Map, Value as Json, json};

/// A network of four gigabytes or more: ZIP cannot count that far in the form that is written here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the weights take {bytes} bytes, and a .pth file is written for less than 4 GiB: use --format safetensors")]
pub struct TooLarge {
    /// Of the weights.
    pub bytes: usize,
}

/// The network as the bytes of a file: the state dict for `torch.load`, and `njet.json` in the archive with the `graph`,
/// the list of its operations, and the metadata.
///
/// # Errors
/// Four gigabytes or more.
pub fn pth(graph: &Graph, metadata: &[(String, String)]) -> Result<Vec<u8>, TooLarge> {
    let parameters = graph.parameters();
    let bytes = parameters.iter().map(|(_, array)| 4 * array.values.len()).sum();
    // Room for names and headers.
    if bytes > u32::MAX as usize - (1 << 26) || parameters.len() > usize::from(u16::MAX) - 4 {
        return Err(TooLarge { bytes });
    }
    let metadata: Map<String, Json> = metadata.iter().map(|(k, v)| (k.clone(), Json::from(v.clone()))).collect();
    let about = json!({ "graph": description(graph), "metadata": metadata }).to_string();
    let mut archive = Archive::default();
    archive.put("data.pkl", &pickled(&parameters));
    archive.put("byteorder", b"little");
    for (number, (_, array)) in parameters.iter().enumerate() {
        let values: Vec<u8> = array.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        archive.put(&format!("data/{number}"), &values);
    }
    archive.put("version", b"3\n");
    archive.put("njet.json", about.as_bytes());
    Ok(archive.finish())
}

/// The dict in protocol 2 of pickle, each tensor as PyTorch rebuilds it from a storage.
fn pickled(parameters: &[(String, Array)]) -> Vec<u8> {
    let mut out = b"\x80\x02}(".to_vec();
    for (number, (name, array)) in parameters.iter().enumerate() {
        text(&mut out, name);
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut out, "storage");
        out.extend(b"ctorch\nFloatStorage\n");
        text(&mut out, &number.to_string());
        text(&mut out, "cpu");
        integer(&mut out, array.values.len());
        // A tuple, by which the archive knows the storage; and where the tensor begins in it.
        out.extend(b"tQ");
        integer(&mut out, 0);
        let mut strides: Vec<usize> = array
            .shape
            .iter()
            .rev()
            .scan(1, |step, length| {
                let stride = *step;
                *step *= length;
                Some(stride)
            })
            .collect();
        strides.reverse();
        for tuple in [&array.shape, &strides] {
            out.push(b'(');
            tuple.iter().for_each(|&value| integer(&mut out, value));
            out.push(b't');
        }
        // No gradient, no hooks.
        out.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    out.extend(b"u.");
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn integer(out: &mut Vec<u8>, value: usize) {
    match i32::try_from(value) {
        Ok(value) => {
            out.push(b'J');
            out.extend(value.to_le_bytes());
        }
        Err(_) => {
            // Eight bytes and a sign.
            out.extend([0x8a, 9]);
            out.extend((value as u64).to_le_bytes());
            out.push(0);
        }
    }
}

/// A ZIP archive (PKWARE, APPNOTE 6.3) of stored files below one directory.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    files: u16,
}

const ALIGNMENT: usize = 64;

impl Archive {
    fn put(&mut self, name: &str, contents: &[u8]) {
        let name = format!("archive/{name}");
        let mut crc = Crc::new();
        crc.update(contents);
        let at = self.bytes.len() as u32;
        let length = contents.len() as u32;
        let mut fields = Vec::new();
        // Version 2.0, no flags, stored, midnight of the first day that the format knows.
        for field in [20u16, 0, 0, 0, 33] {
            fields.extend(field.to_le_bytes());
        }
        for field in [crc.sum(), length, length] {
            fields.extend(field.to_le_bytes());
        }
        fields.extend((name.len() as u16).to_le_bytes());
        // An extra field of the right length puts the contents at their place, as PyTorch does it.
        let end = self.bytes.len() + 4 + fields.len() + 2 + name.len() + 4;
        let padding = end.next_multiple_of(ALIGNMENT) - end;
        self.bytes.extend(0x0403_4b50u32.to_le_bytes());
        self.bytes.extend(&fields);
        self.bytes.extend((4 + padding as u16).to_le_bytes());
        self.bytes.extend(name.as_bytes());
        self.bytes.extend(b"FB");
        self.bytes.extend((padding as u16).to_le_bytes());
        self.bytes.resize(self.bytes.len() + padding, b'Z');
        self.bytes.extend(contents);
        self.directory.extend(0x0201_4b50u32.to_le_bytes());
        self.directory.extend(20u16.to_le_bytes());
        self.directory.extend(&fields);
        // No extra field, no comment, first disk, no attributes.
        self.directory.extend([0; 12]);
        self.directory.extend(at.to_le_bytes());
        self.directory.extend(name.as_bytes());
        self.files += 1;
    }

    fn finish(mut self) -> Vec<u8> {
        let (at, length) = (self.bytes.len() as u32, self.directory.len() as u32);
        self.bytes.extend(self.directory);
        self.bytes.extend(0x0605_4b50u32.to_le_bytes());
        self.bytes.extend([0; 4]);
        for count in [self.files; 2] {
            self.bytes.extend(count.to_le_bytes());
        }
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend(at.to_le_bytes());
        self.bytes.extend([0; 2]);
        self.bytes
    }
}
