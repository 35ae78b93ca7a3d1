//! The speed and memory of a network.

use super::cases::{NetworkCase, NetworkName};
use super::timing::{Runs, median_ms};
use crate::memory::Watch;
use anyhow::Result;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use njet::Precision;
use njet::data::{Random, Stream};
use njet::models::{Classifier, ModelConfig, Network, UNet, UNetConfig};
use njet::segmentation::loss::Loss;
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
    let device = Device::flex().autodiff();
    match case.arch {
        NetworkName::Classifier(arch) => {
            let mut config = ModelConfig::new(arch, case.channels, CLASSES);
            config.layer = case.layer();
            if let Some(njet) = case.njet {
                (config.order, config.extent, config.sigma) = (njet.order, njet.extent, njet.sigma);
            }
            let cross_entropy = CrossEntropyLossConfig::new().init(&device);
            let labels: Vec<i32> = (0..case.batch).map(|i| (i % CLASSES) as i32).collect();
            let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [case.batch]), &device);
            let loss = |logits: Tensor<2>| cross_entropy.forward(logits, labels.clone());
            Ok(time(case, runs, watch, config.init(&device)?, Classifier::forward, loss))
        }
        NetworkName::UNet => {
            let mut config = UNetConfig::new(case.channels, CLASSES);
            config.layer = case.layer();
            if let Some(njet) = case.njet {
                (config.njet.order, config.njet.extent, config.njet.sigma) = (njet.order, njet.extent, njet.sigma);
            }
            let cross_entropy = Loss { dice: 0.0, ..Loss::default() };
            let shape = [case.batch, case.side, case.side];
            let masks: Vec<i32> = (0..shape.iter().product()).map(|i| (i % CLASSES) as i32).collect();
            let masks = Tensor::<3, Int>::from_data(TensorData::new(masks, shape), &device);
            let loss = |logits: Tensor<4>| cross_entropy.forward(logits, masks.clone());
            Ok(time(case, runs, watch, config.init(&device)?, UNet::forward, loss))
        }
    }
}

fn time<M, const D: usize>(
    case: &NetworkCase,
    runs: Runs,
    watch: Option<Watch>,
    model: M,
    forward: impl Fn(&M, Tensor<4>) -> Tensor<D>,
    loss: impl Fn(Tensor<D>) -> Tensor<1>,
) -> NetworkTimes
where
    M: Network,
{
    let device = Device::flex();
    let model = model.materialize();
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
            precision: Precision::F32,
        },
        &model,
    );
    let images = |device: &Device| images(case, device);
    let training = images(&device.clone().autodiff());
    // A step takes the model and gives it back.
    let mut model = Some(model);
    let train_step = median_ms(runs, || {
        let before = model.take().expect("the step before gave it back");
        let loss = loss(forward(&before, training.clone()));
        let gradients = GradientsParams::from_grads(loss.backward(), &before);
        model = Some(sgd.step(LEARNING_RATE, before, gradients));
    });
    let peak_memory = watch.and_then(|watch| watch.peak());

    let model = model.expect("the last step gave it back").valid();
    let images = images(&device);
    let inference = median_ms(runs, || {
        black_box(forward(&model, images.clone()).into_data());
    });
    NetworkTimes { train_step, inference, peak_memory, parameters }
}

fn images(case: &NetworkCase, device: &Device) -> Tensor<4> {
    let shape = [case.batch, case.channels, case.side, case.side];
    let mut random = Random::for_stream(0, Stream::Other(0), 0);
    let noise: Vec<f32> = (0..shape.iter().product()).map(|_| random.normal()).collect();
    Tensor::from_data(TensorData::new(noise, shape), device)
}
