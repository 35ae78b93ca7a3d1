//! The layer on the CPU backend: the engine of `njet-kernels`, with its own backward pass.

use super::{Call, Precision};
use crate::backend::{Float, on_flex};
use burn::backend::autodiff::{
    Autodiff, NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, DType, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Tensor, TensorData};
use njet_kernels::engine::{self, Isa, Options};
use njet_kernels::{Backward as BackwardCall, Forward, Real, Taps, Wanted, bias};
use std::borrow::Cow;

/// A backend with an N-jet convolution of its own.
#[backend_extension(Autodiff, Flex)]
pub trait NJetOps: Backend {
    /// See [`njet_conv2d`](super::njet_conv2d); `bias` is ignored unless `with_bias`.
    fn njet_conv2d(
        x: FloatTensor<Self>,
        alpha: FloatTensor<Self>,
        log2_sigma: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        with_bias: bool,
        call: Call,
    ) -> FloatTensor<Self>;
}

/// The gradients of [`NJetOps::njet_conv2d`], for the automatic differentiation above it.
pub trait NJetGradients: NJetOps {
    /// Gradients of x, alpha, log2_sigma and bias, those that are `wanted`.
    fn njet_conv2d_backward(
        x: FloatTensor<Self>,
        alpha: FloatTensor<Self>,
        grad_y: FloatTensor<Self>,
        wanted: Wanted,
        call: &Call,
    ) -> [Option<FloatTensor<Self>>; 4];
}

/// See [`runs_on_engine`](super::runs_on_engine).
pub(super) fn runs(x: &Tensor<4>, alpha: &Tensor<3>, log2_sigma: &Tensor<1>) -> bool {
    let dtype = x.dtype();
    matches!(dtype, DType::F32 | DType::F64) && alpha.dtype() == dtype && log2_sigma.dtype() == dtype && on_flex(x)
}

pub(super) fn njet_conv2d(
    x: Tensor<4>,
    alpha: Tensor<3>,
    log2_sigma: Tensor<1>,
    bias: Option<Tensor<1>>,
    call: Call,
) -> Tensor<4> {
    let with_bias = bias.is_some();
    // A backend operation has a fixed number of tensors.
    let bias = bias.unwrap_or_else(|| Tensor::zeros([1], (&log2_sigma.device(), log2_sigma.dtype())));
    Tensor::from_dispatch(Dispatch::njet_conv2d(
        x.into_dispatch(),
        alpha.into_dispatch(),
        log2_sigma.into_dispatch(),
        bias.into_dispatch(),
        with_bias,
        call,
    ))
}

impl NJetOps for Flex {
    fn njet_conv2d(
        x: FlexTensor,
        alpha: FlexTensor,
        _log2_sigma: FlexTensor,
        bias: FlexTensor,
        with_bias: bool,
        call: Call,
    ) -> FlexTensor {
        match x.dtype() {
            DType::F32 => forward::<f32>(&x, &alpha, with_bias.then_some(&bias), &call),
            DType::F64 => forward::<f64>(&x, &alpha, with_bias.then_some(&bias), &call),
            other => unreachable!("`runs` admits f32 and f64, not {other:?}"),
        }
    }
}

impl NJetGradients for Flex {
    fn njet_conv2d_backward(
        x: FlexTensor,
        alpha: FlexTensor,
        grad_y: FlexTensor,
        wanted: Wanted,
        call: &Call,
    ) -> [Option<FlexTensor>; 4] {
        match x.dtype() {
            DType::F32 => backward::<f32>(&x, &alpha, &grad_y, wanted, call),
            DType::F64 => backward::<f64>(&x, &alpha, &grad_y, wanted, call),
            other => unreachable!("`runs` admits f32 and f64, not {other:?}"),
        }
    }
}

fn options(call: &Call) -> Options {
    let isa = match call.precision {
        Precision::F32 => Isa::Best,
        Precision::Bf16 => Isa::Amx,
    };
    Options { band_limit: call.band_limit, isa, sigma_images: call.sigma_images, ..Options::default() }
}

fn cast<T: Real>(values: &[f64]) -> Vec<T> {
    values.iter().map(|&value| T::from_f64(value)).collect()
}

/// The taps of a call, or their derivatives.
struct Rounded<T>([Vec<T>; 2]);

impl<T: Real> Rounded<T> {
    fn new(arrays: &[Vec<f64>; 2]) -> Self {
        Self([cast(&arrays[0]), cast(&arrays[1])])
    }

