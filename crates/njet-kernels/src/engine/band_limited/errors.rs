//! What a coarse axis does to each filter, exactly: the composite of both interpolators and the coarse taps against the
//! filter itself, for every output and input.

use super::banded::Bands;
use super::filters::FilterBank;
use crate::Axis;

/// Errors of one axis, order by order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Errors {
    /// The largest over the outputs of Σ|error| over the inputs: the error at inputs of at most 1.
    pub(super) outputs: Vec<f64>,
    /// The largest over the inputs of Σ|error| over the outputs: that of the adjoint.
    pub(super) inputs: Vec<f64>,
    /// As `outputs`, of the derivatives by σ. Zeros where they do not matter.
    pub(super) tangents: Vec<f64>,
}

impl Errors {
    /// Of an axis that is computed as it is.
    pub(super) fn none(orders: usize) -> Self {
        let zeros = vec![0.0; orders];
        Self { outputs: zeros.clone(), inputs: zeros.clone(), tangents: zeros }
    }
}

/// A coarse axis: pixels spread to samples, the filters at every `spacing`-th tap, outputs interpolated.
pub(super) struct Composite<'a> {
    /// The axis itself,
    pub(super) axis: &'a Axis,
    /// and that of the samples.
    pub(super) coarse: &'a Axis,
    pub(super) spacing: usize,
    /// Input pixels from input samples; applied transposed.
    pub(super) pixels: &'a Bands,
    /// Outputs from output samples.
    pub(super) outputs: &'a Bands,
}

impl Composite<'_> {
    pub(super) fn errors(&self, filters: &FilterBank, tangents: Option<&FilterBank>) -> Errors {
        let (outputs, inputs) = self.largest(filters);
        let tangents = tangents.map_or_else(|| vec![0.0; outputs.len()], |bank| self.largest(bank).0);
        Errors { outputs, inputs, tangents }
    }

    /// The largest sums over the inputs and over the outputs.
    fn largest(&self, filters: &FilterBank) -> (Vec<f64>, Vec<f64>) {
        let (axis, coarse) = (self.axis, self.coarse);
        let one = |taps: &[f64]| {
            let coarse_taps: Vec<f64> =
                taps.iter().copied().skip(axis.radius % self.spacing).step_by(self.spacing).collect();
            let mut by_input = vec![0.0; axis.input];
            let mut row = vec![0.0; axis.input];
            let mut samples = vec![0.0; coarse.input];
            let mut largest = 0.0f64;
            for (o, (first, weights)) in self.outputs.rows.iter().enumerate() {
                samples.fill(0.0);
                for (q, &weight) in (*first..).zip(weights) {
                    add_at(&mut samples, q as isize - coarse.pad as isize, &coarse_taps, weight);
                }
                for (value, (first, weights)) in row.iter_mut().zip(&self.pixels.rows) {
                    *value = samples[*first..].iter().zip(weights).map(|(s, w)| s * w).sum();
                }
                add_at(&mut row, (o * axis.stride) as isize - axis.pad as isize, taps, -1.0);
                by_input.iter_mut().zip(&row).for_each(|(sum, off)| *sum += off.abs());
                largest = largest.max(row.iter().map(|off| off.abs()).sum());
            }
            (largest, by_input.into_iter().fold(0.0, f64::max))
        };
        filters.rows().map(one).unzip()
    }
}

/// Adds `factor · taps` to `row` from element `start` on, leaving out what lies outside.
fn add_at(row: &mut [f64], start: isize, taps: &[f64], factor: f64) {
    let skipped = start.min(0).unsigned_abs();
    let from = start.max(0) as usize;
    let (Some(row), Some(taps)) = (row.get_mut(from..), taps.get(skipped..)) else {
        return;
    };
    row.iter_mut().zip(taps).for_each(|(value, tap)| *value += factor * tap);
}
