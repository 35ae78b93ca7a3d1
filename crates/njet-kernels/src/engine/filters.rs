//! The filters of a layer: one set for all channels, or one for each group or channel.

use super::bands;
use super::placement::Direction;
use super::positioned::{self, Axes};
use crate::{Geometry, Real, Taps};

/// One set of filters in one direction and, where the gradient of σ is wanted, their derivatives by σ.
#[derive(Debug, Clone, Copy)]
pub(super) enum Filters<'a, T> {
    /// The same taps for every output.
    Regular(Regular<'a, T>),
    /// Taps of its own for every output.
    Positioned(positioned::Filters<'a, T>),
}

impl<T> Filters<'_, T> {
    /// Whether the gradient of σ is wanted.
    pub(super) fn have_tangents(&self) -> bool {
        match self {
            Self::Regular(filters) => filters.tangent.is_some(),
            Self::Positioned(filters) => filters.tangents.iter().any(Option::is_some),
        }
    }
}

/// See [`Filters::Regular`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Regular<'a, T> {
    pub(super) taps: &'a Direction<T>,
    pub(super) tangent: Option<&'a Direction<T>>,
}

/// All sets of a layer in one direction.
#[derive(Debug)]
pub(super) enum FilterSets<T> {
    Regular {
        taps: Vec<Direction<T>>,
        tangents: Vec<Direction<T>>,
    },
    /// The derivatives one array after the other: set by set of the first, then of the second.
    Positioned {
        taps: Vec<Axes<T>>,
        tangents: Vec<Axes<T>>,
    },
}

impl<T: Real> FilterSets<T> {
    /// From the input to the output.
    pub(super) fn forward(geometry: &Geometry, taps: Taps<'_, T>, d_taps: Option<Taps<'_, T>>) -> Self {
        let (y, x, orders) = (&geometry.y, &geometry.x, geometry.order + 1);
        let [len_y, len_x] = geometry.taps_len().map(|len| len / geometry.sets());
        let cut = |taps: Taps<'_, T>| -> Vec<(Vec<T>, Vec<T>)> {
            let pairs = taps.y.chunks_exact(len_y).zip(taps.x.chunks_exact(len_x));
            pairs.map(|(y, x)| (y.to_vec(), x.to_vec())).collect()
        };
        let (taps, tangents) = (cut(taps), d_taps.map(cut).unwrap_or_default());
        if geometry.is_centred() {
            let axes = |(ty, tx): &(Vec<T>, Vec<T>)| Axes::forward(orders, [y, x], [ty, tx]);
            return Self::Positioned {
                taps: taps.iter().map(axes).collect(),
                tangents: tangents.iter().map(axes).collect(),
            };
        }
        // A set of a smaller scale than the largest has zeros at its ends: they are left out, for the taps and their
        // derivatives alike.
        let dead: Vec<[usize; 2]> = (0..taps.len())
            .map(|set| {
                let both = || [taps.get(set), tangents.get(set)].into_iter().flatten();
                let idle_y = both().map(|(y, _)| idle_ends(y, orders)).min().unwrap_or(0);
                let idle_x = both().map(|(_, x)| idle_ends(x, orders)).min().unwrap_or(0);
                [idle_y.max(y.dead_taps()), idle_x.max(x.dead_taps())]
            })
            .collect();
        let direction = |(set, (ty, tx)): (usize, &(Vec<T>, Vec<T>))| {
            Direction::forward(geometry.order, y, x, Taps { y: ty, x: tx }, dead[set])
        };
        Self::Regular {
            taps: taps.iter().enumerate().map(direction).collect(),
            tangents: tangents.iter().enumerate().map(direction).collect(),
        }
    }

    /// From the output to the input: the adjoint of `self`, which is [`forward`](Self::forward).
    pub(super) fn adjoint(&self, geometry: &Geometry) -> Self {
        match self {
            Self::Regular { taps, tangents } => {
                let adjoint = |direction: &Direction<T>| direction.adjoint(&geometry.y, &geometry.x);
                Self::Regular {
                    taps: taps.iter().map(adjoint).collect(),
                    tangents: tangents.iter().map(adjoint).collect(),
                }
            }
            Self::Positioned { taps, tangents } => Self::Positioned {
                taps: taps.iter().map(Axes::transposed).collect(),
                tangents: tangents.iter().map(Axes::transposed).collect(),
            },
        }
    }

    /// [`Direction::border`] of the one set, for a synthesis; where there are several, each is its own.
    pub(super) fn border(&self) -> usize {
        match self {
            Self::Regular { taps, .. } if taps.len() == 1 && !bands::made_for(&taps[0]) => taps[0].border(),
            Self::Regular { .. } | Self::Positioned { .. } => 0,
        }
    }

    pub(super) fn set(&self, set: usize) -> Filters<'_, T> {
        match self {
            Self::Regular { taps, tangents } => {
                Filters::Regular(Regular { taps: &taps[set], tangent: tangents.get(set) })
            }
            Self::Positioned { taps, tangents } => {
                let sets = taps.len();
                let tangents = [tangents.get(set), tangents.get(sets + set)];
                Filters::Positioned(positioned::Filters { taps: &taps[set], tangents })
            }
        }
    }

    /// The set of a layer with the same taps for every output.
    ///
    /// # Panics
    /// If each output has its own.
    pub(super) fn regular(&self, set: usize) -> Regular<'_, T> {
        match self.set(set) {
            Filters::Regular(filters) => filters,
            Filters::Positioned(_) => unreachable!("depthwise layers with positioned outputs go another way"),
        }
    }
}

/// Taps at each end of a set that are zero in every order; the centre does not count.
fn idle_ends<T: Real>(taps: &[T], orders: usize) -> usize {
    let side = taps.len() / orders;
    let idle = |t: usize| (0..orders).all(|n| taps[n * side + t] == T::ZERO && taps[(n + 1) * side - 1 - t] == T::ZERO);
    (0..side / 2).take_while(|&t| idle(t)).count()
}

/// Sums of the gradient of σ, `[by y, by x]` for each set and each array of derivatives.
#[derive(Debug, Clone)]
pub(super) struct SigmaSums {
    sets: usize,
    sums: Vec<[f64; 2]>,
}

impl SigmaSums {
    pub(super) fn new(geometry: &Geometry, d_taps: Option<Taps<'_, impl Real>>) -> Self {
        let sets = geometry.sets();
        let tangents = d_taps.map_or(0, |d| d.y.len() / geometry.taps_len()[0]);
        Self { sets, sums: vec![[0.0; 2]; sets * tangents] }
    }

    #[inline(always)]
    pub(super) fn add(&mut self, set: usize, tangent: usize, [by_y, by_x]: [f64; 2]) {
        let [y, x] = &mut self.sums[tangent * self.sets + set];
        *y += by_y;
        *x += by_x;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for ([y, x], from) in self.sums.iter_mut().zip(&other.sums) {
            *y += from[0];
            *x += from[1];
        }
    }

    pub(super) fn finish(self) -> Vec<[f64; 2]> {
        self.sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_that_are_zero_in_every_order() {
        assert_eq!(idle_ends(&[0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 2), 2);
        assert_eq!(idle_ends(&[0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0], 2), 1);
        assert_eq!(idle_ends(&[0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1e-30], 2), 0);
        assert_eq!(idle_ends(&[0.0f32], 1), 0);
    }
}
