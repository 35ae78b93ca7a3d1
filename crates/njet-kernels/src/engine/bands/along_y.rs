//! Along y: sums of a register of columns.

use super::{FIELDS, Half};
use crate::Real;
use crate::engine::plane::Planes;
use crate::simd::Vectors;

/// The planes: order along y, and along x.
const JET: [(usize, usize); 6] = [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (0, 2)];

/// Six planes that are filtered along y.
pub(super) struct Column<'a, T, const BANKS: usize> {
    pub(super) source: &'a [T],
    pub(super) planes: Planes,
    pub(super) width: usize,
    pub(super) rows: usize,
    /// The taps, or these and their derivatives.
    pub(super) banks: [&'a Half<T>; BANKS],
}

impl<T: Real, const BANKS: usize> Column<'_, T, BANKS> {
    /// Whether all planes are inside their array.
    ///
    /// # Panics
    /// If they are not, or the banks differ in length.
    #[inline(always)]
    pub(super) fn check(&self) {
        let most = JET.map(|(i, j)| self.planes.at(i, j)).into_iter().max().unwrap_or(0);
        assert!(most + self.rows * self.width <= self.source.len());
        assert!(self.banks.iter().all(|bank| bank.len() == self.banks[0].len()));
    }

    /// `[bank, row, field]` of the columns from `column` on and `Q` rows, the first of them over row `over` of the
    /// planes. Outside of the planes there are zeros.
    ///
    /// # Safety
    /// `check` has passed, and a register of columns fits into the width after `column`.
    #[inline(always)]
    pub(super) unsafe fn sums<V: Vectors<T>, const Q: usize>(
        &self,
        v: V,
        column: usize,
        over: isize,
    ) -> [[[V::V; FIELDS]; Q]; BANKS] {
        let zero = v.splat(T::ZERO);
        let step = self.width;
        let radius = self.banks[0].len() as isize - 1;
        let last = self.rows as isize - 1;
        let mut sums = [[[zero; FIELDS]; Q]; BANKS];
        let centres = JET.map(|(i, j)| {
            let at = self.planes.at(i, j) + column;
            self.source.as_ptr().wrapping_add(at).wrapping_offset(over * step as isize)
        });
        // Rows on both sides of all rows: the taps up to there are folded.
        let both = over.min(last - over - (Q as isize - 1)).min(radius);
        if both >= 0 {
            // The rows that the next tap meets once more: after all rows but the last, and before all but the first.
            let (mut after, mut before) = ([zero; JET.len()], [zero; JET.len()]);
            for (p, (n, j)) in JET.into_iter().enumerate() {
                // SAFETY: the rows themselves are inside, and so all below.
                let rows: [V::V; Q] = std::array::from_fn(|q| unsafe { v.load(centres[p].wrapping_add(q * step)) });
                // Odd orders have no tap at the centre.
                if n != 1 {
                    for b in 0..BANKS {
                        let tap = v.splat(self.banks[b][0][n]);
                        (0..Q).for_each(|q| sums[b][q][j] = v.mul_add(rows[q], tap, sums[b][q][j]));
                    }
                }
                (before[p], after[p]) = (rows[0], rows[Q - 1]);
            }
            let (mut down, mut up) = (Q * step, step.wrapping_neg());
            for t in 1..=both as usize {
                for (p, (n, j)) in JET.into_iter().enumerate() {
                    // SAFETY: `both` rows are inside on both sides.
                    let (far, early) =
                        unsafe { (v.load(centres[p].wrapping_add(down)), v.load(centres[p].wrapping_add(up))) };
                    let mut folded = [zero; Q];
                    for q in 0..Q {
                        let (a, b) = match (Q, q) {
                            (1, _) => (far, early),
                            (_, 0) => (after[p], early),
                            _ => (far, before[p]),
                        };
                        folded[q] = if n == 1 { v.sub(a, b) } else { v.add(a, b) };
                    }
                    (after[p], before[p]) = (far, early);
                    for b in 0..BANKS {
                        // SAFETY: `both` is within the radius, and all banks have the same length.
                        let tap = v.splat(unsafe { self.banks[b].get_unchecked(t) }[n]);
                        (0..Q).for_each(|q| sums[b][q][j] = v.mul_add(folded[q], tap, sums[b][q][j]));
                    }
                }
                (down, up) = (down.wrapping_add(step), up.wrapping_sub(step));
            }
        }
        if both < radius {
            let both = both.max(-1);
            let (from, to) = ((over - radius).max(0), (over + Q as isize - 1 + radius).min(last));
            // Rows that no row, or not each, has met.
            let before = from..=to.min(over + Q as isize - 2 - both);
            let after = from.max(over + both + 1).max(before.end() + 1)..=to;
            for row in before.chain(after) {
                for q in 0..Q {
                    let t = row - over - q as isize;
                    if t.abs() <= both || t.abs() > radius {
                        continue;
                    }
                    for (p, (n, j)) in JET.into_iter().enumerate() {
                        let at = centres[p].wrapping_offset((row - over) * step as isize);
                        // SAFETY: `row` is one of the planes', and t within the radius.
                        unsafe {
                            let sample = v.load(at);
                            for b in 0..BANKS {
                                let tap = self.banks[b].get_unchecked(t.unsigned_abs())[n];
                                let tap = v.splat(if n == 1 && t < 0 { -tap } else { tap });
                                sums[b][q][j] = v.mul_add(sample, tap, sums[b][q][j]);
                            }
                        }
                    }
                }
            }
        }
        sums
    }
}
