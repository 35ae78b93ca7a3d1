//! A network as an ONNX file.

use super::proto::{
    Attribute, AttributeKind, DataType, Dimension, Entry, Graph as GraphProto, Length, Model, Node as NodeProto,
    OperatorSet, Shape, Tensor, TensorType, Type, ValueInfo,
};
use crate::interop::graph::{
    Array, Convolve, ConvolveTransposed, First, Graph, Node, Normalise, Operation, Value, Zeros,
};
use crate::layer::PaddingMode;
use prost::Message;

/// Version of the operators that a file asks for.
pub const OPSET: i64 = 17;
/// Version of the format that goes with it.
const IR_VERSION: i64 = 8;

/// Name of the input, `[batch, channels, height, width]`.
pub const IMAGE: &str = "image";
/// Name of the output, `[batch, classes]` or `[batch, classes, height, width]`.
pub const LOGITS: &str = "logits";

/// The network as the bytes of a file, with metadata. The batch is free, and height and width where the graph's are.
///
/// ```
/// use burn::tensor::Device;
/// use njet::interop::{Baking, onnx};
/// use njet::models::{Architecture, ModelConfig};
/// let model = ModelConfig::new(Architecture::Small, 1, 10).init(&Device::flex())?;
/// let graph = model.bake_graph(&Baking::default())?;
/// let bytes = onnx::encode(&graph, &[("classes".to_owned(), r#"["a", "b"]"#.to_owned())]);
/// let tensors = onnx::read_tensors(&bytes)?;
/// assert_eq!((tensors[0].name.as_str(), &tensors[0].shape[..]), ("layer1.conv.weight", &[32, 1, 11, 11][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn encode(graph: &Graph, metadata: &[(String, String)]) -> Vec<u8> {
    let mut writer = Writer::default();
    for (number, node) in graph.nodes.iter().enumerate() {
        let last = number + 1 == graph.nodes.len();
        writer.node(graph, node, if last { LOGITS } else { &node.name });
    }
    let size = graph.size.map(|size| size.map(|pixels| Length::Value(pixels as i64)));
    let [height, width] = size.unwrap_or_else(|| ["height", "width"].map(|name| Length::Name(name.to_owned())));
    let batch = || Length::Name("batch".to_owned());
    let image = [batch(), Length::Value(graph.channels as i64), height.clone(), width.clone()];
    let output: Vec<Length> = match graph.nodes.last().map(|node| &node.operation) {
        _ if let Some(classes) = graph.per_pixel => vec![batch(), Length::Value(classes as i64), height, width],
        Some(Operation::Linear { bias, .. }) => vec![batch(), Length::Value(bias.len() as i64)],
        Some(Operation::Flatten) => vec![batch(), Length::Name("classes".to_owned())],
        _ => ["batch", "channels", "height_out", "width_out"].map(|name| Length::Name(name.to_owned())).into(),
    };
    let model = Model {
        ir_version: IR_VERSION,
        producer_name: "njet".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        doc_string: String::new(),
        graph: Some(GraphProto {
            node: writer.nodes,
            name: "njet".to_owned(),
            initializer: writer.tensors,
            input: vec![value_info(IMAGE, image.into())],
            output: vec![value_info(LOGITS, output)],
        }),
        opset_import: vec![OperatorSet { domain: String::new(), version: OPSET }],
        metadata_props: metadata.iter().map(|(key, value)| Entry { key: key.clone(), value: value.clone() }).collect(),
    };
    model.encode_to_vec()
}

