//! Tensors in the files of other programs: `.safetensors`, `.npy`, `.onnx`, and what `torch.save` writes.
//!
//! The form of a file is told by its bytes, not by its name. Nothing in a file is executed, no header is trusted: what
//! a file says about itself is checked against the bytes that it has.
//!
//! ```no_run
//! use njet::interop::tensors::TensorFile;
//!
//! let file = TensorFile::open("model.pth".as_ref())?;
//! for tensor in file.tensors() {
//!     println!("{} {:?}", tensor.name, tensor.shape);
//! }
//! let weights: Vec<f32> = file.values(file.get("features.0.weight").unwrap())?;
//! # Ok::<(), njet::interop::tensors::TensorError>(())
//! ```

mod dtype;
mod npy;
mod pickle;
mod pytorch;
mod zip;

pub use dtype::Dtype;

use crate::interop::onnx::read_tensors;
use safetensors::SafeTensors;
use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The forms of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Hugging Face's.
    Safetensors,
    /// One array of NumPy.
    Npy,
    /// The initialisers and constants of an ONNX graph.
    Onnx,
    /// `torch.save` since PyTorch 1.6: a zip archive of a pickle and storages.
    PytorchZip,
    /// `torch.save` before: pickles and storages in a row.
    PytorchLegacy,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Safetensors => "safetensors file",
            Self::Npy => "NumPy array",
            Self::Onnx => "ONNX file",
            Self::PytorchZip => "PyTorch archive",
            Self::PytorchLegacy => "PyTorch pickle",
        })
    }
}

/// A file that tensors cannot be read from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// The system refused.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The first bytes are those of no known form.
    #[error(
        "{}: {found}; tensors are read from .safetensors, .npy, .onnx, and .pth or .pt as `torch.save` writes them",
        path.display()
    )]
    Unknown {
        /// The file.
        path: PathBuf,
        /// What it seems to be.
        found: &'static str,
    },
    /// The file contradicts itself, or is cut off.
    #[error("{}: the {format} is damaged: {reason}; download or save it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What it should be.
        format: Format,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is sound, or may be, but holds more than tensors in a form that is read.
    #[error("{}: {reason}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What it holds, and what to do.
        reason: String,
    },
}

/// Why the bytes of a file make no tensors; the file and its form are added where it is opened.
#[derive(Debug)]
enum Fault {
    Damaged(String),
    Refused(String),
}

impl Fault {
    fn damaged(reason: impl Into<String>) -> Self {
        Self::Damaged(reason.into())
    }
}

/// A tensor of a file: all but its values.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorEntry {
    /// As in the file; inside dictionaries of a pickle, with their keys and dots before.
    pub name: String,
    /// Outermost first; empty for a single number.
    pub shape: Vec<usize>,
    /// Type of the elements in the file.
    pub dtype: Dtype,
    /// Steps from element to element along each axis, in elements.
    strides: Vec<usize>,
    /// Its bytes in the file, from the first element on.
    bytes: Range<usize>,
    big_endian: bool,
}

impl TensorEntry {
    /// Elements. Checked to be countable when the file was opened.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the elements lie one after another, the last axis first. An axis of one has no step.
    fn is_row_major(&self) -> bool {
        let axes = self.shape.iter().zip(&self.strides).rev();
        let expected = axes.scan(1usize, |step, (&n, &stride)| {
            let fits = n == 1 || stride == *step;
            *step = step.saturating_mul(n);
            Some(fits)
        });
        expected.into_iter().all(|fits| fits)
    }

