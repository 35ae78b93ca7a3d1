//! What one call of the layer computes, beside its tensors: shapes, taps, and how σ moves them.

use super::padding::{PaddingMode, around};
use super::precision::Precision;
use super::sigma::{Scale, SigmaSharing};
use super::sigma_images::sigma_images;
use super::stride::{Step, Stride, outputs};
use burn::nn::PaddingConfig2d;
use njet_basis::{BasisError, Discretisation, ShiftedTaps, TapSpec, Taps};
use njet_kernels::{AxisConfig, Border, CentredAxis, CentredConfig, Geometry, GeometryConfig, KernelError};
use std::sync::Arc;

/// The settings of a layer that do not depend on its input.
#[derive(Debug, Clone)]
pub struct Settings {
    /// One scale for each set of filters; two where `separate`: along y, along x.
    pub scales: Vec<Scale>,
    /// Whether the scales along y and along x differ.
    pub separate: bool,
    /// Which channels share their scales.
    pub sharing: SigmaSharing,
    /// Order N of the N-jet.
    pub order: usize,
    /// Extent k: the taps reach ceil(k·σ + ½) pixels.
    pub extent: f64,
    /// How the derivatives are sampled.
    pub discretisation: Discretisation,
    /// Where the outputs stand.
    pub stride: Stride,
    /// Groups of channels.
    pub groups: usize,
    /// How many pixels surround the image. `Same` where the stride is real: the outputs then stand inside the image.
    pub padding: PaddingConfig2d,
    /// What those pixels are.
    pub padding_mode: PaddingMode,
    /// Tolerance of band-limited evaluation, on the CPU backend; `None`: never.
    pub band_limit: Option<f64>,
}

/// Why a call is impossible.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CallError {
    /// σ, order or extent.
    #[error(transparent)]
    Basis(#[from] BasisError),
    /// Shapes.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// A stride that is none.
    #[error("{0}")]
    Stride(String),
    /// The input of a transposed layer is not what its convolution would make of the output.
    #[error("the layer would make {expected:?} pixels of {size:?}, so it cannot make those of {got:?}")]
    Transposed {
        /// The output.
        size: [usize; 2],
        /// What the convolution makes of it.
        expected: [usize; 2],
        /// The input.
        got: [usize; 2],
    },
    /// A stride that does not go with the padding.
    #[error(
        "a real stride puts its outputs about the centre of the image, so the padding can only be `Same`, not {padding}"
    )]
    Padding {
        /// The padding.
        padding: String,
    },
    /// Not as many scales as the sharing asks for.
    #[error("{got} scales for {sharing} sharing: {expected} are needed")]
    Scales {
        /// Who shares.
        sharing: SigmaSharing,
        /// How many are needed.
        expected: usize,
        /// How many there are.
        got: usize,
    },
}

/// What a call of the layer computes, beside its tensors.
#[derive(Debug, Clone)]
pub struct Call {
    /// Of the engine: the image with its border, where that is not zeros. Of a transposed layer: of the convolution whose
    /// adjoint it is.
    pub(crate) geometry: Geometry,
    pub(crate) transposed: bool,
    pub(crate) taps: Arc<TapArrays>,
    /// The image's own size,
    pub(crate) size: [usize; 2],
    /// and what it is continued with: (before, after) along y and x.
    pub(crate) border: Option<(Border, [(usize, usize); 2])>,
    /// ((top, bottom), (left, right)) of zeros.
    pub(crate) padding: [(usize, usize); 2],
    pub(crate) stride: [usize; 2],
    /// Read by the engine only.
    #[cfg_attr(not(feature = "flex"), allow(dead_code))]
    pub(crate) band_limit: Option<f64>,
    /// That of the thread which made the call.
    #[cfg_attr(not(feature = "flex"), allow(dead_code))]
    pub(crate) precision: Precision,
    /// Images that the gradient of σ is estimated from, likewise.
    #[cfg_attr(not(feature = "flex"), allow(dead_code))]
    pub(crate) sigma_images: Option<usize>,
}

