//! Derivative maps and blobs of images whose derivatives are known.

use njet::scale_space::{
    Blob, BlobConfig, BlobRule, Invariant, JetIndex, Polarity, ScaleSpace, ScaleSpaceConfig, ScaleSpaceError, blobs,
    jet,
};
use njet::{Discretisation, PaddingMode};

/// An image from a function of (y, x) in pixels.
fn image([height, width]: [usize; 2], value: impl Fn(f64, f64) -> f64) -> Vec<f32> {
    (0..height * width).map(|i| value((i / width) as f64, (i % width) as f64) as f32).collect()
}

fn space(image: &[f32], size: [usize; 2]) -> ScaleSpace<'_> {
    ScaleSpace::new(image, size, ScaleSpaceConfig::default()).unwrap()
}

#[track_caller]
fn near(got: f32, expected: f64, tolerance: f64, what: &str) {
    assert!((f64::from(got) - expected).abs() <= tolerance, "{what}: {got} instead of {expected}");
}

#[test]
fn a_ramp_has_its_slope_with_its_sign() {
    let size = [60, 80];
    let ramp = image(size, |y, x| 0.25 + 0.02 * x - 0.03 * y);
    let centre = 30 * 80 + 40;
    for sigma in [0.4, 1.0, 2.5, 4.0] {
        let maps = space(&ramp, size).derivatives(sigma, &jet(2).collect::<Vec<_>>()).unwrap();
        let expected = [0.25 + 0.02 * 40.0 - 0.03 * 30.0, 0.02 * sigma, -0.03 * sigma, 0.0, 0.0, 0.0];
        for ((map, expected), index) in maps.iter().zip(expected).zip(jet(2)) {
            near(map[centre], expected, 2e-5, &format!("{index} at sigma {sigma}"));
        }
    }
}

#[test]
fn a_quadratic_has_its_second_derivatives_and_a_cubic_its_third() {
    let size = [81, 81];
    let centre = 40 * 81 + 40;
    let (a, b, c) = (0.004, -0.003, 0.005);
    let quadratic = image(size, |y, x| {
        let (x, y) = (x - 40.0, y - 40.0);
        a * x * x + b * x * y + c * y * y
    });
    let cubic = image(size, |y, x| 1e-4 * ((x - 40.0).powi(2) * (y - 40.0) + (x - 40.0).powi(3)));
    for sigma in [0.5, 1.5, 3.0] {
        let squared: f64 = sigma * sigma;
        let maps = space(&quadratic, size).derivatives(sigma, &jet(2).collect::<Vec<_>>()).unwrap();
        // L: the diffusion of a quadratic adds its Laplacian times σ²/2.
        let expected = [(a + c) * squared, 0.0, 0.0, 2.0 * a * squared, b * squared, 2.0 * c * squared];
        for ((map, expected), index) in maps.iter().zip(expected).zip(jet(2)) {
            near(map[centre], expected, 2e-3 * squared * c, &format!("{index} at sigma {sigma}"));
        }
        let third = [JetIndex { y: 0, x: 3 }, JetIndex { y: 1, x: 2 }, JetIndex { y: 2, x: 1 }];
        let maps = space(&cubic, size).derivatives(sigma, &third).unwrap();
        for (map, expected) in maps.iter().zip([6e-4, 2e-4, 0.0]) {
            // The third moment has more in what is cut off at 5σ.
            near(map[centre], expected * squared * sigma, 5e-6 * squared * sigma, &format!("third at sigma {sigma}"));
        }
        let determinant = space(&quadratic, size).invariant(sigma, Invariant::HessianDeterminant).unwrap();
        near(determinant[centre], (4.0 * a * c - b * b) * squared * squared, 1e-7 * squared * squared, "determinant");
        let laplacian = space(&quadratic, size).invariant(sigma, Invariant::Laplacian).unwrap();
        near(laplacian[centre], 2.0 * (a + c) * squared, 2e-5 * squared, "Laplacian");
    }
}

