//! The two passes by way of the samples.

use super::banded::{Bands, Interpolation};
use super::plan::BandPlan;
use crate::disjoint::Filling;
use crate::engine::{self, Isa, Options};
use crate::{Backward, Forward, Geometry, Gradients, KernelError, Real, Taps, Wanted};
use rayon::prelude::*;

/// A plan with everything that its passes need.
pub(super) struct Run<'a, T> {
    geometry: &'a Geometry,
    plan: &'a BandPlan,
    coarse: Geometry,
    options: Options,
    /// Input pixels from input samples, along y and x,
    pixels: [Option<Bands>; 2],
    /// and outputs from output samples.
    outputs: [Option<Bands>; 2],
    taps_y: Vec<T>,
    taps_x: Vec<T>,
}

impl<'a, T: Real> Run<'a, T> {
    pub(super) fn new(geometry: &'a Geometry, plan: &'a BandPlan, taps: Taps<'_, T>, options: Options) -> Self {
        Self {
            geometry,
            plan,
            coarse: plan.coarse(geometry),
            options: Options { band_limit: None, ..options },
            pixels: [plan.y.pixels(&geometry.y), plan.x.pixels(&geometry.x)],
            outputs: [plan.y.outputs(&geometry.y), plan.x.outputs(&geometry.x)],
            taps_y: plan.y.taps(&geometry.y, taps.y),
            taps_x: plan.x.taps(&geometry.x, taps.x),
        }
    }

    /// The input spread to samples, the layer of the samples, the outputs between them.
    pub(super) fn forward(&self, call: &Forward<'_, T>) -> Result<Vec<T>, KernelError> {
        let x = self.spread(call.x);
        let call_samples = Forward { taps: self.taps(), bias: None, x: &x, ..*call };
        let y = engine::forward(&self.coarse, &call_samples, self.options)?;
        let channels = self.geometry.channels_out();
        let bias = |plane: usize| call.bias.map_or(T::ZERO, |bias| bias[plane % channels]);
        let [samples, whole] = self.output_planes();
        Ok(planes(self.options.isa, &Interpolation::new(matrices(&self.outputs), samples, whole), &y, bias))
    }

    /// The adjoint of every step of [`forward`](Self::forward), the last one first; all but the gradient of the bias.
    pub(super) fn backward(&self, call: &Backward<'_, T>) -> Result<Gradients<T>, KernelError> {
        let none = |_| T::ZERO;
        let [samples, whole] = self.output_planes();
        let x = self.spread(call.x);
        let grad_y = planes(
            self.options.isa,
            &Interpolation::adjoint(matrices(&self.outputs), samples, whole),
            call.grad_y,
            none,
        );
        let d_taps =
            call.d_taps.map(|d| [self.plan.y.taps(&self.geometry.y, d.y), self.plan.x.taps(&self.geometry.x, d.x)]);
        let d_taps = d_taps.as_ref().map(|[y, x]| Taps { y, x });
        let wanted = Wanted { bias: false, ..call.wanted };
        let call = Backward { taps: self.taps(), d_taps, x: &x, grad_y: &grad_y, wanted, ..*call };
        let gradients = engine::backward(&self.coarse, &call, self.options)?;
        let [samples, whole] = self.input_planes();
        let interpolation = Interpolation::new(matrices(&self.pixels), samples, whole);
        Ok(Gradients { x: gradients.x.map(|x| planes(self.options.isa, &interpolation, &x, none)), ..gradients })
    }

    fn taps(&self) -> Taps<'_, T> {
        Taps { y: &self.taps_y, x: &self.taps_x }
    }

    /// The planes of the input at its samples; none where there are none.
    fn spread(&self, x: &[T]) -> Vec<T> {
        let [samples, whole] = self.input_planes();
        planes(self.options.isa, &Interpolation::adjoint(matrices(&self.pixels), samples, whole), x, |_| T::ZERO)
    }

    /// Rows and columns of input samples and pixels.
    fn input_planes(&self) -> [[usize; 2]; 2] {
        [&self.coarse, self.geometry].map(|geometry| [geometry.y.input, geometry.x.input])
    }

    /// Rows and columns of output samples and outputs.
    fn output_planes(&self) -> [[usize; 2]; 2] {
        [&self.coarse, self.geometry].map(|geometry| [geometry.y.output, geometry.x.output])
    }
}

/// Every plane of `from`; `start` of its number is added.
fn planes<T: Real>(
    isa: Isa,
    interpolation: &Interpolation<T>,
    from: &[T],
    start: impl Fn(usize) -> T + Sync,
) -> Vec<T> {
    let [before, after] = interpolation.areas();
    let len = from.len() / before * after;
    let mut filling = Filling::new(len);
    let to = filling.parts(len);
    from.par_chunks_exact(before).enumerate().for_each_init(Vec::new, |between, (number, from)| {
        // SAFETY: the only task with this plane.
        let to = unsafe { to.part(number * after..(number + 1) * after) };
        T::dispatch(isa, interpolation.plane(from, to, start(number), between));
    });
    // SAFETY: every plane has been written.
    unsafe { filling.finish(len) }
}

fn matrices(bands: &[Option<Bands>; 2]) -> [Option<&Bands>; 2] {
    bands.each_ref().map(Option::as_ref)
}
