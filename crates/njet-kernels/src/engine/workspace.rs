//! Memory of one thread, kept from call to call.

use super::plane::Stages;
use super::product::Lines;
use crate::Real;
use crate::simd::STRIP;
use std::ops::Deref;

/// Elements that a thread keeps between calls; what a call needed beyond that is given back.
const KEPT: usize = 1 << 24;

/// Buffers grow to what the layers need and stay: no call allocates but the first.
#[derive(Debug)]
pub(crate) struct Workspace<T> {
    /// The filters' intermediate planes.
    pub(super) stages: Stages<T>,
    /// Responses, in strips.
    pub(super) panel: Buffer<T>,
    /// Planes that the product wrote for the filters, with margins.
    pub(super) mixed: Buffer<T>,
    /// An operand in strips of pixels,
    pub(super) by_pixels: Buffer<T>,
    /// and in strips of channels.
    pub(super) by_channels: Buffer<T>,
    /// The two again, in bf16 for the tile unit.
    pub(super) rounded: [Lines; 2],
}

impl<T> Default for Workspace<T> {
    fn default() -> Self {
        Self {
            stages: Stages::default(),
            panel: Buffer::default(),
            mixed: Buffer::default(),
            by_pixels: Buffer::default(),
            by_channels: Buffer::default(),
            rounded: Default::default(),
        }
    }
}

impl<T> Workspace<T> {
    /// Gives back what is too large to keep.
    pub(super) fn trim(&mut self) {
        for buffer in [&mut self.panel, &mut self.mixed, &mut self.by_pixels, &mut self.by_channels] {
            if buffer.0.capacity() * STRIP > KEPT {
                *buffer = Buffer::default();
            }
        }
        self.rounded.iter_mut().for_each(|lines| lines.trim(KEPT * size_of::<f32>()));
    }
}

/// Memory that grows and is used again. It begins with a cache line, so that a strip of f32 in it touches one
/// line and not two: half the loads and stores of the engine did without that.
#[derive(Debug)]
pub(crate) struct Buffer<T>(Vec<Strip<T>>);

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Strip<T>([T; STRIP]);

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Real> Buffer<T> {
    /// Makes it at least `len` long and hands out that much. Contents are whatever was there.
    #[inline(always)]
    pub(super) fn room(&mut self, len: usize) -> &mut [T] {
        let strips = len.div_ceil(STRIP);
        if self.0.len() < strips {
            self.0.resize(strips, Strip([T::ZERO; STRIP]));
        }
        let strips = self.0.as_mut_slice();
        // SAFETY: a strip is an array of elements without padding: its size is a multiple of its alignment.
        let all = unsafe { std::slice::from_raw_parts_mut(strips.as_mut_ptr().cast::<T>(), strips.len() * STRIP) };
        &mut all[..len]
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];
    #[inline(always)]
    fn deref(&self) -> &[T] {
        const { assert!(size_of::<Strip<T>>() == STRIP * size_of::<T>()) }
        // SAFETY: as in `room`.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * STRIP) }
    }
}
