//! Some rows of results at a time, from fields in the cache.

use super::store;
use crate::Real;
use crate::engine::columns::FIELDS;
use crate::engine::columns::cached::Column;
use crate::simd::Vectors;
use std::mem::MaybeUninit;

/// Down a register of columns, whose fields lie in the cache.
pub(super) struct Walk<'a, T> {
    /// `[t, j]`: of field `j` along y, from −R to R.
    pub(super) taps: &'a [[T; FIELDS]],
    pub(super) bias: T,
    /// Columns of the plane, and the first of these.
    pub(super) width: usize,
    pub(super) column: usize,
}

impl<T: Real> Walk<'_, T> {
    /// The result rows from `first` on, at most `Q`. Row `k` of the fields is under tap −R of result row `k`. Returns how many.
    #[inline(always)]
    pub(super) fn run<V: Vectors<T>, const Q: usize>(
        &self,
        v: V,
        first: usize,
        fields: &mut Column<'_, '_, T, 1>,
        out: &mut [MaybeUninit<T>],
    ) -> usize {
        let row = FIELDS * V::LANES;
        assert!(first + Q - 1 + self.taps.len() <= fields.rows(v));
        fields.fill(v, first + Q - 1 + self.taps.len());
        // Taps that meet some rows.
        let end = fields.some.end.saturating_sub(first).min(self.taps.len());
        let start = fields.some.start.saturating_sub(first + Q - 1).min(end);
        let mut sums = [v.splat(self.bias); Q];
        for j in 0..FIELDS {
            // SAFETY: a tap meets Q rows from its own on, and the one after those is only met together with the next tap.
            unsafe {
                let mut at = fields.fields.as_ptr().add((first + start) * row + j * V::LANES);
                let mut taps = self.taps.as_ptr().add(start).cast::<T>().add(j);
                for _ in 0..(end - start) / 2 {
                    let pair = [v.splat(*taps), v.splat(*taps.add(FIELDS))];
                    let mut upper = v.load(at);
                    for q in 0..Q {
                        let lower = v.load(at.add((q + 1) * row));
                        sums[q] = v.mul_add(upper, pair[0], sums[q]);
                        sums[q] = v.mul_add(lower, pair[1], sums[q]);
                        upper = lower;
                    }
                    (at, taps) = (at.add(2 * row), taps.add(2 * FIELDS));
                }
                if !(end - start).is_multiple_of(2) {
                    let tap = v.splat(*taps);
                    for q in 0..Q {
                        sums[q] = v.mul_add(v.load(at.add(q * row)), tap, sums[q]);
                    }
                }
            }
        }
        let columns = (self.width - self.column).min(V::LANES);
        let rows = (out.len() / self.width - first).min(Q);
        for q in 0..Q {
            if q >= rows {
                break;
            }
            store(v, &[sums[q]], &mut out[(first + q) * self.width + self.column..][..columns]);
        }
        rows
    }
}
