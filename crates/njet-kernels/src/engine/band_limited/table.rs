//! The best interpolators of given length: a filtered signal between and beside its samples.

use super::filters::FilterBank;

/// The most that an interpolator may enlarge an error of its samples, Σ|weights|. It bounds what rounding does
/// to the result; on two axes the two multiply.
const MAX_GAIN: f64 = 4.0;

/// Added to the diagonal of the least-squares system, relative to it. Samples much closer than the signal needs
/// are nearly dependent: it keeps the weights small and the system solvable, and its square root, 1e-7, is
/// the finest error that an interpolator can be asked for.
const RIDGE: f64 = 1e-14;

/// Whatever all interpolators of an axis have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signal<'a> {
    pub(super) filters: &'a FilterBank,
    /// Their derivatives by σ, where errors of those matter.
    pub(super) tangents: Option<&'a FilterBank>,
    /// Of `filters`, as far as it is asked for.
    pub(super) autocorrelation: &'a [f64],
    /// Rounds a weight to the type of the evaluation.
    pub(super) round: fn(f64) -> f64,
}

/// An interpolator for one position.
#[derive(Debug, Clone)]
pub(super) struct Stencil {
    /// Of the samples, the first one first.
    pub(super) weights: Vec<f64>,
    /// For each order, Σ_t |what it does wrong to the filter|: the largest error at inputs of at most 1.
    pub(super) errors: Vec<f64>,
    /// The same for the derivatives by σ; empty without tangents.
    pub(super) tangent_errors: Vec<f64>,
}

/// Interpolators from `taps` neighbouring samples, `spacing` pixels apart.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) spacing: usize,
    pub(super) taps: usize,
    /// From the middle of the samples towards the first; the other half is the same mirrored.
    stencils: Vec<Stencil>,
}

impl Table {
    /// From the middle outwards as far as order 0 is met within `worst` of its norm, and rounding stays small.
    pub(super) fn new(signal: &Signal<'_>, spacing: usize, taps: usize, worst: f64) -> Self {
        let mut table = Self { spacing, taps, stencils: Vec::new() };
        let Some(system) = Cholesky::toeplitz(signal.autocorrelation, spacing, taps) else {
            return table;
        };
        for position in (0..=table.middle()).rev() {
            let weights = if position % spacing == 0 {
                (0..taps).map(|l| if l * spacing == position { 1.0 } else { 0.0 }).collect()
            } else {
                let lag = |l: usize| signal.autocorrelation[position.abs_diff(l * spacing)];
                let fitted = system.solve((0..taps).map(lag).collect());
                fitted.into_iter().map(signal.round).collect::<Vec<_>>()
            };
            let sizes = |bank: &FilterBank| bank.misfit(&weights, spacing, position);
            let errors = sizes(signal.filters);
            let gain = weights.iter().map(|w| w.abs()).sum::<f64>();
            // Written so that NaN ends it too.
            let fits = gain <= MAX_GAIN && errors[0] <= worst * signal.filters.norms()[0];
            if !fits {
                break;
            }
            let tangent_errors = signal.tangents.map_or(Vec::new(), sizes);
            table.stencils.push(Stencil { weights, errors, tangent_errors });
        }
        table
    }

    fn middle(&self) -> usize {
        (self.taps - 1) * self.spacing / 2
    }

    /// For a position in pixels after the first sample, and whether its weights must be read backwards.
    pub(super) fn stencil(&self, position: usize) -> Option<(&Stencil, bool)> {
        let mirrored = (self.taps - 1) * self.spacing - position;
        let backwards = mirrored < position;
        Some((self.stencils.get(self.middle() - position.min(mirrored))?, backwards))
    }

    pub(super) fn weights(&self, position: usize) -> Option<Vec<f64>> {
        let (stencil, backwards) = self.stencil(position)?;
        let mut weights = stencil.weights.clone();
        if backwards {
            weights.reverse();
        }
        Some(weights)
    }
}

/// `L Lᵀ`.
struct Cholesky {
    n: usize,
    lower: Vec<f64>,
}

impl Cholesky {
    /// Of the matrix `r[|a − b| · spacing]` with the ridge; `None` where it is not positive definite.
    fn toeplitz(r: &[f64], spacing: usize, n: usize) -> Option<Self> {
        let mut lower = vec![0.0; n * n];
        for a in 0..n {
            for b in 0..=a {
                let ridge = if a == b { RIDGE * r[0] } else { 0.0 };
                let known: f64 = (0..b).map(|k| lower[a * n + k] * lower[b * n + k]).sum();
                let rest = r[(a - b) * spacing] + ridge - known;
                if a > b {
                    lower[a * n + b] = rest / lower[b * n + b];
                } else if rest > 0.0 {
                    lower[a * n + a] = rest.sqrt();
                } else {
                    return None;
                }
            }
        }
        Some(Self { n, lower })
    }

    fn solve(&self, mut x: Vec<f64>) -> Vec<f64> {
        let n = self.n;
        for a in 0..n {
            let known: f64 = (0..a).map(|k| self.lower[a * n + k] * x[k]).sum();
            x[a] = (x[a] - known) / self.lower[a * n + a];
        }
        for a in (0..n).rev() {
            let known: f64 = (a + 1..n).map(|k| self.lower[k * n + a] * x[k]).sum();
            x[a] = (x[a] - known) / self.lower[a * n + a];
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solves_a_toeplitz_system() {
        let r = [4.0, 0.0, 1.0, 0.0, 0.5];
        let system = Cholesky::toeplitz(&r, 2, 3).unwrap();
        let x = system.solve(vec![5.5, 6.0, 5.5]);
        assert!(x.iter().all(|x| (x - 1.0).abs() < 1e-12), "{x:?}");
        assert!(Cholesky::toeplitz(&[1.0, 2.0], 1, 2).is_none());
    }
}
