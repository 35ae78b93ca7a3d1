//! The two inner loops of the engine: 1-D filters over a line of samples.
//!
//! - [`Bank::analyse`]: one line in, one filtered line out for each order: the responses.
//! - [`Bank::synthesise`]: one line in for each order, the sum of the filtered lines out: the adjoint.
//!
//! Both compute [`STRIP`] neighbouring outputs at a time in registers, and both fold the taps: even
//! orders are symmetric and odd ones antisymmetric, so two samples at equal distance from the centre
//! are added (or subtracted) first and multiplied once.
//!
//! `step` is the distance between the samples that neighbouring taps read: 1 along x, the row pitch
//! along y. Along y a whole plane is one long line, so narrow images lose nothing to ragged row ends.
//! Taps that would read before the first or after the last sample are left out. A strip whose outputs
//! lie in several rows leaves out only what no row needs: therefore [`STRIP`] zeros must stand before
//! and after the samples.

use crate::Real;
use crate::simd::{STRIP, Vectors};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Orders filtered in one pass. Four accumulators of two registers, the two folded samples and a tap
/// fit the sixteen registers of AVX2; more would spill.
const PASS: usize = 4;

/// Runs a pass over the orders, [`PASS`] at a time.
macro_rules! in_passes {
    ($bank:ident.$pass:ident($v:ident, $line:expr, $orders:ident, $start:ident, $($rest:expr),*)) => {
        for first in (0..$orders).step_by(PASS) {
            match $orders - first {
                1 => $bank.$pass::<V, R, 1>($v, $line, first, std::array::from_fn(|n| $start(first + n)), $($rest),*),
                2 => $bank.$pass::<V, R, 2>($v, $line, first, std::array::from_fn(|n| $start(first + n)), $($rest),*),
                3 => $bank.$pass::<V, R, 3>($v, $line, first, std::array::from_fn(|n| $start(first + n)), $($rest),*),
                _ => $bank.$pass::<V, R, 4>($v, $line, first, std::array::from_fn(|n| $start(first + n)), $($rest),*),
            }
        }
    };
}

/// The folded taps of one axis, orders 0 … N.
#[derive(Debug, Clone)]
pub(super) struct Bank<T> {
    orders: usize,
    radius: usize,
    /// `[radius + 1, orders]`: the taps at t = 0 … R.
    half: Vec<T>,
}

/// Where a line of samples stands and which outputs are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// Elements between the samples of neighbouring taps.
    pub(super) step: usize,
    /// Samples; each stands for the `step` elements from it on.
    pub(super) samples: usize,
    /// The sample under the centre tap of output 0; output `o` is over sample `centre + o / step`.
    pub(super) centre: isize,
    /// Outputs, in neighbouring elements.
    pub(super) len: usize,
}

/// The taps of a strip that meet samples.
struct Span {
    /// Whether the centre tap does.
    centre: bool,
    /// Distances 1 … `both` do on both sides,
    both: usize,
    /// these only before, as distances,
    before: Range<usize>,
    /// and these only after.
    after: Range<usize>,
}

impl Line {
    /// Of the strip that starts at output `o`, with outputs `o` and `o + STRIP − 1` in mind.
    #[inline(always)]
    fn span(&self, o: usize, radius: usize) -> Span {
        let radius = radius as isize;
        let first = self.centre + (o / self.step) as isize;
        let last = self.centre + ((o + STRIP - 1) / self.step) as isize;
        // The last output reads the farthest before, the first output the farthest after.
        let low = (-radius).max(-last);
        let high = radius.min(self.samples as isize - 1 - first);
        let both = (-low).min(high).max(0);
        let distances = |from: isize, to: isize| from.max(both + 1) as usize..(to + 1).max(0) as usize;
        Span {
            centre: low <= 0 && high >= 0,
            both: both as usize,
            before: distances(-high, -low),
            after: distances(low, high),
        }
    }

    /// The element under the centre tap of output `o`, relative to sample 0.
    #[inline(always)]
    fn element(&self, o: usize) -> isize {
        self.centre * self.step as isize + o as isize
    }

