//! The transposed layer: from a small image to a large one.

use super::stride::SLACK;
use super::{
    Initializer, LayerError, NJetConv2d, NJetConv2dConfig, Settings, SigmaBounds, SigmaSharing, Stride, composed,
};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use njet_basis::Discretisation;

/// Creates an [`NJetConvTranspose2d`].
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use njet::{NJetConvTranspose2dConfig, Stride};
/// let device = Device::flex();
/// let layer = NJetConvTranspose2dConfig::new([8, 4]).with_stride([2, 2]).with_sigma(1.5).init(&device);
/// assert_eq!(layer.forward(Tensor::<4>::zeros([1, 8, 7, 9], &device)).dims(), [1, 4, 14, 18]);
/// // Safe upsampling: as many times larger as σ allows; or to a size, as that of a skip connection.
/// let layer = NJetConvTranspose2dConfig::new([8, 4]).with_stride(Stride::Safe { ratio: 1.0 }).with_sigma(2.5).init(&device);
/// assert_eq!(layer.forward(Tensor::<4>::zeros([1, 8, 7, 9], &device)).dims(), [1, 4, 16, 21]);
/// assert_eq!(layer.forward_to(Tensor::<4>::zeros([1, 8, 7, 9], &device), [17, 23]).dims(), [1, 4, 17, 23]);
/// ```
#[derive(Config, Debug)]
pub struct NJetConvTranspose2dConfig {
    /// Input and output channels.
    pub channels: [usize; 2],
    /// Order N of the N-jet, 0 to 10.
    #[config(default = 2)]
    pub order: usize,
    /// Initial scale σ in pixels of the output.
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
    /// Between which bounds σ moves.
    #[config(default = "SigmaBounds::default()")]
    pub bounds: SigmaBounds,
    /// Extent k: the taps reach ceil(k·σ + ½) pixels.
    #[config(default = 4.0)]
    pub extent: f64,
    /// How the derivatives of the Gaussian are sampled.
    #[config(default = "Discretisation::NormalizedSampled")]
    pub discretisation: Discretisation,
    /// Distance between the inputs, in pixels of the output; see also [`with_stride`](Self::with_stride).
    #[config(default = "Stride::Fixed([1, 1])")]
    pub stride_rule: Stride,
    /// Groups of channels that do not mix.
    #[config(default = 1)]
    pub groups: usize,
    /// Whether a bias is added.
    #[config(default = true)]
    pub bias: bool,
    /// Distribution of the initial coefficients.
    #[config(default = "Initializer::Preserving { after_relu: true }")]
    pub initializer: Initializer,
}

impl NJetConvTranspose2dConfig {
    /// Distance between the inputs along y and x, in pixels of the output: whole, `[2, 2]`, or a [`Stride`].
    pub fn with_stride(self, stride: impl Into<Stride>) -> Self {
        self.with_stride_rule(stride.into())
    }

    /// Creates the layer on a device.
    ///
    /// # Errors
    /// As for [`NJetConv2dConfig::try_init`]; the published, nearest-neighbour stride, which has no way back.
    pub fn try_init(&self, device: &Device) -> Result<NJetConvTranspose2d, LayerError> {
        if matches!(self.stride_rule, Stride::Nearest { .. }) {
            return Err(LayerError::NearestTransposed);
        }
        let [channels_in, channels_out] = self.channels;
        // What is an input channel here is an output channel of the convolution.
        let sharing = match self.sharing {
            SigmaSharing::Input => SigmaSharing::Output,
            SigmaSharing::Output => SigmaSharing::Input,
            other => other,
        };
        let convolution = NJetConv2dConfig::new([channels_out, channels_in])
            .with_order(self.order)
            .with_sigma(self.sigma)
            .with_learn_sigma(self.learn_sigma)
            .with_sharing(sharing)
            .with_separate_axes(self.separate_axes)
            .with_bounds(self.bounds)
            .with_extent(self.extent)
            .with_discretisation(self.discretisation)
            .with_stride(self.stride_rule)
            .with_groups(self.groups)
            .with_bias(false)
            .with_initializer(self.initializer)
            .init_with_fan_in(channels_in, device)?;
        let bias = self.bias.then(|| Param::from_tensor(Tensor::zeros([channels_out], device)));
        Ok(NJetConvTranspose2d { convolution, bias })
    }