/// The taps of a call and their derivatives, in the engine's layout, along y and along x.
#[derive(Debug)]
pub(crate) struct TapArrays {
    pub(crate) values: [Vec<f64>; 2],
    /// By σ; then, where the stride follows the smallest of several scales, by the factor.
    pub(crate) tangents: [Vec<f64>; 2],
    /// How the sums that the engine returns give the gradients of the parameters.
    pub(crate) chain: Vec<Link>,
    pub(crate) parameters: usize,
}

/// A part of the gradient of a parameter: `weight` times the engine's sum `sum` along `axis`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Link {
    pub(crate) parameter: usize,
    pub(crate) sum: usize,
    pub(crate) axis: usize,
    pub(crate) weight: f64,
}

impl TapArrays {
    /// Gradients of the parameters from the engine's sums.
    pub(crate) fn by_parameter(&self, sums: &[[f64; 2]]) -> Vec<f64> {
        let mut gradient = vec![0.0; self.parameters];
        for link in &self.chain {
            gradient[link.parameter] += link.weight * sums[link.sum][link.axis];
        }
        gradient
    }
}

impl Settings {
    /// One scale for all, stride 1, padding `Same` of zeros: σ = 2^s without bounds.
    pub fn new(sigma: f64, extent: f64, order: usize) -> Self {
        Self {
            scales: vec![Scale::unbounded(sigma)],
            separate: false,
            sharing: SigmaSharing::Layer,
            order,
            extent,
            discretisation: Discretisation::default(),
            stride: Stride::default(),
            groups: 1,
            padding: PaddingConfig2d::Same,
            padding_mode: PaddingMode::Zeros,
            band_limit: None,
        }
    }

    /// The scales along `axis` (0: y, 1: x), one for each set.
    fn along(&self, axis: usize) -> Vec<Scale> {
        match self.separate {
            false => self.scales.clone(),
            true => self.scales.iter().skip(axis).step_by(2).copied().collect(),
        }
    }

    /// The smallest σ along `axis` (0: y, 1: x), in pixels.
    pub(crate) fn smallest(&self, axis: usize) -> Option<f64> {
        self.along(axis).iter().map(|scale| scale.sigma).reduce(f64::min)
    }

    /// Distance between outputs along y and x at these scales, in pixels of the layer's input.
    pub fn factors(&self) -> [f64; 2] {
        [0, 1].map(|axis| {
            let sigma = self.smallest(axis).unwrap_or(1.0);
            match self.stride.step(axis, sigma, self.extent) {
                Step::Whole(stride) => self.stride.nearest_factor(sigma).unwrap_or(stride as f64),
                Step::Real { factor, .. } => factor,
            }
        })
    }

    /// Distance between outputs along `axis` and, where the gradient flows through it, the parameter that it follows and
    /// its derivative by that parameter.
    pub(crate) fn follows(&self, axis: usize) -> (f64, Option<(usize, f64)>) {
        let scales = AxisScales::new(self, axis);
        let (set, sigma) = scales.smallest();
        match self.stride.step(axis, sigma, self.extent) {
            Step::Whole(stride) => (stride as f64, None),
            Step::Real { factor, by_sigma } => {
                let followed = (self.parameter(set, axis), by_sigma * scales.scales[set].by_parameter);
                (factor, (by_sigma > 0.0).then_some(followed))
            }
        }
    }

    /// Where the scale of a set along an axis stands among the parameters.
    fn parameter(&self, set: usize, axis: usize) -> usize {
        if self.separate { 2 * set + axis } else { set }
    }

    /// Checks that the filters can be built.
    ///
    /// # Errors
    /// σ, order or extent out of range.
    pub fn check_scales(&self) -> Result<(), BasisError> {
        for scale in &self.scales {
            let spec = self.spec(scale.sigma);
            spec.validate()?;
            if spec.radius() > njet_basis::MAX_RADIUS {
                return Err(BasisError::Radius { radius: spec.radius() });
            }
        }
        Ok(())
    }

    fn spec(&self, sigma: f64) -> TapSpec {
        TapSpec::new(sigma, self.extent, self.order).with_discretisation(self.discretisation)
    }

