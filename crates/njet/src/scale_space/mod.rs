//! The scale-space of an image: Gaussian derivatives at a scale, what is made of them, and blobs with their scales.
//!
//! A layer learns combinations of these maps; here they are for people to look at, so they have the sign of the true
//! derivative: `Lx` of a ramp that rises to the right is positive, where the correlation of a layer turns the sign of odd
//! orders. The engine is that of the layer. Values are scale-normalised: a derivative of order n is multiplied by σⁿ (σ^{nγ}
//! for another γ), so that maps of two scales can be compared.
//!
//! ```
//! use njet::scale_space::{JetIndex, ScaleSpace, ScaleSpaceConfig};
//!
//! // A ramp that rises by 0.1 a pixel to the right, 5 rows of 9 pixels.
//! let image: Vec<f32> = (0..45).map(|i| 0.1 * (i % 9) as f32).collect();
//! let space = ScaleSpace::new(&image, [5, 9], ScaleSpaceConfig::default())?;
//! let lx = space.derivatives(0.7, &[JetIndex { y: 0, x: 1 }])?.remove(0);
//! assert!((lx[2 * 9 + 4] - 0.7 * 0.1).abs() < 1e-4); // σ times the slope
//! # Ok::<(), njet::scale_space::ScaleSpaceError>(())
//! ```
//!
//! - [`ScaleSpace`]: an image and how it is filtered and continued; its derivatives at any σ;
//! - [`Invariant`]: gradient magnitude, Laplacian and determinant of the Hessian, which do not turn with the image;
//! - [`blobs`]: points with the σ at which they stand out most (Lindeberg 1998).

mod blobs;
mod error;
mod filters;
mod invariant;
mod space;

pub use blobs::{Blob, BlobConfig, BlobRule, Polarity, blobs};
pub use error::ScaleSpaceError;
pub use invariant::Invariant;
pub use njet_basis::{JetIndex, jet};
pub use space::{LEAST_EXTENT, ScaleSpace, ScaleSpaceConfig};
