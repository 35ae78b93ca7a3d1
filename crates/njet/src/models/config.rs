//! From the settings of a model to the model.

use super::activation::Activation;
use super::architecture::{Architecture, LayerKind, Subsampling};
use super::block::{Block, Convolution};
use super::classifier::Classifier;
use super::gate::SqueezeExcitation;
use super::layers::LayerSettings;
use super::spec::{BlockSpec, Filters, Head, Realised, ShortcutSpec, UnitSpec};
use super::stochastic_depth::StochasticDepth;
use super::unit::Unit;
use crate::layer::{
    Initializer, LayerError, LayerWarning, NJetConv2dConfig, PaddingMode, SigmaBounds, SigmaSharing, Stride,
};
use burn::nn::conv::Conv2dConfig;
use burn::nn::{BatchNormConfig, DropoutConfig, Initializer as BurnInitializer, LinearConfig, PaddingConfig2d};
use burn::tensor::Device;
use njet_basis::Discretisation;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that decides a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ModelConfig {
    /// The architecture.
    pub arch: Architecture,
    /// What its spatial layers are.
    pub layer: LayerKind,
    /// What is done where the published network makes the image smaller; `None`, as in files of old: what is usual
    /// for the architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subsampling: Option<Subsampling>,
    /// Side of the windows of plain spatial convolutions, odd; `None`: the published ones. N-jet layers have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conv_side: Option<usize>,
    /// Channels of the input.
    pub channels: usize,
    /// Classes.
    pub classes: usize,
    /// Order of the N-jet layers.
    pub order: usize,
    /// Orders of single layers, by name, where they have another.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub orders: BTreeMap<String, usize>,
    /// Their initial σ in pixels.
    pub sigma: f64,
    /// Whether σ is trained.
    pub learn_sigma: bool,
    /// Their extent k.
    pub extent: f64,
    /// How their derivatives are sampled.
    pub discretisation: Discretisation,
    /// How those of single layers are, by name, where it is otherwise.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub discretisations: BTreeMap<String, Discretisation>,
    /// Which channels of an N-jet layer share their σ.
    #[serde(default)]
    pub sharing: SigmaSharing,
    /// Whether σ along y and along x are trained apart.
    #[serde(default)]
    pub separate_axes: bool,
    /// Between which bounds σ moves, in pixels.
    #[serde(default)]
    pub bounds: SigmaBounds,
    /// What surrounds the images of the N-jet layers.
    #[serde(default)]
    pub padding_mode: PaddingMode,
    /// The r of safe subsampling: outputs for each σ.
    #[serde(default = "one")]
    pub safe_ratio: f64,
}

fn one() -> f64 {
    1.0
}

/// The longest side of a plain window: far beyond any in use, and its weights still fit into memory.
const MOST_SIDE: usize = 63;

/// A model that cannot be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// An N-jet layer cannot be built.
    #[error("layer {name}: {source}")]
    Layer {
        /// Its name.
        name: String,
        /// Why.
        source: LayerError,
    },
    /// Safe subsampling without N-jet layers.
    #[error("safe subsampling follows the sigma of N-jet layers, and a model of plain convolutions has none")]
    SafePlain,
    /// A window that plain convolutions cannot have.
    #[error("windows of {side}×{side} pixels: the side must be odd, so that a pixel is in the middle, and at most {most}", most = MOST_SIDE)]
    ConvSide {
        /// The side.
        side: usize,
    },
    /// A window for layers that have none.
    #[error("a side of {side} pixels is for plain convolutions: sigma and the extent decide that of N-jet layers")]
    NjetSide {
        /// The side.
        side: usize,
    },
    /// A U-Net without any way down.
    #[error(
        "a U-Net looks at the image at several resolutions: choose strides (pooling) or safe subsampling, not none"
    )]
    NoSubsampling,
    /// A number of steps, channels or convolutions that a U-Net cannot have.
    #[error("{what} of a U-Net is {value}: it must be from {least} to {most}")]
    UNet {
        /// Which number.
        what: &'static str,
        /// What it is.
        value: usize,
        /// The least,
        least: usize,
        /// and the most that it may be.
        most: usize,
    },
    /// Lists of different lengths.
    #[error(
        "the channels of a U-Net are given for {widths} resolutions and its convolutions for {convolutions}: give one number of \
         each for each resolution, from the full one to the bottom"
    )]
    Resolutions {
        /// Numbers of channels.
        widths: usize,
        /// Numbers of convolutions.
        convolutions: usize,
    },
    /// The weight of the losses at lower resolutions.
    #[error("the weight of the losses at lower resolutions is {0}: give a number of at least 0")]
    DeepSupervision(f64),
    /// Steps up that do not fit the steps down.
    #[error(
        "the convolutions of a U-Net after its steps up are given for {up} steps: give {} for {most} steps down, from the \
         highest resolution that the way up reaches", numbers(*least, *most)
    )]
    StepsUp {
        /// Steps up.
        up: usize,
        /// Fewest,
        least: usize,
        /// and most that it can have.
        most: usize,
    },
    /// Scales of single channels where the way up shares those of the way down.
    #[error(
        "with safe subsampling the way up has the scales of the way down, whose channels are others: share sigma in the \
         layer, not by {sharing}"
    )]
    SafeSharing {
        /// Who has a scale.
        sharing: SigmaSharing,
    },
    /// A setting of a layer that there is not.
    #[error("an order or a discretisation is given for {name}, and the network has no N-jet layer of this name")]
    NoLayer {
        /// The name.
        name: String,
    },
    /// No input channels or no classes.
    #[error("a classifier needs at least one input channel and two classes, not {channels} and {classes}")]
    Empty {
        /// Channels of the input.
        channels: usize,
        /// Classes.
        classes: usize,
    },
}

