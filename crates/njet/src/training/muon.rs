//! Muon for layers.

use burn::optim::Optimizer;
use burn::optim::momentum::{Momentum, MomentumConfig, MomentumState};
use burn::tensor::{Device, Tensor};
use njet_basis::{InputStatistics, TapSpec, Taps, basis_len, energies};

/// Muon (Jordan and others 2024): each step is the orthogonal matrix nearest to the momentum, so that every direction in
/// which the outputs of a layer can move moves as far. A parameter is taken as one row for each entry of its first axis,
/// which for coefficients `[channels_out, channels_in, B]` is all that makes one output, and for those of a transposed
/// layer, `[channels_in, channels_out, B]`, all that one input makes.
///
/// Steps have the size of AdamW's (Liu and others, "Muon is scalable for LLM training", 2025), so its rates serve.
///
/// Of coefficients it is not α_b that is stepped but α_b · E_b^¼, where E_b is the part of its input that basis function b
/// lets through ([`energies`]): between α itself, of which equal steps move the responses of low orders most, and
/// α_b · E_b^½, of which they move those of all alike. Either end learned less from as many images, in one run each.
#[derive(Clone)]
pub(super) struct LayerMuon {
    momentum: Momentum,
    weight_decay: f64,
}

impl LayerMuon {
    pub(super) fn new(momentum: f64, weight_decay: f64) -> Self {
        let momentum = MomentumConfig { momentum, dampening: 0.0, nesterov: true };
        Self { momentum: Momentum::new(&momentum), weight_decay }
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
        let grad = grad.reshape([rows, columns]);
        // Coefficients are what has three axes.
        let units = (D == 3).then(|| units(shape[D - 1])).flatten().map(|units| {
            let units = units.repeat(columns / units.len());
            Tensor::<1>::from_floats(units.as_slice(), &grad.device()).unsqueeze::<2>()
        });
        let in_units = |x: Tensor<2>| match &units {
            Some(units) => x * units.clone(),
            None => x,
        };
        let (update, state) = self.momentum.transform(in_units(grad), state);
        let size = 0.2 * (rows.max(columns) as f64).sqrt();
        let update = in_units(orthogonal(update)).mul_scalar(lr * size).reshape(shape);
        (tensor.mul_scalar(1.0 - lr * self.weight_decay) - update, Some(state))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        state.to_device(device)
    }
}

/// Newton-Schulz iterations, and their polynomial: that of Jordan, which takes all singular values that are not tiny to
/// between 0.7 and 1.2.
const ITERATIONS: usize = 5;
const POLYNOMIAL: [f32; 3] = [3.4445, -4.775, 2.0315];

/// The orthogonal matrix nearest to one, about.
fn orthogonal(x: Tensor<2>) -> Tensor<2> {
    let [rows, columns] = x.dims();
    if rows > columns {
        return orthogonal(x.transpose()).transpose();
    }
    let norm = x.clone().square().sum().sqrt().clamp_min(1e-7);
    let x = x / norm.unsqueeze();
    #[cfg(feature = "flex")]
    if crate::backend::on_flex(&x) {
        return by_the_shorter_side(x);
    }
    by_iterations(x)
}

/// X ← (a + b·A + c·A²)·X with A = X·Xᵀ.
fn by_iterations(x: Tensor<2>) -> Tensor<2> {
    (0..ITERATIONS).fold(x, |x, _| {
        let a = x.clone().matmul(x.clone().transpose());
        factor(a).matmul(x)
    })
}

/// a + b·A + c·A²
fn factor(a: Tensor<2>) -> Tensor<2> {
    let identity = Tensor::<2>::eye(a.dims()[0], &a.device());
    identity * POLYNOMIAL[0] + a.clone() * POLYNOMIAL[1] + a.clone().matmul(a) * POLYNOMIAL[2]
}

/// A long matrix is multiplied in so many parts at most, which can be on different cores.
#[cfg(feature = "flex")]
const PARTS: usize = 8;

/// The same as [`by_iterations`] at a fifth of its cost for coefficients: all A are polynomials of the first one, so they commute with
/// what they are multiplied by, all is done with squares of the shorter side, and X itself is multiplied once.
///
/// It must be exact to f32 throughout, as it is on a processor: the first A has eigenvalues of 0 to within rounding, an iteration
/// makes them twelve times as large, and one below 0 has no bound. A GPU may multiply with fewer bits.
#[cfg(feature = "flex")]
fn by_the_shorter_side(x: Tensor<2>) -> Tensor<2> {
    let [rows, columns] = x.dims();
    let parts = (1..=PARTS).rev().find(|&parts| columns.is_multiple_of(parts)).unwrap_or(1);
    let x = x.reshape([rows, parts, columns / parts]).swap_dims(0, 1);
    let mut a: Tensor<2> = x.clone().matmul(x.clone().transpose()).sum_dim(0).squeeze_dim(0);
    let mut product = factor(a.clone());
    let mut last = product.clone();
    for _ in 1..ITERATIONS {
        a = a.matmul(last.clone()).matmul(last);
        last = factor(a.clone());
        product = last.clone().matmul(product);
    }
    product.unsqueeze::<3>().matmul(x).swap_dims(0, 1).reshape([rows, columns])
}

