//! Stochastic depth: a residual branch is left out at random.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::Tensor;

/// Leaves out the whole branch for some images of a batch in training and scales it for the others, so that its mean
/// stays (Huang et al. 2016, "Deep networks with stochastic depth"). Does nothing in evaluation.
#[derive(Module, Debug)]
pub struct StochasticDepth {
    /// Of one value for each image.
    dropout: Dropout,
}

impl StochasticDepth {
    pub(super) fn new(probability: f64) -> Self {
        Self { dropout: DropoutConfig::new(probability).init() }
    }

    /// `[batch, channels, height, width]` to the same.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        if !x.device().is_autodiff() || !self.dropout.training.is_enabled() {
            return x;
        }
        let ones = Tensor::<4>::ones([x.dims()[0], 1, 1, 1], (&x.device(), x.dtype()));
        x * self.dropout.forward(ones)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn whole_images_are_dropped_and_the_mean_stays() {
        let device = Device::flex().autodiff();
        device.seed(3);
        let layer = StochasticDepth::new(0.25);
        let y = layer.forward(Tensor::ones([2000, 2, 1, 3], &device)).into_data();
        let values: Vec<f32> = y.iter::<f32>().collect();
        let mut kept = 0;
        for image in values.chunks(6) {
            assert!(image.iter().all(|&v| v == image[0]), "{image:?} is neither dropped nor kept");
            assert!(image[0] == 0.0 || (image[0] - 4.0 / 3.0).abs() < 1e-6, "{image:?}");
            kept += usize::from(image[0] > 0.0);
        }
        // Of 2000, 1500 are expected; the deviation is 19.
        assert!((1400..1600).contains(&kept), "{kept} of 2000 kept");
        let y = layer.freeze().forward(Tensor::ones([10, 1, 1, 1], &device)).into_data();
        assert!(y.iter::<f32>().all(|v| v == 1.0), "a frozen layer passes everything on");
    }
}
