//! Plain convolutions: those of 1×1 on the engine of `njet-kernels` on the CPU backend, all others
//! Burn's.
//!
//! A 1×1 convolution is an N-jet layer of order 0 whose only tap is 1. The parameters stay Burn's
//! [`Conv2d`], so initialisation and records know nothing of this.

use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;

/// `conv.forward(x)`, `x` `[batch, channels_in, height, width]`.
pub(super) fn convolve(conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if own::runs(conv, &x) {
        return own::pointwise(conv, x);
    }
    conv.forward(x)
}

#[cfg(feature = "flex")]
mod own {
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
    use burn::nn::PaddingConfig2d;
    use burn::nn::conv::Conv2d;
    use burn::tensor::{Tensor, TensorData};
    use njet_kernels::engine::{self, Options};
    use njet_kernels::{AxisConfig, Backward as BackwardCall, Forward, Geometry, GeometryConfig, Real, Taps, Wanted};

    /// A backend with a 1×1 convolution of its own, in f32 and f64.
    #[backend_extension(Autodiff, Flex)]
    pub trait PointwiseOps: Backend {
        /// `weight` is `[channels_out, channels_in, 1, 1]`; `bias` is ignored unless `with_bias`.
        fn pointwise(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            with_bias: bool,
        ) -> FloatTensor<Self>;
    }

    /// The gradients of [`PointwiseOps::pointwise`].
    pub trait PointwiseGradients: PointwiseOps {
        /// Gradients of x, weight and bias, those that are `wanted`.
        fn pointwise_backward(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            grad_y: FloatTensor<Self>,
            wanted: [bool; 3],
        ) -> [Option<FloatTensor<Self>>; 3];
    }

    pub(super) fn runs(conv: &Conv2d, x: &Tensor<4>) -> bool {
        let (weight, dtype) = (conv.weight.val(), x.dtype());
        let one_pixel = weight.dims()[2..] == [1, 1] && conv.stride == [1, 1] && conv.groups == 1;
        let unpadded = matches!(
            conv.padding,
            PaddingConfig2d::Same | PaddingConfig2d::Valid | PaddingConfig2d::Explicit(0, 0, 0, 0)
        );
        let same_type = weight.dtype() == dtype && conv.bias.as_ref().is_none_or(|bias| bias.val().dtype() == dtype);
        one_pixel && unpadded && same_type && matches!(dtype, DType::F32 | DType::F64) && on_flex(x)
    }

    pub(super) fn pointwise(conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
        let with_bias = conv.bias.is_some();
        // A backend operation has a fixed number of tensors.
        let bias = match &conv.bias {
            Some(bias) => bias.val(),
            None => Tensor::zeros([1], (&x.device(), x.dtype())),
        };
        Tensor::from_dispatch(Dispatch::pointwise(
            x.into_dispatch(),
            conv.weight.val().into_dispatch(),
            bias.into_dispatch(),
            with_bias,
        ))
    }

    fn geometry(x: &FlexTensor, weight: &FlexTensor) -> Geometry {
        let (x, weight) = (x.shape(), weight.shape());
        assert_eq!(
            x[1], weight[1],
            "1×1 convolution: the input has {} channels, the layer takes {} (input {x:?}, weight {weight:?})",
            x[1], weight[1],
        );
        let axis = |input| AxisConfig { input, radius: 0, stride: 1, padding: (0, 0) };
        Geometry::new(GeometryConfig {
            batch: x[0],
            channels_in: x[1],
            channels_out: weight[0],
            groups: 1,
            order: 0,
            y: axis(x[2]),
            x: axis(x[3]),
        })
        .unwrap_or_else(|error| panic!("1×1 convolution: {error}"))
    }

    fn forward<T: Float>(x: &FlexTensor, weight: &FlexTensor, bias: Option<&FlexTensor>) -> FlexTensor {
        let one = [<T as Real>::from_f64(1.0)];
        let (geometry, shape) = (geometry(x, weight), x.shape());
        let call = Forward {
            taps: Taps { y: &one[..], x: &one[..] },
            alpha: T::slice(weight),
            bias: bias.map(|bias| T::slice(bias)),
            x: T::slice(x),
        };
        let y = engine::forward(&geometry, &call, Options::default())
            .unwrap_or_else(|error| panic!("1×1 convolution: {error}"));
        FlexTensor::from_data(TensorData::new(y, [shape[0], geometry.channels_out(), shape[2], shape[3]]))
    }

