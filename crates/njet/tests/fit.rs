//! Fitting N-jets to filters: what is an N-jet is found again, and at a given σ nothing fits better.

use njet::interop::fit::{Filters, Fit, FitConfig, FitError, Reach, SigmaPer, fit};
use njet_basis::{TapSpec, Taps, basis_2d, basis_len, kernel, radius};
use proptest::prelude::*;

/// Numbers without a pattern, between −1 and 1.
fn noise(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn fitted(values: &[f64], shape: [usize; 4], config: &FitConfig) -> Fit {
    fit(&Filters::new(values, shape).unwrap(), config).unwrap()
}

fn taps(sigma: f64, order: usize, radius: usize) -> Taps {
    Taps::with_radius(&TapSpec::new(sigma, 4.0, order), radius).unwrap()
}

/// Solves a x = b for a symmetric matrix that is positive definite, by elimination.
fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for i in 0..n {
        let pivot = a[i].clone();
        for row in i + 1..n {
            let factor = a[row][i] / pivot[i];
            a[row].iter_mut().zip(&pivot).skip(i).for_each(|(value, above)| *value -= factor * above);
            b[row] -= factor * b[i];
        }
    }
    for i in (0..n).rev() {
        let rest: f64 = (i + 1..n).map(|j| a[i][j] * b[j]).sum();
        b[i] = (b[i] - rest) / a[i][i];
    }
    b
}

/// α and the residual by the normal equations, every basis function written out: `centre` is where the middle of the
/// basis lies in the window, and taps that the window does not have count as zeros, or not at all.
fn written_out(filter: &[f64], [height, width]: [usize; 2], taps: &Taps, outside: bool) -> (Vec<f64>, f64) {
    let (r, side) = (taps.radius() as isize, taps.side());
    let basis = basis_2d(taps, taps).unwrap();
    let mut equations: Vec<(Vec<f64>, f64)> = Vec::new();
    let reach = r.max(height as isize).max(width as isize);
    for y in -reach..=reach {
        for x in -reach..=reach {
            let (row, column) = (y + height as isize / 2, x + width as isize / 2);
            let inside = (0..height as isize).contains(&row) && (0..width as isize).contains(&column);
            if !inside && !outside {
                continue;
            }
            let value = if inside { filter[row as usize * width + column as usize] } else { 0.0 };
            let known = y.abs() <= r && x.abs() <= r;
            let at = |b: &[f64]| if known { b[(y + r) as usize * side + (x + r) as usize] } else { 0.0 };
            equations.push((basis.chunks_exact(side * side).map(at).collect(), value));
        }
    }
    let n = basis.len() / (side * side);
    let gram = (0..n).map(|i| (0..n).map(|j| equations.iter().map(|(e, _)| e[i] * e[j]).sum()).collect()).collect();
    let right = (0..n).map(|i| equations.iter().map(|(e, v)| e[i] * v).sum()).collect();
    let alpha = solve(gram, right);
    let left = equations.iter().map(|(e, v)| v - e.iter().zip(&alpha).map(|(e, a)| e * a).sum::<f64>());
    (alpha.clone(), left.map(|left| left * left).sum())
}

#[track_caller]
fn near(got: &[f64], want: &[f64], tolerance: f64) {
    let scale = want.iter().fold(0.0, |m: f64, w| m.max(w.abs()));
    assert_eq!(got.len(), want.len());
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= tolerance * scale, "[{i}]: {g} instead of {w}, tolerance {tolerance} of {scale}");
    }
}

