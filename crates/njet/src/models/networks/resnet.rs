//! Residual networks: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", 2015 (arXiv 1512.03385).

use crate::models::activation::Activation;
use crate::models::pool::Pool;
use crate::models::spec::{BlockSpec, Filters, Head, NetworkSpec, ShortcutSpec, UnitSpec};

const WINDOW: Filters = Filters::Dense { side: 3 };

/// Two 3×3 convolutions and a shortcut; the ReLU of the second comes after the sum (figure 2).
fn basic(name: &str, channels: usize, stride: usize, shortcut: ShortcutSpec) -> UnitSpec {
    UnitSpec::Residual {
        branch: vec![
            BlockSpec::new(format!("{name}.conv1"), WINDOW, channels).stride(stride),
            BlockSpec::new(format!("{name}.conv2"), WINDOW, channels).activation(Activation::Identity),
        ],
        shortcut,
        activation: Activation::Relu,
    }
}

/// Section 4.2: three stages of 16, 32 and 64 channels, (depth − 2)/6 units each, and "identity shortcuts in all
/// cases".
pub(super) fn for_small_images(depth: usize) -> NetworkSpec {
    let mut units = vec![UnitSpec::Plain(BlockSpec::new("stem", WINDOW, 16))];
    for (stage, channels) in (1..).zip([16, 32, 64]) {
        for block in 1..=(depth - 2) / 6 {
            let stride = if stage > 1 && block == 1 { 2 } else { 1 };
            units.push(basic(&format!("stage{stage}.block{block}"), channels, stride, ShortcutSpec::Identity));
        }
    }
    NetworkSpec { units, head: Head::MeanLinear { dropout: None } }
}

/// Table 1: four stages of two units; projections where the shape changes (option B).
pub(super) fn resnet18() -> NetworkSpec {
    let stem = BlockSpec::new("stem", Filters::Dense { side: 7 }, 64).stride(2).pool(Pool::Max3);
    let mut units = vec![UnitSpec::Plain(stem)];
    for (stage, channels) in (1..).zip([64, 128, 256, 512]) {
        for block in 1..=2 {
            let name = format!("stage{stage}.block{block}");
            let (stride, shortcut) = if stage > 1 && block == 1 {
                let projection = BlockSpec::new(format!("{name}.shortcut"), Filters::Pointwise, channels);
                (2, ShortcutSpec::Projection(projection.activation(Activation::Identity)))
            } else {
                (1, ShortcutSpec::Identity)
            };
            units.push(basic(&name, channels, stride, shortcut));
        }
    }
    NetworkSpec { units, head: Head::MeanLinear { dropout: None } }
}