    fn backward<T: Float>(
        x: &FlexTensor,
        weight: &FlexTensor,
        grad_y: &FlexTensor,
        [by_x, by_weight, by_bias]: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let one = [<T as Real>::from_f64(1.0)];
        let call = BackwardCall {
            taps: Taps { y: &one[..], x: &one[..] },
            d_taps: None,
            alpha: T::slice(weight),
            x: T::slice(x),
            grad_y: T::slice(grad_y),
            wanted: Wanted { x: by_x, alpha: by_weight, bias: by_bias, sigma: false },
        };
        let geometry = geometry(x, weight);
        let gradients = engine::backward(&geometry, &call, Options::default())
            .unwrap_or_else(|error| panic!("1×1 convolution: {error}"));
        let shaped = |values: Option<Vec<T>>, shape| Some(FlexTensor::from_data(TensorData::new(values?, shape)));
        [
            shaped(gradients.x, x.shape()),
            shaped(gradients.alpha, weight.shape()),
            shaped(gradients.bias, [geometry.channels_out()].into()),
        ]
    }

    impl PointwiseOps for Flex {
        fn pointwise(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, with_bias: bool) -> FlexTensor {
            let [x, weight, bias] = [x, weight, bias].map(|t| t.to_contiguous());
            let bias = with_bias.then_some(&bias);
            match x.dtype() {
                DType::F32 => forward::<f32>(&x, &weight, bias),
                DType::F64 => forward::<f64>(&x, &weight, bias),
                other => unreachable!("`runs` admits f32 and f64, not {other:?}"),
            }
        }
    }

    impl PointwiseGradients for Flex {
        fn pointwise_backward(
            x: FlexTensor,
            weight: FlexTensor,
            grad_y: FlexTensor,
            wanted: [bool; 3],
        ) -> [Option<FlexTensor>; 3] {
            let [x, weight, grad_y] = [x, weight, grad_y].map(|t| t.to_contiguous());
            match x.dtype() {
                DType::F32 => backward::<f32>(&x, &weight, &grad_y, wanted),
                DType::F64 => backward::<f64>(&x, &weight, &grad_y, wanted),
                other => unreachable!("`runs` admits f32 and f64, not {other:?}"),
            }
        }
    }

    #[derive(Debug)]
    struct PointwiseBackward;

    impl<B: PointwiseGradients> Backward<B, 3> for PointwiseBackward {
        /// x and weight.
        type State = [NodeId; 2];

        fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, checkpointer: &mut Checkpointer) {
            let grad_y = gradients.consume::<B>(&ops.node);
            let [x, weight] = ops.state.map(|id| checkpointer.retrieve_node_output::<FloatTensor<B>>(id));
            let wanted = ops.parents.each_ref().map(|parent| parent.is_some());
            let computed = B::pointwise_backward(x, weight, grad_y, wanted);
            for (parent, gradient) in ops.parents.into_iter().zip(computed) {
                if let (Some(parent), Some(gradient)) = (parent, gradient) {
                    gradients.register::<B>(parent.id, gradient);
                }
            }
        }
    }

    impl<B: PointwiseGradients, C: CheckpointStrategy> PointwiseOps for Autodiff<B, C> {
        fn pointwise(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            with_bias: bool,
        ) -> FloatTensor<Self> {
            let parents = [x.node(), weight.node(), bias.node()];
            match PointwiseBackward.prepare::<C>(parents).compute_bound().stateful() {
                OpsKind::Tracked(mut preparation) => {
                    let state = [preparation.checkpoint(&x), preparation.checkpoint(&weight)];
                    let [x, weight, bias] = [x, weight, bias].map(|t| t.into_primitive());
                    preparation.finish(state, B::pointwise(x, weight, bias, with_bias))
                }
                OpsKind::UnTracked(preparation) => {
                    let [x, weight, bias] = [x, weight, bias].map(|t| t.into_primitive());
                    preparation.finish(B::pointwise(x, weight, bias, with_bias))
                }
            }
        }
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use burn::module::Param;
    use burn::nn::PaddingConfig2d;
    use burn::nn::conv::Conv2dConfig;
    use burn::tensor::{DType, Device, Distribution, TensorData, Tolerance};

    fn pointwise_config(channels: [usize; 2]) -> Conv2dConfig {
        Conv2dConfig::new(channels, [1, 1]).with_padding(PaddingConfig2d::Same)
    }

    /// y and the gradients of x, weight and bias, where there is one.
    fn results(forward: fn(&Conv2d, Tensor<4>) -> Tensor<4>, conv: &Conv2d, x: &Tensor<4>) -> Vec<TensorData> {
        let x = x.clone().require_grad();
        let y = forward(conv, x.clone());
        // A gradient that is another for each element.
        let gradients = (y.clone() * y.clone().detach().sin()).sum().backward();
        let bias = conv.bias.as_ref().map(|bias| bias.val().grad(&gradients).unwrap().into_data());
        let results = [
            y.into_data(),
            x.grad(&gradients).unwrap().into_data(),
            conv.weight.val().grad(&gradients).unwrap().into_data(),
        ];
        results.into_iter().chain(bias).collect()
    }

    #[test]
    fn agrees_with_the_backends_own() {
        let device = Device::flex().autodiff();
        for dtype in [DType::F32, DType::F64] {
            for (shape, channels_out) in
                [([2, 3, 5, 7], 4), ([1, 1, 1, 1], 1), ([5, 17, 3, 19], 23), ([3, 33, 9, 9], 7)]
            {
                for bias in [false, true] {
                    let config = pointwise_config([shape[1], channels_out]).with_bias(bias);
                    let mut conv = config.init(&device);
                    conv.weight = Param::from_tensor(conv.weight.val().cast(dtype).detach());
                    conv.bias = conv.bias.map(|bias| Param::from_tensor(bias.val().cast(dtype).detach()));
                    let x = Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), (&device, dtype));
                    assert!(own::runs(&conv, &x), "our own operation is taken");
                    let (ours, theirs) = (results(convolve, &conv, &x), results(Conv2d::forward, &conv, &x));
                    assert_eq!(ours.len(), 3 + usize::from(bias));
                    for (ours, theirs) in ours.iter().zip(&theirs) {
                        ours.assert_approx_eq::<f64>(theirs, Tolerance::rel_abs(1e-5, 1e-5));
                    }
                }
            }
        }
    }

    /// Only the gradients that somebody asks for are computed; the others must come out all the same.
    #[test]
    fn frozen_weights_pass_the_gradient_on() {
        use burn::module::Module;
        let device = Device::flex().autodiff();
        let conv = pointwise_config([3, 2]).init(&device);
        let x = Tensor::<4>::random([2, 3, 4, 5], Distribution::Default, &device).require_grad();
        let by_x = |conv: &Conv2d| {
            let gradients = convolve(conv, x.clone()).sum().backward();
            (x.grad(&gradients).unwrap().into_data(), conv.weight.val().grad(&gradients).is_some())
        };
        let (expected, by_weight) = by_x(&conv);
        assert!(by_weight);
        assert_eq!(by_x(&conv.clone().no_grad()), (expected, false));

        let conv = pointwise_config([3, 2]).init(&device);
        let untracked = Tensor::from_inner(x.inner());
        let gradients = convolve(&conv, untracked.clone()).sum().backward();
        assert!(conv.weight.val().grad(&gradients).is_some() && untracked.grad(&gradients).is_none());
    }

    #[test]
    fn only_pointwise_convolutions_are_taken() {
        let device = Device::flex();
        let x = Tensor::zeros([1, 4, 6, 6], &device);
        let runs = |config: Conv2dConfig| own::runs(&config.init(&device), &x);
        assert!(runs(pointwise_config([4, 2])));
        assert!(runs(Conv2dConfig::new([4, 2], [1, 1])));
        assert!(!runs(Conv2dConfig::new([4, 2], [3, 3]).with_padding(PaddingConfig2d::Same)));
        assert!(!runs(pointwise_config([4, 2]).with_stride([2, 2])));
        assert!(!runs(pointwise_config([4, 2]).with_groups(2)));
        assert!(!runs(pointwise_config([4, 2]).with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))));
    }

    #[test]
    #[should_panic(expected = "1×1 convolution: the input has 3 channels, the layer takes 4")]
    fn wrong_channels_are_refused_in_words() {
        let device = Device::flex();
        convolve(&pointwise_config([4, 2]).init(&device), Tensor::zeros([1, 3, 6, 6], &device));
    }
}
