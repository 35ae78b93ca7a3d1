//! Forward and backward passes of the N-jet convolution layer: slices in, slices out.
//!
//! The layer computes `y[o] = bias[o] + Σ_c Σ_b α[o,c,b] · (x[c] ⋆ basis_b)`, where `⋆` is
//! cross-correlation and `basis_b(ty, tx) = g_i(ty) · g_j(tx)` with `i + j ≤ order` (Pintea et al.,
//! "Resolution learning in deep convolutional networks using scale-space theory", IEEE TIP 2021).
//! This crate knows nothing of σ: it is given the 1-D taps `g_n` of each axis and, for the gradient
//! of the scale, their derivatives.
//!
//! Two implementations share one interface:
//!
//! - [`reference`](mod@reference) builds the `k × k` kernel and correlates directly, sums in f64. It is the oracle.
//! - [`engine`] never builds the kernel: 1-D filters along each axis give the responses of the basis
//!   functions, then one matrix product mixes them (or, where that is cheaper, the product comes
//!   first and the filters after; see [`LoopOrder`]).
//!
//! [`batch_norm`] and [`average_pool`] have what stands between such layers, [`bias`](mod@bias) what is added to them. [`peak`] measures what the machine could
//! do at best.
//!
//! ```
//! use njet_kernels::{AxisConfig, Geometry, GeometryConfig, Forward, Taps, engine};
//!
//! // Order 1 at σ = 1 cut to three taps; one 4×4 image, one channel in, one out.
//! let g = [0.27406862f32, 0.45186276, 0.27406862, 0.27406862, 0.0, -0.27406862];
//! let axis = AxisConfig { input: 4, radius: 1, stride: 1, padding: (1, 1) };
//! let geometry = Geometry::new(GeometryConfig {
//!     batch: 1, channels_in: 1, channels_out: 1, groups: 1, order: 1, y: axis, x: axis,
//! })?;
//! let call = Forward {
//!     taps: Taps { y: &g, x: &g },
//!     alpha: &[1.0, 0.0, 0.0], // L, Lx, Ly: a plain blur
//!     bias: None,
//!     x: &[1.0; 16],
//! };
//! let y = engine::forward(&geometry, &call, engine::Options::default())?;
//! assert!((y[5] - 1.0).abs() < 1e-6); // an inner pixel sees the whole kernel
//! # Ok::<(), njet_kernels::KernelError>(())
//! ```

pub mod average_pool;
pub mod batch_norm;
pub mod bias;
mod border;
mod call;
mod disjoint;
pub mod dropout;
pub mod engine;
mod error;
mod geometry;
mod isa;
mod nonlinearity;
pub mod peak;
mod real;
pub mod reference;
mod simd;
mod sum;

pub use border::Border;
pub use call::{Backward, Forward, Gradients, Taps, Wanted};
pub use engine::LoopOrder;
pub use error::KernelError;
pub use geometry::{
    Axis, AxisConfig, CentredAxis, CentredConfig, Geometry, GeometryConfig, MAX_ORDER, Sharing, centred_position,
};
pub use nonlinearity::{Nonlinearity, exponentials};
pub use real::Real;