    /// Checks that every element that a filter reads is inside a slice of `available` elements, where
    /// sample 0 stands at `origin`. See the module: no strip reads further than that.
    #[inline(always)]
    fn check(&self, origin: usize, available: usize) {
        assert!(origin >= STRIP && origin + self.samples * self.step + STRIP <= available, "a line without its margins");
    }
}

/// Where filtered lines go: output `o` to element `o % STRIP` of strip `o / STRIP`. The last strip of
/// a line is written in full where the slice has room for it, with nonsense after the line's end.
pub(super) struct Strips<'a, T> {
    to: *mut T,
    available: usize,
    /// Elements between neighbouring strips.
    pitch: usize,
    borrow: PhantomData<&'a mut [T]>,
}

impl<'a, T: Real> Strips<'a, T> {
    /// One strip after another.
    pub(super) fn plain(out: &'a mut [T]) -> Self {
        Self::apart(out, STRIP)
    }

    /// Strips that stand `pitch` elements apart.
    pub(super) fn apart(out: &'a mut [T], pitch: usize) -> Self {
        Self { to: out.as_mut_ptr(), available: out.len(), pitch, borrow: PhantomData }
    }

    /// One strip after another, in memory that holds nothing yet.
    pub(super) fn uninit(out: &'a mut [MaybeUninit<T>]) -> Self {
        Self { to: out.as_mut_ptr().cast(), available: out.len(), pitch: STRIP, borrow: PhantomData }
    }

    #[inline(always)]
    fn check(&self, start: usize, len: usize) {
        let last = (len.max(1) - 1) / STRIP;
        assert!(start + last * self.pitch + len - last * STRIP <= self.available, "a filtered line reaches past its slice");
    }

    /// Elements of strip `o / STRIP` that can be written, at most STRIP.
    #[inline(always)]
    fn reach(&self, start: usize, o: usize) -> (usize, usize) {
        let at = start + o / STRIP * self.pitch;
        (at, (self.available - at).min(STRIP))
    }

    /// # Safety
    /// `check(start, len)` has passed for a `len` above `o`.
    #[inline(always)]
    unsafe fn store<V: Vectors<T>, const R: usize>(&self, v: V, start: usize, o: usize, values: &[V::V; R]) {
        let (at, reach) = self.reach(start, o);
        // SAFETY: `check` makes the strip begin inside the slice, and `reach` ends there.
        unsafe {
            let to = self.to.add(at);
            if reach == STRIP {
                (0..R).for_each(|r| v.store(to.add(r * V::LANES), values[r]));
            } else {
                let mut strip = [T::ZERO; STRIP];
                (0..R).for_each(|r| v.store(strip.as_mut_ptr().add(r * V::LANES), values[r]));
                to.copy_from_nonoverlapping(strip.as_ptr(), reach);
            }
        }
    }

    /// # Safety
    /// `check(start, len)` has passed for a `len` above `o`, and the strip has been stored.
    #[inline(always)]
    unsafe fn load<V: Vectors<T>, const R: usize>(&self, v: V, start: usize, o: usize) -> [V::V; R] {
        let (at, reach) = self.reach(start, o);
        let mut strip = [T::ZERO; STRIP];
        // SAFETY: as in `store`.
        unsafe {
            strip.as_mut_ptr().copy_from_nonoverlapping(self.to.add(at), reach);
            std::array::from_fn(|r| v.load(strip.as_ptr().add(r * V::LANES)))
        }
    }

    /// Writes outputs that need not begin with a strip: `values` from output `o` of the line at `start` on.
    #[inline(always)]
    pub(super) fn scatter(&self, start: usize, o: usize, values: &[T]) {
        self.check(start, o + values.len());
        for (o, &value) in (o..).zip(values) {
            // SAFETY: inside, by `check`.
            unsafe { self.to.add(start + o / STRIP * self.pitch + o % STRIP).write(value) };
        }
    }
}

