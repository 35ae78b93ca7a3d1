//! The matrix product between coefficients and responses, by the `gemm` crate.
//!
//! This is the seam for a product of our own: nothing else in the engine knows who multiplies.

use crate::Real;

/// A matrix inside a slice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix<'a, T> {
    pub(super) data: &'a [T],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// Rows one after another, `row_stride` elements apart.
    pub(super) fn new(data: &'a [T], rows: usize, columns: usize, row_stride: usize) -> Self {
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    fn last(&self) -> usize {
        (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride
    }
}

/// What happens to what `out` held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Onto {
    Overwrite,
    Add,
}

/// `out = a · b` or `out += a · b`; `out` has rows `row_stride` elements apart. On the calling thread.
pub(super) fn multiply<T: Real>(out: &mut [T], row_stride: usize, onto: Onto, a: Matrix<'_, T>, b: Matrix<'_, T>) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert_eq!(k, b.rows, "inner dimensions");
    if m == 0 || n == 0 || k == 0 {
        assert!(k > 0 || onto == Onto::Add, "an empty sum would leave the output as it was");
        return;
    }
    assert!(a.last() < a.data.len() && b.last() < b.data.len(), "a matrix reaches past its slice");
    assert!(n <= row_stride || m == 1, "rows of the output overlap");
    assert!((m - 1) * row_stride + n <= out.len(), "the output reaches past its slice");
    let stride = |s: usize| s as isize;
    // SAFETY: the three assertions above keep every element that the product reads or writes inside
    // its slice; `out` is borrowed mutably, so it overlaps neither operand; T is f32 or f64.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            stride(row_stride),
            onto == Onto::Add,
            a.data.as_ptr(),
            stride(a.column_stride),
            stride(a.row_stride),
            b.data.as_ptr(),
            stride(b.column_stride),
            stride(b.row_stride),
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
