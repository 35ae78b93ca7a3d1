//! What training asks of a model, whatever it learns.

use super::classifier::Classifier;
use super::describe::Description;
use super::unet::{UNet, Up};
use crate::layer::NJetConv2d;
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::nn::BatchNorm;
use burn::tensor::Tensor;
use std::fmt::Debug;

/// A model that can be trained, kept and described.
pub trait Network: Module + Clone + Debug + Send {
    /// The layers with a σ and their names. Of a transposed layer, the convolution whose transpose it is.
    fn njet_layers(&self) -> Vec<(&str, &NJetConv2d)>;

    /// What weight decay pulls on: the coefficients and weights of all layers, not scales, normalisation and biases.
    fn weights(&self) -> Vec<ParamId>;

    /// Those of them that mix the channels of one hidden layer to those of another: neither the first layer's nor the
    /// last's, nor those of depthwise layers.
    fn mixing(&self) -> Vec<ParamId>;

    /// Trained values: coefficients, weights, scales, gains and offsets of the normalisation, biases.
    fn num_parameters(&self) -> usize;

    /// The model layer by layer, for images of `size` rows and columns.
    fn describe(&self, size: [usize; 2]) -> Description;
}

impl Network for Classifier {
    fn njet_layers(&self) -> Vec<(&str, &NJetConv2d)> {
        self.njet_layers().collect()
    }

    fn weights(&self) -> Vec<ParamId> {
        self.weights().collect()
    }

    fn mixing(&self) -> Vec<ParamId> {
        let hidden = self.blocks.get(1..).unwrap_or_default();
        let last = usize::from(self.linear.is_none());
        hidden[..hidden.len().saturating_sub(last)].iter().filter_map(|block| block.convolution.mixing()).collect()
    }

    fn num_parameters(&self) -> usize {
        self.num_parameters()
    }

    fn describe(&self, [height, width]: [usize; 2]) -> Description {
        self.describe(height, width)
    }
}

impl Network for UNet {
    fn njet_layers(&self) -> Vec<(&str, &NJetConv2d)> {
        self.njet_layers().collect()
    }

    fn weights(&self) -> Vec<ParamId> {
        self.weights().collect()
    }

    fn mixing(&self) -> Vec<ParamId> {
        let blocks = self.blocks[1..].iter().filter_map(|block| block.convolution.mixing());
        blocks.chain(self.ups.iter().map(Up::weight)).collect()
    }

    fn num_parameters(&self) -> usize {
        self.num_parameters()
    }

    fn describe(&self, [height, width]: [usize; 2]) -> Description {
        self.describe(height, width)
    }
}

/// Trained values of a module with these normalisations.
pub(super) fn trained_values<'a>(module: &impl Module, norms: impl IntoIterator<Item = &'a BatchNorm>) -> usize {
    struct Counter(usize);
    impl ModuleVisitor for Counter {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0 += param.lazy_shape().num_elements();
        }
    }
    // Running mean and variance are visited too, but they are not trained.
    let buffers: usize = norms.into_iter().map(|norm| 2 * norm.gamma.dims()[0]).sum();
    let mut counter = Counter(0);
    module.visit(&mut counter);
    counter.0 - buffers
}