/// At one σ: odd, even and oblong windows, on the window and with everything outside.
#[test]
fn least_squares_as_written_out() {
    for (number, [height, width]) in [[7, 7], [6, 6], [5, 9], [8, 5], [3, 3]].into_iter().enumerate() {
        let filter = noise(number as u64 + 1, height * width);
        for sigma in [0.6, 1.1, 1.7] {
            let order = if height == 3 { 1 } else { 3 };
            let config = |reach| FitConfig { reach, bounds: Some([sigma; 2]), ..FitConfig::new(order) };
            let outside = fitted(&filter, [1, 1, height, width], &config(Reach::Extent(3.0)));
            let (alpha, residual) =
                written_out(&filter, [height, width], &taps(sigma, order, radius(sigma, 3.0)), true);
            near(&outside.alpha, &alpha, 1e-8);
            near(&[outside.filters[0].residual], &[residual], 1e-9);
            if height == width {
                let window = fitted(&filter, [1, 1, height, width], &config(Reach::Window));
                let (alpha, residual) = written_out(&filter, [height, width], &taps(sigma, order, height / 2), false);
                near(&window.alpha, &alpha, 1e-8);
                near(&[window.filters[0].residual], &[residual], 1e-9);
                let kernel = window.kernel(0);
                let left: f64 = kernel.iter().zip(&filter).map(|(k, f)| (k - f) * (k - f)).sum();
                near(&[left], &[residual], 1e-9);
            }
            let energy: f64 = filter.iter().map(|tap| tap * tap).sum();
            near(&[outside.filters[0].energy], &[energy], 1e-12);
            near(&[outside.explained_variance()], &[1.0 - outside.filters[0].residual / energy], 1e-12);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A filter that is an N-jet is found again: σ to 1e-3, all of its energy, and its coefficients.
    #[test]
    fn an_njet_is_recovered(
        seed in any::<u64>(), order in 1usize..=4, sigma in 0.7..2.2f64, more in 0usize..3,
    ) {
        // A window out to three σ: on a smaller one several scales look alike.
        let r = (3.0 * sigma).ceil() as usize + more;
        let alpha = noise(seed, basis_len(order));
        let true_taps = taps(sigma, order, r);
        let filter = kernel(&alpha, &true_taps, &true_taps).unwrap();
        let side = 2 * r + 1;
        let fit = fitted(&filter, [1, 1, side, side], &FitConfig::new(order));
        prop_assert!(fit.explained_variance() > 1.0 - 1e-9, "{}", fit.explained_variance());
        // Rounding leaves no less than nothing.
        prop_assert!(fit.filters[0].residual >= 0.0, "{}", fit.filters[0].residual);
        prop_assert!((fit.sigma[0] / sigma - 1.0).abs() < 1e-3, "{} instead of {sigma}", fit.sigma[0]);
        let scale = alpha.iter().fold(0.0, |m: f64, a| m.max(a.abs()));
        for (got, want) in fit.alpha.iter().zip(&alpha) {
            prop_assert!((got - want).abs() < 1e-2 * scale, "{:?} instead of {alpha:?}", fit.alpha);
        }
    }

    /// The same of a layer's one σ, and as a layer of a given extent has its kernel: what lies outside counts.
    #[test]
    fn a_layer_is_recovered(seed in any::<u64>(), order in 1usize..=3, sigma in 0.7..2.0f64) {
        let extent = 3.0;
        let r = radius(sigma, extent);
        let side = 2 * r + 1;
        let taps = taps(sigma, order, r);
        let basis = basis_len(order);
        let alpha = noise(seed, 6 * basis);
        let filters: Vec<f64> = alpha.chunks_exact(basis).flat_map(|a| kernel(a, &taps, &taps).unwrap()).collect();
        for sigma_per in [SigmaPer::Layer, SigmaPer::Input, SigmaPer::Output] {
            let config = FitConfig { sigma_per, reach: Reach::Extent(extent), ..FitConfig::new(order) };
            let fit = fitted(&filters, [3, 2, side, side], &config);
            prop_assert_eq!(fit.sigma.len(), sigma_per.scales([3, 2]));
            prop_assert!(fit.explained_energy() > 1.0 - 1e-9, "{}", fit.explained_energy());
            for found in &fit.sigma {
                prop_assert!((found / sigma - 1.0).abs() < 1e-3, "{} instead of {}", found, sigma);
            }
        }
    }
}

/// Close to a scale at which the filters reach one pixel further, what is left jumps.
#[test]
fn a_layer_beside_a_change_of_radius_is_recovered() {
    let extent = 3.0;
    for change in [2.5 / extent, 4.5 / extent, 5.5 / extent] {
        for sigma in [0.9985, 0.9994, 0.99985, 1.0001, 1.0006].map(|near| near * change) {
            let taps = taps(sigma, 1, radius(sigma, extent));
            let filters: Vec<f64> =
                noise(1, 9).chunks_exact(3).flat_map(|alpha| kernel(alpha, &taps, &taps).unwrap()).collect();
            let config = FitConfig { sigma_per: SigmaPer::Layer, reach: Reach::Extent(extent), ..FitConfig::new(1) };
            let fit = fitted(&filters, [3, 1, taps.side(), taps.side()], &config);
            assert!(fit.explained_energy() > 1.0 - 1e-10, "{sigma}: {}, {:?}", fit.explained_energy(), fit.sigma);
        }
    }
}

/// No σ of a fine grid does better than the one that was found.
#[test]
fn the_scale_is_the_best() {
    let shape = [4, 2, 7, 7];
    let filters = noise(5, 8 * 49);
    for reach in [Reach::Window, Reach::Extent(4.0)] {
        for sigma_per in SigmaPer::ALL {
            let config = FitConfig { sigma_per, reach, ..FitConfig::new(2) };
            let best = fitted(&filters, shape, &config);
            let mut scales = vec![f64::INFINITY; best.sigma.len()];
            for i in 0..=400 {
                let sigma = 0.3 * (7f64 / 0.3).powf(f64::from(i) / 400.0);
                let at = fitted(&filters, shape, &FitConfig { bounds: Some([sigma; 2]), ..config });
                let mut left = vec![0.0; scales.len()];
                for (number, filter) in at.filters.iter().enumerate() {
                    left[sigma_per.scale_of(number, 2)] += filter.residual;
                }
                scales.iter_mut().zip(left).for_each(|(least, left)| *least = least.min(left));
            }
            let mut found = vec![0.0; scales.len()];
            for (number, filter) in best.filters.iter().enumerate() {
                found[sigma_per.scale_of(number, 2)] += filter.residual;
            }
            for (found, least) in found.iter().zip(&scales) {
                assert!(
                    found <= &(least * (1.0 + 1e-6)),
                    "{sigma_per}, {reach:?}: {found} is left, {least} was possible"
                );
            }
        }
    }
}

/// More filters than taps: their square root is searched instead.
#[test]
fn many_filters_and_one_scale() {
    let filters = noise(9, 60 * 9);
    let config = FitConfig { sigma_per: SigmaPer::Layer, reach: Reach::Extent(4.0), ..FitConfig::new(2) };
    let all = fitted(&filters, [20, 3, 3, 3], &config);
    let left = |sigma: f64| {
        let at = fitted(&filters, [20, 3, 3, 3], &FitConfig { bounds: Some([sigma; 2]), ..config });
        at.filters.iter().map(|filter| filter.residual).sum::<f64>()
    };
    let sigma = all.sigma[0];
    assert!(left(sigma) <= left(0.99 * sigma) && left(sigma) <= left(1.01 * sigma), "{sigma}");
    assert!(all.explained_energy() < 1.0 - 1e-3, "noise is no N-jet");
}

#[test]
fn windows_that_say_little() {
    // One tap: any scale does; the Gaussian's middle tap times α is the weight.
    let one = fitted(&[-2.5], [1, 1, 1, 1], &FitConfig::new(4));
    assert!((one.explained_variance() - 1.0).abs() < 1e-12);
    near(&one.kernel(0), &[-2.5], 1e-12);
    assert!(one.alpha.iter().all(|a| a.is_finite()), "{:?}", one.alpha);
    // As a layer has it, the tails count: the smallest scale is best.
    let outside = FitConfig { reach: Reach::Extent(4.0), ..FitConfig::new(0) };
    let one = fitted(&[1.0], [1, 1, 1, 1], &outside);
    assert!(one.sigma[0] < 0.301 && one.explained_variance() > 0.99, "{one:?}");
    // Nine taps and fifteen or sixty-six functions: nothing is left, and no coefficient is out of proportion.
    for order in [4, 10] {
        let filter = noise(3, 9);
        let nine = fitted(&filter, [1, 1, 3, 3], &FitConfig::new(order));
        assert!(nine.explained_variance() > 1.0 - 1e-12);
        near(&nine.kernel(0), &filter, 1e-10);
        assert!(nine.alpha.iter().all(|a| a.abs() < 100.0), "{:?}", nine.alpha);
    }
    // One row.
    let filter = noise(4, 7);
    assert!(fitted(&filter, [1, 1, 1, 7], &FitConfig::new(3)).explained_variance() > 0.5);
    // As long as windows can be: as long as filters can be.
    let filter: Vec<f64> = (0..8192).map(|i| (-0.5 * ((i as f64 - 4096.0) / 900.0).powi(2)).exp()).collect();
    let long = fitted(&filter, [1, 1, 1, 8192], &FitConfig::new(0));
    assert!((long.sigma[0] / 900.0 - 1.0).abs() < 1e-3, "{:?}", long.sigma);
    fitted(&filter, [1, 1, 1, 8192], &FitConfig { reach: Reach::Extent(4.0), ..FitConfig::new(0) });
    // Zeros: there is nothing to explain, and they do not count in the mean.
    let zeros = fitted(&[0.0; 25], [1, 1, 5, 5], &FitConfig::new(2));
    assert_eq!((zeros.explained_variance(), zeros.explained_energy()), (1.0, 1.0));
    assert_eq!(zeros.filters[0].explained_variance(), 1.0);
    assert_eq!(zeros.alpha, [0.0; 6]);
    // Any scale does: a quarter of the window, but for the step of the grid.
    assert!((zeros.sigma[0] / 1.25).log2().abs() < 1.0 / 12.0, "{:?}", zeros.sigma);
    let filter = noise(6, 25);
    let both: Vec<f64> = filter.iter().copied().chain([0.0; 25]).collect();
    let alone = fitted(&filter, [1, 1, 5, 5], &FitConfig::new(1)).explained_variance();
    assert_eq!(fitted(&both, [2, 1, 5, 5], &FitConfig::new(1)).explained_variance(), alone);
    // Very strong and very weak filters are one filter times a number.
    for factor in [1e-150, 1e-20, 1e120] {
        let scaled: Vec<f64> = filter.iter().map(|tap| tap * factor).collect();
        let scaled = fitted(&scaled, [1, 1, 5, 5], &FitConfig::new(1));
        assert!((scaled.explained_variance() - alone).abs() < 1e-9, "{factor:e}");
    }
    // A scale far too small or large for the window.
    for sigma in [1e-3, 1e3] {
        let config = FitConfig { bounds: Some([sigma; 2]), ..FitConfig::new(6) };
        let fit = fitted(&filter, [1, 1, 5, 5], &config);
        assert!(fit.alpha.iter().all(|a| a.is_finite()) && (0.0..=1.0).contains(&fit.explained_variance()), "{fit:?}");
    }
}

#[test]
fn means_of_two_kinds() {
    // A strong filter that is an N-jet, a weak one that is not.
    let gaussian = taps(1.0, 0, 2);
    let mut filters = kernel(&[10.0], &gaussian, &gaussian).unwrap();
    filters.extend(noise(8, 25).iter().map(|tap| 0.01 * tap));
    let fit = fitted(&filters, [1, 2, 5, 5], &FitConfig::new(0));
    assert!(fit.explained_energy() > 0.99 && fit.explained_variance() < 0.9, "{fit:?}");
    let mean = fit.filters.iter().map(|filter| filter.explained_variance()).sum::<f64>() / 2.0;
    assert_eq!(fit.explained_variance(), mean);
}

#[test]
fn what_cannot_be_fitted_is_told() {
    let message = |values: &[f64], shape| Filters::new(values, shape).unwrap_err().to_string();
    assert_eq!(message(&[1.0; 8], [1, 1, 3, 3]), "8 values do not make filters of the shape [1, 1, 3, 3]");
    assert!(message(&[], [0, 1, 3, 3]).contains("have no taps"));
    assert!(message(&[], [usize::MAX, 2, 2, 2]).contains("do not make filters"));
    let broken = [0.0, 1.0, 2.0, f64::NAN];
    assert_eq!(message(&broken, [2, 1, 1, 2]), "filter 1 has the weight NaN at tap 1: all must be finite");
    assert!(message(&vec![0.0; 9000], [1, 1, 1, 9000]).contains("a window of 1×9000 taps is too large"));
    for largest in [1e200, 1e-200] {
        assert!(
            message(&[0.5 * largest, -largest], [1, 1, 1, 2])
                .starts_with(&format!("the largest weight is {largest:e}: "))
        );
    }
    let filters = Filters::new(&[1.0; 9], [1, 1, 3, 3]).unwrap();
    let refused = |config: FitConfig| fit(&filters, &config).unwrap_err();
    assert!(refused(FitConfig::new(11)).to_string().contains("order 11 is too high"));
    for bounds in [[0.0, 1.0], [2.0, 1.0], [f64::NAN, 1.0], [1.0, f64::INFINITY]] {
        let error = refused(FitConfig { bounds: Some(bounds), ..FitConfig::new(2) });
        assert!(matches!(error, FitError::Bounds { .. }), "{error}");
    }
    let error = refused(FitConfig { reach: Reach::Extent(-1.0), ..FitConfig::new(2) });
    assert!(error.to_string().contains("extent = -1 is not a filter extent"), "{error}");
}
