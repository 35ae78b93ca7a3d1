//! The layer as a composition of ordinary tensor operations, for backends without a pass of our own.
//!
//! The same separable form: 1-D filters along x and y give the responses, a 1×1 convolution mixes them; where each
//! output channel has filters of its own, the other way round. The filters are depthwise convolutions, or, where the
//! outputs stand at real distances, products with a matrix for each axis. Gradients are the backend's.

use super::conv2d::{checked, shrunk};
use super::{Call, Settings};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Int, Tensor, TensorData};
use njet_basis::JetIndex;
use njet_kernels::{Axis, Sharing};
use std::ops::Range;

/// [`njet_conv2d`](super::njet_conv2d) on any backend, by tensor operations alone.
///
/// # Panics
/// If the shapes do not fit together, with a message that says how.
pub fn njet_conv2d_composed(
    x: Tensor<4>,
    alpha: Tensor<3>,
    log2_sigma: Tensor<1>,
    bias: Option<Tensor<1>>,
    settings: &Settings,
) -> Tensor<4> {
    let x = shrunk(x, settings);
    let call = checked(&x, &alpha, settings);
    compose(x, alpha, log2_sigma, bias, &call)
}

pub(super) fn compose(
    x: Tensor<4>,
    alpha: Tensor<3>,
    log2_sigma: Tensor<1>,
    bias: Option<Tensor<1>>,
    call: &Call,
) -> Tensor<4> {
    let filters = Filters::new(&log2_sigma, call);
    if call.transposed {
        return transposed(x, alpha, bias, &filters);
    }
    let x = bordered(x, call);
    match call.geometry.sharing() {
        Sharing::Output => mix_then_filter(x, alpha, bias, &filters),
        _ => filter_then_mix(x, alpha, bias, &filters),
    }
}

/// The image with its border, where that is not zeros.
fn bordered(x: Tensor<4>, call: &Call) -> Tensor<4> {
    let Some((border, margins)) = call.border else { return x };
    (0..2).fold(x, |x, axis| {
        let (n, (before, after)) = (call.size[axis], margins[axis]);
        let pixels: Vec<i64> = (-(before as isize)..(n + after) as isize).map(|i| border.pixel(i, n) as i64).collect();
        let len = pixels.len();
        let pixels = Tensor::<1, Int>::from_data(TensorData::new(pixels, [len]), &x.device());
        x.select(2 + axis, pixels)
    })
}

fn filter_then_mix(x: Tensor<4>, alpha: Tensor<3>, bias: Option<Tensor<1>>, filters: &Filters<'_>) -> Tensor<4> {
    let geometry = &filters.call.geometry;
    let [channels_out, group_in, basis] = alpha.dims();
    let [batch, channels, ..] = x.dims();
    let orders = filters.orders;
    let sets: Vec<i64> = (0..channels).map(|c| geometry.set_of_input(c) as i64).collect();
    let along_x = filters.along(x, 1, 0..orders, &sets);
    let [.., height, width] = along_x.dims();
    let responses: Vec<Tensor<5>> = (0..orders)
        .map(|j| {
            let field = along_x.clone().slice_dim(2, j..j + 1).reshape([batch, channels, height, width]);
            filters.along(field, 0, 0..orders - j, &sets)
        })
        .collect();
    let responses = Tensor::cat(responses, 2);
    let [.., height, width] = responses.dims();
    // The planes came by falling priority of x; the coefficients follow.
    let place = |y, x| JetIndex { y, x }.position() as i64;
    let order: Vec<i64> = (0..orders).flat_map(|j| (0..orders - j).map(move |i| place(i, j))).collect();
    let order = Tensor::<1, Int>::from_data(TensorData::new(order, [basis]), &alpha.device());
    let alpha = alpha.select(2, order).reshape([channels_out, group_in * basis, 1, 1]);
    let mix = ConvOptions::new([1, 1], [0, 0], [1, 1], channels / group_in);
    conv2d(responses.reshape([batch, channels * basis, height, width]), alpha, bias, mix)
}

