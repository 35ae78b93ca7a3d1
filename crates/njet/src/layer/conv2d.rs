//! The layer.

use super::sigma::{Bound, scales};
use super::stride::nearest_pixels;
use super::{Call, PaddingMode, Settings, SigmaBounds, SigmaSharing, Stride, composed};
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay, Param};
use burn::nn::PaddingConfig2d;
use burn::tensor::{Int, Tensor, TensorData};
use njet_basis::Discretisation;
use std::fmt;

/// Applies an N-jet convolution over input images.
///
/// Created by [`NJetConv2dConfig`](super::NJetConv2dConfig). The kernel of output `o` and input `c` is
/// `W[o,c] = Σ_b α[o,c,b] · basis_b(σ)`, with `basis_b` the products of 1-D Gaussian derivatives of order
/// up to N (Pintea et al. 2021, equation 5), applied as a cross-correlation like every convolution of
/// neural networks. On the CPU the kernel is never built: the cost hardly depends on σ.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct NJetConv2d {
    /// Coefficients α, `[channels_out, channels_in / groups, B]`; the basis in the order L, Lx, Ly, Lxx,
    /// Lxy, Lyy, …
    pub alpha: Param<Tensor<3>>,
    /// The parameters s of the scales, σ = 2^s in the middle of the bounds: see [`SigmaBounds`]. One for the layer, each
    /// group, input or output channel; with separate axes two for each, along y and along x.
    pub log2_sigma: Param<Tensor<1>>,
    /// `[channels_out]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// Order N of the N-jet.
    pub order: usize,
    /// Extent k: the taps reach ceil(k·σ + ½) pixels.
    pub extent: f64,
    /// Which channels share their σ.
    #[module(skip)]
    pub sharing: SigmaSharing,
    /// Whether σ along y and along x are trained apart.
    pub separate_axes: bool,
    /// Between which bounds σ moves.
    #[module(skip)]
    pub bounds: SigmaBounds,
    /// How the derivatives of the Gaussian are sampled.
    #[module(skip)]
    pub discretisation: Discretisation,
    /// Where the outputs stand.
    #[module(skip)]
    pub stride: Stride,
    /// Groups of channels that do not mix.
    pub groups: usize,
    /// How many pixels surround the image.
    #[module(skip)]
    pub padding: PaddingConfig2d,
    /// What those pixels are.
    #[module(skip)]
    pub padding_mode: PaddingMode,
    /// Tolerance of band-limited evaluation, if any.
    #[module(skip)]
    pub band_limit: Option<f64>,
}

impl ModuleDisplay for NJetConv2d {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let [channels_out, group_in, _] = self.alpha.dims();
        let stride = match self.stride {
            Stride::Fixed(stride) => format!("{stride:?}"),
            other => format!("{other:?}"),
        };
        content
            .add("ch_in", &(group_in * self.groups))
            .add("ch_out", &channels_out)
            .add("order", &self.order)
            .add("sigma", &Range(&self.sigmas()).to_string())
            .add("kernel_size", &format!("{:?}", self.kernel_size()))
            .add("extent", &self.extent)
            .add("stride", &stride)
            .add("groups", &self.groups)
            .add_debug_attribute("padding", &self.padding)
            .optional()
    }
}

/// One scale, or the smallest and the largest.
struct Range<'a>(&'a [f64]);

impl fmt::Display for Range<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.0.iter().fold((f64::INFINITY, 0.0f64), |(l, h), &s| (l.min(s), h.max(s)));
        match self.0 {
            [one] => write!(f, "{one:.3}"),
            _ => write!(f, "{low:.3} to {high:.3}"),
        }
    }
}

/// Bounds of σ that had to give way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Widened {
    /// The scale that asked for it, in pixels.
    pub sigma: f64,
    /// The bounds before
    pub from: SigmaBounds,
    /// and after.
    pub to: SigmaBounds,
}

