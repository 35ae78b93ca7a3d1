//! Layers and models as plain operations: the outputs must be those of the originals, in Burn and in another engine.

mod engine;
mod outputs;

use burn::module::{Param, RunningState};
use burn::nn::PaddingConfig2d;
use burn::tensor::Tensor;
use njet::interop::graph::{First, Operation};
use njet::interop::{BakeError, Baking, Form, Graph, PlainNetwork, onnx};
use njet::models::{Architecture, Classifier, Convolution, LayerKind, ModelConfig, Subsampling};
use njet::{Discretisation, NJetConv2d, NJetConv2dConfig, NearestRule, PaddingMode, SigmaSharing, Stride};
use outputs::{SAME, apart, device, tensor, values};
use proptest::prelude::*;

/// A layer with coefficients, biases and scales of its own.
fn layer(config: &NJetConv2dConfig, seed: u64) -> NJetConv2d {
    let mut layer = config.init(&device());
    layer.alpha = Param::from_tensor(tensor(seed, layer.alpha.dims()));
    layer.bias = layer.bias.map(|bias| Param::from_tensor(tensor(seed ^ 1, bias.dims())));
    // σ from half to twice the initial one.
    let s = layer.log2_sigma.val() + tensor::<1>(seed ^ 2, layer.log2_sigma.dims());
    layer.log2_sigma = Param::from_tensor(s);
    layer
}

fn runs_alike(layer: &NJetConv2d, graph: &Graph, size: [usize; 2], seed: u64) -> f32 {
    let x = tensor(seed ^ 3, [2, graph.channels, size[0], size[1]]);
    let expected = values(layer.forward(x.clone()));
    apart(&values(PlainNetwork::new(graph, &device()).forward(x)), &expected)
}

fn strides() -> impl Strategy<Value = Stride> {
    prop_oneof![
        3 => [1usize..4, 1usize..4].prop_map(Stride::Fixed),
        1 => [0.5..2.5f64, 0.5..2.5f64].prop_map(Stride::Real),
        1 => (0.4..1.6f64).prop_map(|ratio| Stride::Safe { ratio }),
        1 => (0.4..1.6f64).prop_map(|ratio| Stride::Nearest { rule: NearestRule::Sigma, ratio }),
    ]
}

fn configs() -> impl Strategy<Value = NJetConv2dConfig> {
    (
        (1usize..3, [1usize..4, 1usize..4]),
        (0usize..4, prop::sample::select(vec![2.0, 4.0, 6.0])),
        (prop::sample::select(SigmaSharing::ALL.to_vec()), any::<bool>()),
        strides(),
        prop::sample::select(vec![
            PaddingMode::Zeros,
            PaddingMode::Zeros,
            PaddingMode::Replicate,
            PaddingMode::Reflect,
            PaddingMode::Circular,
        ]),
        prop::sample::select(vec![
            Discretisation::NormalizedSampled,
            Discretisation::Sampled,
            Discretisation::Integrated,
            Discretisation::DiscreteAnalogue,
        ]),
        any::<bool>(),
    )
        .prop_map(
            |((groups, per_group), (order, extent), (sharing, separate), stride, mode, discretisation, bias)| {
                let real = !matches!(stride, Stride::Fixed(_) | Stride::Nearest { .. });
                let whole = if discretisation == Discretisation::DiscreteAnalogue {
                    Discretisation::Integrated
                } else {
                    discretisation
                };
                NJetConv2dConfig::new(per_group.map(|n| n * groups))
                    .with_groups(groups)
                    .with_order(order)
                    .with_extent(extent)
                    .with_sharing(sharing)
                    .with_separate_axes(separate)
                    .with_stride(stride)
                    .with_padding_mode(mode)
                    .with_discretisation(if real { whole } else { discretisation })
                    .with_bias(bias)
            },
        )
}

