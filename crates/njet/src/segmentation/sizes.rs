//! One image at several sizes, and one answer.
//!
//! What is larger than what the network learned to see whole it may know better from a smaller image, and an average over
//! sizes errs less than any of them. The image at each smaller size is segmented too, the probabilities are brought back
//! by linear interpolation, and each counts [`WEIGHT`] times as much as that of the image itself: small things are seen in the
//! image alone, and must not be outvoted.

use super::tiles::{Segmenter, Tile};
use crate::data::{Image, Resampler};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Int, Tensor};
use std::ops::Range;

/// What the probabilities at another size count, where those of the image itself count 1.
const WEIGHT: f64 = 0.2;

/// Probabilities below this are as good as none, and have a logarithm.
const LEAST: f64 = 1e-30;

/// An image, and the same at the smaller sizes at which it is segmented too.
#[derive(Debug)]
pub(super) struct Views<'i> {
    image: &'i Image<'i>,
    smaller: Vec<Image<'static>>,
}

impl<'i> Views<'i> {
    /// The sides of the smaller ones are `factors` times those of the image, and at least one pixel.
    pub(super) fn new(image: &'i Image<'i>, factors: &[f64]) -> Self {
        let smaller = factors.iter().map(|&factor| {
            let side = |pixels: usize| ((pixels as f64 * factor).round() as usize).max(1);
            let [height, width] = [image.height, image.width].map(side);
            let resampler = Resampler::new([image.height, image.width], [height, width]);
            let plane = |channel| resampler.window(image.plane(channel), 0..height, 0..width);
            let pixels = (0..image.channels).flat_map(plane).map(|v| v.round().clamp(0.0, 255.0) as u8);
            Image { pixels: pixels.collect::<Vec<u8>>().into(), channels: image.channels, height, width }
        });
        Self { image, smaller: smaller.collect() }
    }

    /// Logits of what a tile keeps, `[1, classes, rows, columns]`; with other sizes the logarithms of the probabilities.
    pub(super) fn logits(&self, segmenter: &Segmenter<'_>, tile: &Tile) -> Tensor<4> {
        let logits = segmenter.logits(self.image, tile);
        if self.smaller.is_empty() {
            return logits;
        }
        let size = [self.image.height, self.image.width];
        let others = self.smaller.iter().map(|image| {
            let lattice = [0, 1].map(|axis| Lattice { pixels: size[axis], smaller: [image.height, image.width][axis] });
            let needed = [0, 1].map(|axis| lattice[axis].needed(&tile.kept[axis]));
            let tile_there = segmenter.surrounding(needed.clone(), [image.height, image.width]);
            let there = softmax(segmenter.logits(image, &tile_there), 1);
            (0..2).fold(there, |there, axis| {
                lattice[axis].enlarged(there, 2 + axis, &tile.kept[axis], needed[axis].start)
            })
        });
        let all = 1.0 + WEIGHT * self.smaller.len() as f64;
        let sum = others.fold(softmax(logits, 1), |sum, other| sum + other * WEIGHT);
        (sum / all).clamp_min(LEAST).log()
    }
}

/// The pixels of an axis, and how many they are in the smaller image. Pixels are areas, so the ends meet.
#[derive(Debug, Clone, Copy)]
struct Lattice {
    pixels: usize,
    smaller: usize,
}

impl Lattice {
    /// The pixel of the smaller image before the centre of one of the image, and how far it lies behind.
    fn at(self, pixel: usize) -> (usize, f64) {
        let Self { pixels, smaller } = self;
        let at = (pixel as f64 + 0.5) * smaller as f64 / pixels as f64 - 0.5;
        let at = at.clamp(0.0, (smaller - 1) as f64);
        (at as usize, at.fract())
    }

    /// The pixels of the smaller image that some of the image lie between.
    fn needed(self, kept: &Range<usize>) -> Range<usize> {
        let (first, last) = (self.at(kept.start).0, self.at(kept.end.max(kept.start + 1) - 1).0);
        first..(last + 2).min(self.smaller)
    }

