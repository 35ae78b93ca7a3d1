//! Rows between margins of zeros.

use super::placement::Placement;
use crate::Real;
use crate::simd::STRIP;

/// Elements of the rows that are filtered along x together: 16 KiB of f32, half of a first-level cache.
const PADDED: usize = 4096;

/// How rows lie for the filters along x: between margins of zeros, so that no tap reads a neighbour.
pub(super) struct Padded {
    /// Elements of zeros before the first row,
    pub(super) margin: usize,
    /// and elements from row to row, of which the last are zeros.
    pub(super) pitch: usize,
    /// Rows filtered together, about [`PADDED`] elements.
    pub(super) rows: usize,
}

impl Padded {
    #[inline(always)]
    pub(super) fn new(x: &Placement, radius: usize) -> Self {
        let margin = x.margin(radius).next_multiple_of(STRIP);
        let pitch = x.slots() + margin;
        // Even, so that rows can go in pairs.
        let rows = (PADDED / pitch).max(2).next_multiple_of(2);
        Self { margin, pitch, rows }
    }

    /// Elements of the rows with room for what the last strip reads too much.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.margin + self.rows * self.pitch + STRIP
    }

    #[inline(always)]
    pub(super) fn lay<'a, T: Real>(&self, x: &Placement, rows: impl Iterator<Item = &'a [T]>, to: &mut [T]) {
        to[..self.margin].fill(T::ZERO);
        for (row, to) in rows.zip(to[self.margin..].chunks_exact_mut(self.pitch)) {
            let (slots, margin) = to.split_at_mut(x.slots());
            x.lay(row, slots);
            // A margin is of whole strips; a call of `memset` would take longer.
            margin.as_chunks_mut::<STRIP>().0.iter_mut().for_each(|strip| *strip = [T::ZERO; STRIP]);
        }
    }
}
