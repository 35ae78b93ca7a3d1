//! A list of plain operations as a Burn module.

use super::conv2d;
use crate::interop::graph::{Array, Convolve, ConvolveTransposed, First, Graph, Node, Normalise, Operation, Value};
use crate::layer::PaddingMode;
use burn::module::{Module, Param, RunningState};
use burn::nn::conv::{Conv2d, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::activation::{relu, sigmoid, silu};
use burn::tensor::module::{avg_pool2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn::tensor::{Device, Int, Slice, Tensor, TensorData};

/// A network of plain operations: what an N-jet layer or model bakes to.
///
/// Made for evaluation by [`Classifier::bake`](crate::models::Classifier) and [`NJetConv2d`](crate::NJetConv2d)'s
/// `bake_network`. Values have four axes; logits are `[batch, classes, 1, 1]`, or `[batch, classes, height, width]` for every pixel.
#[derive(Module, Debug)]
pub struct PlainNetwork {
    /// Linear layers among them, as 1×1.
    convolutions: Vec<Conv2d>,
    transposed: Vec<ConvTranspose2d>,
    norms: Vec<BatchNorm>,
    matrices: Vec<Param<Tensor<3>>>,
    #[module(skip)]
    steps: Vec<Step>,
}

/// A node without its arrays: those are `number` in the list of their kind.
#[derive(Debug, Clone)]
struct Step {
    node: Node,
    number: usize,
    /// Inputs that nobody needs any more.
    last: Vec<usize>,
}

impl PlainNetwork {
    /// # Panics
    /// If the graph is not made of nodes that each come after those they need.
    pub fn new(graph: &Graph, device: &Device) -> Self {
        let (mut convolutions, mut transposed) = (Vec::new(), Vec::new());
        let (mut norms, mut matrices) = (Vec::new(), Vec::new());
        let mut steps: Vec<Step> = Vec::new();
        for node in &graph.nodes {
            let empty = || Array::new([0], Vec::new());
            let (operation, number) = match &node.operation {
                Operation::Convolve(convolve) => {
                    convolutions.push(conv2d(convolve, device));
                    let convolve = Convolve { weight: empty(), bias: None, ..convolve.clone() };
                    (Operation::Convolve(convolve), convolutions.len() - 1)
                }
                Operation::ConvolveTransposed(convolve) => {
                    transposed.push(conv_transpose2d(convolve, device));
                    let convolve = ConvolveTransposed { weight: empty(), bias: None, ..convolve.clone() };
                    (Operation::ConvolveTransposed(convolve), transposed.len() - 1)
                }
                Operation::Linear { weight, bias } => {
                    let weight = Array::new([weight.shape[0], weight.shape[1], 1, 1], weight.values.clone());
                    let convolve = Convolve::pointwise(weight, Some(bias.clone()), 1);
                    convolutions.push(conv2d(&convolve, device));
                    (Operation::Linear { weight: empty(), bias: Vec::new() }, convolutions.len() - 1)
                }
                Operation::Normalise(normalise) => {
                    let vector = |values: &[f32]| Tensor::<1>::from_floats(values, device);
                    let mut norm =
                        BatchNormConfig::new(normalise.gamma.len()).with_epsilon(normalise.epsilon).init(device);
                    norm.gamma = Param::from_tensor(vector(&normalise.gamma));
                    norm.beta = Param::from_tensor(vector(&normalise.beta));
                    norm.running_mean = RunningState::new(vector(&normalise.mean));
                    norm.running_var = RunningState::new(vector(&normalise.variance));
                    // Frozen: it goes on with these statistics wherever it runs.
                    norms.push(norm.freeze());
                    let none = Vec::new;
                    let normalise =
                        Normalise { gamma: none(), beta: none(), mean: none(), variance: none(), ..*normalise };
                    (Operation::Normalise(normalise), norms.len() - 1)
                }
                Operation::Left(matrix) | Operation::Right(matrix) => {
                    let [sets, rows, columns] = matrix.shape[..] else { unreachable!("three axes") };
                    let data = TensorData::new(matrix.values.clone(), [sets, rows, columns]);
                    matrices.push(Param::from_tensor(Tensor::from_data(data, device)));
                    let left = matches!(node.operation, Operation::Left(_));
                    let operation = if left { Operation::Left(empty()) } else { Operation::Right(empty()) };
                    (operation, matrices.len() - 1)
                }
                other => (other.clone(), 0),
            };
            let node = Node { name: node.name.clone(), operation, inputs: node.inputs.clone() };
            steps.push(Step { node, number, last: Vec::new() });
        }
        // From the end: who reads a value last can have it.
        let mut read = vec![false; steps.len() + 1];
        for number in (0..steps.len()).rev() {
            let places = steps[number].node.inputs.iter().map(|&value| place(value)).collect::<Vec<_>>();
            for place in places {
                assert!(place <= number, "node {number} reads a later value");
                if !std::mem::replace(&mut read[place], true) {
                    steps[number].last.push(place);
                }
            }
        }
        Self { convolutions, transposed, norms, matrices, steps }
    }

    /// `[batch, channels, height, width]` to what the network makes; logits as `[batch, classes, 1, 1]` or
    /// `[batch, classes, height, width]`.
    ///
    /// # Panics
    /// If the image has other channels or, where it is fixed, another size than the network was baked for.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mut values: Vec<Option<Tensor<4>>> = vec![Some(x)];
        for step in &self.steps {
            let inputs: Vec<Tensor<4>> = step
                .node
                .inputs
                .iter()
                .map(|&value| values[place(value)].clone().expect("kept until it was read last"))
                .collect();
            for &place in &step.last {
                values[place] = None;
            }
            values.push(Some(self.step(step, inputs)));
        }
        values.pop().flatten().expect("the network's output")
    }

    fn step(&self, step: &Step, inputs: Vec<Tensor<4>>) -> Tensor<4> {
        if let Operation::Join { axis } = step.node.operation {
            return Tensor::cat(inputs, axis);
        }
        let mut inputs = inputs.into_iter();
        let x = inputs.next().expect("an input");
        let mut other = || inputs.next().expect("a second input");
        let matrix = |number: usize| self.matrices[number].val().unsqueeze_dim::<4>(0);
        let [batch, channels, height, width] = x.dims();
        match &step.node.operation {
            Operation::Convolve(_) | Operation::Linear { .. } => self.convolutions[step.number].forward(x),
            Operation::ConvolveTransposed(ConvolveTransposed { cut, .. }) => {
                // What Burn's cuts off is the same before and after.
                let y = self.transposed[step.number].forward(x);
                (0..2).fold(y, |y, axis| {
                    let (before, after) = cut[axis];
                    let (from, to) = (before - before.min(after), y.dims()[2 + axis] + before.min(after) - after);
                    y.slice_dim(2 + axis, from..to)
                })
            }
            Operation::Normalise(_) => self.norms[step.number].forward(x),
            Operation::Relu => relu(x),
            Operation::Sigmoid => sigmoid(x),
            Operation::Swish => silu(x),
            Operation::Affine { scale, offset } => x.mul_scalar(*scale).add_scalar(*offset),
            Operation::MaxPool { side, stride, padding } => {
                let options = MaxPoolOptions::new([*side; 2]).with_stride([*stride; 2]);
                max_pool2d(x, options.with_padding_pairs([(*padding, *padding); 2]))
            }
            Operation::AveragePool { side, stride } => {
                avg_pool2d(x, AvgPoolOptions::new([*side; 2]).with_stride([*stride; 2]))
            }
            Operation::Mean => {
                x.reshape([batch, channels, height * width]).mean_dim(2).reshape([batch, channels, 1, 1])
            }
            Operation::Flatten => x,
            Operation::Add => x + other(),
            Operation::Multiply => x * other(),
            Operation::MoreChannels(more) => {
                let zeros = Tensor::zeros([batch, *more, height, width], (&x.device(), x.dtype()));
                Tensor::cat(vec![x, zeros], 1)
            }
            Operation::Border { mode, margins } => continued(x, *mode, margins),
            Operation::Pick { axis, pixels } => select(x, *axis, pixels.iter().map(|&pixel| pixel as i64).collect()),
            Operation::Subsample { stride, first } => {
                let start = |axis: usize| match first {
                    First::Pixel(first) => first[axis],
                    First::Same => (([height, width][axis] - 1) % stride[axis]).div_ceil(2),
                };
                let every = |axis: usize| Slice::new(start(axis) as isize, None, stride[axis] as isize);
                x.slice([Slice::full(), Slice::full(), every(0), every(1)])
            }
            Operation::Left(_) => matrix(step.number).matmul(x),
            Operation::Right(_) => x.matmul(matrix(step.number)),
            Operation::Part { axis, range } => x.slice_dim(*axis, range.clone()),
            Operation::ToMultiple(multiple) => {
                let missing = |pixels: usize| (0, pixels.next_multiple_of(*multiple) - pixels);
                zeros_around(x, [missing(height), missing(width)])
            }
            Operation::CropLike => {
                let [_, _, height, width] = other().dims();
                x.slice_dim(2, 0..height).slice_dim(3, 0..width)
            }
            Operation::Reshape([channels, height, width]) => x.reshape([batch, *channels, *height, *width]),
            Operation::Join { .. } => unreachable!("done before"),
        }
    }
}

/// Of a value among all values.
fn place(value: Value) -> usize {
    match value {
        Value::Image => 0,
        Value::Node(number) => number + 1,
    }
}

fn select(x: Tensor<4>, axis: usize, pixels: Vec<i64>) -> Tensor<4> {
    let len = pixels.len();
    let pixels = Tensor::<1, Int>::from_data(TensorData::new(pixels, [len]), &x.device());
    x.select(axis, pixels)
}

fn continued(x: Tensor<4>, mode: PaddingMode, margins: &[(usize, usize); 2]) -> Tensor<4> {
    let Some(border) = mode.border() else { return zeros_around(x, *margins) };
    (0..2).fold(x, |x, axis| {
        let (n, (before, after)) = (x.dims()[2 + axis], margins[axis]);
        let pixels = (-(before as isize)..(n + after) as isize).map(|i| border.pixel(i, n) as i64).collect();
        select(x, 2 + axis, pixels)
    })
}

fn zeros_around(x: Tensor<4>, margins: [(usize, usize); 2]) -> Tensor<4> {
    (0..2).fold(x, |x, axis| {
        let zeros = |pixels: usize| {
            let mut shape = x.dims();
            shape[2 + axis] = pixels;
            (pixels > 0).then(|| Tensor::zeros(shape, (&x.device(), x.dtype())))
        };
        let (before, after) = (zeros(margins[axis].0), zeros(margins[axis].1));
        match (before, after) {
            (None, None) => x,
            (before, after) => Tensor::cat(before.into_iter().chain([x]).chain(after).collect(), 2 + axis),
        }
    })
}

/// A transposed convolution as Burn's, which cuts off as much before as after: the lesser of the two.
fn conv_transpose2d(convolve: &ConvolveTransposed, device: &Device) -> ConvTranspose2d {
    let ConvolveTransposed { weight, bias, stride, cut, more, groups } = convolve;
    let [channels_in, group_out, height, width] = weight.shape[..] else { unreachable!("four axes") };
    let mut conv = ConvTranspose2dConfig::new([channels_in, group_out * groups], [height, width])
        .with_stride(*stride)
        .with_padding(cut.map(|(before, after)| before.min(after)))
        .with_padding_out(*more)
        .with_groups(*groups)
        .with_bias(false)
        .init(device);
    let data = TensorData::new(weight.values.clone(), [channels_in, group_out, height, width]);
    conv.weight = Param::from_tensor(Tensor::from_data(data, device));
    conv.bias = bias.as_ref().map(|bias| Param::from_tensor(Tensor::from_floats(bias.as_slice(), device)));
    conv
}
