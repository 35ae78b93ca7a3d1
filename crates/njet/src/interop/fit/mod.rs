//! Approximating given filters by N-jets: mathematics alone, in f64, on slices.
//!
//! For a scale σ the kernel Σ α_ij g_i(y) g_j(x), i + j ≤ N, that is nearest to a filter is a linear least-squares problem
//! with a closed solution; what is left of the filter's energy is a function of σ alone, and σ is searched for.
//!
//! **Closed form.** The basis functions are products, so nothing two-dimensional has to be solved. Along each axis the taps
//! g_0 … g_N are orthonormalised in this order, g_n = Σ_{m≤n} R_nm q_m. As R is triangular, the products q_m(y) q_l(x) with
//! m + l ≤ N span what the g_i(y) g_j(x) with i + j ≤ N span, and they are orthonormal: the best approximation of a filter
//! F has the coefficients C = q_y F q_xᵀ, explains the energy Σ C², and α = R_y⁻ᵀ C R_x⁻¹. An order that the window cannot
//! tell from lower ones (a window of 3 taps knows three orders) is left out and has the coefficient 0.
//!
//! **Search.** What is left is computed on a grid of σ; about the best places, a golden section narrows the interval and
//! Newton's method on log σ ends it.
//!
//! ```
//! use njet_basis::{TapSpec, Taps, kernel};
//! use njet::interop::fit::{Filters, FitConfig, fit};
//!
//! // A filter that is an N-jet: its scale and coefficients are found again.
//! let taps = Taps::with_radius(&TapSpec::new(1.3, 4.0, 2), 3)?;
//! let alpha = [0.5, -1.0, 0.3, 0.8, 0.2, -0.6];
//! let filter = kernel(&alpha, &taps, &taps)?;
//! let fitted = fit(&Filters::new(&filter, [1, 1, 7, 7])?, &FitConfig::new(2))?;
//! assert!((fitted.filters[0].sigma - 1.3).abs() < 1e-3);
//! assert!(fitted.explained_variance() > 1.0 - 1e-9);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod axis;
mod search;

use axis::{Axis, Plane};
use njet_basis::{BasisError, Discretisation, MAX_ORDER, MAX_RADIUS, TapSpec, basis_len, jet};
use rayon::prelude::*;
use search::Search;
use std::fmt;
use std::str::FromStr;

/// Filters of a convolution, row-major `[outputs, inputs, height, width]`. The centre of a window is its tap
/// `height / 2`, `width / 2`: the middle one of an odd side; of an even side the one after the middle, as a convolution
/// with `padding = side / 2` has it.
#[derive(Debug, Clone, Copy)]
pub struct Filters<'a> {
    values: &'a [f64],
    shape: [usize; 4],
}

/// The largest of some weights, unless they are zeros: energies of many filters stay numbers of full precision.
const LEAST_WEIGHT: f64 = 1e-151;
const MOST_WEIGHT: f64 = 1e148;

/// Filters that cannot be approximated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// The values are not as many as the shape says.
    #[error("{values} values do not make filters of the shape {shape:?}")]
    Shape {
        /// Values given.
        values: usize,
        /// `[outputs, inputs, height, width]`.
        shape: [usize; 4],
    },
    /// There is no filter, or none has a tap.
    #[error("filters of the shape {shape:?} have no taps: there is nothing to fit")]
    Empty {
        /// `[outputs, inputs, height, width]`.
        shape: [usize; 4],
    },
    /// A window beyond the largest filter.
    #[error("a window of {height}×{width} taps is too large: at most {most}×{most} can be fitted", most = 2 * MAX_RADIUS)]
    Window {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// A weight that is no number.
    #[error("filter {filter} has the weight {value} at tap {tap}: all must be finite")]
    NotFinite {
        /// Its number, outputs before inputs.
        filter: usize,
        /// Its tap, row by row.
        tap: usize,
        /// The weight.
        value: f64,
    },
    /// Weights whose squares are beyond the numbers, or below them.
    #[error(
        "the largest weight is {largest:e}: it must be from {LEAST_WEIGHT:e} to {MOST_WEIGHT:e}, so that it has a square"
    )]
    Magnitude {
        /// Of the absolute values.
        largest: f64,
    },
    /// Bounds of σ that leave no interval.
    #[error("σ is to be sought from {min} to {max}: both must be positive and finite, the second not the smaller")]
    Bounds {
        /// The lower one, in pixels.
        min: f64,
        /// The upper one, in pixels.
        max: f64,
    },
    /// Order, extent or scale out of range.
    #[error(transparent)]
    Basis(#[from] BasisError),
}

