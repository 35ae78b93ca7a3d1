//! The module that every architecture becomes.

use super::architecture::{Architecture, BlockSpec, Head, LayerKind};
use super::block::{After, Block, Convolution};
use crate::layer::{Initializer, LayerError, NJetConv2d, NJetConv2dConfig};
use burn::module::Module;
use burn::nn::conv::Conv2dConfig;
use burn::nn::{BatchNormConfig, Dropout, DropoutConfig, Initializer as BurnInitializer, Linear, LinearConfig};
use burn::nn::{PaddingConfig2d, conv::Conv2d};
use burn::tensor::{Device, Tensor};
use njet_basis::Discretisation;
use serde::{Deserialize, Serialize};

/// Everything that decides a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ModelConfig {
    /// The architecture.
    pub arch: Architecture,
    /// What its spatial layers are.
    pub layer: LayerKind,
    /// Channels of the input.
    pub channels: usize,
    /// Classes.
    pub classes: usize,
    /// Order of the N-jet layers.
    pub order: usize,
    /// Their initial σ in pixels.
    pub sigma: f64,
    /// Whether σ is trained.
    pub learn_sigma: bool,
    /// Their extent k.
    pub extent: f64,
    /// How their derivatives are sampled.
    pub discretisation: Discretisation,
}

/// A model that cannot be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// An N-jet layer cannot be built.
    #[error("layer {name}: {source}")]
    Layer {
        /// Its name.
        name: &'static str,
        /// Why.
        source: LayerError,
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

impl ModelConfig {
    /// Order 2, σ = 1 learned, extent 4.
    pub fn new(arch: Architecture, channels: usize, classes: usize) -> Self {
        Self {
            arch,
            layer: LayerKind::Njet,
            channels,
            classes,
            order: 2,
            sigma: 1.0,
            learn_sigma: true,
            extent: 4.0,
            discretisation: Discretisation::NormalizedSampled,
        }
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
        let specs = arch.blocks();
        let mut blocks = Vec::with_capacity(specs.len());
        let mut width = channels;
        for spec in &specs {
            let out = spec.channels.unwrap_or(classes);
            blocks.push(Block {
                convolution: self.convolution(spec, [width, out], blocks.is_empty(), device)?,
                norm: BatchNormConfig::new(out).init(device),
                pooled: spec.after == After::AveragePool,
                dropout: match spec.after {
                    After::Dropout { probability } => Some(DropoutConfig::new(probability).init()),
                    After::Nothing | After::AveragePool => None,
                },
            });
            width = out;
        }
        Ok(Classifier {
            input_dropout: arch.input_dropout().map(|p| DropoutConfig::new(p).init()),
            blocks,
            linear: match arch.head() {
                Head::Mean => None,
                Head::MeanLinear => Some(LinearConfig::new(width, classes).init(device)),
            },
            names: specs.iter().map(|spec| spec.name.to_owned()).collect(),
        })
    }

    fn convolution(
        &self,
        spec: &BlockSpec,
        channels: [usize; 2],
        first: bool,
        device: &Device,
    ) -> Result<Convolution, ModelError> {
        let conv = |side: usize| -> Conv2d {
            Conv2dConfig::new(channels, [side, side])
                .with_padding(PaddingConfig2d::Same)
                .with_bias(false)
                // He et al. 2015; the gain for a ReLU.
                .with_initializer(BurnInitializer::KaimingNormal { gain: 2f64.sqrt(), fan_out_only: false })
                .init(device)
        };
        Ok(match (spec.spatial, self.layer) {
            (false, _) => Convolution::Conv(conv(1)),
            (true, LayerKind::Conv) => Convolution::Conv(conv(3)),
            (true, LayerKind::Njet) => Convolution::Njet(
                NJetConv2dConfig::new(channels)
                    .with_order(self.order)
                    .with_sigma(self.sigma)
                    .with_learn_sigma(self.learn_sigma)
                    .with_extent(self.extent)
                    .with_discretisation(self.discretisation)
                    .with_bias(false)
                    .with_initializer(Initializer::Preserving { after_relu: !first })
                    .try_init(device)
                    .map_err(|source| ModelError::Layer { name: spec.name, source })?,
            ),
        })
    }
}

/// A network of blocks, the mean over the image, and logits.
#[derive(Module, Debug)]
pub struct Classifier {
    pub(super) input_dropout: Option<Dropout>,
    /// The blocks from the input to the last features.
    pub blocks: Vec<Block>,
    /// From the mean of the features to the logits; `None` where the features are the logits.
    pub linear: Option<Linear>,
    /// Names of the blocks.
    #[module(skip)]
    pub(super) names: Vec<String>,
}

impl Classifier {
    /// Logits of the classes.
    ///
    /// # Shapes
    /// - `x`: `[batch, channels, height, width]`, any size that the pooling leaves a pixel of
    /// - output: `[batch, classes]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let mut x = match &self.input_dropout {
            Some(dropout) => dropout.forward(x),
            None => x,
        };
        for block in &self.blocks {
            x = block.forward(x);
        }
        let [batch, channels, height, width] = x.dims();
        let mean = x.reshape([batch, channels, height * width]).mean_dim(2).reshape([batch, channels]);
        match &self.linear {
            Some(linear) => linear.forward(mean),
            None => mean,
        }
    }

    /// The blocks with their names.
    pub fn named_blocks(&self) -> impl Iterator<Item = (&str, &Block)> {
        self.names.iter().map(String::as_str).zip(&self.blocks)
    }

    /// The N-jet layers with the names of their blocks.
    pub fn njet_layers(&self) -> impl Iterator<Item = (&str, &NJetConv2d)> {
        self.named_blocks().filter_map(|(name, block)| match &block.convolution {
            Convolution::Njet(layer) => Some((name, layer)),
            Convolution::Conv(_) => None,
        })
    }

    /// Trained values: coefficients, scales, gains and offsets of the normalisation, the linear layer.
    pub fn num_parameters(&self) -> usize {
        struct Counter(usize);
        impl burn::module::ModuleVisitor for Counter {
            fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
                self.0 += param.lazy_shape().num_elements();
            }
        }
        let buffers: usize = self.blocks.iter().map(|block| 2 * block.norm.gamma.dims()[0]).sum();
        let mut counter = Counter(0);
        self.visit(&mut counter);
        // Running mean and variance are visited too, but they are not trained.
        counter.0 - buffers
    }
}
