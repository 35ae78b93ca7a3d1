//! The architectures written out.

mod efficientnet;
mod plain;
mod resnet;

use super::architecture::Architecture;
use super::spec::NetworkSpec;

impl Architecture {
    /// Its blocks and how they are connected.
    pub fn network(self) -> NetworkSpec {
        match self {
            Self::Small => plain::small(),
            Self::NetworkInNetwork => plain::network_in_network(),
            Self::AllConvolutional => plain::all_convolutional(),
            Self::ResNet20 => resnet::for_small_images(20),
            Self::ResNet32 => resnet::for_small_images(32),
            Self::ResNet44 => resnet::for_small_images(44),
            Self::ResNet56 => resnet::for_small_images(56),
            Self::ResNet110 => resnet::for_small_images(110),
            Self::ResNet18 => resnet::resnet18(),
            Self::EfficientNetB0 => efficientnet::b0(),
        }
    }
}
