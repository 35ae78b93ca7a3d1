//! Architectures built from N-jet layers, each with a twin of plain 3×3 convolutions.
//!
//! An [`Architecture`] is a list of [`BlockSpec`]s: data, not code. [`ModelConfig::init`] turns it into a
//! [`Classifier`], the one module that all of them share.
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

mod architecture;
mod block;
mod classifier;
mod describe;
mod norm;
mod pointwise;
mod pool;

pub use architecture::{Architecture, BlockSpec, Head, LayerKind, UnknownName};
pub use block::{After, Block, Convolution};
pub use classifier::{Classifier, ModelConfig, ModelError};
pub use describe::{Description, LayerDescription};