impl<'a> Filters<'a> {
    /// Filters of a shape.
    ///
    /// # Errors
    /// Another number of values than the shape's, no taps, a window that is too large, a weight that is not finite, or
    /// weights that are too large or too small to be squared.
    pub fn new(values: &'a [f64], shape: [usize; 4]) -> Result<Self, FitError> {
        let [outputs, inputs, height, width] = shape;
        let count = shape.iter().try_fold(1usize, |count, &n| count.checked_mul(n));
        if count != Some(values.len()) {
            return Err(FitError::Shape { values: values.len(), shape });
        }
        if outputs * inputs * height * width == 0 {
            return Err(FitError::Empty { shape });
        }
        if height.max(width) > 2 * MAX_RADIUS {
            return Err(FitError::Window { height, width });
        }
        if let Some(place) = values.iter().position(|value| !value.is_finite()) {
            let (filter, tap) = (place / (height * width), place % (height * width));
            return Err(FitError::NotFinite { filter, tap, value: values[place] });
        }
        let largest = values.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        if largest != 0.0 && !(LEAST_WEIGHT..=MOST_WEIGHT).contains(&largest) {
            return Err(FitError::Magnitude { largest });
        }
        Ok(Self { values, shape })
    }

    /// `[outputs, inputs, height, width]`.
    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// Filters.
    pub fn len(&self) -> usize {
        self.shape[0] * self.shape[1]
    }

    /// Never: there is at least one.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// As few filters as there are taps, or fewer, of which the jets of any one σ leave as much as of these; `None` where
    /// these are no more themselves.
    pub(super) fn condensed(&self) -> Option<Vec<f64>> {
        let all: Vec<&[f64]> = (0..self.len()).map(|number| self.filter(number)).collect();
        search::condensed(&all).map(|rows| rows.concat())
    }

    /// The taps of a filter, row by row.
    pub fn filter(&self, number: usize) -> &'a [f64] {
        let taps = self.shape[2] * self.shape[3];
        &self.values[number * taps..][..taps]
    }
}

/// Which filters have a σ in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SigmaPer {
    /// One for each filter.
    #[default]
    Filter,
    /// One for all.
    Layer,
    /// One for each input channel.
    Input,
    /// One for each output channel.
    Output,
}

impl SigmaPer {
    /// Every form.
    pub const ALL: [Self; 4] = [Self::Filter, Self::Layer, Self::Input, Self::Output];

    /// The name on the command line and in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Layer => "layer",
            Self::Input => "input",
            Self::Output => "output",
        }
    }

    /// How many scales `outputs` × `inputs` filters have.
    pub fn scales(self, [outputs, inputs]: [usize; 2]) -> usize {
        match self {
            Self::Filter => outputs * inputs,
            Self::Layer => 1,
            Self::Input => inputs,
            Self::Output => outputs,
        }
    }

    /// The number of the scale that a filter has.
    pub fn scale_of(self, filter: usize, inputs: usize) -> usize {
        match self {
            Self::Filter => filter,
            Self::Layer => 0,
            Self::Input => filter % inputs,
            Self::Output => filter / inputs,
        }
    }
}

impl fmt::Display for SigmaPer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SigmaPer {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|per| per.name() == name);
        found.ok_or_else(|| "known are filter, layer, input and output".to_owned())
    }
}

/// How far the N-jet's kernel reaches, and so what it is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Reach {
    /// As far as the window: both are compared there, and nothing is said of the kernel outside.
    #[default]
    Window,
    /// To k·σ, as a layer of this extent has it: what lies outside the window is compared with zeros.
    Extent(f64),
}

/// How to fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FitConfig {
    /// Order N of the jets, 0 to 10.
    pub order: usize,
    /// Which filters have a σ in common.
    pub sigma_per: SigmaPer,
    /// How far the kernels reach.
    pub reach: Reach,
    /// How derivatives are put on the grid.
    pub discretisation: Discretisation,
    /// Between which bounds σ is sought, in pixels; `None`: from 0.3 to as many pixels as the window is wide.
    pub bounds: Option<[f64; 2]>,
}

impl FitConfig {
    /// A σ for each filter, compared on the window.
    pub const fn new(order: usize) -> Self {
        Self {
            order,
            sigma_per: SigmaPer::Filter,
            reach: Reach::Window,
            discretisation: Discretisation::NormalizedSampled,
            bounds: None,
        }
    }
}

/// The scale below which no σ is sought unless asked: derivatives sampled below it have next to no taps.
pub const LEAST_SIGMA: f64 = 0.3;

/// How well a filter is approximated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FilterFit {
    /// Its σ in pixels.
    pub sigma: f64,
    /// Σ of the squares of its taps.
    pub energy: f64,
    /// Σ of the squares of what is left of it.
    pub residual: f64,
}

impl FilterFit {
    /// The part of the filter's energy that its approximation has: 1 − residual / energy. 1 for a filter of zeros.
    pub fn explained_variance(&self) -> f64 {
        if self.energy > 0.0 { 1.0 - self.residual / self.energy } else { 1.0 }
    }
}

/// Approximations of filters.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// As it was asked for.
    pub config: FitConfig,
    /// `[outputs, inputs, height, width]` of the filters.
    pub shape: [usize; 4],
    /// Every scale, in pixels: as many as [`SigmaPer::scales`] says.
    pub sigma: Vec<f64>,
    /// Coefficients, `[outputs, inputs, B]`, the basis in the order of [`jet`].
    pub alpha: Vec<f64>,
    /// How well, filter by filter.
    pub filters: Vec<FilterFit>,
}