#[test]
fn gamma_is_the_power_of_sigma() {
    let size = [41, 41];
    let ramp = image(size, |y, x| 0.01 * x + 0.02 * y);
    for (gamma, factor) in [(0.0, 1.0), (0.5, 2.0f64.sqrt()), (1.0, 2.0)] {
        let space = ScaleSpace::new(&ramp, size, ScaleSpaceConfig { gamma, ..Default::default() }).unwrap();
        let gradient = space.invariant(2.0, Invariant::GradientMagnitude).unwrap();
        near(gradient[20 * 41 + 20], 0.01f64.hypot(0.02) * factor, 1e-6, "gradient");
    }
}

#[test]
fn a_constant_has_no_derivatives_up_to_its_border() {
    for padding_mode in [PaddingMode::Replicate, PaddingMode::Reflect, PaddingMode::Circular] {
        for discretisation in Discretisation::ALL {
            let constant = [0.75; 5 * 9];
            let config = ScaleSpaceConfig { padding_mode, discretisation, ..Default::default() };
            let space = ScaleSpace::new(&constant, [5, 9], config).unwrap();
            // Filters inside the image, about as large, and larger by far.
            for sigma in [0.8, 2.0, 30.0] {
                let maps = space.derivatives(sigma, &jet(2).collect::<Vec<_>>()).unwrap();
                for (map, index) in maps.iter().zip(jet(2)) {
                    let expected = if index.degree() == 0 { 0.75 } else { 0.0 };
                    // The sampled Gaussian cut at 5σ is normalised to a few parts in a thousand at small σ only.
                    let tolerance = if discretisation == Discretisation::Sampled { 2e-2 } else { 2e-3 };
                    for &value in map {
                        near(value, expected, tolerance, &format!("{index}, {padding_mode:?}, {discretisation}"));
                    }
                }
            }
        }
    }
}

#[test]
fn zeros_are_a_dark_surrounding() {
    let constant = [1.0; 400];
    let config = ScaleSpaceConfig { padding_mode: PaddingMode::Zeros, ..Default::default() };
    let lx = JetIndex { y: 0, x: 1 };
    let map = ScaleSpace::new(&constant, [20, 20], config).unwrap().derivatives(1.5, &[lx]).unwrap().remove(0);
    assert!(map[10 * 20] > 0.3 && map[10 * 20 + 19] < -0.3, "{} {}", map[200], map[219]);
}

/// A Gaussian blob of σ₀.
fn gaussian(size: [usize; 2], centre: [f64; 2], sigma: f64, height: f64) -> Vec<f32> {
    image(size, |y, x| height * (-((y - centre[0]).powi(2) + (x - centre[1]).powi(2)) / (2.0 * sigma * sigma)).exp())
}

/// What is no number in the image is none in the maps, and not the filters' fault.
#[test]
fn an_image_that_is_no_number_has_maps() {
    let image = image([9, 9], |y, x| if y == 8.0 && x == 8.0 { f64::NAN } else { 1.0 });
    let maps = space(&image, [9, 9]).derivatives(0.5, &[JetIndex { y: 0, x: 0 }]).unwrap();
    assert!(maps[0][80].is_nan() && (maps[0][0] - 1.0).abs() < 1e-6);
}

/// Blobs are sought with γ = 1, whatever the maps have.
#[test]
fn blobs_do_not_depend_on_gamma() {
    let image = gaussian([41, 41], [20.0, 20.0], 3.0, 1.0);
    let found = |gamma: f64| {
        let config = ScaleSpaceConfig { gamma, ..ScaleSpaceConfig::default() };
        let space = ScaleSpace::new(&image, [41, 41], config).unwrap();
        blobs(&space, &BlobConfig::new([1.0, 8.0]), &mut |_, _| {}).unwrap()
    };
    assert_eq!(found(1.0).len(), 1);
    assert_eq!((found(0.0), found(1000.0)), (found(1.0), found(1.0)));
}

