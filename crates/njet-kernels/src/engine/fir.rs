//! The two inner loops of the engine: 1-D filters over a line of samples.
//!
//! - [`Bank::analyse`]: one line in, one filtered line out for each order: the responses.
//! - [`Bank::synthesise`]: one line in for each order, the sum of the filtered lines out: the adjoint.
//!
//! Both compute [`STRIP`](crate::simd::STRIP) neighbouring outputs at a time in registers, and both fold the taps: even
//! orders are symmetric and odd ones antisymmetric, so two samples at equal distance from the centre
//! are added (or subtracted) first and multiplied once.
//!
//! What bounds these loops is not the arithmetic alone. A multiply-add takes four cycles and two can begin in
//! each, so fewer than eight sums at a time wait for one another; and each tap is loaded into every lane, so
//! it should serve as many sums as the registers hold. Therefore the two short fields of a jet go together, and
//! taps and their derivatives by σ are applied to the same folded samples.

// Lanes and registers are indexed together in several arrays.
#![allow(clippy::needless_range_loop)]

use super::line::{Plan, Span, for_strips};
use super::strips::Strips;
use crate::Real;
use crate::simd::Vectors;

/// Orders filtered in one pass. Four accumulators of two registers, the two folded samples and a tap
/// fit the sixteen registers of AVX2; more would spill. Even, so that each pass begins with an even order.
const PASS: usize = 4;

/// `S` strips of `R` registers for each of `J` orders.
type Sums<V, const R: usize, const S: usize, const J: usize> = [[[V; R]; S]; J];

/// The folded taps of one axis, orders 0 … N.
#[derive(Debug, Clone)]
pub(super) struct Bank<T> {
    orders: usize,
    radius: usize,
    /// `[radius + 1, orders]`: the taps at t = 0 … R,
    half: Vec<T>,
    /// and at t = 0 … −R.
    mirrored: Vec<T>,
}

impl<T: Real> Bank<T> {
    /// From taps `[orders, 2R + 1]`, of which `dead` at each end are left out.
    pub(super) fn new(taps: &[T], orders: usize, dead: usize) -> Self {
        let side = taps.len() / orders;
        let centre = side / 2;
        let radius = centre - dead;
        let half = (0..=radius).flat_map(|t| (0..orders).map(move |n| taps[n * side + centre + t])).collect();
        Self::from_half(orders, radius, half)
    }

    fn from_half(orders: usize, radius: usize, half: Vec<T>) -> Self {
        let sign = |n: usize, tap: T| if n.is_multiple_of(2) { tap } else { -tap };
        let mirrored = half.iter().enumerate().map(|(k, &tap)| sign(k % orders, tap)).collect();
        Self { orders, radius, half, mirrored }
    }

    /// The taps read backwards, as the adjoint needs them: odd orders change sign.
    pub(super) fn flipped(&self) -> Self {
        Self::from_half(self.orders, self.radius, self.mirrored.clone())
    }

    pub(super) fn radius(&self) -> usize {
        self.radius
    }

    /// `[R + 1, orders]`: the taps at t = 0 … R.
    pub(super) fn half(&self) -> &[T] {
        &self.half
    }

    /// Tap `n` at `t`, from −R to R.
    pub(super) fn value(&self, n: usize, t: isize) -> T {
        let taps = if t < 0 { &self.mirrored } else { &self.half };
        taps[t.unsigned_abs() * self.orders + n]
    }

    /// The taps at distance `t` on one side of the centre, from order `first` on.
    #[inline(always)]
    fn side(&self, after: bool, t: usize, first: usize) -> *const T {
        let taps = if after { &self.half } else { &self.mirrored };
        taps.as_ptr().wrapping_add(t * self.orders + first)
    }

