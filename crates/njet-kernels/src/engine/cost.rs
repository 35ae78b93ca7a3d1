//! Which comes first, the filters or the product: decided by counting multiply-adds.

use crate::{Axis, Geometry};

/// The two ways to evaluate `Σ_b α_b · (x ⋆ basis_b)`: both are linear, so they commute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopOrder {
    /// B responses of every input channel, then the product.
    FilterThenMix,
    /// The product at every input pixel, giving B planes for every output channel, then the filters.
    MixThenFilter,
}

impl LoopOrder {
    /// The order with fewer multiply-adds.
    ///
    /// ```
    /// use njet_kernels::{AxisConfig, Geometry, GeometryConfig, LoopOrder};
    /// let axis = AxisConfig { input: 32, radius: 4, stride: 1, padding: (4, 4) };
    /// let layer = |channels_in, channels_out| Geometry::new(GeometryConfig {
    ///     batch: 1, channels_in, channels_out, groups: 1, order: 2, y: axis, x: axis,
    /// }).unwrap();
    /// assert_eq!(LoopOrder::cheaper(&layer(96, 192)), LoopOrder::FilterThenMix);
    /// assert_eq!(LoopOrder::cheaper(&layer(192, 10)), LoopOrder::MixThenFilter);
    /// ```
    pub fn cheaper(geometry: &Geometry) -> Self {
        if Self::FilterThenMix.cost(geometry) <= Self::MixThenFilter.cost(geometry) {
            Self::FilterThenMix
        } else {
            Self::MixThenFilter
        }
    }

    /// Multiply-adds for each image of a forward pass, folded taps counted once.
    pub(super) fn cost(self, geometry: &Geometry) -> f64 {
        let orders = geometry.order as f64 + 1.0;
        let basis = geometry.basis() as f64;
        let half = |axis: &Axis| axis.radius as f64 + 1.0;
        let (y, x) = (geometry.y.trimmed(), geometry.x.trimmed());
        let mix = basis * geometry.group_in as f64 * geometry.channels_out() as f64;
        match self {
            // Along x on the input's rows (all columns: those between strides are dropped after), along
            // y on the output's.
            Self::FilterThenMix => {
                let along_x = orders * half(&x) * (y.input * x.output * x.stride) as f64;
                let along_y = basis * half(&y) * geometry.pixels_out() as f64;
                geometry.channels_in() as f64 * (along_x + along_y) + mix * geometry.pixels_out() as f64
            }
            // Along y first: B planes as wide as the input become `orders` planes as high as the output.
            Self::MixThenFilter => {
                let along_y = basis * half(&y) * (y.output * x.input) as f64;
                let along_x = orders * half(&x) * (y.output * x.output * x.stride) as f64;
                geometry.channels_out() as f64 * (along_x + along_y) + mix * geometry.pixels_in() as f64
            }
        }
    }
}
