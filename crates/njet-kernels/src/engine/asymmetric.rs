//! Filters without symmetry: the orders of an axis already summed with the coefficients of a channel.
//!
//! - [`Mixture::gather`]: one filter for each field, their sum out: a depthwise layer along y.
//! - [`Mixture::fan`]: one line in, one filtered line out for each field: its adjoint.

// Lanes and registers are indexed together in several arrays.
#![allow(clippy::needless_range_loop)]

use super::fir::Bank;
use super::line::{Plan, for_strips};
use super::strips::Strips;
use crate::Real;
use crate::simd::Vectors;

/// Fields filtered in one pass.
const PASS: usize = 4;

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
        for_strips!(plan, |o, element, span| {
            let taps = (span.low, span.high);
            for first in (0..self.fields).step_by(PASS) {
                let at = |j: usize| source.as_ptr().wrapping_add(origin(first + j)).wrapping_offset(element);
                // SAFETY: the lines have been checked with their margins, `reach` leaves out the taps that
                // would read beyond them, and the output has been checked.
                unsafe {
                    let sum = match (self.fields - first).min(PASS) {
                        1 => self.gather_strip::<V, R, 1, 0>(v, std::array::from_fn(at), taps, plan.step(), first),
                        2 => self.gather_strip::<V, R, 2, 0>(v, std::array::from_fn(at), taps, plan.step(), first),
                        3 => match span.whole {
                            3 => self.gather_strip::<V, R, 3, 3>(v, std::array::from_fn(at), taps, plan.step(), first),
                            5 => self.gather_strip::<V, R, 3, 5>(v, std::array::from_fn(at), taps, plan.step(), first),
                            _ => self.gather_strip::<V, R, 3, 0>(v, std::array::from_fn(at), taps, plan.step(), first),
                        },
                        _ => self.gather_strip::<V, R, PASS, 0>(v, std::array::from_fn(at), taps, plan.step(), first),
                    };
                    out.put::<V, R>(v, 0, o, sum, first > 0);
                }
            }
        });
    }

    #[inline(always)]
    unsafe fn gather_strip<V: Vectors<T>, const R: usize, const J: usize, const WHOLE: isize>(
        &self,
        v: V,
        centres: [*const T; J],
        (low, high): (isize, isize),
        step: usize,
        first: usize,
    ) -> [V::V; R] {
        // One sum a field: a single one would wait for each multiply-add to finish.
        let mut sums = [[v.splat(T::ZERO); R]; J];
        let (low, high) = if WHOLE > 0 { (-WHOLE, WHOLE) } else { (low, high) };
        for t in low..=high {
            let offset = t * step as isize;
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
        for_strips!(plan, |o, element, span| {
            let taps = (span.low, span.high);
            let centre = source.as_ptr().wrapping_add(origin).wrapping_offset(element);
            for first in (0..self.fields).step_by(PASS) {
                let to = |j: usize| start(first + j);
                // SAFETY: as in `gather`.
                unsafe {
                    match (self.fields - first).min(PASS) {
                        1 => self.fan_strip::<V, R, 1, 0>(v, centre, taps, plan.step(), first, o, to, out),
                        2 => self.fan_strip::<V, R, 2, 0>(v, centre, taps, plan.step(), first, o, to, out),
                        3 => match span.whole {
                            3 => self.fan_strip::<V, R, 3, 3>(v, centre, taps, plan.step(), first, o, to, out),
                            5 => self.fan_strip::<V, R, 3, 5>(v, centre, taps, plan.step(), first, o, to, out),
                            _ => self.fan_strip::<V, R, 3, 0>(v, centre, taps, plan.step(), first, o, to, out),
                        },
                        _ => self.fan_strip::<V, R, PASS, 0>(v, centre, taps, plan.step(), first, o, to, out),
                    }
                }
            }
        });
    }

    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    unsafe fn fan_strip<V: Vectors<T>, const R: usize, const J: usize, const WHOLE: isize>(
        &self,
        v: V,
        centre: *const T,
        (low, high): (isize, isize),
        step: usize,
        first: usize,
        o: usize,
        start: impl Fn(usize) -> usize,
        out: &Strips<'_, T, false>,
    ) {
        let mut sums = [[v.splat(T::ZERO); R]; J];
        let (low, high) = if WHOLE > 0 { (-WHOLE, WHOLE) } else { (low, high) };
        for t in low..=high {
            let at = centre.wrapping_offset(t * step as isize);
            let taps = ((t + self.radius as isize) as usize) * self.fields + first;
            for r in 0..R {
                // SAFETY: as in `gather_strip`.
                unsafe {
                    let sample = v.load(at.wrapping_add(r * V::LANES));
                    for j in 0..J {
                        sums[j][r] = v.mul_add(sample, v.splat(*self.taps.get_unchecked(taps + j)), sums[j][r]);
                    }
                }
            }
        }
        for j in 0..J {
            // SAFETY: checked by `fan`.
            unsafe { out.store(v, start(j), o, &sums[j]) };
        }
    }
}
