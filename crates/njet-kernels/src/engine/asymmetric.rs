//! Filters without symmetry: the orders of an axis already summed with the coefficients of a channel.
//!
//! - [`Mixture::gather`]: one filter for each field, their sum out: a depthwise layer along y.
//! - [`Mixture::fan`]: one line in, one filtered line out for each field: its adjoint.

// Lanes and registers are indexed together in several arrays.
#![allow(clippy::needless_range_loop)]

use super::fir::Bank;
use super::line::{Plan, Span, for_strips};
use super::strips::Strips;
use crate::Real;
use crate::simd::Vectors;

/// Fields filtered in one pass.
const PASS: usize = 4;

/// Strips under one another that are filtered together: enough sums that none waits for its last multiply-add.
const DOWN: usize = 4;

/// `c_j(t) = Σ_i α_ij · g_i(t)` for every field j.
#[derive(Debug, Clone)]
pub(super) struct Mixture<T> {
    fields: usize,
    radius: usize,
    /// `[2R + 1, fields]`.
    taps: Vec<T>,
}

impl<T: Real> Mixture<T> {
    /// Field `j` has the orders `i < orders − j` of the bank.
    pub(super) fn new(bank: &Bank<T>, orders: usize, alpha: impl Fn(usize, usize) -> T) -> Self {
        let radius = bank.radius() as isize;
        let tap = |t: isize, j: usize| {
            let sum = (0..orders - j).map(|i| alpha(i, j).to_f64() * bank.value(i, t).to_f64()).sum::<f64>();
            T::from_f64(sum)
        };
        let taps = (-radius..=radius).flat_map(|t| (0..orders).map(move |j| (t, j))).map(|(t, j)| tap(t, j)).collect();
        Self { fields: orders, radius: bank.radius(), taps }
    }

    /// `[2R + 1, fields]`: the taps from −R to R.
    pub(super) fn taps(&self) -> &[T] {
        &self.taps
    }

    /// The taps read backwards.
    pub(super) fn flipped(&self) -> Self {
        let taps = self.taps.chunks_exact(self.fields).rev().flatten().copied().collect();
        Self { taps, ..*self }
    }

    /// The strips of `out` become `Σ_j Σ_t c_j(t) · field_j[o + t · step]`; sample 0 of field `j` stands at
    /// `source[origin(j)]`.
    #[inline(always)]
    pub(super) fn gather<V: Vectors<T>, const R: usize>(
        &self,
        v: V,
        plan: &Plan,
        source: &[T],
        origin: impl Fn(usize) -> usize,
        out: &Strips<'_, T, false>,
    ) {
        (0..self.fields).for_each(|j| plan.check(origin(j), source.len()));
        out.check(0, plan);
        let (rows, runs, advance) = plan.parts();
        for run in runs {
            let taps = (run.span.high - run.span.low + 1).max(0) as usize;
            // Strips that lie under one another read the same samples under neighbouring taps.
            let down = if advance == plan.step() && taps >= DOWN { run.strips / DOWN } else { 0 };
            for row in 0..rows.count {
                let mut o = run.output + row * rows.outputs;
                let mut element = run.element + (row * rows.samples) as isize;
                for _ in 0..down {
                    let at = |j: usize| source.as_ptr().wrapping_add(origin(j)).wrapping_offset(element);
                    // SAFETY: the lines have been checked with their margins, the span leaves out the taps that
                    // would read beyond them, and the output has been checked.
                    unsafe {
                        let sums = self.gather_down::<V, R>(v, at, &run.span, advance);
                        (0..DOWN).for_each(|s| out.store(v, 0, o + s * advance, &sums[s]));
                    }
                    o += DOWN * advance;
                    element += (DOWN * advance) as isize;
                }
                for _ in DOWN * down..run.strips {
                    for first in (0..self.fields).step_by(PASS) {
                        let at = |j: usize| source.as_ptr().wrapping_add(origin(first + j)).wrapping_offset(element);
                        // SAFETY: as above.
                        unsafe {
                            let sum = match (self.fields - first).min(PASS) {
                                1 => self.gather_strip::<V, R, 1>(v, std::array::from_fn(at), &run.span, plan, first),
                                2 => self.gather_strip::<V, R, 2>(v, std::array::from_fn(at), &run.span, plan, first),
                                3 => self.gather_strip::<V, R, 3>(v, std::array::from_fn(at), &run.span, plan, first),
                                _ => {
                                    self.gather_strip::<V, R, PASS>(v, std::array::from_fn(at), &run.span, plan, first)
                                }
                            };
                            out.put::<V, R>(v, 0, o, sum, first > 0);
                        }
                    }
                    o += advance;
                    element += advance as isize;
                }
            }
        }
    }

