//! Just enough of zip (PKWARE's APPNOTE) for what `torch.save` and `numpy.savez` write: entries that are stored, not
//! compressed, and zip64.

use super::Fault;
use std::ops::Range;

/// A stored file inside an archive.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Where its bytes are.
    pub(super) bytes: Range<usize>,
}

/// Entries of an archive, at most: far beyond any model.
const MOST_ENTRIES: usize = 1 << 20;

/// The entries by the central directory.
pub(super) fn entries(file: &[u8]) -> Result<Vec<Entry>, Fault> {
    let (count, start) = central_directory(file)?;
    if count > MOST_ENTRIES {
        return Err(Fault::damaged(format!("its directory promises {count} entries")));
    }
    let mut entries = Vec::new();
    let (mut at, mut left) = (start, file.len());
    for _ in 0..count {
        let (entry, next) = entry(file, at, &mut left)?;
        entries.extend(entry);
        at = next;
    }
    Ok(entries)
}

fn cut_off() -> Fault {
    Fault::damaged("it is cut off")
}

fn u16_at(file: &[u8], at: usize) -> Result<usize, Fault> {
    let bytes = file.get(at..).and_then(|rest| rest.first_chunk()).ok_or_else(cut_off)?;
    Ok(usize::from(u16::from_le_bytes(*bytes)))
}

fn u32_at(file: &[u8], at: usize) -> Result<usize, Fault> {
    let bytes = file.get(at..).and_then(|rest| rest.first_chunk()).ok_or_else(cut_off)?;
    Ok(u32::from_le_bytes(*bytes) as usize)
}

fn u64_at(file: &[u8], at: usize) -> Result<usize, Fault> {
    let bytes = file.get(at..).and_then(|rest| rest.first_chunk()).ok_or_else(cut_off)?;
    usize::try_from(u64::from_le_bytes(*bytes)).map_err(|_| cut_off())
}

/// Number of entries, and where the directory of them starts.
fn central_directory(file: &[u8]) -> Result<(usize, usize), Fault> {
    // At the very end but for a comment of at most 65 535 bytes.
    let least = file.len().saturating_sub(22 + 65_535);
    let end = (least..file.len().saturating_sub(21)).rev().find(|&at| file[at..].starts_with(b"PK\x05\x06"));
    let end = end.ok_or_else(|| Fault::damaged("it has no directory at its end, so it is cut off"))?;
    let (count, start) = (u16_at(file, end + 10)?, u32_at(file, end + 16)?);
    if count < 0xffff && start < 0xffff_ffff {
        return Ok((count, start));
    }
    // Zip64: a locator of 20 bytes before, and its record.
    let locator = end.checked_sub(20).filter(|&at| file[at..].starts_with(b"PK\x06\x07"));
    let Some(locator) = locator else { return Ok((count, start)) };
    let record = u64_at(file, locator + 8)?;
    if !file.get(record..).is_some_and(|rest| rest.starts_with(b"PK\x06\x06")) {
        return Err(Fault::damaged("its zip64 directory is not where it should be"));
    }
    Ok((u64_at(file, record + 32)?, u64_at(file, record + 48)?))
}

/// The entry whose header in the directory is at `at`, unless it is a directory itself, and where the next one is. `left`:
/// bytes that no entry before has; what many have in common would be read for the checksum of each.
fn entry(file: &[u8], at: usize, left: &mut usize) -> Result<(Option<Entry>, usize), Fault> {
    if !file.get(at..).is_some_and(|rest| rest.starts_with(b"PK\x01\x02")) {
        return Err(Fault::damaged("its directory is damaged or cut off"));
    }
    let (flags, method) = (u16_at(file, at + 8)?, u16_at(file, at + 10)?);
    let crc = u32_at(file, at + 16)? as u32;
    let (packed, size) = (u32_at(file, at + 20)?, u32_at(file, at + 24)?);
    let (name_length, extra, comment) = (u16_at(file, at + 28)?, u16_at(file, at + 30)?, u16_at(file, at + 32)?);
    let local = u32_at(file, at + 42)?;
    let name_end = at + 46 + name_length;
    let name = file.get(at + 46..name_end).ok_or_else(cut_off)?;
    let name = String::from_utf8_lossy(name).into_owned();
    let next = name_end + extra + comment;
    if name.ends_with('/') {
        return Ok((None, next));
    }
    let [size, packed, local] = zip64(file, name_end..name_end + extra, [size, packed, local])?;
    if flags & 1 != 0 {
        return Err(Fault::Refused(format!("an encrypted archive ({name}): unpack it first")));
    }
    if method != 0 || packed != size {
        let advice = "unpack it and pack it without compression (`zip -0`), or load it in PyTorch and save it again";
        return Err(Fault::Refused(format!(
            "a compressed archive ({name}), which torch.save does not write: {advice}"
        )));
    }
    if !file.get(local..).is_some_and(|rest| rest.starts_with(b"PK\x03\x04")) {
        return Err(Fault::damaged(format!("{name} is not where its directory says")));
    }
    // Name and extra fields of the local header may have other lengths than those of the directory.
    let start = local + 30 + u16_at(file, local + 26)? + u16_at(file, local + 28)?;
    let end = start.checked_add(size).filter(|&end| end <= file.len());
    let bytes = start..end.ok_or_else(|| Fault::damaged(format!("{name} is cut off")))?;
    *left = left.checked_sub(size).ok_or_else(|| Fault::damaged("its entries overlap"))?;
    // PyTorch writes zero where it was told to leave the checksum out.
    if crc != 0 && crc32(&file[bytes.clone()]) != crc {
        return Err(Fault::damaged(format!("the checksum of {name} is wrong")));
    }
    Ok((Some(Entry { name, bytes }), next))
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Size, packed size and place from the zip64 extra field, each only where the short one is full.
fn zip64(file: &[u8], extra: Range<usize>, short: [usize; 3]) -> Result<[usize; 3], Fault> {
    let mut values = short;
    let mut at = extra.start;
    while at + 4 <= extra.end {
        let (id, length) = (u16_at(file, at)?, u16_at(file, at + 2)?);
        if id == 1 {
            let mut place = at + 4;
            for value in &mut values {
                if *value == 0xffff_ffff {
                    *value = u64_at(file, place)?;
                    place += 8;
                }
            }
            break;
        }
        at += 4 + length;
    }
    Ok(values)
}
