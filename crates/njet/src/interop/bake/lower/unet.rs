//! From a U-Net to the list of its plain operations.

use super::{Lowering, Planes, called, channels_in, convolve, floats};
use crate::interop::bake::transposed::Transposed;
use crate::interop::bake::{BakeError, Baking};
use crate::interop::graph::{Array, ConvolveTransposed, Graph, Operation, Value};
use crate::layer::PaddingMode;
use crate::models::{Block, Convolution, Pool, UNET_ACTIVATION, UNet, Up, UpKind};
use burn::nn::conv::Conv2d;

pub(in crate::interop::bake) fn unet(model: &UNet, baking: &Baking) -> Result<Graph, BakeError> {
    let channels = model.blocks.first().map_or(1, |block| channels_in(&block.convolution));
    let mut lowering = Lowering { graph: Graph::new(channels, baking.size), baking };
    let side = model.head_stride();
    let classes = model.head.weight.dims()[0] / (side * side);
    lowering.graph.per_pixel = Some(classes);
    let image = Planes { value: Value::Image, size: baking.size };
    let whole = lowering.padded(model.total_stride().unwrap_or(1), image);
    let mut x = whole;
    let mut skips = Vec::new();
    for (level, blocks) in model.down().enumerate() {
        if level > 0 {
            skips.push(x);
            if model.total_stride().is_some() {
                x = lowering.pooled(&format!("down{level}.pool"), x);
            }
        }
        x = lowering.chain(blocks, x)?;
    }
    for (step, skip) in model.steps().zip(skips.into_iter().rev()) {
        let larger = lowering.step_up(step.up, step.down, x, skip)?;
        let name = format!("{}.skip", unit(&step.up.name));
        let value = lowering.graph.push(name, Operation::Add, &[skip.value, larger]);
        x = lowering.chain(step.blocks, Planes { value, ..skip })?;
    }
    let mut value = lowering.normalise(&model.norm, "head.norm", x.value);
    value = lowering.activation(UNET_ACTIVATION, "head.activation", value);
    value = lowering.graph.push("head", Operation::Convolve(convolve(&model.head)), &[value]);
    if side > 1 {
        value = lowering.graph.push("head.pixels", Operation::ConvolveTransposed(pixels(classes, side)), &[value]);
    }
    if whole.value != image.value {
        lowering.cropped(value, whole, image);
    }
    Ok(lowering.graph)
}

/// What the blocks at a resolution have in common.
fn unit(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(unit, _)| unit)
}

impl Lowering<'_> {
    /// With the rows and columns of zeros at the end that the poolings need.
    fn padded(&mut self, multiple: usize, x: Planes) -> Planes {
        let Some(size) = x.size else {
            if multiple == 1 {
                return x;
            }
            let value = self.graph.push("padded", Operation::ToMultiple(multiple), &[x.value]);
            return Planes { value, size: None };
        };
        let whole = size.map(|pixels| pixels.next_multiple_of(multiple));
        if whole == size {
            return x;
        }
        let margins = [0, 1].map(|axis| (0, whole[axis] - size[axis]));
        let zeros = Operation::Border { mode: PaddingMode::Zeros, margins };
        Planes { value: self.graph.push("padded", zeros, &[x.value]), size: Some(whole) }
    }

    /// Without them: what was `whole` as large as the image.
    fn cropped(&mut self, x: Value, whole: Planes, image: Planes) -> Value {
        let (Some(whole), Some(size)) = (whole.size, image.size) else {
            return self.graph.push("cropped", Operation::CropLike, &[x, image.value]);
        };
        (0..2).fold(x, |value, axis| {
            if whole[axis] == size[axis] {
                return value;
            }
            let part = Operation::Part { axis: 2 + axis, range: 0..size[axis] };
            self.graph.push(format!("cropped.{}", ["y", "x"][axis]), part, &[value])
        })
    }

    fn pooled(&mut self, name: &str, x: Planes) -> Planes {
        let pool = Pool::Average2;
        let operation = Operation::AveragePool { side: pool.side(), stride: pool.stride() };
        let value = self.graph.push(name, operation, &[x.value]);
        Planes { value, size: x.size.map(|size| size.map(|pixels| pool.output(pixels))) }
    }

    /// To the size of the skip connection. `down` is the block whose step down it undoes.
    fn step_up(&mut self, up: &Up, down: &Block, x: Planes, skip: Planes) -> Result<Value, BakeError> {
        let (layer, alpha, bias) = match &up.kind {
            UpKind::Conv(conv) => {
                return Ok(self.graph.push(&up.name, Operation::ConvolveTransposed(squares(conv)), &[x.value]));
            }
            UpKind::Njet(layer) => (&layer.convolution, layer.convolution.alpha.val(), layer.bias.as_ref()),
            UpKind::Safe(coefficients) => {
                let Convolution::Njet(layer) = &down.convolution else {
                    unreachable!("safe subsampling is by an N-jet layer")
                };
                (layer, coefficients.alpha.val(), None)
            }
        };
        let [channels_in, group_out, _] = alpha.dims();
        let alpha: Vec<f64> = alpha.into_data().iter::<f64>().collect();
        let settings = layer.settings();
        let transposed = Transposed {
            settings: &settings,
            alpha: &alpha,
            channels_in,
            channels_out: group_out * settings.groups,
            bias: bias.map(|bias| floats(bias.val())),
        };
        let sizes = x.size.zip(skip.size).map(|(from, to)| [from, to]);
        let lowered = transposed.lower(&mut self.graph, &up.name, self.baking, x.value, sizes);
        lowered.map_err(|error| called(error, &up.name))
    }
}

/// A 1×1 convolution whose channels become 2×2 pixels, four for each: a transposed convolution of 2×2 with stride 2.
fn squares(conv: &Conv2d) -> ConvolveTransposed {
    const SQUARE: usize = 4;
    let [planes, channels_in, ..] = conv.weight.dims();
    let rows = floats(conv.weight.val());
    // `[channels_out · 4, channels_in]` to `[channels_in, channels_out, 2, 2]`.
    let weight = (0..channels_in).flat_map(|i| rows.iter().skip(i).step_by(channels_in).copied()).collect();
    side_by_side(Array::new([channels_in, planes / SQUARE, 2, 2], weight), 1)
}

/// Channels that become side×side pixels, side² of them for each class: a transposed convolution that copies.
fn pixels(classes: usize, side: usize) -> ConvolveTransposed {
    let square = side * side;
    let one_hot = |plane: usize| (0..square).map(move |pixel| if plane % square == pixel { 1.0 } else { 0.0 });
    let weight = (0..classes * square).flat_map(one_hot).collect();
    side_by_side(Array::new([classes * square, 1, side, side], weight), classes)
}

/// A transposed convolution whose squares touch and do not overlap: the stride is their side.
fn side_by_side(weight: Array, groups: usize) -> ConvolveTransposed {
    let stride = [weight.shape[2], weight.shape[3]];
    ConvolveTransposed { weight, bias: None, stride, cut: [(0, 0); 2], more: [0, 0], groups }
}
