//! The discrete analogue of the Gaussian against independent evaluations of it.
//!
//! The two tables come from `discrete_gaussian_reference.py`, beside this file.

mod comparison;

use comparison::{assert_close, taps};
use njet_basis::{Discretisation, MAX_ORDER, discrete_gaussian};

/// (σ, t, T(t; σ)): the power series of I_t (Abramowitz & Stegun 9.6.10) in decimal arithmetic of 120 digits.
const VALUES: &[(f64, usize, f64)] = &[
    (0.05, 0, 0.9975046809966976),
    (0.05, 1, 0.0012468798771212218),
    (0.05, 5, 2.536782282928282e-17),
    (0.5, 0, 0.7910171621397194),
    (0.5, 1, 0.09811262869736824),
    (0.5, 3, 0.0002545077249939988),
    (0.5, 5, 1.985756365762305e-07),
    (1.0, 0, 0.46575960759364043),
    (1.0, 1, 0.20791041534970844),
    (1.0, 3, 0.008155307772814294),
    (1.0, 5, 9.986571411208691e-05),
    (1.0, 6, 8.273116216906792e-06),
    (3.0, 0, 0.134959524581723),
    (3.0, 1, 0.1272249839358912),
    (3.0, 5, 0.032269111451112886),
    (3.0, 9, 0.0016716438656111333),
    (3.0, 18, 3.119842899283118e-08),
    (10.0, 0, 0.03994437929909668),
    (10.0, 1, 0.03974415302513025),
    (10.0, 5, 0.03522946870774178),
    (10.0, 30, 0.00044869877569209864),
    (10.0, 60, 9.185241027673011e-10),
    (20.0, 0, 0.01995335628193999),
    (20.0, 1, 0.019928398958903543),
    (20.0, 5, 0.019338706488833988),
    (20.0, 60, 0.00022228409095953401),
    (20.0, 120, 3.3918946900265904e-10),
    (100.0, 0, 0.003989472674604732),
    (100.0, 1, 0.003989273195983662),
    (100.0, 5, 0.003984488700285012),
    (100.0, 300, 4.43240236722815e-05),
    (100.0, 600, 6.103335962488974e-11),
];

/// (σ, n, t, σⁿ δⁿT(t; σ)): the differences written out in the same arithmetic.
const DIFFERENCES: &[(f64, usize, usize, f64)] = &[
    (0.5, 1, 1, -0.19622525739473648),
    (0.5, 1, 2, -0.02446453024309356),
    (0.5, 2, 1, 0.15022700932643906),
    (0.5, 2, 2, 0.021533717825203864),
    (0.5, 5, 1, -0.055299700771954514),
    (0.5, 5, 2, 0.04025990351455633),
    (0.5, 8, 1, -0.1369767133049163),
    (0.5, 8, 2, 0.06363080554114012),
    (0.5, 10, 1, 0.12806894293012633),
    (0.5, 10, 2, -0.06977832959431003),
    (2.0, 1, 1, -0.08937541975121767),
    (2.0, 1, 2, -0.11762650147276904),
    (2.0, 1, 3, -0.09168650704449943),
    (2.0, 2, 1, -0.13149302523245968),
    (2.0, 2, 2, 0.018488698346254204),
    (2.0, 2, 3, 0.08527127936682417),
    (2.0, 5, 1, -1.0889215985521858),
    (2.0, 5, 2, -0.5342606481645598),
    (2.0, 5, 3, 0.24673002185921358),
    (2.0, 8, 1, -7.242551028356713),
    (2.0, 8, 2, -15.433494240501922),
    (2.0, 8, 3, 0.9483921837884955),
    (2.0, 10, 1, 130.36591851042084),
    (2.0, 10, 2, 98.29131854574251),
    (2.0, 10, 3, -49.83483215677376),
    (20.0, 1, 1, -0.0009964199479451771),
    (20.0, 1, 2, -0.001985371428714547),
    (20.0, 1, 30, -0.009708315854046568),
    (20.0, 2, 1, -0.01989093948864867),
    (20.0, 2, 2, -0.019667119742126135),
    (20.0, 2, 30, 0.008102136249906954),
    (20.0, 5, 1, -0.014927563601546855),
    (20.0, 5, 2, -0.029594058931331105),
    (20.0, 5, 30, 0.023747991100342234),
    (20.0, 8, 1, 2.0767241630555895),
    (20.0, 8, 2, 2.0064427173667854),
    (20.0, 8, 30, -0.44891111636375797),
    (20.0, 10, 1, -18.654969439318563),
    (20.0, 10, 2, -17.882688147416403),
    (20.0, 10, 30, -1.2342061198514933),
    (50.0, 1, 1, -0.00015955297263063408),
    (50.0, 1, 2, -0.00031891450084813066),
    (50.0, 1, 75, -0.0038851757249041313),
    (50.0, 2, 1, -0.007975254379121471),
    (50.0, 2, 2, -0.007960898442628187),
    (50.0, 2, 75, 0.0032384071877938573),
    (50.0, 5, 1, -0.002392815715015766),
    (50.0, 5, 2, -0.004778932216554369),
    (50.0, 5, 75, 0.009475514497129571),
    (50.0, 8, 1, 0.8366472686301537),
    (50.0, 8, 2, 0.8321274120641154),
    (50.0, 8, 75, -0.1814436647051828),
    (50.0, 10, 1, -7.527561338604117),
    (50.0, 10, 2, -7.47785121794619),
    (50.0, 10, 75, -0.47100692416622),
];

