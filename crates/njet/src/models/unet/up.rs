//! From one resolution to the next higher one.

use crate::layer::{NJetConv2d, NJetConvTranspose2d, njet_conv_transpose2d};
use crate::models::block::{Block, Convolution};
use crate::models::pointwise::convolve;
use burn::module::{Module, Param, ParamId};
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;

/// A step up.
#[derive(Module, Debug)]
pub struct Up {
    /// Name in reports.
    #[module(skip)]
    pub name: String,
    pub(crate) kind: UpKind,
}

/// What it is made with.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // one a step: size is no matter
pub(crate) enum UpKind {
    /// Undoes a pooling of 2×2 pixels.
    Njet(NJetConvTranspose2d),
    /// Undoes safe subsampling: the transposed layer with these coefficients, `[channels_in, channels_out, B]`, and the
    /// scales of the layer that made the images smaller.
    Safe(Coefficients),
    /// A transposed convolution of 2×2 with stride 2, as in the published network: a 1×1 convolution to four pixels.
    Conv(Conv2d),
}

/// Coefficients of a layer that has its scales elsewhere.
#[derive(Module, Debug)]
pub(crate) struct Coefficients {
    pub(crate) alpha: Param<Tensor<3>>,
}

impl Up {
    /// `[batch, channels_in, …]` to `[batch, channels_out, size[0], size[1]]`. `down` is the block that made the step down.
    pub(super) fn forward(&self, x: Tensor<4>, down: &Block, size: [usize; 2]) -> Tensor<4> {
        match &self.kind {
            UpKind::Njet(layer) => layer.forward_to(x, size),
            UpKind::Safe(coefficients) => {
                let Convolution::Njet(layer) = &down.convolution else {
                    unreachable!("safe subsampling is by an N-jet layer")
                };
                let alpha = coefficients.alpha.val();
                njet_conv_transpose2d(x, alpha, layer.log2_sigma.val(), None, &layer.settings(), size)
            }
            UpKind::Conv(conv) => pixels_of_channels(convolve(conv, x), 2),
        }
    }

    /// The convolution whose transpose it is, where it has scales of its own.
    pub(super) fn njet_layer(&self) -> Option<&NJetConv2d> {
        match &self.kind {
            UpKind::Njet(layer) => Some(&layer.convolution),
            UpKind::Safe(_) | UpKind::Conv(_) => None,
        }
    }

    pub(in crate::models) fn weight(&self) -> ParamId {
        match &self.kind {
            UpKind::Njet(layer) => layer.convolution.alpha.id,
            UpKind::Safe(coefficients) => coefficients.alpha.id,
            UpKind::Conv(conv) => conv.weight.id,
        }
    }
}

/// `[batch, side²·channels, height, width]` to `[batch, channels, side·height, side·width]`: side² channels that follow one
/// another become side×side pixels.
pub(super) fn pixels_of_channels(x: Tensor<4>, side: usize) -> Tensor<4> {
    if side == 1 {
        return x;
    }
    let [batch, planes, height, width] = x.dims();
    let channels = planes / (side * side);
    let x = x.reshape([batch, channels, side, side, height, width]).permute([0, 1, 4, 2, 5, 3]);
    x.reshape([batch, channels, side * height, side * width])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn four_channels_become_a_square() {
        let x = Tensor::<1>::from_floats([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], &Device::flex());
        // Four channels of one row of two pixels.
        let y = pixels_of_channels(x.reshape([1, 4, 1, 2]), 2);
        assert_eq!(y.dims(), [1, 1, 2, 4]);
        assert_eq!(y.into_data().iter::<f32>().collect::<Vec<_>>(), [1.0, 3.0, 2.0, 4.0, 5.0, 7.0, 6.0, 8.0]);
    }
}
