//! A finished table: for programs as it is, for people as Markdown.

use super::cell::CellResult;
use super::claim::Claim;
use super::error::ExperimentError;
use super::figures::{grouped, method, percent, sigmas, stated, stated_sigmas};
use super::page::Page;
use super::plan::Plan;
use super::settings::Setting;
use super::statistics::Sample;
use super::transfer::{SCALES, Treatment};
use super::verdict::{Verdict, verdicts};
use crate::models::ModelConfig;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Images in the batch whose largest activation is told: that of training.
const BATCH: usize = 64;

/// A setting, and what its runs came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What is varied.
    pub group: String,
    /// In words.
    pub setting: String,
    /// What was done about another scale, where that is the question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub treatment: Option<Treatment>,
    /// The settings of the model.
    pub model: ModelConfig,
    /// Names of the cells, in the order of the values.
    pub cells: Vec<String>,
    /// Trained values.
    pub parameters: usize,
    /// On the test images, as a fraction.
    pub accuracy: Sample,
    /// σ in pixels by layer; the mean where a layer has several.
    pub sigma: BTreeMap<String, Sample>,
    /// Time of training.
    pub seconds: Sample,
    /// Time of an epoch.
    pub seconds_per_epoch: Sample,
    /// Bytes of the largest array between two operations in training, by computation.
    pub largest_activation: usize,
    /// Accuracy on test images at other scales.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub at_scale: Vec<AtScale>,
}

/// Accuracy at a scale.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AtScale {
    /// Side of the test images in units of that of training.
    pub scale: f64,
    /// As a fraction.
    pub accuracy: Sample,
}

/// A table and what follows from it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Results {
    /// Name of the claim.
    pub claim: &'static str,
    /// The claim in a line.
    pub title: &'static str,
    /// Whether it was only tried.
    pub quick: bool,
    /// The command that makes this table, but for `--out`.
    pub command: String,
    /// The images.
    pub data: String,
    /// Training images, those for validation included.
    pub images: usize,
    /// Test images.
    pub test_images: usize,
    /// Rows and columns of an image.
    pub size: [usize; 2],
    /// Passes over the training images.
    pub epochs: usize,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// The table.
    pub rows: Vec<Row>,
    /// How the parts of the claim came out.
    pub verdicts: Vec<Verdict>,
    /// What to know when reading it.
    pub notes: Vec<&'static str>,
    #[serde(skip)]
    columns: &'static [Column],
}

/// What a column shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// What is varied.
    Group,
    /// The setting in words.
    Setting,
    /// Trained values.
    Parameters,
    /// On the test images, in percent.
    Accuracy,
    /// On test images at each other scale, in percent: a column for each.
    AtScales,
    /// σ in pixels, layer by layer.
    Sigma,
    /// Time of training.
    Seconds,
    /// Time of an epoch.
    SecondsPerEpoch,
    /// Computed size of the largest array between operations.
    LargestActivation,
}

impl Column {
    /// Whether it holds words.
    pub fn words(self) -> bool {
        matches!(self, Self::Group | Self::Setting)
    }

    /// What stands above it.
    fn headers(self) -> Vec<String> {
        let one = |name: &str| vec![name.to_owned()];
        match self {
            Self::Group => one("varied"),
            Self::Setting => one("setting"),
            Self::Parameters => one("parameters"),
            Self::Accuracy => one("test accuracy, %"),
            Self::AtScales => SCALES.map(|scale| format!("at {scale}×, %")).into(),
            Self::Sigma => one("σ of the layers, px"),
            Self::Seconds => one("training, s"),
            Self::SecondsPerEpoch => one("epoch, s"),
            Self::LargestActivation => one("largest activation, MB"),
        }
    }

    fn cells(self, row: &Row) -> Vec<String> {
        let one = |text: String| vec![text];
        match self {
            Self::Group => one(row.group.clone()),
            Self::Setting => one(row.setting.clone()),
            Self::Parameters => one(grouped(row.parameters)),
            Self::Accuracy => one(percent(&row.accuracy)),
            Self::AtScales => row.at_scale.iter().map(|at| percent(&at.accuracy)).collect(),
            Self::Sigma => one(stated_sigmas(&row.sigma)),
            Self::Seconds => one(stated(&row.seconds, 1.0, 0)),
            Self::SecondsPerEpoch => one(stated(&row.seconds_per_epoch, 1.0, 1)),
            Self::LargestActivation => one(format!("{:.1}", row.largest_activation as f64 / 1e6)),
        }
    }
}

