//! Where filtered lines go.

// Registers are indexed together in several arrays.
#![allow(clippy::needless_range_loop)]

use super::line::Plan;
use crate::Real;
use crate::simd::{STRIP, Vectors};
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// Strips of outputs. `APART`: output `o` goes to element `o % STRIP` of strip `o / STRIP`, the strips stand some
/// distance apart and each has room for all of [`STRIP`]. Else output `o` goes to element `o`; a strip that
/// reaches past the line's end is written in full where the slice has room for it, with nonsense after the
/// line's end.
pub(super) struct Strips<'a, T, const APART: bool> {
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

impl<T: Real, const APART: bool> Strips<'_, T, APART> {
    /// Checks that the strips of `plan` begin inside the slice, and where they are apart also end there.
    #[inline(always)]
    pub(super) fn check(&self, start: usize, plan: &Plan) {
        if let Some(last) = plan.last() {
            let room = if APART { STRIP } else { 1 };
            assert!(self.at(start, last) + room <= self.available, "a filtered line reaches past its slice");
        }
    }

    #[inline(always)]
    fn at(&self, start: usize, o: usize) -> usize {
        if APART { start + o / STRIP * self.pitch } else { start + o }
    }

    /// # Safety
    /// `check(start, plan)` has passed for a plan with a strip at `o`.
    #[inline(always)]
    pub(super) unsafe fn store<V: Vectors<T>, const R: usize>(&self, v: V, start: usize, o: usize, values: &[V::V; R]) {
        let at = self.at(start, o);
        // SAFETY: `check` makes the strip begin inside the slice; where it does not end there, only what does
        // is written.
        unsafe {
            let to = self.to.add(at);
            if APART || self.available - at >= STRIP {
                (0..R).for_each(|r| v.store(to.add(r * V::LANES), values[r]));
            } else {
                let mut strip = [T::ZERO; STRIP];
                (0..R).for_each(|r| v.store(strip.as_mut_ptr().add(r * V::LANES), values[r]));
                to.copy_from_nonoverlapping(strip.as_ptr(), self.available - at);
            }
        }
    }

    /// Stores, or adds to what is there.
    ///
    /// # Safety
    /// As for `store`; if `add`, the strip has been stored before.
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
                let at = self.at(start, o);
                let reach = if APART { STRIP } else { (self.available - at).min(STRIP) };
                let mut before = [T::ZERO; STRIP];
                before.as_mut_ptr().copy_from_nonoverlapping(self.to.add(at), reach);
                (0..R).for_each(|r| values[r] = v.add(values[r], v.load(before.as_ptr().add(r * V::LANES))));
            }
            self.store(v, start, o, &values);
        }
    }

    /// Writes outputs that need not begin with a strip: `values` from output `o` of the line at `start` on.
    #[inline(always)]
    pub(super) fn scatter(&self, start: usize, o: usize, values: &[T]) {
        for (o, &value) in (o..).zip(values) {
            let at = if APART { self.at(start, o) + o % STRIP } else { start + o };
            assert!(at < self.available, "a filtered line reaches past its slice");
            // SAFETY: inside, by the assertion.
            unsafe { self.to.add(at).write(value) };
        }
    }
}
