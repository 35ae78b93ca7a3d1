//! The layer as a composition of ordinary tensor operations, for backends without a pass of our own.
//!
//! The same separable form: depthwise 1-D convolutions along x and y give the responses, a 1×1
//! convolution mixes them. Gradients are the backend's.

use super::{Call, Settings, conv2d::checked};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Int, Tensor, TensorData};
use njet_basis::JetIndex;
use std::f64::consts::LN_2;

/// [`njet_conv2d`](super::njet_conv2d) on any backend, by tensor operations alone.
///
/// # Panics
/// If the shapes do not fit together, with a message that says how.
pub fn njet_conv2d_composed(
    x: Tensor<4>,
    alpha: Tensor<3>,
    log2_sigma: Tensor<1>,
    bias: Option<Tensor<1>>,
    settings: &Settings,
) -> Tensor<4> {
    let call = checked(&x, &alpha, settings);
    compose(x, alpha, log2_sigma, bias, &call)
}

pub(super) fn compose(
    x: Tensor<4>,
    alpha: Tensor<3>,
    log2_sigma: Tensor<1>,
    bias: Option<Tensor<1>>,
    call: &Call,
) -> Tensor<4> {
    let [batch, channels, height, _] = x.dims();
    let [channels_out, group_in, basis] = alpha.dims();
    let orders = call.taps.max_order() + 1;
    let side = call.taps.side();
    let [pad_y, pad_x] = call.padding;
    let filters = Filters::new(&log2_sigma, call);

    let depthwise = |stride, padding| ConvOptions::new_with_padding(stride, padding, [1, 1], channels);
    let options = depthwise([1, call.stride[1]], [(0, 0), pad_x]);
    let along_x = filters.apply(x, |taps| taps.reshape([orders, 1, 1, side]).repeat_dim(0, channels), options);
    let width = along_x.dims()[3];
    let along_x = along_x.reshape([batch, channels, orders, height, width]);
    let responses: Vec<Tensor<5>> = (0..orders)
        .map(|j| {
            let plane = along_x.clone().slice_dim(2, j..j + 1).reshape([batch, channels, height, width]);
            let options = depthwise([call.stride[0], 1], [pad_y, (0, 0)]);
            let kernels = |taps: Tensor<2>| {
                taps.slice_dim(0, 0..orders - j).reshape([orders - j, 1, side, 1]).repeat_dim(0, channels)
            };
            let responses = filters.apply(plane, kernels, options);
            let height = responses.dims()[2];
            responses.reshape([batch, channels, orders - j, height, width])
        })
        .collect();
    let responses = Tensor::cat(responses, 2);
    let height = responses.dims()[3];

    // The planes came by falling priority of x; the coefficients follow.
    let place = |y, x| JetIndex { y, x }.position() as i64;
    let order: Vec<i64> = (0..orders).flat_map(|j| (0..orders - j).map(move |i| place(i, j))).collect();
    let order = Tensor::<1, Int>::from_data(TensorData::new(order, [basis]), &alpha.device());
    let alpha = alpha.select(2, order).reshape([channels_out, group_in * basis, 1, 1]);
    let mix = ConvOptions::new([1, 1], [0, 0], [1, 1], call.groups);
    conv2d(responses.reshape([batch, channels * basis, height, width]), alpha, bias, mix)
}

/// The taps `[order + 1, 2R + 1]` and how they depend on s = log₂ σ.
struct Filters {
    taps: Tensor<2>,
    /// The derivatives of the taps by s, and s − s₀: zero, and the way for the gradient of s.
    tangent: Option<(Tensor<2>, Tensor<1>)>,
}

impl Filters {
    fn new(log2_sigma: &Tensor<1>, call: &Call) -> Self {
        let on = (&log2_sigma.device(), log2_sigma.dtype());
        let shape = [call.taps.max_order() + 1, call.taps.side()];
        let tensor = |values: Vec<f64>| Tensor::<2>::from_data(TensorData::new(values, shape), on);
        let tangent = log2_sigma.device().is_autodiff().then(|| {
            let by_s = call.taps.d_sigma_values().iter().map(|d| d * call.taps.sigma() * LN_2).collect();
            (tensor(by_s), log2_sigma.clone() - log2_sigma.clone().detach())
        });
        Self { taps: tensor(call.taps.values().to_vec()), tangent }
    }

    /// `x ⋆ taps + (s − s₀) · (x ⋆ ∂taps/∂s)`. The gradient of s is then a sum over pixels of products
    /// with the filtered image; through the taps' own gradients f32 loses more of it to cancellation
    /// (3.6e-5 on a reference file, against less than 1e-5).
    fn apply(&self, x: Tensor<4>, kernels: impl Fn(Tensor<2>) -> Tensor<4>, options: ConvOptions<2>) -> Tensor<4> {
        let filter = |x, taps: &Tensor<2>| conv2d(x, kernels(taps.clone()), None, options.clone());
        let Some((by_s, zero)) = &self.tangent else { return filter(x, &self.taps) };
        let moved = filter(x.clone().detach(), by_s) * zero.clone().reshape([1, 1, 1, 1]);
        filter(x, &self.taps) + moved
    }
}