    /// A tensor on `bytes` of a file; `strides` in elements, row-major where `None`.
    fn new(
        name: String,
        shape: Vec<usize>,
        dtype: Dtype,
        strides: Option<Vec<usize>>,
        bytes: Range<usize>,
    ) -> Result<Self, Fault> {
        let too_large = || Fault::damaged(format!("the tensor {name} of shape {shape:?} is larger than the file"));
        let len = shape.iter().try_fold(1usize, |len, &n| len.checked_mul(n)).ok_or_else(too_large)?;
        let row_major = || {
            let mut strides = vec![1usize; shape.len()];
            for axis in (1..shape.len()).rev() {
                strides[axis - 1] = strides[axis].saturating_mul(shape[axis].max(1));
            }
            strides
        };
        let strides = strides.unwrap_or_else(row_major);
        if strides.len() != shape.len() {
            return Err(Fault::damaged(format!("the tensor {name} has {} strides for {shape:?}", strides.len())));
        }
        if len > 0 {
            let last = shape.iter().zip(&strides).try_fold(0usize, |last, (&n, &step)| {
                (n - 1).checked_mul(step).and_then(|reach| last.checked_add(reach))
            });
            let needed = last.and_then(|last| last.checked_add(1)).and_then(|n| n.checked_mul(dtype.size()));
            if needed.is_none_or(|needed| needed > bytes.len()) {
                return Err(too_large());
            }
            // Steps of zero would let a few bytes stand for any number of elements.
            if len > bytes.len() {
                return Err(too_large());
            }
        }
        Ok(Self { name, shape, dtype, strides, bytes, big_endian: false })
    }
}

/// A file of tensors, in memory.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    format: Format,
    bytes: Vec<u8>,
    tensors: Vec<TensorEntry>,
}

impl TensorFile {
    /// Reads a file and finds its tensors.
    ///
    /// # Errors
    /// The file cannot be read, is of no known form, is damaged, or asks for more than tensors.
    pub fn open(path: &Path) -> Result<Self, TensorError> {
        let io = |source| TensorError::Io { path: path.to_owned(), source };
        if path.is_dir() {
            return Err(TensorError::Unknown { path: path.to_owned(), found: "a directory" });
        }
        Self::from_bytes(path, fs::read(path).map_err(io)?)
    }

