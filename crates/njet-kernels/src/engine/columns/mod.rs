//! Both axes at once, down the columns of a plane, with what lies between them in registers.
//!
//! For a register of columns the rows of the plane come by one after another. Of each row the fields `F_j = x ⋆ g_j`
//! along x are found, and the filters along y take them from there: so they are not stored and loaded again, and of what
//! is loaded for one column nothing has left the first-level cache when the next row needs it. One axis after the other,
//! through memory, took about twice the time of its arithmetic.
//!
//! - [`responses`]: all responses of a plane. A window of 2R + 1 rows of fields moves down.
//! - [`depthwise`]: their sum with coefficients, for a layer whose channels are apart. A window of 2R + 1 sums moves down.
//!
//! The loops are made for the common filters (`plain`, and what each file says); all others go one axis after the other.

// Lanes and registers are indexed together in several arrays.
#![allow(clippy::needless_range_loop)]

#[cfg(test)]
mod case;
mod depthwise;
mod responses;

use super::fir::Bank;
use super::placement::{Direction, Placement};
use crate::Real;
use crate::simd::Vectors;
use std::ops::RangeInclusive;

/// Orders along x: those of order 2, for which the loops are made.
const FIELDS: usize = 3;

/// Radii for which they are made.
const RADII: RangeInclusive<usize> = 2..=9;

/// Registers of machines that have many: AVX-512 and NEON.
const MANY_REGISTERS: usize = 32;

/// Whether the loops are made for such filters: one radius, no stride.
fn plain<T: Real>(direction: &Direction<T>) -> bool {
    let plain = |axis: &Placement| axis.spread == 1 && axis.keep == 1;
    let radius = direction.taps_y.radius();
    direction.order + 1 == FIELDS
        && RADII.contains(&radius)
        && direction.taps_x.radius() == radius
        && plain(&direction.y)
        && plain(&direction.x)
}

/// Runs `$body` with the constant `$D` = 2R + 1.
macro_rules! with_diameter {
    ($radius:expr, $D:ident => $body:expr) => {
        with_diameter!($radius, $D => $body, 2 => 5, 3 => 7, 4 => 9, 5 => 11, 6 => 13, 7 => 15, 8 => 17, 9 => 19)
    };
    ($radius:expr, $D:ident => $body:expr, $($R:literal => $diameter:literal),+) => {
        match $radius {
            $($R => {
                const $D: usize = $diameter;
                $body
            })+
            _ => unreachable!("a radius of `RADII`"),
        }
    };
}
use with_diameter;

/// `[t, n]`: order `n` at distance `t` after the centre; of the D rows the first R + 1 are used.
type Half<T, const D: usize> = [[T; FIELDS]; D];

fn half<T: Real, const D: usize>(bank: &Bank<T>) -> Half<T, D> {
    let mut half = [[T::ZERO; FIELDS]; D];
    for t in 0..=D / 2 {
        half[t] = std::array::from_fn(|n| bank.value(n, t as isize));
    }
    half
}

/// The samples around `centre` under the taps of the orders from `FROM` on, of each bank, in `N` registers.
///
/// # Safety
/// `D / 2` samples before `centre` and, from it on, `N` registers and `D / 2` more can be read.
#[inline(always)]
unsafe fn fields<
    T: Real,
    V: Vectors<T>,
    const D: usize,
    const FROM: usize,
    const COUNT: usize,
    const N: usize,
    const BANKS: usize,
>(
    v: V,
    centre: *const T,
    banks: [&Half<T, D>; BANKS],
) -> [[[V::V; N]; COUNT]; BANKS] {
    let zero = v.splat(T::ZERO);
    let mut fields = [[[zero; N]; COUNT]; BANKS];
    // SAFETY: the caller's promise.
    let load = |t: isize, r: usize| unsafe { v.load(centre.offset(t + (r * V::LANES) as isize)) };
    let even = |j: usize| (FROM + j).is_multiple_of(2);
    for r in 0..N {
        let middle = load(0, r);
        for b in 0..BANKS {
            // Odd orders have no tap at the centre.
            for j in (0..COUNT).filter(|&j| even(j)) {
                fields[b][j][r] = v.mul_add(middle, v.splat(banks[b][0][FROM + j]), zero);
            }
        }
    }
    for t in 1..=D / 2 {
        for r in 0..N {
            let (after, before) = (load(t as isize, r), load(-(t as isize), r));
            let (sum, difference) = (v.add(after, before), v.sub(after, before));
            for b in 0..BANKS {
                for j in 0..COUNT {
                    let folded = if even(j) { sum } else { difference };
                    fields[b][j][r] = v.mul_add(folded, v.splat(banks[b][t][FROM + j]), fields[b][j][r]);
                }
            }
        }
    }
    fields
}