/// Something unusual about a layer that does not keep it from working.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LayerWarning {
    /// Safe subsampling at an extent at which the stride has no gradient.
    ConstantStride {
        /// The extent.
        extent: f64,
    },
    /// σ was at or beyond a bound.
    Widened(Widened),
    /// A rescaled layer that does not quite see a rescaled image as it saw the original.
    InexactRescale {
        /// The extent,
        extent: f64,
        /// and the smallest σ before or after, in pixels.
        sigma: f64,
    },
    /// A rescaled layer whose σ became too small for sampled filters, so that they are integrated from now on.
    Integrated {
        /// The smallest σ, in pixels.
        sigma: f64,
    },
}

impl fmt::Display for LayerWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConstantStride { extent } => write!(
                f,
                "the stride follows sigma, but at extent {extent} no gradient flows through it: a Gaussian that is cut \
                 below four sigma changes by jumps as its outputs move; choose an extent of 4 or more to have it"
            ),
            Self::Widened(Widened { sigma, from, to }) => write!(
                f,
                "sigma = {sigma} is at or beyond its bounds, {} to {} pixels: they are now {} to {}",
                from.min, from.max, to.min, to.max
            ),
            Self::InexactRescale { extent, sigma } => write!(
                f,
                "the rescaled layer answers a resampled image within 0.5 % only at an extent of 4 or more and a sigma of \
                 1 pixel or more on both sides; here the extent is {extent} and the smallest sigma {sigma:.3}"
            ),
            Self::Integrated { sigma } => write!(
                f,
                "at sigma = {sigma:.3} the samples of a Gaussian are no filter of its derivatives: from now on the filters \
                 are integrated over each pixel"
            ),
        }
    }
}

/// The least σ, in pixels, at which samples of a Gaussian's derivatives are still filters of them. By Poisson's summation
/// the samples of σ²G″ sum to about −8π²σ²·exp(−2π²σ²) instead of 0, and a constant image answers: 0.02 at σ = 0.6, 0.14 at
/// 0.5, 0.54 at 0.4, where the largest sample is 0.7 to 1.
pub const LEAST_SAMPLED: f64 = 0.6;

/// A scale at its bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AtBound {
    /// Its number among the layer's scales.
    pub index: usize,
    /// σ in pixels.
    pub sigma: f64,
    /// Which bound.
    pub bound: Bound,
}

impl NJetConv2d {
    /// The scale σ in pixels; of several, their geometric mean. Reads values from the device.
    pub fn sigma(&self) -> f64 {
        match self.sigmas()[..] {
            [one] => one,
            ref all => (all.iter().map(|sigma| sigma.log2()).sum::<f64>() / all.len() as f64).exp2(),
        }
    }

    /// Every scale in pixels, in the order of [`log2_sigma`](Self::log2_sigma). Reads values from the device.
    pub fn sigmas(&self) -> Vec<f64> {
        scales(&self.log2_sigma.val(), Some(&self.bounds)).iter().map(|scale| scale.sigma).collect()
    }

    /// The largest scale along y and along x, in pixels.
    fn largest(&self) -> [f64; 2] {
        let sigmas = self.sigmas();
        let largest = |axis: usize| -> f64 {
            let along = sigmas.iter().skip(axis).step_by(if self.separate_axes { 2 } else { 1 });
            along.fold(0.0, |m: f64, &s| m.max(s))
        };
        if self.separate_axes { [largest(0), largest(1)] } else { [largest(0); 2] }
    }

    /// Taps along y and x that the kernel of the largest σ has at present.
    pub fn kernel_size(&self) -> [usize; 2] {
        self.largest().map(|sigma| 2 * njet_basis::radius(sigma, self.extent) + 1)
    }

    /// Distance between outputs along y and x at the present σ, in input pixels.
    pub fn stride_now(&self) -> [f64; 2] {
        self.settings().factors()
    }

    /// Rows and columns of the output for an input of `size` at the present σ.
    ///
    /// # Panics
    /// If the padded image is smaller than the kernel.
    pub fn output_size(&self, size: [usize; 2]) -> [usize; 2] {
        let settings = self.settings();
        let [channels_out, group_in, _] = self.alpha.dims();
        let size = [0, 1].map(|axis| {
            let factor = settings.smallest(axis).and_then(|sigma| settings.stride.nearest_factor(sigma));
            factor.map_or(size[axis], |factor| nearest_pixels(size[axis], factor).len())
        });
        let call = settings.call([1, group_in * self.groups, size[0], size[1]], channels_out);
        let geometry = call.unwrap_or_else(|error| panic!("N-jet layer: {error}")).geometry;
        [geometry.y().output(), geometry.x().output()]
    }