fn mix_then_filter(x: Tensor<4>, alpha: Tensor<3>, bias: Option<Tensor<1>>, filters: &Filters<'_>) -> Tensor<4> {
    let [channels_out, group_in, basis] = alpha.dims();
    let [batch, channels, height, width] = x.dims();
    let sets: Vec<i64> = (0..channels_out as i64).collect();
    let alpha = alpha.swap_dims(1, 2).reshape([channels_out * basis, group_in, 1, 1]);
    let planes = conv2d(x, alpha, None, ConvOptions::new([1, 1], [0, 0], [1, 1], channels / group_in));
    let planes = planes.reshape([batch, channels_out, basis, height, width]);
    let along = |plane: Tensor<4>, axis, n| {
        let filtered = filters.along(plane, axis, n..n + 1, &sets);
        let [batch, channels, _, height, width] = filtered.dims();
        filtered.reshape([batch, channels, height, width])
    };
    let sum = |terms: &mut dyn Iterator<Item = Tensor<4>>| terms.reduce(|sum, term| sum + term).expect("an order");
    let y = sum(&mut (0..filters.orders).map(|j| {
        let field = sum(&mut (0..filters.orders - j).map(|i| {
            let b = JetIndex { y: i, x: j }.position();
            along(planes.clone().slice_dim(2, b..b + 1).reshape([batch, channels_out, height, width]), 0, i)
        }));
        along(field, 1, j)
    }));
    match bias {
        Some(bias) => y + bias.reshape([1, channels_out, 1, 1]),
        None => y,
    }
}

/// The adjoint of the convolution, along each axis by the transposed matrices.
fn transposed(x: Tensor<4>, alpha: Tensor<3>, bias: Option<Tensor<1>>, filters: &Filters<'_>) -> Tensor<4> {
    let geometry = &filters.call.geometry;
    let ([batch, channels_in, height, width], [_, group_out, basis]) = (x.dims(), alpha.dims());
    let channels_out = geometry.channels_in();
    let (groups, group_in) = (channels_out / group_out, channels_in / (channels_out / group_out));
    let sharing = geometry.sharing();
    let orders = filters.orders;
    // B planes for every output channel; where each input channel has filters of its own, these come first instead.
    let along = |plane: Tensor<4>, axis: usize, n: usize, sets: &[i64]| {
        let filtered = filters.adjoint(plane, axis, n, sets);
        let [batch, channels, _, height, width] = filtered.dims();
        filtered.reshape([batch, channels, height, width])
    };
    let mix = |planes: Tensor<4>, alpha: Tensor<3>, basis: usize| {
        // `[channels_in, channels_out / groups, basis]` to `[channels_out · basis, channels_in / groups]`.
        let weights = alpha.reshape([groups, group_in, group_out * basis]).swap_dims(1, 2);
        let weights = weights.reshape([channels_out * basis, group_in, 1, 1]);
        conv2d(planes, weights, None, ConvOptions::new([1, 1], [0, 0], [1, 1], groups))
    };
    let jet = (0..orders).flat_map(|j| (0..orders - j).map(move |i| (i, j)));
    let y = if sharing == Sharing::Output {
        // Of the convolution: the input channels here.
        let sets: Vec<i64> = (0..channels_in as i64).collect();
        let terms = jet.map(|(i, j)| {
            let b = JetIndex { y: i, x: j }.position();
            let filtered = along(along(x.clone(), 0, i, &sets), 1, j, &sets);
            mix(filtered, alpha.clone().slice_dim(2, b..b + 1), 1)
        });
        terms.reduce(|sum, term| sum + term).expect("an order")
    } else {
        let sets: Vec<i64> = (0..channels_out).map(|c| geometry.set_of_input(c) as i64).collect();
        let planes = mix(x, alpha, basis).reshape([batch, channels_out, basis, height, width]);
        let terms = jet.map(|(i, j)| {
            let b = JetIndex { y: i, x: j }.position();
            let plane = planes.clone().slice_dim(2, b..b + 1).reshape([batch, channels_out, height, width]);
            along(along(plane, 0, i, &sets), 1, j, &sets)
        });
        terms.reduce(|sum, term| sum + term).expect("an order")
    };
    match bias {
        Some(bias) => y + bias.reshape([1, channels_out, 1, 1]),
        None => y,
    }
}

