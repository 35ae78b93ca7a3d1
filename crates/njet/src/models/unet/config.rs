//! From the settings of a U-Net to the network.

use super::up::{Coefficients, Up, UpKind};
use super::{ACTIVATION, UNet};
use crate::layer::{Initializer, LayerWarning, NJetConv2dConfig, SigmaSharing, Stride};
use crate::models::architecture::{LayerKind, Subsampling};
use crate::models::block::{Block, Convolution};
use crate::models::config::{ModelError, plain};
use crate::models::layers::LayerSettings;
use burn::nn::BatchNormConfig;
use burn::nn::conv::Conv2dConfig;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// Side of the plain windows, as published.
const SIDE: usize = 3;

/// Everything that decides a U-Net.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct UNetConfig {
    /// What its spatial layers are.
    pub layer: LayerKind,
    /// How images become smaller and larger: [`Subsampling::Strides`] is pooling and transposed layers of stride 2.
    pub subsampling: Subsampling,
    /// Channels at each resolution, from the full one to the bottom: one number more than there are steps.
    pub widths: Vec<usize>,
    /// Convolutions at each resolution on the way down.
    pub convolutions: Vec<usize>,
    /// Convolutions after each step up, from the highest resolution to which the steps lead; `None`: the usual ones. With
    /// fewer steps than on the way down the head sees a lower resolution than the image's. Safe subsampling has as many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<Vec<usize>>,
    /// Weight of the losses at the lower resolutions beside that at the full one; 0: none. Safe subsampling has none: its
    /// resolutions are no whole parts of the image's.
    pub deep_supervision: f64,
    /// Channels of the input.
    pub channels: usize,
    /// Classes.
    pub classes: usize,
    /// The r of safe subsampling: outputs for each σ.
    pub safe_ratio: f64,
    /// The N-jet layers.
    pub njet: LayerSettings,
}

/// More steps, channels or convolutions are mistakes.
const MOST_STEPS: usize = 8;
const MOST_CHANNELS: usize = 4096;
const MOST_CONVOLUTIONS: usize = 64;

/// Usual weight of the losses at lower resolutions.
const DEEP_SUPERVISION: f64 = 0.3;

/// Usual channels: few at the full resolution, where each costs most.
const WIDTHS: [usize; 4] = [32, 48, 96, 128];

/// Usual convolutions at the resolutions on the way down.
const DOWN: [usize; 4] = [1, 3, 4, 3];

/// Where a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It sees the image.
    First,
    /// The first after a step down.
    Below,
    /// It has another before it at its resolution.
    Within,
}

impl UNetConfig {
    /// N-jet layers of order 2, extent 2 and σ = 1 learned; 32, 48, 96 and 128 channels at four resolutions.
    pub fn new(channels: usize, classes: usize) -> Self {
        Self {
            layer: LayerKind::Njet,
            subsampling: Subsampling::Strides,
            widths: WIDTHS.to_vec(),
            convolutions: DOWN.to_vec(),
            up: None,
            deep_supervision: DEEP_SUPERVISION,
            channels,
            classes,
            safe_ratio: 1.0,
            njet: LayerSettings { extent: Self::usual_extent(Subsampling::Strides), ..LayerSettings::default() },
        }
    }

    /// The usual extent of the filters: that of the publication, which learns as much as 4 and trains a tenth faster; 4 where
    /// strides follow σ, whose gradient a cut Gaussian makes wrong.
    pub const fn usual_extent(subsampling: Subsampling) -> f64 {
        match subsampling {
            Subsampling::Safe => 4.0,
            Subsampling::Strides | Subsampling::None => 2.0,
        }
    }

    /// The usual convolutions on the way down for so many resolutions: the bottom's again where there are more.
    pub fn usual_convolutions(resolutions: usize) -> Vec<usize> {
        (0..resolutions).map(|level| DOWN[level.min(DOWN.len() - 1)]).collect()
    }

    /// The convolutions after each step up, from the highest resolution. By default the way up ends at half the resolution
    /// of the image, where there are more than two, and has a convolution at each resolution below that; with safe
    /// subsampling one at each.
    pub fn up(&self) -> Vec<usize> {
        if let Some(up) = &self.up {
            return up.clone();
        }
        let steps = self.widths.len().saturating_sub(1);
        if self.subsampling == Subsampling::Safe || steps < 2 {
            return vec![1; steps];
        }
        (0..steps - 1).map(|level| usize::from(level > 0)).collect()
    }