    /// The call for an input `[batch, channels_in, height, width]` and `channels_out` outputs.
    ///
    /// # Errors
    /// σ, order or extent out of range; shapes that do not fit; a stride that is none.
    pub fn call(&self, input: [usize; 4], channels_out: usize) -> Result<Call, CallError> {
        self.call_for(input, channels_out, None)
    }

    /// The call of the transposed layer: from `input` `[batch, channels, height, width]` to `channels_out` channels of
    /// `size`. These are the settings of the convolution whose adjoint it is; the taps are those of the convolution times
    /// the distance between its outputs along each axis, so that a constant stays about what it is. Beyond the border there
    /// are zeros, whatever the convolution has there.
    ///
    /// # Errors
    /// As for [`call`](Self::call); an output whose convolution is not of the input's size.
    pub fn transposed_call(&self, input: [usize; 4], channels_out: usize, size: [usize; 2]) -> Result<Call, CallError> {
        let [batch, channels_in, height, width] = input;
        let zeros = Self { padding_mode: PaddingMode::Zeros, ..self.clone() };
        let mut call = zeros.call_for([batch, channels_out, size[0], size[1]], channels_in, Some([height, width]))?;
        let expected = [call.geometry.y().output(), call.geometry.x().output()];
        if expected != [height, width] {
            return Err(CallError::Transposed { size, expected, got: [height, width] });
        }
        call.transposed = true;
        Ok(call)
    }

    /// `transposed_from`: the outputs of a convolution that is used the other way.
    fn call_for(
        &self,
        input: [usize; 4],
        channels_out: usize,
        transposed_from: Option<[usize; 2]>,
    ) -> Result<Call, CallError> {
        let [batch, channels_in, height, width] = input;
        self.check_scales()?;
        if let Some(problem) = self.stride.problem() {
            return Err(CallError::Stride(problem));
        }
        let sets = self.sharing.sets([channels_in, channels_out], self.groups);
        let expected = sets * if self.separate { 2 } else { 1 };
        if self.scales.len() != expected || expected == 0 {
            return Err(CallError::Scales { sharing: self.sharing, expected, got: self.scales.len() });
        }
        let axes = [0, 1].map(|axis| AxisScales::new(self, axis));
        let steps = [0, 1].map(|axis| self.stride.step(axis, axes[axis].smallest().1, self.extent));
        let size = [height, width];
        let channels = Channels { batch, channels_in, channels_out, groups: self.groups, order: self.order };
        let real = |step: &Step| matches!(step, Step::Real { factor, .. } if *factor != 1.0);
        if steps.iter().any(real) {
            return self.centred_call(channels, size, axes, steps, transposed_from);
        }
        let border = self.padding_mode.border();
        let whole = steps.map(|step| if let Step::Whole(stride) = step { stride } else { 1 });
        let margins = [0, 1].map(|a| around(&self.padding, a, size[a], 2 * axes[a].radius() + 1, whole[a]));
        let none = [(0, 0); 2];
        let (zeros, extended) = if border.is_some() { (none, margins) } else { (margins, none) };
        let axis = |a: usize| AxisConfig {
            input: size[a] + extended[a].0 + extended[a].1,
            radius: axes[a].radius(),
            stride: whole[a],
            padding: zeros[a],
        };
        let Channels { groups, order, .. } = channels;
        let (y, x) = (axis(0), axis(1));
        let geometry = Geometry::new(GeometryConfig { batch, channels_in, channels_out, groups, order, y, x })?;
        let mut arrays = axes.map(|scales| scales.regular(self));
        if transposed_from.is_some() {
            for (a, (values, tangents)) in arrays.iter_mut().enumerate() {
                scale(values, tangents, whole[a] as f64, [0.0; 2]);
            }
        }
        let chain = self.chain(sets, None);
        Ok(self.finish(geometry, arrays, chain, size, border.map(|border| (border, extended)), zeros, whole))
    }

