//! Layers whose outputs stand at real distances, on images of one size: a matrix for each axis and a 1×1 product.

use super::kernels::by_basis;
use crate::interop::graph::{Array, Convolve, Graph, Operation, Value};
use crate::layer::{Call, Settings, nearest_pixels};
use njet_basis::JetIndex;
use njet_kernels::Sharing;

/// Which pixels of an image of `size` a published stride keeps along y and x, where it keeps not all. Of an image whose size
/// is not known none are named.
pub(super) fn nearest(settings: &Settings, size: Option<[usize; 2]>) -> Option<[Vec<usize>; 2]> {
    let factor = |axis| settings.smallest(axis).and_then(|sigma| settings.stride.nearest_factor(sigma)).unwrap_or(1.0);
    let factors = [factor(0), factor(1)];
    if factors == [1.0, 1.0] {
        return None;
    }
    Some([0, 1].map(|axis| size.map_or_else(Vec::new, |size| nearest_pixels(size[axis], factors[axis]))))
}

/// Adds the choice of pixels along y and x; and the size that is left.
pub(super) fn pick(graph: &mut Graph, name: &str, pixels: [Vec<usize>; 2], x: Value) -> (Value, Option<[usize; 2]>) {
    let size = [pixels[0].len(), pixels[1].len()];
    let x = pixels.into_iter().enumerate().fold(x, |x, (axis, pixels)| {
        let name = format!("{name}.nearest.{}", ["y", "x"][axis]);
        graph.push(name, Operation::Pick { axis: 2 + axis, pixels }, &[x])
    });
    (x, Some(size))
}

/// Adds a layer; `alpha` is `[channels_out, channels_in / groups, B]`.
///
/// Filters first:
///
/// ```text
/// x · [X_0ᵀ … X_Nᵀ], cut into N + 1 parts;  part j by [Y_0; … Y_(N−j)];  all B responses as channels, times α
/// ```
///
/// Mixing first, where that is cheaper or the outputs have filters of their own:
///
/// ```text
/// x times α: planes P_(j,i);  [Y_0 … Y_(N−j)] · [P_(j,0); … P_(j,N−j)] for each j;  these side by side · [X_0ᵀ; … X_Nᵀ]
/// ```
pub(super) fn lower(
    graph: &mut Graph,
    name: &str,
    call: &Call,
    alpha: &[f64],
    bias: Option<Vec<f32>>,
    x: Value,
) -> Value {
    let layer = Layer::new(call, alpha);
    if layer.mixes_first() {
        layer.mix_then_filter(graph, name, bias, x)
    } else {
        layer.filter_then_mix(graph, name, bias, x)
    }
}

/// Adds a transposed layer; `alpha` is `[channels_in, channels_out / groups, B]`, `call` that of the convolution. Mixing first,
///
/// ```text
/// x times α: planes P_(j,i);  [Y_0ᵀ … Y_(N−j)ᵀ] · [P_(j,0); … P_(j,N−j)] for each j;  these side by side · [X_0; … X_N]
/// ```
///
/// or, where the inputs have filters of their own:
///
/// ```text
/// x · [X_0 … X_N], cut into N + 1 parts;  part j by [Y_0ᵀ; … Y_(N−j)ᵀ];  all B responses as channels, times α
/// ```
pub(super) fn lower_transposed(
    graph: &mut Graph,
    name: &str,
    call: &Call,
    alpha: &[f64],
    bias: Option<Vec<f32>>,
    x: Value,
) -> Value {
    let layer = Layer::new(call, alpha);
    match call.geometry.sharing() {
        // What is an output of the convolution is an input here.
        Sharing::Output => layer.spread_then_mix(graph, name, bias, x),
        Sharing::Layer | Sharing::Group | Sharing::Input => layer.mix_then_spread(graph, name, bias, x),
    }
}

struct Layer<'a> {
    alpha: &'a [f64],
    call: &'a Call,
    /// Along y and x.
    inputs: [usize; 2],
    outputs: [usize; 2],
    order: usize,
    basis: usize,
    channels_in: usize,
    channels_out: usize,
    group_in: usize,
}

