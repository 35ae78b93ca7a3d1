//! From a model to the list of its plain operations.

mod unet;

pub(super) use unet::unet;

use super::{BakeError, Baking, lower_layer};
use crate::interop::graph::{Array, Convolve, First, Graph, Normalise, Operation, Value, Zeros};
use crate::layer::{NJetConv2d, Stride, nearest_pixels, neighbours};
use crate::models::{Activation, Block, Classifier, Convolution, Pool, SqueezeExcitation, Unit};
use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, Linear, PaddingConfig2d};
use burn::tensor::Tensor;

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// A value and the size of its planes where it is known.
#[derive(Debug, Clone, Copy)]
struct Planes {
    value: Value,
    size: Option<[usize; 2]>,
}

struct Lowering<'a> {
    graph: Graph,
    baking: &'a Baking,
}

pub(super) fn classifier(model: &Classifier, baking: &Baking) -> Result<Graph, BakeError> {
    let channels = model.blocks.first().map_or(1, |block| channels_in(&block.convolution));
    let mut lowering = Lowering { graph: Graph::new(channels, baking.size), baking };
    let mut x = Planes { value: Value::Image, size: baking.size };
    for (unit, blocks) in model.units() {
        x = lowering.unit(unit, blocks, x)?;
        if let (Some(size), Some([height, width])) = (baking.size, x.size)
            && (height == 0 || width == 0)
        {
            let layer = blocks.last().map_or_else(String::new, |block| block.name.clone());
            return Err(BakeError::TooSmall { layer, size });
        }
    }
    let mut graph = lowering.graph;
    let mean = graph.push("mean", Operation::Mean, &[x.value]);
    let flat = graph.push("flat", Operation::Flatten, &[mean]);
    if let Some(linear) = &model.linear {
        graph.push("linear", self::linear(linear), &[flat]);
    }
    Ok(graph)
}

fn channels_in(convolution: &Convolution) -> usize {
    match convolution {
        Convolution::Njet(layer) => layer.alpha.dims()[1] * layer.groups,
        Convolution::Conv(layer) => layer.weight.dims()[1] * layer.groups,
    }
}

