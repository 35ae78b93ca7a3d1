//! The fields of a register of columns in the first-level cache.

use super::{FIELDS, Half, Kept, MANY_REGISTERS, Strip, fields};
use crate::Real;
use crate::simd::{Vectors, prefetch};
use std::ops::Range;

/// The fields of a register of columns, row by row: `[row, field, lane]`. Rows that are none are zeros.
pub(super) struct Column<'a, 'b, T, const BANKS: usize> {
    strip: Strip<'a, T>,
    /// The taps; or these and then their derivatives, whose fields are only kept.
    banks: [&'a Half<T>; BANKS],
    /// The row of samples that row 0 is.
    top: isize,
    pub(super) fields: &'b mut [T],
    kept: Option<&'b mut Kept<'a, T>>,
    /// Rows that are some,
    pub(super) some: Range<usize>,
    /// and the first of them that is not there yet.
    next: usize,
}

impl<'a, 'b, T: Real, const BANKS: usize> Column<'a, 'b, T, BANKS> {
    /// As many rows as `fields` has room for. Other columns of the plane, after the first, get what those had.
    #[inline(always)]
    pub(super) fn new<V: Vectors<T>>(
        v: V,
        strip: Strip<'a, T>,
        banks: [&'a Half<T>; BANKS],
        top: isize,
        fields: &'b mut [T],
        kept: Option<&'b mut Kept<'a, T>>,
    ) -> Self {
        let row = FIELDS * V::LANES;
        let rows = fields.len() / row;
        let first = (-top).clamp(0, rows as isize);
        let end = (strip.samples as isize - top).clamp(first, rows as isize);
        let some = first as usize..end as usize;
        // They are the same for all columns, and the first leave them to the others.
        if strip.column == 0 {
            fields[..some.start * row].fill(T::ZERO);
            fields[some.end * row..].fill(T::ZERO);
        }
        if !some.is_empty() {
            let radius = banks[0].len() - 1;
            let last = (end - 1 + top) as usize;
            assert!(banks.iter().all(|bank| bank.len() == banks[0].len()));
            assert!(strip.from >= radius && strip.from + last * strip.pitch + V::LANES + radius <= strip.lines.len());
            let at = last * strip.width + strip.column;
            assert!(kept.as_ref().is_none_or(|kept| kept.has_room(v, at)));
        }
        Self { strip, banks, top, fields, kept, next: some.start, some }
    }

    /// Makes the rows before row `end`.
    #[inline(always)]
    pub(super) fn fill<V: Vectors<T>>(&mut self, v: V, end: usize) {
        let end = end.min(self.some.end);
        while self.next < end {
            let first = (self.next as isize + self.top) as usize;
            let to = self.fields[self.next * FIELDS * V::LANES..].as_mut_ptr();
            // SAFETY: `new` has checked the farthest samples, and the room for what is kept; one row or two are before the
            // end of those that are some, and so inside `fields`.
            unsafe {
                if self.next + 1 < end && (BANKS == 1 || V::REGISTERS >= MANY_REGISTERS) {
                    self.strip.rows::<V, BANKS, 2>(v, self.banks, first, to, &mut self.kept);
                    self.next += 2;
                } else {
                    self.strip.rows::<V, BANKS, 1>(v, self.banks, first, to, &mut self.kept);
                    self.next += 1;
                }
            }
        }
    }

    /// Rows of fields that there is room for.
    #[inline(always)]
    pub(super) fn rows<V: Vectors<T>>(&self, _: V) -> usize {
        self.fields.len() / (FIELDS * V::LANES)
    }
}

impl<T: Real> Strip<'_, T> {
    /// `M` rows from sample row `first` on.
    ///
    /// # Safety
    /// They are rows of the plane, `to` has room for them, and so has `kept`; all banks have the same length, and so
    /// many samples stand between zeros.
    #[inline(always)]
    unsafe fn rows<V: Vectors<T>, const BANKS: usize, const M: usize>(
        &self,
        v: V,
        banks: [&Half<T>; BANKS],
        first: usize,
        to: *mut T,
        kept: &mut Option<&mut Kept<'_, T>>,
    ) {
        for m in 0..M {
            prefetch(self.next.wrapping_add((first + m) * self.width + self.column));
        }
        let centre = self.lines.as_ptr().wrapping_add(self.from + first * self.pitch);
        // SAFETY: the caller's promise.
        unsafe {
            let fields = fields::<T, V, 0, FIELDS, BANKS, M>(v, centre, self.pitch, banks);
            for m in 0..M {
                for j in 0..FIELDS {
                    v.store(to.add((m * FIELDS + j) * V::LANES), fields[0][j][m]);
                }
            }
            if let Some(kept) = kept {
                for m in 0..M {
                    kept.keep::<V, 0, FIELDS, BANKS, M>(v, (first + m) * self.width + self.column, &fields, m);
                }
            }
        }
    }
}
