//! A depthwise layer forward, down the columns of its planes.
//!
//! The fields of a row go at once, under the taps `c_j` along y, into the sums of all the result rows that they
//! reach: 2R + 1 of them are under way, the first of which is then done.
//!
//! ```text
//! row i      F_j            y(i − R … i + R) += Σ_j c_j F_j        y(i − R) is stored
//! ```

use super::{FIELDS, Half, MANY_REGISTERS, fields, half, plain, with_diameter};
use crate::Real;
use crate::engine::asymmetric::Mixture;
use crate::engine::placement::{Direction, Placement};
use crate::engine::plane::{Laid, Stages};
use crate::isa::Isa;
use crate::simd::{STRIP, VectorBody, Vectors, prefetch};
use std::hint::black_box;
use std::mem::MaybeUninit;

/// Results in a row from which on the columns pay: fewer would leave most of a register empty.
const LEAST_WIDTH: usize = 12;

/// The greatest diameter whose sums sixteen registers nearly hold.
const FEW_REGISTERS: usize = 11;

/// The greatest whose sums, of two registers of columns, [`MANY_REGISTERS`] hold.
const TWO_COLUMNS: usize = 9;

impl<T: Real> Stages<T> {
    /// Writes the results of a plane, which `bias` is added to, to all of `out`; or does nothing and returns false
    /// where the loops are not made for such filters.
    pub(in crate::engine) fn depthwise_by_columns(
        &mut self,
        isa: Isa,
        direction: &Direction<T>,
        mixture: &Mixture<T>,
        plane: &[T],
        bias: T,
        out: &mut [MaybeUninit<T>],
    ) -> bool {
        plain(direction)
            && direction.x.result >= LEAST_WIDTH
            && T::dispatch(isa, Columns { stages: self, direction, mixture, plane, bias, out })
    }
}

struct Columns<'a, T> {
    stages: &'a mut Stages<T>,
    direction: &'a Direction<T>,
    mixture: &'a Mixture<T>,
    plane: &'a [T],
    bias: T,
    out: &'a mut [MaybeUninit<T>],
}

impl<T: Real> VectorBody<T> for Columns<'_, T> {
    type Output = bool;
    #[inline(always)]
    fn run<V: Vectors<T>, const R: usize>(self, v: V) -> bool {
        with_diameter!(self.direction.taps_y.radius(), D => {
            let applies = D <= FEW_REGISTERS || V::REGISTERS >= MANY_REGISTERS;
            if applies {
                self.of_diameter::<V, D>(v);
            }
            applies
        })
    }
}

impl<T: Real> Columns<'_, T> {
    #[inline(always)]
    fn of_diameter<V: Vectors<T>, const D: usize>(self, v: V) {
        let Self { stages, direction, mixture, plane, bias, out } = self;
        let (y, x) = (&direction.y, &direction.x);
        assert!(plane.len() == y.source * x.source && out.len() == y.result * x.result);
        let taps = Taps::<T, D>::new(direction, mixture);
        let Laid { lines, pitch, first, .. } = stages.lay_columns(x, D / 2, plane, 0..y.source, 0, 0);
        let next = plane.as_ptr().wrapping_add(plane.len());
        let mut done = 0;
        while done < x.result {
            // Two registers of columns share what they load of the taps, where there are registers for all their sums.
            let double = V::REGISTERS >= MANY_REGISTERS && D <= TWO_COLUMNS && x.result - done >= 2 * V::LANES;
            let wide = if double { 2 } else { 1 } * V::LANES;
            // The last columns once more, rather than a register that is filled in part.
            let column = done.min(x.result.saturating_sub(wide));
            let from = (first as isize + x.over(0)) as usize + column;
            let next = next.wrapping_add(column);
            let block = Block { lines, pitch, from, y, bias, width: x.result, column, next };
            if double {
                block.run::<V, D, 2>(v, &taps, out);
            } else {
                block.run::<V, D, 1>(v, &taps, out);
            }
            done = column + wide;
        }
    }
}