    /// For every field `j < fields` and order `n < orders(j)`, the strips from `start(n, j)` on become
    /// `Σ_t g_n(t) · field_j[o + t · step]`; sample 0 of field `j` stands at `source[origin(j)]`.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    pub(super) fn analyse<V: Vectors<T>, const R: usize, const APART: bool>(
        &self,
        v: V,
        plan: &Plan,
        source: &[T],
        fields: usize,
        origin: impl Fn(usize) -> usize,
        orders: impl Fn(usize) -> usize,
        start: impl Fn(usize, usize) -> usize,
        out: &Strips<'_, T, APART>,
    ) {
        for j in 0..fields {
            plan.check(origin(j), source.len());
            assert!(orders(j) <= self.orders);
            (0..orders(j)).for_each(|n| out.check(start(n, j), plan));
        }
        let mut j = 0;
        while j < fields {
            // A field with two orders and one with a single one share what they load of the taps.
            let together = orders(j) == 2 && j + 1 < fields && orders(j + 1) == 1;
            let next = if together { origin(j + 1) } else { 0 };
            for first in (0..orders(j)).step_by(PASS) {
                macro_rules! pass {
                    ($J:literal, $K:literal) => {
                        for_strips!(plan, R == 1, |o, element, span, STRIPS, beside| {
                            let at = |origin: usize| source.as_ptr().wrapping_add(origin).wrapping_offset(element);
                            // SAFETY: the lines have been checked with their margins, and `span` leaves out all
                            // taps that would read beyond them; the outputs have been checked too.
                            unsafe {
                                let centres = [at(origin(j)), at(next)];
                                macro_rules! strip {
                                    ($WHOLE:literal) => {
                                        self.analyse_strip::<V, R, STRIPS, $J, $K, $WHOLE>(
                                            v,
                                            centres,
                                            span,
                                            [plan.step(), beside[1]],
                                            first,
                                        )
                                    };
                                }
                                let (sums, more) = match span.whole {
                                    3 => strip!(3),
                                    5 => strip!(5),
                                    _ => strip!(0),
                                };
                                for s in 0..STRIPS {
                                    let o = o + s * beside[0];
                                    (0..$J).for_each(|n| out.store(v, start(first + n, j), o, &sums[n][s]));
                                    (0..$K).for_each(|n| out.store(v, start(n, j + 1), o, &more[n][s]));
                                }
                            }
                        })
                    };
                }
                match orders(j) - first {
                    1 => pass!(1, 0),
                    2 if together => pass!(2, 1),
                    2 => pass!(2, 0),
                    3 => pass!(3, 0),
                    _ => pass!(4, 0),
                }
            }
            j += if together { 2 } else { 1 };
        }
    }

    /// `J` orders of one field and `K ≤ J` of another. `WHOLE`: what the span's `whole` is, or 0 where it may be
    /// anything. `steps`: elements between neighbouring taps, and between the strips.
    #[inline(always)]
    unsafe fn analyse_strip<
        V: Vectors<T>,
        const R: usize,
        const S: usize,
        const J: usize,
        const K: usize,
        const WHOLE: usize,
    >(
        &self,
        v: V,
        centres: [*const T; 2],
        span: &Span,
        steps: [usize; 2],
        first: usize,
    ) -> (Sums<V::V, R, S, J>, Sums<V::V, R, S, K>) {
        let [step, beside] = steps;
        let mut sums = [[[v.splat(T::ZERO); R]; S]; J];
        let mut more = [[[v.splat(T::ZERO); R]; S]; K];
        // SAFETY: the caller's promise; taps up to the span's, which is within the radius.
        unsafe {
            let load = |field: usize, offset: usize, s: usize, r: usize| {
                v.load(centres[field].wrapping_add(offset).wrapping_add(s * beside + r * V::LANES))
            };
            let mut taps = self.side(true, 0, first);
            if WHOLE > 0 || span.centre {
                let tap: [V::V; J] = std::array::from_fn(|n| v.splat(*taps.add(n)));
                for s in 0..S {
                    for r in 0..R {
                        single::<T, V, R, S, J, 2>(v, &mut sums, [s, r], load(0, 0, s, r), &tap);
                        if K > 0 {
                            single::<T, V, R, S, K, 2>(v, &mut more, [s, r], load(1, 0, s, r), &tap);
                        }
                    }
                }
            }
            let (mut after, mut before) = (0, 0usize);
            for _ in 0..if WHOLE > 0 { WHOLE } else { span.both } {
                taps = taps.wrapping_add(self.orders);
                (after, before) = (after + step, before.wrapping_sub(step));
                let tap: [V::V; J] = std::array::from_fn(|n| v.splat(*taps.add(n)));
                for s in 0..S {
                    for r in 0..R {
                        let at = |field| (load(field, after, s, r), load(field, before, s, r));
                        folded::<T, V, R, S, J>(v, &mut sums, [s, r], at(0), &tap);
                        if K > 0 {
                            folded::<T, V, R, S, K>(v, &mut more, [s, r], at(1), &tap);
                        }
                    }
                }
            }
            if WHOLE > 0 {
                return (sums, more);
            }
            let (from, to) = span.one;
            let step = if span.after { step } else { step.wrapping_neg() };
            let (mut taps, mut at) = (self.side(span.after, from, first), step.wrapping_mul(from));
            for _ in from..to {
                let tap: [V::V; J] = std::array::from_fn(|n| v.splat(*taps.add(n)));
                for s in 0..S {
                    for r in 0..R {
                        single::<T, V, R, S, J, 1>(v, &mut sums, [s, r], load(0, at, s, r), &tap);
                        if K > 0 {
                            single::<T, V, R, S, K, 1>(v, &mut more, [s, r], load(1, at, s, r), &tap);
                        }
                    }
                }
                (taps, at) = (taps.wrapping_add(self.orders), at.wrapping_add(step));
            }
        }
        (sums, more)
    }

    /// For every field `j < fields`, the strips of each of `outs` from `start(j)` on become
    /// `Σ_n Σ_t g_n(t) · line_nj[o + t · step]` over `n < orders(j)`, with the taps of the bank beside it;
    /// sample 0 of line `n, j` stands at `source[origin(n, j)]`. All banks have the same orders and radius.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    pub(super) fn synthesise<V: Vectors<T>, const R: usize, const APART: bool, const BANKS: usize>(
        banks: [&Self; BANKS],
        v: V,
        plan: &Plan,
        source: &[T],
        fields: usize,
        origin: impl Fn(usize, usize) -> usize,
        orders: impl Fn(usize) -> usize,
        start: impl Fn(usize) -> usize,
        outs: [&Strips<'_, T, APART>; BANKS],
    ) {
        assert!(banks.iter().all(|bank| bank.orders == banks[0].orders && bank.radius == banks[0].radius));
        for j in 0..fields {
            assert!(orders(j) <= banks[0].orders);
            (0..orders(j)).for_each(|n| plan.check(origin(n, j), source.len()));
            outs.iter().for_each(|out| out.check(start(j), plan));
        }
        for j in 0..fields {
            macro_rules! pass {
                (|$element:ident, $span:ident, $STRIPS:ident, $beside:ident| $sums:expr) => {
                    for_strips!(plan, R == 1, |o, $element, $span, $STRIPS, $beside| {
                        // SAFETY: as in `analyse`.
                        unsafe {
                            let sums: Sums<V::V, R, $STRIPS, BANKS> = $sums;
                            for s in 0..$STRIPS {
                                let o = o + s * $beside[0];
                                (0..BANKS).for_each(|d| outs[d].store(v, start(j), o, &sums[d][s]));
                            }
                        }
                    })
                };
            }
            macro_rules! strip {
                ($J:literal, $first:expr, $element:ident, $span:ident, $STRIPS:ident, $beside:ident) => {{
                    let centres: [_; $J] = std::array::from_fn(|n| {
                        source.as_ptr().wrapping_add(origin($first + n, j)).wrapping_offset($element)
                    });
                    let steps = [plan.step(), $beside[1]];
                    Self::synthesise_strip::<V, R, $STRIPS, $J, BANKS>(banks, v, centres, $span, steps, $first)
                }};
            }
            match orders(j) {
                1 => pass!(|element, span, STRIPS, beside| strip!(1, 0, element, span, STRIPS, beside)),
                2 => pass!(|element, span, STRIPS, beside| strip!(2, 0, element, span, STRIPS, beside)),
                3 => pass!(|element, span, STRIPS, beside| strip!(3, 0, element, span, STRIPS, beside)),
                4 => pass!(|element, span, STRIPS, beside| strip!(4, 0, element, span, STRIPS, beside)),
                all => pass!(|element, span, STRIPS, beside| {
                    let mut sums = strip!(4, 0, element, span, STRIPS, beside);
                    for first in (PASS..all).step_by(2) {
                        let more = if all - first == 1 {
                            strip!(1, first, element, span, STRIPS, beside)
                        } else {
                            strip!(2, first, element, span, STRIPS, beside)
                        };
                        total(v, &mut sums, &more);
                    }
                    sums
                }),
            }
        }
    }

    /// `J` orders from `first`, an even one, on: all at once where the registers hold a sum for each order and bank, else two by two.
    #[inline(always)]
    unsafe fn synthesise_strip<V: Vectors<T>, const R: usize, const S: usize, const J: usize, const BANKS: usize>(
        banks: [&Self; BANKS],
        v: V,
        centres: [*const T; J],
        span: &Span,
        steps: [usize; 2],
        first: usize,
    ) -> Sums<V::V, R, S, BANKS> {
        macro_rules! orders {
            ($BASE:literal, $COUNT:expr) => {
                // SAFETY: the caller's promise.
                unsafe {
                    Self::synthesise_orders::<V, R, S, J, $BASE, { $COUNT }, BANKS>(
                        banks, v, centres, span, steps, first,
                    )
                }
            };
        }
        match J {
            _ if BANKS == 1 || V::REGISTERS >= 32 => orders!(0, J),
            1 => orders!(0, 1),
            2 => orders!(0, 2),
            _ => {
                let mut sums = orders!(0, 2);
                let more = if J == 3 { orders!(2, 1) } else { orders!(2, 2) };
                total(v, &mut sums, &more);
                sums
            }
        }
    }

    /// The orders `BASE .. BASE + COUNT` of those of [`synthesise_strip`](Self::synthesise_strip). What is unrolled is known when
    /// compiled: sums that a variable indexes would live in memory.
    #[inline(always)]
    unsafe fn synthesise_orders<
        V: Vectors<T>,
        const R: usize,
        const S: usize,
        const J: usize,
        const BASE: usize,
        const COUNT: usize,
        const BANKS: usize,
    >(
        banks: [&Self; BANKS],
        v: V,
        centres: [*const T; J],
        span: &Span,
        steps: [usize; 2],
        first: usize,
    ) -> Sums<V::V, R, S, BANKS> {
        let (orders, [step, beside]) = (banks[0].orders, steps);
        // One sum for each order and bank: a single one would wait for each multiply-add to finish.
        let mut sums: [Sums<V::V, R, S, BANKS>; COUNT] = [[[[v.splat(T::ZERO); R]; S]; BANKS]; COUNT];
        // SAFETY: the caller's promise; taps up to the span's, which is within the radius.
        unsafe {
            let load = |n: usize, offset: usize, s: usize, r: usize| {
                v.load(centres[BASE + n].wrapping_add(offset).wrapping_add(s * beside + r * V::LANES))
            };
            let side = |d: usize, after: bool, t: usize| banks[d].side(after, t, first + BASE);
            let mut taps: [*const T; BANKS] = std::array::from_fn(|d| side(d, true, 0));
            if span.centre {
                for n in (0..COUNT).step_by(2) {
                    let samples = std::array::from_fn(|s| std::array::from_fn(|r| load(n, 0, s, r)));
                    weighted::<T, V, R, S, BANKS>(v, &mut sums[n], samples, taps, n);
                }
            }
            let (mut after, mut before) = (0, 0usize);
            for _ in 0..span.both {
                taps = taps.map(|taps| taps.wrapping_add(orders));
                (after, before) = (after + step, before.wrapping_sub(step));
                for n in 0..COUNT {
                    let samples = std::array::from_fn(|s| {
                        std::array::from_fn(|r| {
                            let (after, before) = (load(n, after, s, r), load(n, before, s, r));
                            if n % 2 == 0 { v.add(after, before) } else { v.sub(after, before) }
                        })
                    });
                    weighted::<T, V, R, S, BANKS>(v, &mut sums[n], samples, taps, n);
                }
            }
            let (from, to) = span.one;
            let step = if span.after { step } else { step.wrapping_neg() };
            let mut at = step.wrapping_mul(from);
            let mut taps: [*const T; BANKS] = std::array::from_fn(|d| side(d, span.after, from));
            for _ in from..to {
                for n in 0..COUNT {
                    let samples = std::array::from_fn(|s| std::array::from_fn(|r| load(n, at, s, r)));
                    weighted::<T, V, R, S, BANKS>(v, &mut sums[n], samples, taps, n);
                }
                taps = taps.map(|taps| taps.wrapping_add(orders));
                at = at.wrapping_add(step);
            }
        }
        let mut all = sums[0];
        for n in 1..COUNT {
            total(v, &mut all, &sums[n]);
        }
        all
    }
}

