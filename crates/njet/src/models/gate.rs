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

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Param;
    use burn::tensor::Tolerance;

    #[test]
    fn a_channel_by_hand() {
        let device = Device::flex();
        let mut gate = SqueezeExcitation::new(1, 1, &device);
        let set = |conv: &mut Conv2d, weight: f32, bias: f32| {
            conv.weight = Param::from_tensor(Tensor::full([1, 1, 1, 1], weight, &device));
            conv.bias = Some(Param::from_tensor(Tensor::full([1], bias, &device)));
        };
        set(&mut gate.squeeze, 2.0, -1.0);
        set(&mut gate.excite, 0.5, 0.25);
        let x = [1.0, 2.0, 3.0, 6.0f32];
        let y = gate.forward(Tensor::<1>::from_floats(x, &device).reshape([1, 1, 2, 2]));
        // The mean is 3: squeezed 2·3 − 1 = 5, by swish 5/(1 + e⁻⁵).
        let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
        let factor = sigmoid(0.5 * 5.0 * sigmoid(5.0) + 0.25);
        let expected = Tensor::<1>::from_floats(x.map(|x| x * factor), &device).reshape([1, 1, 2, 2]);
        let tolerance = Tolerance::<f32>::rel_abs(1e-6, 0.0);
        y.into_data().assert_approx_eq(&Tensor::<4>::into_data(expected), tolerance);
    }
}
