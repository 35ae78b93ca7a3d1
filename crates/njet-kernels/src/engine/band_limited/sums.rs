//! How large the kernels of a layer are, and how large their errors can be, from the coefficients α at hand.
//!
//! A kernel is `W = Σ_ij α_ij · F_i ⊗ G_j` with `F` along y and `G` along x. Interpolation puts `F_i + φ_i` and
//! `G_j + γ_j` in their places, where only the norms of `φ` and `γ` are known. The change is
//! `Σ_i φ_i ⊗ (Σ_j α_ij G_j) + Σ_j (Σ_i α_ij (F_i + φ_i)) ⊗ γ_j`, so that
//!
//! ```text
//! ‖ΔW‖₁ ≤ Σ_i ‖φ_i‖₁ · ‖Σ_j α_ij G_j‖₁ + Σ_j ‖γ_j‖₁ · ‖Σ_i α_ij F_i‖₁ + Σ_ij |α_ij| ‖φ_i‖₁ ‖γ_j‖₁
//! ```
//!
//! What α contributes is summed once over the channels; each plan then costs a short product.

use super::filters::{FilterBank, relative};
use crate::geometry::jet_index;
use crate::{Geometry, Real};
use rayon::prelude::*;

/// Cells along each axis for the norm of a kernel from below.
const CELLS: usize = 24;

/// Channels whose norm is computed: any of them bounds the largest from below.
const EXAMINED: usize = 4;

/// Which kernels add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Those of one output channel, over its input channels: what an output is made of.
    Output,
    /// Those of one input channel, over its output channels: what the gradient of an input is made of.
    Input,
}

/// See the module. Rows are channels.
#[derive(Debug)]
pub(super) struct Sums {
    orders: usize,
    /// At least Σ ‖Σ_j α_ij G_j‖₁ for each `i`,
    left: Vec<f64>,
    /// Σ ‖Σ_i α_ij F_i‖₁ for each `j`,
    right: Vec<f64>,
    /// and exactly Σ Σ_j |α_ij| ‖G_j‖₁ for each `i`.
    triangle: Vec<f64>,
    /// At most the largest over the channels of Σ ‖W‖₁, and close to it.
    norm: f64,
    right_norms: Vec<f64>,
}

impl Sums {
    pub(super) fn new<T: Real>(
        geometry: &Geometry,
        alpha: &[T],
        left: &FilterBank,
        right: &FilterBank,
        by: By,
    ) -> Self {
        let orders = geometry.order + 1;
        let channels = match by {
            By::Output => geometry.channels_out(),
            By::Input => geometry.channels_in(),
        };
        let forms = [left.norm_form(), right.norm_form()];
        let mut rows = vec![0.0; channels * 3 * orders];
        rows.par_chunks_exact_mut(3 * orders).enumerate().for_each(|(channel, row)| {
            let (lefts, rest) = row.split_at_mut(orders);
            let (rights, triangles) = rest.split_at_mut(orders);
            for coefficients in coefficients(geometry, alpha, by, channel) {
                let at = |i: usize, j: usize| coefficients[jet_index(i, j)].to_f64();
                for i in 0..orders {
                    let (along_x, triangle) = combined(orders - i, |j| at(i, j), &forms[1], right.norms());
                    let (along_y, _) = combined(orders - i, |j| at(j, i), &forms[0], left.norms());
                    lefts[i] += along_x;
                    rights[i] += along_y;
                    triangles[i] += triangle;
                }
            }
        });
        let pick = |which: usize| {
            rows.chunks_exact(3 * orders).flat_map(|row| row[which * orders..][..orders].iter().copied()).collect()
        };
        let (lefts, rights, triangle): (Vec<f64>, _, Vec<f64>) = (pick(0), pick(1), pick(2));
        let size = |channel: usize| -> f64 {
            let row = &triangle[channel * orders..][..orders];
            row.iter().zip(left.norms()).map(|(t, norm)| t * norm).sum()
        };
        let mut largest: Vec<usize> = (0..channels).collect();
        largest.sort_by(|&a, &b| size(b).total_cmp(&size(a)));
        largest.truncate(EXAMINED);
        let (cells_y, cells_x) = (left.cells(CELLS), right.cells(CELLS));
        let norm = |&channel: &usize| -> f64 {
            coefficients(geometry, alpha, by, channel).map(|a| at_least(orders, a, &cells_y, &cells_x)).sum()
        };
        let norm = largest.par_iter().map(norm).reduce(|| 0.0, f64::max);
        Self { orders, left: lefts, right: rights, triangle, norm, right_norms: right.norms().to_vec() }
    }

