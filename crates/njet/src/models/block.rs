//! Convolution, batch normalisation, ReLU, and what follows.

use super::norm::norm_relu;
use super::pointwise::convolve;
use super::pool::average_pool;
use crate::layer::NJetConv2d;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, Dropout};
use burn::tensor::Tensor;

/// A convolution of either kind.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // one a layer: size is no matter
pub enum Convolution {
    /// Learned size.
    Njet(NJetConv2d),
    /// Plain k×k or 1×1.
    Conv(Conv2d),
}

impl Convolution {
    /// `[batch, channels_in, height, width]` to `[batch, channels_out, height_out, width_out]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Njet(layer) => layer.forward(x),
            Self::Conv(layer) => convolve(layer, x),
        }
    }
}

/// What follows the ReLU of a block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum After {
    /// Nothing.
    Nothing,
    /// The mean of 2×2 pixels, at every second pixel.
    AveragePool,
    /// Dropout in training.
    Dropout {
        /// Probability that an element is dropped.
        probability: f64,
    },
}

/// Convolution, batch normalisation, ReLU, and what follows.
#[derive(Module, Debug)]
pub struct Block {
    /// The convolution, without bias.
    pub convolution: Convolution,
    /// Batch normalisation over the output channels.
    pub norm: BatchNorm,
    pub(super) pooled: bool,
    pub(super) dropout: Option<Dropout>,
}

impl Block {
    /// `[batch, channels_in, height, width]` to `[batch, channels_out, height_out, width_out]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mut x = norm_relu(&self.norm, self.convolution.forward(x));
        if self.pooled {
            x = average_pool(x);
        }
        if let Some(dropout) = &self.dropout {
            x = dropout.forward(x);
        }
        x
    }
}
