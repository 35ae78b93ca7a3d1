//! The taps along one axis and their exact derivative by scale.

use crate::{BasisError, Discretisation, MAX_ORDER, MAX_RADIUS, Real, discrete_analogue, integrated, radius, sampled};

/// Orders needed to differentiate order [`MAX_ORDER`] by σ: the heat equation asks for two more.
pub(crate) const HEAT_ORDERS: usize = MAX_ORDER + 3;

/// What to build: the scale, the reach, the highest derivative and how to put it on the grid.
///
/// ```
/// use njet_basis::{Discretisation, TapSpec};
///
/// let spec = TapSpec::new(2.0, 4.0, 3).with_discretisation(Discretisation::Integrated);
/// assert_eq!(spec.radius(), 9);
/// assert_eq!(spec.gamma, 1.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TapSpec {
    /// The scale σ, in pixels.
    pub sigma: f64,
    /// The extent k: where the filter is cut, in units of σ.
    pub extent: f64,
    /// The highest derivative order N, 0 to [`MAX_ORDER`].
    pub order: usize,
    /// How the derivatives are put on the grid.
    pub discretisation: Discretisation,
    /// The power γ of the scale normalisation σ^{nγ} (Lindeberg 1998). 1 makes the filters scale-invariant.
    pub gamma: f64,
}

impl TapSpec {
    /// Normalised sampled derivatives up to `order` at scale `sigma` (pixels), cut at `extent`·σ, with γ = 1.
    pub const fn new(sigma: f64, extent: f64, order: usize) -> Self {
        Self { sigma, extent, order, discretisation: Discretisation::NormalizedSampled, gamma: 1.0 }
    }

    /// Chooses the discretisation.
    pub const fn with_discretisation(mut self, discretisation: Discretisation) -> Self {
        self.discretisation = discretisation;
        self
    }

    /// Chooses the power γ of the scale normalisation.
    pub const fn with_gamma(mut self, gamma: f64) -> Self {
        self.gamma = gamma;
        self
    }

    /// The radius R that follows from σ and the extent, in pixels: see [`radius`](crate::radius()).
    pub fn radius(&self) -> usize {
        radius(self.sigma, self.extent)
    }

    /// Checks every field.
    ///
    /// # Errors
    ///
    /// The first field that is out of range.
    pub fn validate(&self) -> Result<(), BasisError> {
        let Self { sigma, extent, order, gamma, .. } = *self;
        if order > MAX_ORDER {
            return Err(BasisError::Order { order });
        }
        if !(sigma > 0.0 && sigma <= MAX_RADIUS as f64) {
            return Err(BasisError::Sigma { sigma });
        }
        if !(extent > 0.0 && extent.is_finite()) {
            return Err(BasisError::Extent { extent });
        }
        if !gamma.is_finite() {
            return Err(BasisError::Gamma { gamma });
        }
        Ok(())
    }
}

/// The taps g_0 … g_N of one axis on −R … R, and their derivative by σ.
///
/// Order n approximates σⁿ ∂ⁿG/∂tⁿ (times σ^{n(γ−1)}), in the order of rising t: used as a correlation, as every
/// convolution layer does, an odd order answers with the sign of the derivative reversed. Even orders are exactly
/// symmetric and odd orders exactly antisymmetric.
///
/// The derivative by σ holds R fixed. R jumps as σ grows, and is a constant for a gradient.
///
/// ```
/// use njet_basis::{TapSpec, Taps};
///
/// let spec = TapSpec::new(1.0, 2.0, 1);
/// let taps = Taps::new(&spec)?;
/// assert_eq!((taps.radius(), taps.side()), (3, 7));
/// assert_eq!(taps.order(1)[3], 0.0);
///
/// // A small step in σ, with the radius held.
/// let wider = Taps::with_radius(&TapSpec { sigma: 1.0 + 1e-6, ..spec }, taps.radius())?;
/// let slope = (wider.order(0)[3] - taps.order(0)[3]) / 1e-6;
/// assert!((slope - taps.d_sigma(0)[3]).abs() < 1e-5);
/// # Ok::<(), njet_basis::BasisError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Taps {
    sigma: f64,
    order: usize,
    radius: usize,
    values: Vec<f64>,
    d_sigma: Vec<f64>,
}

impl Taps {
    /// Builds the taps, with the radius that follows from σ and the extent.
    ///
    /// # Errors
    ///
    /// If a field of `spec` is out of range, or the radius is beyond [`MAX_RADIUS`].
    pub fn new(spec: &TapSpec) -> Result<Self, BasisError> {
        Self::with_radius(spec, spec.radius())
    }

