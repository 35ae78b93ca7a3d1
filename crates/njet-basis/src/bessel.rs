//! The discrete analogue of the Gaussian.

/// The discrete analogue of the Gaussian, T(t; σ) = e^{−σ²} I_t(σ²), for t = 0 … `radius` (Lindeberg 1990).
///
/// I_t is the modified Bessel function of integer order; T is symmetric in t, has sum 1 and variance σ² (pixels²),
/// and unlike a sampled Gaussian it is a semigroup on the grid: T(σ₁) ∗ T(σ₂) = T(√(σ₁² + σ₂²)).
/// Relative accuracy about 1e-14, far into the tail.
///
/// The method is Miller's backward recurrence (Abramowitz & Stegun section 9.12) on the ratios
/// r_t = I_t/I_{t−1} = z/(2t + z·r_{t+1}), which neither overflow nor underflow, scaled by T(0) + 2 Σ T(t) = 1
/// (9.6.37).
///
/// ```
/// use njet_basis::discrete_gaussian;
///
/// let t = discrete_gaussian(1.0, 3);
/// assert!((t[0] - 0.465759607593640).abs() < 1e-15); // e⁻¹ I₀(1)
/// assert!((t[1] - 0.207910415349708).abs() < 1e-15); // e⁻¹ I₁(1)
/// ```
pub fn discrete_gaussian(sigma: f64, radius: usize) -> Vec<f64> {
    let z = sigma * sigma;
    // Starting from r = 0 at some t, the error of a ratio is the square of the fall of T since then. 9σ beyond the
    // last tap, and never less than 32 taps, T has fallen by at least 1e-17, so what the sum leaves out is nothing too.
    let start = radius + (9.0 * sigma).ceil() as usize + 32;

    let mut taps = vec![0.0; radius + 1];
    let mut ratio = 0.0;
    let mut beyond = 0.0; // Σ_{j ≥ t} T(j)/T(t−1)
    for t in (1..=start).rev() {
        ratio = z / (2.0 * t as f64 + z * ratio);
        beyond = ratio * (1.0 + beyond);
        if t <= radius {
            taps[t] = ratio;
        }
    }
    taps[0] = 1.0 / (1.0 + 2.0 * beyond);
    for t in 1..=radius {
        taps[t] *= taps[t - 1];
    }
    taps
}
