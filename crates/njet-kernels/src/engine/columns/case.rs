//! A plane and filters for the tests.

use super::MANY_REGISTERS;
use crate::engine::placement::Direction;
use crate::isa::Isa;
use crate::simd::{VectorBody, Vectors};
use crate::{AxisConfig, Geometry, GeometryConfig, Real, Taps};

pub(in crate::engine) struct Case {
    pub(in crate::engine) geometry: Geometry,
    /// Along y and x, `[order + 1, 2R + 1]`,
    pub(in crate::engine) taps: [Vec<f64>; 2],
    /// and others of the same symmetry, for their derivatives.
    pub(in crate::engine) d_taps: [Vec<f64>; 2],
    pub(in crate::engine) alpha: Vec<f64>,
    pub(in crate::engine) plane: Vec<f64>,
}

pub(in crate::engine) fn cast<T: Real>(values: &[f64]) -> Vec<T> {
    values.iter().map(|&v| T::from_f64(v)).collect()
}

/// Whether an instruction set has as many as the loops with large windows need.
pub(super) fn has_many_registers<T: Real>(isa: Isa) -> bool {
    struct Count;
    impl<T: Real> VectorBody<T> for Count {
        type Output = usize;
        fn run<V: Vectors<T>, const R: usize>(self, _: V) -> usize {
            V::REGISTERS
        }
    }
    T::dispatch(isa, Count) >= MANY_REGISTERS
}

pub(in crate::engine) fn noise(seed: usize, len: usize) -> Vec<f64> {
    (0..len).map(|i| ((i * i + 7 * i + seed) * 7919 % 1013) as f64 / 1013.0 - 0.4).collect()
}

/// Even and odd by turns, as derivatives of a Gaussian are, without being some.
fn taps(seed: usize, order: usize, radius: usize) -> Vec<f64> {
    let of_order = |n: usize| {
        let (odd, half) = (n % 2 == 1, noise(seed + n, radius + 1));
        (-(radius as isize)..=radius as isize)
            .map(move |t| match t {
                0 if odd => 0.0,
                t if odd && t < 0 => -half[t.unsigned_abs()],
                t => half[t.unsigned_abs()],
            })
            .collect::<Vec<_>>()
    };
    (0..=order).flat_map(of_order).collect()
}

impl Case {
    /// `size`, `radii` and `padding` along y and x; `None` where the kernel does not fit.
    pub(in crate::engine) fn new(
        order: usize,
        size: [usize; 2],
        radii: [usize; 2],
        padding: [(usize, usize); 2],
        stride: usize,
    ) -> Option<Self> {
        let axis = |i: usize| AxisConfig { input: size[i], radius: radii[i], stride, padding: padding[i] };
        let (y, x) = (axis(0), axis(1));
        let config = GeometryConfig { batch: 1, channels_in: 1, channels_out: 1, groups: 1, order, y, x };
        let geometry = Geometry::new(config).ok()?;
        Some(Self {
            taps: radii.map(|radius| taps(1, order, radius)),
            d_taps: radii.map(|radius| taps(11, order, radius)),
            alpha: noise(3, geometry.basis()),
            plane: noise(5, size[0] * size[1]),
            geometry,
        })
    }

    /// `taps` from the input to the output.
    pub(in crate::engine) fn direction<T: Real>(&self, taps: &[Vec<f64>; 2]) -> Direction<T> {
        let [y, x] = taps.each_ref().map(|taps| cast::<T>(taps));
        let Geometry { order, y: axis_y, x: axis_x, .. } = &self.geometry;
        Direction::forward(*order, axis_y, axis_x, Taps { y: &y[..], x: &x[..] }, [0, 0])
    }
}
