//! A machine for Python's pickles that can build nothing but what a file of tensors consists of.
//!
//! A pickle is a program for a stack machine, and Python's own machine calls any function that the program names. This
//! one calls none: the few that `torch.save` needs are understood ([`Callable`]), and any other name is an error. Each
//! instruction takes a bounded amount of memory, values are shared and never copied, so no short pickle makes a large
//! heap of objects; the walk over the result ([`Pickle::tensors`]) is bounded in depth and in length.

mod machine;

use super::{Dtype, Fault};
use machine::Machine;
use std::collections::HashMap;

/// Objects that a pickle may make: some forty for each tensor of a model.
const MOST_OBJECTS: usize = 1 << 23;

/// Storages, tensors and keys of storages, of each: they take up to a kilobyte where the instructions that make them take
/// a few bytes.
const MOST_TENSORS: usize = 1 << 18;

/// Dictionaries inside dictionaries.
const MOST_DEPTH: usize = 64;

/// Entries of dictionaries visited in search of tensors.
const MOST_VISITED: usize = 1 << 18;

/// Bytes of a key, or of keys joined.
const LONGEST_NAME: usize = 1024;

/// Axes of a tensor, and arguments of a call.
const MOST_AXES: usize = 64;

/// The number of an object in [`Pickle::objects`].
type Id = u32;

/// A value that a pickle has built.
#[derive(Debug)]
enum Object {
    /// Anything that is understood but of no use: a number, a flag, a class that only describes.
    Other,
    Int(i64),
    Bool(bool),
    /// Start and end in the pickle.
    Text(usize, usize),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Callable(Callable),
    Storage(usize),
    Tensor(usize),
}

/// The functions and classes that a pickle may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Callable {
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2`, or the version before.
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`: a tensor with a flag.
    RebuildParameter,
    /// A class of storages.
    Storage(Dtype),
    /// What describes and is not used: sizes, devices, types, NumPy's numbers, the arguments of a program.
    Described,
}

impl Callable {
    fn of(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Self::RebuildParameter,
            ("torch" | "torch.storage", class) if Dtype::of_storage(class).is_some() => {
                Self::Storage(Dtype::of_storage(class)?)
            }
            ("torch", "Size" | "device" | "dtype") => Self::Described,
            ("torch", "float32" | "float64" | "float16" | "bfloat16" | "int64" | "int32" | "int16" | "int8") => {
                Self::Described
            }
            ("torch", "uint8" | "bool" | "strided" | "contiguous_format" | "channels_last") => Self::Described,
            ("torch.serialization", "_get_layout") => Self::Described,
            ("collections", "defaultdict" | "Counter") => Self::Described,
            ("builtins" | "__builtin__", "set" | "frozenset" | "dict" | "list" | "int" | "float") => Self::Described,
            ("numpy", "dtype" | "ndarray") => Self::Described,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar" | "_reconstruct") => Self::Described,
            ("_codecs", "encode") => Self::Described,
            ("argparse", "Namespace") => Self::Described,
            _ => return None,
        })
    }
}

/// A storage that a pickle names.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Storage {
    /// By which its bytes are found.
    pub(super) key: String,
    pub(super) dtype: Dtype,
    /// Elements.
    pub(super) len: usize,
    /// The element that counts as the first: not 0 in some very old files.
    pub(super) first: usize,
}

/// A tensor on a storage.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    /// Number of its storage.
    pub(super) storage: usize,
    /// Elements before its first one.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// What a pickle has built.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    bytes: &'a [u8],
    objects: Vec<Object>,
    root: Id,
    pub(super) storages: Vec<Storage>,
    built: Vec<Tensor>,
    /// Bytes that the pickle takes.
    pub(super) length: usize,
}

impl<'a> Pickle<'a> {
    /// Runs the pickle that `bytes` begin with.
    pub(super) fn run(bytes: &'a [u8]) -> Result<Self, Fault> {
        Machine::new(bytes).run()
    }

    fn object(&self, id: Id) -> &Object {
        &self.objects[id as usize]
    }

