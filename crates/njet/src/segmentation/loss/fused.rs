//! The loss on the CPU backend: value and gradient in two passes over the logits, on all cores. Composed of Burn's
//! operations it is some thirty passes, each on one.

use super::{DICE_SMOOTHING, Loss};
use crate::backend::on_flex;
use crate::segmentation::data::IGNORED;
use burn::backend::autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, DType, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Int, Tensor, TensorData};
use rayon::prelude::*;

/// A call: the settings, and the class of each pixel, `[batch, height, width]`.
#[derive(Debug, Clone)]
pub struct PixelLoss {
    loss: Loss,
    target: Vec<u8>,
}

/// A backend with a loss of its own, in f32.
#[backend_extension(Autodiff, Flex)]
pub trait LossOps: Backend {
    /// `[1]` of logits `[batch, classes, height, width]`.
    fn pixel_loss(logits: FloatTensor<Self>, call: PixelLoss) -> FloatTensor<Self>;
}

/// The loss with its gradient by the logits: who needs one has computed most of the other.
pub trait LossGradients: LossOps {
    /// The loss, `[1]`, and the gradient, of the shape of the logits.
    fn pixel_loss_and_gradient(logits: FloatTensor<Self>, call: &PixelLoss) -> [FloatTensor<Self>; 2];
}

pub(super) fn runs(logits: &Tensor<4>) -> bool {
    logits.dtype() == DType::F32 && on_flex(logits)
}

pub(super) fn forward(loss: &Loss, logits: Tensor<4>, target: Tensor<3, Int>) -> Tensor<1> {
    let classes = logits.dims()[1];
    let class = |number: i64| {
        let class = u8::try_from(number).ok().filter(|&class| class == IGNORED || usize::from(class) < classes);
        class.unwrap_or_else(|| panic!("a target of {number} for logits of {classes} classes"))
    };
    let target = target.into_data().iter::<i64>().map(class).collect();
    Tensor::from_dispatch(Dispatch::pixel_loss(logits.into_dispatch(), PixelLoss { loss: loss.clone(), target }))
}

impl LossOps for Flex {
    fn pixel_loss(logits: FlexTensor, call: PixelLoss) -> FlexTensor {
        let (value, _) = call.sums(&logits.to_contiguous());
        scalar(value)
    }
}

impl LossGradients for Flex {
    fn pixel_loss_and_gradient(logits: FlexTensor, call: &PixelLoss) -> [FlexTensor; 2] {
        let logits = logits.to_contiguous();
        let (value, gradient) = call.sums(&logits);
        let gradient = gradient.into_gradient(call);
        [scalar(value), FlexTensor::from_data(TensorData::new(gradient, logits.shape().to_vec()))]
    }
}

fn scalar(value: f64) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(vec![value as f32], [1]))
}

#[derive(Debug)]
struct LossBackward;

impl<B: LossGradients> Backward<B, 1> for LossBackward {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let upstream = gradients.consume::<B>(&ops.node);
        if let [Some(parent)] = ops.parents {
            let upstream = B::float_reshape(upstream, [1, 1, 1, 1].into());
            gradients.register::<B>(parent.id, B::float_mul(ops.state, upstream));
        }
    }
}

impl<B: LossGradients, C: CheckpointStrategy> LossOps for Autodiff<B, C> {
    fn pixel_loss(logits: FloatTensor<Self>, call: PixelLoss) -> FloatTensor<Self> {
        match LossBackward.prepare::<C>([logits.node()]).compute_bound().stateful() {
            OpsKind::Tracked(preparation) => {
                let [loss, gradient] = B::pixel_loss_and_gradient(logits.into_primitive(), &call);
                preparation.finish(gradient, loss)
            }
            OpsKind::UnTracked(preparation) => preparation.finish(B::pixel_loss(logits.into_primitive(), call)),
        }
    }
}

