//! The losses of segmentation against their formulas in f64, and their gradients against finite differences.

use burn::tensor::{Device, Int, Tensor, TensorData};
use njet::data::{Random, Stream};
use njet::segmentation::loss::{Loss, LossError};

/// A batch: logits `[batch, classes, height, width]` and targets `[batch, height, width]`.
struct Case {
    shape: [usize; 4],
    logits: Vec<f32>,
    target: Vec<u8>,
}

impl Case {
    /// Random logits of a deviation; a fifth of the targets is to be ignored, and the last class occurs in none.
    fn new(shape: [usize; 4], deviation: f32) -> Self {
        let [batch, classes, height, width] = shape;
        let mut random = Random::for_stream(4, Stream::Other(1), (batch * classes * height * width) as u64);
        let logits = (0..batch * classes * height * width).map(|_| deviation * random.normal()).collect();
        let mut class = || if random.below(5) == 0 { 255 } else { random.below(classes - 1) as u8 };
        let target = (0..batch * height * width).map(|_| class()).collect();
        Self { shape, logits, target }
    }

    fn ignored(&self) -> Self {
        Self { shape: self.shape, logits: self.logits.clone(), target: vec![255; self.target.len()] }
    }

    /// The loss, and its gradient by the logits.
    fn computed(&self, loss: &Loss) -> (f64, Vec<f64>) {
        let device = Device::flex().autodiff();
        let [batch, _, height, width] = self.shape;
        let logits = Tensor::<4>::from_data(TensorData::new(self.logits.clone(), self.shape), &device).require_grad();
        let target: Vec<i32> = self.target.iter().map(|&class| i32::from(class)).collect();
        let target = Tensor::<3, Int>::from_data(TensorData::new(target, [batch, height, width]), &device);
        let value = loss.forward(logits.clone(), target);
        let gradients = value.clone().backward();
        let gradient = logits.grad(&gradients).expect("a gradient of the logits");
        (f64::from(value.into_scalar::<f32>()), gradient.into_data().iter::<f32>().map(f64::from).collect())
    }

    /// The documented formulas, written out.
    fn expected(&self, loss: &Loss, logits: &[f64]) -> f64 {
        let [_, classes, height, width] = self.shape;
        let plane = height * width;
        let (mut weights, mut entropy, mut focal) = (0.0, 0.0, 0.0);
        let (mut hits, mut probabilities, mut truth) = (vec![0.0; classes], vec![0.0; classes], vec![0.0; classes]);
        for (at, &class) in self.target.iter().enumerate().filter(|(_, class)| **class != 255) {
            let logit = |c: usize| logits[(at / plane * classes + c) * plane + at % plane];
            let greatest = (0..classes).map(logit).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = (0..classes).map(|c| (logit(c) - greatest).exp()).sum();
            let class = usize::from(class);
            let log_p = logit(class) - greatest - sum.ln();
            let w = loss.class_weights.get(class).map_or(1.0, |&w| f64::from(w));
            weights += w;
            entropy -= w * log_p;
            focal -= w * (1.0 - log_p.exp()).powf(loss.gamma) * log_p;
            for (c, probability) in probabilities.iter_mut().enumerate() {
                *probability += (logit(c) - greatest).exp() / sum;
            }
            hits[class] += log_p.exp();
            truth[class] += 1.0;
        }
        let part = |sum: f64| if weights > 0.0 { sum / weights } else { 0.0 };
        let occurs: Vec<usize> = (0..classes).filter(|&c| truth[c] > 0.0).collect();
        let overlap = |&c: &usize| 1.0 - (2.0 * hits[c] + 1.0) / (probabilities[c] + truth[c] + 1.0);
        let dice = occurs.iter().map(overlap).sum::<f64>() / occurs.len().max(1) as f64;
        loss.cross_entropy * part(entropy) + loss.dice * dice + loss.focal * part(focal)
    }
}

fn losses() -> Vec<(&'static str, Loss)> {
    let none = Loss { cross_entropy: 0.0, dice: 0.0, focal: 0.0, gamma: 2.0, class_weights: Vec::new() };
    let weights = vec![0.25, 2.0, 1.0, 0.5];
    vec![
        ("cross-entropy", Loss { cross_entropy: 1.0, ..none.clone() }),
        ("weighted", Loss { cross_entropy: 1.0, class_weights: weights.clone(), ..none.clone() }),
        ("dice", Loss { dice: 1.0, ..none.clone() }),
        ("focal", Loss { focal: 1.0, ..none.clone() }),
        ("focal with a fraction", Loss { focal: 1.0, gamma: 1.5, class_weights: weights.clone(), ..none.clone() }),
        ("focal of γ = 0", Loss { focal: 1.0, gamma: 0.0, ..none.clone() }),
        ("sum", Loss { cross_entropy: 0.5, dice: 1.5, focal: 2.0, gamma: 2.0, class_weights: weights }),
    ]
}