    /// [`DOWN`] strips, each a step after the one before: every sample is loaded once and meets a tap of each.
    #[inline(always)]
    unsafe fn gather_down<V: Vectors<T>, const R: usize>(
        &self,
        v: V,
        centre: impl Fn(usize) -> *const T,
        span: &Span,
        step: usize,
    ) -> [[V::V; R]; DOWN] {
        let mut sums = [[v.splat(T::ZERO); R]; DOWN];
        let taps = (span.high - span.low) as usize + 1;
        for j in 0..self.fields {
            let mut at = centre(j).wrapping_offset(span.low * step as isize);
            let mut tap = self
                .taps
                .as_ptr()
                .wrapping_offset((span.low + self.radius as isize) * self.fields as isize + j as isize);
            macro_rules! sample {
                ($strips:expr) => {{
                    // SAFETY: the caller's promise; a strip meets its taps only.
                    unsafe {
                        let sample: [V::V; R] = std::array::from_fn(|r| v.load(at.wrapping_add(r * V::LANES)));
                        for s in $strips {
                            let tap = v.splat(*tap.wrapping_sub(s * self.fields));
                            (0..R).for_each(|r| sums[s][r] = v.mul_add(sample[r], tap, sums[s][r]));
                        }
                    }
                    (at, tap) = (at.wrapping_add(step), tap.wrapping_add(self.fields));
                }};
            }
            for last in 0..DOWN - 1 {
                sample!(0..last + 1);
            }
            for _ in DOWN - 1..taps {
                sample!(0..DOWN);
            }
            for first in 1..DOWN {
                sample!(first..DOWN);
            }
        }
        sums
    }

    #[inline(always)]
    unsafe fn gather_strip<V: Vectors<T>, const R: usize, const J: usize>(
        &self,
        v: V,
        centres: [*const T; J],
        span: &Span,
        plan: &Plan,
        first: usize,
    ) -> [V::V; R] {
        // One sum a field: a single one would wait for each multiply-add to finish.
        let mut sums = [[v.splat(T::ZERO); R]; J];
        for t in span.low..=span.high {
            let offset = t * plan.step() as isize;
            let taps = ((t + self.radius as isize) as usize) * self.fields + first;
            for j in 0..J {
                // SAFETY: `t` is within the radius; the samples by the caller's promise.
                unsafe {
                    let tap = v.splat(*self.taps.get_unchecked(taps + j));
                    let at = centres[j].wrapping_offset(offset);
                    for r in 0..R {
                        sums[j][r] = v.mul_add(v.load(at.wrapping_add(r * V::LANES)), tap, sums[j][r]);
                    }
                }
            }
        }
        let mut total = sums[0];
        for sum in &sums[1..] {
            for r in 0..R {
                total[r] = v.add(total[r], sum[r]);
            }
        }
        total
    }

    /// For every field `j` the strips of `out` from `start(j)` on become `Σ_t c_j(t) · source[o + t · step]`;
    /// sample 0 stands at `source[origin]`.
    #[inline(always)]
    pub(super) fn fan<V: Vectors<T>, const R: usize>(
        &self,
        v: V,
        plan: &Plan,
        source: &[T],
        origin: usize,
        start: impl Fn(usize) -> usize,
        out: &Strips<'_, T, false>,
    ) {
        plan.check(origin, source.len());
        (0..self.fields).for_each(|j| out.check(start(j), plan));
        for_strips!(plan, R == 1, |o, element, span, STRIPS, beside| {
            let centre = source.as_ptr().wrapping_add(origin).wrapping_offset(element);
            for first in (0..self.fields).step_by(PASS) {
                macro_rules! strips {
                    ($J:expr) => {{
                        // SAFETY: as in `gather`.
                        let sums = unsafe {
                            self.fan_strips::<V, R, STRIPS, $J>(v, centre, span, [plan.step(), beside[1]], first)
                        };
                        for (j, s) in (0..$J).flat_map(|j| (0..STRIPS).map(move |s| (j, s))) {
                            // SAFETY: as in `gather`.
                            unsafe { out.store(v, start(first + j), o + s * beside[0], &sums[j][s]) };
                        }
                    }};
                }
                match (self.fields - first).min(PASS) {
                    1 => strips!(1),
                    2 => strips!(2),
                    3 => strips!(3),
                    _ => strips!(PASS),
                }
            }
        });
    }

    #[inline(always)]
    unsafe fn fan_strips<V: Vectors<T>, const R: usize, const S: usize, const J: usize>(
        &self,
        v: V,
        centre: *const T,
        span: &Span,
        [step, beside]: [usize; 2],
        first: usize,
    ) -> [[[V::V; R]; S]; J] {
        let mut sums = [[[v.splat(T::ZERO); R]; S]; J];
        for t in span.low..=span.high {
            let at = centre.wrapping_offset(t * step as isize);
            let taps = ((t + self.radius as isize) as usize) * self.fields + first;
            // SAFETY: as in `gather_strip`.
            unsafe {
                let taps: [V::V; J] = std::array::from_fn(|j| v.splat(*self.taps.get_unchecked(taps + j)));
                for s in 0..S {
                    for r in 0..R {
                        let sample = v.load(at.wrapping_add(s * beside + r * V::LANES));
                        (0..J).for_each(|j| sums[j][s][r] = v.mul_add(sample, taps[j], sums[j][s][r]));
                    }
                }
            }
        }
        sums
    }
}