/// Sums over the pixels that count.
#[derive(Debug, Clone)]
struct Sums {
    weight: f64,
    cross_entropy: f64,
    focal: f64,
    /// Of each class: probabilities, probabilities where it is the target, and pixels that have it as their target.
    probability: Vec<f64>,
    hits: Vec<f64>,
    truth: Vec<f64>,
}

impl Sums {
    fn new(classes: usize) -> Self {
        let [probability, hits, truth] = [(); 3].map(|()| vec![0.0; classes]);
        Self { weight: 0.0, cross_entropy: 0.0, focal: 0.0, probability, hits, truth }
    }

    fn add(mut self, other: &Self) -> Self {
        self.weight += other.weight;
        self.cross_entropy += other.cross_entropy;
        self.focal += other.focal;
        let lists = [(&mut self.probability, &other.probability), (&mut self.hits, &other.hits)];
        let lists = lists.into_iter().chain([(&mut self.truth, &other.truth)]);
        lists.for_each(|(sums, others)| sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other));
        self
    }

    fn dice(&self) -> Dice {
        let classes = self.truth.len();
        let occur = self.truth.iter().filter(|&&pixels| pixels > 0.0).count() as f64;
        let (mut value, mut all, mut own) = (0.0, vec![0.0; classes], vec![0.0; classes]);
        for c in (0..classes).filter(|&c| self.truth[c] > 0.0) {
            let part = 2.0 * self.hits[c] + DICE_SMOOTHING;
            let whole = self.probability[c] + self.truth[c] + DICE_SMOOTHING;
            value += (1.0 - part / whole) / occur;
            all[c] = part / (whole * whole * occur);
            own[c] = -2.0 / (whole * occur);
        }
        Dice { value, all, own }
    }
}

/// The Dice loss, a function of the sums.
#[derive(Debug)]
struct Dice {
    value: f64,
    /// The derivative by the probability of a class at a pixel,
    all: Vec<f64>,
    /// and what it has beside where the class is the target.
    own: Vec<f64>,
}

/// Pixels that are worked on together: their sums stay in registers and the first cache.
const CHUNK: usize = 256;

/// After the first pass: what the gradient is made of.
struct Halfway {
    /// Probabilities, `[batch, classes, pixels]`.
    p: Vec<f32>,
    classes: usize,
    /// Pixels of an image.
    pixels: usize,
    /// One over the sum of the weights, 0 where no pixel counts.
    mean: f64,
    dice: Dice,
}

impl PixelLoss {
    /// The loss, of contiguous logits. Images are summed in their order, so that nothing depends on threads.
    fn sums(&self, logits: &FlexTensor) -> (f64, Halfway) {
        let (loss, shape) = (&self.loss, logits.shape());
        let (classes, pixels) = (shape[1], shape[2] * shape[3]);
        let logits: &[f32] = logits.as_slice().expect("a contiguous f32 tensor");
        let mut p = vec![0.0; logits.len()];
        // Without pixels there are no pieces either.
        let (image, plane) = ((classes * pixels).max(1), pixels.max(1));
        let images = p.par_chunks_exact_mut(image).zip(logits.par_chunks_exact(image));
        let images = images.zip(self.target.par_chunks_exact(plane));
        let sums: Vec<Sums> = images.map(|((p, logits), target)| probabilities(loss, logits, target, p)).collect();
        let sums = sums.iter().fold(Sums::new(classes), Sums::add);
        let mean = if sums.weight > 0.0 { 1.0 / sums.weight } else { 0.0 };
        let dice = sums.dice();
        let value = mean * (loss.cross_entropy * sums.cross_entropy + loss.focal * sums.focal) + loss.dice * dice.value;
        (value, Halfway { p, classes, pixels, mean, dice })
    }
}