impl Lowering<'_> {
    fn unit(&mut self, unit: Unit, blocks: &[Block], x: Planes) -> Result<Planes, BakeError> {
        match unit {
            Unit::Plain => self.chain(blocks, x),
            Unit::Residual { branch, activation, .. } => {
                let (branch, projection) = blocks.split_at(branch);
                let y = self.chain(branch, x)?;
                // Named after the unit: what its blocks have in common.
                let name =
                    branch.first().map_or("unit", |block| block.name.rsplit_once('.').map_or("unit", |(unit, _)| unit));
                let around = self.shortcut(branch, projection.first(), name, x)?;
                let value = self.graph.push(format!("{name}.sum"), Operation::Add, &[y.value, around.value]);
                Ok(Planes { value: self.activation(activation, &format!("{name}.sum_activation"), value), ..y })
            }
        }
    }

    fn chain(&mut self, blocks: &[Block], x: Planes) -> Result<Planes, BakeError> {
        blocks.iter().try_fold(x, |x, block| self.block(block, x))
    }

    /// As in the model: the input at the positions of the branch's outputs, then the projection or more channels.
    fn shortcut(
        &mut self,
        branch: &[Block],
        projection: Option<&Block>,
        name: &str,
        x: Planes,
    ) -> Result<Planes, BakeError> {
        let mut x = x;
        for (number, block) in branch.iter().enumerate() {
            x = self.sampled(block, &format!("{name}.shortcut{}", number + 1), x)?;
        }
        if let Some(block) = projection {
            return self.block(block, x);
        }
        let before = branch.first().map_or(0, |block| channels_in(&block.convolution));
        let after = branch.last().map_or(before, |block| block.convolution.channels_out());
        if after > before {
            let more = Operation::MoreChannels(after - before);
            x.value = self.graph.push(format!("{name}.more_channels"), more, &[x.value]);
        }
        Ok(x)
    }

    /// An image at the positions of the outputs of a block's convolution.
    fn sampled(&mut self, block: &Block, name: &str, x: Planes) -> Result<Planes, BakeError> {
        let (stride, same) = match &block.convolution {
            Convolution::Njet(layer) => match layer.stride {
                Stride::Fixed(stride) => (stride, matches!(layer.padding, PaddingConfig2d::Same)),
                _ => return self.sampled_between(layer, &block.name, name, x),
            },
            Convolution::Conv(layer) => (layer.stride, matches!(layer.padding, PaddingConfig2d::Same)),
        };
        if stride == [1, 1] {
            return Ok(x);
        }
        let kernel = block.convolution.kernel_size();
        let first = match (same, x.size) {
            (true, None) => First::Same,
            (true, Some(size)) => First::Pixel([0, 1].map(|a| {
                let (before, _) = crate::layer::around(&PaddingConfig2d::Same, a, size[a], kernel[a], stride[a]);
                (kernel[a] / 2).saturating_sub(before)
            })),
            (false, _) => {
                let padding = match &block.convolution {
                    Convolution::Njet(layer) => &layer.padding,
                    Convolution::Conv(layer) => &layer.padding,
                };
                let before = |a| crate::layer::around(padding, a, 0, kernel[a], stride[a]).0;
                First::Pixel([0, 1].map(|a| (kernel[a] / 2).saturating_sub(before(a))))
            }
        };
        let value = self.graph.push(name, Operation::Subsample { stride, first }, &[x.value]);
        Ok(Planes { value, size: x.size.map(|size| block.convolution.output_size(size)) })
    }

    /// By linear interpolation, where the outputs stand at real distances.
    fn sampled_between(&mut self, layer: &NJetConv2d, block: &str, name: &str, x: Planes) -> Result<Planes, BakeError> {
        let settings = layer.settings();
        let stride = settings.factors();
        if stride == [1.0, 1.0] {
            return Ok(x);
        }
        let Some(size) = x.size else {
            return Err(BakeError::RealStride { layer: block.to_owned(), stride });
        };
        let nearest = settings.stride.nearest_factor(1.0).is_some();
        let mut value = x.value;
        for axis in 0..2 {
            let (n, factor) = (size[axis], stride[axis]);
            if factor == 1.0 {
                continue;
            }
            let operation = if nearest {
                Operation::Pick { axis: 2 + axis, pixels: nearest_pixels(n, factor) }
            } else {
                let between = neighbours(n, factor);
                let m = between.len();
                let mut matrix = vec![0.0; m * n];
                for (p, (before, part)) in between.into_iter().enumerate() {
                    let mut put = |i: usize, weight: f64| {
                        matrix[if axis == 0 { p * n + i } else { i * m + p }] += weight as f32;
                    };
                    put(before, 1.0 - part);
                    if before + 1 < n {
                        put(before + 1, part);
                    }
                }
                if axis == 0 {
                    Operation::Left(Array::new([1, m, n], matrix))
                } else {
                    Operation::Right(Array::new([1, n, m], matrix))
                }
            };
            value = self.graph.push(format!("{name}.{}", ["along_y", "along_x"][axis]), operation, &[value]);
        }
        Ok(Planes { value, size: Some(layer.output_size(size)) })
    }

    fn block(&mut self, block: &Block, x: Planes) -> Result<Planes, BakeError> {
        let name = &block.name;
        let conv = format!("{name}.conv");
        let mut value = match &block.convolution {
            Convolution::Njet(layer) => lower_layer(&mut self.graph, &conv, layer, self.baking, x.value, x.size)
                .map_err(|error| called(error, name))?,
            Convolution::Conv(layer) => self.graph.push(conv, Operation::Convolve(convolve(layer)), &[x.value]),
        };
        let mut size = x.size.map(|size| block.convolution.output_size(size));
        value = self.normalise(&block.norm, &format!("{name}.norm"), value);
        value = self.activation(block.activation, &format!("{name}.activation"), value);
        if let Some(gate) = &block.gate {
            value = self.gate(gate, &format!("{name}.gate"), value);
        }
        if let Some(pool) = block.pool {
            let operation = match pool {
                Pool::Average2 => Operation::AveragePool { side: pool.side(), stride: pool.stride() },
                Pool::Max3 => Operation::MaxPool { side: pool.side(), stride: pool.stride(), padding: 1 },
            };
            value = self.graph.push(format!("{name}.pool"), operation, &[value]);
            size = size.map(|size| size.map(|pixels| pool.output(pixels)));
        }
        if block.residual {
            value = self.graph.push(format!("{name}.sum"), Operation::Add, &[x.value, value]);
        }
        Ok(Planes { value, size })
    }

    /// Into the convolution before it, where that is wished and possible.
    fn normalise(&mut self, norm: &BatchNorm, name: &str, x: Value) -> Value {
        let normalise = Normalise {
            gamma: floats(norm.gamma.val()),
            beta: floats(norm.beta.val()),
            mean: floats(norm.running_mean.value_sync()),
            variance: floats(norm.running_var.value_sync()),
            epsilon: norm.epsilon,
        };
        if self.baking.fold_norm
            && let Value::Node(number) = x
            && let Operation::Convolve(convolve) = &mut self.graph.nodes[number].operation
        {
            fold(convolve, &normalise);
            return x;
        }
        self.graph.push(name, Operation::Normalise(normalise), &[x])
    }

    fn activation(&mut self, activation: Activation, name: &str, x: Value) -> Value {
        match activation {
            Activation::Relu => self.graph.push(name, Operation::Relu, &[x]),
            Activation::Swish => self.graph.push(name, Operation::Swish, &[x]),
            Activation::Identity => x,
        }
    }

    fn gate(&mut self, gate: &SqueezeExcitation, name: &str, x: Value) -> Value {
        let graph = &mut self.graph;
        let mean = graph.push(format!("{name}.mean"), Operation::Mean, &[x]);
        let squeezed = graph.push(format!("{name}.squeeze"), Operation::Convolve(convolve(&gate.squeeze)), &[mean]);
        let swish = graph.push(format!("{name}.swish"), Operation::Swish, &[squeezed]);
        let excited = graph.push(format!("{name}.excite"), Operation::Convolve(convolve(&gate.excite)), &[swish]);
        let factor = graph.push(format!("{name}.sigmoid"), Operation::Sigmoid, &[excited]);
        graph.push(format!("{name}.product"), Operation::Multiply, &[x, factor])
    }
}

