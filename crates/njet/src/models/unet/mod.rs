//! U-Net: Ronneberger, Fischer, Brox, "U-Net: convolutional networks for biomedical image segmentation", 2015 (arXiv
//! 1505.04597), with layers whose size is learned.
//!
//! ```text
//! image ─ down0
//!           │ smaller
//!           └ down1 ──────────────────────────────► + ─ up1 ─ head ─ logits
//!               │ smaller                    larger ▲
//!               └ down2 ──────────► + ─ up2 ────────┘
//!                   │ smaller larger ▲
//!                   └ down3 (bottom) ┘
//! ```
//!
//! Two things differ from the published network, and both are sums: what comes from below is added to the skip connection,
//! and each block that keeps size and channels adds its input to its output (He, Zhang, Ren, Sun, "Deep residual learning
//! for image recognition", 2015), but for the first of all. So between the loss and every resolution there is a way through
//! the head and the steps up alone, and the layers on the way up cost half; what that is worth is in `docs/results.md`.
//!
//! The way up may end before the full resolution: the last 1×1 convolution then gives the logits of the r×r pixels that
//! stand for each of its own (Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel
//! convolutional neural network", CVPR 2016). Another step up and a convolution at the full resolution take
//! 1.2 to 1.4 times as long to train and gained nothing (`docs/results.md`).
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
use up::pixels_of_channels;

use super::activation::Activation;
use super::architecture::Subsampling;
use super::block::{Block, Convolution};
use super::network::trained_values;
use super::pointwise::convolve;
use super::pool::Pool;
use crate::layer::NJetConv2d;
use burn::module::{Module, ParamId};
use burn::nn::BatchNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;

/// What follows every normalisation.
pub(crate) const ACTIVATION: Activation = Activation::Swish;

/// An encoder and a decoder with skip connections: logits for every pixel.
#[derive(Module, Debug)]
pub struct UNet {
    /// The convolutions on the way down, from the full resolution to the lowest, then those on the way up.
    pub blocks: Vec<Block>,
    /// The steps from one resolution to the next on the way up, from the bottom.
    pub ups: Vec<Up>,
    /// Before the head, followed by what follows the normalisations of the blocks: the last sum of two ways has none.
    pub norm: BatchNorm,
    /// 1×1, from the last features to the logits: of r² pixels in turns, where the features are r times smaller than the
    /// image.
    pub head: Conv2d,
    /// 1×1, from the features of each lower resolution, from the bottom, to logits that are compared with what the truth is
    /// there. For training alone.
    pub deep: Vec<Conv2d>,
    /// How many of the blocks are at each resolution on the way down.
    #[module(skip)]
    pub(super) convolutions: Vec<usize>,
    /// How many follow each step up, from the bottom.
    #[module(skip)]
    pub(super) up: Vec<usize>,
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
        let logits = pixels_of_channels(self.decode(x, |_, _| {}), self.head_stride());
        logits.slice_dim(2, 0..height).slice_dim(3, 0..width)
    }

    /// What [`forward`](Self::forward) computes, as the head leaves it, and the logits at lower resolutions.
    pub(crate) fn forward_deep(&self, x: Tensor<4>) -> DeepLogits {
        let mut lower = Vec::new();
        let planes = self.decode(x, |number, features| {
            if let Some(head) = self.deep.get(number) {
                let side = 1 << (self.convolutions.len() - 1 - number);
                lower.push((side, convolve(head, features.clone())));
            }
        });
        let ([batch, channels, rows, columns], side) = (planes.dims(), self.head_stride());
        let square = side * side;
        let logits = planes.reshape([batch, channels / square, square * rows, columns]);
        DeepLogits { logits, side, lower }
    }

    /// What the head makes, with what it made of the zeros at the end of the image. `seen` is shown the features of each resolution, from the bottom.
    fn decode(&self, x: Tensor<4>, mut seen: impl FnMut(usize, &Tensor<4>)) -> Tensor<4> {
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
        for (number, (step, skip)) in self.steps().zip(skips.into_iter().rev()).enumerate() {
            seen(number, &x);
            let [_, _, rows, columns] = skip.dims();
            let larger = step.up.forward(x, step.down, [rows, columns]);
            x = step.blocks.iter().fold(skip + larger, |x, block| block.forward(x));
        }
        convolve(&self.head, ACTIVATION.after_norm(&self.norm, x))
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
        (self.subsampling == Subsampling::Strides).then(|| 1 << (self.convolutions.len() - 1))
    }

    /// Pixels of the image between neighbours among the features that the head sees.
    pub(crate) fn head_stride(&self) -> usize {
        1 << (self.convolutions.len() - 1 - self.ups.len())
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
        let down = self.down().rev().map(|blocks| &blocks[0]);
        let mut from = self.convolutions.iter().sum::<usize>();
        let counts = self.ups.iter().zip(&self.up);
        counts.zip(down).map(move |((up, &count), down)| {
            let blocks = &self.blocks[from..][..count];
            from += count;
            Step { up, down, blocks }
        })
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
        let heads = self.deep.iter().chain([&self.head]).map(|head| head.weight.id);
        self.blocks.iter().flat_map(Block::weights).chain(ups).chain(heads)
    }

    /// Trained values: coefficients, weights, scales, gains and offsets of the normalisation, biases. Without what is for
    /// training alone.
    pub fn num_parameters(&self) -> usize {
        let aside: usize = self.deep.iter().map(Module::num_params).sum();
        trained_values(self, self.blocks.iter().map(|block| &block.norm).chain([&self.norm])) - aside
    }
}

/// Logits in training.
pub(crate) struct DeepLogits {
    /// `[batch, classes, side² · rows, columns]`: of cells of `side`×`side` pixels first their first pixels, row by row, then
    /// their second ones. Cells at the end may reach past the image.
    pub(crate) logits: Tensor<4>,
    /// Pixels along a side of a cell.
    pub(crate) side: usize,
    /// Logits of whole cells, and the pixels along a side of those.
    pub(crate) lower: Vec<(usize, Tensor<4>)>,
}

/// A step up.
pub(crate) struct Step<'a> {
    pub(crate) up: &'a Up,
    /// The block that made the step down.
    pub(crate) down: &'a Block,
    /// The blocks that follow at the resolution to which it leads.
    pub(crate) blocks: &'a [Block],
}
