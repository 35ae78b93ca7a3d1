//! Properties of the taps that hold whatever the formulas that made them.

mod comparison;

use comparison::{assert_close, taps};
use njet_basis::{BasisError, Discretisation, MAX_ORDER, MAX_RADIUS, TapSpec, Taps, hermite, radius};
use proptest::prelude::*;

const ORDERS: std::ops::RangeInclusive<usize> = 0..=MAX_ORDER;

/// (−1)ⁿ.
fn parity(n: usize) -> f64 {
    if n.is_multiple_of(2) { 1.0 } else { -1.0 }
}

proptest! {
    #[test]
    fn normalized_smoothing_taps_sum_to_one(sigma in 0.01..40.0_f64, extent in 0.1..10.0_f64) {
        let sum: f64 = taps(sigma, extent, 0, Discretisation::NormalizedSampled).order(0).iter().sum();
        prop_assert!((sum - 1.0).abs() < 1e-13, "sum {sum}");
    }

    #[test]
    fn normalized_sum_does_not_depend_on_sigma(sigma in 0.01..40.0_f64, extent in 0.1..10.0_f64) {
        let taps = taps(sigma, extent, 0, Discretisation::NormalizedSampled);
        let sum: f64 = taps.d_sigma(0).iter().sum();
        prop_assert!((sum * sigma).abs() < 1e-13, "d(sum)/d(ln sigma) = {}", sum * sigma);
    }

    #[test]
    fn orders_have_exact_parity(sigma in 0.05..20.0_f64, extent in 1.0..6.0_f64) {
        for discretisation in Discretisation::ALL {
            let taps = taps(sigma, extent, MAX_ORDER, discretisation);
            for n in ORDERS {
                let sign = parity(n);
                for row in [taps.order(n), taps.d_sigma(n)] {
                    prop_assert!(row.iter().zip(row.iter().rev()).all(|(a, b)| *a == sign * b), "{discretisation} {n}");
                }
            }
        }
    }

    #[test]
    fn every_scale_gives_finite_taps(log10_sigma in -200.0..1.5_f64) {
        for discretisation in Discretisation::ALL {
            let taps = taps(10_f64.powf(log10_sigma), 4.0, MAX_ORDER, discretisation);
            prop_assert!(taps.values().iter().all(|value| value.is_finite()), "{discretisation}");
            // An unnormalised peak of height 1/σ has a slope that may truly overflow.
            if log10_sigma > -100.0 || discretisation == Discretisation::NormalizedSampled {
                prop_assert!(taps.d_sigma_values().iter().all(|value| value.is_finite()), "{discretisation}");
            }
        }
    }
}

#[test]
fn normalized_taps_are_the_published_formula() {
    for (sigma, extent) in [(0.4, 2.0), (1.0, 2.0), (2.75, 4.0), (10.0, 3.0)] {
        let taps = taps(sigma, extent, MAX_ORDER, Discretisation::NormalizedSampled);
        let r = radius(sigma, extent) as i64;
        let gaussian = |t: i64| (-((t * t) as f64) / (2.0 * sigma * sigma)).exp();
        let sum: f64 = (-r..=r).map(gaussian).sum();
        let mean_square: f64 = (-r..=r).map(|t| (t * t) as f64 * gaussian(t) / sum).sum();
        for n in ORDERS {
            let sign = parity(n);
            let (values, slopes): (Vec<f64>, Vec<f64>) = (-r..=r)
                .map(|t| {
                    let (u, g) = (t as f64 / sigma, gaussian(t) / sum);
                    let dg = g * ((t * t) as f64 - mean_square) / sigma.powi(3);
                    let dhe = if n > 0 { -(u / sigma) * n as f64 * hermite(n - 1, u) } else { 0.0 };
                    (sign * hermite(n, u) * g, sign * (hermite(n, u) * dg + dhe * g))
                })
                .unzip();
            assert_close(&format!("values {n} at {sigma}"), taps.order(n), &values, 1e-13);
            assert_close(&format!("d_sigma {n} at {sigma}"), taps.d_sigma(n), &slopes, 1e-12);
        }
    }
}