/// In what the coefficients of each of so many basis functions are stepped: E_b^−¼, 1 in the mean of squares. `None` where
/// no N-jet has so many.
fn units(functions: usize) -> Option<Vec<f32>> {
    let order = (0..functions).find(|&order| basis_len(order) == functions)?;
    // The parts are those of any σ that is not small.
    let taps = Taps::new(&TapSpec::new(1.0, 4.0, order)).ok()?;
    let units = energies(&taps, InputStatistics::Blurred { after_relu: true });
    let units: Vec<f64> = units.iter().map(|energy| energy.powf(-0.25)).collect();
    let size = (units.iter().map(|unit| unit * unit).sum::<f64>() / units.len() as f64).sqrt();
    Some(units.iter().map(|unit| (unit / size) as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step without weight decay, in units of its size.
    fn step<const D: usize>(shape: [usize; D], gradient: f32) -> Tensor<2> {
        let device = Device::flex();
        let count: usize = shape.iter().product();
        let numbers: Vec<f32> = (0..count).map(|i| gradient * ((i * i * 31 + 7 * i) % 101) as f32 / 101.0).collect();
        let grad = Tensor::<1>::from_floats(numbers.as_slice(), &device).reshape(shape);
        let before = Tensor::<D>::ones(shape, &device);
        let (after, state) = LayerMuon::new(0.9, 0.0).step(0.5, before.clone(), grad, None);
        assert!(state.is_some());
        let (rows, columns) = (shape[0], count / shape[0]);
        (before - after).reshape([rows, columns]) / (0.5 * 0.2 * (rows.max(columns) as f32).sqrt())
    }

    /// The same in what the coefficients of basis functions are stepped.
    fn in_units(shape: [usize; 3], gradient: f32) -> Tensor<2> {
        let step = step(shape, gradient);
        let units = units(shape[2]).unwrap().repeat(shape[1]);
        let units = Tensor::<1>::from_floats(units.as_slice(), &step.device()).unsqueeze::<2>();
        step / units
    }

    #[test]
    fn every_direction_moves_as_far() {
        let wide_gradients = [in_units([4, 5, 6], 1.0), in_units([4, 5, 6], 1e-4), step([4, 3, 2, 2], 1.0)];
        for wide in wide_gradients.into_iter().chain([in_units([7, 1, 3], 1.0).transpose()]) {
            let shape = wide.dims();
            let products = wide.clone().matmul(wide.transpose());
            let rows = products.dims()[0];
            let values: Vec<f32> = products.into_data().iter().collect();
            for (i, value) in values.into_iter().enumerate() {
                // The iteration leaves singular values between 0.7 and 1.2.
                let range = if i % (rows + 1) == 0 { 0.45..1.5 } else { -0.4..0.4 };
                assert!(range.contains(&value), "{shape:?}: {value} at {i}");
            }
        }
    }

    #[test]
    #[cfg(feature = "flex")]
    fn the_shorter_side_is_enough() {
        let device = Device::flex();
        for [rows, columns] in [[1, 1], [1, 9], [5, 22], [9, 4], [6, 6], [16, 96]] {
            let numbers = Tensor::<1, burn::tensor::Int>::arange(0..(rows * columns) as i64, &device).float();
            let x = (numbers.clone().powi_scalar(2).mul_scalar(0.37) + numbers + 1.0).sin().reshape([rows, columns]);
            let wide = if rows > columns { x.transpose() } else { x };
            let wide = wide.clone() / wide.square().sum().sqrt().unsqueeze();
            let difference = (by_the_shorter_side(wide.clone()) - by_iterations(wide)).abs().max().into_scalar::<f32>();
            assert!(difference < 1e-4, "{rows}×{columns}: {difference}");
        }
    }

    /// Low orders let most of an image through, so their coefficients are stepped less.
    #[test]
    fn units_follow_the_energies() {
        let units = units(6).unwrap();
        assert!(
            units[0] < units[1] && units[1] == units[2] && units[3] < units[4] && units[3] == units[5],
            "{units:?}"
        );
        assert!((units.iter().map(|unit| unit * unit).sum::<f32>() / 6.0 - 1.0).abs() < 1e-6);
        // (1/π + (1 − 1/π)/2) / ((1 − 1/π)/32) of the energies, to the power of ¼.
        assert!((units[4] / units[0] - 30.94f32.powf(0.25)).abs() < 0.01, "{units:?}");
        assert_eq!(super::units(5), None);
    }

    #[test]
    fn weights_decay_by_the_rate() {
        let device = Device::flex();
        let (after, _) = LayerMuon::new(0.9, 0.2).step(
            0.5,
            Tensor::<3>::ones([2, 2, 2], &device),
            Tensor::zeros([2, 2, 2], &device),
            None,
        );
        assert!(after.into_data().iter::<f32>().all(|v| (v - 0.9).abs() < 1e-6));
    }
}
