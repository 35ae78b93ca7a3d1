//! Only the layer, and Burn's optimiser: it finds the scale and the coefficients of a filter that it is shown.
//!
//! Run it with `cargo run --release -p njet --example layer_only`; it takes a few seconds.

use burn::module::{Param, ParamGroup};
use burn::optim::lr_scheduler::LrSchedulerConfig;
use burn::optim::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLrSchedulerConfig;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Distribution, Tensor};
use njet::NJetConv2dConfig;

const STEPS: usize = 600;

fn main() {
    // What is to be found: the Laplacian at σ = 1.6.
    let mut target = NJetConv2dConfig::new([1, 1]).with_sigma(1.6).with_bias(false).init(&Device::flex());
    target.alpha = Param::from_tensor(Tensor::from_floats([[[0.0, 0.0, 0.0, 1.0, 0.0, 1.0]]], &Device::flex()));

    let device = Device::flex().autodiff();
    device.seed(1);
    let mut layer = NJetConv2dConfig::new([1, 1]).with_sigma(1.0).with_bias(false).init(&device);
    let mut optimizer = AdamConfig::new().with_beta_2(0.98).init();
    // Coefficients faster than σ: the pull on σ means something only once they make the best of the present one.
    let cosine = |lr| LrSchedulerConfig::Cosine(CosineAnnealingLrSchedulerConfig::new(lr, STEPS));
    let scales = ParamGroup::from_ids(vec![layer.log2_sigma.id]);
    let rates = ModuleLrSchedulerConfig::new(cosine(0.2)).with_group(scales, cosine(0.02)).init();
    let mut rates = rates.expect("learning rates between 0 and 1");
    for step in 1..=STEPS {
        let x = Tensor::<4>::random([4, 1, 32, 32], Distribution::Normal(0.0, 1.0), &Device::flex());
        let wanted = Tensor::from_inner(target.forward(x.clone()));
        let difference = layer.forward(Tensor::from_inner(x)) - wanted;
        let loss = (difference.clone() * difference).mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &layer);
        layer = optimizer.step(rates.step(), layer, gradients);
        if step % 100 == 0 {
            println!("step {step}: loss {:.2e}, σ {:.3}", loss.into_scalar::<f32>(), layer.sigma());
        }
    }
    let alpha: Vec<f32> = layer.alpha.val().inner().into_data().iter::<f32>().collect();
    println!("σ {:.3} (wanted 1.6), α of L, Lx, Ly, Lxx, Lxy, Lyy {alpha:.2?}", layer.sigma());
    assert!((layer.sigma() - 1.6).abs() < 0.05, "the layer has not found the scale");
}