/// How many numbers to give.
fn numbers(least: usize, most: usize) -> String {
    match (least, most) {
        (1, 1) => "one number".to_owned(),
        _ if least == most => format!("{most} numbers"),
        _ => format!("{least} to {most} numbers"),
    }
}

impl ModelConfig {
    /// Order 2, σ = 1 learned, extent 4, the subsampling that is usual for the architecture.
    pub fn new(arch: Architecture, channels: usize, classes: usize) -> Self {
        let LayerSettings {
            order,
            sigma,
            learn_sigma,
            extent,
            discretisation,
            sharing,
            separate_axes,
            bounds,
            padding_mode,
        } = LayerSettings::default();
        Self {
            arch,
            layer: LayerKind::Njet,
            subsampling: Some(arch.subsampling()),
            conv_side: None,
            channels,
            classes,
            order,
            orders: BTreeMap::new(),
            sigma,
            learn_sigma,
            extent,
            discretisation,
            discretisations: BTreeMap::new(),
            sharing,
            separate_axes,
            bounds,
            padding_mode,
            safe_ratio: 1.0,
        }
    }

    /// What is done where the published network makes the image smaller.
    pub fn subsampling(&self) -> Subsampling {
        self.subsampling.unwrap_or_else(|| self.arch.subsampling())
    }

    /// Creates the model with random parameters. Batch normalisation follows every convolution, so none
    /// has a bias.
    ///
    /// # Errors
    /// Settings of the N-jet layers out of range; no input channels; fewer than two classes.
    pub fn init(&self, device: &Device) -> Result<Classifier, ModelError> {
        let Self { arch, channels, classes, .. } = *self;
        if channels == 0 || classes < 2 {
            return Err(ModelError::Empty { channels, classes });
        }
        if self.subsampling() == Subsampling::Safe && self.layer == LayerKind::Conv {
            return Err(ModelError::SafePlain);
        }
        match (self.layer, self.conv_side) {
            (LayerKind::Conv, Some(side)) if side % 2 == 0 || side > MOST_SIDE => {
                return Err(ModelError::ConvSide { side });
            }
            (LayerKind::Njet, Some(side)) => return Err(ModelError::NjetSide { side }),
            _ => {}
        }
        let network = arch.network();
        let spatial = |name: &str| network.blocks().any(|b| b.name == name && b.filters != Filters::Pointwise);
        let mut named = self.orders.keys().chain(self.discretisations.keys());
        if let Some(name) = named.find(|name| self.layer == LayerKind::Conv || !spatial(name)) {
            return Err(ModelError::NoLayer { name: name.clone() });
        }
        let mut builder = Builder {
            config: self,
            device,
            realised: self.subsampling().realise(network.blocks()),
            blocks: Vec::new(),
            width: channels,
            before: Activation::Identity,
        };
        let units = network.units.iter().map(|unit| builder.unit(unit)).collect::<Result<Vec<_>, _>>()?;
        let Builder { blocks, width, .. } = builder;
        let dropout = |probability: Option<f64>| probability.map(|p| DropoutConfig::new(p).init());
        let (linear, head_dropout) = match network.head {
            Head::Mean => (None, None),
            Head::MeanLinear { dropout: p } => (Some(LinearConfig::new(width, classes).init(device)), dropout(p)),
        };
        Ok(Classifier { blocks, head_dropout, linear, units })
    }

