//! The models: parameter counts, shapes, and a whole network against the oracle.

use burn::module::{Param, RunningState};
use burn::tensor::{Device, Tensor, TensorData};
use njet::models::{Architecture, Classifier, Convolution, LayerKind, ModelConfig};
use safetensors::SafeTensors;
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

#[test]
fn description_agrees_with_the_model() {
    for &arch in Architecture::ALL {
        for layer in [LayerKind::Njet, LayerKind::Conv] {
            let model = model(arch, layer, 3);
            let description = model.describe(32, 32);
            assert_eq!(description.parameters, model.num_parameters(), "{arch} {layer}");
            let x = Tensor::zeros([1, 3, 20, 24], &Device::flex());
            assert_eq!(model.forward(x).dims(), [1, 10], "{arch} {layer}");
        }
    }
    let small = model(Architecture::Small, LayerKind::Conv, 1).describe(28, 28);
    // 3×3; +1 for pooling; 3×3 at stride 2; +2; 3×3 at stride 4.
    assert_eq!(small.layers.iter().map(|l| l.receptive_field).collect::<Vec<_>>(), [3, 8, 18, 18]);
    assert_eq!(small.layers[1].multiply_adds, 14 * 14 * 9 * 32 * 64);
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
    use burn::module::Module;
    let logits = model.valid().forward(io.tensor("x"));
    let expected: Tensor<2> = io.tensor("logits_f64");
    let off = (logits - expected).abs().max().into_scalar::<f32>();
    assert!(off <= 1e-4, "logits are off by {off:.2e}");
    println!("logits of 4 images off by at most {off:.1e}");
}

/// Normalisation and ReLU of a block run as one operation on the CPU; Burn's two are the reference.
#[test]
fn fused_normalisation_agrees_with_the_composition() {
    use burn::nn::BatchNormConfig;
    use burn::tensor::activation::relu;
    use burn::tensor::{Distribution, Tolerance};

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

    let run = |fused: bool| {
        let mut norm = BatchNormConfig::new(5).init(&device);
        norm.gamma = Param::from_tensor(gamma.clone());
        norm.beta = Param::from_tensor(beta.clone());
        let x = x.clone().require_grad();
        let (y, norm) = if fused {
            let mut block = block.clone();
            block.norm = norm;
            (block.forward(x.clone()), block.norm)
        } else {
            (relu(norm.forward(x.clone())), norm)
        };
        let gradients = (y.clone() * upstream.clone()).sum().backward();
        let flat = |t: Tensor<4>| t.reshape([-1]).inner();
        let results = [
            flat(y),
            x.grad(&gradients).unwrap().reshape([-1]),
            norm.gamma.val().grad(&gradients).unwrap(),
            norm.beta.val().grad(&gradients).unwrap(),
        ];
        use burn::module::Module;
        let norm = norm.valid();
        let evaluated = if fused {
            let mut block = block.clone().valid();
            block.norm = norm.clone();
            block.forward(x.inner())
        } else {
            relu(norm.forward(x.inner()))
        };
        let running = [norm.running_mean.value(), norm.running_var.value(), evaluated.reshape([-1])];
        results.into_iter().chain(running).map(Tensor::into_data).collect::<Vec<_>>()
    };
    for (i, (fused, composed)) in run(true).iter().zip(run(false)).enumerate() {
        println!("result {i}");
        fused.assert_approx_eq::<f32>(&composed, Tolerance::rel_abs(1e-5, 1e-5));
    }
}
