//! The scales of a layer: who shares them, between which bounds they move, how they are parametrised.

use burn::tensor::Tensor;
use njet_kernels::Sharing;
use serde::{Deserialize, Serialize};
use std::f64::consts::LN_2;
use std::fmt;
use std::str::FromStr;

/// Which channels of a layer share their σ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SigmaSharing {
    /// One σ for the layer.
    #[default]
    Layer,
    /// One for each group of channels.
    Group,
    /// One for each input channel: the filters run before the channels are mixed.
    Input,
    /// One for each output channel: the filters run after the channels are mixed.
    Output,
}

impl SigmaSharing {
    /// Every form.
    pub const ALL: [Self; 4] = [Self::Layer, Self::Group, Self::Input, Self::Output];

    /// The name on the command line and in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Layer => "layer",
            Self::Group => "group",
            Self::Input => "input",
            Self::Output => "output",
        }
    }

    /// How many scales a layer of so many input and output channels in `groups` groups has.
    pub fn sets(self, [channels_in, channels_out]: [usize; 2], groups: usize) -> usize {
        match self {
            Self::Layer => 1,
            Self::Group => groups,
            Self::Input => channels_in,
            Self::Output => channels_out,
        }
    }
}

impl From<SigmaSharing> for Sharing {
    fn from(sharing: SigmaSharing) -> Self {
        match sharing {
            SigmaSharing::Layer => Self::Layer,
            SigmaSharing::Group => Self::Group,
            SigmaSharing::Input => Self::Input,
            SigmaSharing::Output => Self::Output,
        }
    }
}

impl fmt::Display for SigmaSharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no [`SigmaSharing`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SharingError {
    /// Unknown.
    #[error("unknown sharing of sigma `{name}`: known are layer, group, input, output")]
    Unknown {
        /// The name.
        name: String,
    },
    /// Both at once.
    #[error(
        "sigma cannot be one per input and per output channel at once (`{name}`): every pair of channels would need \
         filters of its own, and neither the filters nor the product of channels could come first; choose input or output"
    )]
    Both {
        /// The name.
        name: String,
    },
}

impl FromStr for SigmaSharing {
    type Err = SharingError;
    fn from_str(name: &str) -> Result<Self, SharingError> {
        if name.contains("input") && name.contains("output") {
            return Err(SharingError::Both { name: name.to_owned() });
        }
        let known = Self::ALL.into_iter().find(|sharing| sharing.name() == name);
        known.ok_or_else(|| SharingError::Unknown { name: name.to_owned() })
    }
}

/// The interval in which σ moves, in pixels.
///
/// σ = 2^φ(s) of the parameter s. In the middle of the interval φ(s) = s; within half an octave of a bound (a quarter of
/// the interval, if that is less) it bends, smoothly to second order, and comes near the bound but never there:
///
/// ```text
/// φ(s) = h − w + w·u/√(1 + u²),   u = (s − h + w)/w,   s > h − w,   h = log₂ max,   likewise at the other end
/// ```
///
/// The slope falls as u⁻³, so that a scale that was pushed far past a bound still finds back.
///
/// ```
/// use njet::SigmaBounds;
/// let bounds = SigmaBounds::default();
/// assert_eq!(bounds.sigma(1.0), 2.0);
/// assert!(bounds.sigma(100.0) < 8.0 && bounds.sigma(100.0) > 7.9);
/// assert!((bounds.sigma(bounds.parameter(7.5)) - 7.5).abs() < 1e-9);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigmaBounds {
    /// Lower bound, in pixels.
    pub min: f64,
    /// Upper bound, in pixels.
    pub max: f64,
}

impl Default for SigmaBounds {
    fn default() -> Self {
        Self { min: 0.3, max: 8.0 }
    }
}

/// Parts of a bound within which σ counts as at it.
const AT_BOUND: f64 = 0.02;

impl SigmaBounds {
    /// Whether there is an interval: 0 < min < max, finite.
    pub fn is_interval(&self) -> bool {
        self.min > 0.0 && self.min < self.max && self.max.is_finite()
    }

    /// log₂ of the bounds and the width of the bends.
    fn octaves(&self) -> (f64, f64, f64) {
        let (low, high) = (self.min.log2(), self.max.log2());
        (low, high, (0.25 * (high - low)).min(0.5))
    }

    /// φ(s) and φ′(s).
    fn phi(&self, s: f64) -> (f64, f64) {
        let (low, high, w) = self.octaves();
        let bent = |beyond: f64| {
            let u = beyond / w;
            let root = (1.0 + u * u).sqrt();
            // w·u/root, without ∞/∞ where u is very large.
            (w / (1.0 / (u * u) + 1.0).sqrt(), root.powi(-3))
        };
        if s > high - w {
            let (rise, slope) = bent(s - (high - w));
            (high - w + rise, slope)
        } else if s < low + w {
            let (fall, slope) = bent(low + w - s);
            (low + w - fall, slope)
        } else {
            (s, 1.0)
        }
    }

    /// σ in pixels for the parameter s.
    pub fn sigma(&self, s: f64) -> f64 {
        self.scale(s).sigma
    }

    /// σ and how it moves with s.
    pub fn scale(&self, s: f64) -> Scale {
        let (log2, slope) = self.phi(s);
        let sigma = log2.exp2();
        Scale { sigma, by_parameter: sigma * LN_2 * slope }
    }