impl<T: Real> Bank<T> {
    /// From taps `[orders, 2R + 1]`, of which `dead` at each end are left out.
    pub(super) fn new(taps: &[T], orders: usize, dead: usize) -> Self {
        let side = taps.len() / orders;
        let centre = side / 2;
        let radius = centre - dead;
        let half = (0..=radius).flat_map(|t| (0..orders).map(move |n| taps[n * side + centre + t])).collect();
        Self { orders, radius, half }
    }

    /// The taps read backwards, as the adjoint needs them: odd orders change sign.
    pub(super) fn flipped(&self) -> Self {
        let sign = |n: usize, tap: T| if n.is_multiple_of(2) { tap } else { -tap };
        let half = self.half.iter().enumerate().map(|(k, &tap)| sign(k % self.orders, tap)).collect();
        Self { half, ..*self }
    }

    pub(super) fn radius(&self) -> usize {
        self.radius
    }

    /// Tap `n` at distance `t` after the centre, in every lane.
    #[inline(always)]
    fn tap<V: Vectors<T>>(&self, v: V, t: usize, n: usize) -> V::V {
        debug_assert!(t <= self.radius && n < self.orders);
        // SAFETY: `half` is `[radius + 1, orders]`, and both indices are below their bound: `t` by
        // `span`, `n` by `in_passes` for an `orders` that the two passes check.
        v.splat(unsafe { *self.half.get_unchecked(t * self.orders + n) })
    }

    /// Strip `start(n)` of `out` and those after it become `Σ_t g_n(t) · source[o + t · step]` for
    /// `n < orders`; sample 0 stands at `source[origin]`.
    #[inline(always)]
    pub(super) fn analyse<V: Vectors<T>, const R: usize>(
        &self,
        v: V,
        line: Line,
        source: &[T],
        origin: usize,
        orders: usize,
        start: impl Fn(usize) -> usize,
        out: &Strips<'_, T>,
    ) {
        line.check(origin, source.len());
        assert!(orders <= self.orders);
        (0..orders).for_each(|n| out.check(start(n), line.len));
        in_passes!(self.analyse_pass(v, line, orders, start, &source[origin..], out));
    }

    #[inline(always)]
    fn analyse_pass<V: Vectors<T>, const R: usize, const J: usize>(
        &self,
        v: V,
        line: Line,
        first: usize,
        starts: [usize; J],
        source: &[T],
        out: &Strips<'_, T>,
    ) {
        for o in (0..line.len).step_by(STRIP) {
            let span = line.span(o, self.radius);
            let centre = source.as_ptr().wrapping_offset(line.element(o));
            // SAFETY: `analyse` has checked the line with its margins, and `span` leaves out all taps
            // that would read beyond them.
            let load = |offset: isize, r: usize| unsafe { v.load(centre.offset(offset).add(r * V::LANES)) };
            let mut sums = [[v.splat(T::ZERO); R]; J];
            if span.centre {
                for r in 0..R {
                    let sample = load(0, r);
                    for n in (0..J).step_by(2) {
                        sums[n][r] = v.mul_add(sample, self.tap(v, 0, first + n), sums[n][r]);
                    }
                }
            }
            for t in 1..=span.both {
                let taps: [V::V; J] = std::array::from_fn(|n| self.tap(v, t, first + n));
                let distance = (t * line.step) as isize;
                for r in 0..R {
                    let (after, before) = (load(distance, r), load(-distance, r));
                    let even = v.add(after, before);
                    for n in (0..J).step_by(2) {
                        sums[n][r] = v.mul_add(even, taps[n], sums[n][r]);
                    }
                    if J > 1 {
                        let odd = v.sub(after, before);
                        for n in (1..J).step_by(2) {
                            sums[n][r] = v.mul_add(odd, taps[n], sums[n][r]);
                        }
                    }
                }
            }
            for t in span.after {
                for r in 0..R {
                    let sample = load((t * line.step) as isize, r);
                    for n in 0..J {
                        sums[n][r] = v.mul_add(sample, self.tap(v, t, first + n), sums[n][r]);
                    }
                }
            }
            for t in span.before {
                for r in 0..R {
                    let sample = load(-((t * line.step) as isize), r);
                    let minus = v.sub(v.splat(T::ZERO), sample);
                    for n in 0..J {
                        let sample = if n % 2 == 0 { sample } else { minus };
                        sums[n][r] = v.mul_add(sample, self.tap(v, t, first + n), sums[n][r]);
                    }
                }
            }
            for n in 0..J {
                // SAFETY: checked by `analyse`.
                unsafe { out.store(v, starts[n], o, &sums[n]) };
            }
        }
    }

