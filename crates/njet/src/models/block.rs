//! Convolution, batch normalisation, activation, and what follows.

use super::activation::Activation;
use super::dropout::drop_out;
use super::gate::SqueezeExcitation;
use super::pointwise::convolve;
use super::pool::Pool;
use super::stochastic_depth::StochasticDepth;
use crate::layer::NJetConv2d;
use burn::module::{Module, ParamId};
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

    /// Distance between outputs along y and x at the present σ, in input pixels.
    pub fn stride(&self) -> [f64; 2] {
        match self {
            Self::Njet(layer) => layer.stride_now(),
            Self::Conv(layer) => layer.stride.map(|stride| stride as f64),
        }
    }

    /// Rows and columns of the output for an input of `size` at the present σ.
    pub fn output_size(&self, size: [usize; 2]) -> [usize; 2] {
        match self {
            Self::Njet(layer) => layer.output_size(size),
            // All have padding that keeps the size.
            Self::Conv(layer) => [0, 1].map(|axis| size[axis].div_ceil(layer.stride[axis])),
        }
    }

    /// Taps along y and x at the present σ.
    pub fn kernel_size(&self) -> [usize; 2] {
        match self {
            Self::Njet(layer) => layer.kernel_size(),
            Self::Conv(layer) => layer.kernel_size,
        }
    }

    /// Output channels.
    pub fn channels_out(&self) -> usize {
        match self {
            Self::Njet(layer) => layer.alpha.dims()[0],
            Self::Conv(layer) => layer.weight.dims()[0],
        }
    }

    /// Coefficients or weights, where an output sees more than one channel.
    pub(super) fn mixing(&self) -> Option<ParamId> {
        let channels_in = match self {
            Self::Njet(layer) => layer.alpha.dims()[1],
            Self::Conv(layer) => layer.weight.dims()[1],
        };
        (channels_in > 1).then(|| self.weight())
    }

    /// Coefficients α or weights.
    fn weight(&self) -> ParamId {
        match self {
            Self::Njet(layer) => layer.alpha.id,
            Self::Conv(layer) => layer.weight.id,
        }
    }
}

/// Convolution, batch normalisation, activation, and what follows.
#[derive(Module, Debug)]
pub struct Block {
    /// Name in reports, another for each block of a network.
    #[module(skip)]
    pub name: String,
    /// The convolution, without bias.
    pub convolution: Convolution,
    /// Batch normalisation over the output channels.
    pub norm: BatchNorm,
    /// Follows the normalisation.
    #[module(skip)]
    pub activation: Activation,
    /// Follows the activation.
    pub gate: Option<SqueezeExcitation>,
    /// Follows the gate.
    #[module(skip)]
    pub pool: Option<Pool>,
    pub(super) dropout: Option<Dropout>,
    pub(super) stochastic_depth: Option<StochasticDepth>,
    /// Whether the input is added at the end: it then has the size and the channels of the output.
    #[module(skip)]
    pub residual: bool,
}

impl Block {
    /// `[batch, channels_in, height, width]` to `[batch, channels_out, height_out, width_out]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let around = self.residual.then(|| x.clone());
        let mut x = self.activation.after_norm(&self.norm, self.convolution.forward(x));
        if let Some(gate) = &self.gate {
            x = gate.forward(x);
        }
        if let Some(pool) = self.pool {
            x = pool.forward(x);
        }
        if let Some(dropout) = &self.dropout {
            x = drop_out(dropout, x);
        }
        if let Some(depth) = &self.stochastic_depth {
            x = depth.forward(x);
        }
        match around {
            Some(around) => around + x,
            None => x,
        }
    }

    /// What weight decay pulls on: coefficients and weights, not scales, normalisation and biases.
    pub(super) fn weights(&self) -> impl Iterator<Item = ParamId> {
        let gate = self.gate.iter().flat_map(|gate| [gate.squeeze.weight.id, gate.excite.weight.id]);
        std::iter::once(self.convolution.weight()).chain(gate)
    }
}
