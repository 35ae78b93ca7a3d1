//! The taps along one axis, orthonormalised.

use super::Reach;
use njet_basis::{BasisError, TapSpec, Taps, jet, radius};

/// Part of the norm of an order's taps that must be left beside those of lower orders. Below, its coefficient would be
/// the difference of large numbers, and a layer computes in f32.
const INDEPENDENT: f64 = 1e-5;

/// Taps g_0 … g_N of a scale along one axis, on a window, and the orthonormal taps made of them.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    /// Taps of the window.
    window: usize,
    /// N + 1.
    orders: usize,
    /// g_n on the window, `[orders][window]`.
    values: Vec<f64>,
    /// q_n on the window, `[orders][window]`; zeros for an order that is left out.
    orthonormal: Vec<f64>,
    /// R, `[orders][orders]`, lower triangular; 0 on the diagonal for an order that is left out.
    triangle: Vec<f64>,
}

impl Axis {
    /// The axis of a window of `window` taps, centred on tap `window / 2`.
    pub(super) fn new(spec: &TapSpec, window: usize, reach: Reach) -> Result<Self, BasisError> {
        let centre = window / 2;
        let orders = spec.order + 1;
        let taps = match reach {
            Reach::Window => Taps::with_radius(spec, centre.max(1))?,
            Reach::Extent(extent) => {
                let spec = TapSpec { extent, ..*spec };
                spec.validate()?;
                Taps::with_radius(&spec, radius(spec.sigma, extent))?
            }
        };
        // Where a tap of the window is among the taps.
        let place = |tap: usize| (taps.radius() + tap).checked_sub(centre).filter(|&place| place < taps.side());
        let on_window =
            |row: &[f64]| -> Vec<f64> { (0..window).map(|tap| place(tap).map_or(0.0, |p| row[p])).collect() };
        // What is compared: the window alone, or everything that the kernel has.
        let rows: Vec<Vec<f64>> = (0..orders)
            .map(|n| match reach {
                Reach::Window => on_window(taps.order(n)),
                Reach::Extent(_) => taps.order(n).to_vec(),
            })
            .collect();
        let mut q: Vec<Vec<f64>> = Vec::with_capacity(orders);
        let mut triangle = vec![0.0; orders * orders];
        for (n, row) in rows.iter().enumerate() {
            let norm = dot(row, row).sqrt();
            let mut rest = row.clone();
            // Twice is enough (Giraud et al. 2005).
            for _ in 0..2 {
                for (m, q) in q.iter().enumerate() {
                    let part = dot(q, &rest);
                    triangle[n * orders + m] += part;
                    rest.iter_mut().zip(q).for_each(|(rest, q)| *rest -= part * q);
                }
            }
            let left = dot(&rest, &rest).sqrt();
            if left > INDEPENDENT * norm && left > f64::MIN_POSITIVE {
                triangle[n * orders + n] = left;
                rest.iter_mut().for_each(|rest| *rest /= left);
            } else {
                rest.fill(0.0);
            }
            q.push(rest);
        }
        let cut = |row: &Vec<f64>| match reach {
            Reach::Window => row.clone(),
            Reach::Extent(_) => on_window(row),
        };
        Ok(Self {
            window,
            orders,
            values: rows.iter().flat_map(cut).collect(),
            orthonormal: q.iter().flat_map(cut).collect(),
            triangle,
        })
    }

    /// g_n on the window.
    pub(super) fn taps(&self, n: usize) -> &[f64] {
        &self.values[n * self.window..][..self.window]
    }

    fn orthonormal(&self, n: usize) -> &[f64] {
        &self.orthonormal[n * self.window..][..self.window]
    }

    /// Solves Rᵀ a = c in place, for c with the given step between elements; left-out orders have a = 0.
    fn solve(&self, c: &mut [f64], first: usize, step: usize) {
        for n in (0..self.orders).rev() {
            let diagonal = self.triangle[n * self.orders + n];
            let at = first + n * step;
            c[at] = if diagonal > 0.0 { c[at] / diagonal } else { 0.0 };
            for m in 0..n {
                c[first + m * step] -= self.triangle[n * self.orders + m] * c[at];
            }
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The two axes of a scale.
#[derive(Debug, Clone)]
pub(super) struct Plane {
    pub(super) y: Axis,
    pub(super) x: Axis,
}

impl Plane {
    /// The coefficients C of a filter in the orthonormal basis, `[orders][orders]`, zeros where m + l > N.
    pub(super) fn project(&self, filter: &[f64]) -> Vec<f64> {
        let (orders, width) = (self.y.orders, self.x.window);
        let mut coefficients = vec![0.0; orders * orders];
        let mut along_y = vec![0.0; width];
        for m in 0..orders {
            along_y.fill(0.0);
            for (row, q) in filter.chunks_exact(width).zip(self.y.orthonormal(m)) {
                along_y.iter_mut().zip(row).for_each(|(sum, tap)| *sum += q * tap);
            }
            for l in 0..orders - m {
                coefficients[m * orders + l] = dot(&along_y, self.x.orthonormal(l));
            }
        }
        coefficients
    }

    /// The energy that a filter's approximation has.
    pub(super) fn explained(&self, filter: &[f64]) -> f64 {
        self.project(filter).iter().map(|c| c * c).sum()
    }

    /// α, in the order of the jet, of the coefficients C.
    pub(super) fn alpha(&self, coefficients: &[f64], alpha: &mut [f64]) {
        let orders = self.y.orders;
        let mut c = coefficients.to_vec();
        for column in 0..orders {
            self.y.solve(&mut c, column, orders);
        }
        for row in 0..orders {
            self.x.solve(&mut c, row * orders, 1);
        }
        for (alpha, index) in alpha.iter_mut().zip(jet(orders - 1)) {
            *alpha = c[index.y * orders + index.x];
        }
    }
}
