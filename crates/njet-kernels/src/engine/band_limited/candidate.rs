//! Ways to compute one axis with fewer pixels: where the samples stand, and what they cost.
//!
//! Samples stand `spacing` pixels apart, those of the input and those of the output on the same lattice, so that between
//! them every `spacing`-th tap makes a filter. A filter's taps are themselves a smooth function: what
//! interpolates its results between outputs, interpolates it between inputs too, and so the pixels of the input
//! are spread to the samples by the transposed interpolators.

use super::banded::Bands;
use super::errors::{Composite, Errors};
use super::filters::FilterBank;
use super::table::{Signal, Table};
use crate::{Axis, Real};
use std::cell::OnceCell;
use std::rc::Rc;

/// Lengths of interpolators that are tried; even, so that one is symmetric about the middle of two samples.
const TAPS: [usize; 4] = [6, 8, 12, 16];

/// The largest spacing that is tried. Past it the interpolation is most of the work.
const MAX_SPACING: usize = 8;

/// Samples farther apart than σ over this are never enough: a Gaussian's spectrum falls below 1e-3 of its peak only after
/// 3.7/σ radians a pixel, and the samples hold π/spacing.
const LEAST_SIGMA_PER_SPACING: f64 = 1.2;

/// One axis: as it is, or by way of samples.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// The axis of the samples, or the axis itself.
    pub(super) coarse: Axis,
    /// Pixels between samples; 1: the axis itself.
    pub(super) spacing: usize,
    sampling: Option<Sampling>,
    /// Errors nearly as they will be: those of the interpolation of the outputs alone.
    pub(super) estimate: Errors,
    exact: OnceCell<Option<Errors>>,
}

/// How pixels and samples belong together.
#[derive(Debug, Clone)]
struct Sampling {
    table: Rc<Table>,
    /// Input samples before input pixel 0 and its lattice, in pixels: sample 0 stands at `−input_lead`.
    input_lead: isize,
    /// Output sample 0 stands this many pixels before output 0.
    output_lead: usize,
}

impl Candidate {
    /// The axis as it is.
    pub(super) fn whole(axis: &Axis, orders: usize) -> Self {
        let estimate = Errors::none(orders);
        Self { coarse: *axis, spacing: 1, sampling: None, exact: OnceCell::from(Some(estimate.clone())), estimate }
    }

    /// With so many output samples; `None` where an output has no interpolator or no sample sees the image.
    fn new(axis: &Axis, samples: usize, table: &Rc<Table>, orders: usize) -> Option<Self> {
        let spacing = table.spacing;
        let room = ((samples - 1) * spacing).checked_sub((axis.output - 1) * axis.stride)?;
        // As much before the first output as after the last.
        let output_lead = room / 2;
        let mut estimate = Errors::none(orders);
        for o in 0..axis.output {
            let (stencil, _) = table.stencil(place(table, output_lead + o * axis.stride, samples).1)?;
            let largest = |to: &mut [f64], from: &[f64]| to.iter_mut().zip(from).for_each(|(t, f)| *t = t.max(*f));
            largest(&mut estimate.outputs, &stencil.errors);
            largest(&mut estimate.tangents, &stencil.tangent_errors);
        }
        estimate.inputs.clone_from(&estimate.outputs);

        // The lattice in pixels of the input: output sample 0 is over this one.
        let over = axis.radius as isize - axis.pad as isize - output_lead as isize;
        let (step, radius) = (spacing as isize, (axis.radius / spacing) as isize);
        // Input samples, numbered as those of the output: those that interpolate the image, if they are read.
        let margin = (table.taps / 2 - 1) as isize;
        let first = ((-over).div_euclid(step) - margin).max(-radius);
        let last = ((axis.input as isize - 1 - over).div_euclid(step) + 1 + margin).min(samples as isize - 1 + radius);
        if last < first {
            return None;
        }
        let coarse = Axis {
            input: (last - first + 1) as usize,
            output: samples,
            radius: radius as usize,
            stride: 1,
            pad: (radius + first) as usize,
            factor: None,
        };
        let sampling = Sampling { table: Rc::clone(table), input_lead: -(over + first * step), output_lead };
        Some(Self { coarse, spacing, sampling: Some(sampling), estimate, exact: OnceCell::new() })
    }

    /// The interpolators of all outputs from output samples; `None` for the axis as it is.
    pub(super) fn outputs(&self, axis: &Axis) -> Option<Bands> {
        let Sampling { table, output_lead, .. } = self.sampling.as_ref()?;
        let row = |o: usize| {
            let (first, position) = place(table, output_lead + o * axis.stride, self.coarse.output);
            Some((first, table.weights(position)?))
        };
        Some(Bands { sources: self.coarse.output, rows: (0..axis.output).map(row).collect::<Option<_>>()? })
    }

