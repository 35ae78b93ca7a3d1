//! One layer with everything a test needs: shapes, arguments, and results to compare; and the files
//! that hold such layers.

// Each test file is a crate of its own and uses its part of this one.
#![allow(dead_code, unused_imports)]

mod golden;
mod oracle;

pub use golden::{golden_folder, golden_layers};
pub use oracle::oracle_layers;

use njet_kernels::engine::{self, Options};
use njet_kernels::{Backward, Forward, Geometry, Gradients, Real, Taps, Wanted, reference};
use safetensors::SafeTensors;
use std::collections::HashMap;
use std::path::Path;

/// Arguments of a layer call in f64.
pub struct Layer {
    pub geometry: Geometry,
    /// Both axes have the same taps, `[order + 1, 2R + 1]`.
    pub taps: Vec<f64>,
    pub d_taps: Vec<f64>,
    pub alpha: Vec<f64>,
    pub bias: Vec<f64>,
    pub x: Vec<f64>,
    pub grad_y: Vec<f64>,
}

/// A layer from a file with its settings and what it must compute.
pub struct Case {
    pub name: String,
    pub sigma: f64,
    pub extent: f64,
    pub groups: usize,
    pub stride: [usize; 2],
    /// top, left, bottom, right
    pub padding: [usize; 4],
    /// `[batch, channels_in, height, width]`
    pub input: [usize; 4],
    pub layer: Layer,
    pub expected: Results,
}

/// Results of both passes in f64.
pub struct Results {
    pub y: Vec<f64>,
    pub grad_x: Vec<f64>,
    pub grad_alpha: Vec<f64>,
    pub grad_bias: Vec<f64>,
    /// Sum over both axes.
    pub grad_sigma: f64,
}

#[derive(Clone, Copy, Debug)]
pub enum Implementation {
    Reference,
    Engine(Options),
}

impl Layer {
    /// Runs both passes in type `T`.
    pub fn run<T: Real>(&self, path: Implementation) -> Results {
        let cast = |values: &[f64]| values.iter().map(|&v| T::from_f64(v)).collect::<Vec<T>>();
        let back = |values: &[T]| values.iter().map(|v| v.to_f64()).collect::<Vec<f64>>();
        let (taps, d_taps) = (cast(&self.taps), cast(&self.d_taps));
        let (alpha, bias, x, grad_y) = (cast(&self.alpha), cast(&self.bias), cast(&self.x), cast(&self.grad_y));
        let taps = Taps { y: &taps, x: &taps };
        let forward = Forward { taps, alpha: &alpha, bias: Some(&bias), x: &x };
        let d_taps = Some(Taps { y: &d_taps, x: &d_taps });
        let backward = Backward { taps, d_taps, alpha: &alpha, x: &x, grad_y: &grad_y, wanted: Wanted::ALL };
        let (y, gradients): (Vec<T>, Gradients<T>) = match path {
            Implementation::Reference => (
                reference::forward(&self.geometry, &forward).unwrap(),
                reference::backward(&self.geometry, &backward).unwrap(),
            ),
            Implementation::Engine(options) => (
                engine::forward(&self.geometry, &forward, options).unwrap(),
                engine::backward(&self.geometry, &backward, options).unwrap(),
            ),
        };
        Results {
            y: back(&y),
            grad_x: back(&gradients.x.unwrap()),
            grad_alpha: back(&gradients.alpha.unwrap()),
            grad_bias: back(&gradients.bias.unwrap()),
            grad_sigma: gradients.sigma.unwrap().iter().flatten().sum(),
        }
    }
}

impl Results {
    /// Largest difference of each result relative to the largest entry of `expected`, with its name.
    pub fn errors(&self, expected: &Results) -> [(&'static str, f64); 5] {
        [
            ("y", error(&self.y, &expected.y)),
            ("grad_x", error(&self.grad_x, &expected.grad_x)),
            ("grad_alpha", error(&self.grad_alpha, &expected.grad_alpha)),
            ("grad_bias", error(&self.grad_bias, &expected.grad_bias)),
            ("grad_sigma", error(&[self.grad_sigma], &[expected.grad_sigma])),
        ]
    }
}

/// max |a − b| / max |b|; infinite where a value is not finite or the lengths differ.
pub fn error(a: &[f64], b: &[f64]) -> f64 {
    if a.len() != b.len() || a.iter().chain(b).any(|v| !v.is_finite()) {
        return f64::INFINITY;
    }
    let scale = b.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    let difference = a.iter().zip(b).fold(0.0, |m: f64, (a, b)| m.max((a - b).abs()));
    if difference == 0.0 { 0.0 } else { difference / scale }
}

/// Every combination of loop order and instruction set.
pub fn engines() -> Vec<Options> {
    use engine::{Isa, LoopOrder};
    let orders = [None, Some(LoopOrder::FilterThenMix), Some(LoopOrder::MixThenFilter)];
    orders
        .into_iter()
        .flat_map(|order| Isa::ALL.map(|isa| Options { loop_order: order, isa, ..Options::default() }))
        .collect()
}

/// The f64 tensors of a file and its metadata.
pub struct File {
    tensors: HashMap<String, (Vec<usize>, Vec<f64>)>,
    pub metadata: HashMap<String, String>,
}

impl File {
    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let tensors = file
            .tensors()
            .into_iter()
            .map(|(name, view)| {
                assert_eq!(view.dtype(), safetensors::Dtype::F64, "{name} of {}", path.display());
                let values = view.data().as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect();
                (name, (view.shape().to_vec(), values))
            })
            .collect();
        Self { tensors, metadata: header.metadata().clone().unwrap_or_default() }
    }

    pub fn values(&self, name: &str) -> Vec<f64> {
        self.tensors[name].1.clone()
    }

    pub fn shape<const D: usize>(&self, name: &str) -> [usize; D] {
        self.tensors[name].0.clone().try_into().unwrap()
    }
}

/// The tests' own errors can be seen: the largest entry decides, NaN and length never pass.
#[test]
fn error_helper() {
    assert_eq!(error(&[1.0, 2.0], &[1.0, 4.0]), 0.5);
    assert_eq!(error(&[0.0], &[0.0]), 0.0);
    assert_eq!(error(&[1e-30], &[0.0]), f64::INFINITY);
    assert_eq!(error(&[f64::NAN], &[f64::NAN]), f64::INFINITY);
    assert_eq!(error(&[1.0], &[1.0, 1.0]), f64::INFINITY);
}