/// Σ t^m g_n(t) is 0 for m < n and (−1)ⁿ n! σⁿ for m = n, up to what lies beyond the last tap.
///
/// Errors are relative to Σ |t^m g_n|. What is cut off is measured on taps that reach twice as far.
#[test]
fn moments_are_those_of_the_derivatives_up_to_the_truncation() {
    for discretisation in Discretisation::ALL {
        for sigma in [2.0, 2.3, 2.75, 4.0, 8.0] {
            let wide = taps(sigma, 16.0, MAX_ORDER, discretisation);
            for extent in [8.0, 9.0, 10.0, 11.0, 12.0] {
                let taps = taps(sigma, extent, MAX_ORDER, discretisation);
                for n in ORDERS {
                    for m in 0..=n {
                        let moment = Moment::of(&taps, n, m);
                        let cut_off = Moment::of(&wide, n, m).size - moment.size;
                        let error = (moment.value - moment.wanted).abs();
                        // The analogue is only as accurate as the peak of its order in its far tail, which t^m lifts.
                        let rounding =
                            if discretisation == Discretisation::DiscreteAnalogue { 1e-8 } else { 1e-13 } * moment.size;
                        assert!(
                            error <= cut_off.max(0.0) + rounding,
                            "{discretisation}, sigma {sigma}, extent {extent}: moment {m} of order {n} is {}, not {} \
                             (cut off: {cut_off:e})",
                            moment.value,
                            moment.wanted,
                        );
                    }
                }
            }
        }
    }
}

/// Where the truncation itself falls under 1e-10: the extent has to grow with the order, since the n-th moment of the
/// n-th derivative weighs the tail by u^{2n}.
#[test]
fn moments_reach_1e_10_at_an_extent_that_grows_with_the_order() {
    const EXTENT: [f64; 11] = [8.0, 8.0, 8.0, 8.0, 8.5, 8.5, 9.0, 9.0, 9.5, 9.5, 10.0];
    let sampled = [Discretisation::NormalizedSampled, Discretisation::Sampled, Discretisation::Integrated];
    for discretisation in sampled {
        for sigma in [2.0, 2.3, 2.75, 4.0, 8.0] {
            for (n, &least) in EXTENT.iter().enumerate() {
                for extent in [least, 11.0, 12.0] {
                    let taps = taps(sigma, extent, n, discretisation);
                    for m in 0..=n {
                        let Moment { value, wanted, size } = Moment::of(&taps, n, m);
                        let error = (value - wanted).abs() / size;
                        assert!(error < 1e-10, "{discretisation}, sigma {sigma}, extent {extent}: {m}, {n}: {error:e}");
                    }
                }
            }
        }
    }
}

struct Moment {
    value: f64,
    wanted: f64,
    /// Σ |t^m g_n|, what the sum would be without its cancellation.
    size: f64,
}

impl Moment {
    fn of(taps: &Taps, n: usize, m: usize) -> Self {
        let r = taps.radius() as f64;
        let terms = taps.order(n).iter().enumerate().map(|(i, g)| (i as f64 - r).powi(m as i32) * g);
        let (value, size) = terms.fold((0.0, 0.0), |(value, size), term| (value + term, size + term.abs()));
        let wanted = if m == n { (1..=n).map(|k| -(k as f64) * taps.sigma()).product() } else { 0.0 };
        Self { value, wanted, size }
    }
}

/// Against a fourth-order difference quotient with R held. Its step of σ/2000 leaves errors near 1e-11.
#[test]
fn d_sigma_is_the_slope_of_the_values() {
    for discretisation in Discretisation::ALL {
        for gamma in [1.0, 0.5, 0.0] {
            for sigma in [0.3, 0.7, 1.0, 2.0, 4.3, 8.0] {
                let spec = TapSpec::new(sigma, 4.0, MAX_ORDER).with_discretisation(discretisation).with_gamma(gamma);
                let h = sigma / 2000.0;
                let shifted = |steps: f64| {
                    let shifted = TapSpec { sigma: sigma + steps * h, ..spec };
                    Taps::with_radius(&shifted, spec.radius()).expect("the spec is valid")
                };
                let (taps, stencil) = (shifted(0.0), [-2.0, -1.0, 1.0, 2.0].map(shifted));
                for n in ORDERS {
                    let [a, b, c, d] = stencil.each_ref().map(|taps| taps.order(n));
                    let slope = |i: usize| (a[i] - 8.0 * b[i] + 8.0 * c[i] - d[i]) / (12.0 * h);
                    let slopes: Vec<f64> = (0..taps.side()).map(slope).collect();
                    let what = format!("{discretisation}, gamma {gamma}, sigma {sigma}, order {n}");
                    assert_close(&what, taps.d_sigma(n), &slopes, 1e-9);
                }
            }
        }
    }
}

/// All four are the same filter to O(1/σ²), with a constant that grows with the order.
#[test]
fn discretisations_agree_at_large_scales() {
    for (sigma, tolerance) in [(4.0, 0.012), (16.0, 0.012 / 16.0)] {
        let reference = taps(sigma, 6.0, MAX_ORDER, Discretisation::NormalizedSampled);
        for discretisation in Discretisation::ALL {
            let taps = taps(sigma, 6.0, MAX_ORDER, discretisation);
            for n in ORDERS {
                let what = format!("{discretisation}, sigma {sigma}, order {n}");
                assert_close(&what, taps.order(n), reference.order(n), tolerance * (n + 1) as f64);
            }
        }
    }
}

