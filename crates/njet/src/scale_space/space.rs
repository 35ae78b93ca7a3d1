//! Derivatives of an image at a scale.

use super::error::ScaleSpaceError;
use super::filters::{Filtering, filtering};
use super::invariant::Invariant;
use crate::layer::PaddingMode;
use njet_basis::{Discretisation, JetIndex, TapSpec, Taps, basis_len};
use njet_kernels::engine::{self, Options};
use njet_kernels::{Forward, Taps as TapSlices};
use std::borrow::Cow;

/// The shortest extent of a derivative map. Cut at 2σ, as published layers are, a constant has a Laplacian.
pub const LEAST_EXTENT: f64 = 4.0;

/// How an image is filtered, and continued beyond its border.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScaleSpaceConfig {
    /// What surrounds the image: the nearest pixel by default, which makes no edge.
    pub padding_mode: PaddingMode,
    /// Where the filters are cut, in units of σ: 5 by default, [`LEAST_EXTENT`] at least.
    pub extent: f64,
    /// How the derivatives are put on the grid. By default the discrete analogue of the Gaussian, which is right at any σ;
    /// the sampled ones of the layers are off by a seventh at σ = 0.5.
    pub discretisation: Discretisation,
    /// The power of the scale normalisation: derivatives of order n are those per pixel times σ^{nγ}. 1 by default; 0 leaves
    /// them as they are.
    pub gamma: f64,
}

impl Default for ScaleSpaceConfig {
    fn default() -> Self {
        Self {
            padding_mode: PaddingMode::Replicate,
            extent: 5.0,
            discretisation: Discretisation::DiscreteAnalogue,
            gamma: 1.0,
        }
    }
}

/// An image, and how it is filtered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScaleSpace<'a> {
    image: &'a [f32],
    size: [usize; 2],
    config: ScaleSpaceConfig,
}

impl<'a> ScaleSpace<'a> {
    /// Of an image `[height, width]`, row-major.
    ///
    /// # Errors
    /// A slice of another length, or of none; an extent below [`LEAST_EXTENT`].
    pub fn new(image: &'a [f32], size: [usize; 2], config: ScaleSpaceConfig) -> Result<Self, ScaleSpaceError> {
        let [height, width] = size;
        if height.checked_mul(width).filter(|&pixels| pixels > 0) != Some(image.len()) {
            return Err(ScaleSpaceError::Image { height, width, got: image.len() });
        }
        if config.extent.is_nan() || config.extent < LEAST_EXTENT {
            return Err(ScaleSpaceError::Extent { extent: config.extent });
        }
        Ok(Self { image, size, config })
    }

    /// `[height, width]` in pixels.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// The same image with another power of the scale normalisation.
    pub(super) fn with_gamma(self, gamma: f64) -> Self {
        Self { config: ScaleSpaceConfig { gamma, ..self.config }, ..self }
    }

    fn taps(&self, sigma: f64, order: usize) -> Result<Taps, ScaleSpaceError> {
        let ScaleSpaceConfig { extent, discretisation, gamma, .. } = self.config;
        let spec = TapSpec::new(sigma, extent, order).with_discretisation(discretisation).with_gamma(gamma);
        // On the grid a Gaussian of less than a pixel has longer tails than its σ says: cut at 5σ, Lxx is off by 0.4 % at
        // σ = 0.5.
        let radius = spec.radius().max(TapSpec { sigma: 1.0, ..spec }.radius());
        let taps = Taps::with_radius(&spec, radius);
        let taps = taps.map_err(|source| ScaleSpaceError::Filters { sigma, extent, source })?;
        match (0..=order).flat_map(|n| taps.order(n)).all(|&tap| (tap as f32).is_finite()) {
            true => Ok(taps),
            false => Err(ScaleSpaceError::Overflow { sigma, gamma }),
        }
    }

    /// Checks that derivatives up to `order` at `sigma` (pixels) can be made.
    ///
    /// # Errors
    /// As for [`derivatives`](Self::derivatives).
    pub fn check(&self, sigma: f64, order: usize) -> Result<(), ScaleSpaceError> {
        self.taps(sigma, order).map(|_| ())
    }

    /// The derivatives that are `wanted`, at `sigma` in pixels, each `[height, width]`, with the sign of the true derivative.
    ///
    /// # Errors
    /// σ out of range or so large that its filters are; an order above 10; a γ that takes values beyond single precision.
    pub fn derivatives(&self, sigma: f64, wanted: &[JetIndex]) -> Result<Vec<Vec<f32>>, ScaleSpaceError> {
        let order = wanted.iter().map(|index| index.degree()).max().unwrap_or(0);
        let taps = self.taps(sigma, order)?;
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        // A correlation answers to odd orders with the sign turned.
        let mut alpha = vec![0.0; wanted.len() * basis_len(order)];
        for (row, index) in alpha.chunks_exact_mut(basis_len(order)).zip(wanted) {
            row[index.position()] = if index.degree() % 2 == 0 { 1.0 } else { -1.0 };
        }
        let Filtering { geometry, taps, extended } =
            filtering(&taps, self.size, self.config.padding_mode, wanted.len())?;
        let image = match extended {
            Some((border, margins)) => Cow::Owned(border.extend(self.image, self.size, margins)),
            None => Cow::Borrowed(self.image),
        };
        let call =
            Forward { taps: TapSlices { y: &taps[0], x: &taps[1] }, alpha: &alpha, bias: None, x: image.as_ref() };
        let maps = engine::forward(&geometry, &call, Options::default())?;
        self.held(sigma, &maps)?;
        Ok(maps.chunks_exact(self.image.len()).map(<[f32]>::to_vec).collect())
    }

    /// Checks that values made of a finite image are finite.
    fn held(&self, sigma: f64, values: &[f32]) -> Result<(), ScaleSpaceError> {
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        match finite(values) || !finite(self.image) {
            true => Ok(()),
            false => Err(ScaleSpaceError::Overflow { sigma, gamma: self.config.gamma }),
        }
    }

    /// An invariant at `sigma` in pixels: `[height, width]`.
    ///
    /// # Errors
    /// As for [`derivatives`](Self::derivatives).
    pub fn invariant(&self, sigma: f64, invariant: Invariant) -> Result<Vec<f32>, ScaleSpaceError> {
        let maps = self.derivatives(sigma, invariant.derivatives())?;
        let map = invariant.of(&maps);
        self.held(sigma, &map)?;
        Ok(map)
    }
}
