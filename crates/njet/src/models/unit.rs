//! How blocks are connected.

use super::activation::Activation;
use super::block::{Block, Convolution};
use crate::layer::Stride;
use burn::nn::PaddingConfig2d;
use burn::tensor::{Slice, Tensor};

/// Some blocks of a network that follow one another, and how they are connected. The blocks themselves are the
/// network's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// One block.
    Plain,
    /// A branch of blocks whose output is added to a shortcut.
    Residual {
        /// Blocks of the branch, which come first.
        branch: usize,
        /// Whether one more block follows, a 1×1 projection of the shortcut.
        projected: bool,
        /// Of the sum.
        activation: Activation,
    },
}

impl Unit {
    /// How many blocks it has.
    pub fn blocks(self) -> usize {
        match self {
            Self::Plain => 1,
            Self::Residual { branch, projected, .. } => branch + usize::from(projected),
        }
    }

    /// `[batch, channels_in, height, width]` to `[batch, channels_out, height_out, width_out]` by its own blocks.
    pub(super) fn forward(self, blocks: &[Block], x: Tensor<4>) -> Tensor<4> {
        let run = |blocks: &[Block], x| blocks.iter().fold(x, |x, block| block.forward(x));
        match self {
            Self::Plain => run(blocks, x),
            Self::Residual { branch, activation, .. } => {
                let (branch, projection) = blocks.split_at(branch);
                let y = run(branch, x.clone());
                activation.apply(y + shortcut(branch, projection.first(), x))
            }
        }
    }
}

/// The way around a branch, `[batch, channels_out, height_out, width_out]` as the branch's output: the input at the
/// positions of the branch's outputs, then either a projection or zeros for the channels that it lacks.
///
/// Nothing else decides the positions.
fn shortcut(branch: &[Block], projection: Option<&Block>, x: Tensor<4>) -> Tensor<4> {
    let x = branch.iter().fold(x, |x, block| {
        let stride = match &block.convolution {
            Convolution::Njet(layer) => match layer.stride {
                Stride::Fixed(stride) => stride,
                _ => return layer.sample(x),
            },
            Convolution::Conv(layer) => layer.stride,
        };
        if stride == [1, 1] {
            return x;
        }
        let first = first_output(&block.convolution, &x);
        let every = |axis: usize| Slice::new(first[axis] as isize, None, stride[axis] as isize);
        x.slice([Slice::full(), Slice::full(), every(0), every(1)])
    });
    match projection {
        Some(block) => block.forward(x),
        None => {
            let [batch, channels, height, width] = x.dims();
            let channels_out = branch.last().map_or(channels, |block| block.convolution.channels_out());
            if channels_out == channels {
                return x;
            }
            let zeros = Tensor::zeros([batch, channels_out - channels, height, width], (&x.device(), x.dtype()));
            Tensor::cat(vec![x, zeros], 1)
        }
    }
}