impl Halfway {
    /// The gradient by the logits.
    fn into_gradient(self, call: &PixelLoss) -> Vec<f32> {
        let Self { mut p, classes, pixels, mean, dice } = self;
        let images = p.par_chunks_exact_mut((classes * pixels).max(1)).zip(call.target.par_chunks_exact(pixels.max(1)));
        images.for_each(|(p, target)| gradient_of_image(&call.loss, mean, &dice, target, p));
        p
    }
}

fn weight(loss: &Loss, class: u8) -> f64 {
    loss.class_weights.get(usize::from(class)).map_or(1.0, |&weight| f64::from(weight))
}

/// Fills `p` with the probabilities of an image, `[classes, pixels]`, and returns its sums.
fn probabilities(loss: &Loss, logits: &[f32], target: &[u8], p: &mut [f32]) -> Sums {
    let pixels = target.len();
    let classes = logits.len() / pixels;
    let mut sums = Sums::new(classes);
    for from in (0..pixels).step_by(CHUNK) {
        let len = CHUNK.min(pixels - from);
        let [mut greatest, mut sum, mut counts] = [[f32::NEG_INFINITY; CHUNK], [0.0; CHUNK], [0.0; CHUNK]];
        let of_class = |c: usize| c * pixels + from..c * pixels + from + len;
        for c in 0..classes {
            greatest.iter_mut().zip(&logits[of_class(c)]).for_each(|(greatest, &z)| *greatest = greatest.max(z));
        }
        for c in 0..classes {
            let p = &mut p[of_class(c)];
            p.iter_mut().zip(&logits[of_class(c)]).zip(&greatest).for_each(|((p, &z), &greatest)| *p = z - greatest);
            njet_kernels::exponentials(p);
            sum.iter_mut().zip(&*p).for_each(|(sum, &p)| *sum += p);
        }
        for (i, &class) in target[from..from + len].iter().enumerate().filter(|(_, class)| **class != IGNORED) {
            let (at, w) = (usize::from(class) * pixels + from + i, weight(loss, class));
            let log_p = f64::from(logits[at] - greatest[i] - sum[i].ln());
            let likely = f64::from(p[at] / sum[i]);
            counts[i] = 1.0;
            sums.weight += w;
            sums.cross_entropy -= w * log_p;
            if loss.focal > 0.0 {
                sums.focal -= w * power(1.0 - likely, loss.gamma) * log_p;
            }
            sums.hits[usize::from(class)] += likely;
            sums.truth[usize::from(class)] += 1.0;
        }
        for c in 0..classes {
            let mut probability = 0.0;
            for ((p, sum), counts) in p[of_class(c)].iter_mut().zip(&sum).zip(&counts) {
                *p /= sum;
                probability += *p * counts;
            }
            sums.probability[c] += f64::from(probability);
        }
    }
    sums
}

/// `doubt`^γ; rounding may put it a hair below 0.
fn power(doubt: f64, gamma: f64) -> f64 {
    if gamma == 0.0 { 1.0 } else { doubt.max(0.0).powf(gamma) }
}

