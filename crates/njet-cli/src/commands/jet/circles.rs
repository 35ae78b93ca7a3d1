//! Blobs as circles over the image.

use njet::scale_space::{Blob, Polarity};

/// Small images are enlarged until their longer side has about so many pixels, so that circles can be told apart.
const SIDE: usize = 512;

/// Half the thickness of a circle, in pixels of the picture.
const HALF: f64 = 1.0;

/// Red, green and blue of the image, each pixel so many times as large as it was, with a circle of radius √2·σ about each
/// blob: bright ones red, dark ones blue. Also the width of the picture.
pub fn picture(grey: &[u8], [height, width]: [usize; 2], blobs: &[Blob]) -> (Vec<u8>, usize) {
    let factor = (SIDE / height.max(width)).max(1);
    let size = [height * factor, width * factor];
    let mut pixels: Vec<u8> =
        (0..size[0] * size[1]).flat_map(|i| [grey[i / size[1] / factor * width + i % size[1] / factor]; 3]).collect();
    // The weakest first: the strongest lie above.
    for blob in blobs.iter().rev() {
        circle(&mut pixels, size, factor as f64, blob);
    }
    (pixels, size[1])
}

fn circle(pixels: &mut [u8], [height, width]: [usize; 2], factor: f64, blob: &Blob) {
    let colour = match blob.polarity {
        Polarity::Bright => [230.0, 30.0, 30.0],
        Polarity::Dark => [30.0, 110.0, 255.0],
    };
    // The centre of a pixel stays its centre.
    let centre = [blob.y, blob.x].map(|place| (place + 0.5) * factor - 0.5);
    let radius = 2.0f64.sqrt() * blob.sigma * factor;
    let reach = radius + HALF + 1.0;
    let span = |axis: usize, pixels: usize| {
        let inside = |place: f64| place.clamp(0.0, pixels as f64) as usize;
        inside((centre[axis] - reach).floor())..inside((centre[axis] + reach).ceil() + 1.0)
    };
    for y in span(0, height) {
        for x in span(1, width) {
            let distance = ((y as f64 - centre[0]).hypot(x as f64 - centre[1]) - radius).abs();
            let cover = (HALF + 0.5 - distance).clamp(0.0, 1.0);
            if cover > 0.0 {
                for (byte, colour) in pixels[3 * (y * width + x)..][..3].iter_mut().zip(colour) {
                    *byte = (f64::from(*byte) + cover * (colour - f64::from(*byte))).round() as u8;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_goes_round_its_blob() {
        let blob = Blob { x: 30.0, y: 20.0, sigma: 8.0 / 2.0f64.sqrt(), polarity: Polarity::Bright, contrast: 1.0 };
        let (pixels, width) = picture(&[100; 300 * 600], [300, 600], &[blob]);
        assert_eq!((pixels.len(), width), (3 * 300 * 600, 600));
        let pixel = |y: usize, x: usize| &pixels[3 * (y * width + x)..][..3];
        for on in [[20, 38], [20, 22], [28, 30], [12, 30]] {
            assert_eq!(pixel(on[0], on[1]), [230, 30, 30]);
        }
        for off in [[20, 30], [20, 42], [33, 30]] {
            assert_eq!(pixel(off[0], off[1]), [100; 3]);
        }
    }

    /// Each pixel of a small image becomes a square, and a circle goes round the middle of it; the strongest lies above.
    #[test]
    fn circles_go_round_the_middle_of_enlarged_pixels() {
        let blob = |polarity| Blob { x: 1.0, y: 1.0, sigma: 0.5, polarity, contrast: 1.0 };
        let (pixels, width) = picture(&[100; 16], [4, 4], &[blob(Polarity::Dark), blob(Polarity::Bright)]);
        assert_eq!(width, 512);
        let blue: Vec<[usize; 2]> =
            (0..512 * 512).filter(|i| pixels[3 * i..][..3] == [30, 110, 255]).map(|i| [i / 512, i % 512]).collect();
        assert!(!pixels.chunks_exact(3).any(|pixel| pixel == [230, 30, 30]), "the weaker one is hidden");
        for axis in [0, 1] {
            let (least, most) = (blue.iter().map(|p| p[axis]).min(), blue.iter().map(|p| p[axis]).max());
            // The second pixel of four is from 128 to 255.
            assert_eq!(least.zip(most).map(|(least, most)| least + most), Some(128 + 255));
        }
    }

    #[test]
    fn small_images_are_enlarged_and_circles_beyond_the_border_cut() {
        let blob = Blob { x: 0.0, y: 1.0, sigma: 50.0, polarity: Polarity::Dark, contrast: 1.0 };
        let (pixels, width) = picture(&[7, 8, 9, 10], [2, 2], &[blob]);
        assert_eq!((pixels.len(), width), (3 * 512 * 512, 512));
        assert_eq!((&pixels[..3], &pixels[pixels.len() - 3..]), (&[7; 3][..], &[10; 3][..]));
    }
}
