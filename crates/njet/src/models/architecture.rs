//! What the architectures are made of.

use super::block::After;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The architectures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Architecture {
    /// Three spatial layers of 32, 64 and 96 channels, average pooling after the first two.
    #[serde(rename = "njet-small")]
    Small,
    /// Network-in-Network (Lin et al. 2013) without pooling or strides, as in Pintea et al. 2021: three
    /// spatial layers of 192 channels, two 1×1 convolutions after each.
    #[serde(rename = "nin")]
    NetworkInNetwork,
    /// ALL-CNN-C (Springenberg et al. 2014, "Striving for simplicity") without strides: seven spatial
    /// layers of 96 and 192 channels, two 1×1 convolutions.
    #[serde(rename = "allcnn")]
    AllConvolutional,
}

/// What the spatial layers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerKind {
    /// N-jet layers, whose size is learned.
    #[default]
    Njet,
    /// Plain 3×3 convolutions.
    Conv,
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
    Architecture::AllConvolutional => "allcnn");
named!(LayerKind, "layer", LayerKind::Njet => "njet", LayerKind::Conv => "conv");

/// One convolution with its batch normalisation and ReLU.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlockSpec {
    /// Name in reports.
    pub name: &'static str,
    /// Whether it is spatial (N-jet or 3×3) or mixes channels only (1×1).
    pub spatial: bool,
    /// Output channels; `None`: as many as there are classes.
    pub channels: Option<usize>,
    /// What follows the ReLU.
    pub after: After,
}

/// How the last features become logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// The mean over the image of each channel.
    Mean,
    /// The mean, then a linear layer.
    MeanLinear,
}

impl Architecture {
    /// The blocks from the input to the last features.
    pub fn blocks(self) -> Vec<BlockSpec> {
        const DROPOUT: After = After::Dropout { probability: 0.5 };
        let block = |spatial, name, channels, after| BlockSpec { name, spatial, channels, after };
        let spatial = |name, channels, after| block(true, name, Some(channels), after);
        let mix = |name, channels, after| block(false, name, Some(channels), after);
        let classes = |name| block(false, name, None, After::Nothing);
        match self {
            Self::Small => vec![
                spatial("layer1", 32, After::AveragePool),
                spatial("layer2", 64, After::AveragePool),
                spatial("layer3", 96, After::Nothing),
            ],
            Self::NetworkInNetwork => vec![
                spatial("layer1", 192, After::Nothing),
                mix("mix1a", 160, After::Nothing),
                mix("mix1b", 96, DROPOUT),
                spatial("layer2", 192, After::Nothing),
                mix("mix2a", 192, After::Nothing),
                mix("mix2b", 192, DROPOUT),
                spatial("layer3", 192, After::Nothing),
                mix("mix3a", 192, After::Nothing),
                classes("mix3b"),
            ],
            Self::AllConvolutional => vec![
                spatial("layer1", 96, After::Nothing),
                spatial("layer2", 96, After::Nothing),
                spatial("layer3", 96, DROPOUT),
                spatial("layer4", 192, After::Nothing),
                spatial("layer5", 192, After::Nothing),
                spatial("layer6", 192, DROPOUT),
                spatial("layer7", 192, After::Nothing),
                mix("mix8", 192, After::Nothing),
                classes("mix9"),
            ],
        }
    }

    /// Probability that a pixel of the input is dropped in training.
    pub fn input_dropout(self) -> Option<f64> {
        match self {
            Self::AllConvolutional => Some(0.2),
            Self::Small | Self::NetworkInNetwork => None,
        }
    }

    /// How the last features become logits.
    pub fn head(self) -> Head {
        match self {
            Self::Small => Head::MeanLinear,
            Self::NetworkInNetwork | Self::AllConvolutional => Head::Mean,
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
        let message = "vgg".parse::<Architecture>().unwrap_err().to_string();
        assert_eq!(message, "unknown architecture `vgg`: known are njet-small, nin, allcnn");
        assert_eq!("conv".parse(), Ok(LayerKind::Conv));
    }
}
