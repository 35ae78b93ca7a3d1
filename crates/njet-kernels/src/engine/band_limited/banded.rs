//! Interpolation along the axes of a plane, and its adjoint: products with narrow banded matrices.

// Registers are indexed together in several arrays.
#![allow(clippy::needless_range_loop)]

use crate::Real;
use crate::disjoint::as_uninit;
use crate::simd::{STRIP, VectorBody, Vectors};
use std::mem::MaybeUninit;

/// A matrix with a run of nonzero columns in each row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bands {
    /// Columns.
    pub(super) sources: usize,
    /// The first column of each row's run, and the run.
    pub(super) rows: Vec<(usize, Vec<f64>)>,
}

impl Bands {
    pub(super) fn transposed(&self) -> Self {
        let mut rows: Vec<(usize, Vec<f64>)> = vec![(0, Vec::new()); self.sources];
        for (result, (first, weights)) in self.rows.iter().enumerate() {
            for (source, &weight) in (*first..).zip(weights) {
                let (start, run) = &mut rows[source];
                if run.is_empty() {
                    *start = result;
                }
                // Zeros where a row in between does not read this source.
                run.resize(result - *start, 0.0);
                run.push(weight);
            }
        }
        Self { sources: self.rows.len(), rows }
    }
}

/// For an axis whose elements are neighbours: strips of results, each a sum of source elements times vectors
/// of weights. So borders need no code of their own, and nothing is shuffled.
#[derive(Debug, Clone)]
struct Strips<T> {
    sources: usize,
    results: usize,
    /// The first source of each strip, and a vector for each source from there on.
    strips: Vec<(usize, Vec<[T; STRIP]>)>,
}

impl<T: Real> Strips<T> {
    fn new(bands: &Bands) -> Self {
        let strip = |rows: &[(usize, Vec<f64>)]| {
            let used = || rows.iter().filter(|(_, run)| !run.is_empty());
            let first = used().map(|(first, _)| *first).min().unwrap_or(0);
            let end = used().map(|(first, run)| first + run.len()).max().unwrap_or(0);
            let mut vectors = vec![[T::ZERO; STRIP]; end - first];
            for (lane, (start, run)) in rows.iter().enumerate() {
                for (vector, &weight) in vectors.iter_mut().skip(start.saturating_sub(first)).zip(run) {
                    vector[lane] = T::from_f64(weight);
                }
            }
            (first, vectors)
        };
        let strips = bands.rows.chunks(STRIP).map(strip).collect();
        Self { sources: bands.sources, results: bands.rows.len(), strips }
    }

    /// Every row of `from` to a row of `to`.
    #[inline(always)]
    fn run<V: Vectors<T>, const R: usize>(&self, v: V, from: &[T], to: &mut [MaybeUninit<T>]) {
        /// Rows that share the loads of the weights.
        const ROWS: usize = 4;
        let mut from = from.chunks(ROWS * self.sources);
        for to in to.chunks_mut(ROWS * self.results) {
            let from = from.next().unwrap_or_default();
            if to.len() == ROWS * self.results {
                self.rows::<V, R, ROWS>(v, from, to);
            } else {
                for (from, to) in from.chunks_exact(self.sources).zip(to.chunks_exact_mut(self.results)) {
                    self.rows::<V, R, 1>(v, from, to);
                }
            }
        }
    }

    #[inline(always)]
    fn rows<V: Vectors<T>, const R: usize, const ROWS: usize>(&self, v: V, from: &[T], to: &mut [MaybeUninit<T>]) {
        for (s, (first, vectors)) in self.strips.iter().enumerate() {
            let mut samples: [&[T]; ROWS] = [&[]; ROWS];
            for (row, samples) in samples.iter_mut().enumerate() {
                *samples = &from[row * self.sources + first..][..vectors.len()];
            }
            let mut sums = [[v.splat(T::ZERO); R]; ROWS];
            for (k, vector) in vectors.iter().enumerate() {
                let weights = load::<T, V, R>(v, vector);
                for row in 0..ROWS {
                    let sample = v.splat(samples[row][k]);
                    for r in 0..R {
                        sums[row][r] = v.mul_add(weights[r], sample, sums[row][r]);
                    }
                }
            }
            for (row, sums) in sums.into_iter().enumerate() {
                let to = &mut to[row * self.results..][..self.results][s * STRIP..];
                if let Some(whole) = to.first_chunk_mut::<STRIP>() {
                    store(v, whole, sums);
                } else {
                    let mut strip = [MaybeUninit::new(T::ZERO); STRIP];
                    store(v, &mut strip, sums);
                    to.copy_from_slice(&strip[..to.len()]);
                }
            }
        }
    }
}

/// One strip.
#[inline(always)]
fn load<T: Real, V: Vectors<T>, const R: usize>(v: V, from: &[T; STRIP]) -> [V::V; R] {
    assert!(R * V::LANES == STRIP);
    let mut strip = [v.splat(T::ZERO); R];
    for r in 0..R {
        // SAFETY: `R` registers of `LANES` elements are the strip, checked above.
        strip[r] = unsafe { v.load(from.as_ptr().add(r * V::LANES)) };
    }
    strip
}