#[test]
fn first_derivative_rises_before_the_peak() {
    for discretisation in Discretisation::ALL {
        let taps = taps(1.5, 4.0, 2, discretisation);
        let r = taps.radius();
        assert!(taps.order(1)[r - 1] > 0.0 && taps.order(1)[r + 1] < 0.0, "{discretisation}");
        assert!(taps.order(2)[r] < 0.0, "{discretisation}");
    }
}

#[test]
fn integrated_taps_are_the_integral_over_the_pixel() {
    // Midpoint rule with Richardson extrapolation against the samples of the true derivative.
    let sigma = 0.8;
    let taps = taps(sigma, 4.0, MAX_ORDER, Discretisation::Integrated);
    let derivative = |n: usize, t: f64| {
        let u = t / sigma;
        let sign = parity(n);
        sign * hermite(n, u) * (-0.5 * u * u).exp() / (std::f64::consts::TAU.sqrt() * sigma)
    };
    let midpoint = |n: usize, t: f64, cells: usize| {
        let at = |i: usize| t - 0.5 + (i as f64 + 0.5) / cells as f64;
        (0..cells).map(|i| derivative(n, at(i))).sum::<f64>() / cells as f64
    };
    for n in ORDERS {
        let integral = |i: usize| {
            let t = i as f64 - taps.radius() as f64;
            (4.0 * midpoint(n, t, 2000) - midpoint(n, t, 1000)) / 3.0
        };
        let want: Vec<f64> = (0..taps.side()).map(integral).collect();
        assert_close(&format!("order {n}"), taps.order(n), &want, 1e-10);
    }
}

#[test]
fn gamma_scales_each_order() {
    let spec = TapSpec::new(3.0, 4.0, 4);
    let plain = Taps::new(&spec).expect("valid");
    let unscaled = Taps::new(&spec.with_gamma(0.0)).expect("valid");
    for n in 0..=4 {
        let scaled: Vec<f64> = unscaled.order(n).iter().map(|value| value * 3.0_f64.powi(n as i32)).collect();
        assert_close(&format!("order {n}"), &scaled, plain.order(n), 1e-14);
    }
}

#[test]
fn tables_hold_the_orders_in_turn_and_round_to_f32() {
    let taps = taps(1.2, 3.0, 3, Discretisation::Integrated);
    let rows: Vec<f64> = (0..=3).flat_map(|n| taps.order(n).to_vec()).collect();
    assert_eq!(taps.values(), rows);
    assert_eq!(taps.values_as::<f64>(), rows);
    assert_eq!(taps.values_as::<f32>(), rows.iter().map(|&value| value as f32).collect::<Vec<_>>());
    assert_eq!(taps.d_sigma_as::<f64>(), taps.d_sigma_values());
}

#[test]
fn errors_say_what_was_wrong_and_what_is_allowed() {
    let spec = TapSpec::new(2.0, 4.0, 2);
    let message = |spec: TapSpec| Taps::new(&spec).expect_err("the spec is not valid").to_string();
    assert_eq!(message(TapSpec { order: 11, ..spec }), "derivative order 11 is too high: orders 0 to 10 are available");
    for sigma in [0.0, -1.0, f64::NAN, f64::INFINITY, 5000.0] {
        assert_eq!(
            message(TapSpec { sigma, ..spec }),
            format!("sigma = {sigma} is not a scale: it must be above 0 and at most 4096 pixels")
        );
    }
    for extent in [0.0, -2.0, f64::NAN, f64::INFINITY] {
        assert_eq!(
            message(TapSpec { extent, ..spec }),
            format!("extent = {extent} is not a filter extent: it must be a finite number above 0 (in units of sigma)")
        );
    }
    assert_eq!(
        message(spec.with_gamma(f64::NAN)),
        "gamma = NaN is not a normalisation power: it must be a finite number"
    );
    assert_eq!(
        message(TapSpec { sigma: 2000.0, ..spec }),
        "radius 8001 is out of range: a filter reaches 1 to 4096 pixels"
    );
    assert_eq!(Taps::with_radius(&spec, 0), Err(BasisError::Radius { radius: 0 }));
    assert!(Taps::with_radius(&spec, MAX_RADIUS).is_ok());
}

#[test]
fn names_of_discretisations_are_read_back() {
    for discretisation in Discretisation::ALL {
        assert_eq!(discretisation.to_string().parse(), Ok(discretisation));
    }
    assert_eq!(
        "gauss".parse::<Discretisation>().expect_err("not a name").to_string(),
        "unknown discretisation `gauss`: expected one of normalized-sampled, sampled, integrated, discrete-analogue"
    );
}
