//! The optimiser and the schedule, with σ in a group of its own.

use super::config::{OptimizerConfig, OptimizerKind, ScheduleKind};
use super::muon::LayerMuon;
use super::objective::Course;
use crate::models::Network;
use burn::module::ParamGroup;
use burn::optim::lr_scheduler::LrSchedulerConfig;
use burn::optim::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::optim::lr_scheduler::module_lr_scheduler::{ModuleLrScheduler, ModuleLrSchedulerConfig};
use burn::optim::lr_scheduler::step::StepLrSchedulerConfig;
use burn::optim::{AdamWConfig, ModuleOptimizer, SgdConfig};
use burn::optim::{decay::WeightDecayConfig, momentum::MomentumConfig};

fn sigmas(model: &impl Network) -> ParamGroup {
    ParamGroup::from_ids(model.njet_layers().iter().map(|(_, layer)| layer.log2_sigma.id).collect())
}

/// Coefficients and weights: what weight decay pulls on.
fn weights(model: &impl Network) -> ParamGroup {
    ParamGroup::from_ids(model.weights())
}

/// The optimiser for `model`, as the [`Trainer`](super::Trainer) uses it: weight decay on the coefficients and weights
/// alone. The learning rates are no part of it; each step is given its own.
pub fn optimizer(settings: &OptimizerConfig, model: &impl Network) -> ModuleOptimizer {
    match settings.kind {
        OptimizerKind::Adamw | OptimizerKind::Muon => {
            let adamw = |decay: f64| {
                // Burn's ε of 1e-5 is of the size of late gradients; 1e-8 is the published one.
                AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(decay as f32)
            };
            let all = adamw(0.0).init().with_group(weights(model), adamw(settings.weight_decay).build(), None);
            if settings.kind == OptimizerKind::Adamw {
                return all;
            }
            let muon = LayerMuon::new(settings.momentum, settings.weight_decay, settings.precision);
            all.with_group(ParamGroup::from_ids(model.mixing()), muon, None)
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
pub(super) fn schedule(course: &Course<'_>, model: &impl Network, steps_per_epoch: usize) -> ModuleLrScheduler {
    let scheduler = |lr: f64| -> LrSchedulerConfig {
        match course.schedule.kind {
            ScheduleKind::Cosine => {
                let steps = steps_per_epoch * course.epochs;
                LrSchedulerConfig::Cosine(CosineAnnealingLrSchedulerConfig::new(lr, steps))
            }
            ScheduleKind::Step => {
                let steps = steps_per_epoch * course.schedule.every;
                LrSchedulerConfig::Step(StepLrSchedulerConfig::new(lr, steps).with_gamma(course.schedule.gamma))
            }
        }
    };
    ModuleLrSchedulerConfig::new(scheduler(course.optimizer.lr))
        .with_group(sigmas(model), scheduler(course.optimizer.sigma_lr))
        .init()
        .expect("the settings were validated")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Architecture, ModelConfig};
    use burn::module::{Module, ModuleVisitor, Param};
    use burn::tensor::{Device, Tensor};

    /// The groups by the names of the parameters.
    struct Groups {
        weights: ParamGroup,
        sigmas: ParamGroup,
        name: Vec<String>,
        seen: [usize; 3],
    }

    impl ModuleVisitor for Groups {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.name.push(name.to_owned());
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.name.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let name = self.name.last().unwrap().as_str();
            let expected = match name {
                "alpha" | "weight" => 0,
                "log2_sigma" => 1,
                "gamma" | "beta" | "bias" | "running_mean" | "running_var" => 2,
                other => panic!("a parameter that no group is known for: {other}"),
            };
            let (weight, sigma) = (self.weights.matches(&param.id, None), self.sigmas.matches(&param.id, None));
            assert_eq!([weight, sigma], [expected == 0, expected == 1], "{}", self.name.join("."));
            self.seen[expected] += 1;
        }
    }

    #[test]
    fn weight_decay_pulls_on_weights_alone_and_scales_are_a_group() {
        let model = ModelConfig::new(Architecture::EfficientNetB0, 3, 10).init(&Device::flex()).unwrap();
        let (weights, sigmas) = (weights(&model), sigmas(&model));
        let mut groups = Groups { weights, sigmas, name: Vec::new(), seen: [0; 3] };
        model.visit(&mut groups);
        // The pointwise blocks but for the first block of all: 16 of them depthwise.
        assert_eq!(model.mixing().len(), 49 - 1 - 16);
        // 49 blocks, 17 of them N-jet, 16 gates of two convolutions with biases, the linear layer.
        assert_eq!(groups.seen, [49 + 32 + 1, 17, 4 * 49 + 32 + 1]);
    }
}
