//! Where the outputs of a layer stand: fixed strides, real ones, and those that follow σ.

use serde::{Deserialize, Serialize};

/// Distance between neighbouring outputs, in input pixels along y and x.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stride {
    /// Whole pixels, from the border on, as in every convolution.
    Fixed([usize; 2]),
    /// Any positive number of pixels, about the centre of the image. Below 1 there are more outputs than inputs.
    Real([f64; 2]),
    /// Safe subsampling: f = max(1, σ/r) pixels, real, along each axis, from the smallest σ of the layer. A Gaussian of
    /// scale σ leaves nothing between pixels σ/r apart that r decides is worth keeping, so nothing is lost that the
    /// filters had not removed; and as σ is learned, so is the stride.
    Safe {
        /// Outputs for each σ: 1 keeps them σ apart; larger values are safer and slower.
        ratio: f64,
    },
    /// The published form (Pintea et al. 2021), for comparison: the *input* is resampled by its nearest pixels before
    /// the layer, and no gradient flows through the factor.
    Nearest {
        /// The factor.
        rule: NearestRule,
        /// Its r.
        ratio: f64,
    },
}

/// The factor by which [`Stride::Nearest`] shrinks its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NearestRule {
    /// max(1, 2^σ/r).
    PowerOfSigma,
    /// max(1, σ/r).
    Sigma,
}

impl Default for Stride {
    fn default() -> Self {
        Self::Fixed([1, 1])
    }
}

impl From<[usize; 2]> for Stride {
    fn from(stride: [usize; 2]) -> Self {
        Self::Fixed(stride)
    }
}

/// The extent from which on the factor of [`Stride::Safe`] has a gradient. Below, the cut of the Gaussian makes its
/// derivative wrong by tens of per cent, and the factor is a constant.
pub const SMOOTH_EXTENT: f64 = 4.0;

/// What a stride comes to at the present σ, along one axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Step {
    Whole(usize),
    Real {
        factor: f64,
        /// ∂f/∂σ of the smallest scale.
        by_sigma: f64,
    },
}

impl Stride {
    /// Along `axis` (0: y, 1: x), for the smallest `sigma` of that axis.
    pub(crate) fn step(&self, axis: usize, sigma: f64, extent: f64) -> Step {
        match *self {
            Self::Fixed(stride) => Step::Whole(stride[axis]),
            Self::Real(stride) => Step::Real { factor: stride[axis], by_sigma: 0.0 },
            Self::Safe { ratio } => {
                let grows = sigma > ratio;
                let by_sigma = if grows && extent >= SMOOTH_EXTENT { 1.0 / ratio } else { 0.0 };
                Step::Real { factor: if grows { sigma / ratio } else { 1.0 }, by_sigma }
            }
            // The input was resampled before.
            Self::Nearest { .. } => Step::Whole(1),
        }
    }

    /// The factor by which the input shrinks before the layer, where it does.
    pub(crate) fn nearest_factor(&self, sigma: f64) -> Option<f64> {
        match *self {
            Self::Nearest { rule, ratio } => Some(match rule {
                NearestRule::PowerOfSigma => (sigma.exp2() / ratio).max(1.0),
                NearestRule::Sigma => (sigma / ratio).max(1.0),
            }),
            _ => None,
        }
    }

    /// Why it is no stride, if it is none.
    pub(crate) fn problem(&self) -> Option<String> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        match *self {
            Self::Fixed(_) => None,
            Self::Real(stride) if stride.into_iter().all(positive) => None,
            Self::Real(stride) => Some(format!("the stride {stride:?} is not made of positive numbers of pixels")),
            Self::Safe { ratio } | Self::Nearest { ratio, .. } if positive(ratio) => None,
            Self::Safe { ratio } | Self::Nearest { ratio, .. } => {
                Some(format!("the ratio {ratio} of the stride must be a positive number"))
            }
        }
    }
}

/// Outputs `factor` pixels apart that `pixels` have room for: ⌊(n − 1)/f⌋ + 1. A hair of slack, so that rounding does
/// not lose the last one.
pub(crate) fn outputs(pixels: usize, factor: f64) -> usize {
    ((pixels.max(1) - 1) as f64 / factor * (1.0 + 1e-9)).floor() as usize + 1
}

/// The pixels that nearest-neighbour resampling by `factor` keeps.
pub(crate) fn nearest_pixels(pixels: usize, factor: f64) -> Vec<usize> {
    let kept = ((pixels as f64 / factor * (1.0 + 1e-9)).floor() as usize).max(1);
    (0..kept).map(|p| ((p as f64 * factor) as usize).min(pixels - 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(outputs(9, 2.0), 5);
        assert_eq!(outputs(9, 0.6 / 0.3), 5);
        assert_eq!(outputs(10, 2.0), 5);
        assert_eq!(outputs(10, 2.5), 4);
        assert_eq!(outputs(1, 7.0), 1);
        assert_eq!(outputs(5, 0.5), 9);
        assert_eq!(nearest_pixels(6, 2.0), [0, 2, 4]);
        assert_eq!(nearest_pixels(5, 1.7), [0, 1]);
        assert_eq!(nearest_pixels(3, 9.0), [0]);
        assert_eq!(nearest_pixels(4, 1.0), [0, 1, 2, 3]);
    }

    #[test]
    fn safe_strides_follow_sigma_where_it_is_large() {
        let safe = Stride::Safe { ratio: 1.5 };
        assert_eq!(safe.step(0, 1.0, 4.0), Step::Real { factor: 1.0, by_sigma: 0.0 });
        assert_eq!(safe.step(0, 3.0, 4.0), Step::Real { factor: 2.0, by_sigma: 1.0 / 1.5 });
        assert_eq!(safe.step(0, 3.0, 2.0), Step::Real { factor: 2.0, by_sigma: 0.0 });
        let nearest = |rule| Stride::Nearest { rule, ratio: 2.0 }.nearest_factor(3.0);
        assert_eq!(nearest(NearestRule::Sigma), Some(1.5));
        assert_eq!(nearest(NearestRule::PowerOfSigma), Some(4.0));
        assert_eq!(safe.nearest_factor(3.0), None);
    }
}