/// The taps of both axes.
struct Taps<T, const D: usize> {
    x: Half<T, D>,
    /// `[t, j]`: of field `j` along y, at `R − t`: the sums under way are from the row that is first done to the last.
    y: [[T; FIELDS]; D],
}

impl<T: Real, const D: usize> Taps<T, D> {
    fn new(direction: &Direction<T>, mixture: &Mixture<T>) -> Self {
        let y = std::array::from_fn(|t| std::array::from_fn(|j| mixture.value(j, (D / 2) as isize - t as isize)));
        Self { x: half(&direction.taps_x), y }
    }
}

/// Some columns of results.
struct Block<'a, T> {
    /// Rows of samples between zeros,
    lines: &'a [T],
    /// elements from one to the next,
    pitch: usize,
    /// and the sample under the centre tap of the first column, in row 0.
    from: usize,
    y: &'a Placement,
    bias: T,
    /// Columns of a plane of results, and the first of these.
    width: usize,
    column: usize,
    /// Where the same columns of the plane after this one may be.
    next: *const T,
}

impl<T: Real> Block<'_, T> {
    /// `N` registers of columns.
    #[inline(always)]
    fn run<V: Vectors<T>, const D: usize, const N: usize>(self, v: V, taps: &Taps<T, D>, out: &mut [MaybeUninit<T>]) {
        let Self { lines, pitch, from, y, bias, width, column, next } = self;
        let radius = (D / 2) as isize;
        let columns = (width - column).min(N * V::LANES);
        let mut sums = [[v.splat(bias); N]; D];
        // Row `i` is the last that the result over row `i − R` meets; those over rows that are none are zeros.
        let start = (y.over(0) + radius).min(0);
        let end = (y.over(y.result - 1) + radius + 1).max(y.source as isize);
        assert!(from >= D / 2 && from + (y.source - 1) * pitch + N * V::LANES + D / 2 <= lines.len());
        for i in start..end {
            if (0..y.source as isize).contains(&i) {
                // Else the compiler would keep every tap in a register of its own before the loop, and most of those on the
                // stack, across two cache lines each: to load a tap into every lane takes no longer than to load one.
                let taps = black_box(taps);
                for r in 0..N {
                    prefetch(next.wrapping_add(i as usize * width + r * V::LANES));
                }
                // SAFETY: the samples of the last row, the farthest, are inside by the assertion.
                let [fields] = unsafe {
                    let centre = lines.as_ptr().add(from + i as usize * pitch);
                    fields::<T, V, D, 0, FIELDS, N, 1>(v, centre, [&taps.x])
                };
                for k in 0..D {
                    for j in 0..FIELDS {
                        let tap = v.splat(taps.y[k][j]);
                        (0..N).for_each(|r| sums[k][r] = v.mul_add(fields[j][r], tap, sums[k][r]));
                    }
                }
            }
            let done = i - radius - y.over(0);
            if (0..y.result as isize).contains(&done) {
                let to = &mut out[done as usize * width + column..][..columns];
                store(v, &sums[0], to);
            }
            for k in 1..D {
                sums[k - 1] = sums[k];
            }
            sums[D - 1] = [v.splat(bias); N];
        }
    }
}

