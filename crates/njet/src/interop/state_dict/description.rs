//! The operations of a network as JSON, for the loader.

use crate::interop::graph::{Convolve, ConvolveTransposed, First, Graph, Normalise, Operation, Value, Zeros};
use crate::layer::PaddingMode;
use serde_json::{Value as Json, json};

/// What PyTorch calls an operation, and its settings there.
type Call = (&'static str, Json);

/// A list of objects: `name`, `op`, `settings` and `inputs`, where 0 is the image and n the result of the n-th object.
///
/// `op` is what PyTorch calls it: a module of `torch.nn` where it begins with a capital (`name` is that of its weights), a function of
/// `torch.nn.functional` or `torch` otherwise, and `settings` its named arguments. The few that PyTorch has not are in the loader.
pub fn description(graph: &Graph) -> Json {
    let mut objects: Vec<Json> = Vec::new();
    let mut results = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let mut inputs: Vec<usize> = node
            .inputs
            .iter()
            .map(|value| match *value {
                Value::Image => 0,
                Value::Node(number) => results[number],
            })
            .collect();
        for (op, settings) in calls(&node.operation) {
            objects.push(json!({ "name": node.name, "op": op, "settings": settings, "inputs": inputs }));
            inputs = vec![objects.len()];
        }
        results.push(objects.len());
    }
    objects.into()
}

/// Rows and columns before and after an image, in the order of `torch.nn.functional.pad`.
fn pad([(top, bottom), (left, right)]: [(usize, usize); 2], mode: &str) -> Call {
    ("pad", json!({ "pad": [left, right, top, bottom], "mode": mode }))
}

/// Rows and columns less.
fn cut([(top, bottom), (left, right)]: [(usize, usize); 2]) -> Option<Call> {
    let less = [left, right, top, bottom].map(|pixels| -(pixels as i64));
    less.iter().any(|&pixels| pixels != 0).then(|| ("pad", json!({ "pad": less })))
}

/// An operation as one of PyTorch's, or several, each applied to what the one before made.
fn calls(operation: &Operation) -> Vec<Call> {
    let one = |op, settings| vec![(op, settings)];
    let none = json!({});
    match operation {
        Operation::Convolve(convolve) => convolution(convolve),
        Operation::ConvolveTransposed(convolve) => transposed(convolve),
        Operation::Normalise(Normalise { gamma, epsilon, .. }) => {
            one("BatchNorm2d", json!({ "num_features": gamma.len(), "eps": epsilon }))
        }
        Operation::Linear { weight, .. } => {
            one("Linear", json!({ "in_features": weight.shape[1], "out_features": weight.shape[0] }))
        }
        Operation::Relu => one("relu", none),
        Operation::Sigmoid => one("sigmoid", none),
        Operation::Swish => one("silu", none),
        Operation::Affine { scale, offset } => {
            vec![("mul", json!({ "other": scale })), ("add", json!({ "other": offset }))]
        }
        Operation::MaxPool { side, stride, padding } => {
            one("max_pool2d", json!({ "kernel_size": side, "stride": stride, "padding": padding }))
        }
        Operation::AveragePool { side, stride } => one("avg_pool2d", json!({ "kernel_size": side, "stride": stride })),
        Operation::Mean => one("adaptive_avg_pool2d", json!({ "output_size": 1 })),
        Operation::Flatten => one("flatten", json!({ "start_dim": 1 })),
        Operation::Add => one("add", none),
        Operation::Multiply => one("mul", none),
        Operation::MoreChannels(more) => one("pad", json!({ "pad": [0, 0, 0, 0, 0, more] })),
        Operation::Border { mode, margins } => {
            let mode = match mode {
                PaddingMode::Zeros => "constant",
                PaddingMode::Replicate => "replicate",
                PaddingMode::Reflect => "reflect",
                PaddingMode::Circular => "circular",
            };
            vec![pad(*margins, mode)]
        }
        Operation::Pick { axis, pixels } => one("pick", json!({ "dim": axis, "pixels": pixels })),
        Operation::Subsample { stride, first } => {
            let first = match *first {
                First::Pixel([y, x]) => cut([(y, 0), (x, 0)]),
                // The centre of a window of one pixel: what is missing to the whole of the strides is negative.
                First::Same => Some(same([1, 1], *stride, -(stride[0].max(stride[1]) as i64))),
            };
            let every = ("max_pool2d", json!({ "kernel_size": 1, "stride": stride }));
            first.into_iter().chain([every]).collect()
        }
        Operation::Left(matrix) => one("Matrix", json!({ "shape": matrix.shape, "left": true })),
        Operation::Right(matrix) => one("Matrix", json!({ "shape": matrix.shape, "left": false })),
        Operation::Part { axis, range } => {
            one("narrow", json!({ "dim": axis, "start": range.start, "length": range.len() }))
        }
        Operation::ToMultiple(multiple) => one("to_multiple", json!({ "of": multiple })),
        Operation::CropLike => one("crop_like", none),
        Operation::Join { axis } => one("cat", json!({ "dim": axis })),
        Operation::Reshape([channels, height, width]) => {
            one("reshape", json!({ "shape": [-1, *channels as i64, *height as i64, *width as i64] }))
        }
    }
}

/// Zeros around an image for a convolution to have ceil(pixels / stride) outputs, at least so many.
fn same(kernel: [usize; 2], stride: [usize; 2], least: i64) -> Call {
    ("same", json!({ "kernel": kernel, "stride": stride, "least": least }))
}

/// `Conv2d` knows zeros that are as many before as after; others are an operation of their own.
fn convolution(Convolve { weight, bias, stride, zeros, groups }: &Convolve) -> Vec<Call> {
    let kernel = [weight.shape[2], weight.shape[3]];
    let (before, padding) = match *zeros {
        Zeros::Same => (Some(same(kernel, *stride, 0)), [0, 0]),
        Zeros::Explicit(around) => match around.iter().all(|(before, after)| before == after) {
            true => (None, around.map(|(before, _)| before)),
            false => (Some(pad(around, "constant")), [0, 0]),
        },
    };
    let settings = json!({
        "in_channels": weight.shape[1] * groups, "out_channels": weight.shape[0], "kernel_size": kernel, "stride": stride,
        "padding": padding, "groups": groups, "bias": bias.is_some(),
    });
    before.into_iter().chain([("Conv2d", settings)]).collect()
}

/// `ConvTranspose2d` cuts off as much before as after; the rest goes afterwards.
fn transposed(layer: &ConvolveTransposed) -> Vec<Call> {
    let ConvolveTransposed { weight, bias, stride, cut: around, more, groups } = layer;
    let padding = around.map(|(before, after)| before.min(after));
    let settings = json!({
        "in_channels": weight.shape[0], "out_channels": weight.shape[1] * groups, "kernel_size": weight.shape[2..],
        "stride": stride, "padding": padding, "output_padding": more, "groups": groups, "bias": bias.is_some(),
    });
    let rest = [0, 1].map(|axis| (around[axis].0 - padding[axis], around[axis].1 - padding[axis]));
    std::iter::once(("ConvTranspose2d", settings)).chain(cut(rest)).collect()
}
