//! Which comes first, the filters or the product: decided by counting multiply-adds, weighted as they were measured.

use crate::{Axis, Geometry, Wanted};

/// Time of a multiply-add of the filters in units of one of the product, filters first. Measured at 64→64, 96→64 and 128→64
/// channels of 32×32, order 2, σ = 2, AVX-512: 2.8 to 3.
const FILTER: f64 = 3.0;

/// The same, product first, in units of [`FILTER`]. Measured there: 1.8 to 1.9 forward and about 2 backward on AVX-512, 1.2 and
/// about 2 on AVX2; less with 32→16 and 64→32 channels.
const AFTER_PRODUCT: f64 = 1.75;

/// The two ways to evaluate `Σ_b α_b · (x ⋆ basis_b)`: both are linear, so they commute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopOrder {
    /// B responses of every input channel, then the product.
    FilterThenMix,
    /// The product at every input pixel, giving B planes for every output channel, then the filters.
    MixThenFilter,
}

impl LoopOrder {
    /// The order that takes less time, by counted multiply-adds and what each was measured to take.
    ///
    /// ```
    /// use njet_kernels::{AxisConfig, Geometry, GeometryConfig, LoopOrder};
    /// let axis = AxisConfig { input: 32, radius: 4, stride: 1, padding: (4, 4) };
    /// let layer = |channels_in, channels_out| Geometry::new(GeometryConfig {
    ///     batch: 1, channels_in, channels_out, groups: 1, order: 2, y: axis, x: axis,
    /// }).unwrap();
    /// assert_eq!(LoopOrder::cheaper(&layer(96, 192)), LoopOrder::FilterThenMix);
    /// assert_eq!(LoopOrder::cheaper(&layer(96, 64)), LoopOrder::FilterThenMix);
    /// assert_eq!(LoopOrder::cheaper(&layer(128, 64)), LoopOrder::MixThenFilter);
    /// ```
    pub fn cheaper(geometry: &Geometry) -> Self {
        let time = |order: Self, after: f64| {
            let [filters, product] = order.multiply_adds(geometry);
            FILTER * after * filters + product
        };
        if time(Self::FilterThenMix, 1.0) <= time(Self::MixThenFilter, AFTER_PRODUCT) {
            Self::FilterThenMix
        } else {
            Self::MixThenFilter
        }
    }

    /// The same for a backward pass that gives no gradient of σ. Where the product came first, the responses of the upstream
    /// gradient serve coefficients and input both, and nothing else is filtered; where the filters did, those of the input
    /// serve the coefficients, and the input's gradient is filtered once more.
    pub(super) fn cheaper_without_sigma(geometry: &Geometry, wanted: Wanted) -> Self {
        let products = f64::from(u8::from(wanted.x)) + f64::from(u8::from(wanted.alpha));
        let time = |order: Self, passes: f64| {
            let [filters, product] = order.multiply_adds(geometry);
            FILTER * passes * filters + products * product
        };
        if time(Self::FilterThenMix, products) <= time(Self::MixThenFilter, 1.0) {
            Self::FilterThenMix
        } else {
            Self::MixThenFilter
        }
    }

    /// Multiply-adds for each image of a forward pass, folded taps counted once.
    pub(super) fn cost(self, geometry: &Geometry) -> f64 {
        self.multiply_adds(geometry).iter().sum()
    }

    /// Those of the filters and of the product.
    fn multiply_adds(self, geometry: &Geometry) -> [f64; 2] {
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
                [geometry.channels_in() as f64 * (along_x + along_y), mix * geometry.pixels_out() as f64]
            }
            // Along y first: B planes as wide as the input become `orders` planes as high as the output.
            Self::MixThenFilter => {
                let along_y = basis * half(&y) * (y.output * x.input) as f64;
                let along_x = orders * half(&x) * (y.output * x.output * x.stride) as f64;
                [geometry.channels_out() as f64 * (along_x + along_y), mix * geometry.pixels_in() as f64]
            }
        }
    }
}