    /// The scales that are within 2 % of a bound. A scale that training has pushed there would go on if it could: widen
    /// the bounds, or start from another σ.
    pub fn at_bounds(&self) -> Vec<AtBound> {
        let scales = self.sigmas().into_iter().enumerate();
        scales.filter_map(|(index, sigma)| Some(AtBound { index, sigma, bound: self.bounds.at(sigma)? })).collect()
    }

    /// What decides a call, at the present σ.
    pub fn settings(&self) -> Settings {
        Settings {
            scales: scales(&self.log2_sigma.val(), Some(&self.bounds)),
            separate: self.separate_axes,
            sharing: self.sharing,
            order: self.order,
            extent: self.extent,
            discretisation: self.discretisation,
            stride: self.stride,
            groups: self.groups,
            padding: self.padding.clone(),
            padding_mode: self.padding_mode,
            band_limit: self.band_limit,
        }
    }

    /// The layer for inputs that are `factor` times larger: every σ times `factor`, α untouched. A bound that is too
    /// narrow gives way, and filters that are sampled become integrated ones where a σ falls below [`LEAST_SAMPLED`]. The
    /// warnings say so, and where the response to a resampled image will not be quite the same.
    ///
    /// ```
    /// use njet::NJetConv2dConfig;
    /// let layer = NJetConv2dConfig::new([1, 4]).with_sigma(1.5).init(&burn::tensor::Device::flex());
    /// let (larger, warnings) = layer.rescale(2.0);
    /// assert!((larger.sigma() - 3.0).abs() < 1e-6 && warnings.is_empty());
    /// ```
    ///
    /// # Panics
    /// If `factor` is not positive and finite.
    pub fn rescale(self, factor: f64) -> (Self, Vec<LayerWarning>) {
        assert!(factor > 0.0 && factor.is_finite(), "a layer cannot be rescaled by {factor}");
        let before = self.sigmas();
        let after: Vec<f64> = before.iter().map(|sigma| sigma * factor).collect();
        let bounds = after.iter().fold(self.bounds, |bounds, &sigma| bounds.widened_for(sigma));
        let mut warnings = Vec::new();
        if bounds != self.bounds {
            let sigma = after.iter().copied().find(|&sigma| self.bounds.widened_for(sigma) != self.bounds);
            let sigma = sigma.unwrap_or(factor);
            warnings.push(LayerWarning::Widened(Widened { sigma, from: self.bounds, to: bounds }));
        }
        let smallest = before.iter().chain(&after).fold(f64::INFINITY, |m: f64, &s| m.min(s));
        if self.extent < 4.0 || smallest < 1.0 {
            warnings.push(LayerWarning::InexactRescale { extent: self.extent, sigma: smallest });
        }
        let least = after.iter().copied().fold(f64::INFINITY, f64::min);
        let sampled = matches!(self.discretisation, Discretisation::Sampled | Discretisation::NormalizedSampled);
        let discretisation = if sampled && factor < 1.0 && least < LEAST_SAMPLED {
            warnings.push(LayerWarning::Integrated { sigma: least });
            Discretisation::Integrated
        } else {
            self.discretisation
        };
        let parameters: Vec<f32> = after.iter().map(|&sigma| bounds.parameter(sigma) as f32).collect();
        let log2_sigma = self.log2_sigma.map(|s| {
            let device = s.device();
            let requires_grad = s.is_require_grad();
            let s = Tensor::from_floats(parameters.as_slice(), &device);
            if requires_grad { s.require_grad() } else { s }
        });
        (Self { log2_sigma, bounds, discretisation, ..self }, warnings)
    }