impl<'a> Layer<'a> {
    fn new(call: &'a Call, alpha: &'a [f64]) -> Self {
        let geometry = &call.geometry;
        Self {
            alpha,
            call,
            inputs: call.size,
            outputs: [geometry.y().output(), geometry.x().output()],
            order: geometry.order(),
            basis: geometry.basis(),
            channels_in: geometry.channels_in(),
            channels_out: geometry.channels_out(),
            group_in: alpha.len() / (geometry.channels_out() * geometry.basis()),
        }
    }

    fn groups(&self) -> usize {
        self.channels_in / self.group_in
    }

    /// By multiply-adds, where the filters allow both.
    fn mixes_first(&self) -> bool {
        let depthwise = self.group_in == 1 && self.channels_in == self.channels_out;
        match self.call.geometry.sharing() {
            Sharing::Output => !depthwise,
            Sharing::Input => false,
            Sharing::Layer | Sharing::Group => {
                let [[h, w], [oh, ow]] = [self.inputs, self.outputs].map(|size| size.map(|n| n as f64));
                let (inputs, outputs) = (self.channels_in as f64, self.channels_out as f64);
                let (orders, basis) = ((self.order + 1) as f64, self.basis as f64);
                let mixing = basis * outputs * self.group_in as f64;
                let first = inputs * (orders * h * w * ow + basis * oh * h * ow) + mixing * oh * ow;
                let last = mixing * h * w + outputs * (basis * oh * h * w + orders * oh * w * ow);
                last < first
            }
        }
    }

    /// The filters of an order along an axis, `[outputs, inputs]` of the image itself, for a set.
    fn matrix(&self, axis: usize, set: usize, order: usize) -> Vec<f64> {
        let geometry = &self.call.geometry;
        let grid = if axis == 0 { geometry.y() } else { geometry.x() };
        let (side, n) = (grid.taps(), self.inputs[axis]);
        let mut matrix = vec![0.0; grid.output() * n];
        let taps = &self.call.taps.values[axis][(set * (self.order + 1) + order) * grid.output() * side..];
        for (o, (nearest, _)) in grid.positions().enumerate() {
            for (t, tap) in taps[o * side..][..side].iter().enumerate() {
                // A place in the image with its border; there the border is folded into the matrix.
                let place = nearest - (side / 2) as isize + t as isize;
                if place < 0 || place >= grid.input() as isize {
                    continue;
                }
                let pixel = match self.call.border {
                    Some((border, margins)) => border.pixel(place - margins[axis].0 as isize, n),
                    None => place as usize,
                };
                matrix[o * n + pixel] += tap;
            }
        }
        matrix
    }

    /// Sets of filters that the matrices are made for, one for all channels or one for each.
    fn sets(&self, channels: usize, of: impl Fn(usize) -> usize) -> Vec<usize> {
        if self.call.geometry.sets() == 1 { vec![0] } else { (0..channels).map(of).collect() }
    }

    /// `[sets, Σ outputs, inputs]`: the matrices of these orders one below the other.
    fn below(&self, axis: usize, sets: &[usize], orders: usize) -> Array {
        let rows = orders * self.outputs[axis];
        let values = sets.iter().flat_map(|&set| (0..orders).flat_map(move |n| self.matrix(axis, set, n)));
        Array::new([sets.len(), rows, self.inputs[axis]], values.map(|v| v as f32).collect())
    }

    fn filter_then_mix(&self, graph: &mut Graph, name: &str, bias: Option<Vec<f32>>, x: Value) -> Value {
        let sets = self.sets(self.channels_in, |c| self.call.geometry.set_of_input(c));
        let orders = self.order + 1;
        let along_x = transposed(self.below(1, &sets, orders));
        let along_y = |orders| self.below(0, &sets, orders);
        let planes =
            self.responses(graph, name, along_x, along_y, [self.channels_in, self.outputs[0], self.outputs[1]], x);
        // The responses came by falling priority of x; the coefficients follow.
        let places = places(self.order);
        let by_basis = self.alpha.chunks_exact(self.basis);
        let weight = by_basis.flat_map(|alpha| places.iter().map(|&b| alpha[b] as f32)).collect();
        let mix = Convolve::pointwise(
            Array::new([self.channels_out, self.group_in * self.basis, 1, 1], weight),
            bias,
            self.groups(),
        );
        graph.push(format!("{name}.mix"), Operation::Convolve(mix), &[planes])
    }

