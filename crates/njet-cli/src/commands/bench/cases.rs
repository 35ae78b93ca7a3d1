//! What the command line asks to be measured, checked.

use super::network::CLASSES;
use super::shape::Shape;
use super::{Bench, What};
use crate::table::grouped;
use anyhow::{Context, Result, ensure};
use njet::models::{Architecture, LayerKind, ModelConfig, UNetConfig, UnknownName};
use njet::segmentation::UNET;
use njet_basis::{TapSpec, Taps};
use njet_kernels::{AxisConfig, Geometry, GeometryConfig};
use std::fmt;
use std::str::FromStr;

/// The most elements of an input, an output or coefficients: 256 MiB. A network holds some ten arrays of
/// its widest layer, so this is about what a small machine has.
const MOST_ELEMENTS: usize = 1 << 26;

/// An N-jet layer.
#[derive(Debug)]
pub struct LayerCase {
    pub shape: Shape,
    pub batch: usize,
    pub order: usize,
    pub extent: f64,
    pub sigma: f64,
    pub geometry: Geometry,
    pub taps: Taps,
}

/// What a network is called, and does.
#[derive(Debug, Clone, Copy)]
pub enum NetworkName {
    /// A label for each image.
    Classifier(Architecture),
    /// A class for every pixel.
    UNet,
}

impl NetworkName {
    pub fn name(self) -> &'static str {
        match self {
            Self::Classifier(architecture) => architecture.name(),
            Self::UNet => UNET,
        }
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for NetworkName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if name == UNET {
            return Ok(Self::UNet);
        }
        name.parse().map(Self::Classifier).map_err(|error: UnknownName| format!("{error}, and {UNET}"))
    }
}

/// A network.
#[derive(Debug)]
pub struct NetworkCase {
    pub arch: NetworkName,
    pub channels: usize,
    pub side: usize,
    pub batch: usize,
    /// Of its N-jet layers; `None`: it has plain convolutions in their places.
    pub njet: Option<Njet>,
}

/// Settings of the N-jet layers of a network.
#[derive(Debug, Clone, Copy)]
pub struct Njet {
    pub order: usize,
    pub extent: f64,
    pub sigma: f64,
}

impl NetworkCase {
    /// What its spatial layers are.
    pub fn layer(&self) -> LayerKind {
        if self.njet.is_some() { LayerKind::Njet } else { LayerKind::Conv }
    }
}

impl fmt::Display for LayerCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shape, batch, order, extent, sigma, .. } = self;
        write!(f, "layer {shape}, batch {batch}, order {order}, extent {extent}, σ {sigma}")
    }
}

impl fmt::Display for NetworkCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {} layers, batch {}", self.arch, self.layer(), self.batch)?;
        match self.njet {
            Some(Njet { order, extent, sigma }) => write!(f, ", order {order}, extent {extent}, σ {sigma}"),
            None => Ok(()),
        }
    }
}

impl Bench {
    /// The layers to measure, shape by shape.
    pub(super) fn layer_cases(&self) -> Result<Vec<LayerCase>> {
        if self.what == What::Networks {
            return Ok(Vec::new());
        }
        let usual = [
            Shape::dense(3, 192, 32),
            Shape::dense(16, 16, 32),
            Shape::dense(64, 64, 16),
            Shape::dense(64, 64, 64),
            Shape::dense(96, 192, 32),
            Shape::dense(192, 192, 32),
            Shape::depthwise(64, 64),
        ];
        let shapes = self.list(&self.shapes, &usual, &[Shape::dense(3, 16, 16), Shape::depthwise(16, 16)]);
        let orders = self.list(&self.orders, &[2, 3], &[2]);
        let extents = self.list(&self.extents, &[2.0, 4.0], &[2.0]);
        let sigmas = self.list(&self.sigmas, &[0.5, 1.0, 2.0, 4.0, 8.0], &[1.0]);
        let batch = self.batch(32);
        let mut cases = Vec::new();
        for &shape in &shapes {
            for &order in &orders {
                for &extent in &extents {
                    for &sigma in &sigmas {
                        cases.push(layer(shape, batch, Njet { order, extent, sigma })?);
                    }
                }
            }
        }
        Ok(cases)
    }

