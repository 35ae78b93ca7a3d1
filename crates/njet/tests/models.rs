//! The models: parameter counts, shapes, and a whole network against the oracle.

use burn::module::{Module, ModuleVisitor, Param, RunningState};
use burn::tensor::{Device, Distribution, Gradients, Tensor, TensorData};
use njet::models::{Architecture, Block, Classifier, Convolution, LayerKind, ModelConfig, Pool, Subsampling};
use safetensors::SafeTensors;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn model(arch: Architecture, layer: LayerKind, channels: usize) -> Classifier {
    ModelConfig { layer, ..ModelConfig::new(arch, channels, 10) }.init(&Device::flex()).unwrap()
}

#[test]
fn parameter_counts() {
    use Architecture::*;
    let njet = |arch, channels| model(arch, LayerKind::Njet, channels).num_parameters();
    let conv = |arch, channels| model(arch, LayerKind::Conv, channels).num_parameters();
    // α, σ, batch normalisation, linear.
    assert_eq!(njet(Small, 1), 6 * (32 + 32 * 64 + 64 * 96) + 3 + 2 * 192 + 970);
    assert_eq!(njet(Small, 1), 50_701);
    assert_eq!(conv(Small, 1), 9 * (32 + 32 * 64 + 64 * 96) + 2 * 192 + 970);
    let mixes = 192 * 160 + 160 * 96 + 3 * 192 * 192 + 192 * 10;
    let norms = 2 * (6 * 192 + 160 + 96 + 10);
    assert_eq!(njet(NetworkInNetwork, 3), 6 * 192 * (3 + 96 + 192) + 3 + mixes + norms);
    assert_eq!(conv(NetworkInNetwork, 3), 9 * 192 * (3 + 96 + 192) + mixes + norms);
    let spatial = 96 * (3 + 96 + 96) + 192 * (96 + 3 * 192);
    let rest = 192 * 192 + 1920 + 2 * (3 * 96 + 5 * 192 + 10);
    assert_eq!(njet(AllConvolutional, 3), 6 * spatial + 7 + rest);
    assert_eq!(conv(AllConvolutional, 3), 9 * spatial + rest);
}

/// The twins of plain convolutions have the published numbers of parameters.
#[test]
fn published_parameter_counts() {
    use Architecture::*;
    let count = |arch, layer, classes| {
        let config = ModelConfig { layer, ..ModelConfig::new(arch, 3, classes) };
        config.init(&Device::flex()).unwrap().num_parameters()
    };
    // He et al. 2015, table 6: 0.27, 0.46, 0.66, 0.85 and 1.7 million.
    let small = [ResNet20, ResNet32, ResNet44, ResNet56, ResNet110];
    let counts = small.map(|arch| count(arch, LayerKind::Conv, 10));
    assert_eq!(counts, [269_722, 464_154, 658_586, 853_018, 1_727_962]);
    // As in torchvision.
    assert_eq!(count(ResNet18, LayerKind::Conv, 1000), 11_689_512);
    assert_eq!(count(EfficientNetB0, LayerKind::Conv, 1000), 5_288_548);

    // N-jet layers: 6 coefficients instead of 9, 25 or 49 weights, and a scale each.
    let pairs = 3 * 16 + 6 * 16 * 16 + 16 * 32 + 5 * 32 * 32 + 32 * 64 + 5 * 64 * 64;
    assert_eq!(count(ResNet20, LayerKind::Njet, 10), 269_722 - (9 - 6) * pairs + 19);
    let threes = 3 * 32 + 32 + 96 + 144 + 240 + 480 + 480 + 1152;
    let fives = 144 + 240 + 480 + 672 + 672 + 672 + 3 * 1152;
    let expected = 5_288_548 - (9 - 6) * threes - (25 - 6) * fives + 17;
    assert_eq!(count(EfficientNetB0, LayerKind::Njet, 1000), expected);
}

