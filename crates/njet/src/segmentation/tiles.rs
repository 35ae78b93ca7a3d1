//! An image of any size by tiles that overlap, so that it needs no more memory than a tile does.
//!
//! What a tile answers near its own border, where there is none of the image, is thrown away: as many pixels as one output
//! depends on at most ([`UNet::reach`]). Poolings count from the first pixel, so a tile begins where they begin: at a
//! multiple of the total stride. Then what is kept of the tiles is what the whole image gives.

use super::config::SegmentationConfig;
use super::sizes::Views;
use crate::data::{Image, Normalisation};
use crate::layer::PaddingMode;
use crate::models::UNet;
use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use std::ops::Range;

/// Bytes of activations that a tile may take, about: a network of four resolutions sees some 400 pixels to each side, and of a
/// tile that is not large little would be kept.
const TILE_BYTES: usize = 3 << 29;

/// Bytes that an image may take which cannot be cut, or a tile that must be large.
const MOST_BYTES: usize = 4_000_000_000;

/// Arrays as large as the largest that are there at once, about, each of f32.
const ARRAYS: usize = 9;

/// An image that cannot be segmented, in the memory that there is or at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TileError {
    /// The outputs of a tile stand elsewhere than those of the whole image.
    #[error(
        "{}×{} pixels would take about {} GB at once, and cannot be cut into tiles: with safe subsampling the outputs stand about the centre of what is seen, at distances that are no whole pixels, so a tile has them elsewhere than the image; give smaller images, or train with `--subsampling strides`",
        size[0], size[1], gigabytes(*bytes)
    )]
    RealStrides {
        /// Rows and columns of the image.
        size: [usize; 2],
        /// What it takes whole, about.
        bytes: usize,
    },
    /// Opposite borders of the image see one another.
    #[error(
        "{}×{} pixels would take about {} GB at once, and cannot be cut into tiles: with circular padding the borders of the image see one another; give smaller images, or train with another `--padding-mode`",
        size[0], size[1], gigabytes(*bytes)
    )]
    Circular {
        /// Rows and columns of the image.
        size: [usize; 2],
        /// What it takes whole, about.
        bytes: usize,
    },
    /// The weights are too large, or no numbers.
    #[error("the model's answer is not a number")]
    NotFinite,
    /// The overlap alone is too much.
    #[error(
        "each pixel depends on {reach} pixels to each side, and a tile of {side}×{side} pixels, which has room for that, would take about {} GB; train with smaller scales or with less depth",
        gigabytes(*bytes)
    )]
    Reach {
        /// Pixels that an output depends on to each side.
        reach: usize,
        /// Side of the smallest tile.
        side: usize,
        /// What it takes, about.
        bytes: usize,
    },
}

fn gigabytes(bytes: usize) -> String {
    format!("{:.0}", (bytes as f64 / 1e9).ceil())
}

/// A part of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// Rows and columns whose answers are kept. Those of all tiles make up the image, each once.
    pub kept: [Range<usize>; 2],
    /// Rows and columns that the network sees.
    pub seen: [Range<usize>; 2],
}

/// A network and how it looks at images.
#[derive(Debug)]
pub struct Segmenter<'a> {
    model: &'a UNet,
    channels: usize,
    classes: usize,
    normalisation: Normalisation,
    padding_mode: PaddingMode,
    bytes_per_pixel: usize,
    tile_pixels: usize,
    also_at: Vec<f64>,
    device: Device,
}

impl<'a> Segmenter<'a> {
    /// For a model in evaluation mode and the settings of its run. Tiles take a gigabyte and a half, about.
    pub fn new(config: &SegmentationConfig, model: &'a UNet, device: &Device) -> Self {
        let bytes_per_pixel = ARRAYS * size_of::<f32>() * model.elements_per_pixel();
        Self {
            model,
            channels: config.model.channels,
            classes: config.model.classes,
            normalisation: config.data.normalisation,
            padding_mode: config.model.njet.padding_mode,
            bytes_per_pixel,
            tile_pixels: TILE_BYTES / bytes_per_pixel,
            also_at: Vec::new(),
            device: device.clone(),
        }
    }

    /// With tiles of about so many pixels.
    pub fn with_tile_pixels(self, tile_pixels: usize) -> Self {
        Self { tile_pixels, ..self }
    }

    /// Segments each image at smaller sizes too, its sides `factors` times as long, and averages the probabilities: those
    /// at another size count a fifth of those of the image itself. [`logits`](Self::logits) stay those of the image alone.
    ///
    /// # Panics
    /// If a factor is not above 0 and below 1.
    pub fn also_at(self, factors: &[f64]) -> Self {
        assert!(factors.iter().all(|&factor| factor > 0.0 && factor < 1.0), "factors above 0 and below 1: {factors:?}");
        Self { also_at: factors.to_vec(), ..self }
    }