    /// The networks to measure.
    pub(super) fn network_cases(&self) -> Result<Vec<NetworkCase>> {
        if self.what == What::Layers {
            return Ok(Vec::new());
        }
        let usual = [Architecture::NetworkInNetwork, Architecture::Small].map(NetworkName::Classifier);
        let architectures = self.list(&self.arch, &usual, &usual[1..]);
        let layers = self.list(&self.layer, &[LayerKind::Njet], &[LayerKind::Njet]);
        let mut settings = Vec::new();
        for &order in &self.list(&self.orders, &[2], &[2]) {
            for &extent in &self.list(&self.extents, &[2.0], &[2.0]) {
                for &sigma in &self.list(&self.sigmas, &[1.0], &[1.0]) {
                    Taps::new(&TapSpec::new(sigma, extent, order))?;
                    settings.push(Njet { order, extent, sigma });
                }
            }
        }
        let mut cases = Vec::new();
        for &arch in &architectures {
            let (channels, side, batch) = match arch {
                NetworkName::UNet => (1, 96, 16),
                NetworkName::Classifier(arch) => match arch {
                    Architecture::Small => (1, 28, 64),
                    Architecture::NetworkInNetwork
                    | Architecture::AllConvolutional
                    | Architecture::ResNet20
                    | Architecture::ResNet32
                    | Architecture::ResNet44
                    | Architecture::ResNet56
                    | Architecture::ResNet110 => (3, 32, 32),
                    Architecture::ResNet18 | Architecture::EfficientNetB0 => (3, 224, 8),
                },
            };
            let batch = self.batch(batch);
            let largest = match arch {
                NetworkName::Classifier(arch) => {
                    ModelConfig::new(arch, channels, CLASSES).largest_activation(side, side)
                }
                NetworkName::UNet => UNetConfig::new(channels, CLASSES).largest_activation(side, side),
            };
            not_too_large(largest * batch).with_context(|| format!("{arch}, batch {batch}"))?;
            let case = |njet| NetworkCase { arch, channels, side, batch, njet };
            for layer in &layers {
                match layer {
                    LayerKind::Njet => cases.extend(settings.iter().map(|&njet| case(Some(njet)))),
                    LayerKind::Conv => cases.push(case(None)),
                }
            }
        }
        Ok(cases)
    }

    /// What was given, else what is usual.
    fn list<T: Clone>(&self, given: &Option<Vec<T>>, usual: &[T], quick: &[T]) -> Vec<T> {
        let usual = if self.quick { quick } else { usual };
        given.clone().unwrap_or_else(|| usual.to_vec())
    }

    fn batch(&self, usual: usize) -> usize {
        self.batch.map_or(if self.quick { 4 } else { usual }, |n| n as usize)
    }
}

fn layer(shape: Shape, batch: usize, njet: Njet) -> Result<LayerCase> {
    let Njet { order, extent, sigma } = njet;
    let taps = Taps::new(&TapSpec::new(sigma, extent, order))?;
    let radius = taps.radius();
    let axis = AxisConfig { input: shape.side, radius, stride: 1, padding: (radius, radius) };
    let geometry = || {
        let geometry = Geometry::new(GeometryConfig {
            batch,
            channels_in: shape.channels_in,
            channels_out: shape.channels_out,
            groups: shape.groups,
            order,
            y: axis,
            x: axis,
        })?;
        not_too_large(geometry.input_len().max(geometry.output_len()).max(geometry.alpha_len()))?;
        Ok::<_, anyhow::Error>(geometry)
    };
    let geometry = geometry().with_context(|| format!("shape {shape}, batch {batch}"))?;
    Ok(LayerCase { shape, batch, order, extent, sigma, geometry, taps })
}

fn not_too_large(elements: usize) -> Result<()> {
    ensure!(
        elements <= MOST_ELEMENTS,
        "an array has {} elements, more than the {} that are measured here; choose a smaller shape or --batch",
        grouped(elements as u64),
        grouped(MOST_ELEMENTS as u64)
    );
    Ok(())
}
