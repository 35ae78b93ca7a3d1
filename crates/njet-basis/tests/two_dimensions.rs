//! The two-dimensional basis, its kernels and its energies against sums written out in full.

mod comparison;

use comparison::{assert_close, taps};
use njet_basis::{
    BasisError, Discretisation, InputStatistics, JetIndex, Taps, basis_2d, basis_len, energies, jet, kernel,
};

const STATISTICS: [InputStatistics; 3] = [
    InputStatistics::White,
    InputStatistics::Blurred { after_relu: false },
    InputStatistics::Blurred { after_relu: true },
];

#[test]
fn jet_is_in_canonical_order() {
    let names: Vec<String> = jet(3).map(|index| index.to_string()).collect();
    assert_eq!(names, ["L", "Lx", "Ly", "Lxx", "Lxy", "Lyy", "Lxxx", "Lxxy", "Lxyy", "Lyyy"]);
    for order in 0..=10 {
        assert_eq!(jet(order).count(), basis_len(order));
        assert!(jet(order).enumerate().all(|(b, index)| index.position() == b && index.degree() <= order));
    }
}

#[test]
fn basis_is_the_outer_product_with_y_along_the_rows() {
    let (y, x) = (taps(0.7, 3.0, 3, Discretisation::Sampled), taps(1.4, 3.0, 3, Discretisation::Integrated));
    let basis = basis_2d(&y, &x).expect("orders agree");
    assert_eq!(basis.len(), basis_len(3) * y.side() * x.side());
    for (index, function) in jet(3).zip(basis.chunks_exact(y.side() * x.side())) {
        for (i, row) in function.chunks_exact(x.side()).enumerate() {
            for (j, &value) in row.iter().enumerate() {
                assert_eq!(value, y.order(index.y)[i] * x.order(index.x)[j], "{index} at [{i}][{j}]");
            }
        }
    }
}

#[test]
fn kernel_mixes_the_basis() {
    let (y, x) = (taps(0.7, 3.0, 2, Discretisation::Sampled), taps(1.4, 3.0, 2, Discretisation::Sampled));
    let alpha = [0.5, -1.0, 2.0, 0.25, -3.0, 1.5];
    let mut want = vec![0.0; y.side() * x.side()];
    for (a, function) in alpha.iter().zip(basis_2d(&y, &x).expect("orders agree").chunks_exact(want.len())) {
        want.iter_mut().zip(function).for_each(|(sum, value)| *sum += a * value);
    }
    assert_close("kernel", &kernel(&alpha, &y, &x).expect("lengths agree"), &want, 1e-15);
}

#[test]
fn mismatches_are_refused() {
    let (two, three) = (taps(1.0, 3.0, 2, Discretisation::Sampled), taps(1.0, 3.0, 3, Discretisation::Sampled));
    assert_eq!(basis_2d(&two, &three), Err(BasisError::AxisOrders { y: 2, x: 3 }));
    assert_eq!(
        basis_2d(&two, &three).expect_err("orders differ").to_string(),
        "a 2-D basis needs taps of one order on both axes: got order 2 along y and 3 along x"
    );
    assert_eq!(
        kernel(&[1.0; 7], &two, &two).expect_err("one too many").to_string(),
        "a kernel of order 2 mixes 6 basis functions: got 7 coefficients"
    );
}

#[test]
fn energies_are_the_double_sum_over_the_autocorrelation() {
    for discretisation in Discretisation::ALL {
        let taps = taps(0.9, 2.5, 4, discretisation);
        for input in STATISTICS {
            let want = energies_written_out(&taps, input);
            let got = energies(&taps, input);
            for ((index, got), want) in jet(4).zip(got).zip(want) {
                assert!(
                    (got - want).abs() <= 1e-12 * want,
                    "{discretisation}, {input:?}, {index}: got {got:e}, want {want:e}"
                );
            }
        }
    }
}

/// Σ_{p,q} basis_b(p) basis_b(q) ρ(p − q), four loops deep.
fn energies_written_out(taps: &Taps, input: InputStatistics) -> Vec<f64> {
    let side = taps.side();
    let correlation = |dy: f64, dx: f64| match input {
        InputStatistics::White => f64::from(u8::from(dy == 0.0 && dx == 0.0)),
        InputStatistics::Blurred { after_relu } => {
            let mean = if after_relu { 1.0 / std::f64::consts::PI } else { 0.0 };
            mean + (1.0 - mean) * (-(dy * dy + dx * dx) / (4.0 * taps.sigma() * taps.sigma())).exp()
        }
    };
    let basis = basis_2d(taps, taps).expect("orders agree");
    let energy = |function: &[f64]| {
        let mut sum = 0.0;
        for (p, a) in function.iter().enumerate() {
            for (q, b) in function.iter().enumerate() {
                let (dy, dx) = ((p / side) as f64 - (q / side) as f64, (p % side) as f64 - (q % side) as f64);
                sum += a * b * correlation(dy, dx);
            }
        }
        sum
    };
    basis.chunks_exact(side * side).map(energy).collect()
}

#[test]
fn energies_are_positive_also_for_zero_sum_functions() {
    for discretisation in Discretisation::ALL {
        for (sigma, extent) in [(0.5, 2.0), (1.0, 8.0), (4.0, 4.0), (20.0, 8.0)] {
            let taps = taps(sigma, extent, 10, discretisation);
            for input in STATISTICS {
                let energies = energies(&taps, input);
                let lowest = jet(10).zip(&energies).min_by(|a, b| a.1.total_cmp(b.1)).expect("not empty");
                assert!(*lowest.1 > 0.0, "{discretisation}, sigma {sigma}, {input:?}: {lowest:?}");
            }
        }
    }
}

/// In the continuum ∫∫ G(p) G(q) ρ(p − q) has a closed form: ½ for L when the field is blurred at the same σ.
#[test]
fn smooth_input_passes_the_smoothing_filter_by_half() {
    let taps = taps(6.0, 8.0, 1, Discretisation::NormalizedSampled);
    let energies = energies(&taps, InputStatistics::Blurred { after_relu: false });
    // p − q has variance 2σ² per axis, so E exp(−τ²/4σ²) = 1/√2 per axis.
    assert!((energies[JetIndex { y: 0, x: 0 }.position()] - 0.5).abs() < 1e-12);
}
