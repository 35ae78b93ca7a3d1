//! The mean of 2×2 pixels at every second pixel; an odd last row or column is left out.

use crate::{KernelError, Real};
use rayon::prelude::*;

/// Many planes of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planes {
    /// How many: images × channels.
    pub count: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
}

impl Planes {
    fn pooled(&self) -> usize {
        (self.height / 2) * (self.width / 2)
    }

    fn check(&self, operation: &'static str, whole: usize, pooled: usize) -> Result<(), KernelError> {
        let length = |what, shape, expected, got| {
            if expected == got {
                return Ok(());
            }
            Err(KernelError::Length { operation, what, shape, expected, got })
        };
        length("whole planes", "[count, height, width]", self.count * self.height * self.width, whole)?;
        length("pooled planes", "[count, height / 2, width / 2]", self.count * self.pooled(), pooled)
    }
}

/// Fills `y`, `[count, height / 2, width / 2]`.
///
/// # Errors
/// A slice whose length is not that of its shape. `y` is then untouched.
pub fn forward<T: Real>(planes: &Planes, x: &[T], y: &mut [T]) -> Result<(), KernelError> {
    planes.check("average_pool forward", x.len(), y.len())?;
    if y.is_empty() {
        return Ok(());
    }
    let (width, quarter) = (planes.width, T::from_f64(0.25));
    let each = x.par_chunks_exact(planes.height * width).zip(y.par_chunks_exact_mut(planes.pooled()));
    each.for_each(|(x, y)| {
        for (rows, y) in x.chunks_exact(2 * width).zip(y.chunks_exact_mut(width / 2)) {
            let (upper, lower) = rows.split_at(width);
            let pairs = upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0);
            for (y, (u, l)) in y.iter_mut().zip(pairs) {
                *y = (u[0] + u[1] + l[0] + l[1]) * quarter;
            }
        }
    });
    Ok(())
}

/// Fills `grad_x`, `[count, height, width]`.
///
/// # Errors
/// A slice whose length is not that of its shape. `grad_x` is then untouched.
pub fn backward<T: Real>(planes: &Planes, grad_y: &[T], grad_x: &mut [T]) -> Result<(), KernelError> {
    planes.check("average_pool backward", grad_x.len(), grad_y.len())?;
    if grad_y.is_empty() {
        grad_x.fill(T::ZERO);
        return Ok(());
    }
    let (width, quarter) = (planes.width, T::from_f64(0.25));
    let each = grad_x.par_chunks_exact_mut(planes.height * width).zip(grad_y.par_chunks_exact(planes.pooled()));
    each.for_each(|(grad_x, grad_y)| {
        let mut pairs = grad_x.chunks_exact_mut(2 * width);
        for (rows, grad_y) in pairs.by_ref().zip(grad_y.chunks_exact(width / 2)) {
            let (upper, lower) = rows.split_at_mut(width);
            for row in [upper, lower] {
                let (chunks, rest) = row.as_chunks_mut::<2>();
                for (pair, &g) in chunks.iter_mut().zip(grad_y) {
                    *pair = [g * quarter; 2];
                }
                rest.fill(T::ZERO);
            }
        }
        pairs.into_remainder().fill(T::ZERO);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_of_four_and_their_adjoint() {
        for (height, width) in [(2, 2), (4, 6), (5, 7), (3, 2), (1, 4), (4, 1)] {
            let planes = Planes { count: 3, height, width };
            let x: Vec<f64> = (0..3 * height * width).map(|i| ((i * i) % 17) as f64).collect();
            let mut y = vec![f64::NAN; 3 * planes.pooled()];
            forward(&planes, &x, &mut y).unwrap();
            for (i, &y) in y.iter().enumerate() {
                let (row, column) = (i / (width / 2) % (height / 2), i % (width / 2));
                let at = |dy, dx| x[i / planes.pooled() * height * width + (2 * row + dy) * width + 2 * column + dx];
                assert_eq!(y, (at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1)) / 4.0);
            }
            // ⟨pool(x), g⟩ = ⟨x, poolᵀ(g)⟩
            let g: Vec<f64> = (0..y.len()).map(|i| ((i * 7) % 5) as f64 - 2.0).collect();
            let mut grad_x = vec![f64::NAN; x.len()];
            backward(&planes, &g, &mut grad_x).unwrap();
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            assert!((dot(&y, &g) - dot(&x, &grad_x)).abs() < 1e-9, "{height}×{width}");
        }
    }

    #[test]
    fn wrong_lengths_are_refused() {
        let planes = Planes { count: 1, height: 4, width: 4 };
        let message = forward(&planes, &[0.0f32; 15], &mut [0.0; 4]).unwrap_err().to_string();
        assert!(message.contains("`whole planes` has 15 elements"), "{message}");
    }
}