#[test]
fn description_agrees_with_the_model() {
    for &arch in Architecture::ALL {
        for layer in [LayerKind::Njet, LayerKind::Conv] {
            let model = model(arch, layer, 3);
            assert_eq!(model.describe(32, 32).parameters, model.num_parameters(), "{arch} {layer}");
        }
    }
    let small = model(Architecture::Small, LayerKind::Conv, 1).describe(28, 28);
    // 3×3; +1 for pooling; 3×3 at stride 2; +2; 3×3 at stride 4.
    assert_eq!(small.layers.iter().map(|l| l.receptive_field).collect::<Vec<_>>(), [3, 8, 18, 18]);
    assert_eq!(small.layers[1].multiply_adds, 14 * 14 * 9 * 32 * 64);
}

#[test]
fn multiply_adds_and_receptive_fields() {
    let resnet20 = model(Architecture::ResNet20, LayerKind::Conv, 3).describe(32, 32);
    // 16 channels at 32×32, 32 at 16×16, 64 at 8×8: six convolutions each, the first of a stage from half the channels.
    let stages = [(0, 32, 16), (1, 16, 32), (2, 8, 64)].map(|(stage, side, channels)| {
        let first = if stage == 0 { channels } else { channels / 2 };
        side * side * 9 * channels * (first + 5 * channels)
    });
    let expected = 32 * 32 * 9 * 3 * 16 + stages.iter().sum::<u64>() + 640;
    assert_eq!((resnet20.multiply_adds, expected), (40_551_040, 40_551_040));
    // 3 for the stem; 6 × 2; 2 + 5 × 4; 4 + 5 × 8.
    assert_eq!(resnet20.layers.last().unwrap().receptive_field, 3 + 12 + 22 + 44);

    // An N-jet layer with a stride: along x 3 filters of 11 taps on every row, along y 6 on every second.
    let njet = model(Architecture::ResNet20, LayerKind::Njet, 3).describe(32, 32);
    let strided = njet.layers.iter().find(|layer| layer.name == "stage2.block1.conv1").unwrap();
    assert_eq!(strided.kernel, [11, 11]);
    let filters = 16 * 3 * 11 * (32 * 16) + 16 * 6 * 11 * (16 * 16);
    assert_eq!(strided.multiply_adds, filters + 16 * 16 * 6 * 16 * 32);

    let config = ModelConfig { layer: LayerKind::Conv, ..ModelConfig::new(Architecture::ResNet18, 3, 1000) };
    let resnet18 = config.init(&Device::flex()).unwrap().describe(224, 224);
    let stage = |side: u64, inputs: u64, channels: u64| side * side * 9 * channels * (inputs + 3 * channels);
    let projections = 28 * 28 * 64 * 128 + 14 * 14 * 128 * 256 + 7 * 7 * 256 * 512;
    let stages = stage(56, 64, 64) + stage(28, 64, 128) + stage(14, 128, 256) + stage(7, 256, 512);
    let expected = 112 * 112 * 49 * 3 * 64 + stages + projections + 512 * 1000;
    assert_eq!((resnet18.multiply_adds, expected), (1_814_073_344, 1_814_073_344));
    // 7, +4 for the pooling, then 4 × 8, 4·(2 + 3·4), ….
    assert_eq!(resnet18.layers.last().unwrap().receptive_field, 435);

    let config = ModelConfig { layer: LayerKind::Conv, ..ModelConfig::new(Architecture::EfficientNetB0, 3, 1000) };
    let b0 = config.init(&Device::flex()).unwrap().describe(224, 224);
    // Tan and Le 2019, table 2: 0.39 billion.
    assert!((385_000_000..395_000_000).contains(&b0.multiply_adds), "{}", b0.multiply_adds);
    let gate = b0.layers.iter().find(|layer| layer.name == "stage2.block1.depthwise.gate").unwrap();
    assert_eq!((gate.parameters, gate.multiply_adds), (2 * 96 * 4 + 96 + 4, 2 * 96 * 4));
    assert_eq!(gate.kind, "gate");
    // Each channel by itself: 3 filters along x, 3 along y, no product.
    let njet = model(Architecture::EfficientNetB0, LayerKind::Njet, 3).describe(32, 32);
    let depthwise = njet.layers.iter().find(|layer| layer.name == "stage1.block1.depthwise").unwrap();
    assert_eq!(depthwise.multiply_adds, 16 * 16 * 32 * (3 * 11 + 3 * 11));
}

