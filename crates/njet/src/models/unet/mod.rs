//! U-Net: Ronneberger, Fischer, Brox, "U-Net: convolutional networks for biomedical image segmentation", 2015 (arXiv
//! 1505.04597), with layers whose size is learned.
//!
//! ```text
//! image ─ down0 ───────────────────────────────► + ─ up0 ─ head ─ logits
//!           │ smaller                     larger ▲
//!           └ down1 ────────────► + ─ up1 ───────┘
//!               │ smaller  larger ▲
//!               └ down2 (bottom) ─┘
//! ```
//!
//! Two things differ from the published network, and both are sums: what comes from below is added to the skip connection,
//! and each block that keeps size and channels adds its input to its output (He, Zhang, Ren, Sun, "Deep residual learning
//! for image recognition", 2015), but for the first of all. So between the loss and every resolution there is a way through
//! the head and the steps up alone, and the layers on the way up cost half; what that is worth is in `docs/results.md`.
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

/// An encoder and a decoder with skip connections: logits for every pixel.
#[derive(Module, Debug)]
pub struct UNet {
    /// The convolutions on the way down, from the full resolution to the lowest, then those on the way up, one for each
    /// resolution.
    pub blocks: Vec<Block>,
    /// The steps from one resolution to the next on the way up, from the bottom.
    pub ups: Vec<Up>,
    /// 1×1, from the last features to the logits.
    pub head: Conv2d,
    /// How many of the blocks are at each resolution on the way down.
    #[module(skip)]
    pub(super) convolutions: Vec<usize>,
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
        let mut skips = Vec::new();
        for (level, blocks) in self.down().enumerate() {
            if level > 0 {
                skips.push(x.clone());
                if self.subsampling == Subsampling::Strides {
                    x = Pool::Average2.forward(x);
                }
            }
            x = blocks.iter().fold(x, |x, block| block.forward(x));
        }
        for (step, skip) in self.steps().zip(skips.into_iter().rev()) {
            let [_, _, rows, columns] = skip.dims();
            let larger = step.up.forward(x, step.down, [rows, columns]);
            x = step.block.forward(skip + larger);
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

    /// The blocks of each resolution on the way down.
    pub(crate) fn down(&self) -> impl DoubleEndedIterator<Item = &[Block]> {
        self.convolutions
            .iter()
            .scan(0, |from, &count| {
                let blocks = &self.blocks[*from..][..count];
                *from += count;
                Some(blocks)
            })
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// The steps up, from the bottom.
    pub(crate) fn steps(&self) -> impl Iterator<Item = Step<'_>> {
        let up = &self.blocks[self.blocks.len() - self.ups.len()..];
        let down = self.down().rev().map(|blocks| &blocks[0]);
        self.ups.iter().zip(up).zip(down).map(|((up, block), down)| Step { up, down, block })
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

/// A step up.
pub(crate) struct Step<'a> {
    pub(crate) up: &'a Up,
    /// The block that made the step down.
    pub(crate) down: &'a Block,
    /// The block that follows at the resolution to which it leads.
    pub(crate) block: &'a Block,
}
