//! U-Net: Ronneberger, Fischer, Brox, "U-Net: convolutional networks for biomedical image segmentation", 2015 (arXiv
//! 1505.04597), with layers whose size is learned.
//!
//! ```text
//! image ─ down0 ────────────────────────────────► up0 ─ head ─ logits
//!           │ smaller                     larger ▲
//!           └ down1 ───────────────► up1 ────────┘
//!               │ smaller       larger ▲
//!               └ down2 (the bottom) ──┘
//! ```
//!
//! How the images become smaller and larger again is [`Subsampling`]: by the mean of 2×2 pixels and a transposed layer of
//! stride 2, or safely, where each way down has a stride that follows its σ and the way up the same σ and so the same
//! stride. Then it is σ that says how deep the network looks, not the number of poolings.

mod config;
mod describe;
mod up;

pub use config::UNetConfig;
pub use up::Up;
pub(crate) use up::UpKind;

use super::architecture::Subsampling;
use super::block::{Block, Convolution};
use super::network::trained_values;
use super::pointwise::convolve;
use super::pool::Pool;
use crate::layer::NJetConv2d;
use burn::module::{Module, ParamId};
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;

/// Convolutions at each resolution, down and up.
pub(crate) const CONVOLUTIONS: usize = 2;

/// An encoder and a decoder with skip connections: logits for every pixel.
#[derive(Module, Debug)]
pub struct UNet {
    /// The convolutions on the way down, from the full resolution to the lowest, then those on the way up: two for each
    /// resolution.
    pub blocks: Vec<Block>,
    /// The steps from one resolution to the next on the way up, from the bottom.
    pub ups: Vec<Up>,
    /// 1×1, from the last features to the logits.
    pub head: Conv2d,
    /// How images become smaller.
    #[module(skip)]
    pub(super) subsampling: Subsampling,
}

impl UNet {
    /// Logits of the classes at every pixel.
    ///
    /// # Shapes
    /// - `x`: `[batch, channels, height, width]`, any size from one pixel on
    /// - output: `[batch, classes, height, width]`
    ///
    /// # Panics
    /// If the channels are not the model's.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let mut x = self.padded(x);
        let (down, up) = self.ways();
        let mut skips = Vec::new();
        for (level, blocks) in down.chunks(CONVOLUTIONS).enumerate() {
            if level > 0 {
                skips.push(x.clone());
                if self.subsampling == Subsampling::Strides {
                    x = Pool::Average2.forward(x);
                }
            }
            x = run(blocks, x);
        }
        for ((blocks, step), skip) in up.chunks(CONVOLUTIONS).zip(self.steps()).zip(skips.into_iter().rev()) {
            let [_, _, rows, columns] = skip.dims();
            let larger = step.up.forward(x, step.down, [rows, columns]);
            x = run(blocks, Tensor::cat(vec![skip, larger], 1));
        }
        convolve(&self.head, x).slice_dim(2, 0..height).slice_dim(3, 0..width)
    }

    /// With rows and columns of zeros at the end, as many as poolings of 2×2 need.
    fn padded(&self, x: Tensor<4>) -> Tensor<4> {
        let multiple = self.total_stride().unwrap_or(1);
        (2..4).fold(x, |x, axis| {
            let mut shape = x.dims();
            let missing = shape[axis].next_multiple_of(multiple) - shape[axis];
            if missing == 0 {
                return x;
            }
            shape[axis] = missing;
            let zeros = Tensor::zeros(shape, (&x.device(), x.dtype()));
            Tensor::cat(vec![x, zeros], axis)
        })
    }

    /// Pixels of the image between neighbours at the lowest resolution; `None` where the strides follow σ.
    pub fn total_stride(&self) -> Option<usize> {
        (self.subsampling == Subsampling::Strides).then(|| 1 << self.ups.len())
    }

    /// The blocks on the way down and on the way up.
    pub(crate) fn ways(&self) -> (&[Block], &[Block]) {
        self.blocks.split_at(CONVOLUTIONS * (self.ups.len() + 1))
    }

    /// The steps up, from the bottom, with the block whose step down they undo.
    pub(crate) fn steps(&self) -> impl Iterator<Item = Step<'_>> {
        let depth = self.ups.len();
        self.ups.iter().enumerate().map(move |(i, up)| Step { up, down: &self.blocks[CONVOLUTIONS * (depth - i)] })
    }

    /// The N-jet layers with their names. Of a transposed one, the convolution whose transpose it is.
    pub fn njet_layers(&self) -> impl Iterator<Item = (&str, &NJetConv2d)> {
        let blocks = self.blocks.iter().filter_map(|block| match &block.convolution {
            Convolution::Njet(layer) => Some((block.name.as_str(), layer)),
            Convolution::Conv(_) => None,
        });
        blocks.chain(self.ups.iter().filter_map(|up| Some((up.name.as_str(), up.njet_layer()?))))
    }

    /// What weight decay pulls on.
    pub(super) fn weights(&self) -> impl Iterator<Item = ParamId> {
        let ups = self.ups.iter().map(Up::weight);
        self.blocks.iter().flat_map(Block::weights).chain(ups).chain([self.head.weight.id])
    }

    /// Trained values: coefficients, weights, scales, gains and offsets of the normalisation, biases.
    pub fn num_parameters(&self) -> usize {
        trained_values(self, &self.blocks)
    }
}

/// A step up and the block that made the step down.
pub(crate) struct Step<'a> {
    pub(crate) up: &'a Up,
    pub(crate) down: &'a Block,
}

fn run(blocks: &[Block], x: Tensor<4>) -> Tensor<4> {
    blocks.iter().fold(x, |x, block| block.forward(x))
}