/// The pixel of `x`, along y and x, that the first output of a convolution is centred on.
fn first_output(convolution: &Convolution, x: &Tensor<4>) -> [usize; 2] {
    let before = match convolution {
        Convolution::Njet(layer) => {
            let call = layer.settings().call(x.dims(), convolution.channels_out());
            call.unwrap_or_else(|error| panic!("N-jet layer: {error}")).padding.map(|(before, _)| before)
        }
        Convolution::Conv(layer) => match layer.padding {
            PaddingConfig2d::Explicit(top, left, _, _) => [top, left],
            PaddingConfig2d::Valid => [0, 0],
            PaddingConfig2d::Same => unreachable!("strided plain convolutions are given their padding in pixels"),
        },
    };
    let kernel = convolution.kernel_size();
    [0, 1].map(|axis| (kernel[axis] / 2).saturating_sub(before[axis]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Architecture, Classifier, LayerKind, ModelConfig};
    use burn::module::Param;
    use burn::tensor::{Device, Distribution, Tolerance};

    /// A model whose spatial layers hand on the first of their inputs: a single weight of 1, or the Gaussian of so
    /// small a scale that it is one.
    fn handing_on(arch: Architecture, layer: LayerKind, device: &Device) -> Classifier {
        let config = ModelConfig { layer, sigma: 0.1, ..ModelConfig::new(arch, 3, 10) };
        let mut model = config.init(device).unwrap();
        for block in &mut model.blocks {
            match &mut block.convolution {
                Convolution::Njet(layer) => {
                    let [outputs, inputs, basis] = layer.alpha.dims();
                    let rest = Tensor::zeros([outputs, inputs, basis - 1], device);
                    let eye = Tensor::<2>::eye(outputs.max(inputs), device).slice([0..outputs, 0..inputs]);
                    layer.alpha = Param::from_tensor(Tensor::cat(vec![eye.unsqueeze_dim(2), rest], 2));
                }
                Convolution::Conv(layer) => {
                    let [outputs, inputs, height, width] = layer.weight.dims();
                    let eye = Tensor::<2>::eye(outputs.max(inputs), device).slice([0..outputs, 0..inputs]);
                    let zeros = Tensor::<4>::zeros([outputs, inputs, height, width], device);
                    let centre = [0..outputs, 0..inputs, height / 2..height / 2 + 1, width / 2..width / 2 + 1];
                    layer.weight = Param::from_tensor(zeros.slice_assign(centre, eye.reshape([outputs, inputs, 1, 1])));
                }
            }
        }
        model
    }

    /// Branch and shortcut then give the same pixels, whatever the size; both shortcuts, both kinds of layer.
    #[test]
    fn a_shortcut_is_sampled_where_the_branch_is() {
        let device = Device::flex();
        for arch in [Architecture::ResNet20, Architecture::ResNet18] {
            for layer in [LayerKind::Njet, LayerKind::Conv] {
                let model = handing_on(arch, layer, &device);
                let strided = |blocks: &[Block]| blocks[0].convolution.stride() == [2.0, 2.0] && blocks.len() > 1;
                let (unit, blocks) = model.units().find(|(_, blocks)| strided(blocks)).unwrap();
                let Unit::Residual { branch, projected, .. } = unit else { panic!("{unit:?}") };
                assert_eq!((branch, projected), (2, arch == Architecture::ResNet18));
                let inputs = if projected { 64 } else { 16 };
                for [height, width] in [[8, 8], [7, 9], [6, 11], [1, 2]] {
                    // Positive, so that a ReLU changes nothing.
                    let x = Tensor::<4>::random([2, inputs, height, width], Distribution::Uniform(1.0, 2.0), &device);
                    let y = unit.forward(blocks, x.clone());
                    // `Same` puts the first of an even number of N-jet outputs on the second pixel.
                    let first = |pixels: usize| isize::from(layer == LayerKind::Njet && pixels.is_multiple_of(2));
                    let every = |pixels| Slice::new(first(pixels), None, 2);
                    let sampled = x.slice([Slice::full(), Slice::full(), every(height), every(width)]);
                    let kept = y.clone().slice_dim(1, 0..inputs);
                    // Normalisation divides by √(1 + ε).
                    let tolerance = Tolerance::<f32>::rel_abs(1e-4, 0.0);
                    kept.into_data().assert_approx_eq(&(sampled * 2.0).into_data(), tolerance);
                    let added = y.slice_dim(1, inputs..2 * inputs).abs().max().into_scalar::<f32>();
                    assert_eq!(added, 0.0, "{arch} {layer}");
                }
            }
        }
    }

    /// With safe subsampling too: a ramp is handed on at the positions of the outputs by both.
    #[test]
    fn a_safe_shortcut_is_sampled_where_the_branch_is() {
        use crate::models::Subsampling;
        let device = Device::flex();
        let config = ModelConfig {
            subsampling: Some(Subsampling::Safe),
            sigma: 0.8,
            padding_mode: crate::layer::PaddingMode::Replicate,
            ..ModelConfig::new(Architecture::ResNet20, 3, 10)
        };
        let mut model = config.init(&device).unwrap();
        for block in &mut model.blocks {
            if let Convolution::Njet(layer) = &mut block.convolution {
                let [outputs, inputs, basis] = layer.alpha.dims();
                let rest = Tensor::zeros([outputs, inputs, basis - 1], &device);
                let eye = Tensor::<2>::eye(outputs.max(inputs), &device).slice([0..outputs, 0..inputs]);
                layer.alpha = Param::from_tensor(Tensor::cat(vec![eye.unsqueeze_dim(2), rest], 2));
            }
        }
        let strided = |blocks: &[Block]| blocks[0].convolution.stride()[0] > 1.0 && blocks.len() > 1;
        let (unit, blocks) = model.units().find(|(_, blocks)| strided(blocks)).unwrap();
        let ramp = Tensor::<1, burn::tensor::Int>::arange(0..60, &device).float().reshape([1, 1, 1, 60]);
        let x = ramp.repeat_dim(1, 16).repeat_dim(2, 60);
        let y = unit.forward(blocks, x.clone()).slice([0..1, 0..1, 18..19, 8..30]);
        let Convolution::Njet(layer) = &blocks[0].convolution else { panic!("an N-jet layer") };
        // A Gaussian leaves a ramp as it is, away from the border.
        let sampled = layer.sample(x).slice([0..1, 0..1, 18..19, 8..30]);
        y.into_data().assert_approx_eq::<f32>(&(sampled * 2.0).into_data(), Tolerance::rel_abs(1e-3, 1e-3));
    }
}
