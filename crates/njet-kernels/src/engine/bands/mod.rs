//! The adjoint of the responses, a band of rows at a time.
//!
//! B planes are filtered along y and summed over the orders along y, then filtered along x and summed. One axis after the
//! other went through memory, and at R = 3 took three times as long as its arithmetic: here the sums along y of a few rows lie in the
//! first-level cache between margins of zeros, and the filters along x take them from there. Where the gradient of σ is
//! wanted, the sums meet the fields of the other direction while they are in registers, and are never stored.
//!
//! The loops are made for order 2, without a stride or with one of 2; all others go one axis after the other.

// Lanes and registers are indexed together in several arrays.
#![allow(clippy::needless_range_loop)]

mod along_x;
mod along_y;

use super::columns::{FIELDS, Half, MANY_REGISTERS, half};
use super::filters::Regular;
use super::placement::Direction;
use super::plane::{KeptFields, Planes, Stages};
use crate::Real;
use crate::isa::Isa;
use crate::simd::{STRIP, VectorBody, Vectors};
use along_y::Column;
use std::mem::MaybeUninit;

/// Elements of one sum of a band, with margins: three of them are 9 KiB of f32, a fifth of a first-level cache.
const BAND: usize = 768;

/// Bytes of the planes that a band of a block of columns reads: half of a first-level cache.
const BLOCK: usize = 24 << 10;

/// Whether the loops are made for such filters. They need no zeros around the planes.
pub(super) fn made_for<T: Real>(direction: &Direction<T>) -> bool {
    let Direction { order, y, x, .. } = direction;
    let spread = y.spread;
    *order + 1 == FIELDS
        && spread <= 2
        && x.spread == spread
        && [y, x].iter().all(|axis| axis.keep == 1)
        && x.source.min(x.result / spread) >= STRIP
}

impl<T: Real> Stages<T> {
    /// [`synthesise`](Self::synthesise), and `[Σ by σy, Σ by σx]` as [`sigma`](Self::sigma) gives it, of the fields of the
    /// last analysis: 0 without derivatives. Or does nothing and returns nothing where the loops are not made for such
    /// filters.
    pub(super) fn by_bands(
        &mut self,
        isa: Isa,
        filters: Regular<'_, T>,
        planes: Planes,
        source: &[T],
        out: &mut Option<&mut [MaybeUninit<T>]>,
    ) -> Option<[f64; 2]> {
        if !made_for(filters.taps) {
            return None;
        }
        T::dispatch(isa, Bands { stages: self, filters, planes, source, out })
    }
}

struct Bands<'a, 'b, T> {
    stages: &'a mut Stages<T>,
    filters: Regular<'a, T>,
    planes: Planes,
    source: &'a [T],
    out: &'a mut Option<&'b mut [MaybeUninit<T>]>,
}

impl<T: Real> VectorBody<T> for Bands<'_, '_, T> {
    type Output = Option<[f64; 2]>;
    #[inline(always)]
    fn run<V: Vectors<T>, const R: usize>(self, v: V) -> Self::Output {
        let Regular { taps, tangent } = self.filters;
        let first = half(&taps.taps_y);
        // Two rows share what they load, where there are registers for it, and no row between.
        let together = V::REGISTERS >= MANY_REGISTERS && taps.y.spread == 1;
        match tangent {
            Some(tangent) if together => self.by::<V, 2, 2>(v, [first, half(&tangent.taps_y)]),
            Some(tangent) => self.by::<V, 2, 1>(v, [first, half(&tangent.taps_y)]),
            None if together => self.by::<V, 1, 2>(v, [first]),
            None => self.by::<V, 1, 1>(v, [first]),
        }
    }
}

/// Sums along y of a band: `[field, row]`, each row between zeros.
struct Band {
    /// Elements before the first row.
    margin: usize,
    /// Elements from row to row, and from field to field.
    pitch: usize,
    field: usize,
    /// Rows, a multiple of those that are made together.
    rows: usize,
}

impl Band {
    #[inline(always)]
    fn new(width: usize, margin: usize, rows: usize) -> Self {
        let margin = margin.next_multiple_of(STRIP);
        let pitch = (width + margin).next_multiple_of(STRIP);
        let rows = (BAND / pitch).clamp(1, rows.max(1)).next_multiple_of(TOGETHER);
        Self { margin, pitch, field: rows * pitch, rows }
    }

    fn len(&self) -> usize {
        self.margin + FIELDS * self.field
    }

