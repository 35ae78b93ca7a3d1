//! How much of the input each basis function lets through.

use std::f64::consts::FRAC_1_PI;

use crate::{Taps, jet};

/// What a layer assumes about its input when it scales its initial weights.
///
/// Both have unit second moment; they differ in the correlation ρ(τ) of two pixels a displacement τ apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InputStatistics {
    /// White noise: pixels are independent.
    White,
    /// A field already blurred at the layer's own σ, ρ(τ) = m + (1 − m)·exp(−|τ|²/4σ²): what a deep layer sees.
    Blurred {
        /// Whether a ReLU precedes. It leaves a mean, m = 1/π of the second moment; without it m = 0.
        after_relu: bool,
    },
}

/// The energy of every basis function under the assumed input, in the order of [`jet`]: the expected square of its
/// response where the input has unit second moment.
///
/// For white input E_b = Σ g_i² · Σ g_j²; otherwise Ē_b = Σ_{p,q} basis_b(p) basis_b(q) ρ(p − q). A layer divides the
/// variance of its weights by it. Positive for every filter that has a tap other than zero; derivatives sampled far
/// below σ = 0.5 have almost none, and their energies fall to zero.
///
/// ```
/// use njet_basis::{InputStatistics, TapSpec, Taps, energies};
///
/// let taps = Taps::new(&TapSpec::new(2.0, 4.0, 1))?;
/// let white = energies(&taps, InputStatistics::White);
/// let blurred = energies(&taps, InputStatistics::Blurred { after_relu: false });
/// // A smooth field passes a smoothing filter far better than noise does.
/// assert!(blurred[0] > 10.0 * white[0]);
/// # Ok::<(), njet_basis::BasisError>(())
/// ```
pub fn energies(taps: &Taps, input: InputStatistics) -> Vec<f64> {
    let per_order = |energy: &dyn Fn(&[f64]) -> f64| -> Vec<f64> {
        (0..=taps.max_order()).map(|n| energy(taps.order(n))).collect()
    };
    let product = |axis: &[f64], y: usize, x: usize| axis[y] * axis[x];
    match input {
        InputStatistics::White => {
            let square = per_order(&|row| row.iter().map(|value| value * value).sum());
            jet(taps.max_order()).map(|b| product(&square, b.y, b.x)).collect()
        }
        InputStatistics::Blurred { after_relu } => {
            // exp(−|τ|²/4σ²) factors over the axes, and so does the constant part, (Σ basis_b)².
            let mean = if after_relu { FRAC_1_PI } else { 0.0 };
            let correlation: Vec<f64> = (0..taps.side())
                .map(|lag| lag as f64 / (2.0 * taps.sigma()))
                .map(|distance| libm::exp(-distance * distance))
                .collect();
            let smooth = per_order(&|row| quadratic_form(row, &correlation));
            let constant = per_order(&|row| row.iter().sum::<f64>().powi(2));
            jet(taps.max_order())
                .map(|b| mean * product(&constant, b.y, b.x) + (1.0 - mean) * product(&smooth, b.y, b.x))
                .collect()
        }
    }
}

/// Σ_{p,q} row(p) row(q) ρ(p − q), with ρ given for the lags 0 … of a symmetric correlation.
fn quadratic_form(row: &[f64], correlation: &[f64]) -> f64 {
    let lagged = |lag: usize| row.iter().zip(&row[lag..]).map(|(p, q)| p * q).sum::<f64>();
    let off_diagonal: f64 = (1..row.len()).map(|lag| correlation[lag] * lagged(lag)).sum();
    correlation[0] * lagged(0) + 2.0 * off_diagonal
}
