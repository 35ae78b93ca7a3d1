//! The layer as a Burn user meets it: errors, display, records, and the ways of `Conv2d`.

use burn::module::{Module, Param};
use burn::nn::PaddingConfig2d;
use burn::nn::conv::Conv2dConfig;
use burn::tensor::{Device, Distribution, Tensor, Tolerance};
use njet::layer::{njet_conv2d, njet_conv2d_composed};
use njet::{Initializer, NJetConv2d, NJetConv2dConfig};
use njet_basis::{TapSpec, Taps};
use proptest::prelude::*;

fn message(config: NJetConv2dConfig) -> String {
    config.try_init(&Device::flex()).unwrap_err().to_string()
}

#[test]
fn settings_out_of_range_are_refused() {
    let config = || NJetConv2dConfig::new([4, 6]);
    assert!(message(config().with_order(11)).contains("order 11"), "{}", message(config().with_order(11)));
    for sigma in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let message = message(config().with_sigma(sigma));
        assert!(message.contains("sigma") || message.contains('σ'), "{message}");
        assert!(message.contains(&sigma.to_string()), "{message}");
    }
    assert!(message(config().with_extent(0.0)).contains("extent"));
    let groups = message(NJetConv2dConfig::new([3, 4]).with_groups(2));
    assert!(groups.contains("3 input and 4 output channels cannot be divided into 2 groups"), "{groups}");
    assert!(message(config().with_stride([1, 0])).contains("stride along x is 0"));
    assert!(message(config().with_groups(0)).contains("0 groups"));
}

#[test]
#[should_panic(expected = "N-jet layer: 3 input and 4 output channels cannot be divided into 2 groups")]
fn init_panics_with_the_message() {
    NJetConv2dConfig::new([3, 4]).with_groups(2).init(&Device::flex());
}

#[test]
#[should_panic(expected = "N-jet layer: the input has 2 channels, the layer takes 3")]
fn forward_names_wrong_channels() {
    let device = Device::flex();
    NJetConv2dConfig::new([3, 4]).init(&device).forward(Tensor::zeros([1, 2, 8, 8], &device));
}

#[test]
#[should_panic(expected = "the input of 4 pixels with padding 0+0 is smaller than the kernel of 11 taps")]
fn forward_names_an_image_smaller_than_the_kernel() {
    let device = Device::flex();
    let layer = NJetConv2dConfig::new([1, 1]).with_padding(PaddingConfig2d::Valid).init(&device);
    layer.forward(Tensor::zeros([1, 1, 4, 40], &device));
}

/// The coarser lattice is taken where it is asked for, within the tolerance, forward and backward; and is off
/// by default.
#[test]
fn band_limit_reaches_the_engine() {
    let device = Device::flex().autodiff();
    let config = NJetConv2dConfig::new([3, 4]).with_sigma(8.0).with_extent(5.0);
    let exact = config.init(&device);
    let near = config.with_band_limit(Some(1e-5)).init(&device);
    let near = NJetConv2d { alpha: exact.alpha.clone(), ..near };
    assert_eq!(exact.band_limit, None);
    let x = Tensor::<4>::random([2, 3, 64, 64], Distribution::Default, &device).require_grad();
    let run = |layer: &NJetConv2d| {
        let y = layer.forward(x.clone());
        let gradients = y.clone().powi_scalar(2).sum().backward();
        (y.into_data(), x.grad(&gradients).unwrap().into_data())
    };
    let ((y, by_x), (near_y, near_by_x)) = (run(&exact), run(&near));
    assert_ne!(y, near_y);
    assert_ne!(by_x, near_by_x);
    y.assert_approx_eq::<f32>(&near_y, Tolerance::rel_abs(1e-4, 1e-4));
    by_x.assert_approx_eq::<f32>(&near_by_x, Tolerance::rel_abs(1e-3, 1e-3));
}

