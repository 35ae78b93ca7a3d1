//! σ is learned: from any start, one layer finds the scale of the filter that it is to imitate.

use burn::module::Param;
use burn::module::ParamGroup;
use burn::optim::lr_scheduler::LrSchedulerConfig;
use burn::optim::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLrSchedulerConfig;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Distribution, Tensor};
use njet::{Initializer, NJetConv2d, NJetConv2dConfig};

const TARGET: f64 = 1.7;
const STEPS: usize = 2000;

/// Lxx at the target's scale.
fn target(device: &Device) -> NJetConv2d {
    let mut layer = NJetConv2dConfig::new([1, 1]).with_sigma(TARGET).with_bias(false).init(device);
    layer.alpha = Param::from_tensor(Tensor::from_floats([[[0.0, 0.0, 0.0, 1.0, 0.0, 0.0]]], device));
    layer
}

fn learn(start: f64) -> f64 {
    let device = Device::flex().autodiff();
    device.seed(11);
    let target = target(&Device::flex());
    let config = NJetConv2dConfig::new([1, 1]).with_sigma(start).with_bias(false);
    let mut layer = config.with_initializer(Initializer::White).init(&device);
    // The first gradients, of a random layer against a faint target, are far larger than the later
    // ones: Adam must forget them within the run.
    let mut optimizer = AdamConfig::new().with_beta_2(0.98).init();
    // α faster than σ: the pull on σ means something only once α makes the best of the present one.
    let cosine = |lr| LrSchedulerConfig::Cosine(CosineAnnealingLrSchedulerConfig::new(lr, STEPS));
    let sigma = ParamGroup::from_ids(vec![layer.log2_sigma.id]);
    let mut schedule = ModuleLrSchedulerConfig::new(cosine(0.2)).with_group(sigma, cosine(0.01)).init().unwrap();
    for _ in 0..STEPS {
        let x = Tensor::<4>::random([4, 1, 32, 32], Distribution::Normal(0.0, 1.0), &Device::flex());
        let wanted = Tensor::from_inner(target.forward(x.clone()));
        let difference = layer.forward(Tensor::from_inner(x)) - wanted;
        let loss = (difference.clone() * difference).mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &layer);
        layer = optimizer.step(schedule.step(), layer, gradients);
    }
    layer.sigma()
}

#[test]
fn sigma_reaches_the_target_from_below_and_above() {
    for start in [0.5, 1.0, 3.0] {
        let sigma = learn(start);
        println!("sigma {start} → {sigma:.4}");
        assert!((sigma - TARGET).abs() <= 0.02, "from {start} σ went to {sigma}, not to {TARGET}");
    }
}

#[test]
fn a_fixed_sigma_gets_no_gradient() {
    let device = Device::flex().autodiff();
    let layer = NJetConv2dConfig::new([1, 2]).with_learn_sigma(false).init(&device);
    let loss = layer.forward(Tensor::ones([1, 1, 8, 8], &device)).sum();
    let gradients = loss.backward();
    assert!(layer.log2_sigma.val().grad(&gradients).is_none());
    assert!(layer.alpha.val().grad(&gradients).is_some());
}