impl Results {
    /// `runs`: for each setting of the plan the names and results of its cells.
    pub(super) fn new(plan: &Plan, runs: Vec<Vec<(String, CellResult)>>) -> Self {
        let settings = plan.settings.iter().zip(&runs);
        let rows: Vec<Row> = settings.flat_map(|(setting, runs)| rows(plan.claim, setting, runs)).collect();
        let config = &plan.settings[0].config;
        let images = plan.dataset.train.len();
        Self {
            claim: plan.claim.name(),
            title: plan.claim.title(),
            quick: plan.quick,
            command: plan.command(),
            data: plan.dataset.name.clone(),
            images: config.data.limit.map_or(images, |limit| limit.min(images)),
            test_images: plan.dataset.test.len(),
            size: config.data.size,
            epochs: config.epochs,
            seeds: plan.seeds.clone(),
            verdicts: verdicts(plan.claim, &rows),
            rows,
            notes: plan.claim.notes().to_vec(),
            columns: plan.claim.columns(),
        }
    }

    /// The names of the columns, each with whether it holds words.
    pub fn header(&self) -> Vec<(String, bool)> {
        let columns = self.columns.iter();
        columns.flat_map(|column| column.headers().into_iter().map(|name| (name, column.words()))).collect()
    }

    /// The cells of each row, as wide as the header.
    pub fn table(&self) -> Vec<Vec<String>> {
        let cells = |row: &Row| self.columns.iter().flat_map(|column| column.cells(row)).collect();
        self.rows.iter().map(cells).collect()
    }

    /// How it was measured, in a sentence.
    pub fn method(&self) -> String {
        let ([height, width], images) = (self.size, grouped(self.images));
        let training = format!("{images} training images of {height}×{width} (a tenth of them for validation)");
        let test = format!("{} test images", grouped(self.test_images));
        method(&self.data, &training, self.epochs, &test, self.seeds.len())
    }

    /// What people are told.
    pub fn page(&self) -> Page<'_> {
        Page {
            title: self.title,
            command: &self.command,
            quick: self.quick,
            method: self.method(),
            header: self.header(),
            rows: self.table(),
            verdicts: &self.verdicts,
            notes: &self.notes,
        }
    }

    /// The page `results.md`.
    pub fn markdown(&self) -> String {
        self.page().markdown()
    }

    /// Writes `results.md` and `results.json` into `directory`, each whole or not at all.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn write(&self, directory: &Path) -> Result<(), ExperimentError> {
        self.page().write(self, directory)
    }
}

/// The row of a setting, or one for each treatment.
fn rows(claim: Claim, setting: &Setting, runs: &[(String, CellResult)]) -> Vec<Row> {
    let row = row(setting, runs);
    if claim != Claim::Transfer {
        return vec![row];
    }
    let treated = |&treatment: &Treatment| {
        let at = |scale| {
            let of_run = |(_, result): &(String, CellResult)| {
                let wanted = |found: &&super::Treated| found.scale == scale && found.treatment == treatment;
                result.transfer.iter().find(wanted).map_or(f64::NAN, |found| found.accuracy)
            };
            AtScale { scale, accuracy: Sample::new(runs.iter().map(of_run)) }
        };
        Row {
            setting: format!("{}, {}", row.setting, treatment.label()),
            treatment: Some(treatment),
            at_scale: SCALES.map(at).into(),
            ..row.clone()
        }
    };
    Treatment::of(setting.config.model.layer).iter().map(treated).collect()
}

fn row(setting: &Setting, runs: &[(String, CellResult)]) -> Row {
    let Setting { group, label, config } = setting;
    let summaries = || runs.iter().map(|(_, result)| &result.summary);
    let [height, width] = config.data.size;
    Row {
        group: group.clone(),
        setting: label.clone(),
        treatment: None,
        model: config.model.clone(),
        cells: runs.iter().map(|(name, _)| name.clone()).collect(),
        parameters: runs[0].1.summary.parameters,
        accuracy: Sample::new(summaries().map(|summary| summary.test_accuracy)),
        sigma: sigmas(summaries().map(|summary| &summary.sigma)),
        seconds: Sample::new(summaries().map(|summary| summary.seconds)),
        seconds_per_epoch: Sample::new(summaries().map(|summary| summary.seconds / summary.epochs as f64)),
        largest_activation: BATCH * size_of::<f32>() * config.model.largest_activation(height, width),
        at_scale: Vec::new(),
    }
}
