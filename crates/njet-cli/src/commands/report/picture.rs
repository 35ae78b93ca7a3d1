//! Pictures inside the page: PNG in data URIs.

pub use crate::picture::Pixels;
use crate::picture::png;
use anyhow::Result;
use njet::data::{Batch, Normalisation, Samples, batch_random, resample};
use njet::training::View;

/// A `data:` URI of a picture `width` pixels wide.
pub fn data_uri(pixels: Pixels<'_>, width: usize) -> String {
    format!("data:image/png;base64,{}", base64(&png(pixels, width)))
}

/// Longest side of a picture of a test image: a larger one is made smaller.
const LONGEST: usize = 128;

/// Image `i` as the model sees it, and its rows and columns: in colour where the model has three channels, else its first
/// channel in grey.
pub fn as_seen(samples: &Samples, view: &View, i: usize) -> Result<(String, [usize; 2])> {
    // Nothing is random without augmentation.
    let Batch { pixels, shape: [_, channels, height, width], .. } =
        view.preparation.batch(samples, &[i], None, &mut batch_random(0, 0, 0))?;
    let Normalisation { mean, std } = view.preparation.normalisation;
    let factor = (LONGEST as f64 / height.max(width) as f64).min(1.0);
    let size = [height, width].map(|side| ((side as f64 * factor).round() as usize).max(1));
    let shown = if channels == 3 { 3 } else { 1 };
    let planes: Vec<Vec<u8>> = pixels
        .chunks_exact(height * width)
        .take(shown)
        .map(|plane| {
            let plane = if factor < 1.0 { resample(plane, [height, width], size) } else { plane.to_vec() };
            plane.iter().map(|&v| (255.0 * (v * std + mean)).round() as u8).collect()
        })
        .collect();
    let bytes: Vec<u8> = (0..size[0] * size[1]).flat_map(|p| planes.iter().map(move |plane| plane[p])).collect();
    let pixels = if shown == 3 { Pixels::Rgb(&bytes) } else { Pixels::Grey(&bytes) };
    Ok((data_uri(pixels, size[1]), [height, width]))
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
    use njet::data::{ImageSet, Preparation, Sizing};

    #[test]
    fn base64_as_in_the_rfc() {
        let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(texts, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }

    #[test]
    fn colours_are_told_pixel_by_pixel() {
        // Red, green and blue planes of two pixels.
        let set: Samples = ImageSet::new(vec![255, 1, 0, 2, 0, 3], vec![0], 3, 1, 2).unwrap().into();
        let normalisation = Normalisation { mean: 0.3, std: 0.7 };
        let preparation = Preparation { sizing: Sizing::Fixed, size: [1, 2], least: 1, channels: 3, normalisation };
        let (uri, size) = as_seen(&set, &View { preparation, scale: 1.0 }, 0).unwrap();
        assert_eq!((uri, size), (data_uri(Pixels::Rgb(&[255, 0, 0, 1, 2, 3]), 2), [1, 2]));
    }
}
