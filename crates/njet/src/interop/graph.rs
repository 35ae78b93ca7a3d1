//! A network as a list of plain operations with their weights: what is left of a model when it is only to be run.
//!
//! Everything that leaves njet goes through it: the Burn module of [`PlainNetwork`](super::PlainNetwork), ONNX, the state
//! dicts. An operation takes one value, or two, and makes one. Values are `[batch, channels, height, width]` until they
//! are made flat.

use crate::layer::PaddingMode;
use std::ops::Range;

/// An array of f32, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Lengths of the axes.
    pub shape: Vec<usize>,
    /// As many as the product of the shape.
    pub values: Vec<f32>,
}

impl Array {
    /// # Panics
    /// If there are not as many values as the shape says.
    pub fn new(shape: impl Into<Vec<usize>>, values: Vec<f32>) -> Self {
        let shape = shape.into();
        assert_eq!(shape.iter().product::<usize>(), values.len(), "values of an array of {shape:?}");
        Self { shape, values }
    }

    /// A vector.
    pub fn vector(values: Vec<f32>) -> Self {
        Self { shape: vec![values.len()], values }
    }
}

/// Something that a node makes, or the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// The input of the network.
    Image,
    /// What the node of this number made.
    Node(usize),
}

/// Zeros around an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zeros {
    /// (before, after) along y and x.
    Explicit([(usize, usize); 2]),
    /// As many as ceil(pixels / stride) outputs need, an odd one at the end: ONNX's `SAME_UPPER`.
    Same,
}

/// A convolution.
#[derive(Debug, Clone, PartialEq)]
pub struct Convolve {
    /// `[channels_out, channels_in / groups, height, width]`.
    pub weight: Array,
    /// `[channels_out]`.
    pub bias: Option<Vec<f32>>,
    /// Distance between outputs along y and x.
    pub stride: [usize; 2],
    /// Zeros around the image.
    pub zeros: Zeros,
    /// Groups of channels that do not mix.
    pub groups: usize,
}

impl Convolve {
    /// A mixing of channels; the weights are `[channels_out, channels_in / groups, 1, 1]`.
    pub(crate) fn pointwise(weight: Array, bias: Option<Vec<f32>>, groups: usize) -> Self {
        Self { weight, bias, stride: [1, 1], zeros: Zeros::Explicit([(0, 0); 2]), groups }
    }
}

/// The transpose of a convolution: every pixel is spread by the kernel over a larger image.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvolveTransposed {
    /// `[channels_in, channels_out / groups, height, width]`.
    pub weight: Array,
    /// `[channels_out]`.
    pub bias: Option<Vec<f32>>,
    /// Distance between inputs along y and x, in pixels of the output.
    pub stride: [usize; 2],
    /// Rows and columns that are cut off: (before, after) along y and x. Of `n` pixels (n − 1) · stride + taps become, less these,
    pub cut: [(usize, usize); 2],
    /// and so many more at the end that no input reaches.
    pub more: [usize; 2],
    /// Groups of channels that do not mix.
    pub groups: usize,
}

/// Batch normalisation by fixed statistics.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalise {
    /// Gain of each channel.
    pub gamma: Vec<f32>,
    /// Offset of each channel.
    pub beta: Vec<f32>,
    /// Mean of each channel.
    pub mean: Vec<f32>,
    /// Variance of each channel.
    pub variance: Vec<f32>,
    /// Added to the variance.
    pub epsilon: f64,
}

/// The pixel that a subsampling starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// Along y and x.
    Pixel([usize; 2]),
    /// The pixel that the first output of a convolution with [`Zeros::Same`] is centred on: ((pixels − 1) mod stride + 1) / 2.
    Same,
}

