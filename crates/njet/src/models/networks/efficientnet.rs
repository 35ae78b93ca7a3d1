//! EfficientNet: Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", 2019
//! (arXiv 1905.11946).

use crate::models::activation::Activation;
use crate::models::spec::{BlockSpec, Filters, Head, NetworkSpec, ShortcutSpec, UnitSpec};

/// A row of table 1.
struct Stage {
    expansion: usize,
    side: usize,
    stride: usize,
    channels: usize,
    blocks: usize,
}

const STAGES: [Stage; 7] = [
    Stage { expansion: 1, side: 3, stride: 1, channels: 16, blocks: 1 },
    Stage { expansion: 6, side: 3, stride: 2, channels: 24, blocks: 2 },
    Stage { expansion: 6, side: 5, stride: 2, channels: 40, blocks: 2 },
    Stage { expansion: 6, side: 3, stride: 2, channels: 80, blocks: 3 },
    Stage { expansion: 6, side: 5, stride: 1, channels: 112, blocks: 3 },
    Stage { expansion: 6, side: 5, stride: 2, channels: 192, blocks: 4 },
    Stage { expansion: 6, side: 3, stride: 1, channels: 320, blocks: 1 },
];

/// Of the last block; it rises linearly from 0 at the first (section 5.2).
const STOCHASTIC_DEPTH: f64 = 0.2;

/// Table 1: the stem, seven stages of inverted residual units, and a 1×1 convolution to 1280 channels.
pub(super) fn b0() -> NetworkSpec {
    let swish = |name: &str, filters, channels| BlockSpec::new(name, filters, channels).activation(Activation::Swish);
    let mut units = vec![UnitSpec::Plain(swish("stem", Filters::Dense { side: 3 }, 32).stride(2))];
    let all: usize = STAGES.iter().map(|stage| stage.blocks).sum();
    let (mut width, mut done) = (32, 0);
    for (number, stage) in (1..).zip(&STAGES) {
        for block in 1..=stage.blocks {
            let depth = STOCHASTIC_DEPTH * done as f64 / all as f64;
            let stride = if block == 1 { stage.stride } else { 1 };
            units.extend(inverted_residual(&format!("stage{number}.block{block}"), width, stage, stride, depth));
            width = stage.channels;
            done += 1;
        }
    }
    units.push(UnitSpec::Plain(swish("head", Filters::Pointwise, 1280)));
    NetworkSpec { units, head: Head::MeanLinear { dropout: Some(0.2) } }
}

/// Sandler et al. 2018 ("MobileNetV2") with the squeeze-and-excitation of Hu et al. 2018: 1×1 to many channels,
/// depthwise, a gate, 1×1 to few channels without an activation. A shortcut goes around where the shape stays.
fn inverted_residual(name: &str, inputs: usize, stage: &Stage, stride: usize, depth: f64) -> Vec<UnitSpec> {
    let wide = inputs * stage.expansion;
    let mut branch = Vec::new();
    if stage.expansion > 1 {
        branch.push(BlockSpec::new(format!("{name}.expand"), Filters::Pointwise, wide).activation(Activation::Swish));
    }
    let depthwise = BlockSpec::new(format!("{name}.depthwise"), Filters::Depthwise { side: stage.side }, wide);
    branch.push(depthwise.activation(Activation::Swish).stride(stride).squeeze((inputs / 4).max(1)));
    let project = BlockSpec::new(format!("{name}.project"), Filters::Pointwise, stage.channels);
    let project = project.activation(Activation::Identity);
    if stride == 1 && inputs == stage.channels {
        branch.push(if depth > 0.0 { project.stochastic_depth(depth) } else { project });
        vec![UnitSpec::Residual { branch, shortcut: ShortcutSpec::Identity, activation: Activation::Identity }]
    } else {
        branch.push(project);
        branch.into_iter().map(UnitSpec::Plain).collect()
    }
}
