//! Masks as people see them.

use super::{IGNORED, Scene};
use crate::data::Resampler;

/// How much of a class's colour is laid over the image, of 256 parts.
const OPACITY: u16 = 128;

/// The colour of a class, `[red, green, blue]`: those of PASCAL VOC, whose bits are the bits of the class in another order,
/// so that neighbouring classes look different. Class 0 is black.
pub fn class_colour(class: u8) -> [u8; 3] {
    let mut colour = [0; 3];
    for bit in 0..8 {
        // Bits 0, 3 and 6 of the class are the highest ones of red, 1, 4 and 7 those of green, 2 and 5 those of blue.
        colour[bit % 3] |= (class >> bit & 1) << (7 - bit / 3);
    }
    colour
}

/// The image with the colours of its classes laid over it; class 0 and pixels to ignore show the image alone, in grey
/// where it is grey.
///
/// # Shapes
///
/// - result: `[height, width, 3]`, row-major, red, green and blue
pub fn overlay(scene: &Scene) -> Vec<u8> {
    let planes = [0, 1, 2].map(|channel| scene.plane(channel));
    let pixel = |(at, &class): (usize, &u8)| {
        let image = planes.map(|plane| plane[at]);
        if class == 0 || class == IGNORED {
            return image;
        }
        let colour = class_colour(class);
        std::array::from_fn(|channel| {
            let [under, over] = [image[channel], colour[channel]].map(u16::from);
            (((256 - OPACITY) * under + OPACITY * over) / 256) as u8
        })
    };
    scene.mask.iter().enumerate().flat_map(pixel).collect()
}

/// A scene whose longer side is made to have `longest` pixels at most: the image antialiased, the mask by the nearest
/// pixel.
pub fn thumbnail(scene: &Scene, longest: usize) -> Scene {
    let factor = longest as f64 / scene.height.max(scene.width) as f64;
    if factor >= 1.0 {
        return scene.clone();
    }
    let size = scene.size();
    let [height, width] = size.map(|n| ((n as f64 * factor).round() as usize).max(1));
    let resampler = Resampler::new(size, [height, width]);
    let plane = |channel| resampler.window(scene.plane(channel), 0..height, 0..width);
    let image = (0..scene.channels).flat_map(plane).map(|v| v.round().clamp(0.0, 255.0) as u8).collect();
    let nearest = |at: usize, to: usize, from: usize| (2 * at + 1) * from / (2 * to);
    let at = |y, x| scene.mask[nearest(y, height, size[0]) * size[1] + nearest(x, width, size[1])];
    let mask = (0..height).flat_map(|y| (0..width).map(move |x| (y, x))).map(|(y, x)| at(y, x)).collect();
    Scene { image, mask, channels: scene.channels, height, width }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_those_of_pascal_voc() {
        let expected = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128]];
        assert_eq!([0, 1, 2, 3, 4].map(class_colour), expected);
        assert_eq!([8, 9, 20].map(class_colour), [[64, 0, 0], [192, 0, 0], [0, 64, 128]]);
        let mut all: Vec<_> = (0..=255).map(class_colour).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 256);
    }

    #[test]
    fn an_overlay_is_half_image_and_half_colour() {
        let scene = Scene { image: vec![100, 100, 101], mask: vec![0, 1, 255], channels: 1, height: 1, width: 3 };
        assert_eq!(overlay(&scene), [100, 100, 100, 114, 50, 50, 101, 101, 101]);
    }

    #[test]
    fn a_thumbnail_has_what_is_in_the_middle_of_its_pixels() {
        let mask = (0..36).map(|i| i / 6 / 3 * 2 + i % 6 / 3).map(|class| class as u8).collect::<Vec<_>>();
        let scene =
            Scene { image: mask.iter().map(|class| 60 * class).collect(), mask, channels: 1, height: 6, width: 6 };
        let small = thumbnail(&scene, 2);
        assert_eq!((small.size(), small.mask.as_slice()), ([2, 2], [0, 1, 2, 3].as_slice()));
        assert!(small.image.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", small.image);
        assert_eq!(thumbnail(&scene, 6), scene);
        let flat = Scene { image: vec![9; 300], mask: vec![1; 300], channels: 1, height: 1, width: 300 };
        assert_eq!(thumbnail(&flat, 100).size(), [1, 100]);
    }
}
