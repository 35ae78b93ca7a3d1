//! Planes into the strips that the product reads.

use super::product::{Right, strip_pitch};
use crate::Real;
use crate::isa::{Body, Isa};
use crate::simd::STRIP;

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

impl<'a, T> Source<'a, T> {
    /// Strips of one image.
    pub(super) fn strips(&self) -> usize {
        self.pixels.div_ceil(STRIP)
    }

    #[inline(always)]
    fn plane(&self, m: usize, c: usize) -> &'a [T] {
        &self.data[self.start + m * self.image + c * self.pixels..][..self.pixels]
    }
}

/// Strips of pixels, `[images · strips][channels][STRIP]`, the images one after another; where an image
/// ends within a strip, zeros follow.
pub(super) fn by_pixels<'b, T: Real>(isa: Isa, source: Source<'_, T>, out: &'b mut Vec<T>) -> Right<'b, T> {
    let pitch = strip_pitch(source.channels);
    let strips = source.images * source.strips();
    let out = super::plane::room(out, strips * pitch);
    isa.run(ByPixels { source, out, pitch });
    Right { strips: out, pitch, columns: strips * STRIP }
}

struct ByPixels<'a, T> {
    source: Source<'a, T>,
    out: &'a mut [T],
    pitch: usize,
}

impl<T: Real> Body for ByPixels<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Self { source, out, pitch } = self;
        for m in 0..source.images {
            for c in 0..source.channels {
                let (strips, rest) = source.plane(m, c).as_chunks::<STRIP>();
                let at = |s: usize| (m * source.strips() + s) * pitch + c * STRIP;
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
pub(super) fn by_channels<'b, T: Real>(isa: Isa, source: Source<'_, T>, out: &'b mut Vec<T>) -> Right<'b, T> {
    let pixels = source.images * source.strips() * STRIP;
    let pitch = pixels * STRIP;
    let out = super::plane::room(out, source.channels.div_ceil(STRIP) * pitch);
    isa.run(ByChannels { source, out, pitch });
    Right { strips: out, pitch, columns: source.channels }
}

struct ByChannels<'a, T> {
    source: Source<'a, T>,
    out: &'a mut [T],
    pitch: usize,
}

impl<T: Real> Body for ByChannels<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Self { source, out, pitch } = self;
        for first in (0..source.channels).step_by(STRIP) {
            let channels = STRIP.min(source.channels - first);
            for m in 0..source.images {
                for s in 0..source.strips() {
                    let pixels = STRIP.min(source.pixels - s * STRIP);
                    let mut square = [[T::ZERO; STRIP]; STRIP];
                    for (c, row) in square.iter_mut().enumerate().take(channels) {
                        let from = &source.plane(m, first + c)[s * STRIP..][..pixels];
                        match from.as_array::<STRIP>() {
                            Some(from) => *row = *from,
                            None => row[..pixels].copy_from_slice(from),
                        }
                    }
                    let at = first / STRIP * pitch + (m * source.strips() + s) * STRIP * STRIP;
                    let (to, _) = out[at..][..STRIP * STRIP].as_chunks_mut::<STRIP>();
                    for (p, to) in to.iter_mut().enumerate() {
                        *to = std::array::from_fn(|c| square[c][p]);
                    }
                }
            }
        }
    }
}