    /// The largest Σ ‖W‖₁, from below.
    pub(super) fn norm(&self) -> f64 {
        self.norm
    }

    /// The largest Σ ‖ΔW‖₁, from above, given at least the norms of the errors along y and x.
    pub(super) fn error(&self, along_y: &[f64], along_x: &[f64]) -> f64 {
        let orders = self.orders;
        let cross = along_x.iter().zip(&self.right_norms).map(|(e, norm)| relative(*e, *norm)).fold(0.0, f64::max);
        let channel = |channel: usize| -> f64 {
            let row = channel * orders..(channel + 1) * orders;
            let left = self.left[row.clone()].iter().zip(&self.triangle[row.clone()]);
            let by_y: f64 = left.zip(along_y).map(|((a, t), e)| e * (a + cross * t)).sum();
            by_y + self.right[row].iter().zip(along_x).map(|(a, e)| e * a).sum::<f64>()
        };
        (0..self.left.len() / orders).map(channel).fold(0.0, f64::max)
    }
}

/// The coefficients of the kernels of one channel.
fn coefficients<'a, T>(
    geometry: &Geometry,
    alpha: &'a [T],
    by: By,
    channel: usize,
) -> impl Iterator<Item = &'a [T]> + use<'a, T> {
    let (basis, row) = (geometry.basis(), geometry.group_in * geometry.basis());
    let (start, pitch, count) = match by {
        By::Output => (channel * row, basis, geometry.group_in),
        By::Input => {
            let (group, c) = (channel / geometry.group_in, channel % geometry.group_in);
            (group * geometry.group_out * row + c * basis, row, geometry.group_out)
        }
    };
    (0..count).map(move |k| &alpha[start + k * pitch..][..basis])
}

/// At least `‖Σ_n a_n g_n‖₁`, and `Σ_n |a_n| ‖g_n‖₁`.
fn combined(count: usize, a: impl Fn(usize) -> f64, form: &[f64], norms: &[f64]) -> (f64, f64) {
    let orders = norms.len();
    let triangle: f64 = (0..count).map(|n| a(n).abs() * norms[n]).sum();
    let product = |m: usize| a(m) * (0..count).map(|n| form[m * orders + n] * a(n)).sum::<f64>();
    let square: f64 = (0..count).map(product).sum();
    (triangle.min(square.max(0.0).sqrt()), triangle)
}

