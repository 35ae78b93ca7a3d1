//! A mask file to class indices.
//!
//! What counts is the number that is stored, not a colour: of a palette the index, and of one, two and four bits the
//! value as it is. 255 says that a pixel is to be ignored, and so does 65,535 in 16 bits.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::codecs::tiff::TiffDecoder;
use image::{ColorType, ExtendedColorType, ImageDecoder, ImageFormat};
use png::{BitDepth, ColorType as PngColour, Transformations};

use super::IGNORED;
use crate::data::decode::{MOST_PIXELS, bytes, format};
use crate::data::{DataError, Unusable};

/// Class indices as a file has them.
///
/// # Shapes
///
/// - classes: `[height, width]`, row-major
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// The numbers that are stored, 65,535 made 255.
    pub classes: Vec<u16>,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Mask {
    /// The first pixel that is neither a class below `classes` nor to be ignored: (class, row, column).
    pub fn beyond(&self, classes: usize) -> Option<(u16, usize, usize)> {
        let bad = |&class: &u16| usize::from(class) >= classes && class != u16::from(IGNORED);
        let at = self.classes.iter().position(bad)?;
        Some((self.classes[at], at / self.width, at % self.width))
    }
}

/// Reads a mask: PNG in grey or with a palette, or TIFF in grey or with a palette of 8 bits, of up to 16 bits.
///
/// # Errors
///
/// [`DataError::UnusableMask`] with the file and the reason: it cannot be read, is of another format, is damaged, or holds
/// colours or transparency instead of indices.
pub fn read_mask(path: impl AsRef<Path>) -> Result<Mask, DataError> {
    let path = path.as_ref();
    read(path, MOST_PIXELS).map_err(|reason| DataError::UnusableMask { path: path.to_path_buf(), reason })
}

pub(super) fn read(path: &Path, most_pixels: u64) -> Result<Mask, Unusable> {
    let bytes = bytes(path)?;
    // Decoders are third-party code that is fed whatever files there are: their panic is one bad mask.
    catch_unwind(AssertUnwindSafe(|| decode(bytes, most_pixels)))
        .unwrap_or_else(|_| Err(Unusable::Damaged("the decoder gave up".to_owned())))
}

fn decode(bytes: Vec<u8>, most_pixels: u64) -> Result<Mask, Unusable> {
    let mut mask = match format(&bytes)? {
        ImageFormat::Png => png(&bytes, most_pixels)?,
        ImageFormat::Tiff => tiff(bytes, most_pixels)?,
        ImageFormat::Jpeg => return Err(Unusable::NotIndices("a JPEG, which alters values")),
        _ => return Err(Unusable::NotIndices("an image of another format than PNG and TIFF")),
    };
    let ignored = mask.classes.iter_mut().filter(|class| **class == u16::MAX);
    ignored.for_each(|class| *class = u16::from(IGNORED));
    Ok(mask)
}

fn checked_size([height, width]: [u32; 2], most: u64) -> Result<[usize; 2], Unusable> {
    if u64::from(width) * u64::from(height) > most {
        return Err(Unusable::TooManyPixels { height, width, most });
    }
    if width == 0 || height == 0 {
        return Err(Unusable::Damaged(format!("it has no pixels ({height}×{width})")));
    }
    Ok([height as usize, width as usize])
}

