//! Layers of large σ on a coarser lattice, and interpolation to the pixels.
//!
//! Filters cut at about five σ or beyond let next to nothing pass above 5/σ radians a pixel. So samples of the output
//! some pixels apart determine the rest; and since a filter's taps are as smooth along the input as along the
//! output, the pixels of the input can be spread to samples by the same interpolators, transposed. Between the two stands
//! a layer with every second or third tap on an image with a fourth or a ninth of the pixels: for a layer of
//! twice the σ, that of half of it again.
//!
//! Zeros around the image are part of the signal: what the filters make of it is as smooth at the border and beyond as
//! inside, and some samples stand outside the image. How many output samples do so is part of the choice:
//! fewer are cheaper, and the interpolators at the border then one-sided and less exact.
//!
//! Nothing relies on the taps being a Gaussian's. Interpolators are fitted to given taps by least squares;
//! then the composite of everything along an axis is compared with each filter, for every output and every input, and
//! the sum of the absolute differences bounds the error whatever the image. Together with the coefficients α
//! that gives a bound for the layer (`sums`); the plan is the cheapest whose bound is within the tolerance. Cut at two σ, the
//! filters jump by a tenth of their peak at their ends, which no samples can reproduce: no spacing passes.
//!
//! | | |
//! |---|---|
//! | `filters` | the taps in f64, norms and products |
//! | `table` | interpolators for every position between and beside samples |
//! | `candidate` | samples of one axis |
//! | `errors` | the composite of one axis against its filters |
//! | `sums` | α's part of the error |
//! | `plan` | the choice |
//! | `banded`, `run` | the evaluation |

mod banded;
mod candidate;
mod errors;
mod filters;
mod plan;
mod run;
mod sums;
mod table;

use super::Options;
use crate::{Backward, Forward, Geometry, Gradients, KernelError, Real};
use plan::BandPlan;
use run::Run;

/// A tolerance for [`Options::band_limit`], within reach of filters cut at five σ up to order 2.
pub const DEFAULT_BAND_TOLERANCE: f64 = 1e-5;

/// Pixels of the input between the samples that [`forward`](super::forward) works on along y and x under `options`.
/// `[1, 1]`: the pass is the ordinary one. See [`Options::band_limit`].
///
/// # Errors
/// A slice whose length is not that of its shape.
///
/// ```
/// use njet_kernels::{AxisConfig, Forward, Geometry, GeometryConfig, Taps, engine};
///
/// // A blur of σ = 8 pixels, cut at six σ.
/// let gaussian: Vec<f64> = (-49..=49).map(|t| (-0.5 * f64::from(t * t) / 64.0).exp() / 20.053).collect();
/// let axis = AxisConfig { input: 128, radius: 49, stride: 1, padding: (49, 49) };
/// let geometry = Geometry::new(GeometryConfig {
///     batch: 1, channels_in: 8, channels_out: 8, groups: 1, order: 0, y: axis, x: axis,
/// })?;
/// let taps = Taps { y: &gaussian[..], x: &gaussian };
/// let call = Forward { taps, alpha: &[1.0; 64], bias: None, x: &vec![1.0; geometry.input_len()] };
/// let options = engine::Options { band_limit: Some(engine::DEFAULT_BAND_TOLERANCE), ..Default::default() };
/// assert!(engine::band_step(&geometry, &call, options)?[0] > 1);
/// assert_eq!(engine::band_step(&geometry, &call, engine::Options::default())?, [1, 1]);
/// # Ok::<(), njet_kernels::KernelError>(())
/// ```
pub fn band_step<T: Real>(
    geometry: &Geometry,
    call: &Forward<'_, T>,
    options: Options,
) -> Result<[usize; 2], KernelError> {
    call.check(geometry)?;
    let plan = options.band_limit.and_then(|tolerance| BandPlan::forward(geometry, call, tolerance));
    Ok(plan.map_or([1, 1], |plan| plan.spacing()))
}

/// As [`band_step`], for [`backward`](super::backward). More is asked of it, so the samples may be closer together.
///
/// # Errors
/// A slice whose length is not that of its shape; the gradient of σ without `d_taps`.
pub fn band_step_backward<T: Real>(
    geometry: &Geometry,
    call: &Backward<'_, T>,
    options: Options,
) -> Result<[usize; 2], KernelError> {
    call.check(geometry)?;
    let plan = options.band_limit.and_then(|tolerance| BandPlan::backward(geometry, call, tolerance));
    Ok(plan.map_or([1, 1], |plan| plan.spacing()))
}

/// A checked forward pass, where a plan keeps the tolerance.
pub(super) fn forward<T: Real>(
    geometry: &Geometry,
    call: &Forward<'_, T>,
    options: Options,
) -> Option<Result<Vec<T>, KernelError>> {
    let plan = BandPlan::forward(geometry, call, options.band_limit?)?;
    Some(Run::new(geometry, &plan, call.taps, options).forward(call))
}

/// A checked backward pass, where a plan keeps the tolerance; the gradient of the bias is left out.
pub(super) fn backward<T: Real>(
    geometry: &Geometry,
    call: &Backward<'_, T>,
    options: Options,
) -> Option<Result<Gradients<T>, KernelError>> {
    let plan = BandPlan::backward(geometry, call, options.band_limit?)?;
    Some(Run::new(geometry, &plan, call.taps, options).backward(call))
}
