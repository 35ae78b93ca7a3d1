//! Taps of outputs between pixels.

use njet_basis::{BasisError, Discretisation, ShiftedTaps, TapSpec, Taps};
use proptest::prelude::*;

const KINDS: [Discretisation; 3] =
    [Discretisation::NormalizedSampled, Discretisation::Sampled, Discretisation::Integrated];

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |m: f64, v| m.max(v.abs()))
}

fn differ(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    largest(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>())
}

#[test]
fn at_a_pixel_they_are_the_taps() {
    for discretisation in KINDS {
        for (sigma, extent, order, gamma) in [(0.4, 4.0, 2, 1.0), (1.0, 2.0, 4, 0.5), (3.3, 5.0, 10, 1.0)] {
            let spec = TapSpec::new(sigma, extent, order).with_discretisation(discretisation).with_gamma(gamma);
            let (taps, shifted) = (Taps::new(&spec).unwrap(), ShiftedTaps::new(&spec, spec.radius(), 0.0).unwrap());
            let scale = largest(taps.values());
            assert!(differ(taps.values(), shifted.values()) <= 1e-13 * scale, "{spec:?}");
            let scale = largest(taps.d_sigma_values());
            assert!(differ(taps.d_sigma_values(), shifted.d_sigma_values()) <= 1e-12 * scale, "{spec:?}");
        }
    }
}

#[test]
fn a_whole_pixel_moves_the_window() {
    for discretisation in [Discretisation::Sampled, Discretisation::Integrated] {
        let spec = TapSpec::new(1.2, 4.0, 3).with_discretisation(discretisation);
        let (left, right) = (ShiftedTaps::new(&spec, 6, -0.5).unwrap(), ShiftedTaps::new(&spec, 6, 0.5).unwrap());
        for n in 0..=3 {
            assert!(differ(&left.order(n)[..12], &right.order(n)[1..]) < 1e-14, "{discretisation} {n}");
        }
    }
}

proptest! {
    #[test]
    fn derivatives_are_those_of_the_taps(
        kind in prop::sample::select(KINDS.to_vec()),
        sigma in 0.4..4.0f64,
        extent in 1.5..5.0f64,
        order in 0usize..=6,
        offset in -0.5..=0.5f64,
        gamma in prop::sample::select(vec![1.0, 0.7]),
    ) {
        let spec = TapSpec::new(sigma, extent, order).with_discretisation(kind).with_gamma(gamma);
        let radius = spec.radius();
        let at = |sigma: f64, offset: f64| ShiftedTaps::new(&TapSpec { sigma, ..spec }, radius, offset).unwrap();
        let taps = at(sigma, offset);
        let h = 1e-3 * sigma;
        // Four points: the error of the step is of fourth order.
        let slope = |at: &dyn Fn(f64) -> Vec<f64>| -> Vec<f64> {
            let [a, b, c, d] = [1.0, -1.0, 2.0, -2.0].map(|k| at(k * h));
            (0..a.len()).map(|i| (8.0 * (a[i] - b[i]) - (c[i] - d[i])) / (12.0 * h)).collect()
        };
        let by_sigma = slope(&|step| at(sigma + step, offset).values().to_vec());
        let by_offset = slope(&|step| at(sigma, offset + step).values().to_vec());
        prop_assert!(differ(&by_sigma, taps.d_sigma_values()) <= 1e-7 * largest(&by_sigma));
        prop_assert!(differ(&by_offset, taps.d_offset_values()) <= 1e-7 * largest(&by_offset));
        if kind == Discretisation::NormalizedSampled {
            prop_assert!((taps.order(0).iter().sum::<f64>() - 1.0).abs() < 1e-13);
        }
    }
}

#[test]
fn what_cannot_be_shifted_is_refused() {
    let spec = TapSpec::new(1.0, 4.0, 2);
    let discrete = spec.with_discretisation(Discretisation::DiscreteAnalogue);
    assert_eq!(ShiftedTaps::new(&discrete, 5, 0.25), Err(BasisError::BetweenPixels));
    let message = BasisError::BetweenPixels.to_string();
    assert!(message.contains("discrete-analogue") && message.contains("normalized-sampled"), "{message}");
    assert!(matches!(ShiftedTaps::new(&spec, 5, 1.5), Err(BasisError::Offset { .. })));
    assert!(matches!(ShiftedTaps::new(&spec, 5, f64::NAN), Err(BasisError::Offset { .. })));
    assert!(matches!(ShiftedTaps::new(&spec, 0, 0.0), Err(BasisError::Radius { .. })));
}
