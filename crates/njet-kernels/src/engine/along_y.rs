//! The second half of a depthwise layer: along y, with the orders already summed.

use super::asymmetric::Mixture;
use super::line::Rows;
use super::placement::Direction;
use super::plane::{Stages, with_margins};
use super::strips::Strips;
use crate::Real;
use crate::disjoint::as_uninit;
use crate::geometry::jet_index;
use crate::isa::Isa;
use crate::simd::{STRIP, VectorBody, Vectors};
use crate::sum::Dot;
use std::mem::MaybeUninit;

impl<T: Real> Stages<T> {
    /// The plane of the last `analyse_x` filtered along y and summed over the fields, into `out`.
    pub(super) fn gather_y(
        &mut self,
        isa: Isa,
        direction: &Direction<T>,
        mixture: &Mixture<T>,
        out: &mut [MaybeUninit<T>],
    ) {
        T::dispatch(isa, GatherY { stages: self, direction, mixture, out });
    }

    /// `upstream` filtered along y once for each field, where `synthesise_x` and `sigma` find it; with the
    /// tangent's filters too.
    pub(super) fn fan_y(
        &mut self,
        isa: Isa,
        adjoint: &Direction<T>,
        mixture: &Mixture<T>,
        tangent: Option<&Mixture<T>>,
        upstream: &[T],
    ) {
        T::dispatch(isa, FanY { stages: self, adjoint, mixture, tangent, upstream });
    }

    /// Adds `Σ_pixels upstream · response` to each coefficient; the last `analyse_x` was of the plane that
    /// responds. By way of the gradients of the taps along y.
    pub(super) fn by_coefficients(&self, isa: Isa, direction: &Direction<T>, upstream: &[T], alpha: &mut [f64]) {
        let (y, width, orders) = (&direction.y, direction.x.result, direction.order + 1);
        let radius = direction.taps_y.radius() as isize;
        let slots = self.slots();
        let field = slots.len() * width + STRIP;
        for t in -radius..=radius {
            // The results whose tap `t` meets a slot.
            let met = |row: usize| slots.contains(&usize::try_from(y.over(row) + t).unwrap_or(usize::MAX));
            let first = (0..y.result).find(|&row| met(row)).unwrap_or(y.result);
            let count = (first..y.result).take_while(|&row| met(row)).count();
            // Neighbouring rows together, unless a stride parts them.
            let (runs, rows) = if y.keep == 1 { (count.min(1), count) } else { (count, 1) };
            for j in 0..orders {
                let by_tap: f64 = (0..runs)
                    .map(|run| {
                        let row = first + run;
                        let slot = (y.over(row) + t) as usize - slots.start;
                        let a = &self.fields()[STRIP + j * field + slot * width..][..rows * width];
                        isa.run(Dot { a, b: &upstream[row * width..][..rows * width] })
                    })
                    .sum();
                for i in 0..orders - j {
                    alpha[jet_index(i, j)] += by_tap * direction.taps_y.value(i, t).to_f64();
                }
            }
        }
    }
}

struct GatherY<'a, T> {
    stages: &'a mut Stages<T>,
    direction: &'a Direction<T>,
    mixture: &'a Mixture<T>,
    out: &'a mut [MaybeUninit<T>],
}

impl<T: Real> VectorBody<T> for GatherY<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vectors<T>, const R: usize>(self, v: V) {
        let Self { stages, direction, mixture, out } = self;
        let (y, width) = (&direction.y, direction.x.result);
        let slots = stages.slots();
        let field = slots.len() * width + STRIP;
        let runs = if y.keep == 1 { 1 } else { y.result };
        let len = y.result * width / runs;
        let (fields, plans) = stages.for_gather();
        for r in 0..runs {
            // What is written past a row's end the next row overwrites.
            let to = Strips::uninit(&mut out[r * len..]);
            let plan = plans.of(y.line(&slots, r, width, len), Rows::ONE, direction.taps_y.radius());
            mixture.gather::<V, R>(v, plan, fields, |j| STRIP + j * field, &to);
        }
    }
}

struct FanY<'a, T> {
    stages: &'a mut Stages<T>,
    adjoint: &'a Direction<T>,
    mixture: &'a Mixture<T>,
    tangent: Option<&'a Mixture<T>>,
    upstream: &'a [T],
}

impl<T: Real> VectorBody<T> for FanY<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vectors<T>, const R: usize>(self, v: V) {
        let Self { stages, adjoint, mixture, tangent, upstream } = self;
        let (y, width, orders) = (&adjoint.y, adjoint.x.source, adjoint.order + 1);
        let (slots, area) = (0..y.slots(), y.slots() * width);
        let ([rows, sums, tangent_sums], plans) = stages.for_fan();
        let rows = rows.room(with_margins(1, area, STRIP));
        rows.fill(T::ZERO);
        for (row, samples) in rows[STRIP..][..area].chunks_mut(y.spread * width).zip(upstream.chunks_exact(width)) {
            row[..width].copy_from_slice(samples);
        }
        let pitch = y.result * width + STRIP;
        let line = y.line(&slots, 0, width, y.result * width);
        let plan = plans.of(line, Rows::ONE, adjoint.taps_y.radius());
        for (mixture, sums) in [(Some(mixture), sums), (tangent, tangent_sums)] {
            if let Some(mixture) = mixture {
                let out = Strips::uninit(as_uninit(sums.room(orders * pitch)));
                mixture.fan::<V, R>(v, plan, rows, STRIP, |j| j * pitch, &out);
            }
        }
    }
}
