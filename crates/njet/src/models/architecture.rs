//! The names of the architectures and of the choices that go with them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The architectures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Architecture {
    /// Three spatial layers of 32, 64 and 96 channels, average pooling after the first two.
    #[serde(rename = "njet-small")]
    Small,
    /// Network-in-Network (Lin et al. 2013): three spatial layers of 192 channels, two 1×1 convolutions after
    /// each. By default without pooling, as in Pintea et al. 2021. All its plain windows are 3×3, where Lin et al.
    /// have 5×5 in the first two layers.
    #[serde(rename = "nin")]
    NetworkInNetwork,
    /// ALL-CNN-C (Springenberg et al. 2014, "Striving for simplicity"): seven spatial layers of 96 and 192
    /// channels, two 1×1 convolutions. By default without strides, as in Pintea et al. 2021.
    #[serde(rename = "allcnn")]
    AllConvolutional,
    /// ResNet-20 for small images (He et al. 2015, section 4.2): parameter-free shortcuts.
    #[serde(rename = "resnet20")]
    ResNet20,
    /// ResNet-32 for small images.
    #[serde(rename = "resnet32")]
    ResNet32,
    /// ResNet-44 for small images.
    #[serde(rename = "resnet44")]
    ResNet44,
    /// ResNet-56 for small images.
    #[serde(rename = "resnet56")]
    ResNet56,
    /// ResNet-110 for small images.
    #[serde(rename = "resnet110")]
    ResNet110,
    /// ResNet-18 (He et al. 2015, table 1): for images of about 224×224, projections where a shortcut changes shape.
    #[serde(rename = "resnet18")]
    ResNet18,
    /// EfficientNet-B0 (Tan and Le 2019): for images of about 224×224, depthwise spatial layers.
    #[serde(rename = "efficientnet-b0")]
    EfficientNetB0,
}

/// What the spatial layers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerKind {
    /// N-jet layers, whose size is learned.
    #[default]
    Njet,
    /// Plain convolutions with the published window.
    Conv,
}

/// What is done where the published network makes the image smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subsampling {
    /// Nothing: no strides, no pooling, every layer sees the whole image (Pintea et al. 2021).
    None,
    /// What is published: strides and pooling.
    Strides,
    /// Safe subsampling instead: the N-jet layers there have a real stride that follows σ, and no pooling follows.
    Safe,
}

/// A name that is none of the known ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} `{name}`: known are {known}")]
pub struct UnknownName {
    what: &'static str,
    name: String,
    known: String,
}

macro_rules! named {
    ($type:ty, $what:literal, $($variant:path => $name:literal),+) => {
        impl $type {
            /// All of them.
            pub const ALL: &[Self] = &[$($variant),+];

            /// The name on the command line and in files.
            pub const fn name(self) -> &'static str {
                match self { $($variant => $name),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;
            fn from_str(name: &str) -> Result<Self, UnknownName> {
                Self::ALL.iter().copied().find(|known| known.name() == name).ok_or_else(|| UnknownName {
                    what: $what,
                    name: name.to_owned(),
                    known: [$($name),+].join(", "),
                })
            }
        }
    };
}

named!(Architecture, "architecture",
    Architecture::Small => "njet-small",
    Architecture::NetworkInNetwork => "nin",
    Architecture::AllConvolutional => "allcnn",
    Architecture::ResNet20 => "resnet20",
    Architecture::ResNet32 => "resnet32",
    Architecture::ResNet44 => "resnet44",
    Architecture::ResNet56 => "resnet56",
    Architecture::ResNet110 => "resnet110",
    Architecture::ResNet18 => "resnet18",
    Architecture::EfficientNetB0 => "efficientnet-b0");
named!(LayerKind, "layer", LayerKind::Njet => "njet", LayerKind::Conv => "conv");
named!(Subsampling, "subsampling", Subsampling::None => "none", Subsampling::Strides => "strides", Subsampling::Safe => "safe");

impl Architecture {
    /// What is done by default where the published network makes the image smaller.
    pub const fn subsampling(self) -> Subsampling {
        match self {
            Self::NetworkInNetwork | Self::AllConvolutional => Subsampling::None,
            Self::Small
            | Self::ResNet20
            | Self::ResNet32
            | Self::ResNet44
            | Self::ResNet56
            | Self::ResNet110
            | Self::ResNet18
            | Self::EfficientNetB0 => Subsampling::Strides,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for &architecture in Architecture::ALL {
            assert_eq!(architecture.to_string().parse(), Ok(architecture));
            let json = serde_json::to_string(&architecture).unwrap();
            assert_eq!(json, format!("\"{architecture}\""));
        }
        for &subsampling in Subsampling::ALL {
            assert_eq!(subsampling.to_string().parse(), Ok(subsampling));
            assert_eq!(serde_json::to_string(&subsampling).unwrap(), format!("\"{subsampling}\""));
        }
        let message = "vgg".parse::<Architecture>().unwrap_err().to_string();
        assert!(message.starts_with("unknown architecture `vgg`: known are njet-small, nin, allcnn, resnet20"));
        assert_eq!("conv".parse(), Ok(LayerKind::Conv));
    }
}
