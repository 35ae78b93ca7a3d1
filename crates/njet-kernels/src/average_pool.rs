//! The mean of 2×2 pixels at every second pixel; an odd last row or column is left out.

use crate::disjoint::Filling;
use crate::{KernelError, Real};
use rayon::prelude::*;
use std::mem::MaybeUninit;

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

/// The means, `[count, height / 2, width / 2]`.
///
/// # Errors
/// A slice whose length is not that of its shape.
pub fn forward<T: Real>(planes: &Planes, x: &[T]) -> Result<Vec<T>, KernelError> {
    let pooled = planes.pooled();
    planes.check("average_pool forward", x.len(), planes.count * pooled)?;
    if pooled == 0 {
        return Ok(Vec::new());
    }
    let (width, quarter) = (planes.width, T::from_f64(0.25));
    let mut filling = Filling::new(planes.count * pooled);
    let y = filling.parts(planes.count * pooled);
    x.par_chunks_exact(planes.height * width).enumerate().for_each(|(plane, x)| {
        // SAFETY: the only task with this plane.
        let y = unsafe { y.part(plane * pooled..(plane + 1) * pooled) };
        for (rows, y) in x.chunks_exact(2 * width).zip(y.chunks_exact_mut(width / 2)) {
            let (upper, lower) = rows.split_at(width);
            let pairs = upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0);
            for (y, (u, l)) in y.iter_mut().zip(pairs) {
                y.write((u[0] + u[1] + l[0] + l[1]) * quarter);
            }
        }
    });
    // SAFETY: every plane has a task, which writes the half of its rows and columns.
    Ok(unsafe { filling.finish(planes.count * pooled) })
}

/// The gradient of the input, `[count, height, width]`.
///
/// # Errors
/// A slice whose length is not that of its shape.
pub fn backward<T: Real>(planes: &Planes, grad_y: &[T]) -> Result<Vec<T>, KernelError> {
    let Planes { count, height, width } = *planes;
    planes.check("average_pool backward", count * height * width, grad_y.len())?;
    if grad_y.is_empty() {
        return Ok(vec![T::ZERO; count * height * width]);
    }
    let quarter = T::from_f64(0.25);
    let mut filling = Filling::new(count * height * width);
    let grad_x = filling.parts(count * height * width);
    grad_y.par_chunks_exact(planes.pooled()).enumerate().for_each(|(plane, grad_y)| {
        // SAFETY: the only task with this plane.
        let grad_x = unsafe { grad_x.part(plane * height * width..(plane + 1) * height * width) };
        let zero = MaybeUninit::new(T::ZERO);
        let mut pairs = grad_x.chunks_exact_mut(2 * width);
        for (rows, grad_y) in pairs.by_ref().zip(grad_y.chunks_exact(width / 2)) {
            let (upper, lower) = rows.split_at_mut(width);
            for row in [upper, lower] {
                let (chunks, rest) = row.as_chunks_mut::<2>();
                for (pair, &g) in chunks.iter_mut().zip(grad_y) {
                    *pair = [MaybeUninit::new(g * quarter); 2];
                }
                rest.fill(zero);
            }
        }
        pairs.into_remainder().fill(zero);
    });
    // SAFETY: every plane has a task, which writes all of its pairs of rows and the row that is left.
    Ok(unsafe { filling.finish(count * height * width) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_of_four_and_their_adjoint() {
        for (height, width) in [(2, 2), (4, 6), (5, 7), (3, 2), (1, 4), (4, 1)] {
            let planes = Planes { count: 3, height, width };
            let x: Vec<f64> = (0..3 * height * width).map(|i| ((i * i) % 17) as f64).collect();
            let y = forward(&planes, &x).unwrap();
            assert_eq!(y.len(), 3 * planes.pooled());
            for (i, &y) in y.iter().enumerate() {
                let (row, column) = (i / (width / 2) % (height / 2), i % (width / 2));
                let at = |dy, dx| x[i / planes.pooled() * height * width + (2 * row + dy) * width + 2 * column + dx];
                assert_eq!(y, (at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1)) / 4.0);
            }
            // ⟨pool(x), g⟩ = ⟨x, poolᵀ(g)⟩
            let g: Vec<f64> = (0..y.len()).map(|i| ((i * 7) % 5) as f64 - 2.0).collect();
            let grad_x = backward(&planes, &g).unwrap();
            assert_eq!(grad_x.len(), x.len());
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            assert!((dot(&y, &g) - dot(&x, &grad_x)).abs() < 1e-9, "{height}×{width}");
        }
    }

    #[test]
    fn wrong_lengths_are_refused() {
        let planes = Planes { count: 1, height: 4, width: 4 };
        let message = forward(&planes, &[0.0f32; 15]).unwrap_err().to_string();
        assert!(message.contains("`whole planes` has 15 elements"), "{message}");
    }
}
