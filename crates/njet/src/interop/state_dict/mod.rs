//! Weights by their names, as `torch.nn` knows them: `weight`, `bias`, `running_mean`, `running_var`.
//!
//! A file also holds the list of operations, as JSON, and with it [`LOADER`], a short Python module, builds the network
//! out of `torch.nn` and loads the weights into it.

mod description;
mod pth;
mod safetensors;

pub use description::description;
pub use pth::{TooLarge, pth};
pub use safetensors::{arrays, safetensors};

/// The Python module that loads either kind of file.
pub const LOADER: &str = include_str!("torch_loader.py");