/// At most ‖W‖₁: the sums over rectangular cells, absolute values taken after. Exact where W keeps its sign in a cell.
fn at_least<T: Real>(orders: usize, a: &[T], cells_y: &[Vec<f64>], cells_x: &[Vec<f64>]) -> f64 {
    let mut sum = 0.0;
    for cell_x in cells_x {
        let column: Vec<f64> =
            (0..orders).map(|i| (0..orders - i).map(|j| a[jet_index(i, j)].to_f64() * cell_x[j]).sum()).collect();
        let cell = |cell_y: &Vec<f64>| cell_y.iter().zip(&column).map(|(f, c)| f * c).sum::<f64>().abs();
        sum += cells_y.iter().map(cell).sum::<f64>();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AxisConfig, GeometryConfig};

    fn noise(seed: usize, len: usize) -> Vec<f64> {
        (0..len).map(|i| ((i * 7919 + seed * 104_729 + i * i * 31) % 1009) as f64 / 504.5 - 1.0).collect()
    }

    /// ‖Σ_ij α_ij F_i ⊗ G_j‖₁, summed over the kernels of each channel.
    fn norms(geometry: &Geometry, alpha: &[f64], f: &[Vec<f64>], g: &[Vec<f64>], by: By, channels: usize) -> Vec<f64> {
        let kernel = |a: &[f64]| -> f64 {
            let value = |y: usize, x: usize| -> f64 {
                geometry.jet().enumerate().map(|(b, (i, j))| a[b] * f[i][y] * g[j][x]).sum()
            };
            (0..f[0].len()).flat_map(|y| (0..g[0].len()).map(move |x| (y, x))).map(|(y, x)| value(y, x).abs()).sum()
        };
        (0..channels).map(|channel| coefficients(geometry, alpha, by, channel).map(kernel).sum()).collect()
    }

    /// The bounds against kernels built out, errors of the filters drawn at random.
    #[test]
    fn bounds_hold_and_are_not_far_off() {
        let axis = AxisConfig { input: 32, radius: 15, stride: 1, padding: (15, 15) };
        let geometry = Geometry::new(GeometryConfig {
            batch: 1,
            channels_in: 6,
            channels_out: 4,
            groups: 2,
            order: 2,
            y: axis,
            x: axis,
        })
        .unwrap();
        let gauss = |t: usize| (-0.5 * ((t as f64 - 15.0) / 3.0).powi(2)).exp();
        let u = |t: usize| (t as f64 - 15.0) / 3.0;
        let taps: Vec<f64> =
            (0..3).flat_map(|n| (0..31).map(move |t| gauss(t) * [1.0, -u(t), u(t) * u(t) - 1.0][n])).collect();
        let rows: Vec<Vec<f64>> = taps.chunks(31).map(<[f64]>::to_vec).collect();
        let bank = FilterBank::new(&taps, 3);
        for (seed, by, channels) in [(1, By::Output, 4), (2, By::Input, 6), (3, By::Output, 4)] {
            let alpha = noise(seed, geometry.alpha_len());
            let sums = Sums::new(&geometry, &alpha, &bank, &bank, by);
            let largest = |values: Vec<f64>| values.into_iter().fold(0.0, f64::max);
            let norm = largest(norms(&geometry, &alpha, &rows, &rows, by, channels));
            assert!(sums.norm() <= norm * (1.0 + 1e-12) && sums.norm() > 0.9 * norm, "{} of {norm}", sums.norm());

            let error =
                |seed| noise(seed, taps.len()).chunks(31).map(|e| e.iter().map(|e| 1e-3 * e).collect()).collect();
            let (phi, gamma): (Vec<Vec<f64>>, Vec<Vec<f64>>) = (error(seed + 10), error(seed + 20));
            let sizes = |e: &[Vec<f64>]| e.iter().map(|e| e.iter().map(|e| e.abs()).sum()).collect::<Vec<f64>>();
            let bound = sums.error(&sizes(&phi), &sizes(&gamma));
            let off = |a: &[f64]| -> f64 {
                let value = |y: usize, x: usize| -> f64 {
                    let term = |(b, (i, j)): (usize, (usize, usize))| {
                        let changed = (rows[i][y] + phi[i][y]) * (rows[j][x] + gamma[j][x]);
                        a[b] * (changed - rows[i][y] * rows[j][x])
                    };
                    geometry.jet().enumerate().map(term).sum()
                };
                (0..31 * 31).map(|t| value(t / 31, t % 31).abs()).sum()
            };
            let off = |channel| coefficients(&geometry, &alpha, by, channel).map(off).sum();
            let off = largest((0..channels).map(off).collect());
            assert!(off <= bound && bound < 4.0 * off, "{off} is bounded by {bound}");
        }
    }
}
