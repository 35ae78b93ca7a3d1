//! Gaussian derivatives averaged over each pixel.

use std::f64::consts::{SQRT_2, TAU};

use crate::hermite::hermite_sequence;
use crate::taps::HEAT_ORDERS;

/// Taps 0 … R of σⁿ ∫ ∂ⁿG over [t − ½, t + ½], for orders 0 … `orders` − 1 (Lindeberg 1994).
///
/// The integral of a derivative is the difference of the derivative one order lower at the edges of the pixel:
/// σ·[F_{n−1}(t + ½) − F_{n−1}(t − ½)] with F_n = σⁿ ∂ⁿG; for n = 0 it is a difference of error functions.
pub(crate) fn derivatives(sigma: f64, orders: usize, radius: usize) -> Vec<Vec<f64>> {
    let mut taps = vec![vec![0.0; radius + 1]; orders];
    let (smoothing, derivatives) = taps.split_first_mut().expect("order 0 is always asked for");
    // The complement keeps the relative accuracy of the tail; the centre tap, across which it would not, has erf.
    let beyond = |a: f64| 0.5 * libm::erfc(a / (SQRT_2 * sigma));
    let mut inner = edge(-0.5, sigma);
    for (t, zeroth) in smoothing.iter_mut().enumerate() {
        let (left, right) = (t as f64 - 0.5, t as f64 + 0.5);
        let outer = edge(right, sigma);
        *zeroth = if t == 0 { libm::erf(right / (SQRT_2 * sigma)) } else { beyond(left) - beyond(right) };
        for (n, row) in derivatives.iter_mut().enumerate() {
            row[t] = sigma * (outer[n] - inner[n]);
        }
        inner = outer;
    }
    taps
}

/// F_n(a) = σⁿ ∂ⁿG/∂tⁿ at a, for n = 0 … [`HEAT_ORDERS`] − 1.
fn edge(a: f64, sigma: f64) -> [f64; HEAT_ORDERS] {
    let u = a / sigma;
    let gaussian = libm::exp(-0.5 * u * u) / (libm::sqrt(TAU) * sigma);
    if gaussian == 0.0 {
        return [0.0; HEAT_ORDERS]; // He_n(u) may have overflowed
    }
    let mut values = hermite_sequence::<HEAT_ORDERS>(u);
    for (n, value) in values.iter_mut().enumerate() {
        *value *= if n % 2 == 0 { gaussian } else { -gaussian };
    }
    values
}