    /// A text that can be a name. It may be asked for as often as the pickle likes, so it must be short.
    fn text(&self, id: Id) -> Option<String> {
        match *self.object(id) {
            Object::Text(start, end) if end - start <= LONGEST_NAME => {
                Some(String::from_utf8_lossy(&self.bytes[start..end]).into_owned())
            }
            _ => None,
        }
    }

    /// A key of a dictionary or of a storage.
    fn key(&self, id: Id) -> Option<String> {
        match *self.object(id) {
            Object::Int(number) => Some(number.to_string()),
            _ => self.text(id),
        }
    }

    fn count(&self, id: Id, what: &str) -> Result<usize, Fault> {
        match *self.object(id) {
            Object::Int(number) => usize::try_from(number).ok(),
            _ => None,
        }
        .ok_or_else(|| Fault::damaged(format!("{what} is no number of elements")))
    }

    fn items(&self, id: Id) -> Option<&[Id]> {
        match self.object(id) {
            Object::Tuple(items) | Object::List(items) => Some(items),
            _ => None,
        }
    }

    /// The root as a number.
    pub(super) fn as_int(&self) -> Option<i64> {
        match *self.object(self.root) {
            Object::Int(number) => Some(number),
            _ => None,
        }
    }

    /// The root as a list of keys.
    pub(super) fn as_keys(&self) -> Option<Vec<String>> {
        self.items(self.root).filter(|keys| keys.len() <= MOST_TENSORS)?.iter().map(|&id| self.key(id)).collect()
    }

    /// Entry `name` of the root, a flag.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        let Object::Dict(entries) = self.object(self.root) else { return None };
        let (_, value) = entries.iter().rev().find(|(key, _)| self.text(*key).as_deref() == Some(name))?;
        match *self.object(*value) {
            Object::Bool(flag) => Some(flag),
            _ => None,
        }
    }

    /// The tensors in the dictionaries of the root, by their keys joined with dots, in the order they were put in.
    pub(super) fn tensors(&self) -> Result<Vec<(String, &Tensor)>, Fault> {
        let mut found = Vec::new();
        match self.object(self.root) {
            Object::Dict(_) => self.walk(self.root, "", 0, &mut 0, &mut found)?,
            Object::Tensor(number) => found.push(("tensor".to_owned(), &self.built[*number])),
            Object::List(_) | Object::Tuple(_) => {
                for (number, &id) in self.items(self.root).unwrap_or_default().iter().enumerate() {
                    if let Object::Tensor(tensor) = *self.object(id) {
                        found.push((number.to_string(), &self.built[tensor]));
                    }
                }
            }
            _ => {}
        }
        // As in Python, the last value of a key counts.
        let last: HashMap<&str, usize> = found.iter().enumerate().map(|(i, (name, _))| (name.as_str(), i)).collect();
        let keep: Vec<bool> = found.iter().enumerate().map(|(i, (name, _))| last[name.as_str()] == i).collect();
        let mut keep = keep.into_iter();
        found.retain(|_| keep.next().unwrap_or(false));
        Ok(found)
    }

    fn walk<'s>(
        &'s self,
        id: Id,
        prefix: &str,
        depth: usize,
        visited: &mut usize,
        found: &mut Vec<(String, &'s Tensor)>,
    ) -> Result<(), Fault> {
        let Object::Dict(entries) = self.object(id) else { return Ok(()) };
        if depth > MOST_DEPTH {
            return Err(Fault::Refused(format!(
                "a pickle with dictionaries more than {MOST_DEPTH} deep: no state dict"
            )));
        }
        for &(key, value) in entries {
            *visited += 1;
            if *visited > MOST_VISITED {
                return Err(Fault::Refused(format!("a pickle with more than {MOST_VISITED} entries: no state dict")));
            }
            let Some(key) = self.key(key) else { continue };
            let name = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
            if name.len() > LONGEST_NAME {
                continue;
            }
            match self.object(value) {
                Object::Tensor(number) => found.push((name, &self.built[*number])),
                Object::Dict(_) => self.walk(value, &name, depth + 1, visited, found)?,
                _ => {}
            }
        }
        Ok(())
    }
}
