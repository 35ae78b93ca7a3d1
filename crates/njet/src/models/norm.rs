//! Batch normalisation followed by ReLU or swish: one operation on the CPU backend, Burn's two elsewhere.
//!
//! The parameters and running statistics stay Burn's [`BatchNorm`], so records know nothing of this.

use burn::nn::BatchNorm;
use burn::tensor::Tensor;
use burn::tensor::activation::{relu, silu};
use njet_kernels::Nonlinearity;

/// `f(norm(x))`, `x` `[batch, channels, height, width]`.
pub(super) fn norm_then(norm: &BatchNorm, f: Nonlinearity, x: Tensor<4>) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if fused::runs(norm, &x) {
        return fused::norm_then(norm, f, x);
    }
    let x = norm.forward(x);
    match f {
        Nonlinearity::Relu => relu(x),
        Nonlinearity::Swish => silu(x),
    }
}

#[cfg(feature = "flex")]
mod fused {
    use crate::backend::on_flex;
    use burn::backend::autodiff::{
        Autodiff, NodeId,
        checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
        grads::Gradients,
        ops::{Backward, Ops, OpsKind},
    };
    use burn::backend::flex::FlexTensor;
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Backend, DType, Dispatch, Flex, TensorMetadata, backend_extension};
    use burn::nn::BatchNorm;
    use burn::tensor::{Tensor, TensorData};
    use njet_kernels::batch_norm::{self, Activations, Norm};
    use njet_kernels::{KernelError, Nonlinearity};

    /// A backend with a batch normalisation and what follows it of its own, in f32. `moments` is `[2, channels]`:
    /// means and variances.
    #[backend_extension(Autodiff, Flex)]
    pub trait NormThenOps: Backend {
        /// The moments of x.
        fn channel_moments(x: FloatTensor<Self>) -> FloatTensor<Self>;

        /// `f(γ·(x − mean)/√(variance + ε) + β)`. Its gradient takes the moments for those of x.
        fn norm_then(
            x: FloatTensor<Self>,
            gamma: FloatTensor<Self>,
            beta: FloatTensor<Self>,
            moments: FloatTensor<Self>,
            epsilon: f64,
            f: Nonlinearity,
        ) -> FloatTensor<Self>;
    }

    /// The gradients of [`NormThenOps::norm_then`] by x, gamma and beta.
    pub trait NormThenGradients: NormThenOps {
        /// See [`batch_norm::backward`].
        fn norm_then_backward(
            x: FloatTensor<Self>,
            gamma: FloatTensor<Self>,
            beta: FloatTensor<Self>,
            moments: FloatTensor<Self>,
            epsilon: f64,
            f: Nonlinearity,
            grad_y: FloatTensor<Self>,
        ) -> [FloatTensor<Self>; 3];
    }

    pub(super) fn runs(norm: &BatchNorm, x: &Tensor<4>) -> bool {
        // A frozen layer on a training device normalises by its running statistics and still passes
        // gradients: Burn's composition does that.
        let frozen = x.device().is_autodiff() && !norm.training.is_enabled();
        x.dtype() == DType::F32 && norm.gamma.val().dtype() == DType::F32 && !frozen && on_flex(x)
    }

    pub(super) fn norm_then(norm: &BatchNorm, f: Nonlinearity, x: Tensor<4>) -> Tensor<4> {
        let channels = norm.gamma.dims()[0];
        let moments = if x.device().is_autodiff() {
            let moments = Dispatch::channel_moments(x.clone().inner().into_dispatch());
            let moments = Tensor::<2>::from_dispatch(moments);
            // The running statistics, as Burn's layer keeps them.
            let running = |old: Tensor<1>, row: usize| {
                let new = moments.clone().slice_dim(0, row..row + 1).reshape([channels]);
                let old = if old.device().is_autodiff() { old.inner() } else { old };
                Tensor::from_inner(old * (1.0 - norm.momentum) + new * norm.momentum)
            };
            norm.running_mean.update(running(norm.running_mean.value_sync(), 0));
            norm.running_var.update(running(norm.running_var.value_sync(), 1));
            Tensor::from_inner(moments)
        } else {
            Tensor::stack(vec![norm.running_mean.value(), norm.running_var.value()], 0)
        };
        Tensor::from_dispatch(Dispatch::norm_then(
            x.into_dispatch(),
            norm.gamma.val().into_dispatch(),
            norm.beta.val().into_dispatch(),
            moments.into_dispatch(),
            norm.epsilon,
            f,
        ))
    }

    fn shape(x: &FlexTensor) -> Activations {
        let shape = x.shape();
        Activations { batch: shape[0], channels: shape[1], pixels: shape[2] * shape[3] }
    }

    fn floats(tensor: &FlexTensor) -> &[f32] {
        tensor.as_slice().expect("a contiguous f32 tensor")
    }

    fn norm<'a>(gamma: &'a FlexTensor, beta: &'a FlexTensor, moments: &'a FlexTensor, epsilon: f64) -> Norm<'a, f32> {
        let (mean, variance) = floats(moments).split_at(floats(gamma).len());
        Norm { gamma: floats(gamma), beta: floats(beta), mean, variance, epsilon }
    }

    fn shapes_fit<T>(result: Result<T, KernelError>) -> T {
        result.unwrap_or_else(|error| panic!("batch normalisation: {error}"))
    }

    impl NormThenOps for Flex {
        fn channel_moments(x: FlexTensor) -> FlexTensor {
            let x = x.to_contiguous();
            let (mut mean, variance) = shapes_fit(batch_norm::moments(&shape(&x), floats(&x)));
            let channels = mean.len();
            mean.extend(variance);
            FlexTensor::from_data(TensorData::new(mean, [2, channels]))
        }

        fn norm_then(
            x: FlexTensor,
            gamma: FlexTensor,
            beta: FlexTensor,
            moments: FlexTensor,
            epsilon: f64,
            f: Nonlinearity,
        ) -> FlexTensor {
            let [x, gamma, beta, moments] = [x, gamma, beta, moments].map(|t| t.to_contiguous());
            let norm = norm(&gamma, &beta, &moments, epsilon);
            let y = shapes_fit(batch_norm::forward(&shape(&x), &norm, f, floats(&x)));
            FlexTensor::from_data(TensorData::new(y, x.shape()))
        }
    }

    impl NormThenGradients for Flex {
        fn norm_then_backward(
            x: FlexTensor,
            gamma: FlexTensor,
            beta: FlexTensor,
            moments: FlexTensor,
            epsilon: f64,
            f: Nonlinearity,
            grad_y: FlexTensor,
        ) -> [FlexTensor; 3] {
            let [x, gamma, beta, moments, grad_y] = [x, gamma, beta, moments, grad_y].map(|t| t.to_contiguous());
            let norm = norm(&gamma, &beta, &moments, epsilon);
            let gradients = shapes_fit(batch_norm::backward(&shape(&x), &norm, f, floats(&x), floats(&grad_y)));
            let like =
                |values: Vec<f32>, tensor: &FlexTensor| FlexTensor::from_data(TensorData::new(values, tensor.shape()));
            [like(gradients.x, &x), like(gradients.gamma, &gamma), like(gradients.beta, &beta)]
        }
    }

    #[derive(Debug)]
    struct NormThenBackward;

    impl<B: NormThenGradients> Backward<B, 3> for NormThenBackward {
        type State = ([NodeId; 3], FloatTensor<B>, f64, Nonlinearity);

        fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, checkpointer: &mut Checkpointer) {
            let grad_y = gradients.consume::<B>(&ops.node);
            let (nodes, moments, epsilon, f) = ops.state;
            let [x, gamma, beta] = nodes.map(|id| checkpointer.retrieve_node_output::<FloatTensor<B>>(id));
            let computed = B::norm_then_backward(x, gamma, beta, moments, epsilon, f, grad_y);
            for (parent, gradient) in ops.parents.into_iter().zip(computed) {
                if let Some(parent) = parent {
                    gradients.register::<B>(parent.id, gradient);
                }
            }
        }
    }

    impl<B: NormThenGradients, C: CheckpointStrategy> NormThenOps for Autodiff<B, C> {
        fn channel_moments(x: FloatTensor<Self>) -> FloatTensor<Self> {
            <Self as burn::backend::AutodiffBackend>::from_inner(B::channel_moments(x.into_primitive()))
        }

        fn norm_then(
            x: FloatTensor<Self>,
            gamma: FloatTensor<Self>,
            beta: FloatTensor<Self>,
            moments: FloatTensor<Self>,
            epsilon: f64,
            f: Nonlinearity,
        ) -> FloatTensor<Self> {
            let parents = [x.node(), gamma.node(), beta.node()];
            let moments = moments.into_primitive();
            match NormThenBackward.prepare::<C>(parents).compute_bound().stateful() {
                OpsKind::Tracked(mut preparation) => {
                    let nodes =
                        [preparation.checkpoint(&x), preparation.checkpoint(&gamma), preparation.checkpoint(&beta)];
                    let state = (nodes, moments.clone(), epsilon, f);
                    let [x, gamma, beta] = [x, gamma, beta].map(|t| t.into_primitive());
                    preparation.finish(state, B::norm_then(x, gamma, beta, moments, epsilon, f))
                }
                OpsKind::UnTracked(preparation) => {
                    let [x, gamma, beta] = [x, gamma, beta].map(|t| t.into_primitive());
                    preparation.finish(B::norm_then(x, gamma, beta, moments, epsilon, f))
                }
            }
        }
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use burn::module::Module;
    use burn::nn::BatchNormConfig;
    use burn::tensor::Device;

    /// That it agrees with Burn's two operations is tested in `tests/models.rs`.
    #[test]
    fn the_fused_operation_is_taken_unless_the_layer_is_frozen() {
        for device in [Device::flex(), Device::flex().autodiff()] {
            let norm = BatchNormConfig::new(2).init(&device);
            let x = Tensor::zeros([1, 2, 3, 3], &device);
            assert!(fused::runs(&norm, &x));
            assert_eq!(fused::runs(&norm.freeze(), &x), !device.is_autodiff());
        }
    }
}