fn png(bytes: &[u8], most_pixels: u64) -> Result<Mask, Unusable> {
    let damaged = |error: png::DecodingError| Unusable::Damaged(error.to_string());
    let limits = png::Limits { bytes: usize::try_from(most_pixels.saturating_mul(8)).unwrap_or(usize::MAX) };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    // As they are stored: no palette looked up, no bits spread.
    decoder.set_transformations(Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(damaged)?;
    let info = reader.info();
    let [height, width] = checked_size([info.height, info.width], most_pixels)?;
    let depth = info.bit_depth;
    match info.color_type {
        PngColour::Grayscale | PngColour::Indexed => {}
        PngColour::Rgb => return Err(Unusable::NotIndices("colours (RGB)")),
        PngColour::Rgba => return Err(Unusable::NotIndices("colours with transparency (RGBA)")),
        PngColour::GrayscaleAlpha => return Err(Unusable::NotIndices("grey with transparency")),
    }
    let length = reader.output_buffer_size().ok_or_else(|| Unusable::Damaged("its size overflows".to_owned()))?;
    let mut packed = vec![0; length];
    reader.next_frame(&mut packed).map_err(damaged)?;
    let row = packed.len() / height;
    let classes = match depth {
        BitDepth::Sixteen => {
            let values = packed.as_chunks::<2>().0;
            values.iter().map(|&pair| u16::from_be_bytes(pair)).collect()
        }
        BitDepth::Eight => packed.iter().map(|&v| u16::from(v)).collect(),
        BitDepth::One | BitDepth::Two | BitDepth::Four => {
            let bits = depth as usize;
            // The leftmost pixel is in the highest bits; a row begins with a byte of its own.
            let value = |row: &[u8], x: usize| {
                let shift = 8 - bits - x * bits % 8;
                u16::from(row[x * bits / 8] >> shift) & ((1 << bits) - 1)
            };
            packed.chunks_exact(row).flat_map(|row| (0..width).map(move |x| value(row, x))).collect()
        }
    };
    Ok(Mask { classes, height, width })
}

fn tiff(mut bytes: Vec<u8>, most_pixels: u64) -> Result<Mask, Unusable> {
    let damaged = |error: image::ImageError| Unusable::Damaged(error.to_string());
    palette_as_grey(&mut bytes);
    let decoder = TiffDecoder::new(Cursor::new(bytes)).map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    let [height, width] = checked_size([height, width], most_pixels)?;
    let (colour, stored) = (decoder.color_type(), decoder.original_color_type());
    let total = decoder.total_bytes();
    let mut samples = vec![0; usize::try_from(total).map_err(|_| Unusable::TooManyBytes(total))?];
    match colour {
        ColorType::L8 | ColorType::L16 => decoder.read_image(&mut samples).map_err(damaged)?,
        ColorType::La8 | ColorType::La16 => return Err(Unusable::NotIndices("grey with transparency")),
        _ => return Err(Unusable::NotIndices("colours or fractions")),
    }
    let classes = match (colour, stored) {
        // One bit is spread to 0 and 255.
        (_, ExtendedColorType::L1) => samples.iter().map(|&v| u16::from(v > 0)).collect(),
        (ColorType::L16, _) => {
            let values = samples.as_chunks::<2>().0;
            values.iter().map(|&pair| u16::from_ne_bytes(pair)).collect()
        }
        _ => samples.iter().map(|&v| u16::from(v)).collect(),
    };
    Ok(Mask { classes, height, width })
}

/// Declares a palette image grey, in its first directory: so the decoder, which knows no palettes, hands out the
/// indices. What is not built as it should be is left to the decoder to complain of.
fn palette_as_grey(bytes: &mut [u8]) {
    const PHOTOMETRIC: u64 = 262;
    const SHORT: u64 = 3;
    const GREY: u16 = 1;
    const PALETTE: u64 = 3;
    let little = bytes.starts_with(b"II");
    let number = |bytes: &[u8], at: usize, length: usize| -> Option<u64> {
        let bytes = bytes.get(at..at.checked_add(length)?)?;
        let join = |sum: u64, &byte: &u8| sum << 8 | u64::from(byte);
        Some(if little { bytes.iter().rev().fold(0, join) } else { bytes.iter().fold(0, join) })
    };
    let mut declare = || -> Option<()> {
        // Classic TIFF has 4-byte offsets and entries of 12 bytes, BigTIFF 8-byte offsets and entries of 20.
        let big = number(bytes, 2, 2)? == 43;
        let [offset_at, offset, count, entry, value] = if big { [8, 8, 8, 20, 12] } else { [4, 4, 2, 12, 8] };
        let directory = usize::try_from(number(bytes, offset_at, offset)?).ok()?;
        let entries = number(bytes, directory, count)?.min(1 << 16) as usize;
        let first = directory.checked_add(count)?;
        for at in (0..entries).map(|i| first.saturating_add(i * entry)) {
            if number(bytes, at, 2)? == PHOTOMETRIC && number(bytes, at + 2, 2)? == SHORT {
                if number(bytes, at + value, 2)? == PALETTE {
                    let grey = if little { GREY.to_le_bytes() } else { GREY.to_be_bytes() };
                    bytes[at + value..][..2].copy_from_slice(&grey);
                }
                return Some(());
            }
        }
        None
    };
    declare();
}
