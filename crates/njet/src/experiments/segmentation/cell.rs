//! One run of the table.

use crate::experiments::cell::{RESULT, begin, check, keep, read};
use crate::experiments::error::ExperimentError;
use crate::segmentation::data::SegmentationSet;
use crate::segmentation::{SegmentationConfig, SegmentationSummary, SegmentationTrainer};
use crate::training::{Observer, load_model};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// One run of the table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SceneCell {
    /// Name of its directory.
    pub(super) name: String,
    /// All settings.
    pub(super) config: SegmentationConfig,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SceneResult {
    /// What the run came to.
    pub summary: SegmentationSummary,
    /// F1 score of the outlines on the test scenes.
    pub boundary_f1: Option<f64>,
    /// IoU of the objects of the test scenes by their size.
    pub at_size: Vec<AtSize>,
}

/// Objects of a range of sizes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AtSize {
    /// The middle of the range, in octaves: how many times as large as the original.
    pub size: f64,
    /// Objects.
    pub count: usize,
    /// The mean of their IoU.
    pub iou: f64,
}

impl SceneCell {
    pub(super) fn new(setting: &str, config: SegmentationConfig) -> Self {
        let SegmentationConfig { epochs, seed, .. } = config;
        let [height, width] = config.data.crop;
        let limit = config.data.limit.map_or("all".to_owned(), |limit| limit.to_string());
        let list = |numbers: &[usize]| numbers.iter().map(usize::to_string).collect::<Vec<_>>().join("-");
        let (channels, convolutions) = (list(&config.model.widths), list(&config.model.convolutions));
        let name = format!(
            "segmentation-{limit}-{height}x{width}-{epochs}ep-channels{channels}-convolutions{convolutions}-{setting}-seed{seed}"
        );
        Self { name, config }
    }

    pub(super) fn finished(&self, cells: &Path) -> bool {
        cells.join(&self.name).join(RESULT).exists()
    }

    pub(super) fn check(&self, cells: &Path) -> Result<(), ExperimentError> {
        check(&self.name, &self.config, &cells.join(&self.name))
    }

    /// Trains what is not trained yet, tests it, and returns what came of it.
    pub(super) fn run(
        &self,
        cells: &Path,
        set: &SegmentationSet,
        device: &Device,
        observer: &mut dyn Observer,
    ) -> Result<SceneResult, ExperimentError> {
        let training = |source| ExperimentError::training(&self.name, source);
        let path = cells.join(&self.name);
        let run = begin(&self.name, &self.config, &path)?;
        if let Some(result) = read(&path.join(RESULT))? {
            return Ok(result);
        }
        let trainer = SegmentationTrainer::new(&self.config, set, device).map_err(training)?;
        let summary = trainer.run(&run, observer).map_err(training)?;
        let model = load_model(&run, &self.config, device).map_err(training)?;
        let evaluation = trainer.test(&model, &mut |_| {}).map_err(training)?;
        let at_size = |range: &crate::segmentation::metrics::SizeRange| {
            Some(AtSize { size: (range.from * range.to).sqrt(), count: range.count, iou: range.iou? })
        };
        let result = SceneResult {
            summary,
            boundary_f1: evaluation.boundary_f1,
            at_size: evaluation.by_size.iter().filter_map(at_size).collect(),
        };
        keep(&path.join(RESULT), &result)?;
        Ok(result)
    }
}