/// Lindeberg 1998: the scale-normalised Laplacian and determinant of a blob of variance t₀ are extremal at t₀.
#[test]
fn a_gaussian_blob_is_found_at_its_own_scale() {
    let (size, centre) = ([101, 120], [48.3, 61.7]);
    for rule in [BlobRule::Laplacian, BlobRule::HessianDeterminant] {
        for (sigma, height) in [(2.0, 0.8), (4.5, -0.6), (7.0, 0.3)] {
            let image = gaussian(size, centre, sigma, height);
            let config = BlobConfig { rule, ..BlobConfig::new([1.0, 16.0]) };
            let found = blobs(&space(&image, size), &config, &mut |_, _| {}).unwrap();
            // About the blob, the Laplacian has a ring of the other sign.
            let rings = found[1..]
                .iter()
                .filter(|ring| rule == BlobRule::Laplacian && ring.contrast < 0.15 * found[0].contrast);
            assert_eq!(found.len(), 1 + rings.count(), "{rule:?}: {found:?}");
            let Blob { x, y, sigma: selected, polarity, contrast } = found[0];
            assert!((y - centre[0]).abs() < 0.1 && (x - centre[1]).abs() < 0.1, "{rule:?}: {found:?}");
            assert!((selected / sigma - 1.0).abs() < 0.02, "{rule:?}: {selected} instead of {sigma}");
            assert!((contrast / height.abs() - 1.0).abs() < 0.02, "{rule:?}: {contrast} instead of {height}");
            assert_eq!(polarity, if height > 0.0 { Polarity::Bright } else { Polarity::Dark });
        }
    }
}

#[test]
fn a_disc_has_the_scale_of_its_radius_and_a_ridge_none() {
    let size = [90, 90];
    // Its centre lies between four pixels, which have the same value.
    let disc = image(size, |y, x| if (y - 44.5).hypot(x - 44.5) < 11.0 { 1.0 } else { 0.0 });
    let config = BlobConfig { rule: BlobRule::Laplacian, contrast: 0.5, ..BlobConfig::new([4.0, 16.0]) };
    let found = blobs(&space(&disc, size), &config, &mut |_, _| {}).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!((found[0].sigma - 11.0 / 2.0f64.sqrt()).abs() < 0.2, "{found:?}");
    let ridge = image(size, |y, x| (-(y - x).powi(2) / 30.0).exp());
    let config = BlobConfig::new([1.0, 16.0]);
    let found = blobs(&space(&ridge, size), &config, &mut |_, _| {}).unwrap();
    // At the corners of the image the ridge ends.
    let inside = |blob: &&Blob| (20.0..70.0).contains(&blob.x);
    assert_eq!(found.iter().find(inside), None);
}

#[test]
fn the_strongest_blobs_come_first_and_weak_ones_not_at_all() {
    let size = [64, 160];
    let parts = [
        gaussian(size, [32.0, 30.0], 3.0, 0.4),
        gaussian(size, [32.0, 80.0], 4.0, -0.9),
        gaussian(size, [32.0, 130.0], 3.0, 0.08),
    ];
    let image: Vec<f32> = (0..64 * 160).map(|i| parts.iter().map(|part| part[i]).sum()).collect();
    let space = space(&image, size);
    let columns = |config: BlobConfig| -> Vec<f64> {
        blobs(&space, &config, &mut |_, _| {}).unwrap().iter().map(|blob| blob.x.round()).collect()
    };
    let config = BlobConfig::new([1.0, 10.0]);
    assert_eq!(columns(config), [80.0, 30.0]);
    assert_eq!(columns(BlobConfig { most: 1, ..config }), [80.0]);
    assert_eq!(columns(BlobConfig { contrast: 0.05, ..config }), [80.0, 30.0, 130.0]);
    let mut told = Vec::new();
    blobs(&space, &config, &mut |done, all| told.push((done, all))).unwrap();
    let levels = config.levels().unwrap();
    assert_eq!(told, (1..=levels.len()).map(|done| (done, levels.len())).collect::<Vec<_>>());
    assert!(levels[0] < 1.0 && levels[1] == 1.0 && levels[levels.len() - 2] >= 10.0);
}

