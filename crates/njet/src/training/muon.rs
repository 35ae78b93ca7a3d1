//! Muon for layers.

use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdjustLrFn, Muon, MuonConfig, MuonState, Optimizer};
use burn::tensor::{Device, Tensor};

/// Muon (Jordan and others 2024): each step is the orthogonal matrix nearest to the momentum, so that every direction in
/// which the outputs of a layer can move moves as far. Burn's is for matrices; here a parameter is taken as one row for
/// each entry of its first axis, which for coefficients `[channels_out, channels_in, B]` is all that makes one output.
///
/// Steps have the size of AdamW's (Liu and others, "Muon is scalable for LLM training", 2025), so its rates serve.
#[derive(Clone)]
pub(super) struct LayerMuon(Muon);

impl LayerMuon {
    pub(super) fn new(momentum: f64, weight_decay: f64) -> Self {
        let momentum = MomentumConfig { momentum, dampening: 0.0, nesterov: true };
        let config = MuonConfig::new()
            .with_momentum(momentum)
            .with_weight_decay(Some(WeightDecayConfig::new(weight_decay as f32)))
            .with_adjust_lr_fn(AdjustLrFn::MatchRmsAdamW);
        Self(config.build())
    }
}

impl Optimizer for LayerMuon {
    type State<const D: usize> = MuonState<2>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let shape = tensor.dims();
        let rows = shape[0];
        let matrix = |tensor: Tensor<D>| {
            let columns = tensor.shape().num_elements() / rows.max(1);
            tensor.reshape([rows, columns])
        };
        let (tensor, state) = self.0.step(lr, matrix(tensor), matrix(grad), state);
        (tensor.reshape(shape), state)
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        Muon::to_device(state, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step without weight decay, in units of its size: for a wide matrix its rows are orthogonal.
    fn step(shape: [usize; 3], gradient: f32) -> Tensor<2> {
        let device = Device::flex();
        let count: usize = shape.iter().product();
        let numbers: Vec<f32> = (0..count).map(|i| gradient * ((i * i * 31 + 7 * i) % 101) as f32 / 101.0).collect();
        let grad = Tensor::<1>::from_floats(numbers.as_slice(), &device).reshape(shape);
        let before = Tensor::<3>::ones(shape, &device);
        let (after, state) = LayerMuon::new(0.9, 0.0).step(0.5, before.clone(), grad, None);
        assert!(state.is_some());
        let (rows, columns) = (shape[0], shape[1] * shape[2]);
        (before - after).reshape([rows, columns]) / (0.5 * 0.2 * (rows.max(columns) as f32).sqrt())
    }

    #[test]
    fn every_direction_moves_as_far() {
        for (shape, gradient) in [([4, 5, 6], 1.0), ([4, 5, 6], 1e-4), ([7, 1, 3], 1.0)] {
            let step = step(shape, gradient);
            let wide = if shape[0] <= shape[1] * shape[2] { step } else { step.transpose() };
            let products = wide.clone().matmul(wide.transpose());
            let rows = products.dims()[0];
            let values: Vec<f32> = products.into_data().iter().collect();
            for (i, value) in values.into_iter().enumerate() {
                // The iteration leaves singular values between 0.7 and 1.2.
                let range = if i % (rows + 1) == 0 { 0.45..1.5 } else { -0.4..0.4 };
                assert!(range.contains(&value), "{shape:?}: {value} at {i}");
            }
        }
    }

    #[test]
    fn weights_decay_by_the_rate() {
        let device = Device::flex();
        let (after, _) = LayerMuon::new(0.9, 0.2).step(
            0.5,
            Tensor::<3>::ones([2, 2, 2], &device),
            Tensor::zeros([2, 2, 2], &device),
            None,
        );
        assert!(after.into_data().iter::<f32>().all(|v| (v - 0.9).abs() < 1e-6));
    }
}
