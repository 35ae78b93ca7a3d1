//! Pixels as PNG files.

use njet::segmentation::data::class_colour;

/// Pixels of a picture, row-major.
#[derive(Debug, Clone, Copy)]
pub enum Pixels<'a> {
    /// One byte a pixel, black to white.
    Grey(&'a [u8]),
    /// Red, green, blue.
    Rgb(&'a [u8]),
    /// Red, green, blue, opacity.
    Rgba(&'a [u8]),
    /// Classes, shown in their colours.
    Classes(&'a [u8]),
}

/// The bytes of a PNG file of a picture `width` pixels wide.
pub fn png(pixels: Pixels<'_>, width: usize) -> Vec<u8> {
    let (colour, bytes, channels) = match pixels {
        Pixels::Grey(bytes) => (png::ColorType::Grayscale, bytes, 1),
        Pixels::Rgb(bytes) => (png::ColorType::Rgb, bytes, 3),
        Pixels::Rgba(bytes) => (png::ColorType::Rgba, bytes, 4),
        Pixels::Classes(bytes) => (png::ColorType::Indexed, bytes, 1),
    };
    let height = bytes.len() / (width * channels);
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::Eight);
    if colour == png::ColorType::Indexed {
        encoder.set_palette((0..=255).flat_map(class_colour).collect::<Vec<u8>>());
    }
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(bytes));
    written.expect("bytes of that many pixels, into memory");
    file
}
