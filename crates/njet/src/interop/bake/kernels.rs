//! The filters of a layer with whole strides, written out or as a separable chain.

use super::Form;
use crate::interop::graph::{Array, Convolve, Graph, Operation, Value, Zeros};
use crate::layer::Call;
use burn::nn::PaddingConfig2d;
use njet_basis::{JetIndex, jet};
use njet_kernels::Sharing;

/// The part of a kernel's sum of magnitudes that may be cut.
const CUT: f64 = 1e-6;

/// Where the filters of a layer go, beside its input.
pub(super) struct Place<'a> {
    /// Of the layer.
    pub(super) name: &'a str,
    pub(super) bias: Option<Vec<f32>>,
    pub(super) stride: [usize; 2],
    pub(super) zeros: Zeros,
}

/// The coefficients and cut taps of a layer.
pub(super) struct Kernels<'a> {
    pub(super) alpha: &'a [f64],
    pub(super) groups: usize,
    pub(super) group_in: usize,
    pub(super) channels_out: usize,
    order: usize,
    pub(super) basis: usize,
    pub(super) sharing: Sharing,
    /// Along y and x, `[sets][order + 1][2R + 1]`.
    taps: [Vec<Vec<Vec<f64>>>; 2],
    /// Taps cut at each end, along y and x.
    cut: [usize; 2],
}

impl<'a> Kernels<'a> {
    /// `alpha` is `[channels_out, channels_in / groups, B]`. Of a transposed call they are those of its convolution.
    pub(super) fn new(call: &Call, alpha: &'a [f64], padding: &PaddingConfig2d) -> Self {
        let geometry = &call.geometry;
        let (order, basis) = (geometry.order(), geometry.basis());
        let (channels_in, channels_out) = (geometry.channels_in(), geometry.channels_out());
        let group_in = alpha.len() / (channels_out * basis);
        let grids = [geometry.y(), geometry.x()];
        let taps = [0, 1].map(|axis| {
            let side = grids[axis].taps();
            let set = |set: &[f64]| -> Vec<Vec<f64>> { set.chunks_exact(side).map(<[f64]>::to_vec).collect() };
            call.taps.values[axis].chunks_exact(side * (order + 1)).map(set).collect()
        });
        let groups = channels_in / group_in;
        let sharing = geometry.sharing();
        let mut kernels = Self { alpha, groups, group_in, channels_out, order, basis, sharing, taps, cut: [0, 0] };
        kernels.cut = kernels.cuttable(
            call.transposed,
            [0, 1].map(|axis| {
                let radius = grids[axis].taps() / 2;
                match padding {
                    // With fewer zeros than the stride the outputs would stand elsewhere.
                    PaddingConfig2d::Same => radius - radius.min(call.stride[axis] / 2),
                    // What is cut goes from the padding too.
                    explicit => {
                        let (before, after) = crate::layer::around(explicit, axis, 0, 1, 1);
                        before.min(after).min(radius)
                    }
                }
            }),
        );
        for axis in 0..2 {
            let cut = kernels.cut[axis];
            for taps in kernels.taps[axis].iter_mut().flatten() {
                *taps = taps[cut..taps.len() - cut].to_vec();
            }
        }
        kernels
    }

