//! Central differences of the discrete analogue of the Gaussian.
//!
//! With δ = [−½, 0, ½] and δ² = [1, −2, 1] the derivative of order n is σⁿ δⁿT, where δ^{2k} = (δ²)^k and
//! δ^{2k+1} = δ (δ²)^k (Lindeberg 1994). Taking the differences of T literally loses about log₁₀((2σ)ⁿ) digits: at
//! order 10 all of them by σ = 20. So they are taken on the Fourier side, where a difference is a factor:
//!
//! ```text
//! T(t)  = 1/2π ∫ e^{−q} cos(tθ) dθ,   q = 2σ² sin²(θ/2)       (Abramowitz & Stegun 9.6.19)
//! δ²    →  −4 sin²(θ/2),   so σ²δ² → −2q
//! δ     →  i sin θ
//! ```
//!
//! The integrand is periodic, so the trapezoidal rule on M nodes is exact but for aliasing: it gives
//! Σ_l δⁿT(t + lM), and M is chosen so that only l = 0 counts. The values are accurate to a few units of rounding of
//! the largest one of their order, at every σ.

use std::f64::consts::TAU;

use crate::bessel::discrete_gaussian;

/// Taps 0 … R of σⁿ δⁿT for orders 0 … `orders` − 1.
pub(crate) fn derivatives(sigma: f64, orders: usize, radius: usize) -> Vec<Vec<f64>> {
    let mut taps = vec![vec![0.0; radius + 1]; orders];

    // The nearest alias of a tap is at least 11σ + 32 away, where T times the polynomial of order 12 is under 1e-17 of
    // the peak. Odd, so that every node but θ = 0 has a mirror image.
    let nodes = (radius + (11.0 * sigma).ceil() as usize + 32) | 1;
    for j in 0..=nodes / 2 {
        let theta = TAU * j as f64 / nodes as f64;
        let half_sine = libm::sin(0.5 * theta);
        let q = 2.0 * sigma * sigma * half_sine * half_sine;
        if q > 80.0 {
            break; // e^{−q} q⁶ is under 1e-22 from here on, and falls
        }
        let weight = libm::exp(-q) * if j == 0 { 1.0 } else { 2.0 } / nodes as f64;
        let sine = sigma * libm::sin(theta);
        for t in 0..=radius {
            // Reduced to one turn in integers, where it is exact.
            let phase = TAU * ((t * j) % nodes) as f64 / nodes as f64;
            let mut even = weight * libm::cos(phase);
            let mut odd = -weight * sine * libm::sin(phase);
            for pair in taps.chunks_mut(2) {
                pair[0][t] += even;
                if let Some(row) = pair.get_mut(1) {
                    row[t] += odd;
                }
                even *= -2.0 * q;
                odd *= -2.0 * q;
            }
        }
    }

    // T itself comes with a relative accuracy in its tail that no sum over nodes has.
    taps[0] = discrete_gaussian(sigma, radius);
    taps
}
