//! A machine for Python's pickles that can build nothing but what a file of tensors consists of.
//!
//! A pickle is a program for a stack machine, and Python's own machine calls any function that the program names. This
//! one calls none: the few that `torch.save` needs are understood ([`Callable`]), and any other name is an error. Each
//! instruction takes a bounded amount of memory, values are shared and never copied, so no short pickle makes a large
//! heap of objects; the walk over the result ([`Pickle::tensors`]) is bounded in depth and in length.

use super::{Dtype, Fault};
use std::collections::HashMap;

/// Objects that a pickle may make: some forty for each tensor of a model.
const MOST_OBJECTS: usize = 1 << 23;

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
        let pickle = Self { bytes, objects: Vec::new(), root: 0, storages: Vec::new(), built: Vec::new(), length: 0 };
        Machine { pickle, at: 0, stack: Vec::new(), marks: Vec::new(), memo: Vec::new(), copied: 0 }.run()
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
        self.items(self.root)?.iter().map(|&id| self.key(id)).collect()
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

struct Machine<'a> {
    pickle: Pickle<'a>,
    at: usize,
    stack: Vec<Id>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: Vec<Option<Id>>,
    /// Entries of dictionaries made from lists.
    copied: usize,
}

fn cut_off() -> Fault {
    Fault::damaged("the pickle is cut off")
}

fn senseless(what: &str) -> Fault {
    Fault::damaged(format!("the pickle makes no sense: {what}"))
}

impl<'a> Machine<'a> {
    fn take(&mut self, length: usize) -> Result<(usize, &'a [u8]), Fault> {
        let start = self.at;
        let bytes = start.checked_add(length).and_then(|end| self.pickle.bytes.get(start..end)).ok_or_else(cut_off)?;
        self.at += length;
        Ok((start, bytes))
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        Ok(self.take(1)?.1[0])
    }

    /// A little-endian number of `length` bytes.
    fn number(&mut self, length: usize) -> Result<usize, Fault> {
        let (_, bytes) = self.take(length)?;
        let mut word = [0; 8];
        word[..length].copy_from_slice(bytes);
        usize::try_from(u64::from_le_bytes(word)).map_err(|_| cut_off())
    }

    /// Up to the end of a line.
    fn line(&mut self) -> Result<(usize, &'a str), Fault> {
        let rest = &self.pickle.bytes[self.at..];
        let length = rest.iter().position(|&byte| byte == b'\n').ok_or_else(cut_off)?;
        let (start, bytes) = self.take(length)?;
        self.at += 1;
        let text = std::str::from_utf8(bytes).map_err(|_| senseless("a line is not text"))?;
        Ok((start, text.strip_suffix('\r').unwrap_or(text)))
    }

    fn push(&mut self, object: Object) -> Result<(), Fault> {
        if self.pickle.objects.len() >= MOST_OBJECTS {
            return Err(Fault::Refused(format!("a pickle of more than {MOST_OBJECTS} objects: no state dict")));
        }
        let id = self.pickle.objects.len() as Id;
        self.pickle.objects.push(object);
        self.stack.push(id);
        Ok(())
    }

    fn text(&mut self, length: usize) -> Result<(), Fault> {
        let (start, _) = self.take(length)?;
        self.push(Object::Text(start, start + length))
    }

    fn skipped(&mut self, length: usize) -> Result<(), Fault> {
        self.take(length)?;
        self.push(Object::Other)
    }

    fn pop(&mut self) -> Result<Id, Fault> {
        let bottom = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= bottom {
            return Err(senseless("it takes more from the stack than there is"));
        }
        Ok(self.stack.pop().expect("not empty"))
    }

    fn top(&mut self) -> Result<Id, Fault> {
        let id = self.pop()?;
        self.stack.push(id);
        Ok(id)
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, Fault> {
        let mark = self.marks.pop().ok_or_else(|| senseless("a mark is missing"))?;
        Ok(self.stack.split_off(mark))
    }

    fn run(mut self) -> Result<Pickle<'a>, Fault> {
        loop {
            let opcode = self.byte()?;
            if opcode == b'.' {
                self.pickle.root = self.pop()?;
                self.pickle.length = self.at;
                return Ok(self.pickle);
            }
            self.step(opcode)?;
        }
    }