    fn spread_then_mix(&self, graph: &mut Graph, name: &str, bias: Option<Vec<f32>>, x: Value) -> Value {
        let sets = self.sets(self.channels_out, |o| self.call.geometry.set_of_output(o));
        let orders = self.order + 1;
        let along_x = self.beside(1, &sets, orders);
        let along_y = |orders| transposed(self.beside(0, &sets, orders));
        let planes =
            self.responses(graph, name, along_x, along_y, [self.channels_out, self.inputs[0], self.inputs[1]], x);
        let (group_out, group_in) = (self.group_in, self.channels_out / self.groups());
        let mut weight = Vec::with_capacity(self.channels_in * group_in * self.basis);
        for c in 0..self.channels_in {
            for i in 0..group_in {
                let o = c / group_out * group_in + i;
                let alpha = &self.alpha[(o * group_out + c % group_out) * self.basis..][..self.basis];
                weight.extend(places(self.order).into_iter().map(|b| alpha[b] as f32));
            }
        }
        let mix = Convolve::pointwise(
            Array::new([self.channels_in, group_in * self.basis, 1, 1], weight),
            bias,
            self.groups(),
        );
        graph.push(format!("{name}.mix"), Operation::Convolve(mix), &[planes])
    }

    /// The B responses of each channel as channels, `h` × `w`: `along_x` gives all orders side by side, and `along_y` as many
    /// as are asked for, one below the other.
    fn responses(
        &self,
        graph: &mut Graph,
        name: &str,
        along_x: Array,
        along_y: impl Fn(usize) -> Array,
        [channels, h, w]: [usize; 3],
        x: Value,
    ) -> Value {
        let orders = self.order + 1;
        let all = graph.push(format!("{name}.along_x"), Operation::Right(along_x), &[x]);
        let responses: Vec<Value> = (0..orders)
            .map(|j| {
                let part = Operation::Part { axis: 3, range: j * w..(j + 1) * w };
                let part = graph.push(format!("{name}.order{j}"), part, &[all]);
                graph.push(format!("{name}.along_y{j}"), Operation::Left(along_y(orders - j)), &[part])
            })
            .collect();
        let joined = join(graph, format!("{name}.responses"), 2, &responses);
        graph.push(format!("{name}.planes"), Operation::Reshape([channels * self.basis, h, w]), &[joined])
    }

    fn mix_then_filter(&self, graph: &mut Graph, name: &str, bias: Option<Vec<f32>>, x: Value) -> Value {
        let sets = self.sets(self.channels_out, |o| self.call.geometry.set_of_output(o));
        let ([h, w], orders) = (self.inputs, self.order + 1);
        let places = places(self.order);
        let rows: Vec<f64> = by_basis(self.alpha, self.group_in, self.basis).collect();
        let rows: Vec<&[f64]> = rows.chunks_exact(self.group_in).collect();
        let weight = (0..self.channels_out).flat_map(|o| places.iter().map(move |b| o * self.basis + b));
        let weight = weight.flat_map(|row| rows[row].iter().map(|&alpha| alpha as f32)).collect();
        let mix = Convolve::pointwise(
            Array::new([self.channels_out * self.basis, self.group_in, 1, 1], weight),
            None,
            self.groups(),
        );
        let planes = graph.push(format!("{name}.mix"), Operation::Convolve(mix), &[x]);
        // Side by side: what is multiplied is one below the other, and the product is the sum.
        let fields = self.fields(graph, name, planes, self.channels_out, h, w, |orders| self.beside(0, &sets, orders));
        let below = transposed(self.beside(1, &sets, orders));
        let y = graph.push(format!("{name}.along_x"), Operation::Right(below), &[fields]);
        offset(graph, name, bias, self.channels_out, y)
    }

