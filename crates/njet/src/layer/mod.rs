//! The N-jet convolution layer.

mod composed;
mod config;
mod conv2d;
#[cfg(feature = "flex")]
mod extension;
mod initializer;

pub use composed::njet_conv2d_composed;
pub use config::{LayerError, NJetConv2dConfig};
pub use conv2d::{NJetConv2d, njet_conv2d, runs_on_engine};
pub use initializer::Initializer;

use burn::nn::PaddingConfig2d;
use njet_basis::{BasisError, TapSpec, Taps};
use njet_kernels::{AxisConfig, Geometry, GeometryConfig, KernelError};
use std::sync::Arc;

/// What a call of the layer computes, beside its tensors.
#[derive(Debug, Clone)]
pub struct Call {
    pub(crate) taps: Arc<Taps>,
    pub(crate) geometry: Geometry,
    /// ((top, bottom), (left, right)).
    pub(crate) padding: [(usize, usize); 2],
    pub(crate) stride: [usize; 2],
    pub(crate) groups: usize,
    /// Read by the engine only.
    #[cfg_attr(not(feature = "flex"), allow(dead_code))]
    pub(crate) band_limit: Option<f64>,
}

/// The settings of a layer that do not depend on its input.
#[derive(Debug, Clone)]
pub struct Settings {
    /// σ in pixels, the extent, the order, the discretisation.
    pub taps: TapSpec,
    /// Distance between outputs along y and x, in input pixels.
    pub stride: [usize; 2],
    /// Groups of channels.
    pub groups: usize,
    /// Zeros around the image.
    pub padding: PaddingConfig2d,
    /// Tolerance of band-limited evaluation, on the CPU backend; `None`: never.
    pub band_limit: Option<f64>,
}

/// Why a call is impossible.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// σ, order or extent.
    #[error(transparent)]
    Basis(#[from] BasisError),
    /// Shapes.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

impl Settings {
    /// The call for an input `[batch, channels_in, height, width]` and `channels_out` outputs.
    ///
    /// # Errors
    /// σ, order or extent out of range; shapes that do not fit.
    pub fn call(&self, input: [usize; 4], channels_out: usize) -> Result<Call, CallError> {
        let taps = Arc::new(Taps::new(&self.taps)?);
        let [batch, channels_in, height, width] = input;
        let side = taps.side();
        let y = zeros_around(&self.padding, 0, height, side, self.stride[0]);
        let x = zeros_around(&self.padding, 1, width, side, self.stride[1]);
        let axis = |input, stride, padding| AxisConfig { input, radius: taps.radius(), stride, padding };
        let geometry = Geometry::new(GeometryConfig {
            batch,
            channels_in,
            channels_out,
            groups: self.groups,
            order: self.taps.order,
            y: axis(height, self.stride[0], y),
            x: axis(width, self.stride[1], x),
        })?;
        let Self { stride, groups, band_limit, .. } = *self;
        Ok(Call { taps, geometry, padding: [y, x], stride, groups, band_limit })
    }
}

/// Zeros before and after along one axis (0: y, 1: x). `Same` is Burn's: ceil(pixels / stride) outputs,
/// an odd zero at the end.
fn zeros_around(padding: &PaddingConfig2d, axis: usize, pixels: usize, taps: usize, stride: usize) -> (usize, usize) {
    match *padding {
        PaddingConfig2d::Valid => (0, 0),
        PaddingConfig2d::Explicit(top, left, bottom, right) => [(top, bottom), (left, right)][axis],
        PaddingConfig2d::Same => {
            let stride = stride.max(1);
            let read = pixels.div_ceil(stride).saturating_sub(1) * stride + taps;
            let zeros = read.saturating_sub(pixels);
            (zeros / 2, zeros - zeros / 2)
        }
    }
}
