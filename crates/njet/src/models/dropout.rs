//! Dropout: an operation of our own on the CPU backend, Burn's elsewhere.

use burn::nn::Dropout;
use burn::tensor::Tensor;

/// Drops elements at random in training and scales the others, so that their mean stays (Srivastava et al. 2014). Does
/// nothing in evaluation.
pub(super) fn drop_out(dropout: &Dropout, x: Tensor<4>) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if own::runs(dropout, &x) {
        return own::drop_out(dropout, x);
    }
    dropout.forward(x)
}

#[cfg(feature = "flex")]
mod own {
    use crate::backend::on_flex;
    use burn::backend::autodiff::{
        Autodiff,
        checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
        grads::Gradients,
        ops::{Backward, Ops, OpsKind},
    };
    use burn::backend::flex::FlexTensor;
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Backend, DType, Dispatch, Flex, TensorMetadata, backend_extension};
    use burn::nn::Dropout;
    use burn::tensor::{Distribution, Tensor, TensorData};
    use njet_kernels::dropout::Dropout as Mask;

    /// A backend with a dropout of its own, in f32. It is its own gradient.
    #[backend_extension(Autodiff, Flex)]
    pub trait DropoutOps: Backend {
        /// Zero or `x / keep`, as the seed decides.
        fn masked(x: FloatTensor<Self>, seed: u64, keep: f64) -> FloatTensor<Self>;
    }

    pub(super) fn runs(dropout: &Dropout, x: &Tensor<4>) -> bool {
        let training = dropout.training.is_enabled() && x.device().is_autodiff();
        training && dropout.prob > 0.0 && x.dtype() == DType::F32 && on_flex(x)
    }

    pub(super) fn drop_out(dropout: &Dropout, x: Tensor<4>) -> Tensor<4> {
        // From the backend's generator, which the seed of a run decides.
        let drawn = Tensor::<1>::random([4], Distribution::Default, &x.device().inner()).into_data();
        let seed = drawn.iter::<f32>().fold(0, |seed: u64, v| seed.rotate_left(16) ^ u64::from(v.to_bits()));
        Tensor::from_dispatch(Dispatch::masked(x.into_dispatch(), seed, 1.0 - dropout.prob))
    }

    impl DropoutOps for Flex {
        fn masked(x: FlexTensor, seed: u64, keep: f64) -> FlexTensor {
            let x = x.to_contiguous();
            let y = Mask { seed, keep }.apply(x.as_slice::<f32>().expect("a contiguous f32 tensor"));
            FlexTensor::from_data(TensorData::new(y, x.shape()))
        }
    }

    #[derive(Debug)]
    struct DropoutBackward;

    impl<B: DropoutOps> Backward<B, 1> for DropoutBackward {
        type State = (u64, f64);

        fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
            let grad_y = gradients.consume::<B>(&ops.node);
            if let [Some(parent)] = ops.parents {
                let (seed, keep) = ops.state;
                gradients.register::<B>(parent.id, B::masked(grad_y, seed, keep));
            }
        }
    }

    impl<B: DropoutOps, C: CheckpointStrategy> DropoutOps for Autodiff<B, C> {
        fn masked(x: FloatTensor<Self>, seed: u64, keep: f64) -> FloatTensor<Self> {
            match DropoutBackward.prepare::<C>([x.node()]).compute_bound().stateful() {
                OpsKind::Tracked(preparation) => {
                    preparation.finish((seed, keep), B::masked(x.into_primitive(), seed, keep))
                }
                OpsKind::UnTracked(preparation) => preparation.finish(B::masked(x.into_primitive(), seed, keep)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Module;
    use burn::nn::DropoutConfig;
    use burn::tensor::Device;

    fn values(x: Tensor<4>) -> Vec<f32> {
        x.into_data().iter::<f32>().collect()
    }

    #[test]
    fn what_is_dropped_has_no_gradient() {
        let device = Device::flex().autodiff();
        device.seed(8);
        let dropout = DropoutConfig::new(0.25).init();
        let x = Tensor::<4>::ones([4, 8, 10, 10], &device).require_grad();
        #[cfg(feature = "flex")]
        assert!(own::runs(&dropout, &x), "our own operation is taken");
        let run = || {
            let y = drop_out(&dropout, x.clone());
            let gradients = y.clone().sum().backward();
            (values(y), values(x.grad(&gradients).unwrap()))
        };
        let (y, gradient) = run();
        assert_eq!(y, gradient, "of ones, both are the mask");
        // Of 3,200, 2,400 are expected; the deviation is 24.5.
        let kept = y.iter().filter(|&&v| v != 0.0).count();
        assert!((2300..2500).contains(&kept), "{kept} kept");
        assert_ne!(run().0, y, "each time another mask");
        device.seed(8);
        assert_eq!(run().0, y, "which the seed of the device decides");
    }

    #[test]
    fn evaluation_and_frozen_layers_drop_nothing() {
        let dropout = DropoutConfig::new(0.5).init();
        let ones = |device: &Device| Tensor::<4>::ones([1, 2, 8, 8], device);
        assert_eq!(values(drop_out(&dropout, ones(&Device::flex()))), [1.0; 128]);
        let frozen = dropout.freeze();
        assert_eq!(values(drop_out(&frozen, ones(&Device::flex().autodiff()))), [1.0; 128]);
    }
}