#[test]
fn every_size_has_logits() {
    let device = Device::flex();
    for &arch in Architecture::ALL {
        for layer in [LayerKind::Njet, LayerKind::Conv] {
            for subsampling in [Subsampling::None, Subsampling::Strides] {
                let config = ModelConfig { layer, subsampling: Some(subsampling), ..ModelConfig::new(arch, 3, 10) };
                let model = config.init(&device).unwrap();
                let smallest = config.smallest_image();
                let sizes = match subsampling {
                    // Every layer at full size: slow at more pixels.
                    Subsampling::None => [[1, 1], [3, 2]],
                    Subsampling::Strides | Subsampling::Safe => [[smallest, smallest], [33, 47]],
                };
                let start = std::time::Instant::now();
                for [height, width] in sizes {
                    let x = Tensor::random([2, 3, height, width], Distribution::Normal(0.0, 1.0), &device);
                    let logits = model.forward(x);
                    assert_eq!(logits.dims(), [2, 10], "{arch} {layer} {height}×{width}");
                    assert!(logits.into_data().iter::<f32>().all(f32::is_finite), "{arch} {layer} {height}×{width}");
                }
                println!("{arch} {layer} {subsampling}: {:.0} ms", 1e3 * start.elapsed().as_secs_f64());
                assert_eq!(
                    smallest,
                    if arch == Architecture::Small && subsampling == Subsampling::Strides { 4 } else { 1 }
                );
            }
        }
    }
}

#[test]
#[should_panic(expected = "an image of 3×9 pixels is too small, nothing is left of it after layer2")]
fn images_that_vanish_are_refused_in_words() {
    model(Architecture::Small, LayerKind::Njet, 1).forward(Tensor::zeros([1, 1, 3, 9], &Device::flex()));
}

#[test]
fn subsampling_decides_the_sizes() {
    let sizes = |arch, subsampling| {
        let config = ModelConfig { subsampling: Some(subsampling), ..ModelConfig::new(arch, 3, 10) };
        let model = config.init(&Device::flex()).unwrap();
        let strides = model.blocks.iter().map(|block| block.convolution.stride()[0] as usize).product::<usize>();
        let pools = model.blocks.iter().filter_map(|block| block.pool).map(Pool::stride).product::<usize>();
        assert_eq!(strides * pools == 1, subsampling == Subsampling::None, "{arch}");
        strides * pools
    };
    let published = [4, 4, 4, 4, 4, 4, 4, 4, 32, 32];
    for (&arch, published) in Architecture::ALL.iter().zip(published) {
        assert_eq!(sizes(arch, Subsampling::Strides), published, "{arch}");
        assert_eq!(sizes(arch, Subsampling::None), 1, "{arch}");
    }
    // The stem of ResNet-18 at half size, 64 channels.
    assert_eq!(ModelConfig::new(Architecture::ResNet18, 3, 10).largest_activation(30, 20), 15 * 10 * 64);
}

/// With safe subsampling the image is as small as published at first, every size has logits, and the gradient reaches
/// every parameter, the σ that decide the strides among them.
#[test]
fn safe_subsampling_in_every_architecture() {
    let device = Device::flex().autodiff();
    for arch in [Architecture::Small, Architecture::NetworkInNetwork, Architecture::ResNet20, Architecture::ResNet18] {
        let config = ModelConfig { subsampling: Some(Subsampling::Safe), ..ModelConfig::new(arch, 3, 10) };
        let model = config.init(&device).unwrap();
        assert!(model.blocks.iter().all(|block| block.pool.is_none()), "{arch}");
        let factor: f64 = model.blocks.iter().map(|block| block.convolution.stride()[0]).product();
        let published = if arch == Architecture::ResNet18 { 32.0 } else { 4.0 };
        assert!((factor - published).abs() < 1e-5, "{arch}: {factor}");
        assert!(model.describe(33, 47).layers.iter().all(|layer| layer.multiply_adds > 0), "{arch}");
        assert!(model.rescale(1.5).unwrap().fixed.is_empty(), "{arch}: what follows sigma rescales");
        for [height, width] in [[1, 1], [17, 12]] {
            let x = Tensor::<4>::random([2, 3, height, width], Distribution::Normal(0.0, 1.0), &device);
            let logits = model.forward(x);
            assert_eq!(logits.dims(), [2, 10], "{arch}");
            let gradients = logits.powi_scalar(2).sum().backward();
            for (name, layer) in model.njet_layers() {
                let by_s = layer.log2_sigma.val().grad(&gradients).expect(name).into_data();
                assert!(by_s.iter::<f32>().all(f32::is_finite), "{arch} {name}");
            }
        }
    }
    let plain = ModelConfig { layer: LayerKind::Conv, ..ModelConfig::new(Architecture::ResNet20, 3, 10) };
    let error = ModelConfig { subsampling: Some(Subsampling::Safe), ..plain }.init(&device).unwrap_err();
    assert!(error.to_string().contains("a model of plain convolutions has none"), "{error}");
}

