//! What can be wrong with a request.

use super::LEAST_EXTENT;
use njet_basis::BasisError;
use njet_kernels::KernelError;

/// Why maps or blobs could not be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScaleSpaceError {
    /// The slice is not an image of that size.
    #[error("an image of {height}×{width} pixels is needed: got {got} values")]
    Image {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// The length of the slice.
        got: usize,
    },
    /// Filters cut so early are no derivatives.
    #[error(
        "extent {extent} is too short for a derivative map: it must be at least {LEAST_EXTENT} (in units of sigma), or a constant image would have a Laplacian"
    )]
    Extent {
        /// The extent asked for.
        extent: f64,
    },
    /// A scale, order or power that filters cannot be built for.
    #[error("at sigma {sigma} and extent {extent}: {source}")]
    Filters {
        /// The σ asked for, in pixels.
        sigma: f64,
        /// The extent, in units of σ.
        extent: f64,
        /// What is wrong.
        source: BasisError,
    },
    /// A σ, or a power of the scale normalisation, that makes more of the image than there are numbers for.
    #[error(
        "at sigma {sigma} and gamma {gamma} values are beyond what single precision holds: give a larger sigma, or a gamma nearer to 1"
    )]
    Overflow {
        /// The σ asked for, in pixels.
        sigma: f64,
        /// The power.
        gamma: f64,
    },
    /// The image is too large for the engine.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The scales to choose from are no interval.
    #[error(
        "scales from {least} to {greatest} are no range: both must be above 0 pixels, the second not below the first"
    )]
    Range {
        /// The first σ.
        least: f64,
        /// The last σ.
        greatest: f64,
    },
    /// Scales that are too coarse or too many.
    #[error("{0} scales an octave: there must be 1 to 32")]
    PerOctave(usize),
    /// A contrast that every pixel has.
    #[error("contrast {0} is no threshold: it must be above 0")]
    Contrast(f64),
}
