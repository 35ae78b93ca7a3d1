//! A small U-Net of one's own: N-jet layers on the way down, transposed ones on the way up, a skip connection between.
//!
//! It tells discs from a background of the same mean grey: only the texture differs. Run it with
//! `cargo run --release -p njet --example custom_unet`; it takes a few seconds.

use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::{log_sigmoid, relu};
use burn::tensor::{Device, Tensor, TensorData};
use njet::data::{Random, Stream};
use njet::{NJetConv2d, NJetConv2dConfig, NJetConvTranspose2d, NJetConvTranspose2dConfig};

const SIDE: usize = 32;
const STEPS: usize = 60;

/// Filters, normalisation, ReLU.
#[derive(Module, Debug)]
struct Block {
    convolution: NJetConv2d,
    norm: BatchNorm,
}

impl Block {
    fn new(channels: [usize; 2], stride: usize, device: &Device) -> Self {
        let convolution = NJetConv2dConfig::new(channels).with_stride([stride, stride]).with_bias(false);
        Self { convolution: convolution.init(device), norm: BatchNormConfig::new(channels[1]).init(device) }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        relu(self.norm.forward(self.convolution.forward(x)))
    }
}

#[derive(Module, Debug)]
struct UNet {
    fine: Block,
    down: Block,
    coarse: Block,
    up: NJetConvTranspose2d,
    merged: Block,
    head: NJetConv2d,
}

impl UNet {
    fn new(device: &Device) -> Self {
        Self {
            fine: Block::new([1, 8], 1, device),
            down: Block::new([8, 16], 2, device),
            coarse: Block::new([16, 16], 1, device),
            up: NJetConvTranspose2dConfig::new([16, 8]).with_stride([2, 2]).with_sigma(1.5).init(device),
            merged: Block::new([16, 8], 1, device),
            head: NJetConv2dConfig::new([8, 1]).init(device),
        }
    }

    /// `[batch, 1, height, width]` to logits of the same shape.
    fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = images.dims();
        let fine = self.fine.forward(images);
        let coarse = self.coarse.forward(self.down.forward(fine.clone()));
        // To the size of the skip connection, odd sides included.
        let up = self.up.forward_to(coarse, [height, width]);
        self.head.forward(self.merged.forward(Tensor::cat(vec![fine, up], 1)))
    }

    fn sigmas(&self) -> [f64; 6] {
        let Self { fine, down, coarse, up, merged, head } = self;
        let layers = [&fine.convolution, &down.convolution, &coarse.convolution, &up.convolution, &merged.convolution];
        let [a, b, c, d, e] = layers.map(NJetConv2d::sigma);
        [a, b, c, d, e, head.sigma()]
    }
}

/// Images with a disc of coarse noise in fine noise, and masks that are 1 on the disc.
fn batch(size: usize, random: &mut Random, device: &Device) -> [Tensor<4>; 2] {
    let (mut pixels, mut masks) = (Vec::new(), Vec::new());
    for _ in 0..size {
        let [y, x] = [0, 1].map(|_| 8.0 + 16.0 * f64::from(random.uniform()));
        let radius = 5.0 + 4.0 * f64::from(random.uniform());
        let coarse: Vec<f64> = (0..SIDE / 4 * (SIDE / 4)).map(|_| f64::from(random.uniform()) - 0.5).collect();
        for i in 0..SIDE * SIDE {
            let (row, column) = (i / SIDE, i % SIDE);
            let inside = (row as f64 - y).hypot(column as f64 - x) < radius;
            let noise =
                if inside { coarse[row / 4 * (SIDE / 4) + column / 4] } else { f64::from(random.uniform()) - 0.5 };
            pixels.push(noise as f32);
            masks.push(f32::from(u8::from(inside)));
        }
    }
    [pixels, masks].map(|values| Tensor::from_data(TensorData::new(values, [size, 1, SIDE, SIDE]), device))
}

/// Binary cross-entropy of each pixel.
fn loss(logits: Tensor<4>, masks: Tensor<4>) -> Tensor<1> {
    let right = masks.clone() * log_sigmoid(logits.clone());
    -(right + (-masks + 1.0) * log_sigmoid(-logits)).mean()
}

fn main() {
    let device = Device::flex().autodiff();
    device.seed(1);
    let mut random = Random::for_stream(1, Stream::Shuffle, 0);
    let mut network = UNet::new(&device);
    println!("σ before: {:.2?}", network.sigmas());
    let mut optimizer = AdamConfig::new().init();
    for step in 1..=STEPS {
        let [images, masks] = batch(8, &mut random, &device);
        let value = loss(network.forward(images), masks);
        let gradients = GradientsParams::from_grads(value.backward(), &network);
        network = optimizer.step(0.02, network, gradients);
        if step % 20 == 0 {
            println!("step {step}: loss {:.3}", value.into_scalar::<f32>());
        }
    }
    println!("σ after:  {:.2?}", network.sigmas());
    let [images, masks] = batch(32, &mut random, &Device::flex());
    let found = network.valid().forward(images).greater_elem(0.0).float();
    let both = (found.clone() * masks.clone()).sum().into_scalar::<f32>();
    let either = (found + masks).sum().into_scalar::<f32>() - both;
    println!("intersection over union on new images: {:.2}", both / either);
    assert!(both / either > 0.5, "the network has not learned");
}