#[test]
fn names_are_unique_and_tell_the_place() {
    for &arch in Architecture::ALL {
        let model = model(arch, LayerKind::Njet, 3);
        let layers = model.describe(32, 32).layers;
        let names: BTreeSet<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(names.len(), layers.len(), "{arch}");
    }
    let names =
        |arch| model(arch, LayerKind::Njet, 3).njet_layers().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
    assert_eq!(names(Architecture::ResNet110).len(), 109);
    assert_eq!(names(Architecture::ResNet18).len(), 17);
    let resnet20 = names(Architecture::ResNet20);
    assert_eq!(resnet20[..4], ["stem", "stage1.block1.conv1", "stage1.block1.conv2", "stage1.block2.conv1"]);
    assert_eq!(resnet20[18], "stage3.block3.conv2");
    let b0 = names(Architecture::EfficientNetB0);
    assert_eq!((b0.len(), b0[16].as_str()), (17, "stage7.block1.depthwise"));
}

/// The absolute sum of each gradient, by the path of its parameter; `None` where there is none.
struct GradientSums<'a> {
    gradients: &'a Gradients,
    path: Vec<String>,
    sums: Vec<(String, Option<f32>)>,
}

impl ModuleVisitor for GradientSums<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.is_require_grad() {
            let sum = param.val().grad(self.gradients).map(|gradient| gradient.abs().sum().into_scalar::<f32>());
            self.sums.push((self.path.join("."), sum));
        }
    }
}

#[test]
fn gradients_reach_every_parameter() {
    use Architecture::*;
    let device = Device::flex().autodiff();
    device.seed(5);
    for arch in [Small, NetworkInNetwork, AllConvolutional, ResNet20, ResNet18, EfficientNetB0] {
        for layer in [LayerKind::Njet, LayerKind::Conv] {
            let config =
                ModelConfig { layer, subsampling: Some(Subsampling::Strides), ..ModelConfig::new(arch, 3, 10) };
            let model = config.init(&device).unwrap();
            let x = Tensor::<4>::random([4, 3, 17, 20], Distribution::Normal(0.0, 1.0), &device);
            let start = std::time::Instant::now();
            let logits = model.forward(x);
            let weights = Tensor::<2>::random([4, 10], Distribution::Normal(0.0, 1.0), &device);
            let gradients = (logits * weights).sum().backward();
            println!("{arch} {layer}: {:.0} ms", 1e3 * start.elapsed().as_secs_f64());
            let mut visitor = GradientSums { gradients: &gradients, path: Vec::new(), sums: Vec::new() };
            model.visit(&mut visitor);
            let scales = model.njet_layers().count();
            assert!(visitor.sums.len() >= 3 * model.blocks.len() + scales, "{arch} {layer}");
            for (path, sum) in visitor.sums {
                assert!(sum.is_some_and(|sum| sum.is_finite() && sum > 0.0), "{arch} {layer} {path}: {sum:?}");
            }
        }
    }
}

