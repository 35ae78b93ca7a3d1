//! Nonlinearities.

use super::norm::norm_then;
use burn::nn::BatchNorm;
use burn::tensor::Tensor;
use burn::tensor::activation::{relu, silu};
use njet_kernels::Nonlinearity;

/// A function of each element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// max(0, x).
    Relu,
    /// x / (1 + e⁻ˣ) (Ramachandran et al. 2017), which others call SiLU.
    Swish,
    /// x.
    Identity,
}

impl Activation {
    /// `f(x)`.
    pub(super) fn apply(self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Relu => relu(x),
            Self::Swish => silu(x),
            Self::Identity => x,
        }
    }

    /// `f(norm(x))`: in one operation where there is one.
    pub(super) fn after_norm(self, norm: &BatchNorm, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Relu => norm_then(norm, Nonlinearity::Relu, x),
            Self::Swish => norm_then(norm, Nonlinearity::Swish, x),
            Self::Identity => norm.forward(x),
        }
    }

    /// Whether the layer that follows is initialised as after a ReLU.
    ///
    /// Swish counts as one: of a standard normal variable it leaves the second moment 0.36 and the mean 0.21, where
    /// ReLU leaves 0.5 and 0.40 and the identity 1 and 0. The scale matters little, a normalisation follows every
    /// layer; that there is a mean and that it adds up over the window does.
    pub(super) fn rectifies(self) -> bool {
        match self {
            Self::Relu | Self::Swish => true,
            Self::Identity => false,
        }
    }
}
