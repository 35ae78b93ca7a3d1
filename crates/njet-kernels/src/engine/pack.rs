//! Planes into the strips that the product reads.

use super::product::{Lines, Right, strip_pitch};
use super::workspace::Buffer;
use crate::Real;
use crate::isa::{Body, Isa};
use crate::simd::STRIP;
use std::ops::Range;

/// Some channels of some images: plane `c` of image `m` begins at `start + m · image + c · pixels`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a, T> {
    pub(super) data: &'a [T],
    pub(super) start: usize,
    pub(super) image: usize,
    pub(super) images: usize,
    pub(super) channels: usize,
    pub(super) pixels: usize,
}

/// Some pixels, the same of every plane.
#[derive(Debug, Clone)]
struct Band<'a, T> {
    source: Source<'a, T>,
    pixels: Range<usize>,
}

impl<'a, T> Band<'a, T> {
    /// Strips of one image.
    #[inline(always)]
    fn strips(&self) -> usize {
        self.pixels.len().div_ceil(STRIP)
    }

    #[inline(always)]
    fn plane(&self, m: usize, c: usize) -> &'a [T] {
        let start = self.source.start + m * self.source.image + c * self.source.pixels;
        &self.source.data[start + self.pixels.start..start + self.pixels.end]
    }
}

/// Strips of pixels, `[images · strips][channels][STRIP]`, the images one after another; where an image
/// ends within a strip, zeros follow.
pub(super) fn by_pixels<'b, T: Real>(isa: Isa, source: Source<'_, T>, out: &'b mut Buffer<T>) -> Right<'b, T> {
    band_by_pixels(isa, source, 0..source.pixels, out)
}

/// [`by_pixels`] of all, for a left operand of `rows` rows, which reads it more than once: rounded where products are.
pub(super) fn operand_by_pixels<'b, T: Real>(
    isa: Isa,
    source: Source<'_, T>,
    rows: usize,
    out: &'b mut Buffer<T>,
    rounded: &'b mut Lines,
) -> Right<'b, T> {
    if Right::rounds_planes(isa, &source, rows) {
        return Right::rounded_planes(&source, rounded);
    }
    by_pixels(isa, source, out).rounded(isa, source.channels, rounded)
}

/// [`by_channels`] likewise.
pub(super) fn operand_by_channels<'b, T: Real>(
    isa: Isa,
    source: Source<'_, T>,
    out: &'b mut Buffer<T>,
    rounded: &'b mut Lines,
) -> Right<'b, T> {
    if Right::rounds_planes_of_pixels(isa, &source) {
        return Right::rounded_planes_of_pixels(&source, rounded);
    }
    let strips = source.images * source.pixels.div_ceil(STRIP);
    by_channels(isa, source, out).pixels_rounded(isa, strips, rounded)
}

/// [`by_pixels`] for some pixels of each plane.
pub(super) fn band_by_pixels<'b, T: Real>(
    isa: Isa,
    source: Source<'_, T>,
    pixels: Range<usize>,
    out: &'b mut Buffer<T>,
) -> Right<'b, T> {
    let band = Band { source, pixels };
    let pitch = strip_pitch(source.channels);
    let strips = source.images * band.strips();
    let out = out.room(strips * pitch);
    isa.run(ByPixels { band, out, pitch });
    Right::new(out, pitch, strips * STRIP)
}

struct ByPixels<'a, T> {
    band: Band<'a, T>,
    out: &'a mut [T],
    pitch: usize,
}

impl<T: Real> Body for ByPixels<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Self { band, out, pitch } = self;
        for m in 0..band.source.images {
            for c in 0..band.source.channels {
                let (strips, rest) = band.plane(m, c).as_chunks::<STRIP>();
                let at = |s: usize| (m * band.strips() + s) * pitch + c * STRIP;
                for (s, strip) in strips.iter().enumerate() {
                    out[at(s)..][..STRIP].copy_from_slice(strip);
                }
                if !rest.is_empty() {
                    let last = &mut out[at(strips.len())..][..STRIP];
                    last[..rest.len()].copy_from_slice(rest);
                    last[rest.len()..].fill(T::ZERO);
                }
            }
        }
    }
}

/// Strips of channels, `[channels / STRIP][images · strips of pixels · STRIP][STRIP]`; where the channels
/// or an image end within a strip, zeros follow.
pub(super) fn by_channels<'b, T: Real>(isa: Isa, source: Source<'_, T>, out: &'b mut Buffer<T>) -> Right<'b, T> {
    band_by_channels(isa, source, 0..source.pixels, out)
}

/// [`by_channels`] for some pixels of each plane.
pub(super) fn band_by_channels<'b, T: Real>(
    isa: Isa,
    source: Source<'_, T>,
    pixels: Range<usize>,
    out: &'b mut Buffer<T>,
) -> Right<'b, T> {
    let band = Band { source, pixels };
    let pitch = source.images * band.strips() * STRIP * STRIP;
    let out = out.room(source.channels.div_ceil(STRIP) * pitch);
    isa.run(ByChannels { band, out, pitch });
    Right::new(out, pitch, source.channels)
}

struct ByChannels<'a, T> {
    band: Band<'a, T>,
    out: &'a mut [T],
    pitch: usize,
}

impl<T: Real> Body for ByChannels<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Self { band, out, pitch } = self;
        let all = band.source.channels;
        for first in (0..all).step_by(STRIP) {
            let channels = STRIP.min(all - first);
            for m in 0..band.source.images {
                for s in 0..band.strips() {
                    let pixels = STRIP.min(band.pixels.len() - s * STRIP);
                    let mut square = [[T::ZERO; STRIP]; STRIP];
                    for (c, row) in square.iter_mut().enumerate().take(channels) {
                        let from = &band.plane(m, first + c)[s * STRIP..][..pixels];
                        match from.as_array::<STRIP>() {
                            Some(from) => *row = *from,
                            None => row[..pixels].copy_from_slice(from),
                        }
                    }
                    let at = first / STRIP * pitch + (m * band.strips() + s) * STRIP * STRIP;
                    let (to, _) = out[at..][..STRIP * STRIP].as_chunks_mut::<STRIP>();
                    for (p, to) in to.iter_mut().enumerate() {
                        *to = std::array::from_fn(|c| square[c][p]);
                    }
                }
            }
        }
    }
}