    fn taps(&self) -> Taps<'_, T> {
        Taps { y: &self.0[0], x: &self.0[1] }
    }
}

/// The image, with its border where that is not zeros.
fn bordered<'a, T: Real>(x: &'a [T], call: &Call) -> Cow<'a, [T]> {
    match call.border {
        None => Cow::Borrowed(x),
        Some((border, margins)) => Cow::Owned(border.extend(x, call.size, margins)),
    }
}

fn forward<T: Float>(x: &FlexTensor, alpha: &FlexTensor, bias: Option<&FlexTensor>, call: &Call) -> FlexTensor {
    if call.transposed {
        return transposed::<T>(x, alpha, bias, call);
    }
    let (x, alpha, bias) = (x.to_contiguous(), alpha.to_contiguous(), bias.map(|b| b.to_contiguous()));
    let taps = Rounded::<T>::new(&call.taps.values);
    let arguments = Forward {
        taps: taps.taps(),
        alpha: T::slice(&alpha),
        bias: bias.as_ref().map(|b| T::slice(b)),
        x: &bordered(T::slice(&x), call),
    };
    let geometry = &call.geometry;
    let y = engine::forward(geometry, &arguments, options(call)).unwrap_or_else(|error| panic!("N-jet layer: {error}"));
    let shape = [x.shape()[0], geometry.channels_out(), geometry.y().output(), geometry.x().output()];
    FlexTensor::from_data(TensorData::new(y, shape))
}

/// The adjoint of the convolution: what its backward pass makes of the gradient of its output.
fn transposed<T: Float>(x: &FlexTensor, alpha: &FlexTensor, bias: Option<&FlexTensor>, call: &Call) -> FlexTensor {
    let (x, alpha, bias) = (x.to_contiguous(), alpha.to_contiguous(), bias.map(|b| b.to_contiguous()));
    let geometry = &call.geometry;
    let taps = Rounded::<T>::new(&call.taps.values);
    let arguments = BackwardCall {
        taps: taps.taps(),
        d_taps: None,
        alpha: T::slice(&alpha),
        // Its own gradient does not depend on it.
        x: &[],
        grad_y: T::slice(&x),
        wanted: Wanted { x: true, alpha: false, bias: false, sigma: false },
    };
    let gradients = engine::backward(geometry, &arguments, options(call))
        .unwrap_or_else(|error| panic!("transposed N-jet layer: {error}"));
    let mut y = gradients.x.expect("it was wanted");
    if let Some(bias) = &bias {
        bias::add(&mut y, T::slice(bias), call.size[0] * call.size[1]);
    }
    FlexTensor::from_data(TensorData::new(y, [x.shape()[0], geometry.channels_in(), call.size[0], call.size[1]]))
}

/// Gradients of the adjoint: ⟨u, Tᵀx⟩ = ⟨Tu, x⟩, so x has the convolution of u as its gradient, and for α and σ the two
/// change places.
fn transposed_backward<T: Float>(
    x: &FlexTensor,
    alpha: &FlexTensor,
    grad_y: &FlexTensor,
    wanted: Wanted,
    call: &Call,
) -> [Option<FlexTensor>; 4] {
    let (x, alpha, grad_y) = (x.to_contiguous(), alpha.to_contiguous(), grad_y.to_contiguous());
    let geometry = &call.geometry;
    let (taps, d_taps) = (Rounded::<T>::new(&call.taps.values), Rounded::<T>::new(&call.taps.tangents));
    let fail = |error| -> ! { panic!("transposed N-jet layer: {error}") };
    let by_x = wanted.x.then(|| {
        let arguments = Forward { taps: taps.taps(), alpha: T::slice(&alpha), bias: None, x: T::slice(&grad_y) };
        engine::forward(geometry, &arguments, options(call)).unwrap_or_else(|error| fail(error))
    });
    let arguments = BackwardCall {
        taps: taps.taps(),
        d_taps: Some(d_taps.taps()),
        alpha: T::slice(&alpha),
        x: T::slice(&grad_y),
        grad_y: T::slice(&x),
        wanted: Wanted { x: false, bias: false, ..wanted },
    };
    let gradients = engine::backward(geometry, &arguments, options(call)).unwrap_or_else(|error| fail(error));
    let by_bias =
        wanted.bias.then(|| bias::gradient(T::slice(&grad_y), geometry.channels_in(), call.size[0] * call.size[1]));
    let like = |values: Vec<T>, tensor: &FlexTensor| FlexTensor::from_data(TensorData::new(values, tensor.shape()));
    let vector = |values: Vec<T>| {
        let len = values.len();
        FlexTensor::from_data(TensorData::new(values, [len]))
    };
    [
        by_x.map(|g| like(g, &x)),
        gradients.alpha.map(|g| like(g, &alpha)),
        gradients.sigma.map(|sums| vector(cast(&call.taps.by_parameter(&sums)))),
        by_bias.map(vector),
    ]
}

