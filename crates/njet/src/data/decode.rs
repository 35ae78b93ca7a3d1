//! An image file's bytes to samples: PNG, JPEG, BMP, GIF, WebP and TIFF, told apart by their first bytes.
//!
//! Whatever the file holds becomes bytes of one or three channels: 16 bits are rounded to 8, CMYK becomes RGB,
//! transparency lies over black, of an animation the first frame is taken, and an orientation in the EXIF data is
//! obeyed. An image all of whose pixels are grey has one channel, whatever the format.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{AnimationDecoder, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use serde::{Serialize, Serializer};

use super::{DataError, Image};

/// Images of more pixels are not decoded unless asked for: 100 megapixels take 300 MB and more.
pub const MOST_PIXELS: u64 = 100_000_000;

/// Files of more bytes are not read: an image of [`MOST_PIXELS`] in 16 bits with transparency, not compressed.
const MOST_BYTES: u64 = 8 * MOST_PIXELS;

const FORMATS: [ImageFormat; 6] =
    [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::WebP, ImageFormat::Tiff];

/// Why a file cannot be used as an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unusable {
    /// The file has no bytes.
    #[error("the file is empty")]
    Empty,
    /// A directory, a device, a pipe …
    #[error("not a regular file")]
    NotAFile,
    /// The operating system refused.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// The first bytes are of no format that is known.
    #[error("not an image in PNG, JPEG, BMP, GIF, WebP or TIFF")]
    UnknownFormat,
    /// The header promises more pixels than are decoded.
    #[error("{height}×{width} pixels are more than the {most} that are decoded")]
    TooManyPixels {
        /// Rows.
        height: u32,
        /// Columns.
        width: u32,
        /// The limit.
        most: u64,
    },
    /// The file is too long for an image.
    #[error("{0} bytes are more than an image takes")]
    TooManyBytes(u64),
    /// The format is known, but the rest does not follow it, or in a way that is not supported.
    #[error("damaged: {0}")]
    Damaged(String),
    /// The format can hold class indices, but this file does not.
    #[error("not class indices but {0}")]
    NotIndices(&'static str),
}

impl Serialize for Unusable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An image, and what of the file was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) image: Image<'static>,
    /// It has further frames.
    pub(crate) animated: bool,
}

/// Reads an image file: PNG, JPEG, BMP, GIF, WebP or TIFF, whatever its name, of at most [`MOST_PIXELS`].
///
/// # Errors
///
/// [`DataError::UnusableImage`] with the file and the reason.
pub fn read_image(path: impl AsRef<Path>) -> Result<Image<'static>, DataError> {
    let path = path.as_ref();
    let failed = |reason| DataError::UnusableImage { path: path.to_path_buf(), reason };
    read(path, MOST_PIXELS).map(|decoded| decoded.image).map_err(failed)
}

/// [`read_image`] with another limit, and the reason alone where it fails.
pub(crate) fn read(path: &Path, most_pixels: u64) -> Result<Decoded, Unusable> {
    let bytes = bytes(path)?;
    // Decoders are third-party code that is fed whatever files there are: their panic is one bad image.
    catch_unwind(AssertUnwindSafe(|| decode(&bytes, most_pixels)))
        .unwrap_or_else(|_| Err(Unusable::Damaged("the decoder gave up".to_owned())))
}

/// The bytes of a file that begins as an image.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, Unusable> {
    let refused = |error: std::io::Error| Unusable::Unreadable(error.to_string());
    // Before opening: opening a pipe would wait for its writer.
    let metadata = fs::metadata(path).map_err(refused)?;
    if !metadata.is_file() {
        return Err(Unusable::NotAFile);
    }
    let mut file = File::open(path).map_err(refused)?;
    // A large file of another kind is not read to its end.
    let mut bytes = Vec::new();
    file.by_ref().take(16).read_to_end(&mut bytes).map_err(refused)?;
    format(&bytes)?;
    if metadata.len() > MOST_BYTES {
        return Err(Unusable::TooManyBytes(metadata.len()));
    }
    file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(refused)?;
    Ok(bytes)
}