    /// Side of the smallest square image that the model leaves a pixel of.
    pub fn smallest_image(&self) -> usize {
        let enough = |&side: &usize| self.sides(side).iter().all(|&[_, after]| after > 0);
        (1..).find(enough).expect("a large enough image has pixels left")
    }

    /// Elements of the largest array that goes from one operation to the next, for one image of `height` × `width`.
    pub fn largest_activation(&self, height: usize, width: usize) -> usize {
        let network = self.arch.network();
        let channels = network.blocks().map(|block| block.channels.unwrap_or(self.classes));
        let sides = self.sides(height).into_iter().zip(self.sides(width));
        let arrays = channels.zip(sides).map(|(channels, ([height, _], [width, _]))| channels * height * width);
        arrays.chain([self.channels * height * width]).max().unwrap_or(0)
    }

    /// Pixels along an axis after the convolution of each block and at its end, for `pixels` of the image.
    fn sides(&self, pixels: usize) -> Vec<[usize; 2]> {
        let mut sides = Vec::new();
        let mut before = pixels;
        // A projection comes after its branch, and has stride 1 at the positions of its outputs.
        for Realised { stride, pool, .. } in self.subsampling().realise(self.arch.network().blocks()) {
            let convolved = before.div_ceil(stride);
            before = pool.map_or(convolved, |pool| pool.output(convolved));
            sides.push([convolved, before]);
        }
        sides
    }
}

/// Blocks so far.
struct Builder<'a> {
    config: &'a ModelConfig,
    device: &'a Device,
    /// What becomes of the strides and pooling of every block.
    realised: Vec<Realised>,
    blocks: Vec<Block>,
    /// Channels that the next block is given.
    width: usize,
    /// The last nonlinearity that these went through; the identity for the image itself.
    before: Activation,
}

impl Builder<'_> {
    fn unit(&mut self, spec: &UnitSpec) -> Result<Unit, ModelError> {
        match spec {
            UnitSpec::Plain(block) => {
                self.block(block)?;
                Ok(Unit::Plain)
            }
            UnitSpec::Residual { branch, shortcut, activation } => {
                let input = (self.width, self.before);
                branch.iter().try_for_each(|block| self.block(block))?;
                let projected = match shortcut {
                    ShortcutSpec::Identity => false,
                    ShortcutSpec::Projection(block) => {
                        (self.width, self.before) = input;
                        self.block(block)?;
                        true
                    }
                };
                self.before = *activation;
                Ok(Unit::Residual { branch: branch.len(), projected, activation: *activation })
            }
        }
    }

    fn block(&mut self, spec: &BlockSpec) -> Result<(), ModelError> {
        let device = self.device;
        let channels = spec.channels.unwrap_or(self.config.classes);
        let realised = self.realised[self.blocks.len()];
        self.blocks.push(Block {
            name: spec.name.clone(),
            convolution: self.convolution(spec, [self.width, channels], realised)?,
            norm: BatchNormConfig::new(channels).init(device),
            activation: spec.activation,
            gate: spec.squeeze.map(|squeezed| SqueezeExcitation::new(channels, squeezed, device)),
            pool: realised.pool,
            dropout: spec.dropout.map(|probability| DropoutConfig::new(probability).init()),
            stochastic_depth: spec.stochastic_depth.map(StochasticDepth::new),
            residual: false,
        });
        (self.width, self.before) = (channels, spec.activation);
        Ok(())
    }

    fn convolution(
        &self,
        spec: &BlockSpec,
        channels: [usize; 2],
        realised: Realised,
    ) -> Result<Convolution, ModelError> {
        let config = self.config;
        let (side, groups) = match spec.filters {
            Filters::Pointwise => (1, 1),
            Filters::Dense { side } => (config.conv_side.unwrap_or(side), 1),
            Filters::Depthwise { side } => (config.conv_side.unwrap_or(side), channels[0]),
        };
        if spec.filters == Filters::Pointwise || config.layer == LayerKind::Conv {
            let config = plain(channels, side).with_stride([realised.stride; 2]).with_groups(groups);
            return Ok(Convolution::Conv(config.init(self.device)));
        }
        let layer = config
            .layer(channels, realised)
            .with_order(config.orders.get(&spec.name).copied().unwrap_or(config.order))
            .with_discretisation(config.discretisations.get(&spec.name).copied().unwrap_or(config.discretisation))
            .with_groups(groups)
            .with_initializer(Initializer::Preserving { after_relu: self.before.rectifies() })
            .try_init(self.device);
        layer.map(Convolution::Njet).map_err(|source| ModelError::Layer { name: spec.name.clone(), source })
    }
}

