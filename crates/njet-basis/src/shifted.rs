//! The taps of an output that stands between pixels.

use std::f64::consts::{SQRT_2, TAU};

use crate::hermite::hermite_sequence;
use crate::{BasisError, Discretisation, MAX_ORDER, MAX_RADIUS, TapSpec};

/// Orders needed to differentiate order [`MAX_ORDER`] by σ and by position.
const ORDERS: usize = MAX_ORDER + 3;

/// The taps g_0 … g_N on −R … R about the pixel nearest to an output, for an output `offset` pixels after that pixel;
/// their derivative by σ and by the offset.
///
/// ```text
/// g_n(t; σ, δ) = σⁿ ∂ⁿG(t − δ),     t = −R … R
/// ```
///
/// Normalised sampled taps are normalised for each offset, so that a constant image stays what it is at every output;
/// the derivative of the normalisation is part of both derivatives. At offset 0 these are the [`Taps`](crate::Taps).
///
/// ```
/// use njet_basis::{ShiftedTaps, TapSpec, Taps};
///
/// let spec = TapSpec::new(1.5, 4.0, 2);
/// let shifted = ShiftedTaps::new(&spec, spec.radius(), 0.25)?;
/// assert!((shifted.order(0).iter().sum::<f64>() - 1.0).abs() < 1e-14);
/// // The mean position is the output's.
/// let mean: f64 = (-7i32..).zip(shifted.order(0)).map(|(t, g)| f64::from(t) * g).sum();
/// assert!((mean - 0.25).abs() < 1e-4);
/// # Ok::<(), njet_basis::BasisError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ShiftedTaps {
    side: usize,
    values: Vec<f64>,
    d_sigma: Vec<f64>,
    d_offset: Vec<f64>,
}

impl ShiftedTaps {
    /// Builds the taps on −`radius` … `radius`, in pixels from the nearest pixel, for an output at `offset`.
    ///
    /// # Errors
    ///
    /// If a field of `spec` is out of range, `radius` is 0 or beyond [`MAX_RADIUS`], `offset` is not within −1 … 1, or
    /// the discretisation knows the pixels only: [`Discretisation::DiscreteAnalogue`].
    pub fn new(spec: &TapSpec, radius: usize, offset: f64) -> Result<Self, BasisError> {
        spec.validate()?;
        if !(1..=MAX_RADIUS).contains(&radius) {
            return Err(BasisError::Radius { radius });
        }
        if !(-1.0..=1.0).contains(&offset) {
            return Err(BasisError::Offset { offset });
        }
        let mut taps = match spec.discretisation {
            Discretisation::NormalizedSampled => sampled(spec, radius, offset, true),
            Discretisation::Sampled => sampled(spec, radius, offset, false),
            Discretisation::Integrated => integrated(spec, radius, offset),
            Discretisation::DiscreteAnalogue => return Err(BasisError::BetweenPixels),
        };
        if spec.gamma != 1.0 {
            taps.normalise(spec);
        }
        Ok(taps)
    }

    fn zeros(order: usize, radius: usize) -> Self {
        let side = 2 * radius + 1;
        let zeros = vec![0.0; (order + 1) * side];
        Self { side, values: zeros.clone(), d_sigma: zeros.clone(), d_offset: zeros }
    }

    /// The taps of order `n`, on −R … R.
    ///
    /// # Panics
    ///
    /// If `n` is above the order of the taps.
    pub fn order(&self, n: usize) -> &[f64] {
        &self.values[n * self.side..][..self.side]
    }

    /// All taps, \[N + 1\]\[2R + 1\].
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Their derivatives by σ (per pixel), the radius and the offset held.
    pub fn d_sigma_values(&self) -> &[f64] {
        &self.d_sigma
    }

    /// Their derivatives by the offset (per pixel), the radius and the nearest pixel held.
    pub fn d_offset_values(&self) -> &[f64] {
        &self.d_offset
    }

    /// Turns the normalisation σⁿ into σ^{nγ}.
    fn normalise(&mut self, spec: &TapSpec) {
        for n in 0..=spec.order {
            let power = n as f64 * (spec.gamma - 1.0);
            let factor = libm::pow(spec.sigma, power);
            for k in n * self.side..(n + 1) * self.side {
                self.d_sigma[k] = factor * (self.d_sigma[k] + power / spec.sigma * self.values[k]);
                self.values[k] *= factor;
                self.d_offset[k] *= factor;
            }
        }
    }
}