/// As many of `values` as `to` has room for.
#[inline(always)]
fn store<T: Real, V: Vectors<T>, const N: usize>(v: V, values: &[V::V; N], to: &mut [MaybeUninit<T>]) {
    if to.len() == N * V::LANES {
        // SAFETY: `to` has room for all.
        (0..N).for_each(|r| unsafe { v.store(to.as_mut_ptr().cast::<T>().add(r * V::LANES), values[r]) });
    } else {
        let mut strip = [T::ZERO; 2 * STRIP];
        // SAFETY: two registers have room in two strips; `to` has fewer elements than they.
        unsafe {
            (0..N).for_each(|r| v.store(strip.as_mut_ptr().add(r * V::LANES), values[r]));
            to.as_mut_ptr().cast::<T>().copy_from_nonoverlapping(strip.as_ptr(), to.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disjoint::as_uninit;
    use crate::engine::columns::case::{Case, cast, has_many_registers};
    use crate::geometry::jet_index;
    use crate::{Forward, Taps, reference};
    use proptest::prelude::*;

    const BIAS: f64 = 0.25;

    /// What the columns make of it, if they do.
    fn run<T: Real>(case: &Case, isa: Isa) -> Option<Vec<f64>> {
        let (geometry, alpha, direction) = (&case.geometry, cast::<T>(&case.alpha), case.direction::<T>(&case.taps));
        let mixture = Mixture::new(&direction.taps_y, geometry.order + 1, |i, j| alpha[jet_index(i, j)]);
        let mut out = vec![T::from_f64(f64::NAN); geometry.output_len()];
        let (plane, bias) = (cast(&case.plane), T::from_f64(BIAS));
        let mut stages = Stages::default();
        let done = stages.depthwise_by_columns(isa, &direction, &mixture, &plane, bias, as_uninit(&mut out));
        done.then(|| out.into_iter().map(Real::to_f64).collect())
    }

    proptest! {
        /// Ends of rows that fill no register, planes lower than the taps reach, more padding than they need, and less.
        #[test]
        fn columns_agree_with_the_reference(
            radius in 2usize..10,
            rows in 1usize..40,
            width in 1usize..90,
            padding in prop::option::of(prop::array::uniform4(0usize..12)),
        ) {
            let [top, bottom, left, right] = padding.unwrap_or([radius; 4]);
            let case = Case::new(2, [rows, width], [radius; 2], [(top, bottom), (left, right)], 1);
            prop_assume!(case.as_ref().is_some_and(|case| case.geometry.x.output >= LEAST_WIDTH));
            let case = case.unwrap();
            let taps = Taps { y: &case.taps[0][..], x: &case.taps[1][..] };
            let call = Forward { taps, alpha: &case.alpha, bias: Some(&[BIAS]), x: &case.plane };
            let expected = reference::forward(&case.geometry, &call).unwrap();
            for isa in [Isa::Best, Isa::Avx2, Isa::Portable] {
                // Some hundred terms, each at most 1.
                let few = 2 * radius < FEW_REGISTERS;
                let (double, single) = (run::<f64>(&case, isa), run::<f32>(&case, isa));
                prop_assert_eq!(double.is_some(), few || has_many_registers::<f64>(isa));
                prop_assert_eq!(single.is_some(), few || has_many_registers::<f32>(isa));
                for (results, tolerance) in [(double, 1e-13), (single, 2e-5)] {
                    let Some(results) = results else { continue };
                    for (i, (ours, expected)) in results.iter().zip(&expected).enumerate() {
                        prop_assert!((ours - expected).abs() <= tolerance, "{i}: {ours}, {expected}, {isa:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn other_filters_go_another_way() {
        let taken = |order, size, radii: [usize; 2], stride| {
            let case = Case::new(order, size, radii, radii.map(|radius| (radius, radius)), stride).unwrap();
            run::<f32>(&case, Isa::Best).is_some()
        };
        assert!(taken(2, [20, 20], [3, 3], 1));
        assert!(!taken(3, [20, 20], [3, 3], 1), "another order");
        assert!(!taken(2, [20, 11], [3, 3], 1), "a row of less than a register");
        assert!(!taken(2, [20, 20], [1, 1], 1) && !taken(2, [30, 30], [10, 10], 1), "radii without loops");
        assert!(!taken(2, [20, 20], [3, 4], 1), "radii that differ");
        assert!(!taken(2, [40, 40], [3, 3], 2), "a stride");
    }
}
