//! The 1-D filters of an axis as the plan sees them, in f64: their norms and how alike they are.

use crate::Real;

/// Filters of one axis, orders 0 … N.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FilterBank {
    /// Order by order, 2R + 1 taps.
    rows: Vec<Vec<f64>>,
    /// Σ|g_n|.
    norms: Vec<f64>,
}

impl FilterBank {
    /// From taps `[orders, 2R + 1]`. The half after the centre is mirrored, as the engine folds it.
    pub(super) fn new<T: Real>(taps: &[T], orders: usize) -> Self {
        let side = taps.len() / orders;
        let row = |n: usize| {
            let taps = &taps[n * side..][..side];
            let sign = if n.is_multiple_of(2) { 1.0 } else { -1.0 };
            let tap = |t: usize| if t < side / 2 { sign * taps[side - 1 - t].to_f64() } else { taps[t].to_f64() };
            (0..side).map(tap).collect::<Vec<_>>()
        };
        let rows: Vec<_> = (0..orders).map(row).collect();
        let norms = rows.iter().map(|row| row.iter().map(|g| g.abs()).sum()).collect();
        Self { rows, norms }
    }

    pub(super) fn orders(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.rows.iter().map(Vec::as_slice)
    }

    pub(super) fn side(&self) -> usize {
        self.rows[0].len()
    }

    /// Σ|g_n| for each order.
    pub(super) fn norms(&self) -> &[f64] {
        &self.norms
    }

    /// The largest of `errors` relative to the norm of its order.
    pub(super) fn worst(&self, errors: &[f64]) -> f64 {
        errors.iter().zip(&self.norms).map(|(error, norm)| relative(*error, *norm)).fold(0.0, f64::max)
    }

    /// σ in pixels: the root mean square of the position under order 0.
    pub(super) fn spread(&self) -> f64 {
        let centre = (self.side() / 2) as f64;
        let square = |(t, g): (usize, &f64)| (t as f64 - centre).powi(2) * g;
        (self.rows[0].iter().enumerate().map(square).sum::<f64>() / self.norms[0]).sqrt()
    }

    /// Σ_n Σ_t g_n(t) g_n(t + k) for lags `k = 0 … lags`, each order divided by its norm: errors of all
    /// orders then weigh the same.
    pub(super) fn autocorrelation(&self, lags: usize) -> Vec<f64> {
        let mut sums = vec![0.0; lags + 1];
        for (row, norm) in self.rows.iter().zip(&self.norms).filter(|&(_, &norm)| norm > 0.0) {
            for (k, sum) in sums.iter_mut().enumerate().take(row.len()) {
                *sum += row.iter().zip(&row[k..]).map(|(a, b)| a * b).sum::<f64>() / (norm * norm);
            }
        }
        sums
    }

    /// For each order the sum of absolute values of `Σ_l weights[l] · g_n[· − l · spacing] − g_n[· − position]`: what
    /// an interpolator does wrong.
    pub(super) fn misfit(&self, weights: &[f64], spacing: usize, position: usize) -> Vec<f64> {
        let side = self.side();
        let one = |row: &Vec<f64>| {
            let mut off = vec![0.0; side + (weights.len() - 1) * spacing];
            for (l, &w) in weights.iter().enumerate() {
                off[l * spacing..][..side].iter_mut().zip(row).for_each(|(off, g)| *off += w * g);
            }
            off[position..][..side].iter_mut().zip(row).for_each(|(off, g)| *off -= g);
            off.iter().map(|off| off.abs()).sum()
        };
        self.rows.iter().map(one).collect()
    }

    /// `[orders, orders]`, symmetric, such that `‖Σ_n a_n g_n‖₁² ≤ aᵀ Γ a` for every `a`.
    ///
    /// Cauchy–Schwarz with weights `q`: (Σ_t|f|)² ≤ Σ_t q · Σ_t f²/q. It is nearly an equality where
    /// `q` is as large as `f` tends to be, hence the choice of `q`.
    pub(super) fn norm_form(&self) -> Vec<f64> {
        let orders = self.orders();
        let like = |n: usize, t: usize| self.rows[n][t] / self.norms[n].max(f64::MIN_POSITIVE);
        // Never zero where a filter is not, so that no quotient is infinite.
        let weight = |t: usize| (0..orders).map(|n| like(n, t).powi(2)).sum::<f64>().sqrt();
        let weights: Vec<_> = (0..self.side()).map(weight).collect();
        let total: f64 = weights.iter().sum();
        let mut form = vec![0.0; orders * orders];
        for a in 0..orders {
            for b in 0..orders {
                let product = |(t, q): (usize, &f64)| self.rows[a][t] * self.rows[b][t] / q;
                let inside = weights.iter().enumerate().filter(|&(_, &q)| q > 0.0);
                form[a * orders + b] = total * inside.map(product).sum::<f64>();
            }
        }
        form
    }

    /// Sums over cells of neighbouring taps, `[cells, orders]`.
    pub(super) fn cells(&self, most: usize) -> Vec<Vec<f64>> {
        let width = self.side().div_ceil(most);
        let cell = |start: usize| {
            let sum = |row: &Vec<f64>| row[start..(start + width).min(row.len())].iter().sum();
            self.rows.iter().map(sum).collect()
        };
        (0..self.side()).step_by(width).map(cell).collect()
    }
}

/// `error / norm`, zero where there is no error.
pub(super) fn relative(error: f64, norm: f64) -> f64 {
    if error == 0.0 { 0.0 } else { error / norm.max(f64::MIN_POSITIVE) }
}
