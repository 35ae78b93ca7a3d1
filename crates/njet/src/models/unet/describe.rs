//! A U-Net layer by layer.

use super::up::UpKind;
use super::{Step, UNet};
use crate::models::architecture::Subsampling;
use crate::models::block::Convolution;
use crate::models::describe::{Description, Features, LayerDescription, chain, njet_multiply_adds};
use crate::models::pool::Pool;

impl UNet {
    /// Describes the network for images of `height` × `width`.
    pub fn describe(&self, height: usize, width: usize) -> Description {
        let multiple = self.total_stride().unwrap_or(1);
        let mut features = Features::of_image([height, width].map(|side| side.next_multiple_of(multiple)));
        let mut layers = Vec::new();
        let mut skips = Vec::new();
        for (level, blocks) in self.down().enumerate() {
            if level > 0 {
                skips.push(features);
                if self.subsampling == Subsampling::Strides {
                    features = features.pooled(Pool::Average2);
                }
            }
            features = chain(blocks, features, &mut layers);
        }
        for (step, skip) in self.steps().zip(skips.into_iter().rev()) {
            features = describe(&step, features, skip, &mut layers);
            features = chain(step.blocks, features, &mut layers);
        }
        let [planes, inputs, ..] = self.head.weight.dims();
        let [rows, columns] = [height, width].map(|pixels| pixels.div_ceil(self.head_stride()));
        layers.push(LayerDescription {
            name: "head".to_owned(),
            kind: "conv",
            sigma: Vec::new(),
            kernel: [1, 1],
            receptive_field: features.side(),
            // With the normalisation before it.
            parameters: (inputs + 1) * planes + 2 * inputs,
            multiply_adds: (inputs * planes * rows * columns) as u64,
        });
        Description {
            parameters: layers.iter().map(|layer| layer.parameters).sum(),
            multiply_adds: layers.iter().map(|layer| layer.multiply_adds).sum(),
            layers,
        }
    }

    /// Elements of the largest array that goes from one operation to the next for each pixel of a large image, at the present
    /// strides.
    pub(crate) fn elements_per_pixel(&self) -> usize {
        // So large that a pixel more or less is nothing at any resolution.
        const SIDE: usize = 1 << 10;
        let mut size = [SIDE; 2];
        let resolutions = self.down().enumerate().map(|(level, blocks)| {
            if level > 0 && self.subsampling == Subsampling::Strides {
                size = size.map(|side| side / 2);
            }
            size = blocks.iter().fold(size, |size, block| block.convolution.output_size(size));
            blocks[0].convolution.channels_out() * size[0] * size[1]
        });
        let largest = resolutions.max().unwrap_or(0).div_ceil(SIDE * SIDE);
        largest.max(self.head.weight.dims()[0] / self.head_stride().pow(2))
    }

    /// Pixels of the image, on each side of an output pixel, that it depends on at the present σ at most: half the
    /// receptive field, and what the poolings and steps up add on one side, being off the middle of their windows.
    pub fn reach(&self) -> usize {
        let field = self.describe(1, 1).layers.last().map_or(1, |head| head.receptive_field);
        field.div_ceil(2) + 2 * self.total_stride().unwrap_or(0)
    }
}

/// A step up, to the features that the skip connection brings.
fn describe(step: &Step<'_>, below: Features, skip: Features, layers: &mut Vec<LayerDescription>) -> Features {
    let (kernel, sigma, parameters, multiply_adds) = match &step.up.kind {
        UpKind::Njet(layer) => {
            let layer = &layer.convolution;
            let (kernel, sigmas) = (layer.kernel_size(), layer.sigmas());
            let parameters = layer.alpha.dims().iter().product::<usize>() + sigmas.len();
            // The transpose costs what the convolution does.
            (kernel, sigmas, parameters, njet_multiply_adds(layer, kernel, skip.size, below.size))
        }
        UpKind::Safe(coefficients) => {
            let Convolution::Njet(layer) = &step.down.convolution else { unreachable!("an N-jet layer made the step") };
            let kernel = layer.kernel_size();
            let parameters = coefficients.alpha.dims().iter().product();
            (kernel, layer.sigmas(), parameters, njet_multiply_adds(layer, kernel, skip.size, below.size))
        }
        UpKind::Conv(conv) => {
            let weights: usize = conv.weight.dims().iter().product();
            // Each output sees one pixel from below.
            ([1, 1], Vec::new(), weights, (weights * below.size[0] * below.size[1]) as u64)
        }
    };
    let through = below.receptive_field + (kernel[0].max(kernel[1]) - 1) as f64 * skip.jump;
    let features = Features { receptive_field: through.max(skip.receptive_field), ..skip };
    layers.push(LayerDescription {
        name: step.up.name.clone(),
        kind: if sigma.is_empty() { "conv" } else { "njet" },
        sigma,
        kernel,
        receptive_field: features.side(),
        parameters,
        multiply_adds,
    });
    features
}
