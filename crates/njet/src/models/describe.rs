//! A model layer by layer: scale, kernel, receptive field, parameters, cost.

use super::block::{Block, Convolution};
use super::classifier::Classifier;
use super::pool::Pool;
use super::unit::Unit;
use crate::layer::NJetConv2d;
use serde::Serialize;

/// One layer of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerDescription {
    /// Name in reports.
    pub name: String,
    /// `njet`, `conv`, `gate` (squeeze-and-excitation) or `linear`.
    pub kind: &'static str,
    /// σ in pixels of the layer's own input; empty where there is none.
    pub sigma: Vec<f64>,
    /// Taps along y and x.
    pub kernel: [usize; 2],
    /// Side of the square of input pixels that one output depends on, by the longest way through the network. The
    /// factors of a gate, which depend on the whole image, are left aside.
    pub receptive_field: usize,
    /// Trained values, the normalisation's included.
    pub parameters: usize,
    /// Multiply-adds for one image: the separable filters and the product for an N-jet layer, the filters alone where
    /// each channel is filtered by itself. Normalisation, activation and pooling are not counted.
    pub multiply_adds: u64,
}

/// A model on an input of a given size.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// Trained values.
    pub parameters: usize,
    /// Multiply-adds for one image.
    pub multiply_adds: u64,
    /// Layer by layer.
    pub layers: Vec<LayerDescription>,
}

/// Feature maps at some place of the network.
#[derive(Debug, Clone, Copy)]
pub(super) struct Features {
    /// Rows and columns.
    pub(super) size: [usize; 2],
    /// Side of the square of image pixels that one element depends on.
    pub(super) receptive_field: f64,
    /// Distance between neighbours in image pixels.
    pub(super) jump: f64,
}

impl Features {
    /// The image itself, of `size`.
    pub(super) fn of_image(size: [usize; 2]) -> Self {
        Self { size, receptive_field: 1.0, jump: 1.0 }
    }

    /// After a pooling.
    pub(super) fn pooled(self, pool: Pool) -> Self {
        self.after(pool.side(), pool.stride() as f64, self.size.map(|pixels| pool.output(pixels)))
    }

    /// After a window of `side` with `stride`, which leaves maps of `size`.
    fn after(self, side: usize, stride: f64, size: [usize; 2]) -> Self {
        let receptive_field = self.receptive_field + (side - 1) as f64 * self.jump;
        Self { size, receptive_field, jump: self.jump * stride }
    }

    /// Whole image pixels that hold the receptive field.
    pub(super) fn side(self) -> usize {
        (self.receptive_field - 1e-6).ceil() as usize
    }
}

impl Classifier {
    /// Describes the model for images of `height` × `width`.
    pub fn describe(&self, height: usize, width: usize) -> Description {
        let mut features = Features::of_image([height, width]);
        let mut layers = Vec::new();
        for (unit, blocks) in self.units() {
            features = match unit {
                Unit::Plain => chain(blocks, features, &mut layers),
                Unit::Residual { branch, .. } => {
                    let (branch, projection) = blocks.split_at(branch);
                    let around = features;
                    let through = chain(branch, features, &mut layers);
                    // The shortcut samples its input where the outputs of the branch are.
                    let sampled = Features { receptive_field: around.receptive_field, ..through };
                    let around = chain(projection, sampled, &mut layers);
                    Features { receptive_field: through.receptive_field.max(around.receptive_field), ..through }
                }
            };
        }
        if let Some(linear) = &self.linear {
            let [inputs, outputs] = linear.weight.dims();
            layers.push(LayerDescription {
                name: "linear".to_owned(),
                kind: "linear",
                sigma: Vec::new(),
                kernel: [1, 1],
                receptive_field: features.side(),
                parameters: inputs * outputs + outputs,
                multiply_adds: (inputs * outputs) as u64,
            });
        }
        Description {
            parameters: layers.iter().map(|layer| layer.parameters).sum(),
            multiply_adds: layers.iter().map(|layer| layer.multiply_adds).sum(),
            layers,
        }
    }
}

/// Describes blocks that follow one another.
pub(super) fn chain(blocks: &[Block], features: Features, layers: &mut Vec<LayerDescription>) -> Features {
    blocks.iter().fold(features, |features, block| describe(block, features, layers))
}

fn describe(block: &Block, input: Features, layers: &mut Vec<LayerDescription>) -> Features {
    let (kernel, stride) = (block.convolution.kernel_size(), block.convolution.stride());
    let size = block.convolution.output_size(input.size);
    let mut features = input.after(kernel[0].max(kernel[1]), stride[0].max(stride[1]), size);
    let channels = block.convolution.channels_out();
    let (kind, sigma, parameters, multiply_adds) = match &block.convolution {
        Convolution::Njet(layer) => {
            let coefficients: usize = layer.alpha.dims().iter().product();
            let scales = layer.log2_sigma.dims()[0];
            ("njet", layer.sigmas(), coefficients + scales, njet_multiply_adds(layer, kernel, input.size, size))
        }
        Convolution::Conv(layer) => {
            let weights: usize = layer.weight.dims().iter().product();
            ("conv", Vec::new(), weights, (size[0] * size[1] * weights) as u64)
        }
    };
    layers.push(LayerDescription {
        name: block.name.clone(),
        kind,
        sigma,
        kernel,
        receptive_field: features.side(),
        parameters: parameters + 2 * channels,
        multiply_adds,
    });
    if let Some(gate) = &block.gate {
        let squeezed = gate.squeeze.weight.dims()[0];
        layers.push(LayerDescription {
            name: format!("{}.gate", block.name),
            kind: "gate",
            sigma: Vec::new(),
            kernel: [1, 1],
            receptive_field: features.side(),
            parameters: 2 * channels * squeezed + channels + squeezed,
            multiply_adds: (2 * channels * squeezed) as u64,
        });
    }
    if let Some(pool) = block.pool {
        features = features.pooled(pool);
    }
    features
}

/// The filters along x run on all rows, those along y on the rows that are left by a stride.
pub(super) fn njet_multiply_adds(layer: &NJetConv2d, kernel: [usize; 2], input: [usize; 2], output: [usize; 2]) -> u64 {
    let [channels_out, group_in, basis] = layer.alpha.dims();
    let channels_in = group_in * layer.groups;
    let orders = layer.order + 1;
    let (rows, pixels) = (input[0] * output[1], output[0] * output[1]);
    let along_x = channels_in * orders * kernel[1] * rows;
    // Each channel by itself: along y the orders are summed before any pixel is seen, and there is no product.
    let depthwise = group_in == 1 && channels_out == channels_in;
    let (along_y, product) = if depthwise { (orders, 0) } else { (basis, channels_out * group_in * basis) };
    (along_x + channels_in * along_y * kernel[0] * pixels + product * pixels) as u64
}