/// An operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// A convolution.
    Convolve(Convolve),
    /// A transposed convolution.
    ConvolveTransposed(ConvolveTransposed),
    /// A batch normalisation.
    Normalise(Normalise),
    /// `[batch, inputs]` to `[batch, outputs]`.
    Linear {
        /// `[outputs, inputs]`.
        weight: Array,
        /// `[outputs]`.
        bias: Vec<f32>,
    },
    /// max(0, x).
    Relu,
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// x / (1 + e⁻ˣ).
    Swish,
    /// x · scale + offset.
    Affine {
        /// Factor of every element.
        scale: f32,
        /// Added to every element.
        offset: f32,
    },
    /// The maximum of a square window.
    MaxPool {
        /// Of the window.
        side: usize,
        /// Along both axes.
        stride: usize,
        /// Pixels on every side that count for nothing.
        padding: usize,
    },
    /// The mean of a square window inside the image.
    AveragePool {
        /// Of the window.
        side: usize,
        /// Along both axes.
        stride: usize,
    },
    /// The mean over the image of each channel, `[batch, channels, 1, 1]`.
    Mean,
    /// `[batch, channels, 1, 1]` to `[batch, channels]`.
    Flatten,
    /// The sum of two values of the same shape.
    Add,
    /// The first value times the second, which may have one pixel for all.
    Multiply,
    /// So many channels of zeros after the others.
    MoreChannels(usize),
    /// The image continued, by itself or by zeros: (before, after) along y and x.
    Border {
        /// How.
        mode: PaddingMode,
        /// How far.
        margins: [(usize, usize); 2],
    },
    /// These pixels along an axis, 2 for y or 3 for x.
    Pick {
        /// Which axis.
        axis: usize,
        /// Which pixels.
        pixels: Vec<usize>,
    },
    /// Every so many pixels.
    Subsample {
        /// Along y and x.
        stride: [usize; 2],
        /// From here on.
        first: First,
    },
    /// A matrix `[1 or channels, rows, height]` times every plane.
    Left(Array),
    /// Every plane times a matrix `[1 or channels, width, columns]`.
    Right(Array),
    /// A part of an axis.
    Part {
        /// Which axis.
        axis: usize,
        /// From where to where.
        range: Range<usize>,
    },
    /// Rows and columns of zeros at the end, until there are a multiple of so many.
    ToMultiple(usize),
    /// The first value without the rows and columns at its end that the second has not.
    CropLike,
    /// All inputs one after the other along an axis.
    Join {
        /// Which axis.
        axis: usize,
    },
    /// The elements of each image in another shape.
    Reshape([usize; 3]),
}

/// An operation and what it is applied to.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Another for each node; the name of its parameters, without `.weight`.
    pub name: String,
    /// What is done.
    pub operation: Operation,
    /// To what.
    pub inputs: Vec<Value>,
}

/// A network. The last node makes its output.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// Channels of the image.
    pub channels: usize,
    /// Rows and columns of the image; `None`: any.
    pub size: Option<[usize; 2]>,
    /// Classes, where the output is `[batch, classes, height, width]`: logits for every pixel of the image.
    pub per_pixel: Option<usize>,
    /// Each after those whose values it takes.
    pub nodes: Vec<Node>,
}

impl Graph {
    /// A network that does nothing yet.
    pub fn new(channels: usize, size: Option<[usize; 2]>) -> Self {
        Self { channels, size, per_pixel: None, nodes: Vec::new() }
    }

    /// Adds a node and gives its value.
    pub fn push(&mut self, name: impl Into<String>, operation: Operation, inputs: &[Value]) -> Value {
        self.nodes.push(Node { name: name.into(), operation, inputs: inputs.to_vec() });
        Value::Node(self.nodes.len() - 1)
    }

    /// The network for an image x where it was one for (x − mean)/std.
    pub fn normalising(mut self, mean: f32, std: f32) -> Self {
        for input in self.nodes.iter_mut().flat_map(|node| &mut node.inputs) {
            *input = Value::Node(match *input {
                Value::Image => 0,
                Value::Node(number) => number + 1,
            });
        }
        let operation = Operation::Affine { scale: 1.0 / std, offset: -mean / std };
        self.nodes.insert(0, Node { name: "normalised".to_owned(), operation, inputs: vec![Value::Image] });
        self
    }

    /// The arrays of all nodes with their names in a state dict, in order: `weight`, `bias`, `running_mean`, `running_var`.
    pub fn parameters(&self) -> Vec<(String, Array)> {
        self.nodes.iter().flat_map(Node::parameters).collect()
    }

    /// Numbers that the network holds.
    pub fn len(&self) -> usize {
        self.nodes.iter().flat_map(Node::parameters).map(|(_, array)| array.values.len()).sum()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Node {
    /// The arrays of the node with their names in a state dict.
    pub fn parameters(&self) -> Vec<(String, Array)> {
        let named = |part: &str, array: Array| (format!("{}.{part}", self.name), array);
        let vector = |part: &str, values: &[f32]| named(part, Array::vector(values.to_vec()));
        match &self.operation {
            Operation::Convolve(Convolve { weight, bias, .. })
            | Operation::ConvolveTransposed(ConvolveTransposed { weight, bias, .. }) => {
                let bias = bias.iter().map(|bias| vector("bias", bias));
                std::iter::once(named("weight", weight.clone())).chain(bias).collect()
            }
            Operation::Linear { weight, bias } => vec![named("weight", weight.clone()), vector("bias", bias)],
            Operation::Normalise(Normalise { gamma, beta, mean, variance, .. }) => vec![
                vector("weight", gamma),
                vector("bias", beta),
                vector("running_mean", mean),
                vector("running_var", variance),
            ],
            Operation::Left(matrix) | Operation::Right(matrix) => vec![named("weight", matrix.clone())],
            _ => Vec::new(),
        }
    }
}
