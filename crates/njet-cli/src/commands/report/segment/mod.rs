//! The page about a run that segments.

mod examples;
mod figures;

use super::html::{escape, number, percent, section};
use super::page::{settings_section, shell, tile_description, tile_epochs, tiles_html};
use super::{curves, filters, layers};
use crate::commands::read_scenes;
use crate::progress::Meter;
use crate::table::grouped;
use anyhow::{Context, Result};
use burn::tensor::Device;
use njet::models::UNet;
use njet::segmentation::data::SegmentationSet;
use njet::segmentation::{SceneEvaluation, SegmentationConfig, Segmenter, UNET, check_scenes, evaluate_scenes};
use njet::training::{RunDirectory, TrainingError, load_model, read_metrics};
use std::fs;
use std::path::Path;

/// The whole page, and what is missing in it and why.
pub fn page(run: &Path, device: &Device) -> Result<(String, Vec<String>)> {
    let (run, config) = RunDirectory::open_as::<SegmentationConfig>(run)?;
    let settings = fs::read_to_string(run.config_path())
        .with_context(|| format!("cannot read {}", run.config_path().display()))?;
    let epochs = read_metrics(&run)?;
    let mut missing = Vec::new();
    let model = match load_model(&run, &config, device) {
        Ok(model) => Some(model),
        Err(error @ TrainingError::NoModel { .. }) => {
            missing.push(error.to_string());
            None
        }
        Err(error) => return Err(error.into()),
    };
    let size = config.data.crop;
    let description = model.as_ref().map(|model| model.describe(size[0], size[1]));
    let tested = model.as_ref().and_then(|model| {
        let tested = Tested::new(&config, model, device);
        let note = |error| missing.push(format!("Nothing could be tested: {}", crate::message(&error)));
        tested.map_err(note).ok()
    });

    let mut tiles: Vec<[String; 3]> = Vec::new();
    let mut tile = |what: &str, figure: String, detail: String| tiles.push([what.to_owned(), figure, detail]);
    if let Some(Tested { evaluation, .. }) = &tested {
        let SceneEvaluation { count, miou, accuracy, .. } = *evaluation;
        tile("test mIoU", number(miou, &format!("{miou:.3}")), format!("{} images", grouped(count as u64)));
        tile("test pixels", percent(accuracy, 2), "are what they are taken for".to_owned());
    }
    tile_epochs(&epochs, config.epochs, &mut tile);
    if let Some(description) = &description {
        tile_description(description, size, &mut tile);
    }
    let mut body = tiles_html(tiles);
    for text in &missing {
        body += &format!("<p class=\"missing\">{}</p>\n", escape(text));
    }
    if epochs.is_empty() {
        body += "<p class=\"missing\">No epoch has ended yet: there are no curves.</p>\n";
    } else {
        body += &curves::html(&epochs);
    }
    if let Some(tested) = &tested {
        body += &examples::html(tested)?;
        body += &figures::classes(tested);
        body += &figures::sizes(&tested.evaluation);
    }
    if let (Some(model), Some(description)) = (&model, &description) {
        body += &section("layers", "Layers", &layers::rows(description, size));
        let njet_layers: Vec<_> = model.njet_layers().collect();
        body += &filters::html(&njet_layers).unwrap_or_default();
    }
    body += &settings_section(&settings);
    Ok((shell(&run.path().display().to_string(), &subtitle(&config), &body), missing))
}

fn subtitle(config: &SegmentationConfig) -> String {
    let ([height, width], model) = (config.data.crop, &config.model);
    format!(
        "{UNET} with {} layers on {}, {} classes, trained on pieces of {height}×{width} pixels in {} channel{}",
        model.layer,
        config.data.source,
        model.classes,
        model.channels,
        if model.channels == 1 { "" } else { "s" }
    )
}

/// A model at the test scenes.
pub(super) struct Tested<'a> {
    pub(super) set: SegmentationSet,
    pub(super) segmenter: Segmenter<'a>,
    pub(super) evaluation: SceneEvaluation,
}

impl<'a> Tested<'a> {
    fn new(config: &SegmentationConfig, model: &'a UNet, device: &Device) -> Result<Self> {
        let set = read_scenes(&config.data.source)?;
        check_scenes(config, &set)?;
        let segmenter = Segmenter::new(config, model, device);
        let mut meter = Meter::new(set.test.len() as f64);
        let mut progress = |done: usize| meter.reach(done as f64, "test scenes");
        let evaluation = evaluate_scenes(&segmenter, &config.loss, &set.test, &set.classes, device, &mut progress)?;
        drop(meter);
        Ok(Self { set, segmenter, evaluation })
    }
}
