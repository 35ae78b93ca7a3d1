//! Settings of the layer.

use super::initializer::{Initializer, initial_alpha};
use super::{CallError, NJetConv2d, Settings};
use burn::config::Config;
use burn::module::Param;
use burn::nn::PaddingConfig2d;
use burn::tensor::{Device, Tensor};
use njet_basis::{BasisError, Discretisation, TapSpec};
use njet_kernels::KernelError;

/// Creates an [`NJetConv2d`], the way Burn's `Conv2dConfig` creates a `Conv2d`.
///
/// There is no kernel size: σ and the extent decide it, and σ is learned.
///
/// ```
/// use njet::{Initializer, NJetConv2dConfig};
/// let config = NJetConv2dConfig::new([1, 16])
///     .with_order(3)
///     .with_sigma(1.5)
///     .with_bias(false)
///     .with_initializer(Initializer::Preserving { after_relu: false });
/// let layer = config.init(&burn::tensor::Device::flex());
/// assert_eq!(layer.kernel_size(), [15, 15]);
/// ```
#[derive(Config, Debug)]
pub struct NJetConv2dConfig {
    /// Input and output channels.
    pub channels: [usize; 2],
    /// Order N of the N-jet, 0 to 10: derivatives up to total degree N, B = (N+1)(N+2)/2 of them.
    #[config(default = 2)]
    pub order: usize,
    /// Initial scale σ in pixels.
    #[config(default = 1.0)]
    pub sigma: f64,
    /// Whether σ is trained.
    #[config(default = true)]
    pub learn_sigma: bool,
    /// Extent k: the taps reach ceil(k·σ + ½) pixels. Published layers have 2, which cuts the Gaussian
    /// where it is still e⁻² of its height; at 4 the response is smooth in σ.
    #[config(default = 4.0)]
    pub extent: f64,
    /// How the derivatives of the Gaussian are sampled.
    #[config(default = "Discretisation::NormalizedSampled")]
    pub discretisation: Discretisation,
    /// Distance between outputs along y and x, in input pixels.
    #[config(default = "[1, 1]")]
    pub stride: [usize; 2],
    /// Groups of channels that do not mix.
    #[config(default = 1)]
    pub groups: usize,
    /// Zeros around the image. `Same` follows the kernel as σ changes.
    #[config(default = "PaddingConfig2d::Same")]
    pub padding: PaddingConfig2d,
    /// Whether a bias is added.
    #[config(default = true)]
    pub bias: bool,
    /// Tolerance within which layers of large σ may be computed on a coarser lattice and interpolated, on the CPU
    /// backend: as [`Options::band_limit`](njet_kernels::engine::Options::band_limit). Off by default; 1e-5 is
    /// a choice. Pays from an extent of about 5 and σ of about 5 pixels on.
    pub band_limit: Option<f64>,
    /// Distribution of the initial coefficients.
    #[config(default = "Initializer::Preserving { after_relu: true }")]
    pub initializer: Initializer,
}

/// A layer that cannot be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LayerError {
    /// σ, order or extent out of range.
    #[error(transparent)]
    Basis(#[from] BasisError),
    /// Channels that the groups do not divide, a stride of zero.
    #[error(transparent)]
    Shape(#[from] KernelError),
}

impl From<CallError> for LayerError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Basis(e) => Self::Basis(e),
            CallError::Kernel(e) => Self::Shape(e),
        }
    }
}

impl NJetConv2dConfig {
    fn settings(&self) -> Settings {
        Settings {
            taps: TapSpec::new(self.sigma, self.extent, self.order).with_discretisation(self.discretisation),
            stride: self.stride,
            groups: self.groups,
            padding: self.padding.clone(),
            band_limit: self.band_limit,
        }
    }

    /// Creates the layer on a device.
    ///
    /// # Errors
    /// Order above 10, σ or extent not positive and finite, channels that the groups do not divide, a
    /// stride of zero.
    pub fn try_init(&self, device: &Device) -> Result<NJetConv2d, LayerError> {
        let [channels_in, channels_out] = self.channels;
        let settings = self.settings();
        // An image as large as the kernel: everything but the input's own size is checked.
        let side = njet_basis::Taps::new(&settings.taps)?.side();
        let call = settings.call([1, channels_in, side, side], channels_out)?;
        let shape = [channels_out, channels_in / self.groups, call.geometry.basis()];
        let std = self.initializer.deviations(&call.taps, channels_in, self.groups);
        let alpha = initial_alpha(shape, std, device);
        let log2_sigma = Param::from_tensor(Tensor::from_floats([self.sigma.log2() as f32], device));
        let log2_sigma = if self.learn_sigma { log2_sigma } else { log2_sigma.set_require_grad(false) };
        Ok(NJetConv2d {
            alpha,
            log2_sigma,
            bias: self.bias.then(|| Param::from_tensor(Tensor::zeros([channels_out], device))),
            order: self.order,
            extent: self.extent,
            discretisation: self.discretisation,
            stride: self.stride,
            groups: self.groups,
            padding: self.padding.clone(),
            band_limit: self.band_limit,
        })
    }

    /// Creates the layer on a device.
    ///
    /// # Panics
    /// Where [`try_init`](Self::try_init) has an error, with its message.
    pub fn init(&self, device: &Device) -> NJetConv2d {
        self.try_init(device).unwrap_or_else(|error| panic!("N-jet layer: {error}"))
    }
}
