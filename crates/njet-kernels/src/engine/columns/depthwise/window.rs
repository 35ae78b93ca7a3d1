//! The sums of 2R + 1 rows of results in registers.

use super::store;
use crate::Real;
use crate::engine::columns::{FIELDS, Half, Strip, fields};
use crate::simd::{Vectors, prefetch};
use std::hint::black_box;
use std::mem::MaybeUninit;

/// Down some registers of columns with the sums of 2R + 1 result rows under way.
pub(super) struct Window<'a, T> {
    pub(super) strip: Strip<'a, T>,
    /// The row of samples under tap −R of result row 0.
    pub(super) top: isize,
    pub(super) taps_x: &'a Half<T>,
    /// `[t, j]`: of field `j` along y, from −R to R.
    pub(super) taps: &'a [[T; FIELDS]],
    pub(super) bias: T,
}

impl<T: Real> Window<'_, T> {
    /// `N` registers, `D` = 2R + 1, `HALF` = R + 1.
    #[inline(always)]
    pub(super) fn run<V: Vectors<T>, const D: usize, const HALF: usize, const N: usize>(
        self,
        v: V,
        out: &mut [MaybeUninit<T>],
    ) {
        let Self { strip: Strip { lines, pitch, from, samples, width, column, next }, top, taps_x, taps, bias } = self;
        let columns = (width - column).min(N * V::LANES);
        let (rows, samples) = ((out.len() / width) as isize, samples as isize);
        let (Some(taps_x), Some(taps)) = (taps_x.first_chunk::<HALF>(), taps.first_chunk::<D>()) else {
            unreachable!("the taps of the radius");
        };
        assert!(from >= D / 2 && from + (samples as usize - 1) * pitch + N * V::LANES + D / 2 <= lines.len());
        // The rows from first to last that are met, or that end a sum.
        let last_taps = top + D as isize - 1;
        let (start, end) = (last_taps.min(0), (rows + last_taps).max(samples));
        // The sum `k` is of the result row whose tap `R − k` the row meets: the first of them is then done.
        let mut sums = [[v.splat(bias); N]; D];
        for i in start..end {
            if (0..samples).contains(&i) {
                // Else the compiler would keep every tap in a register of its own before the loop, and most of those on the
                // stack, across two cache lines each: to load a tap into every lane takes no longer than to load one.
                let (taps_x, taps) = black_box((taps_x, taps));
                for r in 0..N {
                    prefetch(next.wrapping_add(i as usize * width + column + r * V::LANES));
                }
                // SAFETY: the samples of the last row, the farthest, are inside by the assertion.
                let [fields] = unsafe {
                    let centre = lines.as_ptr().add(from + i as usize * pitch);
                    fields::<T, V, 0, FIELDS, 1, N>(v, centre, V::LANES, [taps_x])
                };
                for k in 0..D {
                    for j in 0..FIELDS {
                        let tap = v.splat(taps[D - 1 - k][j]);
                        for r in 0..N {
                            sums[k][r] = v.mul_add(fields[j][r], tap, sums[k][r]);
                        }
                    }
                }
            }
            let done = i - last_taps;
            if (0..rows).contains(&done) {
                store(v, &sums[0], &mut out[done as usize * width + column..][..columns]);
            }
            for k in 1..D {
                sums[k - 1] = sums[k];
            }
            sums[D - 1] = [v.splat(bias); N];
        }
    }
}
