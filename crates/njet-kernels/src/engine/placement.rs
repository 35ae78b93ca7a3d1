//! How one axis of a grid becomes one axis of another, in either direction.
//!
//! | direction | source → result | sample `i` in slot | centre tap of result 0 over slot | taps |
//! |---|---|---|---|---|
//! | forward | input → output | `i` | `R − pad` | as they are |
//! | adjoint | output → input | `i · stride` | `pad − R` | read backwards |
//!
//! Slots are neighbouring input pixels; those between samples hold zero. So padding, stride, border
//! and the adjoint of all three are one piece of code.

use super::fir::Bank;
use super::line::Line;
use crate::simd::STRIP;
use crate::{Axis, Real, Taps};
use std::ops::Range;

/// One axis in one direction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placement {
    /// Samples of the source.
    pub(super) source: usize,
    /// Slots between neighbouring samples.
    pub(super) spread: usize,
    /// Results.
    pub(super) result: usize,
    /// Slots between neighbouring results.
    pub(super) keep: usize,
    /// The slot under the centre tap of result 0.
    centre: isize,
}

impl Placement {
    fn forward(axis: &Axis) -> Self {
        let centre = axis.radius as isize - axis.pad as isize;
        Self { source: axis.input, spread: 1, result: axis.output, keep: axis.stride, centre }
    }

    fn adjoint(axis: &Axis) -> Self {
        let centre = axis.pad as isize - axis.radius as isize;
        Self { source: axis.output, spread: axis.stride, result: axis.input, keep: 1, centre }
    }

    /// Slots from the first sample to the last.
    pub(super) fn slots(&self) -> usize {
        (self.source - 1) * self.spread + 1
    }

    /// Results of a line before those that fall between are dropped.
    pub(super) fn dense(&self) -> usize {
        (self.result - 1) * self.keep + 1
    }

    /// The slot under the centre tap of a result; it may lie beyond the slots.
    pub(super) fn over(&self, result: usize) -> isize {
        self.centre + (result * self.keep) as isize
    }

    /// The slots that the results `wanted` read with taps of `radius`.
    pub(super) fn read(&self, wanted: &Range<usize>, radius: usize) -> Range<usize> {
        let radius = radius as isize;
        let clip = |slot: isize| slot.clamp(0, self.slots() as isize) as usize;
        let start = clip(self.over(wanted.start) - radius);
        start..clip(self.over(wanted.end - 1) + radius + 1).max(start)
    }

    /// The line of slots `slots`, each `step` elements wide, for `len` outputs from result `first` on.
    pub(super) fn line(&self, slots: &Range<usize>, first: usize, step: usize, len: usize) -> Line {
        let centre = self.over(first) - slots.start as isize;
        Line { step, samples: slots.len(), centre, len }
    }

    /// The same with `border` slots of zeros before the first and after the last.
    pub(super) fn bordered(&self, slots: &Range<usize>, border: usize, first: usize, step: usize, len: usize) -> Line {
        let line = self.line(slots, first, step, len);
        Line { samples: line.samples + 2 * border, centre: line.centre + border as isize, ..line }
    }

    /// Zeros before and after the slots such that every tap of every result meets a slot or a zero.
    pub(super) fn margin(&self, radius: usize) -> usize {
        let radius = radius as isize;
        let before = radius - self.over(0);
        let after = self.over(self.result - 1) + radius + 1 - self.slots() as isize;
        before.max(after).max(0) as usize
    }

    /// The line of all slots between margins of zeros, for the results before those between are dropped.
    pub(super) fn padded(&self, margin: usize) -> Line {
        let centre = self.over(0) + margin as isize;
        Line { step: 1, samples: self.slots() + 2 * margin, centre, len: self.dense() }
    }

