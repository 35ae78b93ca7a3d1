//! Where there is no tile unit.

use super::Onto;
use std::convert::Infallible;
use std::marker::PhantomData;

pub(super) fn available() -> bool {
    false
}

#[derive(Debug)]
pub(super) struct Rows(Infallible);

impl Rows {
    pub(super) fn pack(_: usize, _: usize, _: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        unreachable!("`available` says no")
    }

    pub(super) fn of_rows(_: [usize; 2], _: &[f32]) -> Self {
        unreachable!("`available` says no")
    }

    pub(super) fn of_columns(_: [usize; 2], _: &[f32]) -> Self {
        unreachable!("`available` says no")
    }

    pub(super) fn from(&self, _: usize, _: usize) -> Left<'_> {
        match self.0 {}
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Left<'a>(Infallible, PhantomData<&'a ()>);

#[derive(Debug, Clone, Copy)]
pub(super) struct Right<'a>(Infallible, PhantomData<&'a ()>);

impl Right<'_> {
    pub(super) fn at_strip(self, _: usize) -> Self {
        match self.0 {}
    }
}

#[derive(Debug, Default)]
pub(crate) struct Lines;

impl Lines {
    pub(crate) fn trim(&mut self, _: usize) {}
}

pub(super) const FEWEST: usize = usize::MAX;

/// # Safety
/// None needed: never called.
pub(super) unsafe fn round_columns<'a>(_: *const f32, _: [usize; 3], _: &'a mut Lines) -> Right<'a> {
    unreachable!("`available` says no")
}

/// # Safety
/// None needed: never called.
pub(super) unsafe fn round_pixels<'a>(_: *const f32, _: [usize; 3], _: &'a mut Lines) -> Right<'a> {
    unreachable!("`available` says no")
}

#[allow(dead_code)]
pub(super) struct Planes {
    pub(super) at: *const f32,
    pub(super) image: usize,
    pub(super) images: usize,
    pub(super) channels: usize,
    pub(super) pixels: usize,
}

/// # Safety
/// None needed: never called.
pub(super) unsafe fn round_planes(_: Planes, _: &mut Lines) -> Right<'_> {
    unreachable!("`available` says no")
}

/// # Safety
/// None needed: never called.
pub(super) unsafe fn round_planes_of_pixels(_: Planes, _: &mut Lines) -> Right<'_> {
    unreachable!("`available` says no")
}

#[allow(dead_code)]
pub(super) enum Operand<'a> {
    Rounded(Right<'a>),
    Whole(*const f32, usize),
}

#[allow(dead_code)]
pub(super) struct Out<'a> {
    pub(super) to: *mut f32,
    pub(super) pitch: usize,
    pub(super) onto: Onto<'a, f32>,
}

/// # Safety
/// None needed: never called.
pub(super) unsafe fn multiply(left: Left<'_>, _: [usize; 3], _: Operand<'_>, _: Out<'_>) {
    match left.0 {}
}

/// # Safety
/// None needed: never called.
pub(super) unsafe fn multiply_pixels(_: [usize; 3], _: (*const f32, usize), _: Operand<'_>, _: Out<'_>) {
    unreachable!("`available` says no")
}