    /// `out[o] = Σ_n Σ_t g_n(t) · source_n[o + t · step]` for `n < orders`; sample 0 of line `n` stands
    /// at `source[origin(n)]`.
    #[inline(always)]
    pub(super) fn synthesise<V: Vectors<T>, const R: usize>(
        &self,
        v: V,
        line: Line,
        source: &[T],
        origin: impl Fn(usize) -> usize,
        orders: usize,
        out: &Strips<'_, T>,
    ) {
        assert!(orders <= self.orders);
        (0..orders).for_each(|n| line.check(origin(n), source.len()));
        out.check(0, line.len);
        in_passes!(self.synthesise_pass(v, line, orders, origin, source, out));
    }

    #[inline(always)]
    fn synthesise_pass<V: Vectors<T>, const R: usize, const J: usize>(
        &self,
        v: V,
        line: Line,
        first: usize,
        origins: [usize; J],
        source: &[T],
        out: &Strips<'_, T>,
    ) {
        for o in (0..line.len).step_by(STRIP) {
            let span = line.span(o, self.radius);
            let centres = origins.map(|origin| source.as_ptr().wrapping_add(origin).wrapping_offset(line.element(o)));
            // SAFETY: as in `analyse_pass`.
            let load = |n: usize, offset: isize, r: usize| unsafe { v.load(centres[n].offset(offset).add(r * V::LANES)) };
            // One sum an order: a single one would wait for each multiply-add to finish.
            let mut sums = [[v.splat(T::ZERO); R]; J];
            if span.centre {
                for n in (0..J).step_by(2) {
                    let tap = self.tap(v, 0, first + n);
                    for r in 0..R {
                        sums[n][r] = v.mul_add(load(n, 0, r), tap, sums[n][r]);
                    }
                }
            }
            for t in 1..=span.both {
                let distance = (t * line.step) as isize;
                for n in 0..J {
                    let tap = self.tap(v, t, first + n);
                    for r in 0..R {
                        let (after, before) = (load(n, distance, r), load(n, -distance, r));
                        let folded = if n % 2 == 0 { v.add(after, before) } else { v.sub(after, before) };
                        sums[n][r] = v.mul_add(folded, tap, sums[n][r]);
                    }
                }
            }
            for t in span.after {
                for n in 0..J {
                    let tap = self.tap(v, t, first + n);
                    for r in 0..R {
                        sums[n][r] = v.mul_add(load(n, (t * line.step) as isize, r), tap, sums[n][r]);
                    }
                }
            }
            for t in span.before {
                for n in 0..J {
                    let tap = self.tap(v, t, first + n);
                    let tap = if n % 2 == 0 { tap } else { v.sub(v.splat(T::ZERO), tap) };
                    for r in 0..R {
                        sums[n][r] = v.mul_add(load(n, -((t * line.step) as isize), r), tap, sums[n][r]);
                    }
                }
            }
            let mut total = sums[0];
            for sum in &sums[1..] {
                for r in 0..R {
                    total[r] = v.add(total[r], sum[r]);
                }
            }
            // SAFETY: checked by `synthesise`.
            unsafe {
                if first > 0 {
                    let before = out.load::<V, R>(v, 0, o);
                    for r in 0..R {
                        total[r] = v.add(total[r], before[r]);
                    }
                }
                out.store(v, 0, o, &total);
            }
        }
    }
}
