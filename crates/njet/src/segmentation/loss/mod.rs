//! Losses of a class for every pixel.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Int, Tensor};
use serde::{Deserialize, Serialize};

pub(super) mod deep;
#[cfg(feature = "flex")]
mod fused;

use super::data::IGNORED;

/// Added to both sides of the quotient of the Dice loss, in pixels: a class of few pixels does not swing it.
const DICE_SMOOTHING: f64 = 1.0;

/// A weighted sum of cross-entropy, Dice and focal loss. Pixels whose target is 255 count in none of them.
///
/// With p the softmax of the logits over the classes, y the target of a pixel, w its class weight (1 without any), and all
/// sums over the pixels of the batch that are not ignored:
///
/// - cross-entropy: `Σ w_y · (−ln p_y) / Σ w_y`
/// - focal: `Σ w_y · (1 − p_y)^γ · (−ln p_y) / Σ w_y` (Lin, Goyal, Girshick, He, Dollár, ICCV 2017)
/// - Dice: `1 − mean over c of (2 Σ p_c t_c + 1) / (Σ p_c + Σ t_c + 1)`, `t_c` 1 where the target is c and 0 elsewhere,
///   over the classes c that occur in the targets (after Milletari, Navab, Ahmadi, 3DV 2016); class weights do not enter
///
/// Where all pixels are ignored, each is 0 and has no gradient. A part of weight 0 is not computed.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use njet::segmentation::loss::Loss;
///
/// let device = Device::flex();
/// let logits = Tensor::<4>::zeros([1, 2, 1, 2], &device);
/// let target = Tensor::<3, Int>::from_data([[[1, 255]]], &device);
/// let loss = Loss { dice: 0.0, ..Loss::default() }.forward(logits, target);
/// assert!((loss.into_scalar::<f32>() - 2f32.ln()).abs() < 1e-6);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Loss {
    /// The weight of the cross-entropy in the sum.
    pub cross_entropy: f64,
    /// The weight of the Dice loss in the sum.
    pub dice: f64,
    /// The weight of the focal loss in the sum.
    pub focal: f64,
    /// γ of the focal loss: 0 (where it is the cross-entropy), or at least 1.
    pub gamma: f64,
    /// A weight for each class, in cross-entropy and focal loss; empty for none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_weights: Vec<f32>,
}

impl Default for Loss {
    /// Cross-entropy and Dice in equal parts; γ, where a focal part is added, is 2.
    fn default() -> Self {
        Self { cross_entropy: 1.0, dice: 1.0, focal: 0.0, gamma: 2.0, class_weights: Vec::new() }
    }
}

/// A setting of the loss that cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LossError {
    /// A weight in the sum.
    #[error("the weight of {part} in the loss is {weight}: give a number of at least 0")]
    Weight {
        /// The part.
        part: &'static str,
        /// Its weight.
        weight: f64,
    },
    /// Nothing would be learned.
    #[error("all parts of the loss have weight 0: give one of cross-entropy, Dice and focal loss a weight above 0")]
    NoPart,
    /// The gradient would be infinite at certain pixels.
    #[error("γ of the focal loss is {0}: give 0 or a number of at least 1")]
    Gamma(f64),
    /// Weights do not belong to the classes.
    #[error("{found} class weights for {classes} classes: give one for each")]
    WeightCount {
        /// Weights given.
        found: usize,
        /// Classes of the model.
        classes: usize,
    },
    /// A class weight.
    #[error("the weight of class {class} is {weight}: give a number of at least 0")]
    ClassWeight {
        /// The class.
        class: usize,
        /// Its weight.
        weight: f32,
    },
}

impl Loss {
    /// Whether the settings fit together and to a number of classes.
    ///
    /// # Errors
    ///
    /// A [`LossError`] that names the setting.
    pub fn check(&self, classes: usize) -> Result<(), LossError> {
        let parts = [("cross-entropy", self.cross_entropy), ("Dice", self.dice), ("focal loss", self.focal)];
        if let Some((part, weight)) = parts.into_iter().find(|(_, weight)| !(weight.is_finite() && *weight >= 0.0)) {
            return Err(LossError::Weight { part, weight });
        }
        if parts.iter().all(|(_, weight)| *weight == 0.0) {
            return Err(LossError::NoPart);
        }
        if !(self.gamma == 0.0 || self.gamma >= 1.0 && self.gamma.is_finite()) {
            return Err(LossError::Gamma(self.gamma));
        }
        let found = self.class_weights.len();
        if found != 0 && found != classes {
            return Err(LossError::WeightCount { found, classes });
        }
        let bad = |weight: &f32| !(weight.is_finite() && *weight >= 0.0);
        match self.class_weights.iter().position(bad) {
            Some(class) => Err(LossError::ClassWeight { class, weight: self.class_weights[class] }),
            None => Ok(()),
        }
    }

    /// The loss of a batch.
    ///
    /// # Shapes
    ///
    /// - logits: `[batch, classes, height, width]`
    /// - target: `[batch, height, width]`, the number of the class or 255
    /// - result: `[1]`
    ///
    /// # Panics
    ///
    /// If the shapes do not belong together, or the settings do not pass [`check`](Self::check). A target that is neither a
    /// class nor 255 is the caller's fault, too.
    pub fn forward(&self, logits: Tensor<4>, target: Tensor<3, Int>) -> Tensor<1> {
        let [batch, classes, height, width] = logits.dims();
        assert_eq!(target.dims(), [batch, height, width], "targets for logits of {:?}", logits.dims());
        if let Err(error) = self.check(classes) {
            panic!("{error}");
        }
        #[cfg(feature = "flex")]
        if fused::runs(&logits) {
            return fused::forward(self, logits, target);
        }
        self.composed(logits, target)
    }

