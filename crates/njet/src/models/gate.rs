//! Squeeze-and-excitation: each channel times a factor that depends on the means of all of them.

use super::pointwise::convolve;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::activation::{sigmoid, silu};
use burn::tensor::{Device, Tensor};

/// `x · sigmoid(excite(swish(squeeze(mean x))))` (Hu et al. 2018; with swish as in EfficientNet).
#[derive(Module, Debug)]
pub struct SqueezeExcitation {
    /// 1×1, from all channels to few.
    pub squeeze: Conv2d,
    /// 1×1, back to all channels.
    pub excite: Conv2d,
}

impl SqueezeExcitation {
    pub(super) fn new(channels: usize, squeezed: usize, device: &Device) -> Self {
        Self {
            squeeze: Conv2dConfig::new([channels, squeezed], [1, 1]).init(device),
            excite: Conv2dConfig::new([squeezed, channels], [1, 1]).init(device),
        }
    }

    /// `[batch, channels, height, width]` to the same.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let mean = x.clone().reshape([batch, channels, height * width]).mean_dim(2);
        let mean = mean.reshape([batch, channels, 1, 1]);
        let factor = sigmoid(convolve(&self.excite, silu(convolve(&self.squeeze, mean))));
        x * factor
    }
}
