//! A depthwise layer forward, down the columns of its planes, under taps `c_j` along y.
//!
//! - Few taps: the fields of a row stay in registers and go at once into the sums of all the result rows that they
//!   reach, 2R + 1 of which are under way ([`window`]).
//! - Many: the fields of all rows lie in the cache, and some rows of results are summed at a time ([`cached`]): a tap is loaded
//!   once for all of them, and a row of fields once for two taps.

mod cached;
mod window;

use super::cached::Column;
use super::{FIELDS, MANY_REGISTERS, Strip, half, plain};
use crate::Real;
use crate::engine::asymmetric::Mixture;
use crate::engine::placement::Direction;
use crate::engine::plane::{Laid, Room, Stages};
use crate::isa::Isa;
use crate::simd::{STRIP, VectorBody, Vectors};
use cached::Walk;
use std::mem::MaybeUninit;
use window::Window;

/// Results in a row from which on the columns pay: fewer would leave most of a register empty.
const LEAST_WIDTH: usize = 12;

/// The greatest radius whose sums are kept under way: those that sixteen registers nearly hold, or [`MANY_REGISTERS`] do.
const FEW_SUMS: usize = 5;
const MANY_SUMS: usize = 7;

/// The greatest of which [`MANY_REGISTERS`] hold the sums of two registers of columns.
const TWO_COLUMNS: usize = 9;

/// Rows of results that are summed together where there is no window: as many sums as keep a machine busy, or as few as
/// sixteen registers hold with what they meet.
const MANY: usize = 8;
const FEW: usize = 4;

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
        let applies = plain(direction) && direction.x.result >= LEAST_WIDTH;
        if applies {
            T::dispatch(isa, Columns { stages: self, direction, mixture, plane, bias, out });
        }
        applies
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
    type Output = ();
    #[inline(always)]
    fn run<V: Vectors<T>, const R: usize>(self, v: V) {
        let Self { stages, direction, mixture, plane, bias, out } = self;
        let (y, x) = (&direction.y, &direction.x);
        assert!(plane.len() == y.source * x.source && out.len() == y.result * x.result);
        let radius = direction.taps_y.radius();
        let (taps_x, taps) = (half(&direction.taps_x), mixture.taps().as_chunks().0);
        assert!(taps.len() == 2 * radius + 1);
        let sums = if V::REGISTERS >= MANY_REGISTERS { MANY_SUMS } else { FEW_SUMS };
        let window = taps_x.len() == radius + 1 && (2..=sums).contains(&radius);
        let column = if window { 0 } else { (y.result + MANY - 1 + 2 * radius) * FIELDS * V::LANES };
        let room = Room { column, ..Room::default() };
        let laid = stages.lay_columns(x, taps_x.len() - 1, plane, 0..y.source, room);
        let Laid { lines, pitch, first, column: fields, .. } = laid;
        let next = plane.as_ptr().wrapping_add(plane.len());
        let (width, samples) = (x.result, y.source);
        let top = y.over(0) - radius as isize;
        let mut done = 0;
        while done < width {
            // Two registers of columns share what they load of the taps, where there are registers for all their sums.
            let double = V::REGISTERS >= MANY_REGISTERS && taps.len() <= TWO_COLUMNS && width - done >= 2 * V::LANES;
            let wide = if window && double { 2 } else { 1 } * V::LANES;
            // The last columns once more, rather than a register that is filled in part.
            let column = done.min(width.saturating_sub(wide));
            done = column + wide;
            let from = (first as isize + x.over(0)) as usize + column;
            let strip = Strip { lines, pitch, from, samples, width, column, next };
            if window {
                let window = Window { strip, top, taps_x, taps, bias };
                match (radius, double) {
                    (2, true) => window.run::<V, 5, 3, 2>(v, out),
                    (2, false) => window.run::<V, 5, 3, 1>(v, out),
                    (3, true) => window.run::<V, 7, 4, 2>(v, out),
                    (3, false) => window.run::<V, 7, 4, 1>(v, out),
                    (4, true) => window.run::<V, 9, 5, 2>(v, out),
                    (4, false) => window.run::<V, 9, 5, 1>(v, out),
                    (5, _) => window.run::<V, 11, 6, 1>(v, out),
                    (6, _) => window.run::<V, 13, 7, 1>(v, out),
                    (7, _) => window.run::<V, 15, 8, 1>(v, out),
                    _ => unreachable!("a radius of a window"),
                }
                continue;
            }
            let mut fields = Column::new(v, strip, [taps_x], top, &mut *fields, None);
            let walk = Walk { taps, bias, width, column };
            let mut row = 0;
            while row < y.result {
                row += if V::REGISTERS >= MANY_REGISTERS && y.result - row > FEW {
                    walk.run::<V, MANY>(v, row, &mut fields, out)
                } else {
                    walk.run::<V, FEW>(v, row, &mut fields, out)
                };
            }
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
    use crate::engine::columns::case::{Case, cast};
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
        let mut stages = Stages::used();
        let done = stages.depthwise_by_columns(isa, &direction, &mixture, &plane, bias, as_uninit(&mut out));
        done.then(|| out.into_iter().map(Real::to_f64).collect())
    }

    proptest! {
        /// Ends of rows that fill no register, planes lower than the taps reach, more padding than they need, and less.
        #[test]
        fn columns_agree_with_the_reference(
            radius in 0usize..20,
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
                for (results, tolerance) in [(run::<f64>(&case, isa), 1e-13), (run::<f32>(&case, isa), 2e-5)] {
                    let results = results.expect("filters that the loops are made for");
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
        assert!(taken(2, [20, 20], [3, 4], 1), "radii that differ");
        assert!(!taken(2, [40, 40], [3, 3], 2), "a stride");
    }
}