/// A plain convolution of `side` × `side` without bias, before a ReLU.
pub(super) fn plain(channels: [usize; 2], side: usize) -> Conv2dConfig {
    let reach = side / 2;
    Conv2dConfig::new(channels, [side, side])
        // As published: with a stride, the first output is centred on the first pixel.
        .with_padding(PaddingConfig2d::Explicit(reach, reach, reach, reach))
        .with_bias(false)
        // He et al. 2015; the gain for a ReLU.
        .with_initializer(BurnInitializer::KaimingNormal { gain: 2f64.sqrt(), fan_out_only: false })
}

impl ModelConfig {
    /// An N-jet layer of the model.
    fn layer(&self, channels: [usize; 2], realised: Realised) -> NJetConv2dConfig {
        let stride = realised.stride;
        // A safe stride starts as the published one.
        let sigma = if realised.safe { self.sigma * stride as f64 * self.safe_ratio } else { self.sigma };
        let stride = match realised.safe {
            true => Stride::Safe { ratio: self.safe_ratio },
            false => Stride::Fixed([stride; 2]),
        };
        self.layers().config(channels).with_sigma(sigma).with_stride(stride)
    }

    /// How its N-jet layers are made.
    fn layers(&self) -> LayerSettings {
        LayerSettings {
            order: self.order,
            sigma: self.sigma,
            learn_sigma: self.learn_sigma,
            extent: self.extent,
            discretisation: self.discretisation,
            sharing: self.sharing,
            separate_axes: self.separate_axes,
            bounds: self.bounds,
            padding_mode: self.padding_mode,
        }
    }

    /// What is unusual about the N-jet layers of these settings, each thing said once.
    pub fn warnings(&self) -> Vec<LayerWarning> {
        let mut warnings = Vec::new();
        if self.layer == LayerKind::Njet {
            for realised in self.subsampling().realise(self.arch.network().blocks()) {
                for warning in self.layer([1, 1], realised).warnings() {
                    if !warnings.contains(&warning) {
                        warnings.push(warning);
                    }
                }
            }
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use njet_basis::{TapSpec, Taps};

    /// All N-jet layers but the first see the output of a ReLU or a swish, and their coefficients are drawn for that.
    #[test]
    fn coefficients_are_drawn_for_what_precedes() {
        let device = Device::flex();
        device.seed(4);
        for arch in [Architecture::ResNet20, Architecture::ResNet18, Architecture::EfficientNetB0] {
            let model = ModelConfig::new(arch, 3, 10).init(&device).unwrap();
            for (name, layer) in model.njet_layers() {
                let initializer = Initializer::Preserving { after_relu: name != "stem" };
                let [_, group_in, basis] = layer.alpha.dims();
                let taps = Taps::new(&TapSpec::new(layer.sigma(), layer.extent, layer.order)).unwrap();
                let deviations = initializer.deviations(&taps, group_in * layer.groups, layer.groups);
                let alpha: Vec<f32> = layer.alpha.val().into_data().iter::<f32>().collect();
                let squares = alpha.iter().enumerate().map(|(i, &a)| (f64::from(a) / deviations[i % basis]).powi(2));
                let mean = squares.sum::<f64>() / alpha.len() as f64;
                // At least 192 coefficients: the mean of the squares has a deviation of 0.10. The other choice is off
                // by a factor of 2.9 for five of six.
                assert!((0.6..1.5).contains(&mean), "{arch} {name}: {mean}");
            }
        }
    }
}
