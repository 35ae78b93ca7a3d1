//! The layer.

use super::{Call, Settings, composed};
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay, Param};
use burn::nn::PaddingConfig2d;
use burn::tensor::Tensor;
use njet_basis::{Discretisation, TapSpec};

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
    /// s = log₂ σ, `[1]`, σ in pixels.
    pub log2_sigma: Param<Tensor<1>>,
    /// `[channels_out]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// Order N of the N-jet.
    pub order: usize,
    /// Extent k: the taps reach ceil(k·σ + ½) pixels.
    pub extent: f64,
    /// How the derivatives of the Gaussian are sampled.
    #[module(skip)]
    pub discretisation: Discretisation,
    /// Distance between outputs along y and x, in input pixels.
    pub stride: [usize; 2],
    /// Groups of channels that do not mix.
    pub groups: usize,
    /// Zeros around the image.
    #[module(skip)]
    pub padding: PaddingConfig2d,
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
        content
            .add("ch_in", &(group_in * self.groups))
            .add("ch_out", &channels_out)
            .add("order", &self.order)
            .add("sigma", &format!("{:.3}", self.sigma()))
            .add("kernel_size", &format!("{:?}", self.kernel_size()))
            .add("extent", &self.extent)
            .add("stride", &format!("{:?}", self.stride))
            .add("groups", &self.groups)
            .add_debug_attribute("padding", &self.padding)
            .optional()
    }
}

impl NJetConv2d {
    /// The scale σ in pixels. Reads a value from the device.
    pub fn sigma(&self) -> f64 {
        sigma(&self.log2_sigma.val())
    }

    /// Taps along y and x that the kernel has at the present σ.
    pub fn kernel_size(&self) -> [usize; 2] {
        [2 * njet_basis::radius(self.sigma(), self.extent) + 1; 2]
    }

    /// What decides a call, at the present σ.
    pub fn settings(&self) -> Settings {
        Settings {
            taps: TapSpec::new(self.sigma(), self.extent, self.order).with_discretisation(self.discretisation),
            stride: self.stride,
            groups: self.groups,
            padding: self.padding.clone(),
            band_limit: self.band_limit,
        }
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

fn sigma(log2_sigma: &Tensor<1>) -> f64 {
    // 2^s in f64 from the stored s, here and nowhere else: the radius must be the same for everybody.
    let s: f64 = log2_sigma.clone().into_data().iter::<f64>().next().expect("log2_sigma has one element");
    s.exp2()
}

/// The layer as a function of its tensors: `x` `[batch, channels_in, height, width]`, `alpha`
/// `[channels_out, channels_in / groups, B]`, `log2_sigma` `[1]`, `bias` `[channels_out]`. Differentiable
/// in all four; `settings.taps.sigma` must be 2^`log2_sigma`.
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
    let call = checked(&x, &alpha, settings);
    #[cfg(feature = "flex")]
    if runs_on_engine(&x, &alpha, &log2_sigma) {
        return super::extension::njet_conv2d(x, alpha, log2_sigma, bias, call);
    }
    composed::compose(x, alpha, log2_sigma, bias, &call)
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
        settings.taps.order,
        call.geometry.basis(),
    );
    call
}