    /// The parameter s of a σ in pixels; of one at a bound or past it, infinite.
    pub fn parameter(&self, sigma: f64) -> f64 {
        let (low, high, w) = self.octaves();
        let log2 = sigma.log2();
        // The inverse of w·u/√(1 + u²).
        let unbent = |beyond: f64| {
            let part = (beyond / w).clamp(0.0, 1.0);
            w * part / (1.0 - part * part).sqrt()
        };
        if log2 > high - w {
            high - w + unbent(log2 - (high - w))
        } else if log2 < low + w {
            low + w - unbent(low + w - log2)
        } else {
            log2
        }
    }

    /// The bounds widened so that `sigma` is an octave inside them; as they are if it is inside already.
    pub fn widened_for(&self, sigma: f64) -> Self {
        let inside = self.at(sigma).is_none() && self.contains(sigma);
        if inside {
            return *self;
        }
        Self { min: self.min.min(0.5 * sigma), max: self.max.max(2.0 * sigma) }
    }

    /// Whether σ is strictly between the bounds.
    pub fn contains(&self, sigma: f64) -> bool {
        self.min < sigma && sigma < self.max
    }

    /// The bound at which σ is, if at any: within 2 % of it or past it.
    pub fn at(&self, sigma: f64) -> Option<Bound> {
        if sigma >= self.max * (1.0 - AT_BOUND) {
            Some(Bound::Upper)
        } else if sigma <= self.min * (1.0 + AT_BOUND) {
            Some(Bound::Lower)
        } else {
            None
        }
    }
}

/// One of the two ends of [`SigmaBounds`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The smallest σ.
    Lower,
    /// The largest σ.
    Upper,
}

/// A scale and its derivative by the parameter that is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// σ in pixels.
    pub sigma: f64,
    /// ∂σ/∂s.
    pub by_parameter: f64,
}

impl Scale {
    /// σ = 2^s, without bounds.
    pub fn unbounded(sigma: f64) -> Self {
        Self { sigma, by_parameter: sigma * LN_2 }
    }
}

/// The scales that a tensor of parameters holds, in f64 from the stored values, here and nowhere else: the radius must
/// be the same for everybody. Reads values from the device.
pub(crate) fn scales(parameters: &Tensor<1>, bounds: Option<&SigmaBounds>) -> Vec<Scale> {
    let stored = parameters.clone().into_data();
    let scale = |s: f64| bounds.map_or_else(|| Scale::unbounded(s.exp2()), |bounds| bounds.scale(s));
    stored.iter::<f64>().map(scale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_slope_is_the_derivative_and_sigma_stays_inside(
            min in 0.05..2.0f64, octaves in 0.2..6.0f64, s in -12.0..12.0f64,
        ) {
            let bounds = SigmaBounds { min, max: min * octaves.exp2() };
            let scale = bounds.scale(s);
            prop_assert!(bounds.min <= scale.sigma && scale.sigma <= bounds.max);
            let h = 1e-4;
            let slope = (bounds.sigma(s + h) - bounds.sigma(s - h)) / (2.0 * h);
            prop_assert!((slope - scale.by_parameter).abs() <= 1e-5 * bounds.max);
            prop_assert!(scale.by_parameter > 0.0);
        }

        #[test]
        fn the_parameter_of_a_scale_gives_it_back(part in 0.001..0.999f64, min in 0.05..2.0f64, octaves in 0.2..6.0f64) {
            let bounds = SigmaBounds { min, max: min * octaves.exp2() };
            let sigma = min * (part * octaves).exp2();
            let back = bounds.sigma(bounds.parameter(sigma));
            prop_assert!((back - sigma).abs() <= 1e-9 * sigma, "{back} {sigma}");
        }
    }

    #[test]
    fn in_the_middle_it_is_a_power_of_two() {
        let bounds = SigmaBounds::default();
        for s in [-1.2, -0.5, 0.0, 1.0, 2.4] {
            assert_eq!(bounds.scale(s), Scale::unbounded(s.exp2()));
        }
        assert_eq!(bounds.at(1.0), None);
        assert_eq!(bounds.at(bounds.sigma(9.0)), Some(Bound::Upper));
        assert_eq!(bounds.at(bounds.sigma(-9.0)), Some(Bound::Lower));
    }

    #[test]
    fn bounds_widen_for_what_is_outside() {
        let bounds = SigmaBounds::default();
        assert_eq!(bounds.widened_for(2.0), bounds);
        assert_eq!(bounds.widened_for(10.0), SigmaBounds { min: 0.3, max: 20.0 });
        assert_eq!(bounds.widened_for(0.2), SigmaBounds { min: 0.1, max: 8.0 });
    }

    #[test]
    fn names_and_why_not_both() {
        for sharing in SigmaSharing::ALL {
            assert_eq!(sharing.to_string().parse(), Ok(sharing));
        }
        let both = "input+output".parse::<SigmaSharing>().unwrap_err().to_string();
        assert!(both.contains("every pair of channels would need filters of its own"), "{both}");
        assert!("rows".parse::<SigmaSharing>().unwrap_err().to_string().contains("known are layer, group"));
    }
}
