//! Settings of the layer.

use super::initializer::{Initializer, initial_alpha};
use super::sigma::Scale;
use super::{
    CallError, LayerWarning, NJetConv2d, PaddingMode, SMOOTH_EXTENT, Settings, SigmaBounds, SigmaSharing, Stride,
    Widened,
};
use burn::config::Config;
use burn::module::Param;
use burn::nn::PaddingConfig2d;
use burn::tensor::{Device, Tensor};
use njet_basis::{BasisError, Discretisation};
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
    /// Which channels share their σ.
    #[config(default = "SigmaSharing::Layer")]
    pub sharing: SigmaSharing,
    /// Whether σ along y and along x are trained apart.
    #[config(default = false)]
    pub separate_axes: bool,
    /// Between which bounds σ moves; widened where the initial σ is not well inside them.
    #[config(default = "SigmaBounds::default()")]
    pub bounds: SigmaBounds,
    /// Extent k: the taps reach ceil(k·σ + ½) pixels. Published layers have 2, which cuts the Gaussian
    /// where it is still e⁻² of its height; at 4 the response is smooth in σ.
    #[config(default = 4.0)]
    pub extent: f64,
    /// How the derivatives of the Gaussian are sampled.
    #[config(default = "Discretisation::NormalizedSampled")]
    pub discretisation: Discretisation,
    /// Where the outputs stand; see also [`with_stride`](Self::with_stride).
    #[config(default = "Stride::Fixed([1, 1])")]
    pub stride_rule: Stride,
    /// Groups of channels that do not mix.
    #[config(default = 1)]
    pub groups: usize,
    /// How many pixels surround the image. `Same` follows the kernel as σ changes.
    #[config(default = "PaddingConfig2d::Same")]
    pub padding: PaddingConfig2d,
    /// What those pixels are.
    #[config(default = "PaddingMode::Zeros")]
    pub padding_mode: PaddingMode,
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
    /// A stride that is none, or does not go with the padding.
    #[error(transparent)]
    Call(CallError),
    /// Bounds of σ that leave no interval.
    #[error("the bounds of sigma, {min} and {max}, are no interval: both must be positive, the second greater")]
    Bounds {
        /// The lower one, in pixels.
        min: f64,
        /// The upper one, in pixels.
        max: f64,
    },
    /// The published stride has no transpose.
    #[error(
        "the nearest-neighbour stride is for comparison of convolutions: a transposed layer takes a fixed, real or safe one"
    )]
    NearestTransposed,
}

impl From<CallError> for LayerError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Basis(e) => Self::Basis(e),
            CallError::Kernel(e) => Self::Shape(e),
            other => Self::Call(other),
        }
    }
}

impl NJetConv2dConfig {
    /// Distance between outputs along y and x: whole pixels, `[2, 2]`, as for every convolution, or a [`Stride`].
    pub fn with_stride(self, stride: impl Into<Stride>) -> Self {
        self.with_stride_rule(stride.into())
    }

    /// The bounds that the layer has: widened where the initial σ is not well inside them.
    fn widened(&self) -> SigmaBounds {
        self.bounds.widened_for(self.sigma)
    }

    /// What is unusual about these settings, for people: nothing that keeps the layer from working.
    ///
    /// ```
    /// use njet::{NJetConv2dConfig, Stride};
    /// let config = NJetConv2dConfig::new([3, 8]).with_extent(2.0).with_stride(Stride::Safe { ratio: 1.0 });
    /// assert!(config.warnings()[0].to_string().contains("no gradient flows through it"));
    /// ```
    pub fn warnings(&self) -> Vec<LayerWarning> {
        let mut warnings = Vec::new();
        if matches!(self.stride_rule, Stride::Safe { .. }) && self.extent < SMOOTH_EXTENT {
            warnings.push(LayerWarning::ConstantStride { extent: self.extent });
        }
        let widened = self.widened();
        if widened != self.bounds {
            warnings.push(LayerWarning::Widened(Widened { sigma: self.sigma, from: self.bounds, to: widened }));
        }
        warnings
    }

    fn settings(&self) -> Settings {
        let axes = if self.separate_axes { 2 } else { 1 };
        let scales = axes * self.sharing.sets(self.channels, self.groups);
        Settings {
            scales: vec![Scale::unbounded(self.sigma); scales],
            separate: self.separate_axes,
            sharing: self.sharing,
            order: self.order,
            extent: self.extent,
            discretisation: self.discretisation,
            stride: self.stride_rule,
            groups: self.groups,
            padding: self.padding.clone(),
            padding_mode: self.padding_mode,
            band_limit: self.band_limit,
        }
    }

    /// Creates the layer on a device.
    ///
    /// # Errors
    /// Order above 10, σ or extent not positive and finite, bounds that are no interval, channels that the groups do not
    /// divide, a stride of zero.
    pub fn try_init(&self, device: &Device) -> Result<NJetConv2d, LayerError> {
        self.init_with_fan_in(self.channels[0], device)
    }

    /// With coefficients drawn as if the sums went over so many channels: those of a transposed layer go over the outputs.
    pub(super) fn init_with_fan_in(&self, fan_in: usize, device: &Device) -> Result<NJetConv2d, LayerError> {
        let [channels_in, channels_out] = self.channels;
        let settings = self.settings();
        settings.check_scales()?;
        if !self.bounds.is_interval() {
            return Err(LayerError::Bounds { min: self.bounds.min, max: self.bounds.max });
        }
        let real = !matches!(self.stride_rule, Stride::Fixed(_) | Stride::Nearest { .. });
        if real && self.discretisation == Discretisation::DiscreteAnalogue {
            return Err(LayerError::Basis(BasisError::BetweenPixels));
        }
        // An image as large as the kernel: everything but the input's own size is checked.
        let side = 2 * njet_basis::radius(self.sigma, self.extent) + 1;
        let geometry = settings.call([1, channels_in, side, side], channels_out)?.geometry;
        let taps = njet_basis::Taps::new(
            &njet_basis::TapSpec::new(self.sigma, self.extent, self.order).with_discretisation(self.discretisation),
        )?;
        let shape = [channels_out, channels_in / self.groups, geometry.basis()];
        let std = self.initializer.deviations(&taps, fan_in, self.groups);
        let alpha = initial_alpha(shape, std, device);
        let bounds = self.widened();
        let parameters = vec![bounds.parameter(self.sigma) as f32; settings.scales.len()];
        let log2_sigma = Param::from_tensor(Tensor::from_floats(parameters.as_slice(), device));
        let log2_sigma = if self.learn_sigma { log2_sigma } else { log2_sigma.set_require_grad(false) };
        Ok(NJetConv2d {
            alpha,
            log2_sigma,
            bias: self.bias.then(|| Param::from_tensor(Tensor::zeros([channels_out], device))),
            order: self.order,
            extent: self.extent,
            sharing: self.sharing,
            separate_axes: self.separate_axes,
            bounds,
            discretisation: self.discretisation,
            stride: self.stride_rule,
            groups: self.groups,
            padding: self.padding.clone(),
            padding_mode: self.padding_mode,
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
