//! Segmentation networks as plain operations: the outputs must be those of the originals, in Burn and in another engine.

mod engine;
mod outputs;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor};
use njet::interop::graph::{Graph, Operation};
use njet::interop::{BakeError, Baking, Form, PlainNetwork, onnx};
use njet::models::{Convolution, LayerKind, LayerSettings, Subsampling, UNet, UNetConfig};
use njet::{PaddingMode, SigmaSharing};
use outputs::{SAME, apart, device, tensor, values};

/// Two steps down and up, few channels, kernels of 7×7 at the start.
fn small() -> UNetConfig {
    let njet = LayerSettings { sigma: 0.8, extent: 3.0, ..LayerSettings::default() };
    let (widths, convolutions, up) = (vec![3, 6, 6], vec![2, 2, 1], Some(vec![1, 2]));
    UNetConfig { widths, convolutions, up, njet, ..UNetConfig::new(2, 4) }
}

/// With one step alone.
fn shallow(mut config: UNetConfig) -> UNetConfig {
    config.widths.truncate(2);
    config.convolutions.truncate(2);
    config.up = None;
    config
}

/// Whose way up ends at half the resolution.
fn half() -> UNetConfig {
    UNetConfig { up: None, ..small() }
}

fn safe() -> UNetConfig {
    UNetConfig { subsampling: Subsampling::Safe, ..small() }
}

fn twin() -> UNetConfig {
    UNetConfig { layer: LayerKind::Conv, ..small() }
}

/// Parameters and statistics of a network from our own numbers: the random generator of Burn is the whole program's.
struct Draw(u64);

impl ModuleMapper for Draw {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.0 += 1;
        let shape: [usize; D] = param.dims();
        let noise = tensor::<D>(self.0, shape);
        match D {
            // Scales, statistics, gains, offsets.
            1 => param.map(|values| values + noise * 0.2),
            // So large that images still matter behind all layers: filters of an N-jet leave little of noise.
            _ => {
                let gain = if D == 3 { 4.0 } else { 1.5 };
                let fan_in = shape[1..].iter().product::<usize>() as f32;
                param.map(|_| noise * (gain * (3.0 / fan_in).sqrt()))
            }
        }
    }
}

fn model(config: &UNetConfig, device: &Device) -> UNet {
    config.init(device).unwrap().map(&mut Draw(7))
}

/// The least of the ranges of planes, in parts of the largest magnitude.
fn varies(outputs: &[f32], pixels: usize) -> f32 {
    let range =
        |plane: &[f32]| plane.iter().copied().fold(f32::MIN, f32::max) - plane.iter().copied().fold(f32::MAX, f32::min);
    let largest = outputs.iter().fold(0.0f32, |largest, v| largest.max(v.abs()));
    outputs.chunks_exact(pixels).map(range).fold(f32::MAX, f32::min) / largest
}

/// The network, in Burn and in the other engine, against the model, for images of a size.
fn check(what: &str, model: &UNet, graph: &Graph, [height, width]: [usize; 2]) {
    let shape = [2, 2, height, width];
    let x = tensor(4, shape);
    let expected = values(model.forward(x.clone()));
    assert!(height * width < 100 || varies(&expected, height * width) > 0.1, "{what}: nothing to compare");
    let found = PlainNetwork::new(graph, &device()).forward(x.clone());
    assert_eq!(found.dims(), [2, 4, height, width], "{what}");
    let in_burn = apart(&values(found), &expected);
    assert!(in_burn < SAME, "{what} at {height}×{width}: {in_burn} in Burn");
    if let Some(found) = engine::run(&onnx::encode(graph, &[]), &values(x), shape) {
        let elsewhere = apart(&found.unwrap_or_else(|error| panic!("{what}: {error}")), &expected);
        assert!(elsewhere < SAME, "{what} at {height}×{width}: {elsewhere} in the other engine");
        println!("{what} at {height}×{width}: {in_burn:.1e} in Burn, {elsewhere:.1e} in the other engine");
    }
}

fn fixed(form: Form, size: [usize; 2]) -> Baking {
    Baking { form, fold_norm: form != Form::Separable, size: Some(size) }
}

#[test]
fn networks_of_one_size() {
    for (name, config) in [("pooled", small()), ("half", half()), ("safe", safe()), ("twin", twin())] {
        let model = model(&config, &device());
        for form in Form::ALL {
            for size in [[12, 16], [13, 6], [1, 3]] {
                let graph = model.bake_graph(&fixed(form, size)).unwrap();
                check(&format!("{name}, {form}"), &model, &graph, size);
            }
        }
    }
}

/// One file for all sizes: what is added to make them even and what is cut off again follows the image.
#[test]
fn networks_of_any_size() {
    for (name, config) in [("pooled", small()), ("half", half()), ("twin", twin())] {
        let model = model(&config, &device());
        for form in Form::ALL {
            let graph = model.bake_graph(&Baking { form, ..Baking::default() }).unwrap();
            for size in [[12, 16], [13, 6], [1, 3], [15, 18]] {
                check(&format!("{name}, {form}, free"), &model, &graph, size);
            }
        }
    }
}