    /// The pixels `kept` of the image along `axis`, of those of the smaller one from `start` on.
    fn enlarged(self, x: Tensor<4>, axis: usize, kept: &Range<usize>, start: usize) -> Tensor<4> {
        let last = x.dims()[axis] - 1;
        let places: Vec<(usize, f64)> = kept.clone().map(|pixel| self.at(pixel)).collect();
        let device: Device = x.device();
        let pick = |step: usize| {
            let indices: Vec<i32> = places.iter().map(|(at, _)| (at - start + step).min(last) as i32).collect();
            x.clone().select(axis, Tensor::<1, Int>::from_ints(indices.as_slice(), &device))
        };
        let parts: Vec<f32> = places.iter().map(|&(_, part)| part as f32).collect();
        let mut shape = [1; 4];
        shape[axis] = parts.len();
        let parts = Tensor::<1>::from_floats(parts.as_slice(), &device).reshape(shape);
        let (before, after) = (pick(0), pick(1));
        before.clone() + (after - before) * parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segmentation::SegmentationConfig;
    use crate::segmentation::data::{Scene, SegmentationSet};

    /// By hand at one pixel.
    #[test]
    fn probabilities_are_averaged() {
        let device = Device::flex();
        let scene = Scene { image: vec![0], mask: vec![0], channels: 1, height: 1, width: 1 };
        let scenes = || vec![scene.clone()].into();
        let classes = ["a", "b", "c"].map(str::to_owned).to_vec();
        let (train, val, test) = (scenes(), scenes(), scenes());
        let set = SegmentationSet { name: "here".to_owned(), classes, channels: 1, train, val, test };
        let mut config = SegmentationConfig::new(&set).unwrap();
        (config.model.widths, config.model.convolutions, config.model.up) = (vec![3, 4], vec![1, 1], None);
        let model = config.model.init(&device).unwrap();
        let segmenter = Segmenter::new(&config, &model, &device);
        let pixels: Vec<u8> = (0..16 * 12).map(|i| (i * i * 31 % 251) as u8).collect();
        let image = Image { pixels: pixels.into(), channels: 1, height: 16, width: 12 };
        let whole = |[rows, columns]: [usize; 2]| Tile { kept: [0..rows, 0..columns], seen: [0..rows, 0..columns] };
        let views = Views::new(&image, &[0.5]);
        let [half] = &views.smaller[..] else { panic!("one other size") };
        assert_eq!([half.height, half.width], [8, 6]);
        let values = |x: Tensor<4>| x.into_data().iter::<f32>().collect::<Vec<_>>();
        let there = values(softmax(segmenter.logits(half, &whole([8, 6])), 1));
        let alone = values(softmax(segmenter.logits(&image, &whole([16, 12])), 1));
        let together = values(views.logits(&segmenter, &whole([16, 12])).exp());
        let (row, column) = (5, 6);
        for class in 0..3 {
            let there = |row: usize, column: usize| there[(class * 8 + row) * 6 + column];
            let other =
                0.75 * (0.25 * there(2, 2) + 0.75 * there(2, 3)) + 0.25 * (0.25 * there(3, 2) + 0.75 * there(3, 3));
            let at = (class * 16 + row) * 12 + column;
            assert!((together[at] - (alone[at] + 0.2 * other) / 1.2).abs() < 1e-5, "{class}");
            assert!((together[at] - alone[at]).abs() > 1e-5, "{class}");
        }
        // Of the image alone they are logits.
        let views = Views::new(&image, &[]);
        assert_eq!(
            values(views.logits(&segmenter, &whole([16, 12]))),
            values(segmenter.logits(&image, &whole([16, 12])))
        );
    }

    /// Ramps are interpolated exactly but at the ends, whatever part is wanted.
    #[test]
    fn what_lies_between_two_pixels_is_between_them() {
        let device = Device::flex();
        for (pixels, smaller) in [(12, 6), (13, 5), (7, 7), (9, 1), (100, 37)] {
            let lattice = Lattice { pixels, smaller };
            let ramp: Vec<f32> = (0..smaller).map(|i| (i as f32 + 0.5) * pixels as f32 / smaller as f32).collect();
            let half = pixels as f64 / smaller as f64 / 2.0;
            for kept in [0..pixels, pixels / 3..pixels, 0..1, pixels - 1..pixels] {
                let needed = lattice.needed(&kept);
                let part = Tensor::<1>::from_floats(&ramp[needed.clone()], &device);
                for axis in [2, 3] {
                    let mut shape = [1; 4];
                    shape[axis] = needed.len();
                    let values = lattice.enlarged(part.clone().reshape(shape), axis, &kept, needed.start);
                    let values: Vec<f32> = values.into_data().iter().collect();
                    assert_eq!(values.len(), kept.len());
                    for (pixel, value) in kept.clone().zip(values) {
                        let expected = (pixel as f64 + 0.5).clamp(half, pixels as f64 - half);
                        assert!((f64::from(value) - expected).abs() < 1e-4, "{pixels} {smaller} {pixel}: {value}");
                    }
                }
            }
        }
    }
}