    /// One instruction; the names are those of Python's pickletools.
    fn step(&mut self, opcode: u8) -> Result<(), Fault> {
        match opcode {
            0x80 => match self.byte()? {
                0..=5 => Ok(()),
                protocol => Err(Fault::Refused(format!("a pickle of protocol {protocol}, which is not known"))),
            },
            // FRAME: how long a stretch of it is, which nobody needs who has all of it.
            0x95 => self.take(8).map(|_| ()),
            // Numbers.
            b'J' => {
                let number = self.number(4)? as u32 as i32;
                self.push(Object::Int(number.into()))
            }
            b'K' => {
                let number = self.number(1)? as i64;
                self.push(Object::Int(number))
            }
            b'M' => {
                let number = self.number(2)? as i64;
                self.push(Object::Int(number))
            }
            b'I' | b'L' => {
                let (_, text) = self.line()?;
                let object = match (opcode, text) {
                    (b'I', "00") => Object::Bool(false),
                    (b'I', "01") => Object::Bool(true),
                    _ => text.trim_end_matches('L').parse().map_or(Object::Other, Object::Int),
                };
                self.push(object)
            }
            0x8a | 0x8b => {
                let length = self.number(if opcode == 0x8a { 1 } else { 4 })?;
                let (_, bytes) = self.take(length)?;
                let object = if length > 8 { Object::Other } else { Object::Int(signed(bytes)) };
                self.push(object)
            }
            b'F' => {
                self.line()?;
                self.push(Object::Other)
            }
            b'G' => self.skipped(8),
            b'N' => self.push(Object::Other),
            0x88 => self.push(Object::Bool(true)),
            0x89 => self.push(Object::Bool(false)),
            // Text and bytes.
            b'X' | b'T' => {
                let length = self.number(4)?;
                self.text(length)
            }
            0x8c | b'U' => {
                let length = self.number(1)?;
                self.text(length)
            }
            0x8d => {
                let length = self.number(8)?;
                self.text(length)
            }
            b'V' => {
                let (start, text) = self.line()?;
                self.push(Object::Text(start, start + text.len()))
            }
            b'S' => {
                let (start, text) = self.line()?;
                let quoted = text.len() >= 2 && text.starts_with(['\'', '"']);
                let (from, to) = if quoted { (1, text.len() - 1) } else { (0, text.len()) };
                self.push(Object::Text(start + from, start + to))
            }
            b'C' => {
                let length = self.number(1)?;
                self.skipped(length)
            }
            b'B' => {
                let length = self.number(4)?;
                self.skipped(length)
            }
            0x8e | 0x96 => {
                let length = self.number(8)?;
                self.skipped(length)
            }
            // Containers.
            b'(' => {
                self.marks.push(self.stack.len());
                if self.marks.len() > MOST_OBJECTS {
                    return Err(senseless("marks without end"));
                }
                Ok(())
            }
            b')' => self.push(Object::Tuple(Vec::new())),
            0x85..=0x87 => {
                let mut items = Vec::new();
                for _ in 0x84..opcode {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.push(Object::Tuple(items))
            }
            b't' => {
                let items = self.pop_mark()?;
                self.push(Object::Tuple(items))
            }
            b']' => self.push(Object::List(Vec::new())),
            b'l' => {
                let items = self.pop_mark()?;
                self.push(Object::List(items))
            }
            b'}' => self.push(Object::Dict(Vec::new())),
            b'd' => {
                let items = self.pop_mark()?;
                let pairs = pairs(&items)?;
                self.push(Object::Dict(pairs))
            }
            0x8f => self.push(Object::Other),
            0x90 | b'1' => self.pop_mark().map(|_| ()),
            0x91 => {
                self.pop_mark()?;
                self.push(Object::Other)
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])
            }
            b'e' => {
                let items = self.pop_mark()?;
                self.append(items)
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(vec![(key, value)])
            }
            b'u' => {
                let items = self.pop_mark()?;
                let pairs = pairs(&items)?;
                self.set(pairs)
            }
            // Stack and memo.
            b'0' => {
                // As in Python, a mark on top goes instead.
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                    return Ok(());
                }
                self.pop().map(|_| ())
            }
            b'2' => {
                let id = self.top()?;
                self.stack.push(id);
                Ok(())
            }
            b'g' | b'h' | b'j' => {
                let number = match opcode {
                    b'g' => self.line()?.1.parse().map_err(|_| senseless("a memo without a number"))?,
                    b'h' => self.number(1)?,
                    _ => self.number(4)?,
                };
                let id = self.memo.get(number).copied().flatten();
                self.stack.push(id.ok_or_else(|| senseless("it remembers what it was not told"))?);
                Ok(())
            }
            b'p' | b'q' | b'r' | 0x94 => {
                let number = match opcode {
                    b'p' => self.line()?.1.parse().map_err(|_| senseless("a memo without a number"))?,
                    b'q' => self.number(1)?,
                    b'r' => self.number(4)?,
                    _ => self.memo.len(),
                };
                self.remember(number)
            }
            // Names and calls.
            b'c' => {
                let (_, module) = self.line()?;
                let (_, name) = self.line()?;
                self.named(module, name)
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let text = |id| self.pickle.text(id).ok_or_else(|| senseless("a name that is no text"));
                let (module, name) = (text(module)?, text(name)?);
                self.named(&module, &name)
            }
            b'R' | 0x81 => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                self.call(callable, arguments)
            }
            0x92 => {
                let (_, arguments, callable) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(callable, arguments)
            }
            // BUILD: attributes of an object. A state dict has its `_metadata` there.
            b'b' => self.pop().map(|_| ()),
            b'Q' => {
                let id = self.pop()?;
                self.storage(id)
            }
            b'P' => Err(senseless("a storage without a description")),
            b'i' | b'o' => Err(Fault::Refused("a pickle that makes objects of old classes: no state dict".to_owned())),
            0x82..=0x84 => Err(Fault::Refused("a pickle with extension codes: no state dict".to_owned())),
            0x97 | 0x98 => Err(Fault::Refused("a pickle whose data is elsewhere (out-of-band buffers)".to_owned())),
            other => Err(senseless(&format!("{other:#04x} at byte {} is no instruction", self.at - 1))),
        }
    }

    fn remember(&mut self, number: usize) -> Result<(), Fault> {
        let id = self.top()?;
        // Numbers count up as objects are made.
        if number > self.pickle.objects.len() + 1024 {
            return Err(senseless("a memo far beyond its objects"));
        }
        if number >= self.memo.len() {
            self.memo.resize(number + 1, None);
        }
        self.memo[number] = Some(id);
        Ok(())
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), Fault> {
        let id = self.top()?;
        match &mut self.pickle.objects[id as usize] {
            Object::List(list) => list.extend(items),
            Object::Other => {}
            _ => return Err(senseless("it appends to what is no list")),
        }
        Ok(())
    }

    fn set(&mut self, pairs: Vec<(Id, Id)>) -> Result<(), Fault> {
        let id = self.top()?;
        match &mut self.pickle.objects[id as usize] {
            Object::Dict(entries) => entries.extend(pairs),
            Object::Other => {}
            _ => return Err(senseless("it sets entries of what is no dictionary")),
        }
        Ok(())
    }

    fn named(&mut self, module: &str, name: &str) -> Result<(), Fault> {
        let callable = Callable::of(module, name).ok_or_else(|| {
            Fault::Refused(format!(
                "the pickle asks for {:?}, and only tensors and dictionaries are made here, nothing is executed: in \
                 PyTorch, save the state dict alone, `torch.save(model.state_dict(), …)`, or save it as .safetensors",
                shortened(&format!("{module}.{name}"))
            ))
        })?;
        self.push(Object::Callable(callable))
    }

    fn call(&mut self, callable: Id, arguments: Id) -> Result<(), Fault> {
        let &Object::Callable(callable) = self.pickle.object(callable) else {
            // What a described class made may itself be called: numpy's dtype instances are not, so nothing is.
            return Err(senseless("it calls what is no function"));
        };
        let arguments = self.pickle.items(arguments).filter(|arguments| arguments.len() <= MOST_AXES);
        let arguments = arguments.ok_or_else(|| senseless("arguments that are no tuple"))?.to_vec();
        match callable {
            Callable::OrderedDict => {
                let mut entries = Vec::new();
                if let Some(&first) = arguments.first() {
                    let items = self.pickle.items(first).unwrap_or_default();
                    // The only place where a value is copied.
                    self.copied += items.len();
                    if self.copied > MOST_OBJECTS {
                        return Err(senseless("it copies without end"));
                    }
                    for &pair in items {
                        match self.pickle.items(pair) {
                            Some(&[key, value]) => entries.push((key, value)),
                            _ => return Err(senseless("an OrderedDict of what are no pairs")),
                        }
                    }
                }
                self.push(Object::Dict(entries))
            }
            Callable::RebuildTensor => {
                let tensor = self.tensor(&arguments)?;
                self.pickle.built.push(tensor);
                self.push(Object::Tensor(self.pickle.built.len() - 1))
            }
            Callable::RebuildParameter => match arguments.first().map(|&id| self.pickle.object(id)) {
                Some(&Object::Tensor(number)) => self.push(Object::Tensor(number)),
                _ => Err(senseless("a parameter that is no tensor")),
            },
            Callable::Storage(_) => Err(senseless("a storage without its bytes")),
            Callable::Described => self.push(Object::Other),
        }
    }

    /// `(storage, offset, size, stride, …)`
    fn tensor(&self, arguments: &[Id]) -> Result<Tensor, Fault> {
        let &[storage, offset, size, stride, ..] = arguments else {
            return Err(senseless("a tensor with too few arguments"));
        };
        let &Object::Storage(storage) = self.pickle.object(storage) else {
            return Err(senseless("a tensor without a storage"));
        };
        let counts = |id: Id, what: &str| -> Result<Vec<usize>, Fault> {
            let items = self.pickle.items(id).filter(|items| items.len() <= MOST_AXES);
            let items = items.ok_or_else(|| senseless(what))?;
            items.iter().map(|&item| self.pickle.count(item, what)).collect()
        };
        let offset = self.pickle.count(offset, "the offset of a tensor")?;
        Ok(Tensor { storage, offset, shape: counts(size, "a shape")?, strides: counts(stride, "a stride")? })
    }

    /// `('storage', class, key, location, elements[, view])`
    fn storage(&mut self, id: Id) -> Result<(), Fault> {
        let described = || senseless("a storage without a description");
        let items = self.pickle.items(id).ok_or_else(described)?;
        let &[kind, class, key, _, len, ref view @ ..] = items else { return Err(described()) };
        if self.pickle.text(kind).as_deref() != Some("storage") {
            return Err(described());
        }
        let &Object::Callable(Callable::Storage(dtype)) = self.pickle.object(class) else {
            return Err(senseless("a storage of no known type"));
        };
        // Of old files, `(key, first element, elements)`: a storage inside a storage.
        let first = match view.first().map(|&id| self.pickle.object(id)) {
            Some(Object::Tuple(fields)) if fields.len() == 3 => self.pickle.count(fields[1], "the start of a view")?,
            _ => 0,
        };
        let key = self.pickle.key(key).ok_or_else(described)?;
        let len = self.pickle.count(len, "the length of a storage")?;
        self.pickle.storages.push(Storage { key, dtype, len, first });
        self.push(Object::Storage(self.pickle.storages.len() - 1))
    }
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, Fault> {
    match items.as_chunks() {
        (pairs, []) => Ok(pairs.iter().map(|&[key, value]| (key, value)).collect()),
        _ => Err(senseless("a key without a value")),
    }
}

/// A little-endian number in two's complement, of at most eight bytes.
fn signed(bytes: &[u8]) -> i64 {
    let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
    let mut word = [if negative { 0xff } else { 0 }; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    i64::from_le_bytes(word)
}

/// Of a name that fills the screen, the beginning.
fn shortened(name: &str) -> String {
    if name.chars().count() <= 80 { name.to_owned() } else { name.chars().take(80).chain(['…']).collect() }
}