/// (−1)ⁿ He_n(u) w with u = (t − δ)/σ. The window's logarithmic derivatives are (u² − m₂)/σ by σ and (u − m₁)/σ by δ;
/// normalised, m₁ and m₂ are the moments of the window itself, else those of the whole Gaussian, 0 and 1.
fn sampled(spec: &TapSpec, radius: usize, offset: f64, normalized: bool) -> ShiftedTaps {
    let sigma = spec.sigma;
    let mut taps = ShiftedTaps::zeros(spec.order, radius);
    let position = |k: usize| (k as f64 - radius as f64 - offset) / sigma;
    let mut window: Vec<f64> = (0..taps.side).map(|k| libm::exp(-0.5 * position(k) * position(k))).collect();
    let (total, mean, square) = if normalized {
        let moment = |power: i32| -> f64 {
            // Far out in a very narrow window u² overflows where w has long underflowed to zero.
            let term = |(k, &w): (usize, &f64)| if w > 0.0 { position(k).powi(power) * w } else { 0.0 };
            window.iter().enumerate().map(term).sum()
        };
        let total = moment(0);
        (total, moment(1) / total, moment(2) / total)
    } else {
        (libm::sqrt(TAU) * sigma, 0.0, 1.0)
    };
    window.iter_mut().for_each(|w| *w /= total);
    for (k, &w) in window.iter().enumerate().filter(|&(_, &w)| w > 0.0) {
        let u = position(k);
        let he = hermite_sequence::<ORDERS>(u);
        let mut sign = 1.0;
        for n in 0..=spec.order {
            let lower = if n > 0 { n as f64 * he[n - 1] } else { 0.0 };
            let at = n * taps.side + k;
            taps.values[at] = sign * he[n] * w;
            taps.d_sigma[at] = sign * ((u * u - square) * he[n] - u * lower) * w / sigma;
            taps.d_offset[at] = sign * ((u - mean) * he[n] - lower) * w / sigma;
            sign = -sign;
        }
    }
    taps
}

/// F_n = σⁿ ∫ ∂ⁿG over the pixel: see [`crate::integrated`]. By the heat equation ∂F_n/∂σ = (n F_n + F_{n+2})/σ, and
/// ∂F_n/∂δ = −F_{n+1}/σ.
fn integrated(spec: &TapSpec, radius: usize, offset: f64) -> ShiftedTaps {
    let (sigma, order) = (spec.sigma, spec.order);
    let mut taps = ShiftedTaps::zeros(order, radius);
    let edge = |a: f64| -> [f64; ORDERS] {
        let u = a / sigma;
        let gaussian = libm::exp(-0.5 * u * u) / (libm::sqrt(TAU) * sigma);
        if gaussian == 0.0 {
            return [0.0; ORDERS]; // He_n(u) may have overflowed
        }
        let he = hermite_sequence::<ORDERS>(u);
        std::array::from_fn(|n| if n % 2 == 0 { he[n] * gaussian } else { -he[n] * gaussian })
    };
    // The complement keeps the relative accuracy of the tails, on the side where it is small.
    let between = |left: f64, right: f64| {
        let beyond = |a: f64| 0.5 * libm::erfc(a / (SQRT_2 * sigma));
        if left >= 0.0 {
            beyond(left) - beyond(right)
        } else if right <= 0.0 {
            beyond(-right) - beyond(-left)
        } else {
            0.5 * (libm::erf(right / (SQRT_2 * sigma)) - libm::erf(left / (SQRT_2 * sigma)))
        }
    };
    for k in 0..taps.side {
        let t = k as f64 - radius as f64 - offset;
        let (left, right) = (edge(t - 0.5), edge(t + 0.5));
        let f = |n: usize| match n {
            0 => between(t - 0.5, t + 0.5),
            n => sigma * (right[n - 1] - left[n - 1]),
        };
        for n in 0..=order {
            let at = n * taps.side + k;
            taps.values[at] = f(n);
            taps.d_sigma[at] = (n as f64 * f(n) + f(n + 2)) / sigma;
            taps.d_offset[at] = -f(n + 1) / sigma;
        }
    }
    taps
}
