//! Transposed layers as plain operations: the outputs must be those of the originals, in Burn and in another engine.

mod engine;
mod outputs;

use burn::module::Param;
use njet::interop::{BakeError, Baking, Form, PlainNetwork, onnx};
use njet::{NJetConvTranspose2d, NJetConvTranspose2dConfig, SigmaSharing, Stride};
use outputs::{SAME, apart, device, tensor, values};
use proptest::prelude::*;

/// A layer with coefficients, biases and scales of its own.
fn layer(config: &NJetConvTranspose2dConfig, seed: u64) -> NJetConvTranspose2d {
    let mut layer = config.init(&device());
    let convolution = &mut layer.convolution;
    convolution.alpha = Param::from_tensor(tensor(seed, convolution.alpha.dims()));
    // σ from half to twice the initial one.
    let s = convolution.log2_sigma.val() + tensor::<1>(seed ^ 2, convolution.log2_sigma.dims());
    convolution.log2_sigma = Param::from_tensor(s);
    layer.bias = layer.bias.map(|bias| Param::from_tensor(tensor(seed ^ 1, bias.dims())));
    layer
}

/// How far apart the layer and its plain form are for an image of a size, in Burn, and with `elsewhere` in the other engine.
fn differ(layer: &NJetConvTranspose2d, baking: &Baking, size: [usize; 2], seed: u64, elsewhere: bool) -> f32 {
    let graph = layer.bake_graph(baking).unwrap();
    let shape = [2, graph.channels, size[0], size[1]];
    let x = tensor(seed ^ 3, shape);
    let expected = layer.forward(x.clone());
    let found = PlainNetwork::new(&graph, &device()).forward(x.clone());
    assert_eq!(found.dims(), expected.dims());
    let expected = values(expected);
    let in_burn = apart(&values(found), &expected);
    if !elsewhere {
        return in_burn;
    }
    let found = engine::run(&onnx::encode(&graph, &[]), &values(x), shape);
    found.map_or(in_burn, |found| in_burn.max(apart(&found.unwrap(), &expected)))
}

fn configs() -> impl Strategy<Value = NJetConvTranspose2dConfig> {
    let stride = prop_oneof![
        3 => [1usize..5, 1usize..5].prop_map(Stride::Fixed),
        1 => [0.6..2.5f64, 0.6..2.5f64].prop_map(Stride::Real),
        1 => (0.4..1.6f64).prop_map(|ratio| Stride::Safe { ratio }),
    ];
    (
        (1usize..3, [1usize..4, 1usize..4]),
        // An extent so small that a kernel has gaps between its copies, and one that is cut.
        (0usize..4, prop::sample::select(vec![0.3, 2.0, 4.0, 6.0])),
        (prop::sample::select(SigmaSharing::ALL.to_vec()), any::<bool>()),
        stride,
        any::<bool>(),
    )
        .prop_map(|((groups, per_group), (order, extent), (sharing, separate), stride, bias)| {
            NJetConvTranspose2dConfig::new(per_group.map(|n| n * groups))
                .with_groups(groups)
                .with_order(order)
                .with_extent(extent)
                .with_sharing(sharing)
                .with_separate_axes(separate)
                .with_stride(stride)
                .with_bias(bias)
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Of a size that is known everything can be baked; of any size what has whole strides.
    #[test]
    fn a_layer(
        config in configs(),
        form in prop::sample::select(Form::ALL.to_vec()),
        size in [1usize..8, 1usize..8],
        seed: u64,
    ) {
        let layer = layer(&config, seed);
        let baking = |size| Baking { form, fold_norm: true, size };
        let apart = differ(&layer, &baking(Some(size)), size, seed, false);
        prop_assert!(apart < SAME, "{apart}");
        match layer.bake_graph(&baking(None)) {
            Ok(_) => {
                let apart = differ(&layer, &baking(None), size, seed, false);
                prop_assert!(apart < SAME, "{apart} free");
            }
            Err(error) => {
                let real = layer.convolution.stride_now().iter().any(|stride| *stride != 1.0);
                let fixed = matches!(config.stride_rule, Stride::Fixed(_));
                prop_assert!(matches!(error, BakeError::RealStride { .. }) && real && !fixed, "{error}");
            }
        }
    }
}

#[test]
fn layers_in_another_engine() {
    let base = NJetConvTranspose2dConfig::new([4, 6]).with_sigma(1.2).with_stride([2, 3]);
    let cases = [
        (base.clone(), Form::Dense, None),
        (base.clone(), Form::Separable, None),
        (NJetConvTranspose2dConfig::new([2, 6]), Form::Separable, None),
        (base.clone().with_groups(2), Form::Separable, None),
        (base.clone().with_groups(2).with_sharing(SigmaSharing::Input), Form::Separable, None),
        (base.clone().with_extent(0.2).with_stride([4, 3]), Form::Dense, None),
        (base.clone().with_stride(Stride::Real([1.5, 2.25])), Form::Dense, Some([6, 7])),
        (base.clone().with_stride(Stride::Safe { ratio: 0.7 }).with_groups(2), Form::Dense, Some([6, 7])),
        (
            base.with_stride(Stride::Safe { ratio: 0.7 }).with_groups(2).with_sharing(SigmaSharing::Input),
            Form::Dense,
            Some([6, 7]),
        ),
    ];
    for (number, (config, form, size)) in cases.into_iter().enumerate() {
        let layer = layer(&config, number as u64);
        let apart = differ(&layer, &Baking { form, fold_norm: true, size }, [6, 7], 5, true);
        assert!(apart < SAME, "case {number}: {apart}");
    }
}

/// As for the layer that it is the transpose of.
#[test]
fn the_cheaper_form_is_taken() {
    for (sigma, operations) in [(1.0, 1), (8.0, 3)] {
        let config = NJetConvTranspose2dConfig::new([4, 4]).with_groups(4).with_extent(2.0).with_sigma(sigma);
        let baking = Baking { form: Form::Cheaper, ..Baking::default() };
        let graph = config.init(&device()).bake_graph(&baking).unwrap();
        assert_eq!(graph.nodes.len(), operations, "σ = {sigma}");
    }
}
