//! Checkpoints of N-jet networks in the layout of PyTorch: they give their logits, and what does not fit is listed.

use burn::tensor::{Device, Distribution, Tensor, TensorData};
use njet::interop::import::{ImportError, import, their_jet};
use njet::interop::tensors::TensorFile;
use njet::models::{Architecture, Classifier, Convolution, LayerKind, ModelConfig};
use safetensors::tensor::{Dtype, TensorView, serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Random numbers are the program's: one test at a time draws weights.
static WEIGHTS: Mutex<()> = Mutex::new(());

/// A state dict: shapes and values.
type State = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn values<const D: usize>(tensor: Tensor<D>) -> (Vec<usize>, Vec<f32>) {
    (tensor.dims().to_vec(), tensor.into_data().iter::<f32>().collect())
}

/// The state dict of a model as their programs name it: `srfN`, `convN`, `normN`, `fc`.
fn state(model: &Classifier) -> State {
    let mut state = State::new();
    let (mut jets, mut convolutions) = (0, 0);
    for (number, block) in model.blocks.iter().enumerate() {
        match &block.convolution {
            Convolution::Njet(layer) => {
                jets += 1;
                let places: Vec<i32> = their_jet(layer.order).map(|index| index.position() as i32).collect();
                let places = Tensor::from_ints(places.as_slice(), &Device::flex());
                let alphas = layer.alpha.val().select(2, places).permute([2, 1, 0]);
                state.insert(format!("srf{jets}.alphas"), values(alphas));
                let scales = Tensor::from_floats([layer.sigma().log2() as f32], &Device::flex());
                state.insert(format!("srf{jets}.scales"), values::<1>(scales));
            }
            Convolution::Conv(layer) => {
                convolutions += 1;
                state.insert(format!("conv{convolutions}.weight"), values(layer.weight.val()));
            }
        }
        let name = |field: &str| format!("norm{}.{field}", number + 1);
        state.insert(name("weight"), values(block.norm.gamma.val()));
        state.insert(name("bias"), values(block.norm.beta.val()));
        state.insert(name("running_mean"), values(block.norm.running_mean.value()));
        state.insert(name("running_var"), values(block.norm.running_var.value()));
        state.insert(name("num_batches_tracked"), (vec![], vec![3.0]));
    }
    if let Some(linear) = &model.linear {
        state.insert("fc.weight".to_owned(), values(linear.weight.val().transpose()));
        state.insert("fc.bias".to_owned(), values(linear.bias.as_ref().unwrap().val()));
    }
    state
}

fn file(state: &State) -> TensorFile {
    let bytes: Vec<(&String, Vec<u8>)> =
        state.iter().map(|(name, (_, values))| (name, values.iter().flat_map(|v| v.to_le_bytes()).collect())).collect();
    let views = bytes
        .iter()
        .map(|(name, bytes)| (name.as_str(), TensorView::new(Dtype::F32, state[*name].0.clone(), bytes).unwrap()));
    TensorFile::from_bytes("some.safetensors".as_ref(), serialize(views, None).unwrap()).unwrap()
}

/// A model of which nothing is as it was initialised.
fn model(config: &ModelConfig) -> Classifier {
    let _guard = WEIGHTS.lock().unwrap_or_else(|e| e.into_inner());
    let device = Device::flex();
    let mut model = burn::module::Module::materialize(config.init(&device).unwrap());
    for (number, block) in model.blocks.iter_mut().enumerate() {
        let channels = block.norm.gamma.dims()[0];
        let random = |low, high| {
            let values = Tensor::<1>::random([channels], Distribution::Uniform(low, high), &device);
            Tensor::<1>::from_data(values.into_data(), &device)
        };
        block.norm.gamma = burn::module::Param::from_tensor(random(0.5, 1.5));
        block.norm.beta = burn::module::Param::from_tensor(random(-0.5, 0.5));
        block.norm.running_mean = burn::module::RunningState::new(random(-0.5, 0.5));
        block.norm.running_var = burn::module::RunningState::new(random(0.5, 1.5));
        if let Convolution::Njet(layer) = &mut block.convolution {
            let s = layer.bounds.parameter(0.8 + 0.1 * number as f64) as f32;
            layer.log2_sigma = burn::module::Param::from_tensor(Tensor::from_floats([s], &device));
        }
    }
    burn::module::Module::valid(&model)
}

fn off(model: &Classifier, other: &Classifier, channels: usize) -> f32 {
    let pixels: Vec<f32> = (0..2 * channels * 12 * 12).map(|i| ((i * 37 % 101) as f32 / 50.0) - 1.0).collect();
    let x = Tensor::<4>::from_data(TensorData::new(pixels, [2, channels, 12, 12]), &Device::flex());
    (model.forward(x.clone()) - other.forward(x)).abs().max().into_scalar::<f32>()
}

#[test]
fn a_network_comes_back() {
    let cases = [
        (Architecture::Small, LayerKind::Njet, 3, 1, 4),
        (Architecture::NetworkInNetwork, LayerKind::Njet, 2, 3, 7),
        (Architecture::ResNet20, LayerKind::Njet, 1, 3, 5),
        (Architecture::ResNet18, LayerKind::Conv, 2, 3, 3),
    ];
    for (arch, layer, order, channels, classes) in cases {
        let config = ModelConfig { layer, order, extent: 2.0, ..ModelConfig::new(arch, channels, classes) };
        let model = model(&config);
        let mut state = state(&model);
        let plain = import(&file(&state), arch, 2.0).unwrap();
        assert_eq!((plain.config.channels, plain.config.classes, plain.config.layer), (channels, classes, layer));
        assert!(layer == LayerKind::Conv || plain.config.order == order);
        assert!(off(&model, &plain.model, channels) < 1e-5, "{arch}: {}", off(&model, &plain.model, channels));

        // Beside other things, and behind the names of parallel training.
        state = state.into_iter().map(|(name, tensor)| (format!("state_dict.module.{name}"), tensor)).collect();
        state.insert("optimizer.state.0.momentum_buffer".to_owned(), (vec![1], vec![0.0]));
        let nested = import(&file(&state), arch, 2.0).unwrap();
        assert!(off(&model, &nested.model, channels) < 1e-5, "{arch}, nested");
    }
}

/// A bias before a normalisation is a part of its mean; a window of another side, a scale beyond the usual bounds.
#[test]
fn what_is_a_little_different_fits() {
    let config =
        ModelConfig { layer: LayerKind::Conv, conv_side: Some(5), ..ModelConfig::new(Architecture::Small, 1, 3) };
    let plain = model(&config);
    let mut with_bias = state(&plain);
    let channels = with_bias["norm1.running_mean"].1.len();
    with_bias.insert("conv1.bias".to_owned(), (vec![channels], vec![0.25; channels]));
    with_bias.get_mut("norm1.running_mean").unwrap().1.iter_mut().for_each(|mean| *mean += 0.25);
    let imported = import(&file(&with_bias), Architecture::Small, 2.0).unwrap();
    assert_eq!(imported.config.conv_side, Some(5));
    assert!(off(&plain, &imported.model, 1) < 1e-5);

    // A linear layer without bias.
    let mut bare = state(&plain);
    let (_, bias) = bare.remove("fc.bias").unwrap();
    let imported = import(&file(&bare), Architecture::Small, 2.0).unwrap();
    let linear = imported.model.linear.as_ref().unwrap().bias.as_ref().unwrap().val().into_data();
    assert_eq!(linear.iter::<f32>().collect::<Vec<_>>(), vec![0.0; bias.len()]);

    let mut wide = state(&model(&ModelConfig::new(Architecture::Small, 1, 3)));
    wide.insert("srf2.scales".to_owned(), (vec![1], vec![3.5]));
    let imported = import(&file(&wide), Architecture::Small, 2.0).unwrap();
    let (_, layer) = imported.model.njet_layers().nth(1).unwrap();
    assert!((layer.sigma() / 3.5f64.exp2() - 1.0).abs() < 1e-5, "{}", layer.sigma());
}

#[test]
fn what_does_not_fit_is_listed() {
    let sound = state(&model(&ModelConfig::new(Architecture::Small, 1, 3)));
    let refused = |change: &dyn Fn(&mut State)| {
        let mut state = sound.clone();
        change(&mut state);
        import(&file(&state), Architecture::Small, 2.0).unwrap_err().to_string()
    };
    let message = refused(&|state| {
        state.get_mut("srf2.alphas").unwrap().0 = vec![6, 64, 32];
        state.remove("norm3.running_var");
        state.get_mut("norm1.weight").unwrap().1[4] = f32::NAN;
    });
    for words in [
        "some.safetensors does not fit njet-small: ",
        "srf2.alphas has the shape [6, 64, 32] instead of [6, 32, 64]",
        "norm3.running_var is missing",
        "norm1.weight has values that are not finite",
    ] {
        assert!(message.contains(words), "no {words:?} in {message}");
    }
    let message = refused(&|state| {
        state.insert("extra.table".to_owned(), (vec![2, 2, 2], vec![0.0; 8]));
        state.remove("srf3.alphas");
        state.remove("srf3.scales");
    });
    assert!(message.contains("extra.table [2, 2, 2] is unknown"), "{message}");
    assert!(message.contains("it has 2 N-jet layers (srf1, srf2) where the network has 3"), "{message}");
    let message = refused(&|state| {
        state.insert("srf1.alphas".to_owned(), (vec![5, 1, 32], vec![0.0; 160]));
    });
    assert!(message.contains("srf1.alphas has 5 coefficients for each pair of channels"), "{message}");
    let message = refused(&|state| {
        state.insert("srf2.alphas".to_owned(), (vec![10, 32, 64], vec![0.0; 10 * 32 * 64]));
    });
    assert!(message.contains("srf2.alphas has order 3, srf1 order 2"), "{message}");
    let message = refused(&|state| state.retain(|name, _| !name.starts_with("norm3")));
    assert!(message.contains("it has 2 batch normalisations (norm1, norm2) where the network has 3"), "{message}");
    let message = refused(&|state| {
        state.extend((0..20).map(|i| (format!("extra{i}.table"), (vec![1, 1, 1], vec![0.0]))));
    });
    assert!(message.ends_with("; and 4 more") && message.matches("is unknown").count() == 16, "{message}");
    let message = refused(&|state| {
        state.insert("srf1.scales".to_owned(), (vec![1], vec![f32::INFINITY]));
    });
    assert!(message.contains("srf1 has the scale σ = inf"), "{message}");
    let message = refused(&|state| {
        state.insert("srf1.scales".to_owned(), (vec![1], vec![11.5]));
    });
    assert!(message.contains("whose filters reach 5794 pixels where the most is 4096"), "{message}");
    let message = refused(&|state| {
        state.insert("srf1.scales".to_owned(), (vec![2], vec![0.0; 2]));
    });
    assert!(message.contains("srf1.scales has the shape [2] instead of [1]"), "{message}");
    let error = import(&file(&sound), Architecture::NetworkInNetwork, 2.0).unwrap_err().to_string();
    assert!(error.contains("it has 0 convolutions where the network has 6"), "{error}");
    let error = import(&file(&sound), Architecture::EfficientNetB0, 2.0).unwrap_err();
    assert!(matches!(error, ImportError::Architecture { .. }), "{error}");
    let error = import(&file(&sound), Architecture::Small, -2.0).unwrap_err().to_string();
    assert!(error.contains("extent = -2 is not a filter extent"), "{error}");
}

/// A Network-in-Network of another implementation, from each of its files.
#[test]
fn the_oracle_gives_its_logits() {
    let oracle = std::env::var_os("NJET_ORACLE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/oracle"), PathBuf::from);
    if !oracle.is_dir() {
        eprintln!("SKIPPED: {} is not at hand: the checkpoints of the oracle were not imported", oracle.display());
        return;
    }
    let open = |name: &str| TensorFile::open(&oracle.join(name)).unwrap_or_else(|e| panic!("{e}"));
    let io = open("nin_shared_srf_io.safetensors");
    let tensor = |name: &str| {
        let entry = io.get(name).unwrap();
        TensorData::new(io.values(entry).unwrap(), entry.shape.clone())
    };
    let expected = Tensor::<2>::from_data(tensor("logits_f64"), &Device::flex());
    for name in [
        "nin_shared_srf.safetensors",
        "nin_shared_srf.pth",
        "nin_shared_srf_legacy.pth",
        "nin_shared_srf_checkpoint.pth.tar",
    ] {
        let imported = import(&open(name), Architecture::NetworkInNetwork, 2.0).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((imported.config.order, imported.config.channels, imported.config.classes), (2, 3, 10));
        let logits = imported.model.forward(Tensor::from_data(tensor("x"), &Device::flex()));
        let off = (logits - expected.clone()).abs().max().into_scalar::<f32>();
        assert!(off <= 1e-4, "{name}: logits are off by {off:.1e}");
        eprintln!("{name}: logits off by at most {off:.1e}");
    }
}
