//! Image files as sets of one image.

use anyhow::{Context, Result};
use image::{DynamicImage, ImageDecoder, ImageReader};
use njet::data::ImageSet;
use std::path::Path;

/// Channels that an image can be brought to.
pub const CHANNELS: [usize; 2] = [1, 3];

/// Reads an image, turned as its camera was held, in 1 channel (grey) or 3 (red, green, blue). Its format is told by its
/// first bytes. What is transparent becomes black.
pub fn read(path: &Path, channels: usize) -> Result<ImageSet> {
    let reader = ImageReader::open(path).context("cannot be read")?.with_guessed_format().context("cannot be read")?;
    let mut decoder = reader.into_decoder().context("is no image that can be read")?;
    let orientation = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).context("is damaged")?;
    image.apply_orientation(orientation);
    let image = on_black(image);
    let (width, height) = (image.width() as usize, image.height() as usize);
    let pixels = match channels {
        1 => image.into_luma8().into_raw(),
        _ => planes(&image.into_rgb8().into_raw()),
    };
    Ok(ImageSet::new(pixels, vec![0], channels, height, width)?)
}

fn on_black(image: DynamicImage) -> DynamicImage {
    if !image.color().has_alpha() {
        return image;
    }
    let mut pixels = image.into_rgba8();
    for pixel in pixels.pixels_mut() {
        let [r, g, b, alpha] = pixel.0;
        let dim = |v: u8| ((u16::from(v) * u16::from(alpha) + 127) / 255) as u8;
        pixel.0 = [dim(r), dim(g), dim(b), 255];
    }
    pixels.into()
}

/// `[height, width, 3]` to `[3, height, width]`.
fn planes(pixels: &[u8]) -> Vec<u8> {
    (0..3).flat_map(|channel| pixels.iter().skip(channel).step_by(3).copied()).collect()
}
