//! Networks without shortcuts.

use crate::models::pool::Pool;
use crate::models::spec::{BlockSpec, Filters, Head, NetworkSpec, UnitSpec};

fn spatial(name: &str, channels: usize) -> BlockSpec {
    BlockSpec::new(name, Filters::Dense { side: 3 }, channels)
}

fn mix(name: &str, channels: usize) -> BlockSpec {
    BlockSpec::new(name, Filters::Pointwise, channels)
}

fn network(blocks: Vec<BlockSpec>, head: Head) -> NetworkSpec {
    NetworkSpec { units: blocks.into_iter().map(UnitSpec::Plain).collect(), head }
}

/// Our own small network.
pub(super) fn small() -> NetworkSpec {
    let blocks = vec![
        spatial("layer1", 32).pool(Pool::Average2),
        spatial("layer2", 64).pool(Pool::Average2),
        spatial("layer3", 96),
    ];
    network(blocks, Head::MeanLinear { dropout: None })
}

/// Lin et al. 2013. They pool the maximum "by a factor of two" after the first two groups; the window of 3×3 is
/// that of their CIFAR-10 model.
pub(super) fn network_in_network() -> NetworkSpec {
    let blocks = vec![
        spatial("layer1", 192),
        mix("mix1a", 160),
        mix("mix1b", 96).pool(Pool::Max3).dropout(0.5),
        spatial("layer2", 192),
        mix("mix2a", 192),
        mix("mix2b", 192).pool(Pool::Max3).dropout(0.5),
        spatial("layer3", 192),
        mix("mix3a", 192),
        BlockSpec::classes("mix3b"),
    ];
    network(blocks, Head::Mean)
}

/// ALL-CNN-C, Springenberg et al. 2014, table 1 and 2: convolutions with stride 2 instead of pooling, dropout
/// after them.
///
/// Theirs has no batch normalisation, and drops 20 % of the image too. Both together do harm: on an even background the noise of
/// what is dropped is most of what the first layer answers to, and its normalisation counts on that noise when it is gone. With
/// plain convolutions and clothes on black that came to 86 % right in training and 40 % in the test.
pub(super) fn all_convolutional() -> NetworkSpec {
    let blocks = vec![
        spatial("layer1", 96),
        spatial("layer2", 96),
        spatial("layer3", 96).stride(2).dropout(0.5),
        spatial("layer4", 192),
        spatial("layer5", 192),
        spatial("layer6", 192).stride(2).dropout(0.5),
        spatial("layer7", 192),
        mix("mix8", 192),
        BlockSpec::classes("mix9"),
    ];
    network(blocks, Head::Mean)
}
