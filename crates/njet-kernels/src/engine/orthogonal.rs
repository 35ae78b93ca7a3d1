//! Iterations towards the orthogonal matrix nearest to a given one.

use super::product::{Onto, Output, Right, Tiles, multiply, strip_pitch};
use crate::Real;
use crate::isa::Isa;
use crate::simd::STRIP;

/// Newton-Schulz iterations for the orthogonal factor of a matrix (Higham, "Functions of Matrices", 2008, section 8.3), of odd
/// polynomials of degree five: X ← (a + b·A + c·A²)·X with A = X·Xᵀ, from X divided by its Frobenius norm.
///
/// `polynomial` is `[a, b, c]`. On [`Isa::Amx`] factors of products are rounded to bf16, which the iterations forgive.
///
/// ```
/// use njet_kernels::engine::{Isa, NewtonSchulz};
/// // That of the classical iteration of Newton and Schulz.
/// let iterations = NewtonSchulz { polynomial: [1.5, -0.5, 0.0], count: 20, isa: Isa::Best };
/// let mut x = [2.0f32, 0.0, 0.0, 0.0, 0.0, 0.5];
/// iterations.run(&mut x, [2, 3]);
/// for (x, expected) in x.into_iter().zip([1.0, 0.0, 0.0, 0.0, 0.0, 1.0]) {
///     assert!((x - expected).abs() < 1e-5);
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NewtonSchulz {
    /// `[a, b, c]`.
    pub polynomial: [f64; 3],
    /// How many.
    pub count: usize,
    /// The instruction set.
    pub isa: Isa,
}

impl NewtonSchulz {
    /// Of a matrix `[rows, columns]`, on the calling thread. Of zeros it makes zeros.
    ///
    /// # Panics
    /// If `x` has not `rows · columns` elements.
    pub fn run<T: Real>(&self, x: &mut [T], [rows, columns]: [usize; 2]) {
        assert_eq!(x.len(), rows * columns, "elements of a matrix of {rows} × {columns}");
        if rows > columns {
            let mut turned = transposed(x, [rows, columns]);
            self.wide(&mut turned, [columns, rows]);
            x.copy_from_slice(&transposed(&turned, [columns, rows]));
        } else if rows > 0 {
            self.wide(x, [rows, columns]);
        }
    }

    fn wide<T: Real>(&self, x: &mut [T], [rows, columns]: [usize; 2]) {
        let norm = x.iter().map(|v| v.to_f64() * v.to_f64()).sum::<f64>().sqrt().max(1e-7);
        let by = T::from_f64(1.0 / norm);
        x.iter_mut().for_each(|v| *v = *v * by);
        let isa = self.isa;
        let [a, b, c] = self.polynomial.map(T::from_f64);
        let [mut squares, mut factor] = [(); 2].map(|()| vec![T::ZERO; rows * rows]);
        let mut next = vec![T::ZERO; x.len()];
        let mut strips = Strips(Vec::new());
        for _ in 0..self.count {
            // A
            let left = Tiles::of_rows(isa, [rows, columns], x);
            let right = strips.of_rows(x, [rows, columns]);
            multiply(isa, left.rows(0..rows), right, Output::new(&mut squares, rows, Onto::Overwrite));
            // a + b·A + c·A²
            let left = Tiles::of_rows(isa, [rows; 2], &squares);
            let right = strips.of_columns(&squares, [rows, rows]);
            multiply(isa, left.rows(0..rows), right, Output::new(&mut factor, rows, Onto::Overwrite));
            factor.iter_mut().zip(&squares).for_each(|(factor, &a)| *factor = c * *factor + b * a);
            factor.iter_mut().step_by(rows + 1).for_each(|diagonal| *diagonal += a);
            let left = Tiles::of_rows(isa, [rows; 2], &factor);
            let right = strips.of_columns(x, [rows, columns]);
            multiply(isa, left.rows(0..rows), right, Output::new(&mut next, columns, Onto::Overwrite));
            x.copy_from_slice(&next);
        }
    }
}

fn transposed<T: Copy>(x: &[T], [rows, columns]: [usize; 2]) -> Vec<T> {
    (0..columns).flat_map(|c| (0..rows).map(move |r| x[r * columns + c])).collect()
}

/// A right operand, in strips.
struct Strips<T>(Vec<T>);