fn backward<T: Float>(
    x: &FlexTensor,
    alpha: &FlexTensor,
    grad_y: &FlexTensor,
    wanted: Wanted,
    call: &Call,
) -> [Option<FlexTensor>; 4] {
    if call.transposed {
        return transposed_backward::<T>(x, alpha, grad_y, wanted, call);
    }
    let (x, alpha, grad_y) = (x.to_contiguous(), alpha.to_contiguous(), grad_y.to_contiguous());
    let (taps, d_taps) = (Rounded::<T>::new(&call.taps.values), Rounded::<T>::new(&call.taps.tangents));
    let arguments = BackwardCall {
        taps: taps.taps(),
        d_taps: Some(d_taps.taps()),
        alpha: T::slice(&alpha),
        x: &bordered(T::slice(&x), call),
        grad_y: T::slice(&grad_y),
        wanted,
    };
    let gradients = engine::backward(&call.geometry, &arguments, options(call))
        .unwrap_or_else(|error| panic!("N-jet layer: {error}"));
    let like = |values: Vec<T>, tensor: &FlexTensor| FlexTensor::from_data(TensorData::new(values, tensor.shape()));
    let vector = |values: Vec<T>| {
        let len = values.len();
        FlexTensor::from_data(TensorData::new(values, [len]))
    };
    let by_x = |g: Vec<T>| match call.border {
        None => g,
        Some((border, margins)) => border.fold(&g, call.size, margins),
    };
    [
        gradients.x.map(|g| like(by_x(g), &x)),
        gradients.alpha.map(|g| like(g, &alpha)),
        gradients.sigma.map(|sums| vector(cast(&call.taps.by_parameter(&sums)))),
        gradients.bias.map(vector),
    ]
}

/// The node of the graph that computes the gradients.
#[derive(Debug)]
struct NJetBackward;

/// What the backward pass needs: x and alpha, recomputed or kept as the strategy says, and the call.
type Saved = (NodeId, NodeId, Call);

impl<B: NJetGradients> Backward<B, 4> for NJetBackward {
    type State = Saved;

    fn backward(self, ops: Ops<Self::State, 4>, gradients: &mut Gradients, checkpointer: &mut Checkpointer) {
        let grad_y = gradients.consume::<B>(&ops.node);
        let (x, alpha, call) = ops.state;
        let x = checkpointer.retrieve_node_output::<FloatTensor<B>>(x);
        let alpha = checkpointer.retrieve_node_output::<FloatTensor<B>>(alpha);
        let [by_x, by_alpha, by_sigma, by_bias] = ops.parents.each_ref().map(|parent| parent.is_some());
        let wanted = Wanted { x: by_x, alpha: by_alpha, sigma: by_sigma, bias: by_bias };
        let computed = B::njet_conv2d_backward(x, alpha, grad_y, wanted, &call);
        for (parent, gradient) in ops.parents.into_iter().zip(computed) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                gradients.register::<B>(parent.id, gradient);
            }
        }
    }
}

impl<B: NJetGradients, C: CheckpointStrategy> NJetOps for Autodiff<B, C> {
    fn njet_conv2d(
        x: FloatTensor<Self>,
        alpha: FloatTensor<Self>,
        log2_sigma: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        with_bias: bool,
        call: Call,
    ) -> FloatTensor<Self> {
        let parents = [x.node(), alpha.node(), log2_sigma.node(), bias.node()];
        match NJetBackward.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(mut preparation) => {
                let state = (preparation.checkpoint(&x), preparation.checkpoint(&alpha), call.clone());
                let y = B::njet_conv2d(
                    x.into_primitive(),
                    alpha.into_primitive(),
                    log2_sigma.into_primitive(),
                    bias.into_primitive(),
                    with_bias,
                    call,
                );
                preparation.finish(state, y)
            }
            OpsKind::UnTracked(preparation) => preparation.finish(B::njet_conv2d(
                x.into_primitive(),
                alpha.into_primitive(),
                log2_sigma.into_primitive(),
                bias.into_primitive(),
                with_bias,
                call,
            )),
        }
    }
}
