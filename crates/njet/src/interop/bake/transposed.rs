//! Transposed layers with whole strides, their kernels written out or as a separable chain.

use super::kernels::Kernels;
use super::{BakeError, Baking, Form, positioned};
use crate::interop::graph::{Array, Convolve, ConvolveTransposed, Graph, Operation, Value};
use crate::layer::{Settings, around};
use burn::nn::PaddingConfig2d;
use njet_kernels::Sharing;

/// A transposed layer, as the settings of its convolution and its coefficients.
pub(super) struct Transposed<'a> {
    pub(super) settings: &'a Settings,
    /// `[channels_in, channels_out / groups, B]`.
    pub(super) alpha: &'a [f64],
    pub(super) channels_in: usize,
    pub(super) channels_out: usize,
    pub(super) bias: Option<Vec<f32>>,
}

impl Transposed<'_> {
    /// Adds the layer, from an image of size `from` to one of size `to` where they are known, else to whole strides times
    /// the image.
    ///
    /// # Errors
    /// A real stride and no sizes; sizes of which one is not what the convolution makes of the other.
    ///
    /// # Panics
    /// If the padding is not `Same`.
    pub(super) fn lower(
        self,
        graph: &mut Graph,
        name: &str,
        baking: &Baking,
        x: Value,
        sizes: Option<[[usize; 2]; 2]>,
    ) -> Result<Value, BakeError> {
        let Self { settings, alpha, channels_in, channels_out, bias } = self;
        assert!(matches!(settings.padding, PaddingConfig2d::Same), "a transposed layer with padding `Same`");
        let factors = settings.factors();
        if sizes.is_none() && factors.iter().any(|factor| factor.fract() != 0.0) {
            return Err(BakeError::RealStride { layer: name.to_owned(), stride: factors });
        }
        // A small image where there is none: it only has to be possible.
        let [from, to] = sizes.unwrap_or([[2; 2], factors.map(|factor| 2 * factor as usize)]);
        let call = settings
            .transposed_call([1, channels_in, from[0], from[1]], channels_out, to)
            .map_err(|source| BakeError::Call { layer: name.to_owned(), source })?;
        if call.geometry.is_centred() {
            if sizes.is_none() {
                return Err(BakeError::RealStride { layer: name.to_owned(), stride: factors });
            }
            return Ok(positioned::lower_transposed(graph, name, &call, alpha, bias, x));
        }
        let kernels = Kernels::new(&call, alpha, &settings.padding);
        let radius = kernels.radius();
        let stride = call.stride;
        let cut = [0, 1].map(|axis| around(&settings.padding, axis, to[axis], 2 * radius[axis] + 1, stride[axis]));
        let more = [0, 1].map(|axis| {
            let (before, after) = cut[axis];
            to[axis] + before + after - ((from[axis] - 1) * stride[axis] + 2 * radius[axis] + 1)
        });
        Ok(Spread { kernels, stride, cut, more }.lower(graph, name, baking.form, bias, x))
    }
}

/// The kernels, where they go, and what is cut off afterwards.
struct Spread<'a> {
    kernels: Kernels<'a>,
    stride: [usize; 2],
    cut: [(usize, usize); 2],
    /// Rows and columns at the end that nothing reaches.
    more: [usize; 2],
}

