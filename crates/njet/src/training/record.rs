//! What is told of a run while it goes, and kept of it.

use super::error::TrainingError;
use super::run::{RunDirectory, write};
use crate::layer::{AtBound, SigmaBounds};
use crate::models::LayerKind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;

/// One epoch: a line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// From 1.
    pub epoch: usize,
    /// Mean loss over the training images, as they were seen: cross-entropy, or that of the settings.
    pub train_loss: f64,
    /// Accuracy over the training images, as they were seen; of segmentation that of their pixels.
    pub train_accuracy: f64,
    /// Mean loss over the validation images.
    pub val_loss: f64,
    /// Accuracy over the validation images; of segmentation that of their pixels.
    pub val_accuracy: f64,
    /// Of segmentation: mean intersection over union on the validation images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_miou: Option<f64>,
    /// σ of every N-jet layer in pixels.
    pub sigma: BTreeMap<String, Vec<f64>>,
    /// Taps along y and x of every spatial layer.
    pub kernel: BTreeMap<String, [usize; 2]>,
    /// Wall time of the epoch.
    pub seconds: f64,
    /// Part of that time in which images were waited for; 0 in records from before it was measured.
    #[serde(default)]
    pub waiting: f64,
}

impl EpochRecord {
    /// What the best epoch is chosen by: mIoU, or the accuracy where there is none.
    pub fn score(&self) -> f64 {
        self.val_miou.unwrap_or(self.val_accuracy)
    }

    /// The first of the epochs with the highest score: its model is the one that is kept.
    pub fn best(epochs: &[Self]) -> Option<&Self> {
        epochs.iter().rev().max_by(|a, b| a.score().total_cmp(&b.score()))
    }
}

/// What begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Start<'a> {
    /// Name of the architecture.
    pub arch: &'a str,
    /// What its spatial layers are.
    pub layer: LayerKind,
    /// The data's name.
    pub source: &'a str,
    /// Epochs of the run.
    pub epochs: usize,
    /// Trained values.
    pub parameters: usize,
    /// Images to train, to validate and to test.
    pub images: [usize; 3],
    /// Epochs that were finished before an interruption.
    pub done: usize,
}

/// Where an epoch stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// From 1.
    pub epoch: usize,
    /// Of the run.
    pub epochs: usize,
    /// Images seen in this epoch.
    pub images: usize,
    /// Images in an epoch.
    pub images_per_epoch: usize,
    /// Mean loss so far in this epoch.
    pub loss: f64,
    /// Accuracy so far in this epoch.
    pub accuracy: f64,
    /// Images a second in this epoch.
    pub images_per_second: f64,
    /// Estimate for the rest of the run.
    pub seconds_left: f64,
}

/// Is told how a run goes.
pub trait Observer {
    /// Before the first step.
    fn started(&mut self, start: &Start<'_>) {
        let _ = start;
    }
    /// After every step.
    fn stepped(&mut self, progress: &Progress) {
        let _ = progress;
    }
    /// Whether to end the run after this step. What the epoch has done so far is lost; the run can be gone on with.
    fn stop(&self) -> bool {
        false
    }
    /// Once an epoch, where some scales are at a bound.
    fn at_bounds(&mut self, epoch: usize, scales: &[BoundScale]) {
        let _ = (epoch, scales);
    }
    /// After every epoch.
    fn epoch_ended(&mut self, record: &EpochRecord, best: bool) {
        let _ = (record, best);
    }
}

/// A scale that training has pushed to a bound.
#[derive(Debug, Clone, PartialEq)]
pub struct BoundScale {
    /// Name of the layer.
    pub layer: String,
    /// Which scale, how large it is, and which bound.
    pub scale: AtBound,
    /// The bounds of the layer.
    pub bounds: SigmaBounds,
}

/// Hears and says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}

/// The finished epochs of a run, from its `metrics.jsonl`; none where there is no such file.
///
/// # Errors
/// The file cannot be read, or a line of it is no record of an epoch.
pub fn read_metrics(run: &RunDirectory) -> Result<Vec<EpochRecord>, TrainingError> {
    let path = run.metrics_path();
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(TrainingError::file("read", path)(e)),
    };
    let record = |(line, text): (usize, &str)| {
        serde_json::from_str(text).map_err(|e| TrainingError::Damaged {
            path: path.clone(),
            reason: format!("line {}: {e}", line + 1),
            advice: format!("`njet train --resume {}` writes it anew", run.path().display()),
        })
    };
    text.lines().enumerate().map(record).collect()
}

pub(super) fn write_metrics(run: &RunDirectory, epochs: &[EpochRecord]) -> Result<(), TrainingError> {
    let mut text = String::new();
    for epoch in epochs {
        text += &serde_json::to_string(epoch).expect("plain values");
        text.push('\n');
    }
    write(&run.metrics_path(), text.as_bytes())
}
