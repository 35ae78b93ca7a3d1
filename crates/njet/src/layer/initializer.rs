//! Distribution of the initial coefficients.

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Distribution, Shape, Tensor};
use njet_basis::{InputStatistics, Taps, energies};
use serde::{Deserialize, Serialize};

/// Distribution of the initial coefficients α: normal, mean 0, a variance for each basis function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Initializer {
    /// Variance 1 (Pintea et al. 2021). The response grows with the number of channels: a normalisation
    /// layer must follow.
    Unit,
    /// Unit variance of the response to white noise: Var α_b = groups / (Cin · B · E_b), E_b the energy of
    /// basis function b.
    White,
    /// The second moment of the input is kept, layer after layer: Var α_b = gain · groups / (Cin · B · Ē_b),
    /// Ē_b the energy of basis function b under the autocorrelation of what a deep layer sees, a field
    /// already blurred at σ with the mean that a ReLU leaves.
    Preserving {
        /// Whether a ReLU precedes: gain 2 makes up for the half that it cuts; without it the gain is 1
        /// and the input has no mean.
        after_relu: bool,
    },
}

/// Smallest energy that is divided by, relative to that of the Gaussian itself. Below σ ≈ 0.25 the samples
/// of odd derivatives vanish, and no coefficient brings them back.
const SMALLEST_ENERGY: f64 = 1e-4;

impl Initializer {
    /// Standard deviation of α for each basis function, in canonical order.
    pub(crate) fn deviations(self, taps: &Taps, channels_in: usize, groups: usize) -> Vec<f64> {
        let (gain, statistics) = match self {
            Self::Unit => return vec![1.0; njet_basis::basis_len(taps.max_order())],
            Self::White => (1.0, InputStatistics::White),
            Self::Preserving { after_relu } => {
                (if after_relu { 2.0 } else { 1.0 }, InputStatistics::Blurred { after_relu })
            }
        };
        let energies = energies(taps, statistics);
        let terms = (channels_in * energies.len()) as f64;
        let smallest = SMALLEST_ENERGY * energies[0];
        energies.iter().map(|e| (gain * groups as f64 / (terms * e.max(smallest))).sqrt()).collect()
    }
}

/// α `[channels_out, channels_in / groups, B]`, drawn when the parameter is first used, as Burn's own
/// initialisers do.
pub(crate) fn initial_alpha(shape: [usize; 3], deviations: Vec<f64>, device: &Device) -> Param<Tensor<3>> {
    Param::uninitialized(
        ParamId::new(),
        move |device, require_grad| {
            let std: Vec<f32> = deviations.iter().map(|&d| d as f32).collect();
            let std = Tensor::<1>::from_floats(std.as_slice(), device).reshape([1, 1, shape[2]]);
            let alpha = Tensor::<3>::random(shape, Distribution::Normal(0.0, 1.0), device) * std;
            if require_grad { alpha.require_grad() } else { alpha }
        },
        device.clone(),
        true,
        Shape::from(shape),
    )
}
