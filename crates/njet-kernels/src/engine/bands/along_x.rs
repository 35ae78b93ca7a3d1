//! Along x: from the sums of a band to results.

use super::along_y::Pairs;
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
    // From the first sample of the first sum to that of the last row of the last.
    let end = (FIELDS - 1) * band.field + (count - 1) * band.pitch;
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

/// The same where neighbouring samples stand two slots apart: results at even places meet every other tap, those at odd
/// places the others. They are made apart, in `scratch`, and laid by turns.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub(super) fn rows_between<T: Real, V: Vectors<T>>(
    v: V,
    lines: &[T],
    band: &Band,
    x: &Placement,
    taps: &Half<T>,
    count: usize,
    scratch: &mut [T],
    out: &mut [MaybeUninit<T>],
) {
    let (even, odd) = scratch.split_at_mut(scratch.len() / 2);
    for (row, out) in out.chunks_exact_mut(x.result).enumerate().take(count) {
        for (p, to) in [&mut *even, &mut *odd].into_iter().enumerate() {
            let width = (x.result + 1 - p) / 2;
            let over = x.over(p);
            let pairs = Pairs::new(over, taps.len() - 1);
            let first = (band.margin + row * band.pitch) as isize + over.div_euclid(2);
            let reach = pairs.count as isize;
            let end = ((FIELDS - 1) * band.field + width) as isize;
            assert!(first >= reach && first + end + reach <= lines.len() as isize);
            assert!(width >= V::LANES && to.len() >= width);
            let mut done = 0;
            while done < width {
                // The last columns once more.
                let column = done.min(width - V::LANES);
                let at = lines.as_ptr().wrapping_add(first as usize + column);
                // SAFETY: by the assertions.
                unsafe { v.store(to.as_mut_ptr().add(column), result_between(v, at, over, band, taps, pairs)) };
                done = column + V::LANES;
            }
        }
        let (two, rest) = out.as_chunks_mut::<2>();
        for ((out, &even), &odd) in two.iter_mut().zip(&*even).zip(&*odd) {
            *out = [MaybeUninit::new(even), MaybeUninit::new(odd)];
        }
        rest.iter_mut().for_each(|out| _ = out.write(even[x.result / 2]));
    }
}

/// A register of every other result, the first over slot `over`; `at`: the sample under it or before it.
///
/// # Safety
/// All samples under the taps can be read.
#[inline(always)]
unsafe fn result_between<T: Real, V: Vectors<T>>(
    v: V,
    at: *const T,
    over: isize,
    band: &Band,
    taps: &Half<T>,
    pairs: Pairs,
) -> V::V {
    let mut sums = [v.splat(T::ZERO); FIELDS];
    if pairs.centre.is_some() {
        for j in (0..FIELDS).step_by(2) {
            // SAFETY: the caller's promise.
            let sample = unsafe { v.load(at.wrapping_add(j * band.field)) };
            sums[j] = v.mul_add(sample, v.splat(taps[0][j]), sums[j]);
        }
    }
    let before = over.div_euclid(2) - pairs.before;
    for k in 0..pairs.count {
        let tap = &taps[pairs.tap + 2 * k];
        for j in 0..FIELDS {
            let at = at.wrapping_add(j * band.field);
            // SAFETY: the caller's promise.
            let (after, before) =
                unsafe { (v.load(at.wrapping_add(1 + k)), v.load(at.wrapping_sub(before as usize + k))) };
            let folded = if j == 1 { v.sub(after, before) } else { v.add(after, before) };
            sums[j] = v.mul_add(folded, v.splat(tap[j]), sums[j]);
        }
    }
    v.add(v.add(sums[0], sums[1]), sums[2])
}