    /// The call whose outputs stand at real distances.
    fn centred_call(
        &self,
        channels: Channels,
        size: [usize; 2],
        axes: [AxisScales; 2],
        steps: [Step; 2],
        transposed_from: Option<[usize; 2]>,
    ) -> Result<Call, CallError> {
        if !matches!(self.padding, PaddingConfig2d::Same) {
            return Err(CallError::Padding { padding: format!("{:?}", self.padding) });
        }
        let steps = steps.map(|step| match step {
            Step::Real { factor, by_sigma } => (factor, by_sigma),
            Step::Whole(stride) => (stride as f64, 0.0),
        });
        let Channels { batch, channels_in, channels_out, groups, order } = channels;
        let border = self.padding_mode.border();
        // The outputs lie inside the image: a radius, and a pixel for the rounding of the position.
        let extended = [0, 1].map(|a| if border.is_some() { [axes[a].radius() + 1; 2].into() } else { (0, 0) });
        let axis = |a: usize| CentredAxis {
            input: size[a] + extended[a].0 + extended[a].1,
            output: transposed_from.map_or_else(|| outputs(size[a], steps[a].0), |from| from[a]),
            radius: axes[a].radius(),
            factor: steps[a].0,
        };
        let (y, x) = (axis(0), axis(1));
        let geometry = Geometry::centred(CentredConfig { batch, channels_in, channels_out, groups, order, y, x })?;
        let sets = axes[0].scales.len();
        let follows = [0, 1].map(|a| steps[a].1);
        let grids = [geometry.y(), geometry.x()];
        let mut arrays = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
        for a in 0..2 {
            let positions: Vec<(isize, f64)> = grids[a].positions().collect();
            let middle = 0.5 * (positions.len() as f64 - 1.0);
            arrays[a] = axes[a].positioned(self, &positions, |o| o as f64 - middle, follows[a])?;
        }
        if transposed_from.is_some() {
            for (a, (values, tangents)) in arrays.iter_mut().enumerate() {
                // The factor itself moves with σ: in the only array of a single scale, else in the second.
                let by_factor = if sets == 1 { [follows[a], 0.0] } else { [0.0, 1.0] };
                scale(values, tangents, steps[a].0, by_factor);
            }
        }
        let moving = follows.iter().any(|&by_sigma| by_sigma > 0.0) && sets > 1;
        if !moving {
            // The second arrays, of zeros or already part of the first, are left out.
            for (values, tangents) in &mut arrays {
                tangents.truncate(values.len());
            }
        }
        let smallest = [0, 1].map(|a| axes[a].smallest().0);
        let chain = self.chain(sets, moving.then_some((follows, smallest)));
        Ok(self.finish(geometry, arrays, chain, size, border.map(|b| (b, extended)), [(0, 0); 2], [1, 1]))
    }

    /// `moving`: ∂f/∂σ along each axis and the set whose σ the factor follows.
    fn chain(&self, sets: usize, moving: Option<([f64; 2], [usize; 2])>) -> Vec<Link> {
        let mut chain = Vec::new();
        for axis in 0..2 {
            for set in 0..sets {
                let parameter = self.parameter(set, axis);
                chain.push(Link { parameter, sum: set, axis, weight: self.scales[parameter].by_parameter });
            }
            if let Some((by_sigma, smallest)) = moving {
                let parameter = self.parameter(smallest[axis], axis);
                let weight = by_sigma[axis] * self.scales[parameter].by_parameter;
                chain.extend((sets..2 * sets).map(|sum| Link { parameter, sum, axis, weight }));
            }
        }
        chain
    }

    #[allow(clippy::too_many_arguments)]
    fn finish(
        &self,
        geometry: Geometry,
        [(values_y, tangents_y), (values_x, tangents_x)]: [(Vec<f64>, Vec<f64>); 2],
        chain: Vec<Link>,
        size: [usize; 2],
        border: Option<(Border, [(usize, usize); 2])>,
        padding: [(usize, usize); 2],
        stride: [usize; 2],
    ) -> Call {
        let taps = TapArrays {
            values: [values_y, values_x],
            tangents: [tangents_y, tangents_x],
            chain,
            parameters: self.scales.len(),
        };
        Call {
            geometry: geometry.with_sharing(self.sharing.into()),
            transposed: false,
            taps: Arc::new(taps),
            size,
            border,
            padding,
            stride,
            band_limit: self.band_limit,
            precision: Precision::present(),
            sigma_images: sigma_images(),
        }
    }
}