fn forms() -> impl Strategy<Value = Form> {
    prop::sample::select(Form::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Of a size that is known everything can be baked.
    #[test]
    fn a_layer_of_a_known_size(config in configs(), form in forms(), size in [1usize..13, 1usize..13], seed: u64) {
        let layer = layer(&config, seed);
        let graph = layer.bake_graph(&Baking { form, fold_norm: true, size: Some(size) }).unwrap();
        let apart = runs_alike(&layer, &graph, size, seed);
        prop_assert!(apart < SAME, "{apart} {:?}", graph.nodes.iter().map(|n| &n.name).collect::<Vec<_>>());
    }

    /// Of any size: either it is refused, or it is right at every size.
    #[test]
    fn a_layer_of_any_size(config in configs(), form in forms(), size in [24usize..30, 24usize..30], seed: u64) {
        let layer = layer(&config, seed);
        let baked = layer.bake_graph(&Baking { form, fold_norm: true, size: None });
        let stride = layer.stride_now();
        let depends = match layer.stride {
            Stride::Fixed(_) => layer.padding_mode != PaddingMode::Zeros && stride != [1.0, 1.0],
            _ => stride != [1.0, 1.0],
        };
        match baked {
            Ok(graph) => {
                prop_assert!(!depends, "{stride:?}");
                for size in [size, [size[1] + 1, size[0]]] {
                    let apart = runs_alike(&layer, &graph, size, seed);
                    prop_assert!(apart < SAME, "{apart} at {size:?}");
                }
            }
            Err(error) => prop_assert!(depends, "{error}"),
        }
    }
}

/// Few engines are as forgiving as one's own: every kind of node once in another.
#[test]
fn layers_in_another_engine() {
    let base = NJetConv2dConfig::new([4, 6]).with_sigma(1.2);
    let fixed = Some([11, 14]);
    let cases = [
        (base.clone(), Form::Dense, None),
        (base.clone(), Form::Separable, None),
        (NJetConv2dConfig::new([6, 2]), Form::Separable, None),
        (base.clone().with_stride([2, 3]), Form::Dense, None),
        (base.clone().with_stride([2, 3]), Form::Separable, fixed),
        (base.clone().with_groups(2).with_sharing(SigmaSharing::Output), Form::Separable, None),
        (base.clone().with_padding_mode(PaddingMode::Replicate), Form::Dense, None),
        (base.clone().with_padding_mode(PaddingMode::Reflect), Form::Separable, None),
        (base.clone().with_padding_mode(PaddingMode::Circular), Form::Dense, None),
        (base.clone().with_padding_mode(PaddingMode::Circular).with_sigma(4.0), Form::Dense, Some([5, 6])),
        (base.clone().with_stride(Stride::Real([1.5, 2.25])), Form::Dense, fixed),
        (base.clone().with_stride(Stride::Safe { ratio: 0.7 }).with_sharing(SigmaSharing::Output), Form::Dense, fixed),
        (base.clone().with_stride(Stride::Safe { ratio: 0.7 }).with_sharing(SigmaSharing::Input), Form::Dense, fixed),
        (base.with_stride(Stride::Nearest { rule: NearestRule::Sigma, ratio: 0.5 }), Form::Dense, fixed),
    ];
    for (number, (config, form, size)) in cases.into_iter().enumerate() {
        let layer = layer(&config, number as u64);
        let graph = layer.bake_graph(&Baking { form, fold_norm: true, size }).unwrap();
        let [height, width] = size.unwrap_or([12, 13]);
        let channels = graph.channels;
        let x = tensor(99, [2, channels, height, width]);
        let expected = values(layer.forward(x.clone()));
        let in_burn = apart(&values(PlainNetwork::new(&graph, &device()).forward(x.clone())), &expected);
        assert!(in_burn < SAME, "case {number}: {in_burn} in Burn");
        if let Some(found) = engine::run(&onnx::encode(&graph, &[]), &values(x), [2, channels, height, width]) {
            let elsewhere = apart(&found.unwrap_or_else(|error| panic!("case {number}: {error}")), &expected);
            assert!(elsewhere < SAME, "case {number}: {elsewhere} in the other engine");
        }
    }
}

#[test]
fn a_layer_becomes_burns_convolution() {
    let device = device();
    for stride in [[1, 1], [2, 2], [3, 1]] {
        for padding in [PaddingConfig2d::Same, PaddingConfig2d::Valid, PaddingConfig2d::Explicit(6, 0, 7, 3)] {
            let config = NJetConv2dConfig::new([4, 6]).with_groups(2).with_stride(stride).with_padding(padding);
            let layer = layer(&config.with_extent(6.0), 5);
            let conv = layer.bake(&device).unwrap();
            let x = tensor(6, [2, 4, 29, 32]);
            let apart = apart(&values(conv.forward(x.clone())), &values(layer.forward(x)));
            assert!(apart < SAME, "{stride:?} {:?}: {apart}", layer.padding);
        }
    }
}

/// At six σ the outermost taps are worth less than the bound; at two they are not.
#[test]
fn kernels_are_cut_where_nothing_is() {
    let size = |extent: f64| {
        let config = NJetConv2dConfig::new([2, 3]).with_order(1).with_sigma(2.0).with_extent(extent);
        let mut layer = config.init(&device());
        layer.alpha = Param::from_tensor(tensor(8, layer.alpha.dims()));
        let weight = layer.bake(&device()).unwrap().weight.dims();
        (2 * njet_basis::radius(2.0, extent) + 1, [weight[2], weight[3]])
    };
    assert_eq!(size(2.0), (11, [11, 11]));
    let (whole, [height, width]) = size(6.0);
    assert_eq!(whole, 27);
    // e^(−t²/8) falls below a millionth at t = 10.5.
    assert!((19..=25).contains(&height) && (19..=25).contains(&width), "{height}×{width}");
}

#[test]
fn what_is_no_convolution_is_refused_with_the_reason() {
    let message = |config: NJetConv2dConfig| config.init(&device()).bake(&device()).unwrap_err().to_string();
    let base = NJetConv2dConfig::new([1, 1]).with_sigma(2.0);
    let real = message(base.clone().with_stride(Stride::Safe { ratio: 1.6 }));
    assert!(real.starts_with("the layer has a stride of 1.25 pixels, no whole number"), "{real}");
    assert!(real.contains("for a fixed size of the image it is a matrix for each axis"), "{real}");
    let border = message(base.clone().with_padding_mode(PaddingMode::Reflect));
    assert!(border.contains("knows zeros alone"), "{border}");
    let nearest = message(base.with_stride(Stride::Nearest { rule: NearestRule::Sigma, ratio: 1.0 }));
    assert!(nearest.contains("nearest pixels, 2 apart"), "{nearest}");
}

/// Drawn from our own numbers: the random generator of Burn is the whole program's.
fn model(config: &ModelConfig, seed: u64) -> Classifier {
    let mut model = config.init(&device()).unwrap();
    let draw = |param: &Param<Tensor<4>>, seed| {
        let shape = param.dims();
        let fan_in = (shape[1] * shape[2] * shape[3]) as f32;
        Param::from_tensor(tensor::<4>(seed, shape) * (3.0 / fan_in).sqrt())
    };
    for (number, block) in model.blocks.iter_mut().enumerate() {
        let seed = seed ^ (number as u64 + 1) << 8;
        match &mut block.convolution {
            Convolution::Njet(layer) => {
                let shape = layer.alpha.dims();
                let scale = (3.0 / (shape[1] * shape[2]) as f32).sqrt();
                layer.alpha = Param::from_tensor(tensor::<3>(seed, shape) * scale);
                let s = layer.log2_sigma.val() + tensor::<1>(seed ^ 1, layer.log2_sigma.dims()) * 0.3;
                layer.log2_sigma = Param::from_tensor(s);
            }
            Convolution::Conv(layer) => layer.weight = draw(&layer.weight, seed),
        }
        if let Some(gate) = &mut block.gate {
            gate.squeeze.weight = draw(&gate.squeeze.weight, seed ^ 2);
            gate.excite.weight = draw(&gate.excite.weight, seed ^ 3);
        }
        let channels = block.norm.gamma.dims();
        block.norm.gamma = Param::from_tensor(tensor::<1>(seed ^ 4, channels) * 0.3 + 1.0);
        block.norm.beta = Param::from_tensor(tensor::<1>(seed ^ 5, channels) * 0.3);
        block.norm.running_mean = RunningState::new(tensor::<1>(seed ^ 6, channels) * 0.2);
        block.norm.running_var = RunningState::new(tensor::<1>(seed ^ 7, channels) * 0.3 + 0.7);
    }
    if let Some(linear) = &mut model.linear {
        let shape = linear.weight.dims();
        linear.weight = Param::from_tensor(tensor::<2>(seed ^ 9, shape) * (3.0 / shape[0] as f32).sqrt());
        linear.bias = Some(Param::from_tensor(tensor::<1>(seed ^ 10, [shape[1]])));
    }
    model
}

/// The network, in Burn and in the other engine, against the model.
fn check(config: &ModelConfig, baking: &Baking, size: [usize; 2]) {
    let what = format!("{} {} {:?} {baking:?}", config.arch, config.layer, config.subsampling());
    let model = model(config, 3);
    let graph = model.bake_graph(baking).unwrap_or_else(|error| panic!("{what}: {error}"));
    let shape = [2, config.channels, size[0], size[1]];
    let x = tensor(4, shape);
    let expected = values(model.forward(x.clone()));
    let in_burn = apart(&values(PlainNetwork::new(&graph, &device()).forward(x.clone())), &expected);
    assert!(in_burn < SAME, "{what}: {in_burn} in Burn");
    if let Some(found) = engine::run(&onnx::encode(&graph, &[]), &values(x), shape) {
        let elsewhere = apart(&found.unwrap_or_else(|error| panic!("{what}: {error}")), &expected);
        assert!(elsewhere < SAME, "{what}: {elsewhere} in the other engine");
        println!("{what}: {in_burn:.1e} in Burn, {elsewhere:.1e} in the other engine");
    }
}

/// Windows of 3×3: larger ones are the business of the tests of layers, and the large networks would take long.
fn settings(arch: Architecture, layer: LayerKind, subsampling: Subsampling) -> ModelConfig {
    ModelConfig { layer, sigma: 0.6, extent: 0.5, subsampling: Some(subsampling), ..ModelConfig::new(arch, 3, 10) }
}

/// Images that the strides leave something of, and that make no large work of networks that have none.
fn size(subsampling: Subsampling) -> [usize; 2] {
    if subsampling == Subsampling::Strides { [21, 26] } else { [6, 9] }
}

#[test]
fn every_architecture() {
    for &arch in Architecture::ALL {
        for layer in [LayerKind::Njet, LayerKind::Conv] {
            let subsampling = arch.subsampling();
            let form = if layer == LayerKind::Njet { Form::Cheaper } else { Form::Dense };
            check(&settings(arch, layer, subsampling), &Baking { form, ..Baking::default() }, size(subsampling));
        }
    }
}

#[test]
fn every_subsampling_and_form() {
    for arch in
        [Architecture::Small, Architecture::NetworkInNetwork, Architecture::ResNet20, Architecture::EfficientNetB0]
    {
        for &subsampling in Subsampling::ALL {
            let config = settings(arch, LayerKind::Njet, subsampling);
            let size = size(subsampling);
            let fixed = (subsampling == Subsampling::Safe).then_some(size);
            check(&config, &Baking { form: Form::Separable, fold_norm: false, size: fixed }, size);
            if subsampling != Subsampling::None {
                check(&config, &Baking { form: Form::Dense, fold_norm: true, size: Some(size) }, size);
            }
        }
    }
}

/// Projections, of which the other residual networks have none.
#[test]
fn a_projected_shortcut_with_a_safe_stride() {
    let config = settings(Architecture::ResNet18, LayerKind::Njet, Subsampling::Safe);
    check(&config, &Baking { form: Form::Cheaper, fold_norm: true, size: Some([9, 12]) }, [9, 12]);
}

#[test]
fn a_safe_model_of_any_size_is_refused() {
    let config = settings(Architecture::ResNet20, LayerKind::Njet, Subsampling::Safe);
    let error = model(&config, 3).bake_graph(&Baking::default()).unwrap_err();
    let BakeError::RealStride { layer, stride } = &error else { panic!("{error}") };
    assert_eq!((layer.as_str(), stride[0] > 1.0), ("stage2.block1.conv1", true));
    let small = Baking { size: Some([1, 1]), ..Baking::default() };
    let pooled = model(&ModelConfig::new(Architecture::Small, 1, 10), 3).bake_graph(&small).unwrap_err().to_string();
    assert_eq!(pooled, "images of 1×1 pixels are too small: nothing is left of them after layer1");
}

/// The positions of a strided shortcut depend on the size: any size is right.
#[test]
fn shortcuts_of_any_size() {
    let config = settings(Architecture::ResNet20, LayerKind::Njet, Subsampling::Strides);
    let model = model(&config, 5);
    let graph = model.bake_graph(&Baking { form: Form::Separable, ..Baking::default() }).unwrap();
    let same =
        |node: &&njet::interop::graph::Node| matches!(node.operation, Operation::Subsample { first: First::Same, .. });
    assert_eq!(graph.nodes.iter().filter(same).count(), 2);
    let network = PlainNetwork::new(&graph, &device());
    let file = onnx::encode(&graph, &[]);
    for size in [[16, 17], [18, 15], [19, 22]] {
        let x = tensor(4, [1, 3, size[0], size[1]]);
        let expected = values(model.forward(x.clone()));
        assert!(apart(&values(network.forward(x.clone())), &expected) < SAME, "{size:?}");
        if let Some(found) = engine::run(&file, &values(x), [1, 3, size[0], size[1]]) {
            assert!(apart(&found.unwrap(), &expected) < SAME, "{size:?}");
        }
    }
}

/// Normalisation becomes part of the convolutions, and the names are those that `torch.nn` knows.
#[test]
fn normalisation_is_folded_or_kept() {
    let config = ModelConfig::new(Architecture::Small, 1, 10);
    let names = |fold_norm| -> Vec<String> {
        let graph = model(&config, 1).bake_graph(&Baking { fold_norm, ..Baking::default() }).unwrap();
        graph.parameters().into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names(true)[..3], ["layer1.conv.weight", "layer1.conv.bias", "layer2.conv.weight"]);
    let kept = ["conv.weight", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"];
    assert_eq!(names(false)[..5], kept.map(|name| format!("layer1.{name}")));
    assert_eq!(names(false)[15..], ["linear.weight", "linear.bias"]);
}

/// A depthwise layer: its small kernel takes fewer multiply-adds than the filters of its basis, its large one more.
#[test]
fn the_cheaper_form_is_taken() {
    for (sigma, operations) in [(1.0, 1), (8.0, 3)] {
        let config = NJetConv2dConfig::new([4, 4]).with_groups(4).with_extent(2.0).with_sigma(sigma);
        let baking = Baking { form: Form::Cheaper, ..Baking::default() };
        let graph = config.init(&device()).bake_graph(&baking).unwrap();
        assert_eq!(graph.nodes.len(), operations, "σ = {sigma}");
    }
}
