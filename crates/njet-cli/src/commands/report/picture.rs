//! Pictures inside the page: PNG in data URIs.

use njet::data::ImageSet;

/// Pixels of a picture, row-major.
#[derive(Debug, Clone, Copy)]
pub enum Pixels<'a> {
    /// One byte a pixel, black to white.
    Grey(&'a [u8]),
    /// Red, green, blue.
    Rgb(&'a [u8]),
    /// Red, green, blue, opacity.
    Rgba(&'a [u8]),
}

/// A `data:` URI of a picture `width` pixels wide.
pub fn data_uri(pixels: Pixels<'_>, width: usize) -> String {
    let (colour, bytes, channels) = match pixels {
        Pixels::Grey(bytes) => (png::ColorType::Grayscale, bytes, 1),
        Pixels::Rgb(bytes) => (png::ColorType::Rgb, bytes, 3),
        Pixels::Rgba(bytes) => (png::ColorType::Rgba, bytes, 4),
    };
    let height = bytes.len() / (width * channels);
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(bytes));
    written.expect("bytes of that many pixels, into memory");
    format!("data:image/png;base64,{}", base64(&file))
}

/// Image `i` of a set: in colour where it has three channels, else its first channel in grey.
pub fn of_set(set: &ImageSet, i: usize) -> String {
    let (image, plane) = (set.image(i), set.height() * set.width());
    if set.channels() == 3 {
        let bytes: Vec<u8> = (0..plane).flat_map(|p| (0..3).map(move |c| image[c * plane + p])).collect();
        data_uri(Pixels::Rgb(&bytes), set.width())
    } else {
        data_uri(Pixels::Grey(&image[..plane]), set.width())
    }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i)) as usize & 63];
            text.push(if i <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_the_rfc() {
        let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(texts, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }

    #[test]
    fn colours_are_told_pixel_by_pixel() {
        // Red, green and blue planes of two pixels.
        let set = ImageSet::new(vec![255, 1, 0, 2, 0, 3], vec![0], 3, 1, 2).unwrap();
        assert_eq!(of_set(&set, 0), data_uri(Pixels::Rgb(&[255, 0, 0, 1, 2, 3]), 2));
    }
}