    fn supervises_deep(&self) -> bool {
        self.deep_supervision > 0.0 && self.subsampling == Subsampling::Strides
    }

    /// The ways that images become smaller which a U-Net cannot have, and other settings that make no network.
    fn check(&self) -> Result<(), ModelError> {
        let Self { channels, classes, ref widths, ref convolutions, .. } = *self;
        if channels == 0 || classes < 2 {
            return Err(ModelError::Empty { channels, classes });
        }
        if !(self.deep_supervision.is_finite() && self.deep_supervision >= 0.0) {
            return Err(ModelError::DeepSupervision(self.deep_supervision));
        }
        let between = |what, value, most| match (1..=most).contains(&value) {
            true => Ok(()),
            false => Err(ModelError::UNet { what, value, least: 1, most }),
        };
        between("the number of steps", widths.len().saturating_sub(1), MOST_STEPS)?;
        if convolutions.len() != widths.len() {
            return Err(ModelError::Resolutions { widths: widths.len(), convolutions: convolutions.len() });
        }
        widths.iter().try_for_each(|&width| between("a number of channels", width, MOST_CHANNELS))?;
        convolutions.iter().try_for_each(|&count| between("a number of convolutions", count, MOST_CONVOLUTIONS))?;
        let (up, steps) = (self.up(), widths.len() - 1);
        let least = if self.subsampling == Subsampling::Safe { steps } else { 1 };
        if !(least..=steps).contains(&up.len()) {
            return Err(ModelError::StepsUp { up: up.len(), least, most: steps });
        }
        if let Some(&value) = up.iter().find(|&&count| count > MOST_CONVOLUTIONS) {
            let what = "a number of convolutions after a step up";
            return Err(ModelError::UNet { what, value, least: 0, most: MOST_CONVOLUTIONS });
        }
        between("the number of outputs of the head", self.classes << (2 * (steps - up.len())), MOST_CHANNELS)?;
        match (self.subsampling, self.layer, self.njet.sharing) {
            (Subsampling::None, ..) => Err(ModelError::NoSubsampling),
            (Subsampling::Safe, LayerKind::Conv, _) => Err(ModelError::SafePlain),
            (Subsampling::Safe, _, sharing @ (SigmaSharing::Input | SigmaSharing::Output)) => {
                Err(ModelError::SafeSharing { sharing })
            }
            _ => Ok(()),
        }
    }

    /// Creates the network with random parameters. Batch normalisation follows every convolution on
    /// the way down and after a step up, and stands before the last one.
    ///
    /// # Errors
    /// Settings of the N-jet layers out of range; no subsampling; safe subsampling with plain layers or with scales of single
    /// channels; no input channels; fewer than two classes; steps, channels or convolutions out of range, or not one of
    /// each for each resolution.
    pub fn init(&self, device: &Device) -> Result<UNet, ModelError> {
        self.check()?;
        let mut blocks = Vec::new();
        let mut inputs = self.channels;
        for (level, (&channels, &count)) in self.widths.iter().zip(&self.convolutions).enumerate() {
            for number in 1..=count {
                let place = match (level, number) {
                    (0, 1) => Place::First,
                    (1.., 1) => Place::Below,
                    _ => Place::Within,
                };
                blocks.push(self.block(format!("down{level}.conv{number}"), [inputs, channels], place, device)?);
                inputs = channels;
            }
        }
        let mut ups = Vec::new();
        let mut up = self.up();
        // The resolution that the head sees.
        let last = self.widths.len() - 1 - up.len();
        for (level, &count) in up.iter().enumerate().rev() {
            let level = last + level;
            ups.push(Up { name: format!("up{level}.step"), kind: self.step(level, device)? });
            for number in 1..=count {
                let channels = [self.widths[level]; 2];
                blocks.push(self.block(format!("up{level}.conv{number}"), channels, Place::Within, device)?);
            }
        }
        up.reverse();
        let logits = |&channels: &usize| Conv2dConfig::new([channels, self.classes], [1, 1]).init(device);
        let lower = if self.supervises_deep() { &self.widths[last + 1..] } else { &[] };
        let deep = lower.iter().rev().map(logits).collect();
        let head = Conv2dConfig::new([self.widths[last], self.classes << (2 * last)], [1, 1]).init(device);
        let norm = BatchNormConfig::new(self.widths[last]).init(device);
        let (convolutions, subsampling) = (self.convolutions.clone(), self.subsampling);
        Ok(UNet { blocks, ups, norm, head, deep, convolutions, up, subsampling })
    }

