//! The optimiser and the schedule, with σ in a group of its own.

use super::config::{OptimizerConfig, OptimizerKind, RunConfig, ScheduleKind};
use crate::models::Classifier;
use burn::module::ParamGroup;
use burn::optim::lr_scheduler::LrSchedulerConfig;
use burn::optim::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::optim::lr_scheduler::module_lr_scheduler::{ModuleLrScheduler, ModuleLrSchedulerConfig};
use burn::optim::lr_scheduler::step::StepLrSchedulerConfig;
use burn::optim::{AdamWConfig, ModuleOptimizer, SgdConfig};
use burn::optim::{decay::WeightDecayConfig, momentum::MomentumConfig};

fn sigmas(model: &Classifier) -> ParamGroup {
    ParamGroup::from_ids(model.njet_layers().map(|(_, layer)| layer.log2_sigma.id).collect())
}

/// Coefficients and weights: what weight decay pulls on.
fn weights(model: &Classifier) -> ParamGroup {
    ParamGroup::from_ids(model.weights().collect())
}

/// The optimiser for `model`, as the [`Trainer`](super::Trainer) uses it: weight decay on the coefficients and weights
/// alone. The learning rates are no part of it; each step is given its own.
pub fn optimizer(settings: &OptimizerConfig, model: &Classifier) -> ModuleOptimizer {
    match settings.kind {
        OptimizerKind::Adamw => {
            let adamw = |decay: f64| {
                // Burn's ε of 1e-5 is of the size of late gradients; 1e-8 is the published one.
                AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(decay as f32)
            };
            adamw(0.0).init().with_group(weights(model), adamw(settings.weight_decay).build(), None)
        }
        OptimizerKind::Sgd => {
            let momentum = MomentumConfig { momentum: settings.momentum, dampening: 0.0, nesterov: false };
            let sgd = SgdConfig::new().with_momentum(Some(momentum));
            let decay = WeightDecayConfig::new(settings.weight_decay as f32);
            sgd.init().with_group(weights(model), sgd.with_weight_decay(Some(decay)).build(), None)
        }
    }
}

/// The schedule, from the first of `steps_per_epoch · epochs` steps.
pub(super) fn schedule(config: &RunConfig, model: &Classifier, steps_per_epoch: usize) -> ModuleLrScheduler {
    let scheduler = |lr: f64| -> LrSchedulerConfig {
        match config.schedule.kind {
            ScheduleKind::Cosine => {
                let steps = steps_per_epoch * config.epochs;
                LrSchedulerConfig::Cosine(CosineAnnealingLrSchedulerConfig::new(lr, steps))
            }
            ScheduleKind::Step => {
                let steps = steps_per_epoch * config.schedule.every;
                LrSchedulerConfig::Step(StepLrSchedulerConfig::new(lr, steps).with_gamma(config.schedule.gamma))
            }
        }
    };
    ModuleLrSchedulerConfig::new(scheduler(config.optimizer.lr))
        .with_group(sigmas(model), scheduler(config.optimizer.sigma_lr))
        .init()
        .expect("the settings were validated")
}