    fn mix_then_spread(&self, graph: &mut Graph, name: &str, bias: Option<Vec<f32>>, x: Value) -> Value {
        let channels = self.channels_in;
        let sets = self.sets(channels, |c| self.call.geometry.set_of_input(c));
        let ([h, w], orders) = (self.outputs, self.order + 1);
        let (group_out, group_in) = (self.group_in, self.channels_out / self.groups());
        let mut weight = Vec::with_capacity(channels * self.basis * group_in);
        for c in 0..channels {
            let first = c / group_out * group_in;
            for b in places(self.order) {
                let at = |o: usize| self.alpha[(o * group_out + c % group_out) * self.basis + b] as f32;
                weight.extend((first..first + group_in).map(at));
            }
        }
        let mix = Convolve::pointwise(Array::new([channels * self.basis, group_in, 1, 1], weight), None, self.groups());
        let planes = graph.push(format!("{name}.mix"), Operation::Convolve(mix), &[x]);
        let fields =
            self.fields(graph, name, planes, channels, h, w, |orders| transposed(self.below(0, &sets, orders)));
        let along_x = Operation::Right(self.below(1, &sets, orders));
        let y = graph.push(format!("{name}.along_x"), along_x, &[fields]);
        offset(graph, name, bias, channels, y)
    }

    /// Of B planes `h` × `w` for each channel: those of each order along x, filtered along y by `matrix` and added, side by
    /// side.
    #[allow(clippy::too_many_arguments)]
    fn fields(
        &self,
        graph: &mut Graph,
        name: &str,
        planes: Value,
        channels: usize,
        h: usize,
        w: usize,
        matrix: impl Fn(usize) -> Array,
    ) -> Value {
        let orders = self.order + 1;
        let stacked = Operation::Reshape([channels, self.basis * h, w]);
        let stacked = graph.push(format!("{name}.planes"), stacked, &[planes]);
        let mut from = 0;
        let fields: Vec<Value> = (0..orders)
            .map(|j| {
                let range = from..from + (orders - j) * h;
                from = range.end;
                let part = Operation::Part { axis: 2, range };
                let part = graph.push(format!("{name}.order{j}"), part, &[stacked]);
                graph.push(format!("{name}.along_y{j}"), Operation::Left(matrix(orders - j)), &[part])
            })
            .collect();
        join(graph, format!("{name}.fields"), 3, &fields)
    }

    /// `[sets, outputs, orders · inputs]`: the matrices of these orders along an axis side by side.
    fn beside(&self, axis: usize, sets: &[usize], orders: usize) -> Array {
        let (rows, columns) = (self.outputs[axis], self.inputs[axis]);
        let mut values = Vec::with_capacity(sets.len() * rows * orders * columns);
        for &set in sets {
            let matrices: Vec<Vec<f64>> = (0..orders).map(|n| self.matrix(axis, set, n)).collect();
            for row in 0..rows {
                values.extend(matrices.iter().flat_map(|m| m[row * columns..][..columns].iter().map(|&v| v as f32)));
            }
        }
        Array::new([sets.len(), rows, orders * columns], values)
    }
}

/// With a bias.
fn offset(graph: &mut Graph, name: &str, bias: Option<Vec<f32>>, channels: usize, y: Value) -> Value {
    let Some(bias) = bias else { return y };
    // A depthwise 1×1 with weights of 1: no other plain operation adds to channels.
    let add = Convolve::pointwise(Array::new([channels, 1, 1, 1], vec![1.0; channels]), Some(bias), channels);
    graph.push(format!("{name}.offset"), Operation::Convolve(add), &[y])
}

/// Of several values; one is itself.
fn join(graph: &mut Graph, name: String, axis: usize, values: &[Value]) -> Value {
    match values {
        [one] => *one,
        _ => graph.push(name, Operation::Join { axis }, values),
    }
}

/// The basis functions by falling priority of x: where each stands in the jet.
fn places(order: usize) -> Vec<usize> {
    (0..=order).flat_map(|j| (0..=order - j).map(move |i| JetIndex { y: i, x: j }.position())).collect()
}

/// `[sets, rows, columns]` to `[sets, columns, rows]`.
fn transposed(array: Array) -> Array {
    let [sets, rows, columns] = array.shape[..] else { unreachable!("three axes") };
    let planes = array.values.chunks_exact(rows * columns);
    let values =
        planes.flat_map(|p| (0..columns).flat_map(move |c| (0..rows).map(move |r| p[r * columns + c]))).collect();
    Array::new([sets, columns, rows], values)
}