    /// What is between the rows is zeros.
    #[inline(always)]
    fn clear_margins<T: Real>(&self, lines: &mut [T], width: usize) {
        let (first, rows) = lines.split_at_mut(self.margin);
        first.fill(T::ZERO);
        rows.chunks_exact_mut(self.pitch).for_each(|row| row[width..].iter_mut().for_each(|value| *value = T::ZERO));
    }
}

/// Rows of sums that are made together, at most.
const TOGETHER: usize = 2;

impl<T: Real> Bands<'_, '_, T> {
    #[inline(always)]
    fn by<V: Vectors<T>, const BANKS: usize, const Q: usize>(self, v: V, banks: [&Half<T>; BANKS]) -> Option<[f64; 2]> {
        let Self { stages, filters: Regular { taps, .. }, planes, source, out } = self;
        let (y, x) = (&taps.y, &taps.x);
        let (rows, width) = (y.result, x.source);
        let (radius_y, taps_x) = (banks[0].len() - 1, half(&taps.taps_x));
        let band = Band::new(width, x.margin(taps_x.len() - 1), rows);
        let between = y.spread == 2;
        // Every other result, and the others.
        let apart = if between { 2 * x.result.div_ceil(2) } else { 0 };
        let (lines, fields) = stages.for_bands(band.len() + apart, width);
        let (lines, apart) = lines.split_at_mut(band.len());
        if BANKS == 2 && fields.rows != (0..rows) {
            return None;
        }
        if BANKS == 2 {
            let end = (FIELDS - 1) * fields.pitch + rows * width;
            assert!(end <= fields.fields.len() && end <= fields.tangents.len(), "no fields of all rows");
        }
        band.clear_margins(lines, width);
        let column = Column { source, planes, width, rows: y.source, banks };
        column.check();
        let block = (BLOCK / (size_of::<T>() * 2 * FIELDS * (band.rows + 2 * radius_y))).max(V::LANES) / V::LANES;
        let mut by = [0.0; 2];
        for first in (0..rows).step_by(band.rows) {
            let count = band.rows.min(rows - first);
            let mut dots = Dots::new(v, &fields);
            let mut done = 0;
            while done < width {
                let end = (done + block * V::LANES).min(width);
                for row in (0..count).step_by(Q) {
                    let mut at = done;
                    while at < end {
                        // The last columns once more, rather than a register that is filled in part.
                        let start = at.min(width - V::LANES);
                        let over = y.over(first + row);
                        // SAFETY: `check` has passed, and the columns end inside the width.
                        let sums = unsafe {
                            if Q == 1 && between {
                                column.sums_between::<V>(v, start, over).map(|[row]| [row; Q])
                            } else {
                                column.sums::<V, Q>(v, start, over)
                            }
                        };
                        for q in 0..Q {
                            for j in 0..FIELDS {
                                let to = band.margin + j * band.field + (row + q) * band.pitch + start;
                                debug_assert!(to + V::LANES <= lines.len());
                                // SAFETY: rows are made together as many as divide the rows of a band.
                                unsafe { v.store(lines.as_mut_ptr().add(to), sums[0][q][j]) };
                            }
                            if BANKS == 2 && row + q < count {
                                let pixel = (first + row + q) * width + start;
                                // SAFETY: there are fields of all rows, by the assertion.
                                unsafe { dots.add(v, pixel, [&sums[0][q], &sums[1][q]], at - start) };
                            }
                        }
                        at = start + V::LANES;
                    }
                }
                done = end;
            }
            let [by_y, by_x] = dots.total(v);
            by = [by[0] + by_y, by[1] + by_x];
            if let Some(out) = out {
                let out = &mut out[first * x.result..(first + count) * x.result];
                if between {
                    along_x::rows_between(v, lines, &band, x, taps_x, count, apart, out);
                } else {
                    along_x::rows(v, lines, &band, x, taps_x, count, out);
                }
            }
        }
        Some(by)
    }
}

/// `[Σ field · sum under derivatives, Σ field under derivatives · sum]` of some rows.
struct Dots<'a, T, V> {
    fields: &'a KeptFields<'a, T>,
    sums: [V; 2],
}

impl<'a, T: Real, W: Copy> Dots<'a, T, W> {
    #[inline(always)]
    fn new<V: Vectors<T, V = W>>(v: V, fields: &'a KeptFields<'a, T>) -> Self {
        Self { fields, sums: [v.splat(T::ZERO); 2] }
    }