    /// Finds the tensors in the bytes of a file, which `path` names in errors.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(path: &Path, mut bytes: Vec<u8>) -> Result<Self, TensorError> {
        let format = detect(&bytes).map_err(|found| TensorError::Unknown { path: path.to_owned(), found })?;
        let stem = path.file_stem().map_or_else(|| "array".to_owned(), |stem| stem.to_string_lossy().into_owned());
        let tensors = match format {
            Format::Safetensors => safetensors(&bytes),
            Format::Onnx => onnx(&bytes).map(|(tensors, values)| {
                bytes = values;
                tensors
            }),
            Format::Npy => npy::read(&bytes, 0..bytes.len(), stem).map(|tensor| vec![tensor]),
            Format::PytorchZip => pytorch::read_zip(&bytes),
            Format::PytorchLegacy => pytorch::read_legacy(&bytes),
        };
        match tensors {
            Ok(tensors) => Ok(Self { path: path.to_owned(), format, bytes, tensors }),
            Err(Fault::Damaged(reason)) => Err(TensorError::Damaged { path: path.to_owned(), format, reason }),
            Err(Fault::Refused(reason)) => Err(TensorError::Refused { path: path.to_owned(), reason }),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its form.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Its tensors: of a pickle in the order they were saved, else in that of the file.
    pub fn tensors(&self) -> &[TensorEntry] {
        &self.tensors
    }

    /// The tensor of a name.
    pub fn get(&self, name: &str) -> Option<&TensorEntry> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// The values of a tensor of this file, row-major, rounded to f32.
    ///
    /// # Errors
    /// The elements are not numbers of a kind that is read.
    pub fn values(&self, tensor: &TensorEntry) -> Result<Vec<f32>, TensorError> {
        Ok(self.values_f64(tensor)?.into_iter().map(|value| value as f32).collect())
    }

    /// The values of a tensor of this file, row-major.
    ///
    /// # Errors
    /// The elements are not numbers of a kind that is read.
    pub fn values_f64(&self, tensor: &TensorEntry) -> Result<Vec<f64>, TensorError> {
        let bytes = &self.bytes[tensor.bytes.clone()];
        let size = tensor.dtype.size();
        if tensor.is_row_major() {
            let elements = bytes.chunks_exact(size).take(tensor.len());
            return Ok(elements.map(|element| tensor.dtype.decode(element, tensor.big_endian)).collect());
        }
        let mut values = Vec::with_capacity(tensor.len());
        let mut place = vec![0usize; tensor.shape.len()];
        for _ in 0..tensor.len() {
            let at = size * place.iter().zip(&tensor.strides).map(|(i, step)| i * step).sum::<usize>();
            values.push(tensor.dtype.decode(&bytes[at..at + size], tensor.big_endian));
            // The next place, the last axis first.
            for axis in (0..place.len()).rev() {
                place[axis] += 1;
                if place[axis] < tensor.shape[axis] {
                    break;
                }
                place[axis] = 0;
            }
        }
        Ok(values)
    }
}

/// The form of a file by its first bytes, or what it seems to be instead.
fn detect(bytes: &[u8]) -> Result<Format, &'static str> {
    let header = bytes.first_chunk::<8>().map(|length| u64::from_le_bytes(*length));
    match bytes {
        [] => Err("the file is empty"),
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Ok(Format::Npy),
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Ok(Format::PytorchZip),
        _ if header.is_some_and(|length| length < 1 << 30) && bytes.get(8) == Some(&b'{') => Ok(Format::Safetensors),
        // Protocol buffers: the first field, the version of the format.
        [8, 1..=30, ..] => Ok(Format::Onnx),
        // Protocol 2 and up; torch.save writes nothing older.
        [0x80, 2..=5, ..] => Ok(Format::PytorchLegacy),
        // Protocol 0 with a call at its start: read, so that the error can name what it calls.
        [b'c', b'a'..=b'z' | b'_', ..] if bytes.iter().take(80).any(|&byte| byte == b'\n') => Ok(Format::PytorchLegacy),
        _ if bytes.get(257..262) == Some(b"ustar") => {
            Err("a tar archive, which PyTorch wrote before 2017: load it in PyTorch and save it again")
        }
        [0x1f, 0x8b, ..] => Err("a gzip file: unpack it first"),
        [0x89, b'H', b'D', b'F', ..] => Err("an HDF5 file: save its weights as .npy or .safetensors"),
        _ => Err("no file of tensors that is known"),
    }
}

/// The tensors of an ONNX file, and the bytes of their values: they lie in no order in the file.
fn onnx(bytes: &[u8]) -> Result<(Vec<TensorEntry>, Vec<u8>), Fault> {
    let found = read_tensors(bytes).map_err(|e| Fault::damaged(e.to_string()))?;
    let mut values = Vec::with_capacity(bytes.len());
    let mut tensors = Vec::with_capacity(found.len());
    for tensor in found {
        let start = values.len();
        values.extend(tensor.values.iter().flat_map(|value| value.to_le_bytes()));
        tensors.push(TensorEntry::new(tensor.name, tensor.shape, Dtype::F32, None, start..values.len())?);
    }
    Ok((tensors, values))
}

fn safetensors(bytes: &[u8]) -> Result<Vec<TensorEntry>, Fault> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| Fault::damaged(e.to_string()))?;
    let mut tensors = Vec::new();
    for (name, view) in file.iter() {
        let dtype = Dtype::of_safetensors(view.dtype()).ok_or_else(|| {
            Fault::Refused(format!("the tensor {name} has elements of the type {:?}, which are not read", view.dtype()))
        })?;
        let start = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
        let range = start..start + view.data().len();
        tensors.push(TensorEntry::new(name.to_owned(), view.shape().to_vec(), dtype, None, range)?);
    }
    // In the order of their bytes: the crate's own order changes from run to run.
    tensors.sort_by(|a, b| (a.bytes.start, &a.name).cmp(&(b.bytes.start, &b.name)));
    Ok(tensors)
}
