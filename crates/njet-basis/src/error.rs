//! What can be wrong with a request.

use crate::{Discretisation, MAX_ORDER, MAX_RADIUS};

/// Why taps or kernels could not be built. Each message names the value it was given and what is allowed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BasisError {
    /// The derivative order is beyond [`MAX_ORDER`].
    #[error("derivative order {order} is too high: orders 0 to {MAX_ORDER} are available")]
    Order {
        /// The order asked for.
        order: usize,
    },
    /// σ is not a positive number of pixels, or is beyond [`MAX_RADIUS`].
    #[error("sigma = {sigma} is not a scale: it must be above 0 and at most {MAX_RADIUS} pixels")]
    Sigma {
        /// The σ asked for, in pixels.
        sigma: f64,
    },
    /// The extent k is not a positive finite number.
    #[error("extent = {extent} is not a filter extent: it must be a finite number above 0 (in units of sigma)")]
    Extent {
        /// The extent asked for, in units of σ.
        extent: f64,
    },
    /// γ is not finite.
    #[error("gamma = {gamma} is not a normalisation power: it must be a finite number")]
    Gamma {
        /// The γ asked for.
        gamma: f64,
    },
    /// The radius is zero or beyond [`MAX_RADIUS`].
    #[error("radius {radius} is out of range: a filter reaches 1 to {MAX_RADIUS} pixels")]
    Radius {
        /// The radius asked for, or that followed from σ and the extent, in pixels.
        radius: usize,
    },
    /// The offset of an output from its nearest pixel is beyond one pixel.
    #[error("offset {offset} is out of range: an output stands within a pixel of its nearest one")]
    Offset {
        /// The offset asked for, in pixels.
        offset: f64,
    },
    /// The discrete analogue of the Gaussian has values at the pixels alone.
    #[error(
        "discrete-analogue filters are defined at whole pixels only, and a real stride puts outputs between them: use          normalized-sampled, sampled or integrated"
    )]
    BetweenPixels,
    /// The name is none of [`Discretisation::ALL`].
    #[error("unknown discretisation `{name}`: expected one of {}", Discretisation::names())]
    UnknownDiscretisation {
        /// The name that was read.
        name: String,
    },
    /// The two axes carry taps of different orders.
    #[error("a 2-D basis needs taps of one order on both axes: got order {y} along y and {x} along x")]
    AxisOrders {
        /// Order of the taps along y.
        y: usize,
        /// Order of the taps along x.
        x: usize,
    },
    /// The number of coefficients is not the number of basis functions.
    #[error("a kernel of order {order} mixes {expected} basis functions: got {got} coefficients")]
    Coefficients {
        /// Order of the basis.
        order: usize,
        /// Its number of functions, (N + 1)(N + 2)/2.
        expected: usize,
        /// The number of coefficients given.
        got: usize,
    },
}