/// Turns the probabilities of an image into the gradient by its logits z.
///
/// Cross-entropy and focal loss of a pixel are functions of the probability p_y of its target, so that with
/// `d = p_y ∂/∂p_y` the derivative by z_k is `d · (1[k = y] − p_k)`. What the Dice loss adds is
/// `p_k (g_k − Σ_c p_c g_c)`, g its derivative by the probabilities.
fn gradient_of_image(loss: &Loss, mean: f64, dice: &Dice, target: &[u8], p: &mut [f32]) {
    let pixels = target.len();
    let classes = p.len() / pixels;
    for from in (0..pixels).step_by(CHUNK) {
        let len = CHUNK.min(pixels - from);
        // For all classes alike: what is subtracted, and whether the pixel counts.
        let [mut shared, mut counts] = [[0.0f32; CHUNK]; 2];
        let of_class = |c: usize| c * pixels + from..c * pixels + from + len;
        if loss.dice > 0.0 {
            for c in 0..classes {
                let all = (loss.dice * dice.all[c]) as f32;
                shared.iter_mut().zip(&p[of_class(c)]).for_each(|(shared, p)| *shared += all * p);
            }
        }
        // What the target's class has beside: found before the probabilities are overwritten.
        let mut beside = [0.0f32; CHUNK];
        for (i, &class) in target[from..from + len].iter().enumerate().filter(|(_, class)| **class != IGNORED) {
            let class_number = usize::from(class);
            let likely = f64::from(p[class_number * pixels + from + i]);
            let mut d = -loss.cross_entropy;
            if loss.focal > 0.0 {
                let doubt = 1.0 - likely;
                let slope = if loss.gamma == 0.0 {
                    0.0
                } else {
                    loss.gamma * power(doubt, loss.gamma - 1.0) * likely * likely.max(f64::MIN_POSITIVE).ln()
                };
                d += loss.focal * (slope - power(doubt, loss.gamma));
            }
            let d = d * mean * weight(loss, class);
            let own = loss.dice * dice.own[class_number] * likely;
            counts[i] = 1.0;
            beside[i] = (d + own) as f32;
            shared[i] += (d + own) as f32;
        }
        for c in 0..classes {
            let all = (loss.dice * dice.all[c]) as f32;
            let each = p[of_class(c)].iter_mut().zip(shared.iter().zip(&counts));
            each.for_each(|(p, (shared, counts))| *p *= (all - shared) * counts);
        }
        for (i, &class) in target[from..from + len].iter().enumerate().filter(|(_, class)| **class != IGNORED) {
            p[usize::from(class) * pixels + from + i] += beside[i];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Random, Stream};
    use burn::tensor::{Device, Tolerance};

    /// Images that end within a piece, a class that does not occur, pixels to ignore.
    #[test]
    fn agrees_with_the_composed_loss() {
        let device = Device::flex().autodiff();
        for shape @ [batch, classes, height, width] in [[1, 2, 1, 1], [3, 5, 13, 41], [2, 11, 16, 32]] {
            let mut random = Random::for_stream(1, Stream::Other(1), width as u64);
            let logits: Vec<f32> = (0..shape.iter().product()).map(|_| 3.0 * random.normal()).collect();
            let mut class = || if random.below(4) == 0 { i32::from(IGNORED) } else { random.below(classes - 1) as i32 };
            let target: Vec<i32> = (0..batch * height * width).map(|_| class()).collect();
            let class_weights: Vec<f32> = (0..classes).map(|c| 0.5 + c as f32).collect();
            for gamma in [0.0, 1.0, 2.5] {
                let loss =
                    Loss { cross_entropy: 0.7, dice: 1.3, focal: 0.4, gamma, class_weights: class_weights.clone() };
                let run = |of: fn(&Loss, Tensor<4>, Tensor<3, Int>) -> Tensor<1>| {
                    let logits = TensorData::new(logits.clone(), shape);
                    let logits = Tensor::<4>::from_data(logits, &device).require_grad();
                    assert!(runs(&logits), "our own operation is taken");
                    let target = TensorData::new(target.clone(), [batch, height, width]);
                    // Upstream of the loss is not 1.
                    let value = of(&loss, logits.clone(), Tensor::from_data(target, &device)).mul_scalar(3.0);
                    let gradients = value.clone().backward();
                    [value.into_data(), logits.grad(&gradients).expect("a gradient of the logits").into_data()]
                };
                for (ours, composed) in run(forward).iter().zip(run(Loss::composed)) {
                    ours.assert_approx_eq::<f32>(&composed, Tolerance::rel_abs(1e-4, 1e-6));
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "a target of 2 for logits of 2 classes")]
    fn a_target_that_is_no_class_is_the_callers_fault() {
        let device = Device::flex();
        let target = Tensor::<3, Int>::from_data([[[2]]], &device);
        let _ = forward(&Loss::default(), Tensor::zeros([1, 2, 1, 1], &device), target);
    }
}
