//! Samples of the Gaussian derivatives, with or without normalisation over the taps.

use std::f64::consts::TAU;

use crate::MAX_ORDER;
use crate::hermite::hermite_sequence;
use crate::taps::HalfTaps;

/// Taps 0 … R of (−1)ⁿ He_n(t/σ) w(t) and their derivative by σ.
///
/// The window w is the Gaussian, or that divided by its sum over −R … R. Both have the logarithmic derivative
/// ∂ ln w/∂σ = (u² − m)/σ: normalised, m = Σ u² w is the mean square of the taps themselves; unnormalised, it is the
/// mean square of the whole Gaussian, which is 1. With He_n′ = n·He_{n−1} the product rule then gives
///
/// ```text
/// ∂g_n/∂σ = (−1)ⁿ [(u² − m) He_n − n u He_{n−1}] w/σ
/// ```
pub(crate) fn half_taps(sigma: f64, order: usize, radius: usize, normalized: bool) -> HalfTaps {
    let position = |t: usize| t as f64 / sigma;
    let mut window: Vec<f64> = (0..=radius).map(|t| libm::exp(-0.5 * position(t) * position(t))).collect();

    // From the tail inwards, so that the small terms are not lost against the large one. 0·∞ guard: far out in a
    // very narrow window u² overflows where w has long underflowed to zero.
    let both_sides = |f: &dyn Fn(usize) -> f64| f(0) + 2.0 * (1..=radius).rev().map(f).sum::<f64>();
    let sum = both_sides(&|t| window[t]);
    let square = |t: usize| if window[t] > 0.0 { position(t) * position(t) * window[t] } else { 0.0 };
    let (total, mean_square) =
        if normalized { (sum, both_sides(&square) / sum) } else { (libm::sqrt(TAU) * sigma, 1.0) };
    window.iter_mut().for_each(|w| *w /= total);

    let mut taps = HalfTaps::zeros(order, radius);
    for (t, &w) in window.iter().enumerate().take_while(|&(_, &w)| w > 0.0) {
        let u = position(t);
        let he = hermite_sequence::<{ MAX_ORDER + 1 }>(u);
        let mut sign = 1.0;
        for n in 0..=order {
            let chain = if n > 0 { n as f64 * u * he[n - 1] } else { 0.0 };
            taps.values[n][t] = sign * he[n] * w;
            taps.d_sigma[n][t] = sign * ((u * u - mean_square) * he[n] - chain) * w / sigma;
            sign = -sign;
        }
    }
    taps
}