    /// The register at `pixel`, of which the first `again` were in the one before.
    ///
    /// # Safety
    /// There are fields of the pixel.
    #[inline(always)]
    unsafe fn add<V: Vectors<T, V = W>>(&mut self, v: V, pixel: usize, sums: [&[W; FIELDS]; 2], again: usize) {
        let KeptFields { fields, tangents, pitch, .. } = self.fields;
        let zero = v.splat(T::ZERO);
        let mut new = [zero; 2];
        for j in 0..FIELDS {
            let at = j * pitch + pixel;
            debug_assert!(at + V::LANES <= fields.len() && at + V::LANES <= tangents.len());
            // SAFETY: the caller's promise.
            let (field, tangent) = unsafe { (v.load(fields.as_ptr().add(at)), v.load(tangents.as_ptr().add(at))) };
            let into = if again == 0 { &mut self.sums } else { &mut new };
            into[0] = v.mul_add(field, sums[1][j], into[0]);
            into[1] = v.mul_add(tangent, sums[0][j], into[1]);
        }
        if again > 0 {
            let mut mask = [T::ZERO; STRIP];
            mask[again..].fill(T::ONE);
            // SAFETY: a register has at most the elements of a strip.
            let mask = unsafe { v.load(mask.as_ptr()) };
            for d in 0..2 {
                self.sums[d] = v.mul_add(new[d], mask, self.sums[d]);
            }
        }
    }