    /// Of the cut taps along y and x.
    pub(super) fn radius(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.taps[axis][0][0].len() / 2)
    }

    /// Taps that were cut at each end.
    pub(super) fn cut(&self) -> [usize; 2] {
        self.cut
    }

    /// The filters of an input channel, where it has one set.
    pub(super) fn set_of_input(&self, c: usize) -> usize {
        match self.sharing {
            Sharing::Layer => 0,
            Sharing::Group => c / self.group_in,
            // Of a depthwise layer the outputs are the inputs.
            Sharing::Input | Sharing::Output => c,
        }
    }

    /// The filters of an output channel, where it has one set.
    pub(super) fn set_of_output(&self, o: usize) -> usize {
        match self.sharing {
            Sharing::Layer => 0,
            Sharing::Group => o / (self.channels_out / self.groups),
            Sharing::Input | Sharing::Output => o,
        }
    }

    /// The kernel of output `o` and the `c`-th input of its group, `[2R + 1][2R + 1]`.
    fn kernel(&self, o: usize, c: usize, kernel: &mut [f64]) {
        let set = match self.sharing {
            Sharing::Input => o / (self.channels_out / self.groups) * self.group_in + c,
            Sharing::Layer | Sharing::Group | Sharing::Output => self.set_of_output(o),
        };
        let [y, x] = [&self.taps[0][set], &self.taps[1][set]];
        let alpha = &self.alpha[(o * self.group_in + c) * self.basis..][..self.basis];
        kernel.fill(0.0);
        for (row, t) in kernel.chunks_exact_mut(x[0].len()).zip(0..) {
            for j in 0..=self.order {
                // Along y first, for each order along x.
                let along_y: f64 =
                    (0..=self.order - j).map(|i| alpha[JetIndex { y: i, x: j }.position()] * y[i][t]).sum();
                row.iter_mut().zip(&x[j]).for_each(|(w, x)| *w += along_y * x);
            }
        }
    }

    /// How many taps can go at each end, `most` at most: half of what may be cut goes along each axis, for every channel
    /// that is an output; of the transposed layer these are the convolution's inputs.
    fn cuttable(&self, transposed: bool, most: [usize; 2]) -> [usize; 2] {
        if most == [0, 0] {
            return most;
        }
        let sides = [0, 1].map(|axis| self.taps[axis][0][0].len());
        let mut kernel = vec![0.0; sides[0] * sides[1]];
        let group_out = self.channels_out / self.groups;
        let outputs = if transposed { self.groups * self.group_in } else { self.channels_out };
        // Pairs of channels of the convolution, out and in, that make an output.
        let pairs = |output: usize| -> Vec<(usize, usize)> {
            if transposed {
                let group = output / self.group_in;
                (0..group_out).map(|o| (group * group_out + o, output % self.group_in)).collect()
            } else {
                (0..self.group_in).map(|c| (output, c)).collect()
            }
        };
        (0..outputs).fold(most, |most, output| {
            // Sums of magnitudes over all inputs, along y and x.
            let mut masses = sides.map(|side| vec![0.0; side]);
            for (o, c) in pairs(output) {
                self.kernel(o, c, &mut kernel);
                for (i, weight) in kernel.iter().enumerate() {
                    masses[0][i / sides[1]] += weight.abs();
                    masses[1][i % sides[1]] += weight.abs();
                }
            }
            let allowed = 0.5 * CUT * masses[0].iter().sum::<f64>();
            [0, 1].map(|axis| {
                let (masses, side) = (&masses[axis], sides[axis]);
                let mut gone = 0.0;
                let fits = |&cut: &usize| {
                    gone += masses[cut - 1] + masses[side - cut];
                    gone <= allowed
                };
                (1..=most[axis]).take_while(fits).count()
            })
        })
    }

    /// Adds the layer in a form.
    pub(super) fn lower(&self, graph: &mut Graph, form: Form, place: Place<'_>, x: Value) -> Value {
        let (dense, filters_first, mix_first) = self.costs(place.stride);
        if !form.is_separable(dense, filters_first.min(mix_first)) {
            let Place { name, bias, stride, zeros } = place;
            let convolve = Convolve { weight: self.built_out(), bias, stride, zeros, groups: self.groups };
            return graph.push(name, Operation::Convolve(convolve), &[x]);
        }
        if mix_first < filters_first {
            self.mix_then_filter(graph, place, x)
        } else {
            self.filter_then_mix(graph, place, x)
        }
    }

    /// Multiply-adds for each output: the dense kernel, filters first, mixing first. Infinite for what filters that
    /// differ do not allow.
    fn costs(&self, [stride_y, stride_x]: [usize; 2]) -> (f64, f64, f64) {
        let [ky, kx] = self.radius().map(|radius| (2 * radius + 1) as f64);
        let (inputs, outputs) = ((self.groups * self.group_in) as f64, self.channels_out as f64);
        let (sy, sx, basis) = (stride_y as f64, stride_x as f64, self.basis as f64);
        let mixing = outputs * self.group_in as f64;
        let depthwise = self.group_in == 1 && self.channels_out == self.groups;
        let (by_input, by_output) = match self.sharing {
            Sharing::Layer | Sharing::Group => (true, true),
            Sharing::Input => (true, depthwise),
            Sharing::Output => (depthwise, true),
        };
        let allowed = |allowed: bool, cost: f64| if allowed { cost } else { f64::INFINITY };
        (
            ky * kx * mixing,
            allowed(by_input, basis * (sy * kx * inputs + ky * inputs + mixing)),
            allowed(by_output, basis * (sy * sx * mixing + sx * ky * outputs + kx * outputs)),
        )
    }

    /// All kernels, `[channels_out, channels_in / groups, height, width]`.
    pub(super) fn built_out(&self) -> Array {
        let [height, width] = self.radius().map(|radius| 2 * radius + 1);
        let mut kernel = vec![0.0; height * width];
        let mut values = Vec::with_capacity(self.channels_out * self.group_in * kernel.len());
        for o in 0..self.channels_out {
            for c in 0..self.group_in {
                self.kernel(o, c, &mut kernel);
                values.extend(kernel.iter().map(|&w| w as f32));
            }
        }
        Array::new([self.channels_out, self.group_in, height, width], values)
    }

    /// B responses of each input channel by filters along x and y, then the product with α.
    fn filter_then_mix(&self, graph: &mut Graph, place: Place<'_>, x: Value) -> Value {
        let Place { name, bias, stride, zeros } = place;
        let channels = self.groups * self.group_in;
        let set = |c| self.set_of_input(c);
        let planes = channels * self.basis;
        let [height, width] = self.radius().map(|radius| 2 * radius + 1);
        let along_x = Convolve {
            weight: Array::new([planes, 1, 1, width], self.filters(1, channels, set)),
            bias: None,
            stride: [1, stride[1]],
            zeros: along(zeros, 1),
            groups: channels,
        };
        let along_y = Convolve {
            weight: Array::new([planes, 1, height, 1], self.filters(0, channels, set)),
            bias: None,
            stride: [stride[0], 1],
            zeros: along(zeros, 0),
            groups: planes,
        };
        let weight = self.alpha.iter().map(|&alpha| alpha as f32).collect();
        let weight = Array::new([self.channels_out, self.group_in * self.basis, 1, 1], weight);
        let mix = Convolve::pointwise(weight, bias, self.groups);
        let x = graph.push(format!("{name}.along_x"), Operation::Convolve(along_x), &[x]);
        let x = graph.push(format!("{name}.along_y"), Operation::Convolve(along_y), &[x]);
        graph.push(format!("{name}.mix"), Operation::Convolve(mix), &[x])
    }

    /// B planes for each output channel by the product with α, then filters along y and x, the last of which add them.
    fn mix_then_filter(&self, graph: &mut Graph, place: Place<'_>, x: Value) -> Value {
        let Place { name, bias, stride, zeros } = place;
        let set = |o| self.set_of_output(o);
        let planes = self.channels_out * self.basis;
        let [height, width] = self.radius().map(|radius| 2 * radius + 1);
        let mix =
            Convolve::pointwise(Array::new([planes, self.group_in, 1, 1], self.alpha_by_basis()), None, self.groups);
        let along_y = Convolve {
            weight: Array::new([planes, 1, height, 1], self.filters(0, self.channels_out, set)),
            bias: None,
            stride: [stride[0], 1],
            zeros: along(zeros, 0),
            groups: planes,
        };
        let along_x = Convolve {
            weight: Array::new([self.channels_out, self.basis, 1, width], self.filters(1, self.channels_out, set)),
            bias,
            stride: [1, stride[1]],
            zeros: along(zeros, 1),
            groups: self.channels_out,
        };
        let x = graph.push(format!("{name}.mix"), Operation::Convolve(mix), &[x]);
        let x = graph.push(format!("{name}.along_y"), Operation::Convolve(along_y), &[x]);
        graph.push(format!("{name}.along_x"), Operation::Convolve(along_x), &[x])
    }

    /// The taps along an axis of each basis function of each channel, `[channels, B, 2R + 1]`.
    pub(super) fn filters(&self, axis: usize, channels: usize, set: impl Fn(usize) -> usize) -> Vec<f32> {
        let mut filters = Vec::new();
        for set in (0..channels).map(set) {
            for index in jet(self.order) {
                let order = if axis == 0 { index.y } else { index.x };
                filters.extend(self.taps[axis][set][order].iter().map(|&tap| tap as f32));
            }
        }
        filters
    }

    /// α as `[channels_out, B, channels_in / groups]`.
    fn alpha_by_basis(&self) -> Vec<f32> {
        by_basis(self.alpha, self.group_in, self.basis).map(|alpha| alpha as f32).collect()
    }
}

/// Coefficients `[outputs, inputs, B]` as `[outputs, B, inputs]`.
pub(super) fn by_basis(alpha: &[f64], inputs: usize, basis: usize) -> impl Iterator<Item = f64> + '_ {
    alpha
        .chunks_exact(inputs * basis)
        .flat_map(move |alpha| (0..basis).flat_map(move |b| alpha.iter().skip(b).step_by(basis).copied()))
}

/// The zeros along one axis alone.
fn along(zeros: Zeros, axis: usize) -> Zeros {
    match zeros {
        Zeros::Same => Zeros::Same,
        Zeros::Explicit(around) => {
            let mut only = [(0, 0); 2];
            only[axis] = around[axis];
            Zeros::Explicit(only)
        }
    }
}
