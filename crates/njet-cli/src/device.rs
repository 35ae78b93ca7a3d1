//! Where tensors live.

use anyhow::{Result, bail};
use burn::tensor::Device;
use clap::ValueEnum;

/// A device by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeviceName {
    /// The processor, on njet's own engine
    Cpu,
    /// A GPU by WebGPU, Vulkan or Metal
    Wgpu,
    /// An NVIDIA GPU by CUDA
    Cuda,
}

impl DeviceName {
    /// The device, where this build has it.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
            #[cfg(feature = "cuda")]
            Self::Cuda => Ok(Device::cuda(0)),
            #[allow(unreachable_patterns)] // reachable unless every feature is on
            other => {
                let name = other.to_possible_value().expect("no variant is skipped").get_name().to_owned();
                bail!(crate::Usage(anyhow::anyhow!(
                    "this njet was built without {name}: build it with `cargo build --release --features {name}`"
                )))
            }
        }
    }
}
