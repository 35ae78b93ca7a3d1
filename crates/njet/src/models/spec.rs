//! What the architectures are made of: data, not code.

use super::activation::Activation;
use super::architecture::Subsampling;
use super::pool::Pool;

/// What a block convolves with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filters {
    /// 1×1: mixes channels, sees one pixel.
    Pointwise,
    /// Spatial, from every channel to every channel: an N-jet layer, or a plain window of `side` × `side`.
    Dense {
        /// Of the plain window.
        side: usize,
    },
    /// Spatial, each channel by itself: an N-jet layer, or a plain window of `side` × `side`.
    Depthwise {
        /// Of the plain window.
        side: usize,
    },
}

/// One convolution with its batch normalisation, its activation and what follows.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockSpec {
    /// Name in reports, another for each block of a network.
    pub name: String,
    /// What it convolves with.
    pub filters: Filters,
    /// Output channels; `None`: as many as there are classes.
    pub channels: Option<usize>,
    /// Follows the normalisation.
    pub activation: Activation,
    /// Channels that a squeeze-and-excitation after the activation squeezes to, if there is one.
    pub squeeze: Option<usize>,
    /// Stride of the convolution in the published network.
    pub stride: usize,
    /// Pooling after the activation in the published network.
    pub pool: Option<Pool>,
    /// Probability that an element is dropped in training, at the end of the block.
    pub dropout: Option<f64>,
    /// Probability that the whole output for an image is dropped in training, in a residual branch.
    pub stochastic_depth: Option<f64>,
}

impl BlockSpec {
    /// A block with ReLU that nothing follows.
    pub fn new(name: impl Into<String>, filters: Filters, channels: usize) -> Self {
        Self {
            name: name.into(),
            filters,
            channels: Some(channels),
            activation: Activation::Relu,
            squeeze: None,
            stride: 1,
            pool: None,
            dropout: None,
            stochastic_depth: None,
        }
    }

    /// A 1×1 block with as many outputs as there are classes.
    pub fn classes(name: impl Into<String>) -> Self {
        Self { channels: None, ..Self::new(name, Filters::Pointwise, 0) }
    }

    /// With another activation.
    pub fn activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// With a squeeze-and-excitation that squeezes to so many channels.
    pub fn squeeze(self, channels: usize) -> Self {
        Self { squeeze: Some(channels), ..self }
    }

    /// With a stride in the published network.
    pub fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// With pooling in the published network.
    pub fn pool(self, pool: Pool) -> Self {
        Self { pool: Some(pool), ..self }
    }

    /// With dropout.
    pub fn dropout(self, probability: f64) -> Self {
        Self { dropout: Some(probability), ..self }
    }

    /// With stochastic depth.
    pub fn stochastic_depth(self, probability: f64) -> Self {
        Self { stochastic_depth: Some(probability), ..self }
    }

    /// How many times smaller the published network's image is after this block.
    pub fn downsample(&self) -> usize {
        self.stride * self.pool.map_or(1, Pool::stride)
    }
}

/// How the place of a block is subsampled in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Realised {
    /// Stride of the convolution.
    pub stride: usize,
    /// Pooling after the activation.
    pub pool: Option<Pool>,
    /// Whether the stride is safe instead: real, following σ, `stride` at the start.
    pub safe: bool,
}

impl Subsampling {
    /// What becomes of the places where a published network makes the image smaller, block by block. Nothing else
    /// decides it. Safe subsampling needs a spatial layer: where a 1×1 block is pooled, the next spatial one does it.
    pub fn realise<'a>(self, blocks: impl Iterator<Item = &'a BlockSpec>) -> Vec<Realised> {
        let mut owed = 1;
        let realise = |spec: &BlockSpec| match self {
            Self::None => Realised { stride: 1, pool: None, safe: false },
            Self::Strides => Realised { stride: spec.stride, pool: spec.pool, safe: false },
            Self::Safe => {
                owed *= spec.downsample();
                if spec.filters == Filters::Pointwise {
                    return Realised { stride: 1, pool: None, safe: false };
                }
                Realised { stride: std::mem::replace(&mut owed, 1), pool: None, safe: true }
            }
        };
        blocks
            .map(realise)
            .map(|realised| Realised { safe: realised.safe && realised.stride > 1, ..realised })
            .collect()
    }
}

/// The way around a residual branch.
#[derive(Debug, Clone, PartialEq)]
pub enum ShortcutSpec {
    /// The input at the positions of the branch's outputs, zeros for the channels that it lacks (option A of He
    /// et al. 2015). Without parameters.
    Identity,
    /// A 1×1 block at the positions of the branch's outputs (option B).
    Projection(BlockSpec),
}

/// Blocks that belong together.
#[derive(Debug, Clone, PartialEq)]
pub enum UnitSpec {
    /// One block.
    Plain(BlockSpec),
    /// A branch of blocks whose output is added to a shortcut.
    Residual {
        /// The branch.
        branch: Vec<BlockSpec>,
        /// The way around it.
        shortcut: ShortcutSpec,
        /// Of the sum.
        activation: Activation,
    },
}

impl UnitSpec {
    /// All blocks of the unit: the branch, then the projection.
    pub fn blocks(&self) -> impl Iterator<Item = &BlockSpec> {
        let (branch, projection) = match self {
            Self::Plain(block) => (std::slice::from_ref(block), None),
            Self::Residual { branch, shortcut: ShortcutSpec::Identity, .. } => (branch.as_slice(), None),
            Self::Residual { branch, shortcut: ShortcutSpec::Projection(block), .. } => {
                (branch.as_slice(), Some(block))
            }
        };
        branch.iter().chain(projection)
    }
}

/// How the last features become logits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Head {
    /// The mean over the image of each channel.
    Mean,
    /// The mean, then a linear layer.
    MeanLinear {
        /// Probability that an element of the mean is dropped in training.
        dropout: Option<f64>,
    },
}

/// A network from the input to the logits.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkSpec {
    /// From the input to the last features.
    pub units: Vec<UnitSpec>,
    /// From there to the logits.
    pub head: Head,
}

impl NetworkSpec {
    /// All blocks in order.
    pub fn blocks(&self) -> impl Iterator<Item = &BlockSpec> {
        self.units.iter().flat_map(UnitSpec::blocks)
    }
}
