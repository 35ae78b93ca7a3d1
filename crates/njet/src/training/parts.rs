//! A step over a batch in parts, side by side.
//!
//! Layers give all threads work, but between and at the end of them threads wait. Parts wait for nobody: each goes through the whole
//! network on its own, and a thread that has nothing to do helps with the layers of another. Batch normalisation takes
//! the moments of each part ("ghost batches", Hoffer and others 2017), so the result depends on the number of parts, and not on the
//! number of threads.

use super::objective::{Model, Objective, Part, Step};
use crate::layer::{Precision, with_sigma_images};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::container::TensorContainer;
use burn::tensor::{Device, Tensor};
use rayon::prelude::*;

/// What a batch came to.
pub(crate) struct Learned {
    /// The mean loss of the images.
    pub(crate) loss: f64,
    pub(crate) images: usize,
    pub(crate) right: f64,
    /// None where the loss is not finite.
    pub(crate) gradients: Option<GradientsParams>,
}

/// The loss of a batch and its gradients, with those of `prior`, which is no part of the loss that is reported.
pub(crate) fn learn_from<O: Objective>(
    objective: &O,
    model: Model<O>,
    batch: O::Batch,
    device: &Device,
    precision: Precision,
    prior: impl Fn(&Model<O>) -> Option<Tensor<1>> + Sync,
) -> (Model<O>, Learned) {
    let mut parts = objective.parts(batch);
    if let [_] = parts[..] {
        let learned = one(objective, &model, parts.remove(0), device, precision, &prior);
        return (model, learned);
    }
    // Leaves of their own, so that their graphs are apart, and running statistics of their own.
    let forks: Vec<_> = parts.into_iter().map(|part| (part, model.valid().train())).collect();
    let done: Vec<_> = forks
        .into_par_iter()
        .with_max_len(1)
        .map(|(part, fork)| (one(objective, &fork, part, device, precision, &prior), fork.valid()))
        .collect();
    together(model, done)
}

fn one<O: Objective>(
    objective: &O,
    model: &Model<O>,
    Part { batch, share, sigma_images }: Part<O::Batch>,
    device: &Device,
    precision: Precision,
    prior: &impl Fn(&Model<O>) -> Option<Tensor<1>>,
) -> Learned {
    let step = || objective.step(model, batch, device);
    let Step { loss, images, right } = with_sigma_images(sigma_images, || precision.during(step));
    let value = f64::from(loss.clone().into_scalar::<f32>());
    let gradients = value.is_finite().then(|| {
        let total = match prior(model) {
            Some(prior) => loss + prior,
            None => loss,
        };
        GradientsParams::from_grads(total.mul_scalar(share).backward(), model)
    });
    Learned { loss: value * share, images, right, gradients }
}

/// The sums of all parts, and the model with the means of their running statistics.
fn together<M: Module>(model: M, parts: Vec<(Learned, M)>) -> (M, Learned) {
    let mut sum = Learned { loss: 0.0, images: 0, right: 0.0, gradients: None };
    let (mut gradients, mut finite) = (GradientsAccumulator::new(), true);
    let mut state = Means { count: parts.len(), sums: TensorContainer::new() };
    for (learned, trained) in parts {
        sum.loss += learned.loss;
        sum.images += learned.images;
        sum.right += learned.right;
        match learned.gradients {
            Some(of_part) => gradients.accumulate(&model, of_part),
            None => finite = false,
        }
        trained.visit(&mut state);
    }
    sum.gradients = finite.then(|| gradients.grads());
    (model.map(&mut state), sum)
}

/// Means over the parts of what is not learned by its gradient.
struct Means {
    count: usize,
    sums: TensorContainer<ParamId>,
}

impl ModuleVisitor for Means {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let sum = match self.sums.remove::<Tensor<D>>(&param.id) {
            Some(sum) => sum + value,
            None => value,
        };
        self.sums.register::<Tensor<D>>(param.id, sum);
    }
}

impl ModuleMapper for Means {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.sums.remove::<Tensor<D>>(&param.id) {
            Some(sum) if !param.is_require_grad() => param.map(|_| Tensor::from_inner(sum / self.count as f64)),
            _ => param,
        }
    }
}
