//! A prior on the scales: what pulls σ towards a size, with a gradient.

use super::config::OptimizerConfig;
use crate::models::Network;
use burn::tensor::Tensor;

/// `weight · Σ over layers of the mean of (s − s₀)²`, s the parameters of the scales and s₀ = log₂ of `centre` in
/// pixels: the negative logarithm of a normal prior on log σ. `None` where there is nothing to pull.
///
/// In the middle of the bounds s is log₂ σ; near and beyond a bound, where σ hardly moves, s still does, so the prior
/// also brings back a scale that was pushed far out.
pub(super) fn sigma_prior(model: &impl Network, settings: &OptimizerConfig, centre: f64) -> Option<Tensor<1>> {
    if settings.sigma_prior == 0.0 {
        return None;
    }
    let centre = settings.sigma_prior_at.unwrap_or(centre).log2();
    let layers = model.njet_layers().into_iter().filter(|(_, layer)| layer.log2_sigma.is_require_grad());
    let pulls = layers.map(|(_, layer)| layer.log2_sigma.val().sub_scalar(centre).powi_scalar(2).mean());
    pulls.reduce(|sum, pull| sum + pull).map(|sum| sum.mul_scalar(settings.sigma_prior))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Architecture, ModelConfig};
    use crate::training::OptimizerKind;
    use burn::tensor::Device;

    #[test]
    fn it_pulls_every_scale_towards_the_centre() {
        let device = Device::flex().autodiff();
        let config = ModelConfig { sigma: 2.0, ..ModelConfig::new(Architecture::Small, 1, 2) };
        let model = config.init(&device).unwrap();
        let mut settings = OptimizerConfig {
            kind: OptimizerKind::Adamw,
            lr: 0.1,
            sigma_lr: 0.1,
            weight_decay: 0.0,
            momentum: 0.0,
            sigma_prior: 0.5,
            sigma_prior_at: Some(1.0),
            ..OptimizerConfig::default()
        };
        let prior = sigma_prior(&model, &settings, 2.0).unwrap();
        // Three layers, each (1 − 0)².
        assert!((prior.clone().into_scalar::<f32>() - 1.5).abs() < 1e-6);
        let gradients = prior.backward();
        for (name, layer) in model.njet_layers() {
            let by_s = layer.log2_sigma.val().grad(&gradients).expect(name).into_scalar::<f32>();
            assert!((by_s - 1.0).abs() < 1e-6, "{name}: {by_s}");
        }
        settings.sigma_prior_at = None;
        assert!(sigma_prior(&model, &settings, 2.0).unwrap().into_scalar::<f32>() < 1e-12);
        settings.sigma_prior = 0.0;
        assert!(sigma_prior(&model, &settings, 2.0).is_none());
        let fixed = ModelConfig { learn_sigma: false, ..config }.init(&device).unwrap();
        assert!(sigma_prior(&fixed, &OptimizerConfig { sigma_prior: 1.0, ..settings }, 2.0).is_none());
    }
}