    /// Classes of the model.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How an image of `size` is cut: one tile where it fits into one.
    ///
    /// # Errors
    /// It does not, and the network cannot do without the whole image; or every tile is too large.
    pub fn tiles(&self, size: [usize; 2]) -> Result<Vec<Tile>, TileError> {
        let pixels = size[0].saturating_mul(size[1]);
        if pixels <= self.tile_pixels {
            return Ok(vec![whole(size)]);
        }
        let bytes = pixels.saturating_mul(self.bytes_per_pixel);
        let fits = bytes <= MOST_BYTES;
        let Some(stride) = self.model.total_stride() else {
            return if fits { Ok(vec![whole(size)]) } else { Err(TileError::RealStrides { size, bytes }) };
        };
        if self.padding_mode == PaddingMode::Circular {
            return if fits { Ok(vec![whole(size)]) } else { Err(TileError::Circular { size, bytes }) };
        }
        let (reach, overlap) = (self.model.reach(), self.overlap(stride));
        // At least a third of each axis is kept.
        let side = (self.tile_pixels as f64).sqrt() as usize / stride * stride;
        let side = side.max(3 * overlap).max(stride);
        let bytes = side.min(size[0]).saturating_mul(side.min(size[1])).saturating_mul(self.bytes_per_pixel);
        if bytes > MOST_BYTES {
            return Err(TileError::Reach { reach, side, bytes });
        }
        let [rows, columns] = size.map(|pixels| along(pixels, side, overlap));
        let tile = |(kept, seen): &Along, (kept_x, seen_x): &Along| Tile {
            kept: [kept.clone(), kept_x.clone()],
            seen: [seen.clone(), seen_x.clone()],
        };
        Ok(rows.iter().flat_map(|row| columns.iter().map(move |column| tile(row, column))).collect())
    }

    /// What must be seen around a tile on each side: the reach, at strides.
    fn overlap(&self, stride: usize) -> usize {
        self.model.reach().next_multiple_of(stride)
    }

    /// The tile that keeps some rows and columns of an image of `size`: all of it where tiles cannot be.
    pub(super) fn surrounding(&self, kept: [Range<usize>; 2], size: [usize; 2]) -> Tile {
        let stride = self.model.total_stride().filter(|_| self.padding_mode != PaddingMode::Circular);
        let around = stride.map(|stride| (stride, self.overlap(stride)));
        let seen = [0, 1].map(|axis| {
            let Some((stride, overlap)) = around else { return 0..size[axis] };
            let from = kept[axis].start.saturating_sub(overlap) / stride * stride;
            from..(kept[axis].end + overlap).min(size[axis])
        });
        Tile { kept, seen }
    }

    /// An image at the sizes at which it is segmented.
    pub(super) fn views<'i>(&self, image: &'i Image<'i>) -> Views<'i> {
        Views::new(image, &self.also_at)
    }

    /// Logits of what a tile keeps of an image, `[1, classes, rows, columns]`.
    ///
    /// # Panics
    /// If the tile is not within the image.
    pub fn logits(&self, image: &Image<'_>, tile: &Tile) -> Tensor<4> {
        let [rows, columns] = &tile.seen;
        let shape = [1, self.channels, rows.len(), columns.len()];
        let mut pixels = Vec::with_capacity(shape.iter().product());
        for channel in 0..self.channels {
            let plane = image.plane(channel.min(image.channels - 1));
            for row in rows.clone() {
                let row = &plane[row * image.width..][columns.clone()];
                pixels.extend(row.iter().map(|&v| self.normalisation.apply(v)));
            }
        }
        let x = Tensor::from_data(TensorData::new(pixels, shape), &self.device);
        let logits = self.model.forward(x);
        [0, 1].into_iter().fold(logits, |logits, axis| {
            let (kept, seen) = (&tile.kept[axis], &tile.seen[axis]);
            logits.slice_dim(2 + axis, kept.start - seen.start..kept.end - seen.start)
        })
    }

    /// The class of every pixel of an image, `[height, width]`.
    ///
    /// # Errors
    /// As [`tiles`](Self::tiles); logits that are not finite.
    pub fn mask(&self, image: &Image<'_>) -> Result<Vec<u8>, TileError> {
        let mut mask = vec![0; image.height * image.width];
        let views = self.views(image);
        for tile in self.tiles([image.height, image.width])? {
            let logits = views.logits(self, &tile);
            if !logits.clone().sum().into_scalar::<f32>().is_finite() {
                return Err(TileError::NotFinite);
            }
            paste(&mut mask, image.width, &tile, &classes(&logits));
        }
        Ok(mask)
    }
}

