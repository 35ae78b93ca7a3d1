//! A classifier of one's own: `NJetConv2d` in a Burn module, where `Conv2d` would stand.
//!
//! The images are gratings, thin or thick, across or along, in noise: four classes that differ in direction and size.
//! Run it with `cargo run --release -p njet --example custom_classifier`; it takes a few seconds.

use burn::module::{Module, ParamGroup};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::optim::lr_scheduler::constant::ConstantLr;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use njet::data::{Random, Stream};
use njet::{NJetConv2d, NJetConv2dConfig};

const SIDE: usize = 24;
const CLASSES: usize = 4;
const STEPS: usize = 60;

#[derive(Module, Debug)]
struct Network {
    first: NJetConv2d, // was: Conv2d
    first_norm: BatchNorm,
    second: NJetConv2d, // was: Conv2d
    second_norm: BatchNorm,
    linear: Linear,
}

impl Network {
    fn new(device: &Device) -> Self {
        Self {
            // was: Conv2dConfig::new([1, 8], [3, 3]).with_padding(PaddingConfig2d::Same).with_bias(false).init(device)
            first: NJetConv2dConfig::new([1, 8]).with_bias(false).init(device),
            first_norm: BatchNormConfig::new(8).init(device),
            second: NJetConv2dConfig::new([8, 8]).with_bias(false).init(device),
            second_norm: BatchNormConfig::new(8).init(device),
            linear: LinearConfig::new(8, CLASSES).init(device),
        }
    }

    /// `[batch, 1, height, width]` to `[batch, CLASSES]`.
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = relu(self.first_norm.forward(self.first.forward(images)));
        let x = relu(self.second_norm.forward(self.second.forward(x)));
        let [batch, channels, height, width] = x.dims();
        self.linear.forward(x.reshape([batch, channels, height * width]).mean_dim(2).reshape([batch, channels]))
    }
}

/// Gratings in noise and their classes.
fn batch(size: usize, random: &mut Random, device: &Device) -> (Tensor<4>, Tensor<1, Int>) {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..size {
        let class = random.below(CLASSES);
        let (along_x, period) = (class.is_multiple_of(2), if class < 2 { 5.0 } else { 10.0 });
        let phase = f64::from(random.uniform());
        for i in 0..SIDE * SIDE {
            let place = if along_x { i % SIDE } else { i / SIDE };
            let wave = (std::f64::consts::TAU * (place as f64 / period + phase)).sin();
            pixels.push((wave + 2.0 * (f64::from(random.uniform()) - 0.5)) as f32);
        }
        labels.push(class as i32);
    }
    (
        Tensor::from_data(TensorData::new(pixels, [size, 1, SIDE, SIDE]), device),
        Tensor::from_data(TensorData::new(labels, [size]), device),
    )
}

fn main() {
    let device = Device::flex().autodiff();
    device.seed(1);
    let mut random = Random::for_stream(1, Stream::Shuffle, 0);
    let mut network = Network::new(&device);
    let loss = CrossEntropyLossConfig::new().init(&device);
    let mut optimizer = AdamConfig::new().init();
    // σ has its own learning rate.
    let scales = ParamGroup::from_ids(vec![network.first.log2_sigma.id, network.second.log2_sigma.id]);
    let mut rates = ModuleLrScheduler::from(ConstantLr::new(0.02)).with_group(scales, ConstantLr::new(0.05));
    for step in 1..=STEPS {
        let (images, labels) = batch(32, &mut random, &device);
        let value = loss.forward(network.forward(images), labels);
        let gradients = GradientsParams::from_grads(value.backward(), &network);
        network = optimizer.step(rates.step(), network, gradients);
        if step % 20 == 0 {
            let [first, second] = [&network.first, &network.second].map(NJetConv2d::sigma);
            println!("step {step}: loss {:.3}, σ {first:.2} and {second:.2}", value.into_scalar::<f32>());
        }
    }
    let trained = network.valid();
    let (images, labels) = batch(200, &mut random, &Device::flex());
    let guesses = trained.forward(images).argmax(1).reshape([200]);
    let right = guesses.equal(labels).int().sum().into_scalar::<i32>();
    println!("{right} of 200 new images right");
    assert!(right >= 180, "the network has not learned");
}