    /// Creates the layer on a device.
    ///
    /// # Panics
    /// Where [`try_init`](Self::try_init) has an error, with its message.
    pub fn init(&self, device: &Device) -> NJetConvTranspose2d {
        self.try_init(device).unwrap_or_else(|error| panic!("transposed N-jet layer: {error}"))
    }
}

/// The transpose of an N-jet convolution: every input is spread by the kernel over a larger image.
///
/// With a stride of f pixels the inputs stand f output pixels apart. The kernel is multiplied by f along each axis, so
/// that a smooth image stays about as large as it was, whatever the stride. Safe upsampling, [`Stride::Safe`], is the
/// way back from safe subsampling: where the encoder keeps one output in σ/r pixels, the decoder spreads each with a
/// Gaussian of that σ.
#[derive(Module, Debug)]
pub struct NJetConvTranspose2d {
    /// The convolution whose transpose this is: its output channels are the input channels here, its σ and stride count
    /// in pixels of the output here. It has no bias.
    pub convolution: NJetConv2d,
    /// `[channels_out]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl NJetConvTranspose2d {
    /// The output's size for an input of `size` at the present σ, if none is asked for: whole strides times the input;
    /// for real ones the smallest image that has room for the inputs.
    pub fn output_size(&self, size: [usize; 2]) -> [usize; 2] {
        let factors = self.convolution.stride_now();
        [0, 1].map(|axis| match self.convolution.stride {
            Stride::Fixed(stride) => size[axis] * stride[axis],
            _ => ((size[axis].max(1) - 1) as f64 * factors[axis] * (1.0 - SLACK)).ceil() as usize + 1,
        })
    }

    /// Applies the layer.
    ///
    /// # Shapes
    /// - `input`: `[batch_size, channels_in, height, width]`
    /// - `output`: `[batch_size, channels_out, …]` of [`output_size`](Self::output_size)
    ///
    /// # Panics
    /// If the input's channels are not the layer's.
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = input.dims();
        let size = self.output_size([height, width]);
        self.forward_to(input, size)
    }

    /// Applies the layer to give an image of `size`: with a stride of whole pixels one of which the convolution makes
    /// the input's size, with a real one any.
    ///
    /// # Panics
    /// If the input's channels are not the layer's, or a stride of whole pixels does not lead there.
    pub fn forward_to(&self, input: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
        let Self { convolution, bias } = self;
        let bias = bias.as_ref().map(|bias| bias.val());
        let (alpha, s) = (convolution.alpha.val(), convolution.log2_sigma.val());
        njet_conv_transpose2d(input, alpha, s, bias, &convolution.settings(), size)
    }
}

/// The transposed layer as a function of its tensors: `x` `[batch, channels_in, height, width]`, `alpha`
/// `[channels_in, channels_out / groups, B]`, `log2_sigma` `[scales]`, `bias` `[channels_out]`; the output has `size`.
/// `settings` are those of the convolution whose transpose it is. Differentiable in all four.
///
/// # Panics
/// If the shapes do not fit together, with a message that says how.
pub fn njet_conv_transpose2d(
    x: Tensor<4>,
    alpha: Tensor<3>,
    log2_sigma: Tensor<1>,
    bias: Option<Tensor<1>>,
    settings: &Settings,
    size: [usize; 2],
) -> Tensor<4> {
    let ([_, channels, ..], [channels_in, group_out, _]) = (x.dims(), alpha.dims());
    assert_eq!(
        channels, channels_in,
        "transposed N-jet layer: the input has {channels} channels, the layer takes {channels_in}"
    );
    let call = settings
        .transposed_call(x.dims(), group_out * settings.groups, size)
        .unwrap_or_else(|error| panic!("transposed N-jet layer: {error}"));
    #[cfg(feature = "flex")]
    if super::runs_on_engine(&x, &alpha, &log2_sigma) {
        return super::extension::njet_conv2d(x, alpha, log2_sigma, bias, call);
    }
    composed::compose(x, alpha, log2_sigma, bias, &call)
}
