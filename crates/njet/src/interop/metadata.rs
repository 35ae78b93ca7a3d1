//! What a user of an exported network must know beside its weights.

use super::Baking;
use crate::data::Normalisation;
use crate::layer::NJetConv2d;
use crate::models::{Classifier, LayerKind, Subsampling, UNet};
use crate::segmentation::{SegmentationConfig, UNET};
use crate::training::{RunConfig, Task};
use serde_json::{Map, Value as Json, json};

/// What the pixels of an exported network's input are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pixels {
    /// From 0 to 1: the network normalises them itself.
    UnitRange,
    /// (v − mean)/std, v from 0 to 1.
    Normalised,
}

/// Keys and values for the metadata of a file. Those that are lists or objects are JSON.
///
/// | key | |
/// |---|---|
/// | `njet_version`, `task`, `arch`, `layer`, `subsampling` | what it is |
/// | `form`, `normalisation` | how it was baked: `dense`, `separable` or `cheaper`; `folded` or `kept` |
/// | `classes` | names, where they are known |
/// | `preprocessing` | `channels`, `size` of the training images, `sizing`, `input` in words, `mean` and `std` of pixels from 0 to 1 |
/// | `sigma` | scales of every N-jet layer in pixels |
pub fn metadata(
    model: &Classifier,
    config: &RunConfig,
    classes: Option<&[String]>,
    baking: &Baking,
    pixels: Pixels,
) -> Vec<(String, String)> {
    let facts = Facts {
        task: config.task,
        arch: config.model.arch.to_string(),
        layer: config.model.layer,
        subsampling: config.model.subsampling(),
        channels: config.model.channels,
        size: config.data.size,
        sizing: config.data.sizing.name(),
        normalisation: config.data.normalisation,
    };
    facts.entries(model.njet_layers(), classes, baking, pixels)
}

/// The same for a network that segments. In `preprocessing`, `size` is that of the pieces of images that it was trained on, and
/// `sizing` is `own`: images keep their size.
pub fn segmentation_metadata(
    model: &UNet,
    config: &SegmentationConfig,
    classes: Option<&[String]>,
    baking: &Baking,
    pixels: Pixels,
) -> Vec<(String, String)> {
    let facts = Facts {
        task: config.task,
        arch: UNET.to_owned(),
        layer: config.model.layer,
        subsampling: config.model.subsampling,
        channels: config.model.channels,
        size: config.data.crop,
        sizing: "own",
        normalisation: config.data.normalisation,
    };
    facts.entries(model.njet_layers(), classes, baking, pixels)
}

/// What the settings of any run say.
struct Facts {
    task: Task,
    arch: String,
    layer: LayerKind,
    subsampling: Subsampling,
    channels: usize,
    size: [usize; 2],
    sizing: &'static str,
    normalisation: Normalisation,
}

impl Facts {
    fn entries<'a>(
        self,
        layers: impl Iterator<Item = (&'a str, &'a NJetConv2d)>,
        classes: Option<&[String]>,
        baking: &Baking,
        pixels: Pixels,
    ) -> Vec<(String, String)> {
        let input = match pixels {
            Pixels::UnitRange => "pixel / 255",
            Pixels::Normalised => "(pixel / 255 - mean) / std",
        };
        let preprocessing = json!({
            "input": input,
            "mean": self.normalisation.mean,
            "std": self.normalisation.std,
            "channels": if self.channels == 3 { "RGB" } else { "grey" },
            "size": self.size,
            "sizing": self.sizing,
        });
        let sigma: Map<String, Json> = layers.map(|(name, layer)| (name.to_owned(), json!(layer.sigmas()))).collect();
        let mut entries = vec![
            ("njet_version", env!("CARGO_PKG_VERSION").to_owned()),
            ("task", self.task.to_string()),
            ("arch", self.arch),
            ("layer", self.layer.to_string()),
            ("subsampling", self.subsampling.to_string()),
            ("form", baking.form.to_string()),
            ("normalisation", if baking.fold_norm { "folded" } else { "kept" }.to_owned()),
            ("preprocessing", preprocessing.to_string()),
            ("sigma", Json::from(sigma).to_string()),
        ];
        if let Some(classes) = classes {
            entries.push(("classes", json!(classes).to_string()));
        }
        entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }
}