    /// Lays one row of samples into slots.
    #[inline(always)]
    pub(super) fn lay<T: Real>(&self, samples: &[T], slots: &mut [T]) {
        if self.spread == 1 {
            copy(samples, slots);
        } else {
            slots.fill(T::ZERO);
            for (slot, &sample) in slots.iter_mut().step_by(self.spread).zip(samples) {
                *slot = sample;
            }
        }
    }
}

/// `copy_from_slice` for rows of an image, which are short: a call of `memcpy` takes longer than the copying.
#[inline(always)]
fn copy<T: Real>(from: &[T], to: &mut [T]) {
    assert_eq!(from.len(), to.len());
    let (strips, rest) = from.as_chunks::<STRIP>();
    let (strips_to, rest_to) = to.as_chunks_mut::<STRIP>();
    strips.iter().zip(strips_to).for_each(|(from, to)| *to = *from);
    rest.iter().zip(rest_to).for_each(|(from, to)| *to = *from);
}

/// See [`Direction::border`]: with 17 rows a backward pass of 64→64@64 took 3 % more.
const MOST_BORDER: usize = 9;

/// The filters of a layer in one direction.
#[derive(Debug, Clone)]
pub(super) struct Direction<T> {
    pub(super) order: usize,
    pub(super) y: Placement,
    pub(super) x: Placement,
    pub(super) taps_y: Bank<T>,
    pub(super) taps_x: Bank<T>,
}

impl<T: Real> Direction<T> {
    /// Rows of zeros to keep above and below the planes that are filtered along y: then every strip meets all taps, and
    /// one loop does them all. None where rows are apart, where more than a fifth of the work would be with zeros, or where the
    /// taps are so many that a loop is the least of it.
    pub(super) fn border(&self) -> usize {
        let radius = self.taps_y.radius();
        let rows = self.y.margin(radius);
        let plain = self.y.spread == 1 && self.y.keep == 1 && rows <= MOST_BORDER;
        if plain && 5 * rows * (rows + 1) <= self.y.result * (2 * radius + 1) { rows } else { 0 }
    }

    /// From the input to the output; of the taps `dead` (along y, along x) are left out at each end.
    pub(super) fn forward(order: usize, y: &Axis, x: &Axis, taps: Taps<'_, T>, dead: [usize; 2]) -> Self {
        Self {
            order,
            y: Placement::forward(y),
            x: Placement::forward(x),
            taps_y: Bank::new(taps.y, order + 1, dead[0]),
            taps_x: Bank::new(taps.x, order + 1, dead[1]),
        }
    }

    /// The adjoint of `self`, which goes from the input to the output of the same axes.
    pub(super) fn adjoint(&self, y: &Axis, x: &Axis) -> Self {
        Self {
            order: self.order,
            y: Placement::adjoint(y),
            x: Placement::adjoint(x),
            taps_y: self.taps_y.flipped(),
            taps_x: self.taps_x.flipped(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AxisConfig, Geometry, GeometryConfig};

    fn border(input: usize, radius: usize, stride: usize) -> usize {
        let axis = AxisConfig { input, radius, stride, padding: (radius, radius) };
        let geometry = Geometry::new(GeometryConfig {
            batch: 1,
            channels_in: 1,
            channels_out: 1,
            groups: 1,
            order: 0,
            y: axis,
            x: axis,
        });
        let Geometry { y, x, .. } = geometry.unwrap();
        let taps = vec![1.0; 2 * radius + 1];
        Direction::forward(0, &y, &x, Taps { y: &taps[..], x: &taps[..] }, [0, 0]).border()
    }

    /// Few rows of zeros beside the image's: 12 and 30 of the 112 and 176 taps of a column meet one. At 7 rows it would be
    /// 12 of 49, and with a stride the rows of one strip are not beside those of the next.
    #[test]
    fn borders_are_kept_where_they_cost_little() {
        assert_eq!([border(16, 3, 1), border(16, 5, 1), border(64, 9, 1)], [3, 5, 9]);
        assert_eq!([border(7, 3, 1), border(16, 3, 2), border(100, 17, 1)], [0, 0, 0]);
    }
}