/// Multiplies taps by `factor`, which each array of derivatives knows as `d_factor`.
fn scale(values: &mut [f64], tangents: &mut [f64], factor: f64, d_factor: [f64; 2]) {
    for (array, d_factor) in tangents.chunks_exact_mut(values.len()).zip(d_factor) {
        array.iter_mut().zip(&*values).for_each(|(d, value)| *d = factor * *d + d_factor * value);
    }
    values.iter_mut().for_each(|value| *value *= factor);
}

#[derive(Debug, Clone, Copy)]
struct Channels {
    batch: usize,
    channels_in: usize,
    channels_out: usize,
    groups: usize,
    order: usize,
}

/// The scales of one axis with the radii of their filters.
struct AxisScales {
    scales: Vec<Scale>,
    radii: Vec<usize>,
}

impl AxisScales {
    fn new(settings: &Settings, axis: usize) -> Self {
        let scales = settings.along(axis);
        let radii = scales.iter().map(|scale| njet_basis::radius(scale.sigma, settings.extent)).collect();
        Self { scales, radii }
    }

    /// Of the largest scale.
    fn radius(&self) -> usize {
        self.radii.iter().copied().max().unwrap_or(0)
    }

    /// The first set of the smallest scale, and the scale.
    fn smallest(&self) -> (usize, f64) {
        let by_sigma = |a: &(usize, f64), b: &(usize, f64)| a.1.total_cmp(&b.1);
        self.scales.iter().map(|scale| scale.sigma).enumerate().min_by(by_sigma).unwrap_or((0, 1.0))
    }

    /// Adds a row of taps with zeros around those of a smaller scale.
    fn put(&self, to: &mut Vec<f64>, row: &[f64]) {
        let zeros = self.radius() - row.len() / 2;
        to.resize(to.len() + zeros, 0.0);
        to.extend_from_slice(row);
        to.resize(to.len() + zeros, 0.0);
    }

    /// `[sets, order + 1, 2R + 1]` and the derivatives by σ; each set cut at the radius of its own scale.
    fn regular(&self, settings: &Settings) -> (Vec<f64>, Vec<f64>) {
        let (mut values, mut tangents) = (Vec::new(), Vec::new());
        for (scale, &radius) in self.scales.iter().zip(&self.radii) {
            let taps = Taps::with_radius(&settings.spec(scale.sigma), radius).expect("the scales have been checked");
            for n in 0..=settings.order {
                self.put(&mut values, taps.order(n));
                self.put(&mut tangents, taps.d_sigma(n));
            }
        }
        (values, tangents)
    }

    /// `[sets, order + 1, outputs, 2R + 1]`, and the derivatives: by σ, then by the factor, of which output `o` moves
    /// `moves(o)`. A single scale that the factor follows by `by_sigma` has it all in the first.
    fn positioned(
        &self,
        settings: &Settings,
        positions: &[(isize, f64)],
        moves: impl Fn(usize) -> f64,
        by_sigma: f64,
    ) -> Result<(Vec<f64>, Vec<f64>), BasisError> {
        let (mut values, mut first, mut second) = (Vec::new(), Vec::new(), Vec::new());
        let alone = self.scales.len() == 1;
        for (scale, &radius) in self.scales.iter().zip(&self.radii) {
            let spec = settings.spec(scale.sigma);
            let taps: Vec<ShiftedTaps> = positions
                .iter()
                .map(|&(_, offset)| ShiftedTaps::new(&spec, radius, offset))
                .collect::<Result<_, _>>()?;
            let side = 2 * radius + 1;
            for n in 0..=settings.order {
                let row = |all: &[f64]| all[n * side..(n + 1) * side].to_vec();
                for (o, taps) in taps.iter().enumerate() {
                    self.put(&mut values, taps.order(n));
                    let mut by_scale = row(taps.d_sigma_values());
                    let by_factor: Vec<f64> = row(taps.d_offset_values()).iter().map(|d| moves(o) * d).collect();
                    if alone {
                        by_scale.iter_mut().zip(&by_factor).for_each(|(d, by_factor)| *d += by_sigma * by_factor);
                    }
                    self.put(&mut first, &by_scale);
                    self.put(&mut second, &by_factor);
                }
            }
        }
        first.extend(second);
        Ok((values, first))
    }
}
