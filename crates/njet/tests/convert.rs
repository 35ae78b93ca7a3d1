//! Networks of plain convolutions as networks of N-jet layers: the same answers within the error.

use burn::tensor::{Device, Tensor, TensorData};
use njet::interop::convert::{ConvertConfig, ConvertError, convert};
use njet::models::{Architecture, Classifier, Convolution, LayerKind, ModelConfig};
use njet::{SigmaSharing, layer::Stride};
use std::sync::Mutex;

/// Random numbers are the program's: one test at a time draws weights.
static WEIGHTS: Mutex<()> = Mutex::new(());

fn model(config: &ModelConfig) -> Classifier {
    let _guard = WEIGHTS.lock().unwrap_or_else(|e| e.into_inner());
    burn::module::Module::valid(&burn::module::Module::materialize(config.init(&Device::flex()).unwrap()))
}

fn plain(arch: Architecture) -> ModelConfig {
    ModelConfig { layer: LayerKind::Conv, ..ModelConfig::new(arch, 1, 4) }
}

/// How far the logits of two models are apart, in parts of the spread of the first.
fn apart(model: &Classifier, other: &Classifier, side: usize) -> f32 {
    let pixels: Vec<f32> = (0..3 * side * side).map(|i| ((i * 37 % 101) as f32 / 50.0) - 1.0).collect();
    let x = Tensor::<4>::from_data(TensorData::new(pixels, [3, 1, side, side]), &Device::flex());
    let (a, b) = (model.forward(x.clone()), other.forward(x));
    let spread = a.clone().abs().max().into_scalar::<f32>();
    (a - b).abs().max().into_scalar::<f32>() / spread
}

/// With strides too: before an odd number of pixels, 13 and then 7, the outputs of both kinds of layers stand at the same
/// places.
#[test]
fn the_answers_stay() {
    let exact = ConvertConfig { max_error: 1e-8, ..ConvertConfig::default() };
    for (arch, side) in [(Architecture::Small, 9), (Architecture::AllConvolutional, 9), (Architecture::ResNet20, 13)] {
        let config = plain(arch);
        let model = model(&config);
        let conversion = convert(&model, &config, &exact).unwrap();
        let apart = apart(&model, &conversion.model, side);
        let worst = conversion.layers.iter().map(|layer| layer.error).fold(0.0, f64::max);
        assert!(apart < 1e-2, "{arch} at {side}: logits are {apart} of their spread apart, errors up to {worst}");
        assert_eq!(conversion.config.layer, LayerKind::Njet);
        let strides = |model: &Classifier| -> Vec<[f64; 2]> {
            model.blocks.iter().map(|block| block.convolution.stride()).collect()
        };
        assert_eq!(strides(&model), strides(&conversion.model));
        for block in &conversion.model.blocks {
            if let Convolution::Njet(layer) = &block.convolution {
                assert!(matches!(layer.stride, Stride::Fixed(_)), "{}", block.name);
            }
        }
    }
}

#[test]
fn orders_follow_the_error_layer_by_layer() {
    let config = plain(Architecture::ResNet20);
    let mut model = model(&config);
    for block in model.blocks.iter_mut().filter(|block| block.name == "stage2.block1.conv2") {
        let Convolution::Conv(layer) = &mut block.convolution else { unreachable!("a plain block") };
        // Every filter a number times one Gaussian of σ = 0.6.
        let taps = [-1.0f32, 0.0, 1.0].map(|t| (-t * t / 0.72).exp());
        let gaussian: Vec<f32> = taps.iter().flat_map(|y| taps.map(|x| x * y)).collect();
        let gaussian = Tensor::<1>::from_floats(gaussian.as_slice(), &Device::flex()).reshape([1, 1, 3, 3]);
        let factors = layer.weight.val().mean_dim(2).mean_dim(3);
        layer.weight = burn::module::Param::from_tensor(factors * gaussian);
    }
    let at =
        |max_error: f64| convert(&model, &config, &ConvertConfig { max_error, ..ConvertConfig::default() }).unwrap();
    let (fine, coarse) = (at(0.01), at(0.5));
    for (fine, coarse) in fine.layers.iter().zip(&coarse.layers) {
        assert!(fine.error <= 0.01 && coarse.error <= 0.5, "{fine:?} {coarse:?}");
        if fine.name == "stage2.block1.conv2" {
            assert_eq!((fine.order, coarse.order), (0, 0), "one Gaussian fits: {fine:?}");
            continue;
        }
        assert!(fine.order == 4 && coarse.order < 4, "{fine:?} {coarse:?}");
        // As smooth as the error allows.
        assert!(fine.error > 0.009 && fine.sigma[0] > 0.45, "{fine:?}");
    }
    assert_eq!(fine.config.order, 4);
    assert_eq!(fine.config.orders, [("stage2.block1.conv2".to_owned(), 0)].into());
    let basis =
        |model: &Classifier| -> Vec<usize> { model.njet_layers().map(|(_, layer)| layer.alpha.dims()[2]).collect() };
    assert!(basis(&fine.model).iter().filter(|&&basis| basis == 1).count() == 1, "{:?}", basis(&fine.model));

    // Each output with a scale of its own does not lose more.
    let settings = ConvertConfig { max_error: 0.0, order: 2, ..ConvertConfig::default() };
    let one = convert(&model, &config, &settings).unwrap();
    let each = convert(&model, &config, &ConvertConfig { sharing: SigmaSharing::Output, ..settings }).unwrap();
    for (one, each) in one.layers.iter().zip(&each.layers) {
        assert_eq!((one.sigma.len(), each.sigma.len() * one.weights[0]), (1, one.weights[0] * each.sigma.len()));
        assert!(each.error < one.error || one.name == "stage2.block1.conv2", "{each:?} {one:?}");
        // Below, derivatives have next to no taps.
        assert!(each.sigma.iter().all(|&sigma| sigma > 0.449), "{each:?}");
    }
    let (_, layer) = each.model.njet_layers().nth(3).unwrap();
    assert_eq!(layer.sigmas().len(), 16);
}