#[test]
fn display_says_what_matters() {
    let layer = NJetConv2dConfig::new([4, 6]).with_sigma(1.5).with_groups(2).init(&Device::flex());
    let text = layer.to_string();
    for part in ["ch_in: 4", "ch_out: 6", "order: 2", "sigma: 1.500", "kernel_size: [15, 15]", "groups: 2", "Same"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[test]
fn records_bring_back_the_layer() {
    let device = Device::flex();
    let layer = NJetConv2dConfig::new([2, 3]).with_sigma(2.2).init(&device);
    let bytes = layer.clone().into_record().into_bytes().unwrap();
    let record = burn::store::ModuleRecord::from_bytes(bytes).unwrap();
    let other = NJetConv2dConfig::new([2, 3]).with_sigma(0.7).init(&device).load_record(record);
    assert_eq!(other.sigma(), layer.sigma());
    assert_eq!(other.kernel_size(), layer.kernel_size());
    let x = Tensor::random([1, 2, 9, 9], Distribution::Default, &device);
    assert_eq!(other.forward(x.clone()).into_data(), layer.forward(x).into_data());
}

/// The built kernel of a layer, `[channels_out, channels_in / groups, k, k]`.
fn built(layer: &NJetConv2d) -> Tensor<4> {
    let taps = Taps::new(&TapSpec::new(layer.sigma(), layer.extent, layer.order)).unwrap();
    let [outputs, inputs, basis] = layer.alpha.dims();
    let alpha: Vec<f64> = layer.alpha.val().into_data().iter::<f64>().collect();
    let kernel: Vec<f32> = alpha
        .chunks_exact(basis)
        .flat_map(|alpha| njet_basis::kernel(alpha, &taps, &taps).unwrap())
        .map(|w| w as f32)
        .collect();
    let device = layer.alpha.val().device();
    Tensor::<1>::from_floats(kernel.as_slice(), &device).reshape([outputs, inputs, taps.side(), taps.side()])
}

/// Same sizes and same values as Burn's `Conv2d` with the built kernel, whatever the stride, padding,
/// groups and size.
#[test]
fn behaves_like_conv2d() {
    let device = Device::flex();
    let paddings = [PaddingConfig2d::Same, PaddingConfig2d::Valid, PaddingConfig2d::Explicit(1, 3, 2, 0)];
    for padding in paddings {
        for stride in [[1, 1], [2, 2], [3, 2]] {
            for groups in [1, 2] {
                for size in [[13, 18], [12, 11]] {
                    let layer = NJetConv2dConfig::new([4, 6])
                        .with_extent(2.0)
                        .with_sigma(1.3)
                        .with_padding(padding.clone())
                        .with_stride(stride)
                        .with_groups(groups)
                        .init(&device);
                    let mut twin = Conv2dConfig::new([4, 6], layer.kernel_size())
                        .with_padding(padding.clone())
                        .with_stride(stride)
                        .with_groups(groups)
                        .init(&device);
                    twin.weight = Param::from_tensor(built(&layer));
                    twin.bias = layer.bias.clone();
                    let x = Tensor::random([2, 4, size[0], size[1]], Distribution::Normal(0.0, 1.0), &device);
                    let (ours, theirs) = (layer.forward(x.clone()), twin.forward(x));
                    assert_eq!(ours.dims(), theirs.dims(), "{padding:?} {stride:?}");
                    let (ours, theirs) = (ours.into_data(), theirs.into_data());
                    ours.assert_approx_eq::<f32>(&theirs, Tolerance::rel_abs(1e-5, 1e-5));
                }
            }
        }
    }
}

#[test]
fn bias_is_added_once() {
    let device = Device::flex();
    let mut layer = NJetConv2dConfig::new([1, 2]).with_initializer(Initializer::Unit).init(&device);
    layer.bias = Some(Param::from_tensor(Tensor::from_floats([1.5, -2.0], &device)));
    let y = layer.forward(Tensor::zeros([1, 1, 2, 2], &device));
    assert_eq!(y.into_data().iter::<f32>().collect::<Vec<_>>(), [1.5, 1.5, 1.5, 1.5, -2.0, -2.0, -2.0, -2.0]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Engine and composition, forward and all gradients, on random shapes.
    #[test]
    fn the_two_paths_agree(
        (batch, groups, group_in, group_out) in (1usize..3, 1usize..3, 1usize..4, 1usize..4),
        (order, sigma) in (0usize..5, 0.5..2.0f64),
        size in [1usize..14, 1usize..14],
        stride in [1usize..3, 1usize..3],
    ) {
        let device = Device::flex().autodiff();
        let layer = NJetConv2dConfig::new([groups * group_in, groups * group_out])
            .with_order(order)
            .with_sigma(sigma)
            .with_extent(3.0)
            .with_stride(stride)
            .with_groups(groups)
            .with_initializer(Initializer::White)
            .init(&device);
        let x = Tensor::<4>::random([batch, groups * group_in, size[0], size[1]], Distribution::Normal(0.0, 1.0), &device);
        let bias = Tensor::<1>::random([groups * group_out], Distribution::Default, &device);
        let settings = layer.settings();
        let outputs = layer.forward(x.clone()).dims();
        let upstream = Tensor::<4>::random(outputs, Distribution::Normal(0.0, 1.0), &device);
        type Path = fn(Tensor<4>, Tensor<3>, Tensor<1>, Option<Tensor<1>>, &njet::layer::Settings) -> Tensor<4>;
        let run = |path: Path| {
            let x = x.clone().detach().require_grad();
            let alpha = layer.alpha.val().detach().require_grad();
            let s = layer.log2_sigma.val().detach().require_grad();
            let bias = bias.clone().detach().require_grad();
            let y = path(x.clone(), alpha.clone(), s.clone(), Some(bias.clone()), &settings);
            let gradients = (y.clone() * upstream.clone()).sum().backward();
            let values = |data: burn::tensor::TensorData| data.iter::<f64>().collect::<Vec<_>>();
            [
                values(y.into_data()),
                values(x.grad(&gradients).unwrap().into_data()),
                values(alpha.grad(&gradients).unwrap().into_data()),
                values(bias.grad(&gradients).unwrap().into_data()),
                values(s.grad(&gradients).unwrap().into_data()),
            ]
        };
        let (ours, theirs) = (run(njet_conv2d), run(njet_conv2d_composed));
        // A gradient sums as many products as there are outputs: that is its scale.
        let scale = (outputs.iter().product::<usize>() as f64).sqrt().max(1.0);
        for (what, (ours, theirs)) in ["y", "x", "alpha", "bias", "s"].iter().zip(ours.iter().zip(&theirs)) {
            prop_assert_eq!(ours.len(), theirs.len());
            for (a, b) in ours.iter().zip(theirs) {
                prop_assert!((a - b).abs() <= 1e-5 * scale.max(b.abs()), "{what}: {a} and {b}");
            }
        }
    }
}