/// The taps of a call and how they depend on the parameters.
struct Filters<'a> {
    call: &'a Call,
    orders: usize,
    /// Along y and x, `[sets, order + 1, taps]`, `taps` those of every output where each has its own.
    values: [Tensor<3>; 2],
    /// The derivatives alike, each with a zero for every set that carries the gradient to the parameters.
    tangents: [Vec<(Tensor<3>, Tensor<1>)>; 2],
}

impl<'a> Filters<'a> {
    fn new(log2_sigma: &Tensor<1>, call: &'a Call) -> Self {
        let on = (&log2_sigma.device(), log2_sigma.dtype());
        let (sets, orders) = (call.geometry.sets(), call.geometry.order() + 1);
        let tensor = |values: &[f64]| {
            let len = values.len() / (sets * orders);
            Tensor::<3>::from_data(TensorData::new(values.to_vec(), [sets, orders, len]), on)
        };
        let values = [0, 1].map(|axis| tensor(&call.taps.values[axis]));
        let tangents = [0, 1].map(|axis| {
            if !log2_sigma.device().is_autodiff() {
                return Vec::new();
            }
            let moved = log2_sigma.clone() - log2_sigma.clone().detach();
            let arrays = call.taps.tangents[axis].chunks_exact(call.taps.values[axis].len());
            // Each set's derivatives belong to one parameter; their weight goes into the taps, in f64.
            let carried = |(k, array): (usize, &[f64])| {
                let mut scaled = array.to_vec();
                let mut owners = vec![0; sets];
                for link in call.taps.chain.iter().filter(|link| link.axis == axis && link.sum / sets == k) {
                    let set = link.sum % sets;
                    owners[set] = link.parameter as i64;
                    scaled
                        .chunks_exact_mut(array.len() / sets)
                        .nth(set)
                        .into_iter()
                        .flatten()
                        .for_each(|d| *d *= link.weight);
                }
                let owners = Tensor::<1, Int>::from_data(TensorData::new(owners, [sets]), &log2_sigma.device());
                (tensor(&scaled), moved.clone().select(0, owners))
            };
            arrays.enumerate().map(carried).collect()
        });
        Self { call, orders, values, tangents }
    }

    /// The planes of `x` under some orders along an axis (0: y, 1: x), `[batch, channels, orders, height, width]`;
    /// channel `c` with the filters of set `sets[c]`.
    ///
    /// `x ⋆ taps + zero · (x ⋆ ∂taps)`: the gradient of the parameter is then a sum over pixels of products with the
    /// filtered image; through the taps' own gradients f32 loses more of it to cancellation (3.6e-5 on a reference
    /// file, against less than 1e-5).
    fn along(&self, x: Tensor<4>, axis: usize, orders: Range<usize>, sets: &[i64]) -> Tensor<5> {
        self.by_channel(x, axis, orders, sets, Self::filter)
    }

    /// The adjoint of [`along`](Self::along), for one order.
    fn adjoint(&self, x: Tensor<4>, axis: usize, order: usize, sets: &[i64]) -> Tensor<5> {
        self.by_channel(x, axis, order..order + 1, sets, |filters, x, axis, taps| {
            let geometry = &filters.call.geometry;
            let grid = if axis == 0 { geometry.y() } else { geometry.x() };
            let [batch, channels, ..] = x.dims();
            let matrix = matrices(&grid, geometry.is_centred(), taps);
            let matrix = matrix.reshape([1, channels, grid.output(), grid.input()]);
            let filtered = if axis == 0 { matrix.swap_dims(2, 3).matmul(x) } else { x.matmul(matrix) };
            let [_, _, height, width] = filtered.dims();
            filtered.reshape([batch, channels, 1, height, width])
        })
    }

