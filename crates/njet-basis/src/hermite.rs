//! Probabilists' Hermite polynomials.

/// The probabilists' Hermite polynomial He_n(u) (Abramowitz & Stegun 22.2.15).
///
/// It turns a Gaussian into its derivatives: σⁿ ∂ⁿG/∂tⁿ = (−1)ⁿ He_n(t/σ) G(t; σ).
/// `u` is dimensionless, a position in units of σ.
///
/// ```
/// use njet_basis::hermite;
///
/// let u = 1.5_f64;
/// assert_eq!(hermite(3, u), u.powi(3) - 3.0 * u);
/// ```
pub fn hermite(order: usize, u: f64) -> f64 {
    let (mut current, mut previous) = (1.0, 0.0);
    for n in 0..order {
        (current, previous) = (u * current - n as f64 * previous, current);
    }
    current
}

/// He_0(u) … He_{K−1}(u) in one pass of the recurrence He_{n+1} = u·He_n − n·He_{n−1}
/// (Abramowitz & Stegun 22.7.14).
///
/// ```
/// use njet_basis::hermite_sequence;
///
/// assert_eq!(hermite_sequence::<4>(2.0), [1.0, 2.0, 3.0, 2.0]);
/// ```
pub fn hermite_sequence<const K: usize>(u: f64) -> [f64; K] {
    let mut sequence = [1.0; K];
    if K > 1 {
        sequence[1] = u;
    }
    for n in 2..K {
        sequence[n] = u * sequence[n - 1] - (n - 1) as f64 * sequence[n - 2];
    }
    sequence
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Coefficients of He_n, highest power first, every second one (the others are zero).
    const EXPLICIT: [&[f64]; 11] = [
        &[1.0],
        &[1.0],
        &[1.0, -1.0],
        &[1.0, -3.0],
        &[1.0, -6.0, 3.0],
        &[1.0, -10.0, 15.0],
        &[1.0, -15.0, 45.0, -15.0],
        &[1.0, -21.0, 105.0, -105.0],
        &[1.0, -28.0, 210.0, -420.0, 105.0],
        &[1.0, -36.0, 378.0, -1260.0, 945.0],
        &[1.0, -45.0, 630.0, -3150.0, 4725.0, -945.0],
    ];

    #[test]
    fn recurrence_gives_the_explicit_polynomials() {
        for step in -40..=40 {
            // Multiples of 1/8 keep the sums of powers exact enough for a relative 1e-13.
            let u = step as f64 / 8.0;
            let sequence = hermite_sequence::<11>(u);
            for (n, coefficients) in EXPLICIT.iter().enumerate() {
                let terms = coefficients.iter().enumerate().map(|(i, c)| c * u.powi((n - 2 * i) as i32));
                let (value, size) = terms.fold((0.0, 0.0), |(v, s), term| (v + term, s + term.abs()));
                assert!((sequence[n] - value).abs() <= 1e-13 * size, "He_{n}({u}) = {}, not {value}", sequence[n]);
                assert_eq!(hermite(n, u), sequence[n], "one value and the sequence differ at n = {n}, u = {u}");
            }
        }
    }
}
