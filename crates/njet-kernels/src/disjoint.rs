//! One output array, written by several threads in parts that do not overlap.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;

/// A new array that is filled in disjoint parts: no pass over memory to clear it first.
#[derive(Debug)]
pub(crate) struct Filling<T>(Vec<T>);

impl<T: Copy + Send> Filling<T> {
    pub(crate) fn new(len: usize) -> Self {
        Self(Vec::with_capacity(len))
    }

    pub(crate) fn parts(&mut self, len: usize) -> Disjoint<'_, T> {
        Disjoint::new(&mut self.0.spare_capacity_mut()[..len])
    }

    /// # Safety
    /// The first `len` elements have been written.
    pub(crate) unsafe fn finish(mut self, len: usize) -> Vec<T> {
        assert!(len <= self.0.capacity());
        // SAFETY: there is room, and the caller says that they are written.
        unsafe { self.0.set_len(len) };
        self.0
    }
}

/// A slice, perhaps not yet written, that is lent out in disjoint parts.
#[derive(Debug)]
pub(crate) struct Disjoint<'a, T> {
    pointer: *mut T,
    len: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: it is a `&mut [T]` whose parts are handed to threads; who takes a part promises that no
// other thread has it (see `part`), and `T: Send` lets the part cross threads.
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}

impl<'a, T> Disjoint<'a, T> {
    pub(crate) fn new(slice: &'a mut [MaybeUninit<T>]) -> Self {
        Self { pointer: slice.as_mut_ptr().cast(), len: slice.len(), borrow: PhantomData }
    }

    /// # Safety
    /// No two parts that live at the same time overlap.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &mut [MaybeUninit<T>] {
        assert!(range.start <= range.end && range.end <= self.len, "part {range:?} of {}", self.len);
        // SAFETY: inside the slice by the assertion, borrowed once by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.add(range.start).cast(), range.len()) }
    }

    /// The elements from `start` on: where, and how many. Who writes there sees to it that no other
    /// thread does.
    pub(crate) fn from(&self, start: usize) -> (*mut T, usize) {
        assert!(start <= self.len, "element {start} of {}", self.len);
        (self.pointer.wrapping_add(start), self.len - start)
    }
}

/// A slice that will only be written. Nothing may be written to it that is not initialised.
pub(crate) fn as_uninit<T: Copy>(slice: &mut [T]) -> &mut [MaybeUninit<T>] {
    // SAFETY: the same size and alignment; the callers, all in this crate, write values only.
    unsafe { std::slice::from_raw_parts_mut(slice.as_mut_ptr().cast(), slice.len()) }
}
