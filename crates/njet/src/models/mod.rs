//! Architectures built from N-jet layers, each with a twin of plain convolutions.
//!
//! An [`Architecture`] is a list of [`UnitSpec`]s made of [`BlockSpec`]s: data, not code. [`ModelConfig::init`] turns
//! it into a [`Classifier`], the one module that all of them share: the blocks in order, and how they are connected.
//! Where a published network has strides or pooling, [`Subsampling`] decides what is done there.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use njet::models::{Architecture, ModelConfig};
//!
//! let device = Device::flex();
//! let model = ModelConfig::new(Architecture::Small, 1, 10).init(&device)?;
//! assert_eq!(model.num_parameters(), 50_701);
//! let logits = model.forward(Tensor::zeros([2, 1, 28, 28], &device));
//! assert_eq!(logits.dims(), [2, 10]);
//! # Ok::<(), njet::models::ModelError>(())
//! ```

mod activation;
mod architecture;
mod block;
mod classifier;
mod config;
mod describe;
mod dropout;
mod gate;
mod layers;
mod network;
mod networks;
mod norm;
mod pointwise;
mod pool;
mod rescale;
mod spec;
mod stochastic_depth;
mod unet;
mod unit;

pub use activation::Activation;
pub use architecture::{Architecture, LayerKind, Subsampling, UnknownName};
pub use block::{Block, Convolution};
pub use classifier::Classifier;
pub use config::{ModelConfig, ModelError};
pub use describe::{Description, LayerDescription};
pub use gate::SqueezeExcitation;
pub use layers::LayerSettings;
pub use network::Network;
pub use pool::Pool;
pub use rescale::{Fixed, FixedPart, RescaleError, Rescaled};
pub use spec::{BlockSpec, Filters, Head, NetworkSpec, Realised, ShortcutSpec, UnitSpec};
pub use stochastic_depth::StochasticDepth;
pub(crate) use unet::{ACTIVATION as UNET_ACTIVATION, DeepLogits, Up, UpKind};
pub use unet::{UNet, UNetConfig};
pub use unit::Unit;