    /// Builds the taps on −`radius` … `radius` (pixels), whatever the extent says.
    ///
    /// # Errors
    ///
    /// If a field of `spec` is out of range, or `radius` is 0 or beyond [`MAX_RADIUS`].
    pub fn with_radius(spec: &TapSpec, radius: usize) -> Result<Self, BasisError> {
        spec.validate()?;
        if !(1..=MAX_RADIUS).contains(&radius) {
            return Err(BasisError::Radius { radius });
        }
        let TapSpec { sigma, order, .. } = *spec;
        let mut half = match spec.discretisation {
            Discretisation::NormalizedSampled => sampled::half_taps(sigma, order, radius, true),
            Discretisation::Sampled => sampled::half_taps(sigma, order, radius, false),
            Discretisation::Integrated => HalfTaps::by_heat(integrated::derivatives(sigma, order + 3, radius), sigma),
            Discretisation::DiscreteAnalogue => {
                HalfTaps::by_heat(discrete_analogue::derivatives(sigma, order + 3, radius), sigma)
            }
        };
        if spec.gamma != 1.0 {
            half.normalise(sigma, spec.gamma);
        }
        Ok(Self { sigma, order, radius, values: mirror(&half.values), d_sigma: mirror(&half.d_sigma) })
    }

    /// The scale σ these taps were built for, in pixels.
    pub fn sigma(&self) -> f64 {
        self.sigma
    }

    /// The highest derivative order N.
    pub fn max_order(&self) -> usize {
        self.order
    }

    /// The radius R, in pixels.
    pub fn radius(&self) -> usize {
        self.radius
    }

    /// The number of taps, 2R + 1.
    pub fn side(&self) -> usize {
        2 * self.radius + 1
    }

    /// The taps of order `n`, on −R … R.
    ///
    /// # Panics
    ///
    /// If `n` is above [`max_order`](Self::max_order).
    pub fn order(&self, n: usize) -> &[f64] {
        row(&self.values, n, self.side())
    }

    /// The derivative by σ (per pixel) of the taps of order `n`, with the radius held.
    ///
    /// # Panics
    ///
    /// If `n` is above [`max_order`](Self::max_order).
    pub fn d_sigma(&self, n: usize) -> &[f64] {
        row(&self.d_sigma, n, self.side())
    }

    /// All taps, \[N + 1\]\[2R + 1\].
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// All derivatives by σ, \[N + 1\]\[2R + 1\].
    pub fn d_sigma_values(&self) -> &[f64] {
        &self.d_sigma
    }

    /// [`values`](Self::values) rounded to `T`.
    pub fn values_as<T: Real>(&self) -> Vec<T> {
        self.values.iter().map(|&value| T::from_f64(value)).collect()
    }

    /// [`d_sigma_values`](Self::d_sigma_values) rounded to `T`.
    pub fn d_sigma_as<T: Real>(&self) -> Vec<T> {
        self.d_sigma.iter().map(|&value| T::from_f64(value)).collect()
    }
}

fn row(table: &[f64], n: usize, side: usize) -> &[f64] {
    &table[n * side..(n + 1) * side]
}

/// The taps 0 … R of every order at γ = 1; the other half follows by parity.
pub(crate) struct HalfTaps {
    pub values: Vec<Vec<f64>>,
    pub d_sigma: Vec<Vec<f64>>,
}

impl HalfTaps {
    pub fn zeros(order: usize, radius: usize) -> Self {
        let zeros = vec![vec![0.0; radius + 1]; order + 1];
        Self { values: zeros.clone(), d_sigma: zeros }
    }

    /// From the derivatives F_n = σⁿ ∂ⁿT, n = 0 … N + 2, of a kernel that obeys the heat equation ∂T/∂σ = σ ∂²T:
    /// differentiating σⁿ ∂ⁿT by σ gives (n F_n + F_{n+2})/σ.
    fn by_heat(mut derivatives: Vec<Vec<f64>>, sigma: f64) -> Self {
        let order = derivatives.len() - 3;
        let d_sigma = (0..=order)
            .map(|n| {
                let pairs = derivatives[n].iter().zip(&derivatives[n + 2]);
                pairs.map(|(same, higher)| (n as f64 * same + higher) / sigma).collect()
            })
            .collect();
        derivatives.truncate(order + 1);
        Self { values: derivatives, d_sigma }
    }

    /// Turns the normalisation σⁿ into σ^{nγ}.
    fn normalise(&mut self, sigma: f64, gamma: f64) {
        for (n, (values, d_sigma)) in self.values.iter_mut().zip(&mut self.d_sigma).enumerate() {
            let power = n as f64 * (gamma - 1.0);
            let factor = libm::pow(sigma, power);
            for (value, derivative) in values.iter_mut().zip(d_sigma) {
                *derivative = factor * (*derivative + power / sigma * *value);
                *value *= factor;
            }
        }
    }
}

/// −R … R from 0 … R: even orders mirrored, odd orders with the sign turned and exactly zero at the centre.
fn mirror(half: &[Vec<f64>]) -> Vec<f64> {
    let mut full = Vec::with_capacity(half.iter().map(|row| 2 * row.len() - 1).sum());
    for (n, row) in half.iter().enumerate() {
        let (centre, sign) = if n % 2 == 0 { (row[0], 1.0) } else { (0.0, -1.0) };
        full.extend(row[1..].iter().rev().map(|value| sign * value));
        full.push(centre);
        full.extend_from_slice(&row[1..]);
    }
    full
}