    /// Applies the layer.
    ///
    /// # Shapes
    /// - `input`: `[batch_size, channels_in, height_in, width_in]`
    /// - `output`: `[batch_size, channels_out, height_out, width_out]`
    ///
    /// # Panics
    /// If the input's channels are not the layer's, or the padded image is smaller than the kernel.
    ///
    /// # Example
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use njet::NJetConv2dConfig;
    ///
    /// let device = Device::flex();
    /// let layer = NJetConv2dConfig::new([3, 8]).with_stride([2, 2]).init(&device);
    /// let y = layer.forward(Tensor::<4>::zeros([1, 3, 28, 28], &device));
    /// assert_eq!(y.dims(), [1, 8, 14, 14]);
    /// ```
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let bias = self.bias.as_ref().map(|bias| bias.val());
        njet_conv2d(input, self.alpha.val(), self.log2_sigma.val(), bias, &self.settings())
    }
}

/// The layer as a function of its tensors: `x` `[batch, channels_in, height, width]`, `alpha`
/// `[channels_out, channels_in / groups, B]`, `log2_sigma` `[scales]`, `bias` `[channels_out]`. Differentiable
/// in all four; `settings.scales` must be what `log2_sigma` stands for.
///
/// On the CPU backend in f32 or f64 it runs on the engine of `njet-kernels`, elsewhere as
/// [`njet_conv2d_composed`](super::njet_conv2d_composed).
///
/// # Panics
/// If the shapes do not fit together, with a message that says how.
pub fn njet_conv2d(
    x: Tensor<4>,
    alpha: Tensor<3>,
    log2_sigma: Tensor<1>,
    bias: Option<Tensor<1>>,
    settings: &Settings,
) -> Tensor<4> {
    let x = shrunk(x, settings);
    let call = checked(&x, &alpha, settings);
    #[cfg(feature = "flex")]
    if runs_on_engine(&x, &alpha, &log2_sigma) {
        return super::extension::njet_conv2d(x, alpha, log2_sigma, bias, call);
    }
    composed::compose(x, alpha, log2_sigma, bias, &call)
}

/// The input by its nearest pixels, where the stride is of the published form.
pub(super) fn shrunk(x: Tensor<4>, settings: &Settings) -> Tensor<4> {
    (0..2).fold(x, |x, axis| {
        let factor = settings.smallest(axis).and_then(|sigma| settings.stride.nearest_factor(sigma));
        let Some(factor) = factor.filter(|&factor| factor > 1.0) else { return x };
        let pixels: Vec<i64> = nearest_pixels(x.dims()[2 + axis], factor).iter().map(|&p| p as i64).collect();
        let len = pixels.len();
        let pixels = Tensor::<1, Int>::from_data(TensorData::new(pixels, [len]), &x.device());
        x.select(2 + axis, pixels)
    })
}

/// Whether [`njet_conv2d`] runs these tensors on the engine of `njet-kernels`: all on the CPU backend, f32
/// or f64. Elsewhere it composes tensor operations.
pub fn runs_on_engine(x: &Tensor<4>, alpha: &Tensor<3>, log2_sigma: &Tensor<1>) -> bool {
    #[cfg(feature = "flex")]
    {
        super::extension::runs(x, alpha, log2_sigma)
    }
    #[cfg(not(feature = "flex"))]
    {
        let _ = (x, alpha, log2_sigma);
        false
    }
}

pub(super) fn checked(x: &Tensor<4>, alpha: &Tensor<3>, settings: &Settings) -> Call {
    let (input, [channels_out, group_in, basis]) = (x.dims(), alpha.dims());
    assert_eq!(
        input[1],
        group_in * settings.groups,
        "N-jet layer: the input has {} channels, the layer takes {} (input {input:?}, alpha {:?}, {} groups)",
        input[1],
        group_in * settings.groups,
        alpha.dims(),
        settings.groups,
    );
    let call = settings.call(input, channels_out).unwrap_or_else(|error| panic!("N-jet layer: {error}"));
    assert_eq!(
        basis,
        call.geometry.basis(),
        "N-jet layer: alpha {:?} has {basis} coefficients for each pair of channels, order {} has {}",
        alpha.dims(),
        settings.order,
        call.geometry.basis(),
    );
    call
}
