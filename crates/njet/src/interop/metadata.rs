//! What a user of an exported network must know beside its weights.

use super::Baking;
use crate::models::Classifier;
use crate::training::RunConfig;
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
/// | `njet_version`, `arch`, `layer`, `subsampling` | what it is |
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
    let normalisation = config.data.normalisation;
    let input = match pixels {
        Pixels::UnitRange => "pixel / 255",
        Pixels::Normalised => "(pixel / 255 - mean) / std",
    };
    let preprocessing = json!({
        "input": input,
        "mean": normalisation.mean,
        "std": normalisation.std,
        "channels": if config.model.channels == 3 { "RGB" } else { "grey" },
        "size": config.data.size,
        "sizing": config.data.sizing.name(),
    });
    let sigma: Map<String, Json> =
        model.njet_layers().map(|(name, layer)| (name.to_owned(), json!(layer.sigmas()))).collect();
    let mut entries = vec![
        ("njet_version", env!("CARGO_PKG_VERSION").to_owned()),
        ("arch", config.model.arch.to_string()),
        ("layer", config.model.layer.to_string()),
        ("subsampling", config.model.subsampling().to_string()),
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
