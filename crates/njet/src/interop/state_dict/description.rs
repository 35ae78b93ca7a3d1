//! The operations of a network as JSON, for the loader.

use crate::interop::graph::{Convolve, ConvolveTransposed, First, Graph, Normalise, Operation, Value, Zeros};
use crate::layer::PaddingMode;
use serde_json::{Value as Json, json};

/// A list of objects with `name`, `op`, `inputs` (0 is the image, n the result of the n-th operation) and the settings of
/// the operation. Pixels around an image are `[left, right, top, bottom]`, as in `torch.nn.functional.pad`.
pub fn description(graph: &Graph) -> Json {
    let nodes = graph.nodes.iter().map(|node| {
        let inputs: Vec<usize> = node
            .inputs
            .iter()
            .map(|value| match value {
                Value::Image => 0,
                Value::Node(number) => number + 1,
            })
            .collect();
        let (op, settings) = operation(&node.operation);
        let mut object = json!({ "name": node.name, "op": op, "inputs": inputs });
        if let (Some(object), Json::Object(settings)) = (object.as_object_mut(), settings) {
            object.extend(settings);
        }
        object
    });
    nodes.collect()
}

fn pads([(top, bottom), (left, right)]: [(usize, usize); 2]) -> Json {
    json!([left, right, top, bottom])
}

fn operation(operation: &Operation) -> (&'static str, Json) {
    let none = json!({});
    match operation {
        Operation::Convolve(Convolve { weight, bias, stride, zeros, groups }) => {
            let pads = match *zeros {
                Zeros::Same => json!("same"),
                Zeros::Explicit(around) => pads(around),
            };
            let settings = json!({
                "in": weight.shape[1] * groups, "out": weight.shape[0], "kernel": weight.shape[2..], "stride": stride,
                "groups": groups, "bias": bias.is_some(), "pads": pads,
            });
            ("conv", settings)
        }
        Operation::ConvolveTransposed(ConvolveTransposed { weight, bias, stride, cut, more, groups }) => {
            let settings = json!({
                "in": weight.shape[0], "out": weight.shape[1] * groups, "kernel": weight.shape[2..], "stride": stride,
                "groups": groups, "bias": bias.is_some(), "cut": pads(*cut), "more": more,
            });
            ("conv_transposed", settings)
        }
        Operation::Normalise(Normalise { gamma, epsilon, .. }) => {
            ("norm", json!({ "channels": gamma.len(), "epsilon": epsilon }))
        }
        Operation::Linear { weight, .. } => ("linear", json!({ "in": weight.shape[1], "out": weight.shape[0] })),
        Operation::Relu => ("relu", none),
        Operation::Sigmoid => ("sigmoid", none),
        Operation::Swish => ("swish", none),
        Operation::Affine { scale, offset } => ("affine", json!({ "scale": scale, "offset": offset })),
        Operation::MaxPool { side, stride, padding } => {
            ("max_pool", json!({ "side": side, "stride": stride, "padding": padding }))
        }
        Operation::AveragePool { side, stride } => ("average_pool", json!({ "side": side, "stride": stride })),
        Operation::Mean => ("mean", none),
        Operation::Flatten => ("flatten", none),
        Operation::Add => ("add", none),
        Operation::Multiply => ("multiply", none),
        Operation::MoreChannels(more) => ("more_channels", json!({ "more": more })),
        Operation::Border { mode, margins } => {
            let mode = match mode {
                PaddingMode::Zeros => "constant",
                PaddingMode::Replicate => "replicate",
                PaddingMode::Reflect => "reflect",
                PaddingMode::Circular => "circular",
            };
            ("border", json!({ "mode": mode, "pads": pads(*margins) }))
        }
        Operation::Pick { axis, pixels } => ("pick", json!({ "axis": axis, "pixels": pixels })),
        Operation::Subsample { stride, first } => {
            let first = match first {
                First::Pixel(first) => json!(first),
                First::Same => json!("same"),
            };
            ("subsample", json!({ "stride": stride, "first": first }))
        }
        Operation::Left(matrix) => ("left", json!({ "shape": matrix.shape })),
        Operation::Right(matrix) => ("right", json!({ "shape": matrix.shape })),
        Operation::Part { axis, range } => {
            ("part", json!({ "axis": axis, "start": range.start, "length": range.len() }))
        }
        Operation::ToMultiple(multiple) => ("to_multiple", json!({ "of": multiple })),
        Operation::CropLike => ("crop_like", none),
        Operation::Join { axis } => ("join", json!({ "axis": axis })),
        Operation::Reshape(shape) => ("reshape", json!({ "shape": shape })),
    }
}
