//! What surrounds the image.

use burn::nn::PaddingConfig2d;
use njet_kernels::Border;
use serde::{Deserialize, Serialize};

/// What the pixels around the image are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PaddingMode {
    /// Zeros.
    #[default]
    Zeros,
    /// The nearest pixel of the image.
    Replicate,
    /// The image mirrored about its outermost pixels.
    Reflect,
    /// The image again from its other side.
    Circular,
}

impl PaddingMode {
    pub(crate) fn border(self) -> Option<Border> {
        match self {
            Self::Zeros => None,
            Self::Replicate => Some(Border::Replicate),
            Self::Reflect => Some(Border::Reflect),
            Self::Circular => Some(Border::Circular),
        }
    }
}

/// Pixels before and after along one axis (0: y, 1: x). `Same` is Burn's: ceil(pixels / stride) outputs,
/// an odd pixel at the end.
pub(crate) fn around(
    padding: &PaddingConfig2d,
    axis: usize,
    pixels: usize,
    taps: usize,
    stride: usize,
) -> (usize, usize) {
    match *padding {
        PaddingConfig2d::Valid => (0, 0),
        PaddingConfig2d::Explicit(top, left, bottom, right) => [(top, bottom), (left, right)][axis],
        PaddingConfig2d::Same => {
            let stride = stride.max(1);
            let read = pixels.div_ceil(stride).saturating_sub(1) * stride + taps;
            let zeros = read.saturating_sub(pixels);
            (zeros / 2, zeros - zeros / 2)
        }
    }
}
