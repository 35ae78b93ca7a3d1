//! The two inner loops of the engine: 1-D filters over a line of samples.
//!
//! - [`Bank::analyse`]: one line in, one filtered line out for each order: the responses.
//! - [`Bank::synthesise`]: one line in for each order, the sum of the filtered lines out: the adjoint.
//!
//! Both work on blocks of [`LANES`] neighbouring outputs held in registers, and both fold the taps:
//! even orders are symmetric and odd ones antisymmetric, so two samples at equal distance from the
//! centre are added (or subtracted) first and multiplied once. `step` is the distance between the
//! samples that neighbouring taps read: 1 along x, the row pitch along y. Along y a whole plane is
//! one long line, so narrow images lose nothing to ragged row ends.
//!
//! Sources are read in whole blocks: they must be [`LANES`] elements longer than the last output needs.

use crate::Real;

/// Outputs computed together: two AVX2 registers or one AVX-512 register of f32.
pub(super) const LANES: usize = 16;

/// Orders filtered in one pass. Four accumulators of two registers, the two folded samples and a tap
/// fit the sixteen registers of AVX2; more would spill.
const PASS: usize = 4;

/// Runs a pass over the orders, [`PASS`] at a time.
macro_rules! in_passes {
    ($bank:ident.$pass:ident($line:ident, $orders:ident, $start:ident, $out:ident)) => {
        for first in (0..$orders).step_by(PASS) {
            match $orders - first {
                1 => $bank.$pass::<1, FUSED>($line, first, std::array::from_fn(|n| $start(first + n)), $out),
                2 => $bank.$pass::<2, FUSED>($line, first, std::array::from_fn(|n| $start(first + n)), $out),
                3 => $bank.$pass::<3, FUSED>($line, first, std::array::from_fn(|n| $start(first + n)), $out),
                _ => $bank.$pass::<PASS, FUSED>($line, first, std::array::from_fn(|n| $start(first + n)), $out),
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

    #[inline(always)]
    fn taps<const J: usize>(&self, t: usize, first: usize) -> &[T; J] {
        let at = t * self.orders + first;
        self.half[at..at + J].try_into().expect("a slice of J elements")
    }

    /// `out[start(n) + x] = Σ_t g_n(t) · source[x + (R + t) · step]` for `n < orders`, `x < len`.
    #[inline(always)]
    pub(super) fn analyse<const FUSED: bool>(
        &self,
        line: Line<'_, T>,
        orders: usize,
        start: impl Fn(usize) -> usize,
        out: &mut [T],
    ) {
        in_passes!(self.analyse_pass(line, orders, start, out));
    }

    #[inline(always)]
    fn analyse_pass<const J: usize, const FUSED: bool>(
        &self,
        Line { source, step, len }: Line<'_, T>,
        first: usize,
        starts: [usize; J],
        out: &mut [T],
    ) {
        for x in (0..len).step_by(LANES) {
            let mut sums = [[T::ZERO; LANES]; J];
            let centre = load(source, x + self.radius * step);
            let taps = self.taps::<J>(0, first);
            for n in (0..J).step_by(2) {
                accumulate::<T, FUSED>(&mut sums[n], &centre, taps[n]);
            }
            for t in 1..=self.radius {
                let (even, odd) = fold(source, x + self.radius * step, t * step);
                let taps = self.taps::<J>(t, first);
                for n in 0..J {
                    accumulate::<T, FUSED>(&mut sums[n], if n % 2 == 0 { &even } else { &odd }, taps[n]);
                }
            }
            for n in 0..J {
                store(out, starts[n] + x, &sums[n], len - x);
            }
        }
    }

    /// `out[x] = Σ_n Σ_t g_n(t) · source[start(n) + x + (R + t) · step]` for `n < orders`, `x < len`.
    #[inline(always)]
    pub(super) fn synthesise<const FUSED: bool>(
        &self,
        line: Line<'_, T>,
        orders: usize,
        start: impl Fn(usize) -> usize,
        out: &mut [T],
    ) {
        in_passes!(self.synthesise_pass(line, orders, start, out));
    }

    #[inline(always)]
    fn synthesise_pass<const J: usize, const FUSED: bool>(
        &self,
        Line { source, step, len }: Line<'_, T>,
        first: usize,
        starts: [usize; J],
        out: &mut [T],
    ) {
        for x in (0..len).step_by(LANES) {
            // One sum an order: a single one would wait for each multiply-add to finish.
            let mut sums = [[T::ZERO; LANES]; J];
            let taps = self.taps::<J>(0, first);
            for n in (0..J).step_by(2) {
                let centre = load(source, starts[n] + x + self.radius * step);
                accumulate::<T, FUSED>(&mut sums[n], &centre, taps[n]);
            }
            for t in 1..=self.radius {
                let taps = self.taps::<J>(t, first);
                for n in 0..J {
                    let (even, odd) = fold(source, starts[n] + x + self.radius * step, t * step);
                    accumulate::<T, FUSED>(&mut sums[n], if n % 2 == 0 { &even } else { &odd }, taps[n]);
                }
            }
            let mut total = sums[0];
            for sum in &sums[1..] {
                for l in 0..LANES {
                    total[l] += sum[l];
                }
            }
            if first > 0 {
                for (l, &before) in out[x..len.min(x + LANES)].iter().enumerate() {
                    total[l] += before;
                }
            }
            store(out, x, &total, len - x);
        }
    }
}

/// A line of samples: `len` outputs are computed, the taps of each `step` elements apart.
#[derive(Clone, Copy)]
pub(super) struct Line<'a, T> {
    pub(super) source: &'a [T],
    pub(super) step: usize,
    pub(super) len: usize,
}

#[inline(always)]
fn load<T: Real>(source: &[T], at: usize) -> [T; LANES] {
    source[at..at + LANES].try_into().expect("a slice of LANES elements")
}

/// Writes the first `room` lanes, all where there is room for all.
#[inline(always)]
fn store<T: Real>(out: &mut [T], at: usize, lanes: &[T; LANES], room: usize) {
    if room >= LANES {
        out[at..at + LANES].copy_from_slice(lanes);
    } else {
        out[at..at + room].copy_from_slice(&lanes[..room]);
    }
}

/// Sum and difference of the samples `distance` after and before the centre.
#[inline(always)]
fn fold<T: Real>(source: &[T], centre: usize, distance: usize) -> ([T; LANES], [T; LANES]) {
    let after = load(source, centre + distance);
    let before = load(source, centre - distance);
    let mut even = after;
    let mut odd = after;
    for l in 0..LANES {
        even[l] = after[l] + before[l];
        odd[l] = after[l] - before[l];
    }
    (even, odd)
}

#[inline(always)]
fn accumulate<T: Real, const FUSED: bool>(sums: &mut [T; LANES], samples: &[T; LANES], tap: T) {
    for l in 0..LANES {
        sums[l] = samples[l].multiply_add::<FUSED>(tap, sums[l]);
    }
}