impl Fit {
    /// The mean of the explained variance over the filters that are not all zeros; 1 where there is none.
    pub fn explained_variance(&self) -> f64 {
        let (count, sum) = self
            .filters
            .iter()
            .filter(|filter| filter.energy > 0.0)
            .fold((0, 0.0), |(count, sum), filter| (count + 1, sum + filter.explained_variance()));
        if count == 0 { 1.0 } else { sum / f64::from(count) }
    }

    /// The part of the energy of all filters together that is explained: strong filters count for more.
    pub fn explained_energy(&self) -> f64 {
        let energy: f64 = self.filters.iter().map(|filter| filter.energy).sum();
        let residual: f64 = self.filters.iter().map(|filter| filter.residual).sum();
        if energy > 0.0 { 1.0 - residual / energy } else { 1.0 }
    }

    /// The approximation of a filter on its window, row by row.
    pub fn kernel(&self, filter: usize) -> Vec<f64> {
        let [_, inputs, height, width] = self.shape;
        let sigma = self.sigma[self.config.sigma_per.scale_of(filter, inputs)];
        let plane = plane(&self.config, [height, width], sigma).expect("these taps were built before");
        let basis = basis_len(self.config.order);
        let alpha = &self.alpha[filter * basis..][..basis];
        let mut kernel = vec![0.0; height * width];
        for (index, a) in jet(self.config.order).zip(alpha) {
            for (row, y) in kernel.chunks_exact_mut(width).zip(plane.y.taps(index.y)) {
                row.iter_mut().zip(plane.x.taps(index.x)).for_each(|(tap, x)| *tap += a * y * x);
            }
        }
        kernel
    }
}

/// The basis of one scale.
fn plane(config: &FitConfig, [height, width]: [usize; 2], sigma: f64) -> Result<Plane, BasisError> {
    let spec = TapSpec::new(sigma, 1.0, config.order).with_discretisation(config.discretisation);
    Ok(Plane { y: Axis::new(&spec, height, config.reach)?, x: Axis::new(&spec, width, config.reach)? })
}

/// The scale beyond which none is sought in a window of so many taps: as many pixels, if there are filters so large.
fn largest_sigma(window: usize, reach: Reach) -> f64 {
    let longest = match reach {
        Reach::Window => MAX_RADIUS as f64,
        // The half pixel that a radius has besides, and a little for rounding.
        Reach::Extent(extent) => (MAX_RADIUS as f64 - 1.0) / extent,
    };
    // An extent that leaves none is refused by the filters themselves.
    (window as f64).min(longest).max(LEAST_SIGMA)
}

/// Approximates filters by N-jets, on all threads.
///
/// # Errors
/// An order above 10, an extent or bounds that are none.
pub fn fit(filters: &Filters<'_>, config: &FitConfig) -> Result<Fit, FitError> {
    let [outputs, inputs, height, width] = filters.shape();
    if config.order > MAX_ORDER {
        return Err(BasisError::Order { order: config.order }.into());
    }
    let [min, max] = config.bounds.unwrap_or_else(|| [LEAST_SIGMA, largest_sigma(height.max(width), config.reach)]);
    if !(min > 0.0 && min <= max && max.is_finite()) {
        return Err(FitError::Bounds { min, max });
    }
    let search = Search::new(config, [height, width], [min, max])?;
    let scales = config.sigma_per.scales([outputs, inputs]);
    let mut members = vec![Vec::new(); scales];
    for filter in 0..filters.len() {
        members[config.sigma_per.scale_of(filter, inputs)].push(filters.filter(filter));
    }
    let sigma = members.par_iter().map(|group| search.best(group)).collect::<Result<Vec<f64>, BasisError>>()?;

    let basis = basis_len(config.order);
    let mut alpha = vec![0.0; filters.len() * basis];
    let planes = if scales < filters.len() {
        sigma.iter().map(|&sigma| plane(config, [height, width], sigma)).collect::<Result<Vec<_>, _>>()?
    } else {
        Vec::new()
    };
    let solve = |(number, alpha): (usize, &mut [f64])| -> Result<FilterFit, BasisError> {
        let scale = config.sigma_per.scale_of(number, inputs);
        let own;
        let plane = match planes.get(scale) {
            Some(plane) => plane,
            None => {
                own = plane(config, [height, width], sigma[scale])?;
                &own
            }
        };
        let taps = filters.filter(number);
        let energy: f64 = taps.iter().map(|tap| tap * tap).sum();
        let coefficients = plane.project(taps);
        let explained: f64 = coefficients.iter().map(|c| c * c).sum();
        plane.alpha(&coefficients, alpha);
        Ok(FilterFit { sigma: sigma[scale], energy, residual: (energy - explained).max(0.0) })
    };
    let fits = alpha.par_chunks_mut(basis).enumerate().map(solve).collect::<Result<Vec<_>, _>>()?;
    Ok(Fit { config: *config, shape: filters.shape(), sigma, alpha, filters: fits })
}
