//! How a continuous Gaussian becomes taps.

use std::fmt;
use std::str::FromStr;

use crate::BasisError;

/// How the derivatives of the Gaussian are put on the pixel grid (Lindeberg 1990, 1994).
///
/// Written and parsed by its kebab-case name:
///
/// ```
/// use njet_basis::Discretisation;
///
/// assert_eq!("integrated".parse(), Ok(Discretisation::Integrated));
/// assert_eq!(Discretisation::default().to_string(), "normalized-sampled");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum Discretisation {
    /// (−1)ⁿ He_n(t/σ) Ĝ(t), with Ĝ the sampled Gaussian divided by its sum over the taps (Pintea et al. 2021).
    #[default]
    NormalizedSampled,
    /// (−1)ⁿ He_n(t/σ) G(t), with G(t) = exp(−t²/2σ²)/(√(2π) σ): samples of the true derivative.
    Sampled,
    /// The derivative averaged over each pixel: σⁿ ∫ ∂ⁿG over [t − ½, t + ½].
    Integrated,
    /// Central differences of the discrete analogue of the Gaussian, e^{−σ²} I_t(σ²) (Lindeberg 1990).
    ///
    /// A scale-space on the grid itself: it stays exact below σ = 0.8, where sampling breaks down.
    DiscreteAnalogue,
}

impl Discretisation {
    /// All of them, the default first.
    pub const ALL: [Self; 4] = [Self::NormalizedSampled, Self::Sampled, Self::Integrated, Self::DiscreteAnalogue];

    /// The kebab-case name, as written and parsed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NormalizedSampled => "normalized-sampled",
            Self::Sampled => "sampled",
            Self::Integrated => "integrated",
            Self::DiscreteAnalogue => "discrete-analogue",
        }
    }

    pub(crate) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl fmt::Display for Discretisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Discretisation {
    type Err = BasisError;

    fn from_str(name: &str) -> Result<Self, BasisError> {
        let found = Self::ALL.into_iter().find(|discretisation| discretisation.name() == name);
        found.ok_or_else(|| BasisError::UnknownDiscretisation { name: name.to_owned() })
    }
}