/// Training: dropout, stochastic depth and the statistics of the batch. Evaluation: none of them.
#[test]
fn training_and_evaluation_differ() {
    let device = Device::flex().autodiff();
    let model = ModelConfig::new(Architecture::EfficientNetB0, 3, 10).init(&device).unwrap();
    let x = Tensor::<4>::random([3, 3, 16, 16], Distribution::Normal(0.0, 1.0), &device);
    let means = |model: &Classifier| {
        let mean = |block: &Block| block.norm.running_mean.value().into_data();
        model.blocks.iter().map(mean).collect::<Vec<_>>()
    };
    let before = means(&model);
    let [first, second] = [0, 1].map(|_| model.forward(x.clone()).into_data());
    assert_ne!(first, second, "dropout and stochastic depth are random");
    let trained = model.valid();
    let after = means(&trained);
    assert!(before.iter().zip(&after).all(|(before, after)| before != after), "statistics are kept");
    let [first, second] = [0, 1].map(|_| trained.forward(x.clone().inner()).into_data());
    assert_eq!(first, second);
    assert_eq!(means(&trained), after, "evaluation leaves the statistics alone");
}

#[test]
fn settings_round_trip() {
    for &arch in Architecture::ALL {
        for subsampling in [None, Some(Subsampling::None), Some(Subsampling::Strides), Some(Subsampling::Safe)] {
            let config = ModelConfig { subsampling, ..ModelConfig::new(arch, 3, 10) };
            let text = toml::to_string(&config).unwrap();
            assert_eq!(toml::from_str::<ModelConfig>(&text).unwrap(), config, "{text}");
        }
    }
    // A file from before there was a choice.
    let text = toml::to_string(&ModelConfig::new(Architecture::NetworkInNetwork, 3, 10)).unwrap();
    let old = text.replace("subsampling = \"none\"\n", "");
    assert_ne!(old, text);
    let old: ModelConfig = toml::from_str(&old).unwrap();
    assert_eq!((old.subsampling, old.subsampling()), (None, Subsampling::None));
    assert_eq!(
        ModelConfig { subsampling: None, ..ModelConfig::new(Architecture::Small, 1, 2) }.subsampling(),
        Subsampling::Strides
    );
}

struct StateDict(Vec<u8>);

impl StateDict {
    fn read(path: &Path) -> Option<Self> {
        match std::fs::read(path) {
            Ok(bytes) => Some(Self(bytes)),
            Err(_) => {
                println!("SKIPPED: {} is not at hand (set NJET_ORACLE to its folder)", path.display());
                None
            }
        }
    }

    fn tensor<const D: usize>(&self, name: &str) -> Tensor<D> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let view = file.tensor(name).unwrap();
        let values: Vec<f32> = match view.dtype() {
            safetensors::Dtype::F32 => view.data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
            safetensors::Dtype::F64 => {
                view.data().as_chunks().0.iter().map(|&b| f64::from_le_bytes(b) as f32).collect()
            }
            other => panic!("{name}: {other:?}"),
        };
        Tensor::from_data(TensorData::new(values, view.shape()), &Device::flex())
    }
}

/// The logits of a Network-in-Network of another implementation, from its own state dict.
#[test]
fn network_in_network_against_the_oracle() {
    let folder = std::env::var_os("NJET_ORACLE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/oracle"), PathBuf::from);
    let Some(state) = StateDict::read(&folder.join("nin_shared_srf.safetensors")) else { return };
    let io = StateDict::read(&folder.join("nin_shared_srf_io.safetensors")).unwrap();

    let config = ModelConfig { extent: 2.0, ..ModelConfig::new(Architecture::NetworkInNetwork, 3, 10) };
    let mut model = config.init(&Device::flex()).unwrap();
    // Theirs has i rising along rows, j falling: (0,2) (0,1) (0,0) (1,1) (1,0) (2,0).
    let ours_in_theirs = [2, 1, 4, 0, 3, 5];
    for (index, block) in model.blocks.iter_mut().enumerate() {
        let (group, place) = (index / 3 + 1, index % 3);
        match &mut block.convolution {
            Convolution::Njet(layer) => {
                let alphas: Tensor<3> = state.tensor(&format!("srf{group}.alphas"));
                let places = Tensor::from_ints(ours_in_theirs, &Device::flex());
                layer.alpha = Param::from_tensor(alphas.select(0, places).permute([2, 1, 0]));
                layer.log2_sigma = Param::from_tensor(state.tensor(&format!("srf{group}.scales")));
            }
            Convolution::Conv(layer) => {
                layer.weight = Param::from_tensor(state.tensor(&format!("classifier{group}.{}.weight", 3 * place - 1)));
            }
        }
        let norm = |field: &str| state.tensor(&format!("classifier{group}.{}.{field}", 3 * place));
        block.norm.gamma = Param::from_tensor(norm("weight"));
        block.norm.beta = Param::from_tensor(norm("bias"));
        block.norm.running_mean = RunningState::new(norm("running_mean"));
        block.norm.running_var = RunningState::new(norm("running_var"));
    }
    let logits = model.valid().forward(io.tensor("x"));
    let expected: Tensor<2> = io.tensor("logits_f64");
    let off = (logits - expected).abs().max().into_scalar::<f32>();
    assert!(off <= 1e-4, "logits are off by {off:.2e}");
    println!("logits of 4 images off by at most {off:.1e}");
}

