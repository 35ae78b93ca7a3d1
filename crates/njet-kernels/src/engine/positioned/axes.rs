//! The filters of an axis as banded matrices, one for each order.

use crate::Real;
use crate::geometry::Axis;

/// Orders 0 … N of one axis: matrices `[results, sources]` whose nonzero elements stand in the same bands.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::engine) struct Bands<T> {
    pub(super) orders: usize,
    pub(super) sources: usize,
    pub(super) rows: Vec<Band>,
    /// Source after source of each band, all orders of one source together.
    pub(super) taps: Vec<T>,
}

/// The nonzero elements of one row of the matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Band {
    /// The first source,
    pub(super) first: usize,
    /// how many there are,
    pub(super) len: usize,
    /// and where their taps begin.
    pub(super) taps: usize,
}

impl<T: Real> Bands<T> {
    /// From taps `[orders, outputs, 2R + 1]`; those outside the image are left out.
    fn forward(orders: usize, axis: &Axis, taps: &[T]) -> Self {
        let side = axis.taps();
        let mut bands = Self { orders, sources: axis.input, rows: Vec::with_capacity(axis.output), taps: Vec::new() };
        for o in 0..axis.output {
            let first = axis.first(o);
            let inside = |source: isize| source.clamp(0, axis.input as isize) as usize;
            let (from, to) = (inside(first), inside(first + side as isize));
            bands.rows.push(Band { first: from, len: to - from, taps: bands.taps.len() });
            for source in from..to {
                let t = (source as isize - first) as usize;
                bands.taps.extend((0..orders).map(|n| taps[(n * axis.output + o) * side + t]));
            }
        }
        bands
    }

    fn transposed(&self) -> Self {
        // The results that read a source; where a row in between does not, its taps are zero.
        let mut reach = vec![(usize::MAX, 0); self.sources];
        for (result, band) in self.rows.iter().enumerate() {
            for (first, end) in &mut reach[band.first..band.first + band.len] {
                *first = (*first).min(result);
                *end = result + 1;
            }
        }
        let mut turned = Self { orders: self.orders, sources: self.rows.len(), rows: Vec::new(), taps: Vec::new() };
        for (source, (first, end)) in reach.into_iter().enumerate() {
            let first = first.min(end);
            turned.rows.push(Band { first, len: end - first, taps: turned.taps.len() });
            for band in &self.rows[first..end] {
                match source.checked_sub(band.first).filter(|&t| t < band.len) {
                    Some(t) => turned.taps.extend_from_slice(&self.taps[band.taps + t * self.orders..][..self.orders]),
                    None => turned.taps.extend(std::iter::repeat_n(T::ZERO, self.orders)),
                }
            }
        }
        turned
    }
}

/// Both axes in one direction.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::engine) struct Axes<T> {
    pub(super) orders: usize,
    pub(super) y: Bands<T>,
    pub(super) x: Bands<T>,
}

impl<T: Real> Axes<T> {
    /// From the input to the output.
    pub(in crate::engine) fn forward(orders: usize, [y, x]: [&Axis; 2], [taps_y, taps_x]: [&[T]; 2]) -> Self {
        Self { orders, y: Bands::forward(orders, y, taps_y), x: Bands::forward(orders, x, taps_x) }
    }

    /// The other way.
    pub(in crate::engine) fn transposed(&self) -> Self {
        Self { orders: self.orders, y: self.y.transposed(), x: self.x.transposed() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{CentredAxis, CentredConfig, Geometry};

    fn dense(bands: &Bands<f64>, n: usize) -> Vec<Vec<f64>> {
        let row = |band: &Band| {
            let mut row = vec![0.0; bands.sources];
            for t in 0..band.len {
                row[band.first + t] = bands.taps[band.taps + t * bands.orders + n];
            }
            row
        };
        bands.rows.iter().map(row).collect()
    }

    #[test]
    fn transposed_matrices() {
        for (input, output, radius, factor) in [(9, 4, 2, 2.3), (5, 11, 1, 0.45), (3, 2, 5, 1.6), (40, 2, 1, 20.0)] {
            let axis = CentredAxis { input, output, radius, factor };
            let config =
                CentredConfig { batch: 1, channels_in: 1, channels_out: 1, groups: 1, order: 1, y: axis, x: axis };
            let axis = Geometry::centred(config).unwrap().y;
            let taps: Vec<f64> = (0..2 * output * axis.taps()).map(|i| 1.0 + i as f64).collect();
            let bands = Bands::forward(2, &axis, &taps);
            let turned = bands.transposed();
            for n in 0..2 {
                let (matrix, turned) = (dense(&bands, n), dense(&turned, n));
                assert_eq!((matrix.len(), turned.len()), (output, input));
                for (o, row) in matrix.iter().enumerate() {
                    for (i, &value) in row.iter().enumerate() {
                        assert_eq!(turned[i][o], value);
                        let t = i as isize - axis.first(o);
                        let tap = usize::try_from(t).ok().filter(|&t| t < axis.taps());
                        assert_eq!(value, tap.map_or(0.0, |t| taps[(n * output + o) * axis.taps() + t]));
                    }
                }
            }
        }
    }
}
