//! The module that every architecture becomes.

use super::block::{Block, Convolution};
use super::network::trained_values;
use super::unit::Unit;
use crate::layer::NJetConv2d;
use burn::module::{Module, ParamId};
use burn::nn::{Dropout, Linear};
use burn::tensor::Tensor;

/// A network of blocks, the mean over the image, and logits.
#[derive(Module, Debug)]
pub struct Classifier {
    /// The blocks from the input to the last features, the branch of a residual unit before its projection.
    pub blocks: Vec<Block>,
    pub(super) head_dropout: Option<Dropout>,
    /// From the mean of the features to the logits; `None` where the features are the logits.
    pub linear: Option<Linear>,
    /// How the blocks are connected: each unit takes the next few of them.
    #[module(skip)]
    pub(super) units: Vec<Unit>,
}

impl Classifier {
    /// Logits of the classes.
    ///
    /// # Shapes
    /// - `x`: `[batch, channels, height, width]`, any size that the pooling leaves a pixel of
    /// - output: `[batch, classes]`
    ///
    /// # Panics
    /// If the channels are not the model's, or nothing is left of the image.
    pub fn forward(&self, mut x: Tensor<4>) -> Tensor<2> {
        let size = x.dims();
        for (unit, blocks) in self.units() {
            x = unit.forward(blocks, x);
            assert!(
                x.dims()[2] > 0 && x.dims()[3] > 0,
                "classifier: an image of {}×{} pixels is too small, nothing is left of it after {}",
                size[2],
                size[3],
                blocks[blocks.len() - 1].name,
            );
        }
        let [batch, channels, height, width] = x.dims();
        let mut mean = x.reshape([batch, channels, height * width]).mean_dim(2).reshape([batch, channels]);
        if let Some(dropout) = &self.head_dropout {
            mean = dropout.forward(mean);
        }
        match &self.linear {
            Some(linear) => linear.forward(mean),
            None => mean,
        }
    }

    /// The units with their blocks.
    pub fn units(&self) -> impl Iterator<Item = (Unit, &[Block])> {
        let mut rest = self.blocks.as_slice();
        self.units.iter().map(move |&unit| {
            let (blocks, others) = rest.split_at(unit.blocks());
            rest = others;
            (unit, blocks)
        })
    }

    /// The blocks with their names.
    pub fn named_blocks(&self) -> impl Iterator<Item = (&str, &Block)> {
        self.blocks.iter().map(|block| (block.name.as_str(), block))
    }

    /// The N-jet layers with the names of their blocks.
    pub fn njet_layers(&self) -> impl Iterator<Item = (&str, &NJetConv2d)> {
        self.named_blocks().filter_map(|(name, block)| match &block.convolution {
            Convolution::Njet(layer) => Some((name, layer)),
            Convolution::Conv(_) => None,
        })
    }

    /// What weight decay pulls on: the coefficients and weights of all layers, not scales, normalisation and biases.
    pub(crate) fn weights(&self) -> impl Iterator<Item = ParamId> {
        let linear = self.linear.iter().map(|linear| linear.weight.id);
        self.blocks.iter().flat_map(Block::weights).chain(linear)
    }

    /// Trained values: coefficients, weights, scales, gains and offsets of the normalisation, biases.
    pub fn num_parameters(&self) -> usize {
        trained_values(self, self.blocks.iter().map(|block| &block.norm))
    }
}
