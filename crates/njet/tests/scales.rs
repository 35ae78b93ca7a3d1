//! A change of scale of the images against the same change of every σ.

use burn::tensor::Device;
use njet::data::{ImageSet, Normalisation};
use njet::models::{Architecture, Classifier, LayerKind, ModelConfig};
use njet::training::{Evaluation, ScaleError, View, evaluate, evaluate_at, logits, rescaled, scaled_size};

const NORMALISATION: Normalisation = Normalisation { mean: 0.0, std: 0.2 };

fn config(arch: Architecture) -> ModelConfig {
    ModelConfig::new(arch, 1, 3)
}

fn model(arch: Architecture) -> Classifier {
    let device = Device::flex();
    device.seed(7);
    burn::module::Module::valid(&config(arch).init(&device.autodiff()).unwrap())
}

/// Smooth spots on black, so that neither the pixels nor the border of an image matter; `scale` times as large.
fn spots(side: usize, scale: usize) -> ImageSet {
    let (side, scale) = (side * scale, scale as f64);
    let middle = side as f64 / 2.0;
    let spot = |i: usize, shift: f64| {
        let (y, x) = ((i / side) as f64 + 0.5 - middle, (i % side) as f64 + 0.5 - middle + shift * scale);
        (200.0 * (-(y * y / 30.0 + x * x / 12.0) / (scale * scale)).exp()).round() as u8
    };
    let pixels = [0.0, 3.0, -2.0].iter().flat_map(|&shift| (0..side * side).map(move |i| spot(i, shift))).collect();
    ImageSet::new(pixels, vec![0, 1, 2], 1, side, side).unwrap()
}

fn far(a: &[f32], b: &[f32]) -> f64 {
    let square = |v: f32| f64::from(v).powi(2);
    let (apart, size): (f64, f64) =
        (a.iter().zip(b).map(|(a, b)| square(a - b)).sum(), a.iter().map(|&a| square(a)).sum());
    (apart / size).sqrt()
}

/// Nothing in Network-in-Network counts in pixels but the N-jet layers.
#[test]
fn a_rescaled_network_answers_on_larger_images_as_before() {
    let (model, device) = (model(Architecture::NetworkInNetwork), Device::flex());
    let at = |model: &Classifier, scale| {
        let view = View { normalisation: NORMALISATION, size: [28 * scale; 2] };
        logits(model, &spots(28, scale), &[0, 1, 2], view, &device, &mut |_| {})
    };
    let own = at(&model, 1);
    let follows = far(&own, &at(&rescaled(&model, 2.0).unwrap(), 2));
    let stays = far(&own, &at(&model, 2));
    // What is left comes from the pixels, of the image and of the filters.
    assert!(follows < 0.01, "{follows}");
    assert!(stays > 20.0 * follows, "{stays} against {follows}");
}

#[test]
fn rescaling_multiplies_every_sigma() {
    let model = model(Architecture::Small);
    let before: Vec<f64> = model.njet_layers().map(|(_, layer)| layer.sigma()).collect();
    let after: Vec<f64> = rescaled(&model, 3.0).unwrap().njet_layers().map(|(_, layer)| layer.sigma()).collect();
    assert_eq!(before.len(), 3);
    for (before, after) in before.iter().zip(&after) {
        assert!((after / before - 3.0).abs() < 1e-6, "{before} {after}");
    }
}

#[test]
fn at_their_own_size_images_are_evaluated_as_ever() {
    let (set, model, device) = (spots(12, 1), model(Architecture::Small), Device::flex());
    let indices = [2, 0, 1, 1];
    let mut told = Vec::new();
    let at = evaluate_at(&model, &set, &indices, NORMALISATION, [12, 12], &device, &mut |done| told.push(done));
    let Evaluation { count, loss, accuracy } = evaluate(&model, &set, &indices, NORMALISATION, &device);
    assert_eq!((at.count, at.accuracy, told), (count, accuracy, vec![4]));
    assert!((at.loss - loss).abs() < 1e-6 * loss, "{} {loss}", at.loss);
}

#[test]
fn impossible_scales_are_told_apart() {
    let (config, model) = (config(Architecture::Small), model(Architecture::Small));
    let at = |factor| scaled_size(&config, &model, [28, 20], factor);
    assert_eq!(at(0.5), Ok([14, 10]));
    assert_eq!(at(0.2), Ok([6, 4]));
    assert!(matches!(at(0.17), Err(ScaleError::TooSmall { size: [5, 3], least: 4, .. })));
    assert!(matches!(at(1e-9), Err(ScaleError::TooSmall { size: [0, 0], .. })));
    for factor in [1e3, 1e30, f64::MAX] {
        assert!(matches!(at(factor), Err(ScaleError::TooLarge { .. })), "{factor}");
    }
    for factor in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(at(factor), Err(ScaleError::Factor { .. })), "{factor}");
        assert!(matches!(rescaled(&model, factor), Err(ScaleError::Factor { .. })), "{factor}");
    }
    let message = rescaled(&model, 1e4).unwrap_err().to_string();
    assert!(message.starts_with("layer1 cannot be rescaled by 10000: sigma = 9999.99"), "{message}");
    // No σ, nothing to do.
    let conv = ModelConfig { layer: LayerKind::Conv, ..config.clone() }.init(&Device::flex()).unwrap();
    rescaled(&conv, 1e4).unwrap();
}
