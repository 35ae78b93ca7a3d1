//! The two-dimensional index of the N-jet.

use std::fmt;

/// Derivative orders of one basis function: ∂^(y+x) L / ∂yʸ ∂xˣ, with y along the rows and x along the columns.
///
/// Displayed in the notation of the field, x before y: `L`, `Lx`, `Lyy`, `Lxxy` (Koenderink & van Doorn 1987;
/// Florack et al. 1992).
///
/// ```
/// use njet_basis::JetIndex;
///
/// assert_eq!(JetIndex { y: 1, x: 2 }.to_string(), "Lxxy");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JetIndex {
    /// Derivative order along y.
    pub y: usize,
    /// Derivative order along x.
    pub x: usize,
}

impl JetIndex {
    /// The total order y + x.
    pub const fn degree(self) -> usize {
        self.y + self.x
    }

    /// Where this function stands in [`jet`], whatever the order of the jet.
    ///
    /// ```
    /// use njet_basis::jet;
    ///
    /// assert!(jet(4).enumerate().all(|(b, index)| index.position() == b));
    /// ```
    pub const fn position(self) -> usize {
        // All lower degrees come first; within a degree the y-order counts up.
        self.degree() * (self.degree() + 1) / 2 + self.y
    }
}

impl fmt::Display for JetIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("L{}{}", "x".repeat(self.x), "y".repeat(self.y)))
    }
}

/// The N-jet in its canonical order: by total degree, then by falling x-degree. `L, Lx, Ly, Lxx, Lxy, Lyy, …`
///
/// This order is the layout of every array of basis functions, coefficients or energies.
///
/// ```
/// use njet_basis::{basis_len, jet};
///
/// let orders: Vec<_> = jet(2).map(|index| (index.y, index.x)).collect();
/// assert_eq!(orders, [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0)]);
/// assert_eq!(jet(4).count(), basis_len(4));
/// ```
pub fn jet(order: usize) -> impl Iterator<Item = JetIndex> + Clone {
    (0..=order).flat_map(|degree| (0..=degree).map(move |y| JetIndex { y, x: degree - y }))
}

/// The number of basis functions of the N-jet, B = (N + 1)(N + 2)/2.
///
/// ```
/// use njet_basis::basis_len;
///
/// assert_eq!([1, 2, 3, 4].map(basis_len), [3, 6, 10, 15]);
/// ```
pub const fn basis_len(order: usize) -> usize {
    (order + 1) * (order + 2) / 2
}
