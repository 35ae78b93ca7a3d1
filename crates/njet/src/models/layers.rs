//! How the N-jet layers of a model are made.

use crate::layer::{NJetConv2dConfig, NJetConvTranspose2dConfig, PaddingMode, SigmaBounds, SigmaSharing};
use njet_basis::Discretisation;
use serde::{Deserialize, Serialize};

/// What all N-jet layers of a model have in common.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LayerSettings {
    /// Order of the N-jet.
    pub order: usize,
    /// Initial σ in pixels.
    pub sigma: f64,
    /// Whether σ is trained.
    pub learn_sigma: bool,
    /// Extent k.
    pub extent: f64,
    /// How the derivatives are sampled.
    pub discretisation: Discretisation,
    /// Which channels of a layer share their σ.
    pub sharing: SigmaSharing,
    /// Whether σ along y and along x are trained apart.
    pub separate_axes: bool,
    /// Between which bounds σ moves, in pixels.
    pub bounds: SigmaBounds,
    /// What surrounds the images.
    pub padding_mode: PaddingMode,
}

impl Default for LayerSettings {
    /// Order 2, σ = 1 learned, extent 4.
    fn default() -> Self {
        Self {
            order: 2,
            sigma: 1.0,
            learn_sigma: true,
            extent: 4.0,
            discretisation: Discretisation::NormalizedSampled,
            sharing: SigmaSharing::Layer,
            separate_axes: false,
            bounds: SigmaBounds::default(),
            padding_mode: PaddingMode::Zeros,
        }
    }
}

impl LayerSettings {
    /// A layer without bias.
    pub(super) fn config(&self, channels: [usize; 2]) -> NJetConv2dConfig {
        NJetConv2dConfig::new(channels)
            .with_order(self.order)
            .with_sigma(self.sigma)
            .with_learn_sigma(self.learn_sigma)
            .with_extent(self.extent)
            .with_discretisation(self.discretisation)
            .with_sharing(self.sharing)
            .with_separate_axes(self.separate_axes)
            .with_bounds(self.bounds)
            .with_padding_mode(self.padding_mode)
            .with_bias(false)
    }

    /// A transposed layer without bias.
    pub(super) fn transposed(&self, channels: [usize; 2]) -> NJetConvTranspose2dConfig {
        NJetConvTranspose2dConfig::new(channels)
            .with_order(self.order)
            .with_sigma(self.sigma)
            .with_learn_sigma(self.learn_sigma)
            .with_extent(self.extent)
            .with_discretisation(self.discretisation)
            .with_sharing(self.sharing)
            .with_separate_axes(self.separate_axes)
            .with_bounds(self.bounds)
            .with_bias(false)
    }
}