/// Adds sums to sums.
#[inline(always)]
fn total<T: Real, V: Vectors<T>, const R: usize, const S: usize, const J: usize>(
    v: V,
    sums: &mut Sums<V::V, R, S, J>,
    more: &Sums<V::V, R, S, J>,
) {
    for n in 0..J {
        for s in 0..S {
            (0..R).for_each(|r| sums[n][s][r] = v.add(sums[n][s][r], more[n][s][r]));
        }
    }
}

/// Adds `sample · tap` to the sums of every `STEP`-th order.
#[inline(always)]
fn single<T: Real, V: Vectors<T>, const R: usize, const S: usize, const J: usize, const STEP: usize>(
    v: V,
    sums: &mut Sums<V::V, R, S, J>,
    [s, r]: [usize; 2],
    sample: V::V,
    taps: &[V::V],
) {
    for n in (0..J).step_by(STEP) {
        sums[n][s][r] = v.mul_add(sample, taps[n], sums[n][s][r]);
    }
}

/// Adds what two samples at equal distance from the centre give.
#[inline(always)]
fn folded<T: Real, V: Vectors<T>, const R: usize, const S: usize, const J: usize>(
    v: V,
    sums: &mut Sums<V::V, R, S, J>,
    [s, r]: [usize; 2],
    (after, before): (V::V, V::V),
    taps: &[V::V],
) {
    let even = v.add(after, before);
    for n in (0..J).step_by(2) {
        sums[n][s][r] = v.mul_add(even, taps[n], sums[n][s][r]);
    }
    if J > 1 {
        let odd = v.sub(after, before);
        for n in (1..J).step_by(2) {
            sums[n][s][r] = v.mul_add(odd, taps[n], sums[n][s][r]);
        }
    }
}

/// Adds the samples times tap `n` of each bank.
///
/// # Safety
/// Tap `n` of each can be read.
#[inline(always)]
unsafe fn weighted<T: Real, V: Vectors<T>, const R: usize, const S: usize, const BANKS: usize>(
    v: V,
    sums: &mut Sums<V::V, R, S, BANKS>,
    samples: [[V::V; R]; S],
    taps: [*const T; BANKS],
    n: usize,
) {
    for d in 0..BANKS {
        // SAFETY: the caller's promise.
        let tap = v.splat(unsafe { *taps[d].add(n) });
        for s in 0..S {
            (0..R).for_each(|r| sums[d][s][r] = v.mul_add(samples[s][r], tap, sums[d][s][r]));
        }
    }
}