    fn block(
        &self,
        name: String,
        [inputs, outputs]: [usize; 2],
        place: Place,
        device: &Device,
    ) -> Result<Block, ModelError> {
        let smaller = place == Place::Below && self.subsampling == Subsampling::Safe;
        let convolution = match self.layer {
            LayerKind::Conv => Convolution::Conv(plain([inputs, outputs], SIDE).init(device)),
            LayerKind::Njet => {
                let config =
                    if smaller { self.smaller([inputs, outputs]) } else { self.njet.config([inputs, outputs]) };
                let config = config.with_initializer(Initializer::Preserving { after_relu: place != Place::First });
                let layer = config.try_init(device);
                Convolution::Njet(layer.map_err(|source| ModelError::Layer { name: name.clone(), source })?)
            }
        };
        Ok(Block {
            name,
            convolution,
            norm: BatchNormConfig::new(outputs).init(device),
            activation: ACTIVATION,
            gate: None,
            pool: None,
            dropout: None,
            stochastic_depth: None,
            residual: inputs == outputs && !smaller && place != Place::First,
        })
    }

    /// The first layer after a step down. A safe stride starts at 2, as that of the pooling.
    fn smaller(&self, channels: [usize; 2]) -> NJetConv2dConfig {
        let config = self.njet.config(channels);
        match self.subsampling {
            Subsampling::Safe => config
                .with_sigma(2.0 * self.njet.sigma.max(1.0) * self.safe_ratio)
                .with_stride(Stride::Safe { ratio: self.safe_ratio }),
            Subsampling::Strides | Subsampling::None => config,
        }
    }

    /// The step up to a resolution.
    fn step(&self, level: usize, device: &Device) -> Result<UpKind, ModelError> {
        let channels = [self.widths[level + 1], self.widths[level]];
        if self.layer == LayerKind::Conv {
            return Ok(UpKind::Conv(plain([channels[0], 4 * channels[1]], 1).init(device)));
        }
        let safe = self.subsampling == Subsampling::Safe;
        let config = self.njet.transposed(channels);
        let config = if safe {
            // Only its coefficients are kept.
            let down = self.smaller([channels[1], channels[0]]);
            config.with_sigma(down.sigma).with_stride(down.stride_rule)
        } else {
            config.with_stride([2, 2])
        };
        let layer = config.try_init(device);
        let layer = layer.map_err(|source| ModelError::Layer { name: format!("up{level}.step"), source })?;
        Ok(if safe { UpKind::Safe(Coefficients { alpha: layer.convolution.alpha }) } else { UpKind::Njet(layer) })
    }

    /// What is unusual about the N-jet layers of these settings, each thing said once.
    pub fn warnings(&self) -> Vec<LayerWarning> {
        let mut warnings = Vec::new();
        if self.layer == LayerKind::Njet {
            for warning in [self.njet.config([1, 1]), self.smaller([1, 1])].iter().flat_map(NJetConv2dConfig::warnings)
            {
                if !warnings.contains(&warning) {
                    warnings.push(warning);
                }
            }
        }
        warnings
    }

    /// Elements of the largest array that goes from one operation to the next, for one image of `height` × `width`: with
    /// poolings its sides become half as long with each step, with safe subsampling they may stay as they are.
    pub fn largest_activation(&self, height: usize, width: usize) -> usize {
        let halvings = |level: usize| if self.subsampling == Subsampling::Safe { 0 } else { level.min(63) };
        let pixels = |level: usize| [height, width].map(|side| side.div_ceil(1 << halvings(level)));
        let planes = self.widths.iter().enumerate().map(|(level, &channels)| (channels, pixels(level)));
        let elements = planes.chain([(self.classes, [height, width])]);
        elements
            .map(|(channels, [rows, columns])| channels.saturating_mul(rows).saturating_mul(columns))
            .max()
            .unwrap_or(0)
    }
}