#[test]
fn one_pixel_and_a_scale_far_beyond_the_image() {
    let space = space(&[0.3], [1, 1]);
    for sigma in [0.01, 1.0, 800.0] {
        let maps = space.derivatives(sigma, &jet(4).collect::<Vec<_>>()).unwrap();
        for (map, index) in maps.iter().zip(jet(4)) {
            near(map[0], if index.degree() == 0 { 0.3 } else { 0.0 }, 1e-4, &index.to_string());
        }
    }
    assert_eq!(blobs(&space, &BlobConfig::new([1.0, 4.0]), &mut |_, _| {}).unwrap(), []);
}

#[test]
fn senseless_requests_are_told() {
    let image = [0.0; 12];
    let config = ScaleSpaceConfig::default();
    let message = |error: ScaleSpaceError| error.to_string();
    let refused = |size| message(ScaleSpace::new(&image, size, config).unwrap_err());
    assert_eq!(refused([3, 5]), "an image of 3×5 pixels is needed: got 12 values");
    assert!(refused([usize::MAX, 2]).contains("got 12 values"));
    for extent in [3.9, f64::NAN, -1.0] {
        let error = ScaleSpace::new(&image, [3, 4], ScaleSpaceConfig { extent, ..config }).unwrap_err();
        assert!(message(error).contains("it must be at least 4"));
    }
    let space = space(&image, [3, 4]);
    for (sigma, words) in [(0.0, "must be above 0"), (f64::NAN, "must be above 0"), (2000.0, "reaches 1 to 4096")] {
        let error = message(space.derivatives(sigma, &[]).unwrap_err());
        assert!(error.starts_with(&format!("at sigma {sigma} and extent 5: ")) && error.contains(words), "{error}");
    }
    let high = JetIndex { y: 6, x: 5 };
    assert!(message(space.derivatives(1.0, &[high]).unwrap_err()).contains("order 11 is too high"));
    let blob = BlobConfig::new([1.0, 2.0]);
    let refused = |config: BlobConfig| message(blobs(&space, &config, &mut |_, _| {}).unwrap_err());
    assert!(refused(BlobConfig { sigmas: [2.0, 1.0], ..blob }).contains("scales from 2 to 1 are no range"));
    assert!(refused(BlobConfig { sigmas: [0.0, 1.0], ..blob }).contains("no range"));
    assert!(refused(BlobConfig { sigmas: [1.0, 5000.0], ..blob }).contains("4096"));
    // Ranges whose ratio is beyond the numbers.
    for least in [1e-300, 1e-50] {
        let message = refused(BlobConfig { sigmas: [least, 1e300], ..blob });
        assert!(message.contains("1 to 4096 pixels"), "{message}");
    }
    assert!(refused(BlobConfig { per_octave: 0, ..blob }).contains("0 scales an octave"));
    assert!(refused(BlobConfig { contrast: 0.0, ..blob }).contains("contrast 0 is no threshold"));
    let ramp: Vec<f32> = (0..12).map(|i| (i * i) as f32).collect();
    // Taps, sums of taps and products of maps that are beyond it.
    for gamma in [1000.0, 31.5, 20.0] {
        let space = ScaleSpace::new(&ramp, [3, 4], ScaleSpaceConfig { gamma, ..config }).unwrap();
        let error = message(space.invariant(4.0, Invariant::HessianDeterminant).unwrap_err());
        assert!(error.starts_with(&format!("at sigma 4 and gamma {gamma} values are beyond")), "{error}");
    }
}
