//! What `torch.save` writes.
//!
//! Since PyTorch 1.6 a zip archive: `NAME/data.pkl`, the pickle; `NAME/data/KEY`, a storage each; `NAME/byteorder`.
//! Before, a row of pickles (a magic number, a version, the machine, the object, the keys of the storages) and then the
//! storages, each with its number of elements before it.

use super::pickle::{Pickle, Storage, Tensor};
use super::zip::{self, Entry};
use super::{Fault, TensorEntry, npy};
use std::collections::HashMap;
use std::ops::Range;

/// The tensors of a zip archive: of `torch.save`, or the arrays of `numpy.savez`.
pub(super) fn read_zip(file: &[u8]) -> Result<Vec<TensorEntry>, Fault> {
    let entries = zip::entries(file)?;
    let pickle = entries.iter().find(|entry| entry.name == "data.pkl" || entry.name.ends_with("/data.pkl"));
    let Some(pickle) = pickle else { return arrays(file, &entries) };
    let prefix = &pickle.name[..pickle.name.len() - "data.pkl".len()];
    let by_name: HashMap<&str, &Range<usize>> =
        entries.iter().map(|entry| (entry.name.as_str(), &entry.bytes)).collect();
    if let Some(order) = by_name.get(format!("{prefix}byteorder").as_str())
        && !file[(*order).clone()].trim_ascii().eq(b"little")
    {
        return Err(big_endian());
    }
    let pickle = Pickle::run(&file[pickle.bytes.clone()])?;
    let storage = |storage: &Storage| {
        let bytes = by_name.get(format!("{prefix}data/{}", storage.key).as_str()).copied().cloned();
        bytes.ok_or_else(|| Fault::damaged(format!("the archive has no storage {}", storage.key)))
    };
    tensors(&pickle, storage)
}

fn big_endian() -> Fault {
    Fault::Refused("it was saved by a big-endian machine: load it in PyTorch and save it again".to_owned())
}

fn arrays(file: &[u8], entries: &[Entry]) -> Result<Vec<TensorEntry>, Fault> {
    let arrays = entries.iter().filter_map(|entry| Some((entry, entry.name.strip_suffix(".npy")?)));
    let arrays: Vec<_> =
        arrays.map(|(entry, name)| npy::read(file, entry.bytes.clone(), name.to_owned())).collect::<Result<_, _>>()?;
    if arrays.is_empty() {
        return Err(Fault::Refused("a zip archive without tensors: neither torch.save nor numpy.savez made it".into()));
    }
    Ok(arrays)
}

/// 0x1950a86a20f9469cfc6c, which is longer than eight bytes, behind LONG1 and its length.
const MAGIC: [u8; 14] = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// The tensors of a row of pickles.
pub(super) fn read_legacy(file: &[u8]) -> Result<Vec<TensorEntry>, Fault> {
    if !file.starts_with(&MAGIC) {
        // Some pickle. It may still be a state dict, but one without storages: what it asks for says more.
        let pickle = Pickle::run(file)?;
        return match pickle.tensors()?.is_empty() {
            true => Err(Fault::Refused("a pickle without tensors: save a state dict with torch.save".to_owned())),
            false => Err(Fault::damaged("its tensors have no storages")),
        };
    }
    let mut at = 0;
    let mut next = || -> Result<Pickle<'_>, Fault> {
        let pickle = Pickle::run(&file[at..])?;
        at += pickle.length;
        Ok(pickle)
    };
    next()?;
    let version = next()?;
    if version.as_int() != Some(1001) {
        return Err(Fault::Refused("a version of torch.save that is not known".to_owned()));
    }
    if next()?.flag("little_endian") != Some(true) {
        return Err(big_endian());
    }
    let pickle = next()?;
    let keys = next()?.as_keys().ok_or_else(|| Fault::damaged("it does not name its storages"))?;
    // Every storage in the order of its key: eight bytes that count its elements, and its elements.
    let of_key: HashMap<&str, &Storage> =
        pickle.storages.iter().map(|storage| (storage.key.as_str(), storage)).collect();
    let mut places = HashMap::new();
    for key in &keys {
        let storage = of_key.get(key.as_str());
        let storage = storage.ok_or_else(|| Fault::damaged(format!("nothing is said about storage {key}")))?;
        let cut_off = || Fault::damaged(format!("storage {key} is cut off"));
        let count = file.get(at..).and_then(|rest| rest.first_chunk()).ok_or_else(cut_off)?;
        let bytes = usize::try_from(u64::from_le_bytes(*count)).ok().and_then(|n| n.checked_mul(storage.dtype.size()));
        let end = bytes.and_then(|bytes| (at + 8).checked_add(bytes)).filter(|&end| end <= file.len());
        let end = end.ok_or_else(cut_off)?;
        places.insert(key.as_str(), at + 8..end);
        at = end;
    }
    tensors(&pickle, |storage| {
        let bytes = places.get(storage.key.as_str()).cloned();
        bytes.ok_or_else(|| Fault::damaged(format!("it has no storage {}", storage.key)))
    })
}

/// The tensors of a pickle on the bytes of their storages.
fn tensors(
    pickle: &Pickle<'_>,
    mut bytes: impl FnMut(&Storage) -> Result<Range<usize>, Fault>,
) -> Result<Vec<TensorEntry>, Fault> {
    let named = pickle.tensors()?;
    if named.is_empty() {
        return Err(Fault::Refused("a pickle without tensors: save a state dict with torch.save".to_owned()));
    }
    let mut tensors = Vec::with_capacity(named.len());
    for (name, tensor) in named {
        let Tensor { storage, offset, shape, strides } = tensor;
        let storage = &pickle.storages[*storage];
        let range = bytes(storage)?;
        let size = storage.dtype.size();
        let beyond = || Fault::damaged(format!("the tensor {name} begins beyond its storage"));
        let first = storage.first.checked_add(*offset).and_then(|first| first.checked_mul(size));
        let start = first.and_then(|first| range.start.checked_add(first)).filter(|&start| start <= range.end);
        if storage.len.checked_mul(size).is_none_or(|declared| declared > range.len()) {
            return Err(Fault::damaged(format!("storage {} is shorter than is said of it", storage.key)));
        }
        let range = start.ok_or_else(beyond)?..range.end;
        tensors.push(TensorEntry::new(name, shape.clone(), storage.dtype, Some(strides.clone()), range)?);
    }
    Ok(tensors)
}