/// The format that a file's first bytes tell.
pub(crate) fn format(bytes: &[u8]) -> Result<ImageFormat, Unusable> {
    if bytes.is_empty() {
        return Err(Unusable::Empty);
    }
    let guess = image::guess_format(bytes).ok();
    guess.filter(|format| FORMATS.contains(format)).ok_or(Unusable::UnknownFormat)
}

/// The image in a file's bytes.
pub(super) fn decode(bytes: &[u8], most_pixels: u64) -> Result<Decoded, Unusable> {
    let damaged = |error: image::ImageError| Unusable::Damaged(error.to_string());
    let format = format(bytes)?;
    if format == ImageFormat::Jpeg && !jpeg_ends(bytes) {
        return Err(Unusable::Damaged("the JPEG data are cut off".to_owned()));
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(most_pixels.saturating_mul(16));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > most_pixels {
        return Err(Unusable::TooManyPixels { height, width, most: most_pixels });
    }
    if width == 0 || height == 0 {
        return Err(Unusable::Damaged(format!("it has no pixels ({height}×{width})")));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    picture.apply_orientation(orientation);
    Ok(Decoded { image: samples(picture), animated: animated(format, bytes) })
}

/// Channels, one after another; one where all are the same.
fn samples(picture: DynamicImage) -> Image<'static> {
    let [height, width] = [picture.height() as usize, picture.width() as usize];
    let interleaved: Vec<u8> = if picture.color().has_alpha() {
        let over_black = |v: u8, a: u8| ((u16::from(v) * u16::from(a) + 127) / 255) as u8;
        let pixels = picture.into_rgba8().into_raw();
        pixels.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, a]| [r, g, b].map(|v| over_black(v, a))).collect()
    } else if picture.color().has_color() {
        picture.into_rgb8().into_raw()
    } else {
        let pixels = Cow::Owned(picture.into_luma8().into_raw());
        return Image { pixels, channels: 1, height, width };
    };
    let (pixels, _) = interleaved.as_chunks::<3>();
    let channels = if pixels.iter().all(|[r, g, b]| r == g && g == b) { 1 } else { 3 };
    let planes = (0..channels).flat_map(|channel| pixels.iter().map(move |pixel| pixel[channel])).collect();
    Image { pixels: Cow::Owned(planes), channels, height, width }
}

/// Whether there are further frames. What cannot be told counts as no: the first frame has been decoded.
fn animated(format: ImageFormat, bytes: &[u8]) -> bool {
    let bytes = Cursor::new(bytes);
    match format {
        ImageFormat::Gif => {
            GifDecoder::new(bytes).is_ok_and(|gif| gif.into_frames().take(2).filter(Result::is_ok).count() == 2)
        }
        ImageFormat::Png => PngDecoder::new(bytes).and_then(|png| png.is_apng()).unwrap_or(false),
        ImageFormat::WebP => WebPDecoder::new(bytes).is_ok_and(|webp| webp.has_animation()),
        _ => false,
    }
}

/// Whether a JPEG stream has its end marker. Decoders fill what is missing with grey and say nothing.
fn jpeg_ends(bytes: &[u8]) -> bool {
    const SCAN: u8 = 0xda;
    // Segments before the first scan are stepped over: a preview among them has an end marker of its own.
    let mut at = 2;
    while let Some(&[0xff, kind, high, low]) = bytes.get(at..at + 4).and_then(|b| <&[u8; 4]>::try_from(b).ok()) {
        if kind == 0xff {
            at += 1; // a fill byte
            continue;
        }
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
        if kind == SCAN {
            return bytes.get(at..).is_some_and(|scan| scan.windows(2).any(|pair| pair == [0xff, 0xd9]));
        }
    }
    // Not built as it should be: the decoder says how.
    true
}