/// One strip.
#[inline(always)]
fn store<T: Real, V: Vectors<T>, const R: usize>(v: V, to: &mut [MaybeUninit<T>; STRIP], strip: [V::V; R]) {
    assert!(R * V::LANES == STRIP);
    for r in 0..R {
        // SAFETY: as in `load`.
        unsafe { v.store(to.as_mut_ptr().cast::<T>().add(r * V::LANES), strip[r]) };
    }
}

/// For an axis whose elements are rows: each result is a sum of source rows times weights.
#[derive(Debug, Clone)]
struct Rows<T> {
    /// The first source row of each result, and the weights from there on.
    rows: Vec<(usize, Vec<T>)>,
}

impl<T: Real> Rows<T> {
    fn new(bands: &Bands) -> Self {
        let row = |(first, run): &(usize, Vec<f64>)| (*first, run.iter().map(|&w| T::from_f64(w)).collect());
        Self { rows: bands.rows.iter().map(row).collect() }
    }

    /// Adds `start` to every result.
    #[inline(always)]
    fn run<V: Vectors<T>, const R: usize>(&self, v: V, width: usize, from: &[T], to: &mut [MaybeUninit<T>], start: T) {
        /// Strips summed together.
        const WIDE: usize = 4;
        for ((first, weights), to) in self.rows.iter().zip(to.chunks_exact_mut(width)) {
            let from = &from[first * width..][..weights.len() * width];
            let (strips, rest) = to.as_chunks_mut::<STRIP>();
            let mut at = 0;
            let mut wide = strips.chunks_exact_mut(WIDE);
            for to in wide.by_ref() {
                row_sums::<T, V, R, WIDE>(v, weights, width, &from[at..], to, start);
                at += WIDE * STRIP;
            }
            for to in wide.into_remainder().chunks_exact_mut(1) {
                row_sums::<T, V, R, 1>(v, weights, width, &from[at..], to, start);
                at += STRIP;
            }
            for (x, to) in (at..).zip(rest) {
                let mut sum = start;
                for (k, &weight) in weights.iter().enumerate() {
                    sum += weight * from[k * width + x];
                }
                to.write(sum);
            }
        }
    }
}

/// The first strips of one result row.
#[inline(always)]
fn row_sums<T: Real, V: Vectors<T>, const R: usize, const WIDE: usize>(
    v: V,
    weights: &[T],
    width: usize,
    from: &[T],
    to: &mut [[MaybeUninit<T>; STRIP]],
    start: T,
) {
    let mut sums = [[v.splat(start); R]; WIDE];
    for (k, &weight) in weights.iter().enumerate() {
        let weight = v.splat(weight);
        let (strips, _) = from[k * width..][..WIDE * STRIP].as_chunks::<STRIP>();
        for s in 0..WIDE {
            let values = load::<T, V, R>(v, &strips[s]);
            for r in 0..R {
                sums[s][r] = v.mul_add(weight, values[r], sums[s][r]);
            }
        }
    }
    for s in 0..WIDE {
        store(v, &mut to[s], sums[s]);
    }
}

/// Both axes of a plane; an axis without a matrix stays as it is. Neighbouring rows share most of their sources,
/// which are then in the first-level cache.
#[derive(Debug, Clone)]
pub(super) struct Interpolation<T> {
    along_x: Option<Strips<T>>,
    along_y: Option<Rows<T>>,
    /// Along y first: the adjoint of the other order.
    y_first: bool,
    from: [usize; 2],
    to: [usize; 2],
}

impl<T: Real> Interpolation<T> {
    /// From planes of `from` to planes of `to` (rows, columns); along x first, on the fewer rows.
    pub(super) fn new(bands: [Option<&Bands>; 2], from: [usize; 2], to: [usize; 2]) -> Self {
        Self { along_y: bands[0].map(Rows::new), along_x: bands[1].map(Strips::new), y_first: false, from, to }
    }

    /// The adjoint of `new(bands, from, to)`.
    pub(super) fn adjoint(bands: [Option<&Bands>; 2], from: [usize; 2], to: [usize; 2]) -> Self {
        let turned = bands.map(|bands| bands.map(Bands::transposed));
        Self { y_first: true, ..Self::new([turned[0].as_ref(), turned[1].as_ref()], to, from) }
    }

    /// Elements of a plane before and after.
    pub(super) fn areas(&self) -> [usize; 2] {
        [self.from[0] * self.from[1], self.to[0] * self.to[1]]
    }

    /// One plane, all of which is written; `start` is added to every result where y comes last. `between` is memory for the plane
    /// between the axes.
    pub(super) fn plane<'a>(
        &'a self,
        from: &'a [T],
        to: &'a mut [MaybeUninit<T>],
        start: T,
        between: &'a mut Vec<T>,
    ) -> Plane<'a, T> {
        Plane { interpolation: self, from, to, start, between }
    }
}