#[test]
fn every_sharing_and_border() {
    let with = |change: &dyn Fn(&mut LayerSettings), config: UNetConfig| {
        let mut config = shallow(config);
        change(&mut config.njet);
        config
    };
    let size = [9, 14];
    for sharing in SigmaSharing::ALL {
        let config = with(&|njet| (njet.sharing, njet.separate_axes) = (sharing, true), small());
        let model = model(&config, &device());
        for form in [Form::Dense, Form::Separable] {
            check(&format!("{sharing}, {form}"), &model, &model.bake_graph(&fixed(form, size)).unwrap(), size);
        }
    }
    for mode in [PaddingMode::Replicate, PaddingMode::Reflect, PaddingMode::Circular] {
        for config in [small(), safe()] {
            let config = with(&|njet| njet.padding_mode = mode, config);
            let model = model(&config, &device());
            let what = format!("{mode:?}, {:?}", config.subsampling);
            // Smaller than what the kernels reach, too.
            for size in [size, [3, 5]] {
                check(&what, &model, &model.bake_graph(&fixed(Form::Dense, size)).unwrap(), size);
            }
        }
    }
    let apart = with(&|njet| njet.separate_axes = true, safe());
    let model = model(&apart, &device());
    check("separate axes", &model, &model.bake_graph(&fixed(Form::Dense, size)).unwrap(), size);
}

/// Sets the scale of the layer that makes the images smaller.
fn set_scale(model: &mut UNet, name: &str, log2_sigma: f32) {
    let block = model.blocks.iter_mut().find(|block| block.name == name).unwrap();
    let Convolution::Njet(layer) = &mut block.convolution else { panic!("an N-jet layer") };
    layer.log2_sigma = Param::from_tensor(Tensor::full(layer.log2_sigma.dims(), log2_sigma, &device()));
}

/// A stride that follows σ needs a size, unless σ is so small that it is 1: then the layers are convolutions.
#[test]
fn safe_networks_of_any_size() {
    let mut model = model(&shallow(safe()), &device());
    let error = model.bake_graph(&Baking::default()).unwrap_err();
    let BakeError::RealStride { layer, stride } = &error else { panic!("{error}") };
    assert_eq!((layer.as_str(), stride[0] > 1.0), ("down1.conv1", true));
    assert!(error.to_string().contains("for a fixed size of the image it is a matrix for each axis"), "{error}");
    set_scale(&mut model, "down1.conv1", -0.5);
    for form in Form::ALL {
        let graph = model.bake_graph(&Baking { form, ..Baking::default() }).unwrap();
        check(&format!("safe at stride 1, {form}"), &model, &graph, [9, 14]);
    }
}

/// Only what a size needs is there, by the names of the blocks.
#[test]
fn nodes_and_names() {
    let ends = self::model(&half(), &device()).bake_graph(&fixed(Form::Dense, [12, 16])).unwrap();
    assert_eq!(ends.nodes.last().unwrap().name, "head.pixels");
    let model = model(&small(), &device());
    let names = |baking: &Baking| -> Vec<String> {
        model.bake_graph(baking).unwrap().nodes.into_iter().map(|node| node.name).collect()
    };
    let around = |names: &[String]| {
        let added = |name: &&String| name.starts_with("padded") || name.starts_with("cropped");
        names.iter().filter(added).cloned().collect::<Vec<_>>()
    };
    let whole = names(&fixed(Form::Dense, [12, 16]));
    assert_eq!(whole[..3], ["down0.conv1.conv", "down0.conv1.activation", "down0.conv2.conv"]);
    assert_eq!(whole[3..7], ["down0.conv2.activation", "down0.conv2.sum", "down1.pool", "down1.conv1.conv"]);
    assert!(
        ["up1.step", "up1.skip", "up1.conv1.conv", "up1.conv2.sum", "up0.conv1.conv", "up0.step", "up0.skip"]
            .iter()
            .all(|n| whole.contains(&n.to_string()))
    );
    assert_eq!(whole.last().unwrap(), "head");
    assert!(around(&whole).is_empty());
    assert_eq!(around(&names(&fixed(Form::Dense, [12, 15]))), ["padded", "cropped.x"]);
    assert_eq!(around(&names(&Baking::default())), ["padded", "cropped"]);
    let graph = model.bake_graph(&Baking::default()).unwrap();
    assert_eq!((graph.channels, graph.per_pixel), (2, Some(4)));
    let parameters: Vec<String> = graph.parameters().into_iter().map(|(name, _)| name).collect();
    assert!(parameters.contains(&"up0.step.weight".to_owned()) && parameters.contains(&"head.bias".to_owned()));
    let steps = graph.nodes.iter().filter(|node| matches!(node.operation, Operation::ConvolveTransposed(_)));
    assert_eq!(steps.count(), 2);
}

/// The network that normalises its input pads and crops as the other does.
#[test]
fn normalisation_comes_first() {
    let model = model(&small(), &device());
    let graph = model.bake_graph(&Baking::default()).unwrap().normalising(0.4, 0.25);
    let x = tensor::<4>(3, [1, 2, 7, 10]);
    let expected = values(model.forward((x.clone() - 0.4) / 0.25));
    assert!(apart(&values(PlainNetwork::new(&graph, &device()).forward(x.clone())), &expected) < SAME);
    if let Some(found) = engine::run(&onnx::encode(&graph, &[]), &values(x), [1, 2, 7, 10]) {
        assert!(apart(&found.unwrap(), &expected) < SAME);
    }
}