    /// The interpolators of all pixels of the input from input samples, those that are not read left out.
    pub(super) fn pixels(&self, axis: &Axis) -> Option<Bands> {
        let Sampling { table, input_lead, .. } = self.sampling.as_ref()?;
        let (spacing, sources) = (self.spacing as isize, self.coarse.input as isize);
        let row = |t: usize| {
            let at = t as isize + input_lead;
            let first = at.div_euclid(spacing) - (table.taps as isize / 2 - 1);
            let weights = table.weights((at - first * spacing) as usize)?;
            let start = first.clamp(0, sources);
            let inside = weights.into_iter().skip((start - first).max(0) as usize);
            Some((start as usize, inside.take((sources - start) as usize).collect()))
        };
        Some(Bands { sources: self.coarse.input, rows: (0..axis.input).map(row).collect::<Option<_>>()? })
    }

    /// Computed when first asked for; `None` where something cannot be interpolated.
    pub(super) fn exact(&self, axis: &Axis, filters: &FilterBank, tangents: Option<&FilterBank>) -> Option<&Errors> {
        let exact = self.exact.get_or_init(|| {
            let (pixels, outputs) = (&self.pixels(axis)?, &self.outputs(axis)?);
            let composite = Composite { axis, coarse: &self.coarse, spacing: self.spacing, pixels, outputs };
            Some(composite.errors(filters, tangents))
        });
        exact.as_ref()
    }

    /// Every `spacing`-th of taps `[orders, 2R + 1]`, the centre among them.
    pub(super) fn taps<T: Real>(&self, axis: &Axis, taps: &[T]) -> Vec<T> {
        let thin = |row: &[T]| row.iter().copied().skip(axis.radius % self.spacing).step_by(self.spacing).collect();
        taps.chunks_exact(axis.taps()).flat_map(|row| -> Vec<T> { thin(row) }).collect()
    }

    /// Weights of an interpolator; 0 for the axis as it is.
    pub(super) fn interpolator(&self) -> usize {
        self.sampling.as_ref().map_or(0, |sampling| sampling.table.taps)
    }
}

/// For a position in pixels after the first of `samples`: the first sample of its interpolator, and the position after
/// that one. In the middle, but at the border.
fn place(table: &Table, at: usize, samples: usize) -> (usize, usize) {
    let first = (at / table.spacing).saturating_sub(table.taps / 2 - 1).min(samples - table.taps);
    (first, at - first * table.spacing)
}

/// The candidates of an axis with samples `spacing` apart, fewest samples first; each is nearer to the filters than those
/// before it.
pub(super) fn with_spacing(
    axis: &Axis,
    filters: &FilterBank,
    tangents: Option<&FilterBank>,
    tables: &[Rc<Table>],
    spacing: usize,
) -> Vec<Candidate> {
    let fewest = ((axis.output - 1) * axis.stride).div_ceil(spacing) + 1;
    // With one more every interpolator would be in the middle of its samples anyway.
    let most = |table: &Table| fewest + table.taps;
    let mut found: Vec<(f64, Candidate)> = Vec::new();
    for samples in fewest..tables.iter().map(|table| most(table)).max().unwrap_or(0) {
        let fitting = tables.iter().filter(|table| table.taps <= samples && samples < most(table));
        let best = fitting
            .filter_map(|table| Candidate::new(axis, samples, table, filters.orders()))
            .map(|candidate| {
                let tangents = tangents.map_or(0.0, |bank| bank.worst(&candidate.estimate.tangents));
                (filters.worst(&candidate.estimate.outputs) + tangents, candidate)
            })
            .min_by(|a, b| a.0.total_cmp(&b.0));
        if let Some(best) = best
            && found.last().is_none_or(|last| best.0 < last.0)
        {
            found.push(best);
        }
    }
    found.into_iter().map(|(_, candidate)| candidate).collect()
}

/// The interpolators of every length from samples `spacing` apart.
pub(super) fn tables(signal: &Signal<'_>, spacing: usize, worst: f64) -> Vec<Rc<Table>> {
    TAPS.map(|taps| Rc::new(Table::new(signal, spacing, taps, worst))).into()
}

/// The largest spacing worth a trial.
pub(super) fn largest_spacing(filters: &FilterBank) -> usize {
    // NaN gives 0, infinity is cut.
    ((filters.spread() / LEAST_SIGMA_PER_SPACING) as usize).clamp(1, MAX_SPACING)
}

/// The longest lag that the interpolators need.
pub(super) fn lags(spacing: usize) -> usize {
    (TAPS[TAPS.len() - 1] - 1) * spacing
}