fn value_info(name: &str, shape: Vec<Length>) -> ValueInfo {
    let dim = shape.into_iter().map(|length| Dimension { length: Some(length) }).collect();
    let tensor = TensorType { elem_type: DataType::Float as i32, shape: Some(Shape { dim }) };
    ValueInfo { name: name.to_owned(), r#type: Some(Type { tensor: Some(tensor) }), doc_string: String::new() }
}

#[derive(Default)]
struct Writer {
    nodes: Vec<NodeProto>,
    tensors: Vec<Tensor>,
}

impl Writer {
    fn node(&mut self, graph: &Graph, node: &Node, output: &str) {
        let name = node.name.as_str();
        let inputs: Vec<&str> = node
            .inputs
            .iter()
            .map(|&value| match value {
                Value::Image => IMAGE,
                Value::Node(number) => graph.nodes[number].name.as_str(),
            })
            .collect();
        let x = inputs[0];
        match &node.operation {
            Operation::Convolve(convolve) => self.convolve(name, convolve, x, output),
            Operation::ConvolveTransposed(convolve) => self.convolve_transposed(name, convolve, x, output),
            Operation::Normalise(Normalise { gamma, beta, mean, variance, epsilon }) => {
                let vectors = [("weight", gamma), ("bias", beta), ("running_mean", mean), ("running_var", variance)];
                let names =
                    vectors.map(|(part, values)| self.array(format!("{name}.{part}"), &Array::vector(values.clone())));
                let inputs: Vec<&str> = std::iter::once(x).chain(names.iter().map(String::as_str)).collect();
                self.push("BatchNormalization", name, &inputs, output, vec![float("epsilon", *epsilon as f32)]);
            }
            Operation::Linear { weight, bias } => {
                let weight = self.array(format!("{name}.weight"), weight);
                let bias = self.array(format!("{name}.bias"), &Array::vector(bias.clone()));
                self.push("Gemm", name, &[x, &weight, &bias], output, vec![int("transB", 1)]);
            }
            Operation::Relu => self.push("Relu", name, &[x], output, vec![]),
            Operation::Sigmoid => self.push("Sigmoid", name, &[x], output, vec![]),
            Operation::Swish => {
                let factor = format!("{name}.sigmoid");
                self.push("Sigmoid", &factor, &[x], &factor, vec![]);
                self.push("Mul", name, &[x, &factor], output, vec![]);
            }
            Operation::Affine { scale, offset } => {
                let number = |value: f32| Array { shape: Vec::new(), values: vec![value] };
                let scale = self.array(format!("{name}.scale"), &number(*scale));
                let offset = self.array(format!("{name}.offset"), &number(*offset));
                let scaled = format!("{name}.scaled");
                self.push("Mul", &scaled, &[x, &scale], &scaled, vec![]);
                self.push("Add", name, &[&scaled, &offset], output, vec![]);
            }
            Operation::MaxPool { side, stride, padding } => {
                let attributes = vec![
                    ints("kernel_shape", &[*side; 2]),
                    ints("strides", &[*stride; 2]),
                    ints("pads", &[*padding; 4]),
                ];
                self.push("MaxPool", name, &[x], output, attributes);
            }
            Operation::AveragePool { side, stride } => {
                let attributes = vec![ints("kernel_shape", &[*side; 2]), ints("strides", &[*stride; 2])];
                self.push("AveragePool", name, &[x], output, attributes);
            }
            Operation::Mean => self.push("GlobalAveragePool", name, &[x], output, vec![]),
            Operation::Flatten => self.push("Flatten", name, &[x], output, vec![int("axis", 1)]),
            Operation::Add => self.push("Add", name, &inputs, output, vec![]),
            Operation::Multiply => self.push("Mul", name, &inputs, output, vec![]),
            Operation::MoreChannels(more) => {
                let pads = self.integers(format!("{name}.pads"), &[0, 0, 0, 0, 0, *more as i64, 0, 0]);
                self.push("Pad", name, &[x, &pads], output, vec![text("mode", "constant")]);
            }
            Operation::Border { mode, margins } => self.border(name, *mode, margins, x, output),
            Operation::Pick { axis, pixels } => {
                let pixels: Vec<i64> = pixels.iter().map(|&pixel| pixel as i64).collect();
                let pixels = self.integers(format!("{name}.pixels"), &pixels);
                self.push("Gather", name, &[x, &pixels], output, vec![int("axis", *axis as i64)]);
            }
            Operation::Subsample { stride, first } => {
                let starts = match first {
                    First::Pixel(first) => self.integers(format!("{name}.starts"), &first.map(|pixel| pixel as i64)),
                    First::Same => self.first_of_same(name, *stride, x),
                };
                let ends = self.integers(format!("{name}.ends"), &[i64::MAX; 2]);
                let axes = self.integers(format!("{name}.axes"), &[2, 3]);
                let steps = self.integers(format!("{name}.steps"), &stride.map(|stride| stride as i64));
                self.push("Slice", name, &[x, &starts, &ends, &axes, &steps], output, vec![]);
            }
            Operation::Left(matrix) => {
                let matrix = self.array(format!("{name}.weight"), matrix);
                self.push("MatMul", name, &[&matrix, x], output, vec![]);
            }
            Operation::Right(matrix) => {
                let matrix = self.array(format!("{name}.weight"), matrix);
                self.push("MatMul", name, &[x, &matrix], output, vec![]);
            }
            Operation::Part { axis, range } => {
                self.part(name, *axis, range.start as i64, range.end as i64, x, output);
            }
            Operation::ToMultiple(multiple) => {
                let pads = self.missing(name, *multiple, x);
                self.push("Pad", name, &[x, &pads], output, vec![text("mode", "constant")]);
            }
            Operation::CropLike => {
                let starts = self.integers(format!("{name}.starts"), &[0, 0]);
                let ends = self.size(&format!("{name}.size"), inputs[1]);
                let axes = self.integers(format!("{name}.axes"), &[2, 3]);
                self.push("Slice", name, &[x, &starts, &ends, &axes], output, vec![]);
            }
            Operation::Join { axis } => self.push("Concat", name, &inputs, output, vec![int("axis", *axis as i64)]),
            Operation::Reshape(shape) => {
                let [channels, height, width] = shape.map(|length| length as i64);
                let shape = self.integers(format!("{name}.shape"), &[-1, channels, height, width]);
                self.push("Reshape", name, &[x, &shape], output, vec![]);
            }
        }
    }

    fn convolve(&mut self, name: &str, convolve: &Convolve, x: &str, output: &str) {
        let Convolve { weight, bias, stride, zeros, groups } = convolve;
        let mut attributes = vec![
            ints("kernel_shape", &[weight.shape[2], weight.shape[3]]),
            ints("strides", stride),
            int("group", *groups as i64),
        ];
        attributes.push(match *zeros {
            Zeros::Same => text("auto_pad", "SAME_UPPER"),
            Zeros::Explicit([(top, bottom), (left, right)]) => ints("pads", &[top, left, bottom, right]),
        });
        let weight = self.array(format!("{name}.weight"), weight);
        let bias = bias.as_ref().map(|bias| self.array(format!("{name}.bias"), &Array::vector(bias.clone())));
        let mut inputs = vec![x, &weight];
        inputs.extend(bias.as_deref());
        self.push("Conv", name, &inputs, output, attributes);
    }

    fn convolve_transposed(&mut self, name: &str, convolve: &ConvolveTransposed, x: &str, output: &str) {
        let ConvolveTransposed { weight, bias, stride, cut: [(top, bottom), (left, right)], more, groups } = convolve;
        let attributes = vec![
            ints("kernel_shape", &[weight.shape[2], weight.shape[3]]),
            ints("strides", stride),
            int("group", *groups as i64),
            ints("pads", &[*top, *left, *bottom, *right]),
            ints("output_padding", more),
        ];
        let weight = self.array(format!("{name}.weight"), weight);
        let bias = bias.as_ref().map(|bias| self.array(format!("{name}.bias"), &Array::vector(bias.clone())));
        let mut inputs = vec![x, &weight];
        inputs.extend(bias.as_deref());
        self.push("ConvTranspose", name, &inputs, output, attributes);
    }

    /// The image continued by itself. Opset 17 has no circular padding: there it is put together from parts.
    fn border(&mut self, name: &str, mode: PaddingMode, margins: &[(usize, usize); 2], x: &str, output: &str) {
        let [(top, bottom), (left, right)] = margins.map(|(before, after)| (before as i64, after as i64));
        let padding = match mode {
            PaddingMode::Zeros => "constant",
            PaddingMode::Replicate => "edge",
            PaddingMode::Reflect => "reflect",
            PaddingMode::Circular => {
                let middle = format!("{name}.rows");
                self.around(&middle, 2, top, bottom, x, &middle);
                return self.around(name, 3, left, right, &middle, output);
            }
        };
        let pads = self.integers(format!("{name}.pads"), &[0, 0, top, left, 0, 0, bottom, right]);
        self.push("Pad", name, &[x, &pads], output, vec![text("mode", padding)]);
    }

    /// Along one axis, the last pixels before the first and the first after the last.
    fn around(&mut self, name: &str, axis: usize, before: i64, after: i64, x: &str, output: &str) {
        let (last, first) = (format!("{name}.before"), format!("{name}.after"));
        let mut inputs = Vec::new();
        if before > 0 {
            self.part(&last, axis, -before, i64::MAX, x, &last);
            inputs.push(last.as_str());
        }
        inputs.push(x);
        if after > 0 {
            self.part(&first, axis, 0, after, x, &first);
            inputs.push(first.as_str());
        }
        self.push("Concat", name, &inputs, output, vec![int("axis", axis as i64)]);
    }

    fn part(&mut self, name: &str, axis: usize, start: i64, end: i64, x: &str, output: &str) {
        let starts = self.integers(format!("{name}.starts"), &[start]);
        let ends = self.integers(format!("{name}.ends"), &[end]);
        let axes = self.integers(format!("{name}.axes"), &[axis as i64]);
        self.push("Slice", name, &[x, &starts, &ends, &axes], output, vec![]);
    }

    /// ((pixels − 1) mod stride + 1) / 2 along y and x, computed from the size of `x`.
    fn first_of_same(&mut self, name: &str, stride: [usize; 2], x: &str) -> String {
        let size = self.size(&format!("{name}.size"), x);
        let one = self.integers(format!("{name}.one"), &[1, 1]);
        let two = self.integers(format!("{name}.two"), &[2, 2]);
        let stride = self.integers(format!("{name}.stride"), &stride.map(|stride| stride as i64));
        let steps = [("Sub", "before", &one), ("Mod", "rest", &stride), ("Add", "kept", &one), ("Div", "starts", &two)];
        steps.into_iter().fold(size, |value, (operator, part, by)| {
            let result = format!("{name}.{part}");
            self.push(operator, &result, &[&value, by], &result, vec![]);
            result
        })
    }

    /// Rows and columns of `x`.
    fn size(&mut self, name: &str, x: &str) -> String {
        self.push("Shape", name, &[x], name, vec![int("start", 2), int("end", 4)]);
        name.to_owned()
    }

    /// What `x` lacks of the next multiple at the ends of its rows and columns, as `Pad` takes it:
    /// m − 1 − (pixels + m − 1) mod m, which is never negative on the way.
    fn missing(&mut self, name: &str, multiple: usize, x: &str) -> String {
        let size = self.size(&format!("{name}.size"), x);
        let less_one = self.integers(format!("{name}.less_one"), &[multiple as i64 - 1; 2]);
        let by = self.integers(format!("{name}.multiple"), &[multiple as i64; 2]);
        let [beyond, rest, missing, pads] = ["beyond", "rest", "missing", "pads"].map(|part| format!("{name}.{part}"));
        self.push("Add", &beyond, &[&size, &less_one], &beyond, vec![]);
        self.push("Mod", &rest, &[&beyond, &by], &rest, vec![]);
        self.push("Sub", &missing, &[&less_one, &rest], &missing, vec![]);
        let before = self.integers(format!("{name}.none"), &[0; 6]);
        self.push("Concat", &pads, &[&before, &missing], &pads, vec![int("axis", 0)]);
        pads
    }

    fn push(&mut self, operator: &str, name: &str, inputs: &[&str], output: &str, attribute: Vec<Attribute>) {
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: name.to_owned(),
            op_type: operator.to_owned(),
            attribute,
        });
    }

    /// Adds an array and gives its name.
    fn array(&mut self, name: String, array: &Array) -> String {
        self.tensors.push(Tensor {
            dims: array.shape.iter().map(|&length| length as i64).collect(),
            data_type: DataType::Float as i32,
            name: name.clone(),
            raw_data: array.values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ..Tensor::default()
        });
        name
    }

    /// Adds a vector of integers and gives its name.
    fn integers(&mut self, name: String, values: &[i64]) -> String {
        self.tensors.push(Tensor {
            dims: vec![values.len() as i64],
            data_type: DataType::Int64 as i32,
            name: name.clone(),
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ..Tensor::default()
        });
        name
    }
}

fn attribute(name: &str, kind: AttributeKind) -> Attribute {
    Attribute { name: name.to_owned(), kind: kind as i32, ..Attribute::default() }
}

fn int(name: &str, value: i64) -> Attribute {
    Attribute { i: Some(value), ..attribute(name, AttributeKind::Int) }
}

fn float(name: &str, value: f32) -> Attribute {
    Attribute { f: Some(value), ..attribute(name, AttributeKind::Float) }
}

fn text(name: &str, value: &str) -> Attribute {
    Attribute { s: Some(value.as_bytes().to_vec()), ..attribute(name, AttributeKind::String) }
}

fn ints(name: &str, values: &[usize]) -> Attribute {
    let ints = values.iter().map(|&value| value as i64).collect();
    Attribute { ints, ..attribute(name, AttributeKind::Ints) }
}
