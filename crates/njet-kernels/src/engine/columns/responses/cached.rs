//! Two rows of responses at a time, from fields in the cache.

use crate::Real;
use crate::engine::columns::cached::Column;
use crate::engine::columns::{FIELDS, Half};
use crate::engine::plane::Responses;
use crate::simd::{STRIP, Vectors};

/// Rows of responses that are made together.
pub(super) const TOGETHER: usize = 2;

/// Down a register of columns.
pub(super) struct Walk<'a, T> {
    pub(super) taps: &'a Half<T>,
    /// Rows of responses,
    pub(super) rows: usize,
    /// columns of the plane, and the first of these.
    pub(super) width: usize,
    pub(super) column: usize,
}

impl<T: Real> Walk<'_, T> {
    /// Row `k` of the fields is under tap −R of result row `k`.
    #[inline(always)]
    pub(super) fn run<V: Vectors<T>, const BANKS: usize>(
        &self,
        v: V,
        mut fields: Column<'_, '_, T, BANKS>,
        to: &mut Responses<'_, T>,
    ) {
        let radius = self.taps.len() - 1;
        assert!(self.rows.next_multiple_of(TOGETHER) + 2 * radius <= fields.rows(v));
        for row in (0..self.rows).step_by(TOGETHER) {
            fields.fill(v, row + TOGETHER + 2 * radius);
            let centre = row + radius;
            // Farther from both rows there are zeros on both sides.
            let (after, before) =
                (fields.some.end.saturating_sub(centre + 1), (centre + 1).saturating_sub(fields.some.start));
            let taps = &self.taps[..=radius.min(after.max(before))];
            // SAFETY: at most R rows before the first and after the second are inside, by the assertion.
            let sums = unsafe { pair(v, fields.fields.as_ptr().add(centre * FIELDS * V::LANES), taps) };
            for q in 0..TOGETHER {
                if row + q >= self.rows {
                    break;
                }
                let pixel = (row + q) * self.width + self.column;
                let at = pixel / STRIP * to.strip_pitch + pixel % STRIP;
                for j in 0..FIELDS {
                    for n in 0..FIELDS - j {
                        // SAFETY: the last strip of the last plane has been checked; `pixel` begins a register, which
                        // a strip is made of.
                        unsafe { v.store(to.out.as_mut_ptr().add(to.planes.at(n, j) + at), sums[q][j][n]) };
                    }
                }
            }
        }
    }
}

/// `[row, field, order]`: of the row at `centre` and the next. Each row that is loaded serves both, one tap apart.
///
/// # Safety
/// As many rows as there are taps after the centre can be read before the first and after the second.
#[inline(always)]
unsafe fn pair<T: Real, V: Vectors<T>>(v: V, centre: *const T, taps: &Half<T>) -> [[[V::V; FIELDS]; FIELDS]; TOGETHER] {
    let zero = v.splat(T::ZERO);
    let mut sums = [[[zero; FIELDS]; FIELDS]; TOGETHER];
    // The rows that the next tap meets once more: after the first row, and before the second.
    let (mut after, mut before) = ([zero; FIELDS], [zero; FIELDS]);
    for j in 0..FIELDS {
        // SAFETY: the rows themselves.
        let rows = unsafe { [v.load(centre.add(j * V::LANES)), v.load(centre.add((FIELDS + j) * V::LANES))] };
        for q in 0..TOGETHER {
            // Odd orders have no tap at the centre.
            for n in (0..FIELDS - j).step_by(2) {
                sums[q][j][n] = v.mul_add(rows[q], v.splat(taps[0][n]), sums[q][j][n]);
            }
        }
        (before[j], after[j]) = (rows[0], rows[1]);
    }
    for t in 1..taps.len() {
        for j in 0..FIELDS {
            let row = FIELDS * V::LANES;
            // SAFETY: the caller's promise.
            let (farther, earlier) = unsafe {
                (v.load(centre.add((t + 1) * row + j * V::LANES)), v.load(centre.sub(t * row).add(j * V::LANES)))
            };
            let pairs = [(after[j], earlier), (farther, before[j])];
            (after[j], before[j]) = (farther, earlier);
            for q in 0..TOGETHER {
                let (sum, difference) = (v.add(pairs[q].0, pairs[q].1), v.sub(pairs[q].0, pairs[q].1));
                for n in 0..FIELDS - j {
                    let folded = if n == 1 { difference } else { sum };
                    sums[q][j][n] = v.mul_add(folded, v.splat(taps[t][n]), sums[q][j][n]);
                }
            }
        }
    }
    sums
}
