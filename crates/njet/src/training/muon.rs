//! Muon for layers.

use crate::layer::Precision;
use burn::optim::Optimizer;
use burn::optim::momentum::{Momentum, MomentumConfig, MomentumState};
#[cfg(feature = "flex")]
use burn::tensor::{DType, TensorData};
use burn::tensor::{Device, Tensor};
#[cfg(feature = "flex")]
use njet_kernels::engine::{Isa, NewtonSchulz};
#[cfg(feature = "flex")]
use rayon::prelude::*;

/// Muon (Jordan and others 2024): each step is the orthogonal matrix nearest to the momentum, so that every direction in
/// which the outputs of a layer can move moves as far. Weights are taken as one row for each entry of their first axis, as
/// published; coefficients, `[channels_out, channels_in, B]`, or `[channels_in, channels_out, B]` of a transposed layer, as a matrix
/// for each basis function. Whatever the images, the responses of a basis function then are mixed anew as much as
/// those of another; of one matrix for all, the step would go where the largest responses are (`docs/results.md`).
///
/// Steps have the size of AdamW's (Liu and others, "Muon is scalable for LLM training", 2025), so its rates serve.
#[derive(Clone)]
pub(super) struct LayerMuon {
    momentum: Momentum,
    weight_decay: f64,
    /// Of the products for coefficients, on the CPU backend.
    #[cfg_attr(not(feature = "flex"), allow(dead_code))]
    precision: Precision,
}

impl LayerMuon {
    pub(super) fn new(momentum: f64, weight_decay: f64, precision: Precision) -> Self {
        let momentum = MomentumConfig { momentum, dampening: 0.0, nesterov: true };
        Self { momentum: Momentum::new(&momentum), weight_decay, precision }
    }
}

impl Optimizer for LayerMuon {
    type State<const D: usize> = MomentumState<2>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let shape = tensor.dims();
        let count: usize = shape.iter().product();
        let (rows, columns) = (shape[0], count / shape[0].max(1));
        let (update, state) = self.momentum.transform(grad.reshape([rows, columns]), state);
        // Coefficients are what has three axes.
        let functions = if D == 3 { shape[D - 1] } else { 1 };
        let columns = columns / functions;
        let size = lr * 0.2 * (rows.max(columns) as f64).sqrt();
        let kept = 1.0 - lr * self.weight_decay;
        #[cfg(feature = "flex")]
        if functions > 1
            && !is_long([rows, columns])
            && tensor.dtype() == DType::F32
            && update.dtype() == DType::F32
            && crate::backend::on_flex(&tensor)
        {
            let update = orthogonal_each(update, functions, [rows, columns], self.precision);
            return (moved(tensor, kept, &update, size), Some(state));
        }
        let matrices = update.reshape([rows, columns, functions]).permute([2, 0, 1]);
        let update = orthogonal(matrices).permute([1, 2, 0]).mul_scalar(size).reshape(shape);
        (tensor.mul_scalar(kept) - update, Some(state))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        state.to_device(device)
    }
}

/// Newton-Schulz iterations, and their polynomial: that of Jordan, which takes all singular values that are not tiny to
/// between 0.7 and 1.2.
const ITERATIONS: usize = 5;
const POLYNOMIAL: [f32; 3] = [3.4445, -4.775, 2.0315];

/// Of each matrix the nearest orthogonal one, about. `x`: `[matrices, rows, columns]`.
fn orthogonal(x: Tensor<3>) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if x.dims()[0] > 1 && crate::backend::on_flex(&x) {
        // They are small, and what is not a product is done by one thread: so each is a task.
        let each = x.split(1, 0).into_par_iter().with_max_len(1).map(nearest).collect();
        return Tensor::cat(each, 0);
    }
    nearest(x)
}

fn nearest(x: Tensor<3>) -> Tensor<3> {
    let [_, rows, columns] = x.dims();
    if rows > columns {
        return nearest(x.transpose()).transpose();
    }
    let norm = x.clone().square().sum_dims(&[1, 2]).sqrt().clamp_min(1e-7);
    let x = x / norm;
    #[cfg(feature = "flex")]
    if is_long([rows, columns]) && crate::backend::on_flex(&x) {
        return by_the_shorter_side(x);
    }
    by_iterations(x)
}