/// Writes the classes that a tile keeps into a mask `width` pixels wide.
pub(super) fn paste(mask: &mut [u8], width: usize, tile: &Tile, classes: &[u8]) {
    let [rows, columns] = &tile.kept;
    for (row, classes) in rows.clone().zip(classes.chunks_exact(columns.len())) {
        mask[row * width..][columns.clone()].copy_from_slice(classes);
    }
}

/// Pixels whose classes are found together: so few that their highest logits stay in the first-level cache.
const PART: usize = 1 << 12;

/// The class with the highest logit of each pixel, the first of equals: `[batch, classes, height, width]` to
/// `batch · height · width` numbers.
pub(super) fn classes(logits: &Tensor<4>) -> Vec<u8> {
    let [batch, classes, height, width] = logits.dims();
    let pixels = height * width;
    let data = logits.clone().into_data().convert::<f32>();
    let logits = data.as_slice::<f32>().expect("converted");
    let mut best = vec![0u8; batch * pixels];
    // Some pixels of an image at a time, on all threads: an image alone may be large.
    let parts = best.par_chunks_mut(pixels).zip(logits.par_chunks(classes * pixels)).flat_map(|(best, logits)| {
        let parts = best.par_chunks_mut(PART).enumerate();
        parts.map(move |(part, best)| (best, logits, part * PART))
    });
    parts.for_each(|(best, logits, from)| {
        let len = best.len();
        let plane = |class: usize| &logits[class * pixels + from..][..len];
        let mut highest = plane(0).to_vec();
        for (class, plane) in (1..=u8::MAX).zip((1..classes).map(plane)) {
            for ((best, highest), &logit) in best.iter_mut().zip(&mut highest).zip(plane) {
                if logit > *highest {
                    (*best, *highest) = (class, logit);
                }
            }
        }
    });
    best
}

fn whole([height, width]: [usize; 2]) -> Tile {
    Tile { kept: [0..height, 0..width], seen: [0..height, 0..width] }
}

/// What is kept and what is seen along an axis.
type Along = (Range<usize>, Range<usize>);

/// Cuts `pixels` into pieces that see `side` of them at most, and `overlap` more on each side than they keep, where the
/// image has them. Every piece sees from a multiple of the stride on if `side` and `overlap` are multiples of it.
fn along(pixels: usize, side: usize, overlap: usize) -> Vec<Along> {
    let mut pieces = Vec::new();
    let mut kept = 0;
    while kept < pixels {
        let from = kept.saturating_sub(overlap);
        let to = (from + side).min(pixels);
        let until = if to == pixels { pixels } else { to - overlap };
        pieces.push((kept..until, from..to));
        kept = until;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More pixels than are taken together.
    #[test]
    fn the_class_of_the_highest_logit() {
        let (pixels, logit) = (PART + 903, |image: usize, class: usize, pixel: usize| {
            ((pixel * (31 + 7 * class) + 17 * image) % 101) as f32
        });
        let at = |i: usize| logit(i / (3 * pixels), i / pixels % 3, i % pixels);
        let logits: Vec<f32> = (0..2 * 3 * pixels).map(at).collect();
        let logits = Tensor::<4>::from_data(TensorData::new(logits, [2, 3, 1, pixels]), &Device::flex());
        let best = |image: usize, pixel: usize| {
            let of = |class: usize| logit(image, class, pixel);
            (0..3).fold(0, |best, class| if of(class) > of(best) { class } else { best }) as u8
        };
        let expected: Vec<u8> = (0..2 * pixels).map(|i| best(i / pixels, i % pixels)).collect();
        assert!(classes(&logits) == expected);
    }

    #[test]
    fn pieces_make_up_the_axis_and_see_enough() {
        for (pixels, side, overlap) in [(1, 12, 4), (12, 12, 4), (13, 12, 4), (100, 12, 4), (101, 24, 8), (7, 4, 0)] {
            let pieces = along(pixels, side, overlap);
            let mut next = 0;
            for (kept, seen) in &pieces {
                assert_eq!(kept.start, next);
                assert!(!kept.is_empty() && seen.len() <= side);
                assert_eq!(seen.start % 4, 0);
                assert!(seen.start == 0 || seen.start + overlap <= kept.start);
                assert!(seen.end == pixels || kept.end + overlap <= seen.end);
                next = kept.end;
            }
            assert_eq!(next, pixels);
        }
        assert_eq!(along(12, 12, 4).len(), 1);
    }

    #[test]
    fn the_first_of_the_highest_logits() {
        let logits = [1.0, 0.0, 5.0, 1.0, 2.0, 5.0f32];
        let logits = Tensor::<1>::from_floats(logits, &Device::flex()).reshape([1, 2, 1, 3]);
        assert_eq!(classes(&logits), [0, 1, 0]);
    }
}
