//! Along x: from the sums of a band to results.

use super::{Band, FIELDS, Half, MANY_REGISTERS};
use crate::Real;
use crate::engine::placement::Placement;
use crate::simd::Vectors;
use std::mem::MaybeUninit;

/// Rows that are made together: what is loaded of the taps serves all of them.
const TOGETHER: usize = 4;

/// The first `count` rows of `band`, of which `lines` holds the sums.
#[inline(always)]
pub(super) fn rows<T: Real, V: Vectors<T>>(
    v: V,
    lines: &[T],
    band: &Band,
    x: &Placement,
    taps: &Half<T>,
    count: usize,
    out: &mut [MaybeUninit<T>],
) {
    let (width, radius) = (x.result, taps.len() as isize - 1);
    let first = band.margin as isize + x.over(0);
    // The farthest samples of the first row and of the last.
    let end = FIELDS * band.field - band.field + (count - 1) * band.pitch;
    assert!(first >= radius && first as usize + end + width + radius as usize <= lines.len());
    assert!(count <= band.rows && width >= V::LANES && out.len() >= count * width);
    let mut row = 0;
    while row < count {
        macro_rules! rows {
            ($M:literal) => {{
                let mut done = 0;
                while done < width {
                    // The last columns once more.
                    let column = done.min(width - V::LANES);
                    let at = lines.as_ptr().wrapping_add(first as usize + row * band.pitch + column);
                    // SAFETY: by the assertions.
                    unsafe {
                        let results = results::<T, V, $M>(v, at, band, taps);
                        for m in 0..$M {
                            v.store(out.as_mut_ptr().add((row + m) * width + column).cast(), results[m]);
                        }
                    }
                    done = column + V::LANES;
                }
                row += $M;
            }};
        }
        match count - row {
            TOGETHER.. if V::REGISTERS >= MANY_REGISTERS => rows!(4),
            2.. => rows!(2),
            _ => rows!(1),
        }
    }
}

/// A register of `M` rows, over the samples at `centre`.
///
/// # Safety
/// All samples under the taps can be read.
#[inline(always)]
unsafe fn results<T: Real, V: Vectors<T>, const M: usize>(
    v: V,
    centre: *const T,
    band: &Band,
    taps: &Half<T>,
) -> [V::V; M] {
    let mut sums = [[v.splat(T::ZERO); FIELDS]; M];
    for j in (0..FIELDS).step_by(2) {
        let tap = v.splat(taps[0][j]);
        for m in 0..M {
            // SAFETY: the caller's promise.
            let sample = unsafe { v.load(centre.wrapping_add(j * band.field + m * band.pitch)) };
            sums[m][j] = v.mul_add(sample, tap, sums[m][j]);
        }
    }
    for t in 1..taps.len() {
        for j in 0..FIELDS {
            let tap = v.splat(taps[t][j]);
            for m in 0..M {
                let at = centre.wrapping_add(j * band.field + m * band.pitch);
                // SAFETY: the caller's promise.
                let (after, before) = unsafe { (v.load(at.wrapping_add(t)), v.load(at.wrapping_sub(t))) };
                let folded = if j == 1 { v.sub(after, before) } else { v.add(after, before) };
                sums[m][j] = v.mul_add(folded, tap, sums[m][j]);
            }
        }
    }
    sums.map(|[a, b, c]| v.add(v.add(a, b), c))
}
