//! Pooling. The mean of 2×2 pixels is an operation of our own on the CPU backend, Burn's elsewhere.

use burn::tensor::Tensor;
use burn::tensor::module::{avg_pool2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};

/// One pixel for several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// The mean of 2×2 pixels, at every second pixel; an odd last pixel is left out.
    Average2,
    /// The maximum of 3×3 pixels around every second pixel, from the first.
    Max3,
}

impl Pool {
    /// Pixels of the window along each axis.
    pub const fn side(self) -> usize {
        match self {
            Self::Average2 => 2,
            Self::Max3 => 3,
        }
    }

    /// Distance between outputs, in pixels.
    pub const fn stride(self) -> usize {
        match self {
            Self::Average2 | Self::Max3 => 2,
        }
    }

    /// Outputs along an axis of `pixels`.
    pub const fn output(self, pixels: usize) -> usize {
        match self {
            Self::Average2 => pixels / 2,
            Self::Max3 => pixels.div_ceil(2),
        }
    }

    /// `[batch, channels, height, width]` to `[batch, channels, height_out, width_out]`.
    pub fn forward(self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Average2 => average_pool(x),
            Self::Max3 => {
                let options = MaxPoolOptions::new([3, 3]).with_stride([2, 2]);
                max_pool2d(x, options.with_padding_pairs([(1, 1), (1, 1)]))
            }
        }
    }
}

/// `[batch, channels, height, width]` to `[batch, channels, height / 2, width / 2]`.
fn average_pool(x: Tensor<4>) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if own::runs(&x) {
        return own::average_pool(x);
    }
    avg_pool2d(x, AvgPoolOptions::new([2, 2]))
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
    use burn::tensor::{Tensor, TensorData};
    use njet_kernels::average_pool::{Planes, backward, forward};

    /// A backend with a 2×2 average pooling of its own, in f32.
    #[backend_extension(Autodiff, Flex)]
    pub trait PoolOps: Backend {
        /// The mean of 2×2 pixels at every second pixel.
        fn average_pool(x: FloatTensor<Self>) -> FloatTensor<Self>;
    }

    /// The gradient of [`PoolOps::average_pool`].
    pub trait PoolGradients: PoolOps {
        /// `size` is that of the input.
        fn average_pool_backward(grad_y: FloatTensor<Self>, size: [usize; 2]) -> FloatTensor<Self>;
    }

    pub(super) fn runs(x: &Tensor<4>) -> bool {
        x.dtype() == DType::F32 && on_flex(x)
    }

    pub(super) fn average_pool(x: Tensor<4>) -> Tensor<4> {
        Tensor::from_dispatch(Dispatch::average_pool(x.into_dispatch()))
    }

    fn floats(tensor: &FlexTensor) -> &[f32] {
        tensor.as_slice().expect("a contiguous f32 tensor")
    }

    impl PoolOps for Flex {
        fn average_pool(x: FlexTensor) -> FlexTensor {
            let x = x.to_contiguous();
            let shape = x.shape();
            let (batch, channels, height, width) = (shape[0], shape[1], shape[2], shape[3]);
            let planes = Planes { count: batch * channels, height, width };
            let y = forward(&planes, floats(&x)).expect("lengths of a tensor");
            FlexTensor::from_data(TensorData::new(y, [batch, channels, height / 2, width / 2]))
        }
    }

    impl PoolGradients for Flex {
        fn average_pool_backward(grad_y: FlexTensor, [height, width]: [usize; 2]) -> FlexTensor {
            let grad_y = grad_y.to_contiguous();
            let (batch, channels) = (grad_y.shape()[0], grad_y.shape()[1]);
            let planes = Planes { count: batch * channels, height, width };
            let grad_x = backward(&planes, floats(&grad_y)).expect("lengths of a tensor");
            FlexTensor::from_data(TensorData::new(grad_x, [batch, channels, height, width]))
        }
    }

    #[derive(Debug)]
    struct PoolBackward;

    impl<B: PoolGradients> Backward<B, 1> for PoolBackward {
        type State = [usize; 2];

        fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
            let grad_y = gradients.consume::<B>(&ops.node);
            if let [Some(parent)] = ops.parents {
                gradients.register::<B>(parent.id, B::average_pool_backward(grad_y, ops.state));
            }
        }
    }

    impl<B: PoolGradients, C: CheckpointStrategy> PoolOps for Autodiff<B, C> {
        fn average_pool(x: FloatTensor<Self>) -> FloatTensor<Self> {
            let shape = x.primitive().shape();
            let size = [shape[2], shape[3]];
            match PoolBackward.prepare::<C>([x.node()]).compute_bound().stateful() {
                OpsKind::Tracked(preparation) => preparation.finish(size, B::average_pool(x.into_primitive())),
                OpsKind::UnTracked(preparation) => preparation.finish(B::average_pool(x.into_primitive())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution, Tolerance};

    #[test]
    fn agrees_with_the_backends_own() {
        let device = Device::flex().autodiff();
        for size in [[4, 6], [5, 7], [2, 3]] {
            let x = Tensor::<4>::random([2, 3, size[0], size[1]], Distribution::Default, &device);
            let upstream = Tensor::<4>::random([2, 3, size[0] / 2, size[1] / 2], Distribution::Default, &device);
            let run = |pool: fn(Tensor<4>) -> Tensor<4>| {
                let x = x.clone().require_grad();
                let y = pool(x.clone());
                let gradients = (y.clone() * upstream.clone()).sum().backward();
                [y.into_data(), x.grad(&gradients).unwrap().into_data()]
            };
            #[cfg(feature = "flex")]
            assert!(own::runs(&x), "our own operation is taken");
            let theirs = run(|x| avg_pool2d(x, AvgPoolOptions::new([2, 2])));
            for (ours, theirs) in run(average_pool).iter().zip(theirs) {
                ours.assert_approx_eq::<f32>(&theirs, Tolerance::rel_abs(1e-6, 1e-6));
            }
        }
    }

    #[test]
    fn the_maximum_is_taken_around_every_second_pixel() {
        let device = Device::flex();
        for [height, width] in [[1, 1], [2, 5], [6, 7], [8, 3]] {
            // All negative: the border counts for nothing.
            let x = Tensor::<4>::random([1, 1, height, width], Distribution::Uniform(-2.0, -1.0), &device);
            let pixels: Vec<f32> = x.clone().into_data().iter::<f32>().collect();
            let window = |centre: usize, pixels: usize| centre.saturating_sub(1)..(centre + 2).min(pixels);
            let mut expected = Vec::new();
            for y in (0..height).step_by(2) {
                for x in (0..width).step_by(2) {
                    let rows = window(y, height).flat_map(|y| window(x, width).map(move |x| y * width + x));
                    expected.push(rows.map(|i| pixels[i]).fold(f32::NEG_INFINITY, f32::max));
                }
            }
            let y = Pool::Max3.forward(x);
            assert_eq!(y.dims()[2..], [height, width].map(|pixels| Pool::Max3.output(pixels)));
            assert_eq!(y.into_data().iter::<f32>().collect::<Vec<_>>(), expected, "{height}×{width}");
        }
    }
}
