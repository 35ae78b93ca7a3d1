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

    /// The same where neighbouring rows of the planes stand two slots apart, of one row, over slot `over`: every other tap
    /// meets a row, those at even distances or those at odd ones.
    ///
    /// # Safety
    /// As for [`sums`](Self::sums).
    #[inline(always)]
    pub(super) unsafe fn sums_between<V: Vectors<T>>(
        &self,
        v: V,
        column: usize,
        over: isize,
    ) -> [[[V::V; FIELDS]; 1]; BANKS] {
        let mut sums = [[[v.splat(T::ZERO); FIELDS]; 1]; BANKS];
        let last = self.rows as isize - 1;
        let Pairs { centre, before, tap, count } = Pairs::new(over, self.banks[0].len() - 1);
        let after = over.div_euclid(2) + 1;
        let at = |(i, j), row: isize| {
            let plane = self.source.as_ptr().wrapping_add(self.planes.at(i, j) + column);
            plane.wrapping_offset(row * self.width as isize)
        };
        if let Some(row) = centre.filter(|row| (0..=last).contains(row)) {
            // Odd orders have no tap at the centre.
            for (n, j) in JET.into_iter().filter(|&(n, _)| n != 1) {
                // SAFETY: a row of the planes, as all below.
                let sample = unsafe { v.load(at((n, j), row)) };
                for b in 0..BANKS {
                    sums[b][0][j] = v.mul_add(sample, v.splat(self.banks[b][0][n]), sums[b][0][j]);
                }
            }
        }
        // Pairs of which both rows are some.
        let both = (last - after + 1).min(before + 1).clamp(0, count as isize);
        for k in 0..both {
            let t = tap + 2 * k as usize;
            for (n, j) in JET {
                // SAFETY: rows of the planes, as `both` counts them.
                let [later, earlier] = [after + k, before - k].map(|row| unsafe { v.load(at((n, j), row)) });
                let folded = if n == 1 { v.sub(later, earlier) } else { v.add(later, earlier) };
                for b in 0..BANKS {
                    sums[b][0][j] = v.mul_add(folded, v.splat(self.banks[b][t][n]), sums[b][0][j]);
                }
            }
        }
        for k in both..count as isize {
            let t = tap + 2 * k as usize;
            for (row, back) in [(after + k, false), (before - k, true)] {
                if !(0..=last).contains(&row) {
                    continue;
                }
                for (n, j) in JET {
                    // SAFETY: a row of the planes.
                    let sample = unsafe { v.load(at((n, j), row)) };
                    for b in 0..BANKS {
                        let tap = self.banks[b][t][n];
                        let tap = v.splat(if n == 1 && back { -tap } else { tap });
                        sums[b][0][j] = v.mul_add(sample, tap, sums[b][0][j]);
                    }
                }
            }
        }
        sums
    }
}

/// Samples two slots apart under the taps of one result: pairs at equal distances of the centre.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pairs {
    /// The sample under the centre tap, if there is one.
    pub(super) centre: Option<isize>,
    /// The nearest sample before the centre; the nearest after is that after slot `over`.
    pub(super) before: isize,
    /// The distance of the nearest pair in slots, 1 or 2,
    pub(super) tap: usize,
    /// and how many pairs there are.
    pub(super) count: usize,
}

impl Pairs {
    /// Of a result over slot `over`; sample `i` is in slot `2i`.
    #[inline(always)]
    pub(super) fn new(over: isize, radius: usize) -> Self {
        let under = over.div_euclid(2);
        match over.rem_euclid(2) {
            0 => Self { centre: Some(under), before: under - 1, tap: 2, count: radius / 2 },
            _ => Self { centre: None, before: under, tap: 1, count: radius.div_ceil(2) },
        }
    }
}
