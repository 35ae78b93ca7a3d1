//! The stack machine that a pickle is a program for.

use super::{Callable, Id, MOST_AXES, MOST_OBJECTS, MOST_TENSORS, Object, Pickle, Storage, Tensor};
use crate::interop::tensors::Fault;

pub(super) struct Machine<'a> {
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
    /// At the beginning of the pickle that `bytes` begin with.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let pickle = Pickle { bytes, objects: Vec::new(), root: 0, storages: Vec::new(), built: Vec::new(), length: 0 };
        Self { pickle, at: 0, stack: Vec::new(), marks: Vec::new(), memo: Vec::new(), copied: 0 }
    }

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

    /// Runs to the end of the pickle.
    pub(super) fn run(mut self) -> Result<Pickle<'a>, Fault> {
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
                few(self.pickle.built.len())?;
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
        few(self.pickle.storages.len())?;
        self.pickle.storages.push(Storage { key, dtype, len, first });
        self.push(Object::Storage(self.pickle.storages.len() - 1))
    }
}

/// An error where there are so many tensors or storages that another would be one too many.
fn few(count: usize) -> Result<(), Fault> {
    if count < MOST_TENSORS {
        return Ok(());
    }
    Err(Fault::Refused(format!("a pickle of more than {MOST_TENSORS} tensors: no state dict")))
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
