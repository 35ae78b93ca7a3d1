//! `.npy`, NumPy's file of one array (NEP 1): a magic number, a version, a header that is a Python dictionary, the data.

use super::{Dtype, Fault, TensorEntry};
use std::ops::Range;

/// The array in these bytes of a file.
pub(super) fn read(file: &[u8], range: Range<usize>, name: String) -> Result<TensorEntry, Fault> {
    let bytes = &file[range.clone()];
    let cut_off = || Fault::damaged("the header is cut off");
    let major = *bytes.get(6).ok_or_else(cut_off)?;
    let (length, start) = match major {
        1 => (bytes.get(8..10).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]]))), 10),
        2 | 3 => (bytes.get(8..12).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize), 12),
        other => return Err(Fault::Refused(format!("version {other} of the NumPy format is not known"))),
    };
    let data = start + length.ok_or_else(cut_off)?;
    let header = bytes.get(start..data).ok_or_else(cut_off)?;
    let header = std::str::from_utf8(header).map_err(|_| Fault::damaged("the header is not text"))?;
    let Header { kind, big_endian, fortran, shape } = parse(header)?;
    let dtype = Dtype::of_numpy(&kind)
        .ok_or_else(|| Fault::Refused(format!("an array of the type {kind}, which is not read: convert it to f4")))?;
    // Column-major: the first axis has a step of one.
    let strides = fortran.then(|| {
        let before = shape.iter().scan(1usize, |step, &n| {
            let now = *step;
            *step = step.saturating_mul(n.max(1));
            Some(now)
        });
        before.collect()
    });
    let tensor = TensorEntry::new(name, shape, dtype, strides, range.start + data..range.end)?;
    Ok(TensorEntry { big_endian, ..tensor })
}

struct Header {
    /// Letter and size.
    kind: String,
    big_endian: bool,
    fortran: bool,
    shape: Vec<usize>,
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`, in any order of the keys.
fn parse(header: &str) -> Result<Header, Fault> {
    let missing = |key: &str| Fault::damaged(format!("the header has no {key} that can be read: {}", header.trim()));
    let after = |key: &str| {
        let place = header.find(&format!("'{key}'")).map(|place| place + key.len() + 2);
        let value = place.and_then(|place| header[place..].trim_start().strip_prefix(':'));
        value.map(str::trim_start).ok_or_else(|| missing(key))
    };
    let descr = after("descr")?;
    if descr.starts_with('[') {
        return Err(Fault::Refused("an array of records: save its columns apart".to_owned()));
    }
    let descr = descr.strip_prefix('\'').and_then(|d| d.split_once('\'')).ok_or_else(|| missing("descr"))?.0;
    let (big_endian, kind) = match descr.split_at_checked(1) {
        Some((">", kind)) => (true, kind),
        Some(("<" | "|" | "=", kind)) => (false, kind),
        _ => (false, descr),
    };
    let order = after("fortran_order")?;
    let fortran = match (order.starts_with("True"), order.starts_with("False")) {
        (true, _) => true,
        (_, true) => false,
        _ => return Err(missing("fortran_order")),
    };
    let inside = after("shape")?.strip_prefix('(').and_then(|s| s.split_once(')')).ok_or_else(|| missing("shape"))?.0;
    let sides = inside.split(',').map(str::trim).filter(|side| !side.is_empty());
    let shape = sides.map(|side| side.parse().map_err(|_| missing("shape"))).collect::<Result<_, _>>()?;
    Ok(Header { kind: kind.to_owned(), big_endian, fortran, shape })
}
