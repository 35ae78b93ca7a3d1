//! From the settings of a U-Net to the network.

use super::up::{Coefficients, Up, UpKind};
use super::{CONVOLUTIONS, UNet};
use crate::layer::{Initializer, LayerWarning, NJetConv2dConfig, SigmaSharing, Stride};
use crate::models::activation::Activation;
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
    /// Steps down and up, from 1.
    pub depth: usize,
    /// Channels at the full resolution; twice as many after each step down.
    pub width: usize,
    /// Channels of the input.
    pub channels: usize,
    /// Classes.
    pub classes: usize,
    /// The r of safe subsampling: outputs for each σ.
    pub safe_ratio: f64,
    /// The N-jet layers.
    pub njet: LayerSettings,
}

/// Steps and channels beyond these are mistakes: the bottom would have 2¹⁶ channels or more.
const MOST_DEPTH: usize = 8;
const MOST_WIDTH: usize = 256;

impl UNetConfig {
    /// N-jet layers of order 2 and σ = 1 learned, 16 channels, pooled twice.
    pub fn new(channels: usize, classes: usize) -> Self {
        Self {
            layer: LayerKind::Njet,
            subsampling: Subsampling::Strides,
            depth: 2,
            width: 16,
            channels,
            classes,
            safe_ratio: 1.0,
            njet: LayerSettings::default(),
        }
    }

    /// Channels at a resolution, 0 the full one.
    pub(crate) fn channels_at(&self, level: usize) -> usize {
        self.width << level
    }

    /// The ways that images become smaller which a U-Net cannot have, and other settings that make no network.
    fn check(&self) -> Result<(), ModelError> {
        let Self { channels, classes, depth, width, .. } = *self;
        if channels == 0 || classes < 2 {
            return Err(ModelError::Empty { channels, classes });
        }
        let between = |what, value, most| match (1..=most).contains(&value) {
            true => Ok(()),
            false => Err(ModelError::UNet { what, value, least: 1, most }),
        };
        between("the depth", depth, MOST_DEPTH)?;
        between("the width", width, MOST_WIDTH)?;
        match (self.subsampling, self.layer, self.njet.sharing) {
            (Subsampling::None, ..) => Err(ModelError::NoSubsampling),
            (Subsampling::Safe, LayerKind::Conv, _) => Err(ModelError::SafePlain),
            (Subsampling::Safe, _, sharing @ (SigmaSharing::Input | SigmaSharing::Output)) => {
                Err(ModelError::SafeSharing { sharing })
            }
            _ => Ok(()),
        }
    }

    /// Creates the network with random parameters. Batch normalisation follows every convolution but the last.
    ///
    /// # Errors
    /// Settings of the N-jet layers out of range; no subsampling; no input channels; fewer than two classes.
    pub fn init(&self, device: &Device) -> Result<UNet, ModelError> {
        self.check()?;
        let mut blocks = Vec::new();
        for level in 0..=self.depth {
            let inputs = if level == 0 { self.channels } else { self.channels_at(level - 1) };
            let name = format!("down{level}");
            blocks.extend(self.pair(&name, [inputs, self.channels_at(level)], level, device)?);
        }
        let mut ups = Vec::new();
        for level in (0..self.depth).rev() {
            let (name, channels) = (format!("up{level}"), self.channels_at(level));
            let kind = self.step(&name, level, device)?;
            ups.push(Up { name: format!("{name}.step"), kind });
            // The skip connection and what comes from below.
            blocks.extend(self.pair(&name, [2 * channels, channels], 0, device)?);
        }
        let head = Conv2dConfig::new([self.width, self.classes], [1, 1]).init(device);
        Ok(UNet { blocks, ups, head, subsampling: self.subsampling })
    }

    /// The convolutions of a resolution. `level`: how many steps down it is, on the way down; 0 on the way up.
    fn pair(
        &self,
        name: &str,
        [inputs, outputs]: [usize; 2],
        level: usize,
        device: &Device,
    ) -> Result<Vec<Block>, ModelError> {
        let block = |number: usize| {
            let inputs = if number == 0 { inputs } else { outputs };
            let name = format!("{name}.conv{}", number + 1);
            let first_of_all = name == "down0.conv1";
            let smaller = number == 0 && level > 0;
            let convolution = match self.layer {
                LayerKind::Conv => Convolution::Conv(plain([inputs, outputs], SIDE).init(device)),
                LayerKind::Njet => {
                    let config =
                        if smaller { self.smaller([inputs, outputs]) } else { self.njet.config([inputs, outputs]) };
                    let config = config.with_initializer(Initializer::Preserving { after_relu: !first_of_all });
                    let layer = config.try_init(device);
                    Convolution::Njet(layer.map_err(|source| ModelError::Layer { name: name.clone(), source })?)
                }
            };
            Ok(Block {
                name,
                convolution,
                norm: BatchNormConfig::new(outputs).init(device),
                activation: Activation::Relu,
                gate: None,
                pool: None,
                dropout: None,
                stochastic_depth: None,
            })
        };
        (0..CONVOLUTIONS).map(block).collect()
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
    fn step(&self, name: &str, level: usize, device: &Device) -> Result<UpKind, ModelError> {
        let channels = [self.channels_at(level + 1), self.channels_at(level)];
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
        let layer = layer.map_err(|source| ModelError::Layer { name: format!("{name}.step"), source })?;
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

    /// Elements of the largest array that goes from one operation to the next, for one image of `height` × `width`: the
    /// skip connection beside what comes from below, at the full resolution.
    pub fn largest_activation(&self, height: usize, width: usize) -> usize {
        (2 * self.width).max(self.classes).saturating_mul(height).saturating_mul(width)
    }
}