impl<T: Real> Strips<T> {
    /// The columns of a matrix `[rows, columns]`.
    fn of_columns(&mut self, x: &[T], [rows, columns]: [usize; 2]) -> Right<'_, T> {
        let pitch = self.room(rows, columns);
        for (s, strip) in self.0.chunks_exact_mut(pitch).enumerate().take(columns.div_ceil(STRIP)) {
            let first = s * STRIP;
            let len = STRIP.min(columns - first);
            for (to, from) in strip.chunks_exact_mut(STRIP).zip(x.chunks_exact(columns)) {
                to[..len].copy_from_slice(&from[first..][..len]);
            }
        }
        Right::new(&self.0, pitch, columns)
    }

    /// Its rows, as the columns of its transpose.
    fn of_rows(&mut self, x: &[T], [rows, columns]: [usize; 2]) -> Right<'_, T> {
        let pitch = self.room(columns, rows);
        for (strip, rows) in self.0.chunks_exact_mut(pitch).zip(x.chunks(STRIP * columns)) {
            for (r, row) in rows.chunks_exact(columns).enumerate() {
                strip.chunks_exact_mut(STRIP).zip(row).for_each(|(to, &from)| to[r] = from);
            }
        }
        Right::new(&self.0, pitch, rows)
    }

    /// For strips of `inner` rows; elements between them.
    fn room(&mut self, inner: usize, columns: usize) -> usize {
        let pitch = strip_pitch(inner);
        self.0.resize(columns.div_ceil(STRIP) * pitch, T::ZERO);
        pitch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Step by step as the equation says, in f64.
    fn reference(x: &[f64], [rows, columns]: [usize; 2], iterations: &NewtonSchulz) -> Vec<f64> {
        let product = |a: &[f64], b: &[f64], [n, k, m]: [usize; 3]| -> Vec<f64> {
            let entry = |i: usize, j: usize| (0..k).map(|l| a[i * k + l] * b[l * m + j]).sum();
            (0..n * m).map(|at| entry(at / m, at % m)).collect()
        };
        let norm = x.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-7);
        let mut x: Vec<f64> = x.iter().map(|v| v / norm).collect();
        let [a, b, c] = iterations.polynomial;
        for _ in 0..iterations.count {
            let squares = product(&x, &transposed(&x, [rows, columns]), [rows, columns, rows]);
            let fourth = product(&squares, &squares, [rows; 3]);
            let unit = |at: usize| if at / rows == at % rows { a } else { 0.0 };
            let factor: Vec<f64> = (0..rows * rows).map(|at| unit(at) + b * squares[at] + c * fourth[at]).collect();
            x = product(&factor, &x, [rows, rows, columns]);
        }
        x
    }

    fn matrix([rows, columns]: [usize; 2], seed: usize) -> Vec<f64> {
        (0..rows * columns).map(|i| ((i * i * 31 + 7 * i + seed * (i + 1)) as f64 * 0.37).sin()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_instruction_set_iterates(rows in 1usize..70, columns in 1usize..70, seed in 0usize..1000) {
            let shape = [rows, columns];
            let x = matrix(shape, seed);
            for isa in Isa::ALL.into_iter().chain([Isa::Amx]) {
                // A contraction to one, so that what is rounded is not made large.
                let iterations = NewtonSchulz { polynomial: [1.875, -1.25, 0.375], count: 4, isa };
                let expected = if rows <= columns {
                    reference(&x, shape, &iterations)
                } else {
                    let turned = transposed(&x, shape);
                    transposed(&reference(&turned, [columns, rows], &iterations), [columns, rows])
                };
                let mut double = x.clone();
                iterations.run(&mut double, shape);
                let mut single: Vec<f32> = x.iter().map(|&v| v as f32).collect();
                iterations.run(&mut single, shape);
                let tolerance = if isa == Isa::Amx && isa.is_available() { 0.05 } else { 2e-5 };
                for ((expected, double), single) in expected.into_iter().zip(double).zip(single) {
                    prop_assert!((double - expected).abs() < 1e-10, "{double} {expected} {isa:?}");
                    prop_assert!((f64::from(single) - expected).abs() < tolerance, "{single} {expected} {isa:?}");
                }
            }
        }
    }

    #[test]
    fn zeros_stay_zeros_and_nothing_stays_nothing() {
        let iterations = NewtonSchulz { polynomial: [3.4445, -4.775, 2.0315], count: 5, isa: Isa::Best };
        let mut x = vec![0.0f32; 12];
        iterations.run(&mut x, [3, 4]);
        assert_eq!(x, [0.0; 12]);
        for shape in [[0, 0], [0, 3], [3, 0]] {
            iterations.run::<f32>(&mut [], shape);
        }
    }
}