/// Normalisation and what follows it in a block run as one operation on the CPU; Burn's two are the reference.
#[test]
fn fused_normalisation_agrees_with_the_composition() {
    use burn::nn::BatchNormConfig;
    use burn::tensor::Tolerance;
    use burn::tensor::activation::{relu, silu};
    use njet::models::Activation;

    let device = Device::flex().autodiff();
    let shape = [3, 5, 6, 7];
    let x = Tensor::<4>::random(shape, Distribution::Normal(2.0, 3.0), &device);
    let upstream = Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device);
    let vector = || Tensor::<1>::random([5], Distribution::Normal(0.5, 1.0), &device).detach();
    let (gamma, beta) = (vector(), vector());

    // A block whose convolution is the identity.
    let config = ModelConfig { layer: LayerKind::Conv, ..ModelConfig::new(Architecture::Small, 5, 10) };
    let mut model = config.init(&device).unwrap();
    let block = &mut model.blocks[2];
    let Convolution::Conv(convolution) = &mut block.convolution else { unreachable!("a plain block") };
    let mut identity = vec![0.0f32; 25 * 9];
    (0..5).for_each(|c| identity[(c * 5 + c) * 9 + 4] = 1.0);
    let identity = Tensor::<1>::from_floats(identity.as_slice(), &device).reshape([5, 5, 3, 3]);
    convolution.weight = Param::from_tensor(identity);

    let run = |activation: Activation, fused: bool| {
        let apply = |x: Tensor<4>| if activation == Activation::Relu { relu(x) } else { silu(x) };
        let mut norm = BatchNormConfig::new(5).init(&device);
        norm.gamma = Param::from_tensor(gamma.clone());
        norm.beta = Param::from_tensor(beta.clone());
        let x = x.clone().require_grad();
        let (y, norm) = if fused {
            let mut block = block.clone();
            (block.norm, block.activation) = (norm, activation);
            (block.forward(x.clone()), block.norm)
        } else {
            (apply(norm.forward(x.clone())), norm)
        };
        let gradients = (y.clone() * upstream.clone()).sum().backward();
        let flat = |t: Tensor<4>| t.reshape([-1]).inner();
        let results = [
            flat(y),
            x.grad(&gradients).unwrap().reshape([-1]),
            norm.gamma.val().grad(&gradients).unwrap(),
            norm.beta.val().grad(&gradients).unwrap(),
        ];
        let norm = norm.valid();
        let evaluated = if fused {
            let mut block = block.clone().valid();
            (block.norm, block.activation) = (norm.clone(), activation);
            block.forward(x.inner())
        } else {
            apply(norm.forward(x.inner()))
        };
        let running = [norm.running_mean.value(), norm.running_var.value(), evaluated.reshape([-1])];
        results.into_iter().chain(running).map(Tensor::into_data).collect::<Vec<_>>()
    };
    for activation in [Activation::Relu, Activation::Swish] {
        for (i, (fused, composed)) in run(activation, true).iter().zip(run(activation, false)).enumerate() {
            println!("{activation:?}, result {i}");
            fused.assert_approx_eq::<f32>(&composed, Tolerance::rel_abs(1e-5, 1e-5));
        }
    }
}
