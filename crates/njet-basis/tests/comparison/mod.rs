//! Comparison of arrays with an explicit tolerance.

#![allow(dead_code)] // each test binary uses its own part

use njet_basis::{Discretisation, TapSpec, Taps};

/// Asserts |got − want| ≤ `tolerance`·max|want| everywhere, and reports the worst index otherwise. NaN never passes.
///
/// The scale is that of the whole array: taps fall to nothing at their ends, and what counts there is their share of
/// the filter.
#[track_caller]
pub fn assert_close(what: &str, got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}: lengths differ");
    let scale = want.iter().fold(0.0_f64, |scale, value| scale.max(value.abs()));
    let errors = got.iter().zip(want).map(|(g, w)| (g - w).abs());
    let (worst, error) = errors.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).expect("arrays are not empty");
    assert!(
        error <= tolerance * scale,
        "{what}: worst at [{worst}]: got {:e}, want {:e}, error {error:e} > {tolerance:e} of {scale:e}",
        got[worst],
        want[worst],
    );
}

pub fn taps(sigma: f64, extent: f64, order: usize, discretisation: Discretisation) -> Taps {
    Taps::new(&TapSpec::new(sigma, extent, order).with_discretisation(discretisation)).expect("the spec is valid")
}
