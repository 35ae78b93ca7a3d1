//! Both axes at once, down the columns of a plane, with what lies between them at hand.
//!
//! For a register of columns the rows of the plane come by one after another. Of each row the fields `F_j = x ⋆ g_j`
//! along x are found, and the filters along y take them from there, in one of two ways:
//!
//! - in registers, where the taps are few: a window of 2R + 1 rows of fields, or of sums, moves down;
//! - in the first-level cache ([`cached`]) else: some rows of results are made together, so that what is loaded, of the taps
//!   and of the fields, serves all of them.
//!
//! One axis after the other, through memory, took about twice the time of its arithmetic. All fields of the columns first
//! and then all results is slower than by turns: results then come faster than the outer caches take them.
//!
//! - [`responses`]: all responses of a plane.
//! - [`depthwise`]: their sum with coefficients, for a layer whose channels are apart.
//!
//! The loops are made for order 2 without a stride (`plain`); all others go one axis after the other.

// Lanes and registers are indexed together in several arrays.
#![allow(clippy::needless_range_loop)]

mod cached;
#[cfg(test)]
pub(super) mod case;
mod depthwise;
mod responses;

use super::fir::Bank;
use super::placement::{Direction, Placement};
use crate::Real;
use crate::simd::{STRIP, Vectors};

/// Orders along x: those of order 2, for which the loops are made.
pub(super) const FIELDS: usize = 3;

/// Registers of machines that have many: AVX-512 and NEON.
pub(super) const MANY_REGISTERS: usize = 32;

/// Whether the loops are made for such filters.
fn plain<T: Real>(direction: &Direction<T>) -> bool {
    let plain = |axis: &Placement| axis.spread == 1 && axis.keep == 1;
    direction.order + 1 == FIELDS && plain(&direction.y) && plain(&direction.x)
}

/// `[t, n]`: order `n` at distance `t` after the centre.
pub(super) type Half<T> = [[T; FIELDS]];

pub(super) fn half<T: Real>(bank: &Bank<T>) -> &Half<T> {
    bank.half().as_chunks().0
}

/// A register of columns of a plane.
struct Strip<'a, T> {
    /// Rows of samples between zeros,
    lines: &'a [T],
    /// elements from one to the next,
    pitch: usize,
    /// the sample under the centre tap of the first column, in row 0,
    from: usize,
    /// and how many rows there are.
    samples: usize,
    /// Columns of the plane, and the first of these.
    width: usize,
    column: usize,
    /// Where row 0 of the plane after this one may be.
    next: *const T,
}

/// Where fields are kept that the gradient of σ reads: those under the taps after a margin of a strip, and those
/// under their derivatives.
struct Kept<'a, T> {
    fields: [&'a mut [T]; 2],
    /// Elements from one field to the next.
    pitch: usize,
}

impl<T: Real> Kept<'_, T> {
    /// Whether there is room for a register of the last field at `at`.
    fn has_room<V: Vectors<T>>(&self, _: V, at: usize) -> bool {
        let end = (FIELDS - 1) * self.pitch + at + V::LANES;
        STRIP + end <= self.fields[0].len() && end <= self.fields[1].len()
    }

    /// Keeps a register of the fields from `FROM` on at `at`: of the first bank and of the last. Where it reaches past a row,
    /// the next row is written over that.
    ///
    /// # Safety
    /// There is room.
    #[inline(always)]
    unsafe fn keep<V: Vectors<T>, const FROM: usize, const COUNT: usize, const BANKS: usize, const M: usize>(
        &mut self,
        v: V,
        at: usize,
        fields: &[[[V::V; M]; COUNT]; BANKS],
        m: usize,
    ) {
        let [regular, tangents] = &mut self.fields;
        for j in 0..COUNT {
            let at = (FROM + j) * self.pitch + at;
            // SAFETY: the caller's promise.
            unsafe {
                v.store(regular.as_mut_ptr().add(STRIP + at), fields[0][j][m]);
                v.store(tangents.as_mut_ptr().add(at), fields[BANKS - 1][j][m]);
            }
        }
    }
}

/// `[bank, field]` of `M` registers of samples, the first at `centre` and each `pitch` elements after the one before; of
/// the fields those from `FROM` on.
///
/// # Safety
/// All banks have the same length, and so many samples can be read on both sides of each register.
#[inline(always)]
unsafe fn fields<T: Real, V: Vectors<T>, const FROM: usize, const COUNT: usize, const BANKS: usize, const M: usize>(
    v: V,
    centre: *const T,
    pitch: usize,
    banks: [&Half<T>; BANKS],
) -> [[[V::V; M]; COUNT]; BANKS] {
    let mut fields = [[[v.splat(T::ZERO); M]; COUNT]; BANKS];
    for m in 0..M {
        // SAFETY: the caller's promise.
        let sample = unsafe { v.load(centre.wrapping_add(m * pitch)) };
        for b in 0..BANKS {
            for j in 0..COUNT {
                // Odd orders have no tap at the centre.
                if (FROM + j).is_multiple_of(2) {
                    fields[b][j][m] = v.mul_add(sample, v.splat(banks[b][0][FROM + j]), fields[b][j][m]);
                }
            }
        }
    }
    for t in 1..banks[0].len() {
        for m in 0..M {
            let at = centre.wrapping_add(m * pitch);
            // SAFETY: the caller's promise.
            let (after, before) = unsafe { (v.load(at.wrapping_add(t)), v.load(at.wrapping_sub(t))) };
            let (sum, difference) = (v.add(after, before), v.sub(after, before));
            for b in 0..BANKS {
                // SAFETY: all banks have the same length.
                let taps = unsafe { banks[b].get_unchecked(t) };
                for j in 0..COUNT {
                    let folded = if (FROM + j).is_multiple_of(2) { sum } else { difference };
                    fields[b][j][m] = v.mul_add(folded, v.splat(taps[FROM + j]), fields[b][j][m]);
                }
            }
        }
    }
    fields
}
