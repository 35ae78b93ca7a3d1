//! A depthwise layer forward, both axes at once: down the columns of a plane, all sums in registers.
//!
//! For a few columns of results, the rows of the plane come by one after another. Of each row the fields
//! `F_j = x ⋆ g_j` along x are found in registers, and go at once, under the taps `c_j` along y, into the sums of all
//! the result rows that they reach: 2R + 1 of them are under way, the first of which is then done.
//!
//! ```text
//! row i      F_j            y(i − R … i + R) += Σ_j c_j F_j        y(i − R) is stored
//! ```
//!
//! So nothing is stored between the two axes and loaded again, for which the filters one after the other take more time than
//! for the arithmetic.

// Lanes and registers are indexed together in several arrays.
#![allow(clippy::needless_range_loop)]

use super::asymmetric::Mixture;
use super::placement::{Direction, Placement};
use super::plane::{ROOM, Stages};
use crate::Real;
use crate::isa::Isa;
use crate::simd::{STRIP, VectorBody, Vectors, prefetch};
use std::hint::black_box;
use std::mem::MaybeUninit;

/// Orders along x: those of order 2, for which the loops are made.
const FIELDS: usize = 3;

/// Results in a row from which on the columns pay: fewer would leave most of a register empty.
const LEAST_WIDTH: usize = 12;

/// Whether the loops are made for these filters.
fn applies<T: Real>(direction: &Direction<T>) -> bool {
    let plain = |axis: &Placement| axis.spread == 1 && axis.keep == 1;
    let radius = direction.taps_y.radius();
    direction.order + 1 == FIELDS
        && (2..=5).contains(&radius)
        && direction.taps_x.radius() == radius
        && plain(&direction.y)
        && plain(&direction.x)
        && direction.x.result >= LEAST_WIDTH
}

/// A plane to filter.
pub(super) struct Channel<'a, T> {
    pub(super) plane: &'a [T],
    /// The samples after it, which begin with the next plane: those are asked for before they are needed.
    pub(super) next: &'a [T],
    /// Is added to every result.
    pub(super) bias: T,
}

impl<T: Real> Stages<T> {
    /// Writes the results of a plane to all of `out`, or writes nothing and returns false where the loops are not made for such
    /// filters.
    pub(super) fn by_columns(
        &mut self,
        isa: Isa,
        direction: &Direction<T>,
        mixture: &Mixture<T>,
        channel: Channel<'_, T>,
        out: &mut [MaybeUninit<T>],
    ) -> bool {
        let applies = applies(direction);
        if applies {
            T::dispatch(isa, Columns { stages: self, direction, mixture, channel, out });
        }
        applies
    }
}

struct Columns<'a, T> {
    stages: &'a mut Stages<T>,
    direction: &'a Direction<T>,
    mixture: &'a Mixture<T>,
    channel: Channel<'a, T>,
    out: &'a mut [MaybeUninit<T>],
}

impl<T: Real> VectorBody<T> for Columns<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vectors<T>, const R: usize>(self, v: V) {
        match self.direction.taps_y.radius() {
            2 => self.of_diameter::<V, 5>(v),
            3 => self.of_diameter::<V, 7>(v),
            4 => self.of_diameter::<V, 9>(v),
            _ => self.of_diameter::<V, 11>(v),
        }
    }
}

impl<T: Real> Columns<'_, T> {
    #[inline(always)]
    fn of_diameter<V: Vectors<T>, const D: usize>(self, v: V) {
        let Self { stages, direction, mixture, channel: Channel { plane, next, bias }, out } = self;
        let (y, x) = (&direction.y, &direction.x);
        assert!(plane.len() == y.source * x.source && out.len() == y.result * x.result);
        let taps = Taps::<T, D>::new(direction, mixture);
        let (rows, pitch) = stages.lay_plane(x, D / 2, plane);
        // Sample 0 of result 0 of the first row.
        let first = rows.len() - (y.source * pitch + ROOM);
        let mut done = 0;
        while done < x.result {
            // Two registers of columns share what they load of the taps, where there are registers for all their sums.
            let double = V::REGISTERS >= 32 && D < 11 && x.result - done >= 2 * V::LANES;
            let wide = if double { 2 } else { 1 } * V::LANES;
            // The last columns once more, rather than a register that is filled in part.
            let column = done.min(x.result.saturating_sub(wide));
            let from = (first as isize + x.over(0)) as usize + column;
            let next = next.as_ptr().wrapping_add(column);
            let block = Block { rows, pitch, from, y, bias, width: x.result, column, next };

            if double {
                block.run::<V, D, 2>(v, &taps, out);
            } else {
                block.run::<V, D, 1>(v, &taps, out);
            }
            done = column + wide;
        }
    }
}

