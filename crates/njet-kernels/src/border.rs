//! Images continued beyond their borders.

use crate::Real;
use rayon::prelude::*;

/// What an image is continued with beyond its border, where that is not zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Border {
    /// The nearest pixel: `a a | a b c | c c`.
    Replicate,
    /// Mirrored about the outermost pixels: `c b | a b c | b a`. Wider margins go to and fro.
    Reflect,
    /// From the other side: `b c | a b c | a b`.
    Circular,
}

impl Border {
    /// The pixel of a line of `n` that stands at place `i`.
    ///
    /// ```
    /// use njet_kernels::Border;
    /// let line = |border: Border| [-2, -1, 0, 2, 3, 4].map(|i| border.pixel(i, 3));
    /// assert_eq!(line(Border::Replicate), [0, 0, 0, 2, 2, 2]);
    /// assert_eq!(line(Border::Reflect), [2, 1, 0, 2, 1, 0]);
    /// assert_eq!(line(Border::Circular), [1, 2, 0, 2, 0, 1]);
    /// ```
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn pixel(self, i: isize, n: usize) -> usize {
        let (last, n) = (n as isize - 1, n as isize);
        (match self {
            Self::Replicate => i.clamp(0, last),
            Self::Circular => i.rem_euclid(n),
            Self::Reflect if last == 0 => 0,
            Self::Reflect => last - (i.rem_euclid(2 * last) - last).abs(),
        }) as usize
    }

    fn line(self, n: usize, (before, after): (usize, usize)) -> Vec<usize> {
        (-(before as isize)..(n + after) as isize).map(|i| self.pixel(i, n)).collect()
    }

    /// Planes `[height, width]` with margins: (before, after) along y and along x.
    ///
    /// # Panics
    /// If `x` is not whole planes.
    pub fn extend<T: Real>(self, x: &[T], [height, width]: [usize; 2], margins: [(usize, usize); 2]) -> Vec<T> {
        let (rows, columns) = (self.line(height, margins[0]), self.line(width, margins[1]));
        let area = rows.len() * columns.len();
        assert!(x.len().is_multiple_of(height * width), "not whole planes");
        let mut out = vec![T::ZERO; x.len() / (height * width) * area];
        out.par_chunks_mut(area).zip(x.par_chunks(height * width)).for_each(|(out, plane)| {
            for (out, &row) in out.chunks_exact_mut(columns.len()).zip(&rows) {
                let row = &plane[row * width..][..width];
                let (left, inner) = (margins[1].0, margins[1].0 + width);
                out[left..inner].copy_from_slice(row);
                for x in (0..left).chain(inner..columns.len()) {
                    out[x] = row[columns[x]];
                }
            }
        });
        out
    }

    /// The adjoint of [`extend`](Self::extend): what the margins hold is added to the pixels they came from.
    ///
    /// # Panics
    /// If `x` is not whole planes with margins.
    pub fn fold<T: Real>(self, x: &[T], [height, width]: [usize; 2], margins: [(usize, usize); 2]) -> Vec<T> {
        let (rows, columns) = (self.line(height, margins[0]), self.line(width, margins[1]));
        let area = rows.len() * columns.len();
        assert!(x.len().is_multiple_of(area), "not whole planes with margins");
        let mut out = vec![T::ZERO; x.len() / area * height * width];
        out.par_chunks_mut(height * width).zip(x.par_chunks(area)).for_each(|(out, plane)| {
            for (from, &row) in plane.chunks_exact(columns.len()).zip(&rows) {
                let out = &mut out[row * width..][..width];
                from.iter().zip(&columns).for_each(|(&value, &x)| out[x] += value);
            }
        });
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// ⟨extend(x), g⟩ = ⟨x, fold(g)⟩, in whole numbers.
        #[test]
        fn folding_is_the_adjoint(
            border in prop::sample::select(vec![Border::Replicate, Border::Reflect, Border::Circular]),
            size in [1usize..7, 1usize..7],
            margins in [(0usize..12, 0usize..12), (0usize..12, 0usize..12)],
        ) {
            let numbers = |len: usize| (0..len).map(|i| ((7 * i * i + 3 * i) % 11) as f64 - 5.0).collect::<Vec<_>>();
            let x = numbers(2 * size[0] * size[1]);
            let wide = border.extend(&x, size, margins);
            let [h, w] = [0, 1].map(|a| size[a] + margins[a].0 + margins[a].1);
            prop_assert_eq!(wide.len(), 2 * h * w);
            for (i, &value) in wide.iter().enumerate() {
                let (plane, y, x_at) = (i / (h * w), i / w % h, i % w);
                let row = border.pixel(y as isize - margins[0].0 as isize, size[0]);
                let column = border.pixel(x_at as isize - margins[1].0 as isize, size[1]);
                prop_assert_eq!(value, x[(plane * size[0] + row) * size[1] + column]);
            }
            let g = numbers(wide.len());
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            prop_assert_eq!(dot(&wide, &g), dot(&x, &border.fold(&g, size, margins)));
        }
    }
}