#[test]
fn values_have_fourteen_digits_far_into_the_tail() {
    for &(sigma, t, want) in VALUES {
        let got = discrete_gaussian(sigma, t)[t];
        assert!((got - want).abs() <= 2e-14 * want, "T({t}; {sigma}) = {got:e}, not {want:e}");
    }
}

#[test]
fn differences_keep_their_digits_at_every_scale() {
    for &(sigma, n, t, want) in DIFFERENCES {
        let taps = taps(sigma, 4.0, n, Discretisation::DiscreteAnalogue);
        let peak = taps.order(n).iter().fold(0.0_f64, |peak, value| peak.max(value.abs()));
        let got = taps.order(n)[taps.radius() + t];
        assert!((got - want).abs() <= 2e-14 * peak, "order {n} at {t}, sigma {sigma}: {got:e}, not {want:e}");
    }
}

/// Where taking the differences literally still works, the taps are exactly those, up to their ends.
#[test]
fn derivatives_are_central_differences() {
    for sigma in [0.2, 0.5, 1.0, 2.0] {
        let taps = taps(sigma, 4.0, MAX_ORDER, Discretisation::DiscreteAnalogue);
        let beyond = taps.radius() + MAX_ORDER;
        let half = discrete_gaussian(sigma, beyond);
        let even: Vec<f64> = half[1..].iter().rev().chain(&half).copied().collect();
        for n in 0..=MAX_ORDER {
            let mut row = even.clone();
            (0..n / 2).for_each(|_| row = correlate(&row, [1.0, -2.0, 1.0]));
            (0..n % 2).for_each(|_| row = correlate(&row, [-0.5, 0.0, 0.5]));
            let margin = (row.len() - taps.side()) / 2;
            let want: Vec<f64> = row[margin..][..taps.side()].iter().map(|v| v * sigma.powi(n as i32)).collect();
            assert_close(&format!("order {n} at sigma {sigma}"), taps.order(n), &want, 1e-11);
        }
    }
}

fn correlate(row: &[f64], [a, b, c]: [f64; 3]) -> Vec<f64> {
    row.windows(3).map(|w| a * w[0] + b * w[1] + c * w[2]).collect()
}

#[test]
fn smoothing_twice_is_smoothing_once_with_the_summed_variance() {
    for (first, second) in [(0.3, 0.4), (0.5, 1.2), (1.0, 1.0), (2.0, 3.5), (5.0, 12.0), (0.1, 20.0)] {
        let sigma = f64::hypot(first, second);
        let radius = (10.0 * sigma) as usize + 10;
        let [a, b, want] = [first, second, sigma].map(|sigma| discrete_gaussian(sigma, radius));
        // The common support: both factors inside −R … R. What lies outside is under 1e-20.
        let r = radius as i64;
        let at = |taps: &[f64], t: i64| taps.get(t.unsigned_abs() as usize).copied().unwrap_or(0.0);
        let convolved: Vec<f64> = (0..=r).map(|t| (-r..=r).map(|s| at(&a, s) * at(&b, t - s)).sum()).collect();
        assert_close(&format!("{first} and {second}"), &convolved, &want, 1e-12);
    }
}

#[test]
fn sum_is_one_and_variance_is_sigma_squared() {
    for sigma in [1e-30, 0.05, 0.5, 1.0, 3.0, 30.0, 150.0] {
        let taps = discrete_gaussian(sigma, (10.0 * sigma) as usize + 30);
        let both_sides = |power: i32| {
            let terms = taps.iter().enumerate().skip(1).rev().map(|(t, value)| 2.0 * (t as f64).powi(power) * value);
            terms.sum::<f64>() + if power == 0 { taps[0] } else { 0.0 }
        };
        assert!((both_sides(0) - 1.0).abs() < 1e-13, "sum at sigma {sigma}");
        assert!((both_sides(2) / (sigma * sigma) - 1.0).abs() < 1e-12, "variance at sigma {sigma}");
    }
}

#[test]
fn slope_by_sigma_is_sigma_times_the_second_difference() {
    let sigma = 1.3;
    let taps = taps(sigma, 4.0, 0, Discretisation::DiscreteAnalogue);
    let half = discrete_gaussian(sigma, taps.radius() + 1);
    let at = |t: i64| half[t.unsigned_abs() as usize];
    let r = taps.radius() as i64;
    let want: Vec<f64> = (-r..=r).map(|t| sigma * (at(t - 1) - 2.0 * at(t) + at(t + 1))).collect();
    assert_close("slope", taps.d_sigma(0), &want, 1e-14);
}
