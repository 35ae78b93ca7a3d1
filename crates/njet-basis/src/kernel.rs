//! The filters written out in two dimensions.
//!
//! Layers never need these: they convolve along one axis at a time. They are for reference, inspection and baking.

use crate::{BasisError, Taps, basis_len, jet};

/// Every basis function g_i(y)·g_j(x), i + j ≤ N, in the order of [`jet`].
///
/// The result is laid out \[B\]\[2R_y + 1\]\[2R_x + 1\], with B = [`basis_len`]`(N)`.
///
/// # Errors
///
/// If the two axes have different orders.
///
/// ```
/// use njet_basis::{TapSpec, Taps, basis_2d};
///
/// let taps = Taps::new(&TapSpec::new(0.5, 2.0, 1))?;
/// let basis = basis_2d(&taps, &taps)?;
/// // L_x, the second function, along the middle row: g_0 at the centre times g_1.
/// let (side, r) = (taps.side(), taps.radius());
/// let middle_row = side * side + r * side;
/// assert_eq!(basis[middle_row + r + 1], taps.order(0)[r] * taps.order(1)[r + 1]);
/// # Ok::<(), njet_basis::BasisError>(())
/// ```
pub fn basis_2d(taps_y: &Taps, taps_x: &Taps) -> Result<Vec<f64>, BasisError> {
    let order = common_order(taps_y, taps_x)?;
    let mut basis = Vec::with_capacity(basis_len(order) * taps_y.side() * taps_x.side());
    for index in jet(order) {
        for y in taps_y.order(index.y) {
            basis.extend(taps_x.order(index.x).iter().map(|x| y * x));
        }
    }
    Ok(basis)
}

/// One kernel Σ_b α_b · basis_b, laid out \[2R_y + 1\]\[2R_x + 1\], with α in the order of [`jet`]
/// (Pintea et al. 2021).
///
/// # Errors
///
/// If the two axes have different orders, or `alpha` does not hold one coefficient per basis function.
///
/// ```
/// use njet_basis::{TapSpec, Taps, kernel};
///
/// // The scale-normalised Laplacian, Lxx + Lyy.
/// let taps = Taps::new(&TapSpec::new(1.0, 4.0, 2))?;
/// let laplacian = kernel(&[0.0, 0.0, 0.0, 1.0, 0.0, 1.0], &taps, &taps)?;
/// let centre = laplacian.len() / 2;
/// assert!(laplacian[centre] < 0.0);
/// # Ok::<(), njet_basis::BasisError>(())
/// ```
pub fn kernel(alpha: &[f64], taps_y: &Taps, taps_x: &Taps) -> Result<Vec<f64>, BasisError> {
    let order = common_order(taps_y, taps_x)?;
    if alpha.len() != basis_len(order) {
        return Err(BasisError::Coefficients { order, expected: basis_len(order), got: alpha.len() });
    }
    let mut kernel = vec![0.0; taps_y.side() * taps_x.side()];
    for (&coefficient, index) in alpha.iter().zip(jet(order)) {
        for (row, y) in kernel.chunks_exact_mut(taps_x.side()).zip(taps_y.order(index.y)) {
            for (cell, x) in row.iter_mut().zip(taps_x.order(index.x)) {
                *cell += coefficient * y * x;
            }
        }
    }
    Ok(kernel)
}

fn common_order(taps_y: &Taps, taps_x: &Taps) -> Result<usize, BasisError> {
    match (taps_y.max_order(), taps_x.max_order()) {
        (y, x) if y == x => Ok(x),
        (y, x) => Err(BasisError::AxisOrders { y, x }),
    }
}