const SHAPE: [usize; 4] = [2, 4, 3, 5];

#[test]
fn values_are_those_of_the_formulas() {
    for deviation in [1.0, 10.0] {
        let case = Case::new(SHAPE, deviation);
        let logits: Vec<f64> = case.logits.iter().map(|&v| f64::from(v)).collect();
        for (name, loss) in losses() {
            let (value, expected) = (case.computed(&loss).0, case.expected(&loss, &logits));
            // Sums of 30 numbers in f32.
            assert!((value - expected).abs() < 1e-5 * (1.0 + expected.abs()), "{name}: {value}, expected {expected}");
        }
    }
}

/// Central differences of the formulas in f64, which are off by about 1e-9.
#[test]
fn gradients_are_those_of_the_formulas() {
    let case = Case::new(SHAPE, 2.0);
    let logits: Vec<f64> = case.logits.iter().map(|&v| f64::from(v)).collect();
    for (name, loss) in losses() {
        let (_, gradient) = case.computed(&loss);
        assert!(gradient.iter().any(|g| g.abs() > 1e-3), "{name}: a gradient of next to nothing tests nothing");
        for i in 0..logits.len() {
            let step = 1e-5;
            let moved = |by: f64| {
                let mut logits = logits.clone();
                logits[i] += by;
                case.expected(&loss, &logits)
            };
            let expected = (moved(step) - moved(-step)) / (2.0 * step);
            let found = gradient[i];
            assert!(
                (found - expected).abs() < 1e-6 + 1e-4 * expected.abs(),
                "{name}, {i}: {found}, expected {expected}"
            );
        }
    }
}

#[test]
fn without_a_pixel_that_counts_the_loss_and_its_gradient_are_0() {
    let case = Case::new(SHAPE, 3.0).ignored();
    for (name, loss) in losses() {
        let (value, gradient) = case.computed(&loss);
        assert_eq!(value, 0.0, "{name}");
        assert!(gradient.iter().all(|&g| g == 0.0), "{name}: {gradient:?}");
    }
}

/// Ignored pixels have no gradient, and what their logits are does not matter.
#[test]
fn ignored_pixels_do_not_matter() {
    let case = Case::new(SHAPE, 2.0);
    let [_, classes, height, width] = SHAPE;
    let plane = height * width;
    let ignored = |i: usize| case.target[i / (classes * plane) * plane + i % plane] == 255;
    assert!((0..case.logits.len()).any(ignored));
    let logits = (0..case.logits.len()).map(|i| if ignored(i) { -50.0 } else { case.logits[i] }).collect();
    let other = Case { shape: SHAPE, logits, target: case.target.clone() };
    for (name, loss) in losses() {
        let ((value, gradient), (same, _)) = (case.computed(&loss), other.computed(&loss));
        assert_eq!(value, same, "{name}");
        assert!((0..gradient.len()).all(|i| !ignored(i) || gradient[i] == 0.0), "{name}");
    }
}

/// Logits as far apart as a diverging model makes them: finite, right where it is sure, wrong without bound.
#[test]
fn certainty_is_finite() {
    let shape = [1, 2, 1, 2];
    for (target, least, most) in [([0, 1], 0.0, 1e-6), ([1, 0], 100.0, f64::MAX)] {
        let case = Case { shape, logits: vec![1e4, -1e4, -1e4, 1e4], target: target.to_vec() };
        for (name, loss) in losses().into_iter().filter(|(name, _)| !name.starts_with("dice") && *name != "weighted") {
            let loss = Loss { class_weights: Vec::new(), ..loss };
            let (value, gradient) = case.computed(&loss);
            assert!((least..=most).contains(&value), "{name}: {value}");
            assert!(gradient.iter().all(|g| g.is_finite()), "{name}: {gradient:?}");
        }
    }
}

#[test]
fn settings_that_cannot_be_are_named() {
    let loss = Loss::default();
    assert_eq!(loss.check(4), Ok(()));
    let cases = [
        (Loss { dice: -1.0, ..loss.clone() }, "the weight of Dice in the loss is -1"),
        (Loss { focal: f64::NAN, ..loss.clone() }, "the weight of focal loss"),
        (Loss { cross_entropy: 0.0, dice: 0.0, ..loss.clone() }, "all parts"),
        (Loss { gamma: 0.5, ..loss.clone() }, "γ of the focal loss is 0.5"),
        (Loss { class_weights: vec![1.0; 3], ..loss.clone() }, "3 class weights for 4 classes"),
        (Loss { class_weights: vec![1.0, 1.0, -2.0, 1.0], ..loss.clone() }, "the weight of class 2 is -2"),
    ];
    for (loss, words) in cases {
        let message = loss.check(4).unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(Loss { gamma: f64::INFINITY, ..loss }.check(4), Err(LossError::Gamma(f64::INFINITY)));
}