    #[inline(always)]
    fn total<V: Vectors<T, V = W>>(&self, v: V) -> [f64; 2] {
        self.sums.map(|sum| {
            let mut lanes = [T::ZERO; STRIP];
            // SAFETY: a register has at most the elements of a strip.
            unsafe { v.store(lanes.as_mut_ptr(), sum) };
            lanes[..V::LANES].iter().map(|lane| lane.to_f64()).sum()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disjoint::as_uninit;
    use crate::engine::columns::case::{Case, cast, noise};
    use crate::engine::filters::Filters;
    use crate::engine::plane::Responses;
    use crate::geometry::jet_index;
    use crate::{Backward, Taps, Wanted, reference};
    use proptest::prelude::*;

    const BASIS: usize = 6;

    /// Six planes that have nothing to do with one another.
    fn upstream(case: &Case) -> Vec<Vec<f64>> {
        (0..BASIS).map(|b| noise(17 + b, case.geometry.pixels_out())).collect()
    }

    /// `[gradient of the plane, [by σy, by σx]]`: each of the planes is the upstream gradient of a layer whose only response
    /// is that of its order.
    fn expected(case: &Case) -> (Vec<f64>, [f64; 2]) {
        let [taps, d_taps] = [&case.taps, &case.d_taps].map(|[y, x]| Taps { y: &y[..], x: &x[..] });
        let (mut plane, mut by) = (vec![0.0; case.plane.len()], [0.0; 2]);
        for (b, grad_y) in upstream(case).iter().enumerate() {
            let alpha: Vec<f64> = (0..BASIS).map(|k| f64::from(u8::from(k == b))).collect();
            let call = Backward {
                taps,
                d_taps: Some(d_taps),
                alpha: &alpha,
                x: &case.plane,
                grad_y,
                wanted: Wanted { x: true, alpha: false, bias: false, sigma: true },
            };
            let gradients = reference::backward(&case.geometry, &call).unwrap();
            plane.iter_mut().zip(gradients.x.unwrap()).for_each(|(sum, v)| *sum += v);
            let [y, x] = gradients.sigma.unwrap()[0];
            by = [by[0] + y, by[1] + x];
        }
        (plane, by)
    }

    /// The same by bands, if they are made for it; the gradient of the plane where it is wanted.
    fn run<T: Real>(case: &Case, isa: Isa, wanted: Wanted) -> Option<(Vec<f64>, [f64; 2])> {
        let geometry = &case.geometry;
        let (taps, d_taps) = (case.direction::<T>(&case.taps), case.direction::<T>(&case.d_taps));
        let adjoint = |direction: &Direction<T>| direction.adjoint(&geometry.y, &geometry.x);
        let (back, d_back) = (adjoint(&taps), adjoint(&d_taps));
        let area = geometry.pixels_out();
        // Nothing but the planes is a number.
        let planes = Planes { start: 5, pitch: area + 3, border: 0 };
        let mut source = vec![T::from_f64(f64::NAN); planes.start + BASIS * planes.pitch - 3];
        for (b, plane) in upstream(case).iter().enumerate() {
            source[planes.start + b * planes.pitch..][..area].copy_from_slice(&cast::<T>(plane));
        }
        let mut stages = Stages::used();
        if wanted.sigma {
            let mut out = vec![T::ZERO; area.div_ceil(STRIP) * STRIP * BASIS];
            let planes = Planes { start: 0, pitch: STRIP, border: 0 };
            let responses = Responses { out: &mut out, planes, strip_pitch: BASIS * STRIP };
            let filters = Filters::Regular(Regular { taps: &taps, tangent: Some(&d_taps) });
            stages.analyse(isa, filters, &cast::<T>(&case.plane), 0..geometry.y.output, responses);
        }
        let mut out = vec![T::from_f64(f64::NAN); case.plane.len()];
        let filters = Regular { taps: &back, tangent: wanted.sigma.then_some(&d_back) };
        let mut to = wanted.x.then(|| as_uninit(&mut out));
        let by = stages.by_bands(isa, filters, planes, &source, &mut to)?;
        Some((out.iter().map(|v| v.to_f64()).collect(), by))
    }

    proptest! {
        /// Planes lower than the taps reach, with more padding than they need, and less; radii that differ.
        #[test]
        fn bands_agree_with_the_reference(
            radii in prop_oneof![(0usize..20).prop_map(|r| [r, r]), prop::array::uniform2(0usize..10)],
            rows in 1usize..40,
            width in 16usize..70,
            padding in prop::option::of(prop::array::uniform4(0usize..12)),
            stride in prop::sample::select(vec![1usize, 1, 2]),
            (x, sigma) in prop::sample::select(vec![(true, true), (true, false), (false, true)]),
        ) {
            let width = stride * width;
            let [top, bottom, left, right] = padding.unwrap_or([radii[0], radii[0], radii[1], radii[1]]);
            let case = Case::new(2, [rows, width], radii, [(top, bottom), (left, right)], stride);
            prop_assume!(case.as_ref().is_some_and(|case| case.geometry.x.output >= STRIP));
            let case = case.unwrap();
            prop_assert_eq!(jet_index(2, 0) + 1, BASIS);
            let (plane, by) = expected(&case);
            // The padding may keep some rows from every response; then there are no fields of them.
            let read = case.direction::<f64>(&case.taps).y.read(&(0..case.geometry.y.output), radii[0]);
            let taken = !sigma || read == (0..rows);
            let wanted = Wanted { x, alpha: false, bias: false, sigma };
            let scale = 1.0 + by.iter().fold(0.0f64, |most, v| most.max(v.abs()));
            for isa in [Isa::Best, Isa::Avx2, Isa::Portable] {
                for (results, tolerance) in [(run::<f64>(&case, isa, wanted), 1e-12), (run::<f32>(&case, isa, wanted), 2e-5)] {
                    prop_assert_eq!(results.is_some(), taken);
                    let Some((ours, sums)) = results else { continue };
                    for (i, (ours, expected)) in ours.iter().zip(&plane).enumerate().filter(|_| x) {
                        prop_assert!((ours - expected).abs() <= tolerance, "pixel {i}: {ours}, {expected}");
                    }
                    for d in 0..2 {
                        let expected = if sigma { by[d] } else { 0.0 };
                        prop_assert!((sums[d] - expected).abs() <= tolerance * scale, "σ {d}: {}, {expected}", sums[d]);
                    }
                }
            }
        }
    }

    #[test]
    fn other_planes_go_another_way() {
        let taken = |order, size: [usize; 2], stride| {
            let case = Case::new(order, size, [3; 2], [(3, 3); 2], stride).unwrap();
            let back = case.direction::<f32>(&case.taps).adjoint(&case.geometry.y, &case.geometry.x);
            let area = case.geometry.pixels_out();
            let (planes, source) = (Planes { start: 64, pitch: area + 64, border: 0 }, vec![0.0; 16 * (area + 64)]);
            let mut out = vec![0.0; case.plane.len()];
            let filters = Regular { taps: &back, tangent: None };
            Stages::default().by_bands(Isa::Best, filters, planes, &source, &mut Some(as_uninit(&mut out))).is_some()
        };
        assert!(taken(2, [20, 32], 1) && taken(2, [1, 17], 1));
        assert!(!taken(2, [20, 15], 1), "a row of less than a register");
        assert!(taken(2, [20, 32], 2) && !taken(2, [20, 31], 2), "every other result in a register");
        assert!(!taken(3, [20, 32], 1) && !taken(2, [20, 64], 3), "another order, a larger stride");
    }
}