/// X ← (a + b·A + c·A²)·X with A = X·Xᵀ.
fn by_iterations(x: Tensor<3>) -> Tensor<3> {
    (0..ITERATIONS).fold(x, |x, _| {
        let a = x.clone().matmul(x.clone().transpose());
        factor(a).matmul(x)
    })
}

/// a + b·A + c·A²
fn factor(a: Tensor<3>) -> Tensor<3> {
    let identity = Tensor::<2>::eye(a.dims()[1], &a.device()).unsqueeze::<3>();
    a.clone() * POLYNOMIAL[1] + a.clone().matmul(a) * POLYNOMIAL[2] + identity * POLYNOMIAL[0]
}

/// So many times as many columns as rows, and products of columns are what takes the time.
#[cfg(feature = "flex")]
const LONG: usize = 3;

#[cfg(feature = "flex")]
fn is_long([rows, columns]: [usize; 2]) -> bool {
    rows.max(columns) >= LONG * rows.min(columns)
}

/// Of each of the matrices, which lie between one another, `[rows · columns, matrices]`, the nearest orthogonal one: a task
/// each.
#[cfg(feature = "flex")]
fn orthogonal_each(x: Tensor<2>, matrices: usize, shape: [usize; 2], precision: Precision) -> Vec<Vec<f32>> {
    let isa = match precision {
        Precision::F32 => Isa::Best,
        Precision::Bf16 => Isa::Amx,
    };
    let iterations = NewtonSchulz { polynomial: POLYNOMIAL.map(f64::from), count: ITERATIONS, isa };
    let x = x.into_data();
    let x = x.as_slice::<f32>().expect("the type was looked at");
    let matrix = |b: usize| {
        let mut matrix: Vec<f32> = x.iter().skip(b).step_by(matrices).copied().collect();
        iterations.run(&mut matrix, shape);
        matrix
    };
    (0..matrices).into_par_iter().with_max_len(1).map(matrix).collect()
}

/// The part `kept` of a tensor less `size` times an update, given as one matrix for each place of the last axis.
#[cfg(feature = "flex")]
fn moved<const D: usize>(tensor: Tensor<D>, kept: f64, update: &[Vec<f32>], size: f64) -> Tensor<D> {
    let (shape, device) = (tensor.dims(), tensor.device());
    let mut values = tensor.into_data().try_into_vec::<f32>().expect("the type was looked at");
    let (kept, size) = (kept as f32, size as f32);
    for (at, values) in values.chunks_exact_mut(update.len()).enumerate() {
        values.iter_mut().zip(update).for_each(|(value, update)| *value = kept * *value - size * update[at]);
    }
    Tensor::from_data(TensorData::new(values, shape), &device)
}

/// A long matrix is multiplied in so many parts at most, which can be on different cores.
#[cfg(feature = "flex")]
const PARTS: usize = 8;

