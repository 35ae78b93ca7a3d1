//! A model layer by layer: scale, kernel, receptive field, parameters, cost.

use super::block::Convolution;
use super::classifier::Classifier;
use serde::Serialize;

/// One layer of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerDescription {
    /// Name in reports.
    pub name: String,
    /// `njet`, `conv` or `linear`.
    pub kind: &'static str,
    /// σ in pixels of the layer's own input; empty where there is none.
    pub sigma: Vec<f64>,
    /// Taps along y and x.
    pub kernel: [usize; 2],
    /// Side of the square of input pixels that one output depends on.
    pub receptive_field: usize,
    /// Trained values, the normalisation's included.
    pub parameters: usize,
    /// Multiply-adds for one image: the separable filters and the product for an N-jet layer.
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

impl Classifier {
    /// Describes the model for images of `height` × `width`.
    pub fn describe(&self, height: usize, width: usize) -> Description {
        let (mut height, mut width) = (height, width);
        let (mut receptive_field, mut jump) = (1, 1);
        let mut layers = Vec::new();
        for (name, block) in self.named_blocks() {
            let pixels = (height * width) as u64;
            let norm = 2 * block.norm.gamma.dims()[0];
            let (kind, sigma, kernel, parameters, per_pixel) = match &block.convolution {
                Convolution::Njet(layer) => {
                    let [outputs, inputs, basis] = layer.alpha.dims();
                    let kernel = layer.kernel_size();
                    let filters = inputs * (layer.order + 1) * kernel[1] + inputs * basis * kernel[0];
                    let product = outputs * inputs * basis;
                    ("njet", layer.sigmas(), kernel, product + layer.log2_sigma.dims()[0], filters + product)
                }
                Convolution::Conv(layer) => {
                    let [outputs, inputs, ky, kx] = layer.weight.dims();
                    let product = outputs * inputs * ky * kx;
                    ("conv", Vec::new(), [ky, kx], product, product)
                }
            };
            receptive_field += (kernel[0].max(kernel[1]) - 1) * jump;
            layers.push(LayerDescription {
                name: name.to_owned(),
                kind,
                sigma,
                kernel,
                receptive_field,
                parameters: parameters + norm,
                multiply_adds: pixels * per_pixel as u64,
            });
            if block.pooled {
                receptive_field += jump;
                jump *= 2;
                (height, width) = (height / 2, width / 2);
            }
        }
        if let Some(linear) = &self.linear {
            let [inputs, outputs] = linear.weight.dims();
            layers.push(LayerDescription {
                name: "linear".to_owned(),
                kind: "linear",
                sigma: Vec::new(),
                kernel: [1, 1],
                receptive_field,
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