/// The taps of both axes, as the loops read them.
struct Taps<T, const D: usize> {
    /// `[t, n]`: order `n` along x at distance `t` after the centre.
    x: [[T; FIELDS]; D],
    /// `[t, j]`: of field `j` along y, at `R − t`: the sums under way are from the row that is first done to the last.
    y: [[T; FIELDS]; D],
}

impl<T: Real, const D: usize> Taps<T, D> {
    fn new(direction: &Direction<T>, mixture: &Mixture<T>) -> Self {
        let mut x = [[T::ZERO; FIELDS]; D];
        for t in 0..=D / 2 {
            (0..FIELDS).for_each(|n| x[t][n] = direction.taps_x.value(n, t as isize));
        }
        let y = std::array::from_fn(|t| std::array::from_fn(|j| mixture.value(j, (D / 2) as isize - t as isize)));
        Self { x, y }
    }
}

/// Some columns of results.
struct Block<'a, T> {
    /// Rows of samples between zeros,
    rows: &'a [T],
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
        let Self { rows, pitch, from, y, bias, width, column, next } = self;
        let radius = (D / 2) as isize;
        let columns = (width - column).min(N * V::LANES);
        let mut sums = [[v.splat(bias); N]; D];
        // Row `i` is the last that the result over row `i − R` meets; those over rows that are none are zeros.
        let start = (y.over(0) + radius).min(0);
        let end = (y.over(y.result - 1) + radius + 1).max(y.source as isize);
        assert!(from >= D / 2 && from + (y.source - 1) * pitch + N * V::LANES + D / 2 <= rows.len());
        for i in start..end {
            if (0..y.source as isize).contains(&i) {
                // Else the compiler would keep every tap in a register of its own before the loop, and most of those on the
                // stack, across two cache lines each: to load a tap into every lane takes no longer than to load one.
                let taps = black_box(taps);
                for r in 0..N {
                    prefetch(next.wrapping_add(i as usize * width + r * V::LANES));
                }
                // SAFETY: the samples of the last row, the farthest, are inside by the assertion.
                let fields =
                    unsafe { self::fields::<T, V, D, N>(v, rows.as_ptr().add(from + i as usize * pitch), taps) };
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

/// The samples around `centre` under the taps of each order along x.
///
/// # Safety
/// `D / 2` samples before `centre` and, from it on, `N` registers and `D / 2` more can be read.
#[inline(always)]
unsafe fn fields<T: Real, V: Vectors<T>, const D: usize, const N: usize>(
    v: V,
    centre: *const T,
    taps: &Taps<T, D>,
) -> [[V::V; N]; FIELDS] {
    let zero = v.splat(T::ZERO);
    let mut fields = [[zero; N]; FIELDS];
    // SAFETY: the caller's promise.
    let load = |t: isize, r: usize| unsafe { v.load(centre.offset(t + (r * V::LANES) as isize)) };
    // The odd order has no centre tap.
    for n in (0..FIELDS).step_by(2) {
        let tap = v.splat(taps.x[0][n]);
        (0..N).for_each(|r| fields[n][r] = v.mul_add(load(0, r), tap, zero));
    }
    for t in 1..=D / 2 {
        let tap: [V::V; FIELDS] = std::array::from_fn(|n| v.splat(taps.x[t][n]));
        for r in 0..N {
            let (after, before) = (load(t as isize, r), load(-(t as isize), r));
            let (even, odd) = (v.add(after, before), v.sub(after, before));
            for n in 0..FIELDS {
                let folded = if n % 2 == 0 { even } else { odd };
                fields[n][r] = v.mul_add(folded, tap[n], fields[n][r]);
            }
        }
    }
    fields
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
    use crate::geometry::jet_index;
    use crate::{AxisConfig, Forward, Geometry, GeometryConfig, reference};
    use proptest::prelude::*;

    struct Case {
        geometry: Geometry,
        taps: [Vec<f64>; 2],
        alpha: Vec<f64>,
        plane: Vec<f64>,
    }

    const BIAS: f64 = 0.25;

    impl Case {
        /// `size` and `radii` along y and x; `None` where the kernel does not fit.
        fn new(
            order: usize,
            size: [usize; 2],
            radii: [usize; 2],
            padding: [(usize, usize); 2],
            stride: usize,
        ) -> Option<Self> {
            let axis = |i: usize| AxisConfig { input: size[i], radius: radii[i], stride, padding: padding[i] };
            let (y, x) = (axis(0), axis(1));
            let config = GeometryConfig { batch: 1, channels_in: 1, channels_out: 1, groups: 1, order, y, x };
            let geometry = Geometry::new(config).ok()?;
            let noise =
                |seed: usize, len| (0..len).map(move |i| ((i * i + 7 * i + seed) * 7919 % 1013) as f64 / 1013.0 - 0.4);
            // Even and odd, as derivatives of a Gaussian are, without being some.
            let taps = |radius: usize| {
                let order = |n: usize| {
                    let half: Vec<f64> = noise(n, radius + 1).collect();
                    let sign = if n.is_multiple_of(2) { 1.0 } else { -1.0 };
                    let at = move |t: isize| if t < 0 { sign } else { 1.0 } * half[t.unsigned_abs()];
                    let centre = move |t: isize| if t == 0 && sign < 0.0 { 0.0 } else { at(t) };
                    (-(radius as isize)..=radius as isize).map(centre).collect::<Vec<_>>()
                };
                (0..=config.order).flat_map(order).collect::<Vec<_>>()
            };
            let alpha = noise(3, geometry.basis()).collect();
            let plane = noise(5, size[0] * size[1]).collect();
            Some(Self { geometry, taps: radii.map(taps), alpha, plane })
        }

        /// What the columns make of it, if they do.
        fn run<T: Real>(&self, isa: Isa) -> Option<Vec<f64>> {
            let cast = |values: &[f64]| values.iter().map(|&v| T::from_f64(v)).collect::<Vec<T>>();
            let (geometry, alpha, [taps_y, taps_x]) =
                (&self.geometry, cast(&self.alpha), self.taps.each_ref().map(|taps| cast(taps)));
            let taps = crate::Taps { y: &taps_y[..], x: &taps_x[..] };
            let direction = Direction::forward(geometry.order, &geometry.y, &geometry.x, taps, [0, 0]);
            let mixture = Mixture::new(&direction.taps_y, geometry.order + 1, |i, j| alpha[jet_index(i, j)]);
            let mut out = vec![T::from_f64(f64::NAN); geometry.output_len()];
            let mut stages = Stages::default();
            let plane = cast(&self.plane);
            let channel = Channel { plane: &plane, next: &[], bias: T::from_f64(BIAS) };
            let done = stages.by_columns(isa, &direction, &mixture, channel, as_uninit(&mut out));
            done.then(|| out.into_iter().map(Real::to_f64).collect())
        }

        /// The same by the definition, in f64.
        fn expected(&self) -> Vec<f64> {
            let taps = crate::Taps { y: &self.taps[0][..], x: &self.taps[1][..] };
            let call = Forward { taps, alpha: &self.alpha, bias: Some(&[BIAS]), x: &self.plane };
            reference::forward(&self.geometry, &call).unwrap()
        }
    }

    proptest! {
        /// Ends of rows that fill no register, planes lower than the taps reach, more padding than they need, and less.
        #[test]
        fn columns_agree_with_the_reference(
            radius in 2usize..6,
            rows in 1usize..40,
            width in 1usize..90,
            padding in prop::option::of(prop::array::uniform4(0usize..12)),
        ) {
            let [top, bottom, left, right] = padding.unwrap_or([radius; 4]);
            let case = Case::new(2, [rows, width], [radius; 2], [(top, bottom), (left, right)], 1);
            prop_assume!(case.as_ref().is_some_and(|case| case.geometry.x.output >= LEAST_WIDTH));
            let case = case.unwrap();
            let expected = case.expected();
            for isa in [Isa::Best, Isa::Avx2, Isa::Portable] {
                // A hundred terms, each at most 1.
                for (results, tolerance) in [(case.run::<f64>(isa), 1e-13), (case.run::<f32>(isa), 2e-5)] {
                    let results = results.expect("such filters go down the columns");
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
            case.run::<f32>(Isa::Best).is_some()
        };
        assert!(taken(2, [20, 20], [3, 3], 1));
        assert!(!taken(3, [20, 20], [3, 3], 1), "another order");
        assert!(!taken(2, [20, 11], [3, 3], 1), "a row of less than a register");
        assert!(!taken(2, [20, 20], [1, 1], 1) && !taken(2, [20, 20], [6, 6], 1), "more taps than there are loops for");
        assert!(!taken(2, [20, 20], [3, 4], 1), "radii that differ");
        assert!(!taken(2, [40, 40], [3, 3], 2), "a stride");
    }
}