/// The same as [`by_iterations`] at a fraction of its cost where rows are long: all A are polynomials of the first one, so they commute
/// with what they are multiplied by, all is done with squares of the shorter side, and X itself is multiplied once.
///
/// It must be exact to f32 throughout, as it is on a processor: the first A has eigenvalues of 0 to within rounding, an iteration
/// makes them twelve times as large, and one below 0 has no bound. A GPU may multiply with fewer bits.
#[cfg(feature = "flex")]
fn by_the_shorter_side(x: Tensor<3>) -> Tensor<3> {
    let [matrices, rows, columns] = x.dims();
    let parts = (1..=PARTS).rev().find(|&parts| columns.is_multiple_of(parts)).unwrap_or(1);
    let x = x.reshape([matrices, rows, parts, columns / parts]).swap_dims(1, 2);
    let mut a: Tensor<3> = x.clone().matmul(x.clone().transpose()).sum_dim(1).squeeze_dim(1);
    let mut product = factor(a.clone());
    let mut last = product.clone();
    for _ in 1..ITERATIONS {
        a = a.matmul(last.clone()).matmul(last);
        last = factor(a.clone());
        product = last.clone().matmul(product);
    }
    product.unsqueeze_dim::<4>(1).matmul(x).swap_dims(1, 2).reshape([matrices, rows, columns])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step without weight decay, in units of its size, and a matrix for each basis function.
    fn step<const D: usize>(shape: [usize; D], gradient: f32, precision: Precision) -> Tensor<3> {
        let device = Device::flex();
        let count: usize = shape.iter().product();
        // Some basis functions have gradients a hundred times as large as others.
        let scale = |i: usize| if D == 3 { 10f32.powi((i % shape[D - 1] % 3) as i32) } else { 1.0 };
        let number = |i: usize| gradient * scale(i) * ((i * i * 31 + 7 * i) % 101) as f32 / 101.0;
        let numbers: Vec<f32> = (0..count).map(number).collect();
        let grad = Tensor::<1>::from_floats(numbers.as_slice(), &device).reshape(shape);
        let before = Tensor::<D>::ones(shape, &device);
        let (after, state) = LayerMuon::new(0.9, 0.0, precision).step(0.5, before.clone(), grad, None);
        assert!(state.is_some());
        let functions = if D == 3 { shape[D - 1] } else { 1 };
        let (rows, columns) = (shape[0], count / shape[0] / functions);
        let matrices = (before - after).reshape([rows, columns, functions]).permute([2, 0, 1]);
        matrices / (0.5 * 0.2 * (rows.max(columns) as f32).sqrt())
    }

    #[test]
    fn every_direction_of_every_basis_function_moves_as_far() {
        let whole = |gradient| step([4, 5, 6], gradient, Precision::F32);
        let wide_gradients = [whole(1.0), whole(1e-4), step([4, 3, 2, 2], 1.0, Precision::F32)];
        let rounded = step([33, 40, 6], 1.0, Precision::Bf16);
        let tall = [step([7, 2, 3], 1.0, Precision::F32), step([5, 3, 6], 1.0, Precision::F32)].map(Tensor::transpose);
        for wide in wide_gradients.into_iter().chain([rounded]).chain(tall) {
            let shape = wide.dims();
            let products = wide.clone().matmul(wide.transpose());
            let rows = products.dims()[1];
            let values: Vec<f32> = products.into_data().iter().collect();
            for (i, value) in values.into_iter().enumerate() {
                // The iteration leaves singular values between 0.7 and 1.2.
                let range = if i % (rows * rows) % (rows + 1) == 0 { 0.45..1.5 } else { -0.4..0.4 };
                assert!(range.contains(&value), "{shape:?}: {value} at {i}");
            }
        }
    }

    #[test]
    #[cfg(feature = "flex")]
    fn the_shorter_side_is_enough() {
        let device = Device::flex();
        for [matrices, rows, columns] in [[1, 1, 1], [1, 1, 9], [2, 5, 22], [1, 9, 4], [3, 6, 6], [1, 16, 96]] {
            let count = (matrices * rows * columns) as i64;
            let numbers = Tensor::<1, burn::tensor::Int>::arange(0..count, &device).float();
            let x = (numbers.clone().powi_scalar(2).mul_scalar(0.37) + numbers + 1.0).sin();
            let x = x.reshape([matrices, rows, columns]);
            let wide = if rows > columns { x.transpose() } else { x };
            let wide = wide.clone() / wide.square().sum_dims(&[1, 2]).sqrt();
            let difference = (by_the_shorter_side(wide.clone()) - by_iterations(wide)).abs().max().into_scalar::<f32>();
            assert!(difference < 1e-4, "{rows}×{columns}: {difference}");
        }
    }

    #[test]
    fn weights_decay_by_the_rate() {
        let device = Device::flex();
        let (after, _) = LayerMuon::new(0.9, 0.2, Precision::F32).step(
            0.5,
            Tensor::<3>::ones([2, 2, 2], &device),
            Tensor::zeros([2, 2, 2], &device),
            None,
        );
        assert!(after.into_data().iter::<f32>().all(|v| (v - 0.9).abs() < 1e-6));
    }
}