impl Spread<'_> {
    fn lower(&self, graph: &mut Graph, name: &str, form: Form, bias: Option<Vec<f32>>, x: Value) -> Value {
        let (dense, filters_first, mix_first) = self.costs();
        if !form.is_separable(dense, filters_first.min(mix_first)) {
            let (stride, cut, more, groups) = (self.stride, self.cut, self.more, self.kernels.groups);
            // The transpose of a convolution has its weights as they are.
            let convolve = ConvolveTransposed { weight: self.kernels.built_out(), bias, stride, cut, more, groups };
            return graph.push(name, Operation::ConvolveTransposed(convolve), &[x]);
        }
        if mix_first < filters_first {
            self.mix_then_filter(graph, name, bias, x)
        } else {
            self.filter_then_mix(graph, name, bias, x)
        }
    }

    /// Here: what is an output of the convolution is an input.
    fn channels_in(&self) -> usize {
        self.kernels.channels_out
    }

    fn channels_out(&self) -> usize {
        self.kernels.groups * self.kernels.group_in
    }

    /// Multiply-adds for each input: the dense kernel, filters first, mixing first. Infinite for what filters that differ
    /// do not allow.
    fn costs(&self) -> (f64, f64, f64) {
        let Kernels { groups, basis, sharing, .. } = self.kernels;
        let [ky, kx] = self.kernels.radius().map(|radius| (2 * radius + 1) as f64);
        let (inputs, outputs) = (self.channels_in() as f64, self.channels_out() as f64);
        let ([sy, sx], basis) = (self.stride.map(|stride| stride as f64), basis as f64);
        let mixing = inputs * outputs / groups as f64;
        let allowed = |allowed: bool, cost: f64| if allowed { cost } else { f64::INFINITY };
        (
            ky * kx * mixing,
            allowed(sharing != Sharing::Input, basis * (kx * inputs + sx * ky * inputs + sy * sx * mixing)),
            allowed(sharing != Sharing::Output, basis * (mixing + ky * outputs + sy * kx * outputs)),
        )
    }

    /// Along one axis (0: y, 1: x), `[channels, planes / groups, taps]`.
    fn along(&self, axis: usize, weight: Vec<f32>, channels: usize, groups: usize) -> ConvolveTransposed {
        let taps = 2 * self.kernels.radius()[axis] + 1;
        let (mut stride, mut cut, mut more, mut side) = ([1, 1], [(0, 0); 2], [0, 0], [1, 1]);
        (stride[axis], cut[axis]) = (self.stride[axis], self.cut[axis]);
        (more[axis], side[axis]) = (self.more[axis], taps);
        let each = weight.len() / (channels * taps);
        let weight = Array::new([channels, each, side[0], side[1]], weight);
        ConvolveTransposed { weight, bias: None, stride, cut, more, groups }
    }

    /// B planes for each output channel by the product with α, spread along y and x, where they are added.
    fn mix_then_filter(&self, graph: &mut Graph, name: &str, bias: Option<Vec<f32>>, x: Value) -> Value {
        let Kernels { groups, basis, .. } = self.kernels;
        // An output here is an input of the convolution.
        let set = |c| self.kernels.set_of_input(c);
        let channels_out = self.channels_out();
        let planes = channels_out * basis;
        let group_in = self.channels_in() / groups;
        let mut weight = Vec::with_capacity(planes * group_in);
        for c in 0..channels_out {
            for b in 0..basis {
                weight.extend((0..group_in).map(|i| self.alpha(c, i, b)));
            }
        }
        let mix = Convolve::pointwise(Array::new([planes, group_in, 1, 1], weight), None, groups);
        let along_y = self.along(0, self.kernels.filters(0, channels_out, set), planes, planes);
        let along_x = self.along(1, self.kernels.filters(1, channels_out, set), planes, channels_out);
        let x = graph.push(format!("{name}.mix"), Operation::Convolve(mix), &[x]);
        let x = graph.push(format!("{name}.along_y"), Operation::ConvolveTransposed(along_y), &[x]);
        let along_x = ConvolveTransposed { bias, ..along_x };
        graph.push(format!("{name}.along_x"), Operation::ConvolveTransposed(along_x), &[x])
    }

    /// B planes of each input channel, spread along x and y, then the product with α.
    fn filter_then_mix(&self, graph: &mut Graph, name: &str, bias: Option<Vec<f32>>, x: Value) -> Value {
        let Kernels { groups, basis, .. } = self.kernels;
        let (channels_in, channels_out) = (self.channels_in(), self.channels_out());
        let group_in = channels_in / groups;
        let set = |o| self.kernels.set_of_output(o);
        let planes = channels_in * basis;
        let along_x = self.along(1, self.kernels.filters(1, channels_in, set), channels_in, channels_in);
        let along_y = self.along(0, self.kernels.filters(0, channels_in, set), planes, planes);
        let mut weight = Vec::with_capacity(channels_out * group_in * basis);
        for c in 0..channels_out {
            for i in 0..group_in {
                weight.extend((0..basis).map(|b| self.alpha(c, i, b)));
            }
        }
        let mix = Convolve::pointwise(Array::new([channels_out, group_in * basis, 1, 1], weight), bias, groups);
        let x = graph.push(format!("{name}.along_x"), Operation::ConvolveTransposed(along_x), &[x]);
        let x = graph.push(format!("{name}.along_y"), Operation::ConvolveTransposed(along_y), &[x]);
        graph.push(format!("{name}.mix"), Operation::Convolve(mix), &[x])
    }

    /// The coefficient of output `c`, the `i`-th input of its group, and basis function `b`.
    fn alpha(&self, c: usize, i: usize, b: usize) -> f32 {
        let Kernels { groups, group_in: group_out, basis, alpha, .. } = self.kernels;
        let o = c / group_out * (self.channels_in() / groups) + i;
        alpha[(o * group_out + c % group_out) * basis + b] as f32
    }
}
