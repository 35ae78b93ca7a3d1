//! The speed and memory of a network.

use super::cases::NetworkCase;
use super::timing::{Runs, median_ms};
use crate::memory::Watch;
use anyhow::Result;
use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use njet::data::{Random, Stream};
use njet::models::ModelConfig;
use njet::training::{OptimizerConfig, OptimizerKind, optimizer};
use std::hint::black_box;

/// Of every network.
pub const CLASSES: usize = 10;

/// Of every step. So small that no σ moves far enough to change the size of a kernel meanwhile.
const LEARNING_RATE: f64 = 1e-6;

/// Milliseconds, bytes.
#[derive(Debug, Clone, Copy)]
pub struct NetworkTimes {
    pub train_step: f64,
    pub inference: f64,
    pub peak_memory: Option<u64>,
    pub parameters: usize,
}

/// Times a training step, as the trainer does it (forward, loss, backward, SGD with momentum), and inference, on
/// images of noise. `fresh`: nothing was measured in this process before, so its memory tells of this network.
pub fn measure(case: &NetworkCase, runs: Runs, fresh: bool) -> Result<NetworkTimes> {
    let watch = if fresh { Watch::start() } else { None };
    let mut config = ModelConfig::new(case.arch, case.channels, CLASSES);
    config.layer = case.layer();
    if let Some(njet) = case.njet {
        (config.order, config.extent, config.sigma) = (njet.order, njet.extent, njet.sigma);
    }
    let device = Device::flex();
    let training = device.clone().autodiff();
    let model = config.init(&training)?.materialize();
    let parameters = model.num_parameters();
    let mut sgd = optimizer(
        &OptimizerConfig {
            kind: OptimizerKind::Sgd,
            lr: LEARNING_RATE,
            sigma_lr: LEARNING_RATE,
            weight_decay: 5e-4,
            momentum: 0.9,
            sigma_prior: 0.0,
            sigma_prior_at: None,
        },
        &model,
    );
    let loss = CrossEntropyLossConfig::new().init(&training);
    let (images, labels) = (images(case, &training), labels(case, &training));
    // A step takes the model and gives it back.
    let mut model = Some(model);
    let train_step = median_ms(runs, || {
        let before = model.take().expect("the step before gave it back");
        let mean = loss.forward(before.forward(images.clone()), labels.clone());
        let gradients = GradientsParams::from_grads(mean.backward(), &before);
        model = Some(sgd.step(LEARNING_RATE, before, gradients));
    });
    let peak_memory = watch.and_then(|watch| watch.peak());

    let model = model.expect("the last step gave it back").valid();
    let images = self::images(case, &device);
    let inference = median_ms(runs, || {
        black_box(model.forward(images.clone()).into_data());
    });
    Ok(NetworkTimes { train_step, inference, peak_memory, parameters })
}

fn images(case: &NetworkCase, device: &Device) -> Tensor<4> {
    let shape = [case.batch, case.channels, case.side, case.side];
    let mut random = Random::for_stream(0, Stream::Other(0), 0);
    let noise: Vec<f32> = (0..shape.iter().product()).map(|_| random.normal()).collect();
    Tensor::from_data(TensorData::new(noise, shape), device)
}

fn labels(case: &NetworkCase, device: &Device) -> Tensor<1, Int> {
    let labels: Vec<i32> = (0..case.batch).map(|i| (i % CLASSES) as i32).collect();
    Tensor::from_data(TensorData::new(labels, [case.batch]), device)
}
