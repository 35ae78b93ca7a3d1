//! The N-jet basis: scale-normalised Gaussian derivative filters whose scale can be learned.
//!
//! This crate is the mathematics alone. It samples the derivatives of a Gaussian of standard deviation σ (in pixels)
//! on the taps −R … R, gives their exact derivative by σ, and says how much energy each two-dimensional basis
//! function passes, which is what a layer needs to initialise its weights. Everything is computed in `f64`.
//!
//! # The filters
//!
//! With u = t/σ and He_n the probabilists' Hermite polynomials, the taps along one axis are
//!
//! ```text
//! g_n(t; σ) = σⁿ ∂ⁿG/∂tⁿ = (−1)ⁿ He_n(t/σ) G(t; σ),      t = −R … R,      R = ceil(kσ + ½)
//! ```
//!
//! and the basis of order N in two dimensions is every product g_i(y)·g_j(x) with i + j ≤ N, in the order of [`jet`].
//! How the continuous G becomes taps is a choice: see [`Discretisation`].
//!
//! ```
//! use njet_basis::{TapSpec, Taps, basis_2d, jet};
//!
//! let taps = Taps::new(&TapSpec::new(1.5, 4.0, 2))?;
//! assert_eq!(taps.radius(), 7);
//! assert!((taps.order(0).iter().sum::<f64>() - 1.0).abs() < 1e-14);
//!
//! let basis = basis_2d(&taps, &taps)?;
//! let names: Vec<_> = jet(2).map(|index| index.to_string()).collect();
//! assert_eq!(names, ["L", "Lx", "Ly", "Lxx", "Lxy", "Lyy"]);
//! assert_eq!(basis.len(), names.len() * taps.side() * taps.side());
//! # Ok::<(), njet_basis::BasisError>(())
//! ```
//!
//! # A map of the crate
//!
//! - [`hermite()`]: the polynomials;
//! - [`radius()`]: how far a filter reaches;
//! - [`TapSpec`] and [`Taps`]: one axis, four [`Discretisation`]s, values and ∂σ;
//! - [`ShiftedTaps`]: one axis, for an output that stands between pixels;
//! - [`discrete_gaussian`]: the discrete analogue of the Gaussian, e^{−σ²} I_t(σ²);
//! - [`jet`] and [`JetIndex`]: the two-dimensional index and its names;
//! - [`basis_2d`] and [`kernel()`]: the filters written out in two dimensions, for reference and inspection;
//! - [`energies`]: the energy of each basis function under an assumed input.
//!
//! # Sources
//!
//! - Koenderink & van Doorn, "Representation of local geometry in the visual system", Biol. Cybern. 55, 1987;
//! - Florack, ter Haar Romeny, Koenderink & Viergever, "Scale and the differential structure of images", Image and
//!   Vision Computing 10, 1992;
//! - Lindeberg, "Scale-space for discrete signals", IEEE PAMI 12, 1990;
//! - Lindeberg, "Scale-Space Theory in Computer Vision", Kluwer, 1994;
//! - Lindeberg, "Feature detection with automatic scale selection", IJCV 30, 1998 (the power γ);
//! - Abramowitz & Stegun, "Handbook of Mathematical Functions", 1964, chapters 7, 9 and 22;
//! - Pintea, Tomen, Goes, Loog & van Gemert, "Resolution learning in deep convolutional networks using scale-space
//!   theory", IEEE TIP 30, 2021.

#![forbid(unsafe_code)]

mod bessel;
mod discrete_analogue;
mod discretisation;
mod energy;
mod error;
mod hermite;
mod integrated;
mod jet;
mod kernel;
mod radius;
mod real;
mod sampled;
mod shifted;
mod taps;

pub use bessel::discrete_gaussian;
pub use discretisation::Discretisation;
pub use energy::{InputStatistics, energies};
pub use error::BasisError;
pub use hermite::{hermite, hermite_sequence};
pub use jet::{JetIndex, basis_len, jet};
pub use kernel::{basis_2d, kernel};
pub use radius::radius;
pub use real::Real;
pub use shifted::ShiftedTaps;
pub use taps::{TapSpec, Taps};

/// The highest derivative order along one axis.
pub const MAX_ORDER: usize = 10;

/// The largest radius R, and the largest σ, in pixels.
///
/// Far beyond any image filter in use: it is there so that a runaway σ becomes an error and not a huge allocation.
pub const MAX_RADIUS: usize = 4096;
