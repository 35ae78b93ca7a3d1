//! What can be wrong with a call.

use thiserror::Error;

/// A call that cannot be carried out: nothing was computed and nothing written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KernelError {
    /// The order of the N-jet is above [`MAX_ORDER`](crate::MAX_ORDER).
    #[error("order {order} is too high: the N-jet is defined here for orders 0 to {max}", max = crate::MAX_ORDER)]
    Order {
        /// The order that was asked for.
        order: usize,
    },
    /// The channels cannot be divided into the groups.
    #[error(
        "{channels_in} input and {channels_out} output channels cannot be divided into {groups} groups: both must be positive multiples of the number of groups"
    )]
    Groups {
        /// Input channels.
        channels_in: usize,
        /// Output channels.
        channels_out: usize,
        /// Groups.
        groups: usize,
    },
    /// The stride is zero.
    #[error("the stride along {axis} is 0: it must be at least 1")]
    Stride {
        /// `"y"` or `"x"`.
        axis: &'static str,
    },
    /// The padded image is smaller than the kernel, so there is no output.
    #[error(
        "along {axis}, the input of {input} pixels with padding {before}+{after} is smaller than the kernel of {kernel} taps"
    )]
    KernelLargerThanInput {
        /// `"y"` or `"x"`.
        axis: &'static str,
        /// Pixels.
        input: usize,
        /// Padding before the first pixel.
        before: usize,
        /// Padding after the last pixel.
        after: usize,
        /// Taps of the kernel, 2R + 1.
        kernel: usize,
    },
    /// The distance between outputs is no distance.
    #[error("the distance between outputs along {axis} is {factor}: it must be a positive number of pixels")]
    Factor {
        /// `"y"` or `"x"`.
        axis: &'static str,
        /// In pixels.
        factor: String,
    },
    /// An axis without pixels.
    #[error("along {axis} there are {input} input and {output} output pixels: both need at least 1")]
    NoPixels {
        /// `"y"` or `"x"`.
        axis: &'static str,
        /// Input pixels.
        input: usize,
        /// Output pixels.
        output: usize,
    },
    /// The filters differ between channels that the loop order mixes first.
    #[error("filters of each {sharing} channel cannot be applied {order}: leave the loop order open")]
    Sharing {
        /// Which channels have filters of their own.
        sharing: &'static str,
        /// The loop order that was asked for.
        order: &'static str,
    },
    /// The number of elements does not fit in memory.
    #[error("the {what} would have more elements than memory can address")]
    TooLarge {
        /// Which array.
        what: &'static str,
    },
    /// A slice has the wrong length.
    #[error("{operation}: `{what}` has {got} elements, its shape {shape} needs {expected}")]
    Length {
        /// The operation.
        operation: &'static str,
        /// The argument.
        what: &'static str,
        /// Its shape in words.
        shape: &'static str,
        /// Elements that the shape needs.
        expected: usize,
        /// Elements that came.
        got: usize,
    },
    /// A gradient was asked for without what it is computed from.
    #[error("{operation}: the gradient of σ needs `d_taps`, the derivatives of the taps by σ")]
    NoTangents {
        /// The operation.
        operation: &'static str,
    },
}