/// What the settings of the plain network say of N-jets is not asked; bounds are made wider where a scale needs it.
#[test]
fn the_new_settings_are_those_of_the_fits() {
    use njet::{Discretisation, SigmaBounds};
    let config = ModelConfig {
        conv_side: Some(5),
        learn_sigma: false,
        separate_axes: true,
        discretisation: Discretisation::Integrated,
        bounds: SigmaBounds { min: 0.1, max: 0.4 },
        ..plain(Architecture::Small)
    };
    let conversion = convert(&model(&config), &config, &ConvertConfig::default()).unwrap();
    let new = &conversion.config;
    assert_eq!((new.conv_side, new.learn_sigma, new.separate_axes), (None, true, false));
    assert_eq!(new.discretisation, Discretisation::NormalizedSampled);
    for (layer, (_, made)) in conversion.layers.iter().zip(conversion.model.njet_layers()) {
        assert!(
            layer.sigma[0] > 0.449 && (made.sigma() / layer.sigma[0] - 1.0).abs() < 1e-5,
            "{layer:?}: {}",
            made.sigma()
        );
    }
}

/// The settings say which layer has which order, on paper too, and refuse what is not there.
#[test]
fn settings_name_the_orders() {
    let mut config = ModelConfig::new(Architecture::Small, 1, 4);
    let bare = toml::to_string(&config).unwrap();
    assert!(!bare.contains("orders"), "{bare}");
    config.orders.insert("layer2".to_owned(), 4);
    let text = toml::to_string(&config).unwrap();
    assert_eq!(toml::from_str::<ModelConfig>(&text).unwrap(), config);
    let model = model(&config);
    let basis: Vec<usize> = model.njet_layers().map(|(_, layer)| layer.alpha.dims()[2]).collect();
    assert_eq!(basis, [6, 15, 6]);
    config.orders.insert("layer9".to_owned(), 1);
    let message = config.init(&Device::flex()).unwrap_err().to_string();
    assert!(message.contains("is given for layer9"), "{message}");
}

#[test]
fn what_cannot_be_converted_is_told() {
    let config = ModelConfig::new(Architecture::Small, 1, 4);
    let error = convert(&model(&config), &config, &ConvertConfig::default()).unwrap_err();
    assert_eq!(error, ConvertError::NoConvolutions);
    let config = ModelConfig { conv_side: Some(1), ..plain(Architecture::Small) };
    assert_eq!(convert(&model(&config), &config, &ConvertConfig::default()).unwrap_err(), ConvertError::OnePixel);
    let config = plain(Architecture::Small);
    let mut broken = model(&config);
    let Convolution::Conv(layer) = &mut broken.blocks[1].convolution else { unreachable!("a plain block") };
    layer.weight = burn::module::Param::from_tensor(layer.weight.val() * f32::NAN);
    let message = convert(&broken, &config, &ConvertConfig::default()).unwrap_err().to_string();
    assert!(message.starts_with("layer layer2: filter 0 has the weight NaN"), "{message}");
}
