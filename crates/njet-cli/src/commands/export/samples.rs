//! Test images with what the model says of them, to test an exported network by.

use njet::interop::graph::Array;
use njet::interop::state_dict::arrays;
use std::path::{Path, PathBuf};

/// Images as the exported network takes them, and logits.
#[derive(Debug)]
pub struct Samples {
    /// `[count, channels, height, width]`.
    pub images: Array,
    /// Classes: `[count]`, or `[count, height, width]` with 255 for pixels that do not count.
    pub labels: Array,
    /// Of the model itself, `[count, classes]` or `[count, classes, height, width]`,
    pub logits: Array,
    /// and of the exported network.
    pub exported: Vec<f32>,
}

/// Beside the exported file.
pub fn path(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".samples.safetensors");
    PathBuf::from(name)
}

impl Samples {
    /// The largest between the network, run in Burn, and the model, in parts of the largest logit.
    pub fn difference(&self) -> f64 {
        let logits = &self.logits.values;
        let largest = logits.iter().fold(f32::MIN_POSITIVE, |largest, logit| largest.max(logit.abs()));
        let apart = logits.iter().zip(&self.exported).fold(0.0f32, |apart, (a, b)| apart.max((a - b).abs()));
        f64::from(apart / largest)
    }

    /// Of a safetensors file: `images`, `labels` and `logits`.
    pub fn bytes(&self) -> Vec<u8> {
        let named = [("images", &self.images), ("labels", &self.labels), ("logits", &self.logits)];
        arrays(&named.map(|(name, array)| (name.to_owned(), array.clone())), &[])
    }
}