    /// The loss by operations that every backend has.
    fn composed(&self, logits: Tensor<4>, target: Tensor<3, Int>) -> Tensor<1> {
        let pixels = Pixels::new(logits, target, &self.class_weights);
        let parts = [
            (self.cross_entropy, Pixels::cross_entropy as fn(&Pixels, f64) -> Tensor<1>),
            (self.dice, |pixels, _| pixels.dice()),
            (self.focal, Pixels::focal),
        ];
        let weighted = parts.into_iter().filter(|(weight, _)| *weight > 0.0);
        let terms = weighted.map(|(weight, part)| part(&pixels, self.gamma).mul_scalar(weight));
        terms.reduce(|sum, term| sum + term).expect("a part of weight above 0")
    }
}

/// Class weights that give rare classes more: one over the number of pixels, 1 on average over the classes that occur; 0 for
/// those that do not.
///
/// ```
/// assert_eq!(njet::segmentation::loss::balanced_weights(&[300, 100, 0]), [0.5, 1.5, 0.0]);
/// ```
pub fn balanced_weights(counts: &[u64]) -> Vec<f32> {
    let inverse: Vec<f64> = counts.iter().map(|&count| if count == 0 { 0.0 } else { 1.0 / count as f64 }).collect();
    let occur = inverse.iter().filter(|&&weight| weight > 0.0).count();
    let sum: f64 = inverse.iter().sum();
    inverse.iter().map(|weight| (weight * occur as f64 / sum.max(f64::MIN_POSITIVE)) as f32).collect()
}

/// What the losses have in common.
struct Pixels {
    /// Logarithms of the probabilities: `[batch, classes, height, width]`.
    log_p: Tensor<4>,
    /// Those of the targets: `[batch, 1, height, width]`.
    log_p_target: Tensor<4>,
    /// The targets, 0 where they are ignored: `[batch, 1, height, width]`.
    target: Tensor<4, Int>,
    /// 1, or 0 where the pixel is ignored: `[batch, 1, height, width]`.
    counts: Tensor<4>,
    /// The weight of the target's class, 0 where the pixel is ignored: `[batch, 1, height, width]`.
    weight: Tensor<4>,
}

impl Pixels {
    fn new(logits: Tensor<4>, target: Tensor<3, Int>, class_weights: &[f32]) -> Self {
        let device = logits.device();
        let target: Tensor<4, Int> = target.unsqueeze_dim(1);
        let ignored: Tensor<4, Bool> = target.clone().equal_elem(i64::from(IGNORED));
        let counts = ignored.clone().bool_not().float();
        let target = target.mask_fill(ignored, 0);
        let log_p = log_softmax(logits, 1);
        let log_p_target = log_p.clone().gather(1, target.clone());
        let weight = if class_weights.is_empty() {
            counts.clone()
        } else {
            let weights = Tensor::<1>::from_data(class_weights, &device);
            let of_pixels = weights.select(0, target.clone().flatten::<1>(0, 3));
            of_pixels.reshape(target.dims()) * counts.clone()
        };
        Self { log_p, log_p_target, target, counts, weight }
    }

    /// The mean of a loss of each pixel.
    fn mean(&self, loss: Tensor<4>) -> Tensor<1> {
        // Without a pixel that counts it is 0 divided by something small.
        (loss * self.weight.clone()).sum() / self.weight.clone().sum().clamp_min(1e-12)
    }

    fn cross_entropy(&self, _gamma: f64) -> Tensor<1> {
        self.mean(self.log_p_target.clone().neg())
    }

    fn focal(&self, gamma: f64) -> Tensor<1> {
        let log_p = self.log_p_target.clone();
        // Rounding may put p a hair above 1, and a fraction's power of what is below 0 is no number.
        let doubt = log_p.clone().exp().neg().add_scalar(1.0).clamp_min(0.0);
        let factor = if gamma == 0.0 { doubt.ones_like() } else { doubt.powf_scalar(gamma) };
        self.mean(factor * log_p.neg())
    }

    fn dice(&self) -> Tensor<1> {
        let [_, classes, _, _] = self.log_p.dims();
        let over_pixels = |of: Tensor<4>| of.sum_dim(0).sum_dim(2).sum_dim(3).reshape([classes]);
        let numbers = Tensor::<1, Int>::arange(0..classes as i64, &self.target.device()).reshape([1, classes, 1, 1]);
        let is_target = self.target.clone().expand(self.log_p.dims()).equal(numbers.expand(self.log_p.dims()));
        let t = is_target.float() * self.counts.clone();
        let p = self.log_p.clone().exp() * self.counts.clone();
        let truth = over_pixels(t.clone());
        let hits: Tensor<1> = over_pixels(p.clone() * t);
        let overlap = hits.mul_scalar(2.0).add_scalar(DICE_SMOOTHING)
            / (over_pixels(p) + truth.clone()).add_scalar(DICE_SMOOTHING);
        let occurs = truth.greater_elem(0.0).float();
        let missed = overlap.neg().add_scalar(1.0) * occurs.clone();
        missed.sum() / occurs.sum().clamp_min(1.0)
    }
}