/// The layer of an error by the name of its block.
fn called(error: BakeError, name: &str) -> BakeError {
    let mut error = error;
    match &mut error {
        BakeError::RealStride { layer, .. }
        | BakeError::Resampled { layer, .. }
        | BakeError::Border { layer, .. }
        | BakeError::NoZeros { layer, .. }
        | BakeError::Call { layer, .. }
        | BakeError::TooSmall { layer, .. } => *layer = name.to_owned(),
    }
    error
}

/// W · γ/√(v + ε), and (b − m)·γ/√(v + ε) + β.
fn fold(convolve: &mut Convolve, norm: &Normalise) {
    let outputs = norm.gamma.len();
    let each = convolve.weight.values.len() / outputs;
    let bias = convolve.bias.take().unwrap_or_else(|| vec![0.0; outputs]);
    let mut folded = Vec::with_capacity(outputs);
    for (o, weights) in convolve.weight.values.chunks_exact_mut(each).enumerate() {
        let gain = f64::from(norm.gamma[o]) / (f64::from(norm.variance[o]) + norm.epsilon).sqrt();
        weights.iter_mut().for_each(|w| *w = (f64::from(*w) * gain) as f32);
        folded.push(((f64::from(bias[o]) - f64::from(norm.mean[o])) * gain + f64::from(norm.beta[o])) as f32);
    }
    convolve.bias = Some(folded);
}

/// Burn's convolution.
fn convolve(layer: &Conv2d) -> Convolve {
    Convolve {
        weight: Array::new(layer.weight.dims(), floats(layer.weight.val())),
        bias: layer.bias.as_ref().map(|bias| floats(bias.val())),
        stride: layer.stride,
        zeros: match layer.padding {
            PaddingConfig2d::Same => Zeros::Same,
            PaddingConfig2d::Valid => Zeros::Explicit([(0, 0); 2]),
            PaddingConfig2d::Explicit(top, left, bottom, right) => Zeros::Explicit([(top, bottom), (left, right)]),
        },
        groups: layer.groups,
    }
}

fn linear(layer: &Linear) -> Operation {
    // Burn keeps `[inputs, outputs]`.
    let [inputs, outputs] = layer.weight.dims();
    let weight = Array::new([outputs, inputs], floats(layer.weight.val().transpose()));
    let bias = layer.bias.as_ref().map_or_else(|| vec![0.0; outputs], |bias| floats(bias.val()));
    Operation::Linear { weight, bias }
}
