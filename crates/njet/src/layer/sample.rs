//! An image at the positions of a layer's outputs: the way around the layer in a residual network.

use super::{NJetConv2d, Settings};
use burn::tensor::{Int, Tensor, TensorData};

impl NJetConv2d {
    /// `x` `[batch, channels, height, width]` at the positions where the outputs of this layer stand, between pixels by
    /// linear interpolation, `[batch, channels, height_out, width_out]`. Where the stride follows σ, so do the
    /// positions, and the gradient flows through them.
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use njet::{NJetConv2dConfig, Stride};
    /// let device = Device::flex();
    /// let layer = NJetConv2dConfig::new([1, 2]).with_sigma(4.0).with_stride(Stride::Safe { ratio: 1.0 }).init(&device);
    /// let ramp = Tensor::<1>::from_floats([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], &device).reshape([1, 1, 1, 6]);
    /// // Two outputs, 4 pixels apart about the middle.
    /// assert_eq!(layer.sample(ramp).into_data().iter::<f32>().collect::<Vec<_>>(), [0.5, 4.5]);
    /// ```
    ///
    /// # Panics
    /// If the stride is made of whole pixels: those outputs stand on pixels, which depend on the padding.
    pub fn sample(&self, x: Tensor<4>) -> Tensor<4> {
        let settings = self.settings();
        assert!(
            !matches!(settings.stride, super::Stride::Fixed(_)),
            "N-jet layer: a fixed stride samples whole pixels"
        );
        if settings.stride.nearest_factor(1.0).is_some() {
            return super::conv2d::shrunk(x, &settings);
        }
        let x = self.along(x, 0, &settings);
        self.along(x, 1, &settings)
    }

    fn along(&self, x: Tensor<4>, axis: usize, settings: &Settings) -> Tensor<4> {
        let n = x.dims()[2 + axis];
        let (factor, followed) = settings.follows(axis);
        if factor == 1.0 {
            return x;
        }
        let neighbours = neighbours(n, factor);
        let m = neighbours.len();
        let on = (&x.device(), x.dtype());
        // The weights of the two neighbours of each position, and how they move with the factor.
        let (mut weights, mut moves) = (vec![0.0; m * n], vec![0.0; m * n]);
        for (p, (before, part)) in neighbours.into_iter().enumerate() {
            let by_factor = p as f64 - 0.5 * (m as f64 - 1.0);
            weights[p * n + before] += 1.0 - part;
            moves[p * n + before] -= by_factor;
            if before + 1 < n {
                weights[p * n + before + 1] += part;
                moves[p * n + before + 1] += by_factor;
            }
        }
        let apply = |x: Tensor<4>, matrix: Vec<f64>| {
            let matrix = Tensor::<2>::from_data(TensorData::new(matrix, [m, n]), on).reshape([1, 1, m, n]);
            if axis == 0 { matrix.matmul(x) } else { x.matmul(matrix.swap_dims(2, 3)) }
        };
        let sampled = apply(x.clone(), weights);
        let Some((parameter, slope)) = followed.filter(|_| x.device().is_autodiff()) else { return sampled };
        // A zero that carries the gradient to the parameter.
        let s = self.log2_sigma.val();
        let place = Tensor::<1, Int>::from_data(TensorData::new(vec![parameter as i64], [1]), &s.device());
        let zero = (s.clone() - s.detach()).select(0, place).mul_scalar(slope).reshape([1, 1, 1, 1]);
        sampled + apply(x.detach(), moves) * zero.cast(on.1)
    }
}

/// For each output of those `factor` pixels apart about the centre of `n` pixels: the pixel before it, and how far behind
/// that it stands, 0 … 1.
pub(crate) fn neighbours(n: usize, factor: f64) -> Vec<(usize, f64)> {
    let m = super::stride::outputs(n, factor);
    let neighbour = |p| {
        let position = njet_kernels::centred_position(p, n, m, factor).clamp(0.0, (n - 1) as f64);
        let before = (position.floor() as usize).min(n.saturating_sub(2));
        (before, position - before as f64)
    };
    (0..m).map(neighbour).collect()
}
