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

// Lanes and registers are indexed together in several arrays.
#![allow(clippy::needless_range_loop)]

use crate::Real;
use crate::simd::{STRIP, Vectors};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Orders filtered in one pass. Four accumulators of two registers, the two folded samples and a tap
/// fit the sixteen registers of AVX2; more would spill. Even, so that each pass begins with an even order.
const PASS: usize = 4;

/// Runs `$pass` over the fields `$j` and their orders, at most `$most` at a time from `$first` on, with
/// the number of orders `$J` known when it is compiled.
macro_rules! in_passes {
    ($most:ident, $fields:expr, $orders:expr, |$j:ident, $first:ident, $J:ident| $pass:expr) => {
        // The jet of order 2 in straight code: without a choice for every field of every strip.
        if $fields == 3 && $orders(0) == 3 {
            {
                const $J: usize = 3;
                let ($j, $first): (usize, usize) = (0, 0);
                $pass
            }
            {
                const $J: usize = 2;
                let ($j, $first): (usize, usize) = (1, 0);
                $pass
            }
            {
                const $J: usize = 1;
                let ($j, $first): (usize, usize) = (2, 0);
                $pass
            }
        } else {
            for $j in 0..$fields {
                let orders: usize = $orders($j);
                for $first in (0..orders).step_by($most) {
                    match orders - $first {
                        1 => {
                            const $J: usize = 1;
                            $pass
                        }
                        2 => {
                            const $J: usize = 2;
                            $pass
                        }
                        3 => {
                            const $J: usize = 3;
                            $pass
                        }
                        _ => {
                            const $J: usize = $most;
                            $pass
                        }
                    }
                }
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

/// How many samples stand before and after the centre taps of a strip; negative where the centre itself is
/// beyond them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    before: isize,
    after: isize,
}

impl Reach {
    /// The first and the last tap of those within `radius` that meet samples.
    #[inline(always)]
    pub(super) fn taps(self, radius: usize) -> (isize, isize) {
        let radius = radius as isize;
        ((-radius).max(-self.before), radius.min(self.after))
    }

    #[inline(always)]
    fn span(self, radius: usize) -> Span {
        let (low, high) = self.taps(radius);
        if low == -high && high >= 0 {
            return Span { both: high as usize, border: None };
        }
        let both = (-low).min(high).max(0);
        let distances = |from: isize, to: isize| from.max(both + 1) as usize..(to + 1).max(0) as usize;
        let border =
            Border { centre: low <= 0 && high >= 0, before: distances(-high, -low), after: distances(low, high) };
        Span { both: both as usize, border: Some(border) }
    }
}

/// The taps of a strip that meet samples: the centre, then distances 1 … `both` on both sides.
struct Span {
    both: usize,
    /// What else there is, or that there is no centre: rare but at borders.
    border: Option<Border>,
}

/// Taps that meet samples on one side only.
struct Border {
    centre: bool,
    /// Distances before the centre,
    before: Range<usize>,
    /// and after it.
    after: Range<usize>,
}

impl Line {
    /// The strips of the outputs: the first output of each, and what it reaches.
    #[inline(always)]
    pub(super) fn strips(self) -> impl Iterator<Item = (usize, Reach)> {
        let (mut row, mut column) = (0, 0);
        (0..self.len).step_by(STRIP).map(move |o| {
            // Counted, not divided: a division costs as much as some taps.
            let (mut last, mut end) = (row, column + STRIP - 1);
            if self.step == 1 {
                (last, end) = (o + STRIP - 1, 0);
            }
            while end >= self.step {
                (last, end) = (last + 1, end - self.step);
            }
            let reach = self.reach(row, last);
            column += STRIP;
            if self.step == 1 {
                (row, column) = (o + STRIP, 0);
            }
            while column >= self.step {
                (row, column) = (row + 1, column - self.step);
            }
            (o, reach)
        })
    }

    /// Of a strip with outputs over the samples from `centre + first` to `centre + last`.
    #[inline(always)]
    fn reach(&self, first: usize, last: usize) -> Reach {
        // The last output reads the farthest before, the first output the farthest after.
        let before = self.centre + last as isize;
        let after = self.samples as isize - 1 - (self.centre + first as isize);
        Reach { before, after }
    }

    /// The element under the centre tap of output `o`, relative to sample 0.
    #[inline(always)]
    pub(super) fn element(&self, o: usize) -> isize {
        self.centre * self.step as isize + o as isize
    }

    /// Checks that every element that a filter reads is inside a slice of `available` elements, where
    /// sample 0 stands at `origin`. See the module: no strip reads further than that.
    #[inline(always)]
    pub(super) fn check(&self, origin: usize, available: usize) {
        assert!(
            origin >= STRIP && origin + self.samples * self.step + STRIP <= available,
            "a line without its margins"
        );
    }
}

/// Where filtered lines go: output `o` to element `o % STRIP` of strip `o / STRIP`. The last strip of
/// a line is written in full where the slice has room for it, with nonsense after the line's end. `WHOLE`:
/// there is always room.
pub(super) struct Strips<'a, T, const WHOLE: bool> {
    to: *mut T,
    available: usize,
    /// Elements between neighbouring strips.
    pitch: usize,
    borrow: PhantomData<&'a mut [T]>,
}

impl<'a, T: Real> Strips<'a, T, false> {
    /// One strip after another.
    pub(super) fn plain(out: &'a mut [T]) -> Self {
        Self { to: out.as_mut_ptr(), available: out.len(), pitch: STRIP, borrow: PhantomData }
    }

    /// One strip after another, in memory that holds nothing yet.
    pub(super) fn uninit(out: &'a mut [MaybeUninit<T>]) -> Self {
        Self { to: out.as_mut_ptr().cast(), available: out.len(), pitch: STRIP, borrow: PhantomData }
    }
}

impl<'a, T: Real> Strips<'a, T, true> {
    /// Strips that stand `pitch` elements apart, each with room for all of [`STRIP`].
    pub(super) fn apart(out: &'a mut [T], pitch: usize) -> Self {
        Self { to: out.as_mut_ptr(), available: out.len(), pitch, borrow: PhantomData }
    }
}

impl<T: Real, const WHOLE: bool> Strips<'_, T, WHOLE> {
    #[inline(always)]
    pub(super) fn check(&self, start: usize, len: usize) {
        let last = (len.max(1) - 1) / STRIP;
        let room = if WHOLE { STRIP } else { len - last * STRIP };
        assert!(start + last * self.pitch + room <= self.available, "a filtered line reaches past its slice");
    }

    /// Elements of strip `o / STRIP` that can be written, at most STRIP.
    #[inline(always)]
    fn reach(&self, start: usize, o: usize) -> (usize, usize) {
        let at = start + o / STRIP * self.pitch;
        (at, if WHOLE { STRIP } else { (self.available - at).min(STRIP) })
    }

    /// # Safety
    /// `check(start, len)` has passed for a `len` above `o`.
    #[inline(always)]
    pub(super) unsafe fn store<V: Vectors<T>, const R: usize>(&self, v: V, start: usize, o: usize, values: &[V::V; R]) {
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

    /// Stores, or adds to what is there.
    ///
    /// # Safety
    /// As for `store`, and if `add` as for `load`.
    #[inline(always)]
    pub(super) unsafe fn put<V: Vectors<T>, const R: usize>(
        &self,
        v: V,
        start: usize,
        o: usize,
        mut values: [V::V; R],
        add: bool,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            if add {
                let before = self.load::<V, R>(v, start, o);
                (0..R).for_each(|r| values[r] = v.add(values[r], before[r]));
            }
            self.store(v, start, o, &values);
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

    /// Tap `n` at `t`, from −R to R.
    pub(super) fn value(&self, n: usize, t: isize) -> T {
        let tap = self.half[t.unsigned_abs() * self.orders + n];
        if t < 0 && n % 2 == 1 { -tap } else { tap }
    }

    /// Tap `n` at distance `t` after the centre, in every lane.
    #[inline(always)]
    fn tap<V: Vectors<T>>(&self, v: V, t: usize, n: usize) -> V::V {
        debug_assert!(t <= self.radius && n < self.orders);
        // SAFETY: `half` is `[radius + 1, orders]`, and both indices are below their bound: `t` by
        // `span`, `n` by `in_passes` for an `orders` that the two passes check.
        v.splat(unsafe { *self.half.get_unchecked(t * self.orders + n) })
    }

    /// For every field `j < fields` and order `n < orders(j)`, the strips from `start(n, j)` on become
    /// `Σ_t g_n(t) · field_j[o + t · step]`; sample 0 of field `j` stands at `source[origin(j)]`.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    pub(super) fn analyse<V: Vectors<T>, const R: usize, const WHOLE: bool>(
        &self,
        v: V,
        line: Line,
        source: &[T],
        fields: usize,
        origin: impl Fn(usize) -> usize,
        orders: impl Fn(usize) -> usize,
        start: impl Fn(usize, usize) -> usize,
        out: &Strips<'_, T, WHOLE>,
    ) {
        for j in 0..fields {
            line.check(origin(j), source.len());
            assert!(orders(j) <= self.orders);
            (0..orders(j)).for_each(|n| out.check(start(n, j), line.len));
        }
        for (o, reach) in line.strips() {
            let span = reach.span(self.radius);
            in_passes!(PASS, fields, orders, |j, first, J| {
                let centre = source.as_ptr().wrapping_add(origin(j)).wrapping_offset(line.element(o));
                // SAFETY: the lines have been checked with their margins, and `span` leaves out all
                // taps that would read beyond them; the outputs have been checked too.
                unsafe {
                    let sums = self.analyse_strip::<V, R, J>(v, centre, &span, line.step, first);
                    (0..J).for_each(|n| out.store(v, start(first + n, j), o, &sums[n]));
                }
            });
        }
    }

    #[inline(always)]
    unsafe fn analyse_strip<V: Vectors<T>, const R: usize, const J: usize>(
        &self,
        v: V,
        centre: *const T,
        span: &Span,
        step: usize,
        first: usize,
    ) -> [[V::V; R]; J] {
        // SAFETY: the caller's promise.
        let load = |at: *const T, r: usize| unsafe { v.load(at.wrapping_add(r * V::LANES)) };
        let mut sums = [[v.splat(T::ZERO); R]; J];
        if span.border.as_ref().is_none_or(|border| border.centre) {
            for r in 0..R {
                let sample = load(centre, r);
                for n in (0..J).step_by(2) {
                    sums[n][r] = v.mul_add(sample, self.tap(v, 0, first + n), sums[n][r]);
                }
            }
        }
        let (mut after, mut before) = (centre, centre);
        for t in 1..=span.both {
            (after, before) = (after.wrapping_add(step), before.wrapping_sub(step));
            let taps: [V::V; J] = std::array::from_fn(|n| self.tap(v, t, first + n));
            for r in 0..R {
                let (after, before) = (load(after, r), load(before, r));
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
        if let Some(border) = &span.border {
            for t in border.after.clone() {
                let at = centre.wrapping_add(t * step);
                for n in 0..J {
                    let tap = self.tap(v, t, first + n);
                    for r in 0..R {
                        sums[n][r] = v.mul_add(load(at, r), tap, sums[n][r]);
                    }
                }
            }
            for t in border.before.clone() {
                let at = centre.wrapping_sub(t * step);
                for n in 0..J {
                    let tap = self.tap(v, t, first + n);
                    let tap = if n % 2 == 0 { tap } else { v.sub(v.splat(T::ZERO), tap) };
                    for r in 0..R {
                        sums[n][r] = v.mul_add(load(at, r), tap, sums[n][r]);
                    }
                }
            }
        }
        sums
    }

    /// For every field `j < fields`, the strips of `out` from `start(j)` on become
    /// `Σ_n Σ_t g_n(t) · line_nj[o + t · step]` over `n < orders(j)`; sample 0 of line `n, j` stands at
    /// `source[origin(n, j)]`.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    pub(super) fn synthesise<V: Vectors<T>, const R: usize, const WHOLE: bool>(
        &self,
        v: V,
        line: Line,
        source: &[T],
        fields: usize,
        origin: impl Fn(usize, usize) -> usize,
        orders: impl Fn(usize) -> usize,
        start: impl Fn(usize) -> usize,
        out: &Strips<'_, T, WHOLE>,
    ) {
        for j in 0..fields {
            assert!(orders(j) <= self.orders);
            (0..orders(j)).for_each(|n| line.check(origin(n, j), source.len()));
            out.check(start(j), line.len);
        }
        for (o, reach) in line.strips() {
            let span = reach.span(self.radius);
            in_passes!(PASS, fields, orders, |j, first, J| {
                let centres: [_; J] = std::array::from_fn(|n| {
                    source.as_ptr().wrapping_add(origin(first + n, j)).wrapping_offset(line.element(o))
                });
                // SAFETY: as in `analyse`.
                unsafe {
                    let sums = self.synthesise_strip::<V, R, J>(v, centres, &span, line.step, first);
                    out.put::<V, R>(v, start(j), o, sums, first > 0);
                }
            });
        }
    }

    #[inline(always)]
    unsafe fn synthesise_strip<V: Vectors<T>, const R: usize, const J: usize>(
        &self,
        v: V,
        centres: [*const T; J],
        span: &Span,
        step: usize,
        first: usize,
    ) -> [V::V; R] {
        // SAFETY: the caller's promise.
        let load = |n: usize, offset: usize, r: usize| unsafe {
            v.load(centres[n].wrapping_add(offset).wrapping_add(r * V::LANES))
        };
        // One sum an order: a single one would wait for each multiply-add to finish.
        let mut sums = [[v.splat(T::ZERO); R]; J];
        if span.border.as_ref().is_none_or(|border| border.centre) {
            for n in (0..J).step_by(2) {
                let tap = self.tap(v, 0, first + n);
                for r in 0..R {
                    sums[n][r] = v.mul_add(load(n, 0, r), tap, sums[n][r]);
                }
            }
        }
        // Offsets wrap: the one before the centre is negative.
        let (mut after, mut before) = (0, 0usize);
        for t in 1..=span.both {
            (after, before) = (after + step, before.wrapping_sub(step));
            for n in 0..J {
                let tap = self.tap(v, t, first + n);
                for r in 0..R {
                    let (after, before) = (load(n, after, r), load(n, before, r));
                    let folded = if n % 2 == 0 { v.add(after, before) } else { v.sub(after, before) };
                    sums[n][r] = v.mul_add(folded, tap, sums[n][r]);
                }
            }
        }
        if let Some(border) = &span.border {
            for t in border.after.clone() {
                for n in 0..J {
                    let tap = self.tap(v, t, first + n);
                    for r in 0..R {
                        sums[n][r] = v.mul_add(load(n, t * step, r), tap, sums[n][r]);
                    }
                }
            }
            for t in border.before.clone() {
                for n in 0..J {
                    let tap = self.tap(v, t, first + n);
                    let tap = if n % 2 == 0 { tap } else { v.sub(v.splat(T::ZERO), tap) };
                    for r in 0..R {
                        sums[n][r] = v.mul_add(load(n, (t * step).wrapping_neg(), r), tap, sums[n][r]);
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
}