    fn by_channel(
        &self,
        x: Tensor<4>,
        axis: usize,
        orders: Range<usize>,
        sets: &[i64],
        apply: impl Fn(&Self, Tensor<4>, usize, Tensor<3>) -> Tensor<5>,
    ) -> Tensor<5> {
        let channels = sets.len();
        let sets = Tensor::<1, Int>::from_data(TensorData::new(sets.to_vec(), [channels]), &x.device());
        let filter = |x: Tensor<4>, taps: &Tensor<3>| {
            apply(self, x, axis, taps.clone().select(0, sets.clone()).slice_dim(1, orders.clone()))
        };
        let mut filtered = filter(x.clone(), &self.values[axis]);
        for (taps, zero) in &self.tangents[axis] {
            let zero = zero.clone().select(0, sets.clone()).reshape([1, channels, 1, 1, 1]);
            filtered = filtered + filter(x.clone().detach(), taps) * zero;
        }
        filtered
    }

    /// With taps `[channels, orders, taps]`.
    fn filter(&self, x: Tensor<4>, axis: usize, taps: Tensor<3>) -> Tensor<5> {
        let geometry = &self.call.geometry;
        let grid = if axis == 0 { geometry.y() } else { geometry.x() };
        let [batch, channels, ..] = x.dims();
        let [_, orders, _] = taps.dims();
        let side = grid.taps();
        if geometry.is_centred() {
            let matrices = matrices(&grid, true, taps);
            let filtered: Vec<Tensor<5>> = (0..orders)
                .map(|n| {
                    let matrix = matrices.clone().slice_dim(1, n..n + 1);
                    let matrix = matrix.reshape([1, channels, grid.output(), grid.input()]);
                    let filtered =
                        if axis == 0 { matrix.matmul(x.clone()) } else { x.clone().matmul(matrix.swap_dims(2, 3)) };
                    let [_, _, height, width] = filtered.dims();
                    filtered.reshape([batch, channels, 1, height, width])
                })
                .collect();
            return Tensor::cat(filtered, 2);
        }
        let (stride, padding) = (self.call.stride[axis], self.call.padding[axis]);
        let (kernel, options) = if axis == 0 {
            (
                [channels * orders, 1, side, 1],
                ConvOptions::new_with_padding([stride, 1], [padding, (0, 0)], [1, 1], channels),
            )
        } else {
            (
                [channels * orders, 1, 1, side],
                ConvOptions::new_with_padding([1, stride], [(0, 0), padding], [1, 1], channels),
            )
        };
        let filtered = conv2d(x, taps.reshape(kernel), None, options);
        let [_, _, height, width] = filtered.dims();
        filtered.reshape([batch, channels, orders, height, width])
    }
}

/// Taps `[channels, orders, 2R + 1]`, or `[channels, orders, outputs · (2R + 1)]` where each output has its own, as
/// matrices `[channels, orders, outputs, inputs]`.
fn matrices(grid: &Axis, own: bool, taps: Tensor<3>) -> Tensor<4> {
    let [channels, orders, _] = taps.dims();
    let (inputs, outputs, side) = (grid.input(), grid.output(), grid.taps());
    let radius = (side / 2) as isize;
    // Each element of a matrix from its tap, those beyond the taps from a zero put after them.
    let zero = if own { outputs * side } else { side } as i64;
    let mut places = vec![zero; outputs * inputs];
    for (o, (nearest, _)) in grid.positions().enumerate() {
        for t in 0..side as isize {
            if let Some(input) = usize::try_from(nearest - radius + t).ok().filter(|&input| input < inputs) {
                places[o * inputs + input] = if own { (o * side) as i64 } else { 0 } + t as i64;
            }
        }
    }
    let on = (&taps.device(), taps.dtype());
    let len = places.len();
    let places = Tensor::<1, Int>::from_data(TensorData::new(places, [len]), &taps.device());
    let taps = Tensor::cat(vec![taps, Tensor::zeros([channels, orders, 1], on)], 2);
    taps.select(2, places).reshape([channels, orders, outputs, inputs])
}
