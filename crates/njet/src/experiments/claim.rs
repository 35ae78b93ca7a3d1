//! The claims, and how much is trained for each.

use super::results::Column;
use std::fmt;
use std::str::FromStr;

/// A claim that runs decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// N-jet layers do as well as plain convolutions in standard architectures.
    Architectures,
    /// A learned σ beats a fixed one where objects have many sizes.
    Sizes,
    /// Where σ is learned, a bad start does not matter.
    Starts,
    /// A trained model goes to another resolution by rescaling σ.
    Transfer,
    /// What each choice of the layer is worth.
    Ablations,
}

/// How much is trained for a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Effort {
    /// Training images, those for validation included; `None`: all.
    pub(super) images: Option<usize>,
    /// Passes over them.
    pub(super) epochs: usize,
    /// Seeds unless their number is given.
    pub(super) seeds: usize,
}

/// Not the name of a claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown claim `{name}`: known are {known}", known = Claim::ALL.map(Claim::name).join(", "))]
pub struct UnknownClaim {
    name: String,
}

impl Claim {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Architectures, Self::Sizes, Self::Starts, Self::Transfer, Self::Ablations];

    /// The name on the command line and of the directory of results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Architectures => "architectures",
            Self::Sizes => "sizes",
            Self::Starts => "starts",
            Self::Transfer => "transfer",
            Self::Ablations => "ablations",
        }
    }

    /// The claim in a line.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Architectures => "N-jet layers do as well as plain convolutions in standard architectures",
            Self::Sizes => "Learned σ beats fixed σ for inputs of many sizes",
            Self::Starts => "A bad start of σ does not matter where σ is learned",
            Self::Transfer => "A trained model goes to another resolution by rescaling σ",
            Self::Ablations => "What each choice of the layer is worth",
        }
    }

    /// How much is trained. Enough for differences of a point to show; an afternoon of two cores at most.
    pub(super) const fn effort(self, quick: bool) -> Effort {
        if quick {
            return Effort { images: Some(200), epochs: 1, seeds: 1 };
        }
        match self {
            Self::Architectures => Effort { images: None, epochs: 6, seeds: 2 },
            Self::Sizes | Self::Starts => Effort { images: Some(6_000), epochs: 6, seeds: 3 },
            Self::Transfer => Effort { images: None, epochs: 4, seeds: 3 },
            Self::Ablations => Effort { images: Some(4_000), epochs: 4, seeds: 2 },
        }
    }

    /// What its table shows.
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::Architectures => &[Column::Setting, Column::Parameters, Column::Accuracy, Column::Seconds],
            Self::Sizes | Self::Starts => {
                &[Column::Setting, Column::Parameters, Column::Accuracy, Column::Sigma, Column::Seconds]
            }
            Self::Transfer => &[Column::Setting, Column::Parameters, Column::Accuracy, Column::AtScales],
            Self::Ablations => &[
                Column::Group,
                Column::Setting,
                Column::Parameters,
                Column::Accuracy,
                Column::SecondsPerEpoch,
                Column::LargestActivation,
            ],
        }
    }

    /// What to know when reading its table.
    pub(super) const fn notes(self) -> &'static [&'static str] {
        match self {
            Self::Architectures => &[
                "For comparison, published for CIFAR-10: the N-Jet NiN of Pintea et al. 2021 has about 91.2 % validation \
                 accuracy at 0.50 M parameters. Other images and another length of training: the figures are not to be \
                 compared one to one.",
                "Both twins have the published strides and pooling. Without any, as Pintea et al. have the N-jet networks, \
                 training takes about five times as long: `njet train --arch nin --subsampling none`.",
            ],
            Self::Sizes | Self::Starts => &[
                "The figures of σ are those of the best epoch, layer by layer, in pixels of the layer's own input: after \
                 each pooling a pixel is two of the layer before.",
            ],
            Self::Transfer => &[
                "Test images are resampled to the scale with antialiasing, from the originals, and rounded to bytes. \
                 \"Resampled back\" resamples those to the size of training again.",
                "At 1× all ways are the same; the columns of a scale are on the same test images.",
            ],
            Self::Ablations => &[
                "The largest activation is computed, not measured: the bytes of the largest array between two operations \
                 for a batch of 64 images in f32. What automatic differentiation keeps is several times that.",
                "Safe subsampling is counted with the strides that it begins with.",
            ],
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Claim {
    type Err = UnknownClaim;

    fn from_str(name: &str) -> Result<Self, UnknownClaim> {
        let unknown = || UnknownClaim { name: name.to_owned() };
        Self::ALL.into_iter().find(|claim| claim.name() == name).ok_or_else(unknown)
    }
}
