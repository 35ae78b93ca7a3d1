//! A checksum inside a safetensors file, so that a flipped bit does not pass for a weight.
//!
//! The header's metadata have one entry for it, eight hexadecimal digits: the CRC-32 of the whole file with zeros in their
//! place. Other readers of the format take it for what it is, a line of metadata. Files without one are read unchecked.

/// The entry of the metadata.
pub(super) const KEY: &str = "crc32";

/// What stands in its place until the rest of the file is there.
pub(super) const ZEROS: &str = "00000000";

/// Where the digits stand in a file.
fn digits(bytes: &[u8]) -> Option<std::ops::Range<usize>> {
    let length = u64::from_le_bytes(*bytes.first_chunk()?);
    let header = bytes.get(8..usize::try_from(length).ok()?.checked_add(8)?)?;
    let entry = format!("\"{KEY}\":\"");
    let start = header.windows(entry.len()).position(|window| window == entry.as_bytes())? + 8 + entry.len();
    let range = start..start + ZEROS.len();
    (bytes.get(range.end) == Some(&b'"')).then_some(range)
}

fn crc32(parts: [&[u8]; 3]) -> u32 {
    let mut crc = flate2::Crc::new();
    parts.iter().for_each(|part| crc.update(part));
    crc.sum()
}

fn sum(bytes: &[u8], digits: &std::ops::Range<usize>) -> String {
    format!("{:08x}", crc32([&bytes[..digits.start], ZEROS.as_bytes(), &bytes[digits.end..]]))
}

/// Writes the checksum over the zeros in its entry; a file without the entry stays as it is.
pub(super) fn seal(bytes: &mut [u8]) {
    if let Some(digits) = digits(bytes) {
        let sum = sum(bytes, &digits);
        bytes[digits].copy_from_slice(sum.as_bytes());
    }
}

/// Whether the bytes are those that were sealed; also true of a file that never was.
pub(super) fn intact(bytes: &[u8]) -> bool {
    digits(bytes).is_none_or(|digits| bytes[digits.clone()] == *sum(bytes, &digits).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(metadata: &str) -> Vec<u8> {
        let header = format!("{{\"__metadata__\":{{{metadata}}}}}");
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[1, 2, 3, 4, 5]].concat()
    }

    #[test]
    fn any_flipped_bit_of_the_data_is_found() {
        let mut bytes = file("\"crc32\":\"00000000\"");
        assert!(!intact(&bytes), "not yet sealed");
        seal(&mut bytes);
        assert!(intact(&bytes));
        for at in bytes.len() - 5..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(!intact(&damaged), "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn files_without_a_checksum_pass() {
        for bytes in [file(""), file("\"producer\":\"njet\""), file("\"crc32\":\"12\""), Vec::new(), vec![255; 20]] {
            let mut sealed = bytes.clone();
            seal(&mut sealed);
            assert_eq!(sealed, bytes);
            assert!(intact(&bytes));
        }
    }
}