/// See [`Interpolation::plane`].
pub(super) struct Plane<'a, T> {
    interpolation: &'a Interpolation<T>,
    from: &'a [T],
    to: &'a mut [MaybeUninit<T>],
    start: T,
    between: &'a mut Vec<T>,
}

impl<T: Real> VectorBody<T> for Plane<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vectors<T>, const R: usize>(self, v: V) {
        let Self { interpolation, from, to, start, between } = self;
        let [source, result] = [interpolation.from, interpolation.to];
        let (along_x, along_y) = (interpolation.along_x.as_ref(), interpolation.along_y.as_ref());
        let middle = if interpolation.y_first { [result[0], source[1]] } else { [source[0], result[1]] };
        between.resize(middle[0] * middle[1], T::ZERO);
        // Calls, not closures: code in a closure would not get the instruction set of this function.
        if interpolation.y_first {
            rows::<T, V, R>(v, along_y, source[1], from, as_uninit(between), start);
            columns::<T, V, R>(v, along_x, between, to);
        } else {
            columns::<T, V, R>(v, along_x, from, as_uninit(between));
            rows::<T, V, R>(v, along_y, result[1], between, to, start);
        }
    }
}

#[inline(always)]
fn rows<T: Real, V: Vectors<T>, const R: usize>(
    v: V,
    along: Option<&Rows<T>>,
    width: usize,
    from: &[T],
    to: &mut [MaybeUninit<T>],
    start: T,
) {
    match along {
        Some(rows) => rows.run::<V, R>(v, width, from, to, start),
        None => {
            for (to, &from) in to.iter_mut().zip(from) {
                to.write(from + start);
            }
        }
    }
}

#[inline(always)]
fn columns<T: Real, V: Vectors<T>, const R: usize>(
    v: V,
    along: Option<&Strips<T>>,
    from: &[T],
    to: &mut [MaybeUninit<T>],
) {
    match along {
        Some(strips) => strips.run::<V, R>(v, from, to),
        None => _ = to.write_copy_of_slice(from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::real::sealed::Sealed;

    fn bands(sources: usize, results: usize) -> Bands {
        let row = |r: usize| {
            let first = (r * sources / results).min(sources - 3);
            (first, (0..3).map(|k| ((7 * r + 5 * k) % 11) as f64 - 4.0).collect())
        };
        Bands { sources, rows: (0..results).map(row).collect() }
    }

    fn dense(bands: &Bands, result: usize, source: usize) -> f64 {
        let (first, run) = &bands.rows[result];
        source.checked_sub(*first).and_then(|k| run.get(k)).copied().unwrap_or(0.0)
    }

    #[test]
    fn planes_against_dense_products_and_the_adjoint() {
        for (from, to) in [([5, 6], [9, 11]), ([20, 21], [39, 83]), ([4, 40], [7, 130]), ([3, 33], [5, 64])] {
            let (by_y, by_x) = (bands(from[0], to[0]), bands(from[1], to[1]));
            let values = |n: usize| (0..n).map(|i| ((i * i + 3 * i) % 23) as f64 - 9.0).collect::<Vec<f64>>();
            for (y, x) in [(Some(&by_y), Some(&by_x)), (None, Some(&by_x)), (Some(&by_y), None)] {
                let to = [y.map_or(from[0], |_| to[0]), x.map_or(from[1], |_| to[1])];
                let weight = |bands: Option<&Bands>, result, source| {
                    bands.map_or(f64::from(u8::from(result == source)), |bands| dense(bands, result, source))
                };
                let (plane, upstream) = (values(from[0] * from[1]), values(to[0] * to[1]));
                let mut expected = vec![0.5; upstream.len()];
                let mut turned = vec![0.0; plane.len()];
                for (i, expected) in expected.iter_mut().enumerate() {
                    for (j, turned) in turned.iter_mut().enumerate() {
                        let (ry, rx, sy, sx) = (i / to[1], i % to[1], j / from[1], j % from[1]);
                        let w = weight(y, ry, sy) * weight(x, rx, sx);
                        *expected += w * plane[j];
                        *turned += w * upstream[i];
                    }
                }
                for isa in Isa::ALL {
                    let mut between = Vec::new();
                    let mut out = vec![f64::NAN; expected.len()];
                    let forward = Interpolation::new([y, x], from, to);
                    assert_eq!(forward.areas(), [plane.len(), out.len()]);
                    f64::dispatch(isa, forward.plane(&plane, as_uninit(&mut out), 0.5, &mut between));
                    assert_eq!(out, expected, "{from:?} {to:?}");
                    let mut out = vec![f64::NAN; turned.len()];
                    let adjoint = Interpolation::adjoint([y, x], from, to);
                    f64::dispatch(isa, adjoint.plane(&upstream, as_uninit(&mut out), 0.0, &mut between));
                    assert_eq!(out, turned, "adjoint {from:?} {to:?}");
                }
            }
        }
    }
}
