//! The finished table.

use super::cell::SceneResult;
use super::{SEGMENTATION, ScenePlan, TITLE};
use crate::experiments::error::ExperimentError;
use crate::experiments::figures::{grouped, method, sigmas, stated, stated_sigmas};
use crate::experiments::page::Page;
use crate::experiments::statistics::{Sample, pooled_deviation};
use crate::experiments::verdict::Verdict;
use crate::models::{LayerKind, Subsampling, UNetConfig};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// mIoU that a network should reach on the scenes.
const ENOUGH: f64 = 0.60;

/// Part of the IoU of objects of the usual size that those four times as large should have.
const LARGE_PART: f64 = 0.9;

const NOTES: [&str; 2] = [
    "Sizes count in the original size of the object: a column has those from √½ to √2 times the size above it.",
    "The figures of σ are those of the best epoch, from the full resolution down and up again, in pixels of the layer's own \
     input: after each pooling a pixel is two of the layer before.",
];

/// A setting, and what its runs came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SceneRow {
    /// In words.
    pub setting: &'static str,
    /// The settings of the model.
    pub model: UNetConfig,
    /// Names of the cells, in the order of the values.
    pub cells: Vec<String>,
    /// Trained values.
    pub parameters: usize,
    /// Mean IoU on the test scenes.
    pub miou: Sample,
    /// F1 score of the outlines.
    pub boundary_f1: Sample,
    /// IoU of objects by their size.
    pub at_size: Vec<IouAtSize>,
    /// σ in pixels by layer; the mean where a layer has several.
    pub sigma: BTreeMap<String, Sample>,
    /// Time of training.
    pub seconds: Sample,
    /// Training images a second, validation included.
    pub images_per_second: Sample,
}

/// Objects of a size.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IouAtSize {
    /// How many times as large as the original.
    pub size: f64,
    /// The mean of their IoU.
    pub iou: Sample,
}

/// A table and what follows from it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SceneResults {
    /// Name of the claim.
    pub claim: &'static str,
    /// The claim in a line.
    pub title: &'static str,
    /// Whether it was only tried.
    pub quick: bool,
    /// The command that makes this table, but for `--out`.
    pub command: String,
    /// The scenes.
    pub data: String,
    /// Training scenes.
    pub images: usize,
    /// Test scenes.
    pub test_images: usize,
    /// Rows and columns of the pieces that are trained on.
    pub crop: [usize; 2],
    /// Passes over the training scenes.
    pub epochs: usize,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// The table.
    pub rows: Vec<SceneRow>,
    /// How the parts of the claim came out.
    pub verdicts: Vec<Verdict>,
    /// What to know when reading it.
    pub notes: Vec<&'static str>,
}

impl SceneResults {
    /// `runs`: for each setting of the plan the names and results of its cells.
    pub(super) fn new(plan: &ScenePlan, runs: &[Vec<(String, SceneResult)>]) -> Self {
        let config = &plan.settings[0].config;
        let scenes = plan.set.train.len();
        let images = config.data.limit.map_or(scenes, |limit| limit.min(scenes));
        let rows: Vec<SceneRow> = plan
            .settings
            .iter()
            .zip(runs)
            .map(|(setting, runs)| row(setting.label, &setting.config.model, runs, images))
            .collect();
        Self {
            claim: SEGMENTATION,
            title: TITLE,
            quick: plan.quick,
            command: plan.command(),
            data: plan.set.name.clone(),
            images,
            test_images: plan.set.test.len(),
            crop: config.data.crop,
            epochs: config.epochs,
            seeds: plan.seeds.clone(),
            verdicts: verdicts(&rows),
            rows,
            notes: NOTES.to_vec(),
        }
    }

    /// The table for people.
    pub fn page(&self) -> Page<'_> {
        let sizes: Vec<f64> = self.rows[0].at_size.iter().map(|at| at.size).collect();
        let mut header = vec![("setting".to_owned(), true)];
        let numbers = ["parameters", "test mIoU", "boundary F1"].into_iter().map(str::to_owned);
        let by_size = sizes.iter().map(|&size| format!("IoU at {}×", (100.0 * size).round() / 100.0));
        let rest = ["σ of the layers, px", "training, s", "images/s"].into_iter().map(str::to_owned);
        header.extend(numbers.chain(by_size).chain(rest).map(|name| (name, false)));
        let rows = self.rows.iter().map(|row| {
            let at = |&size: &f64| {
                let found = row.at_size.iter().find(|at| at.size == size);
                found.map_or("–".to_owned(), |at| stated(&at.iou, 1.0, 3))
            };
            let mut cells = vec![row.setting.to_owned(), grouped(row.parameters)];
            cells.extend([&row.miou, &row.boundary_f1].map(|sample| stated(sample, 1.0, 3)));
            cells.extend(sizes.iter().map(at));
            cells.push(stated_sigmas(&row.sigma));
            cells.extend([stated(&row.seconds, 1.0, 0), stated(&row.images_per_second, 1.0, 1)]);
            cells
        });
        Page {
            title: self.title,
            command: &self.command,
            quick: self.quick,
            method: self.method(),
            header,
            rows: rows.collect(),
            verdicts: &self.verdicts,
            notes: &self.notes,
        }
    }

    fn method(&self) -> String {
        let [height, width] = self.crop;
        let training = format!("{} training scenes, pieces of {height}×{width}", grouped(self.images));
        let test = format!("{} test scenes", grouped(self.test_images));
        method(&self.data, &training, self.epochs, &test, self.seeds.len())
    }

    /// Writes `results.md` and `results.json` into `directory`, each whole or not at all.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn write(&self, directory: &Path) -> Result<(), ExperimentError> {
        self.page().write(self, directory)
    }
}

fn row(setting: &'static str, model: &UNetConfig, runs: &[(String, SceneResult)], images: usize) -> SceneRow {
    let results = || runs.iter().map(|(_, result)| result);
    let first = &runs[0].1;
    let at_size = |size: f64| {
        let of_run = |result: &SceneResult| Some(result.at_size.iter().find(|at| at.size == size)?.iou);
        IouAtSize { size, iou: Sample::new(results().filter_map(of_run)) }
    };
    SceneRow {
        setting,
        model: model.clone(),
        cells: runs.iter().map(|(name, _)| name.clone()).collect(),
        parameters: first.summary.parameters,
        miou: Sample::new(results().map(|result| result.summary.test_miou)),
        boundary_f1: Sample::new(results().filter_map(|result| result.boundary_f1)),
        at_size: first.at_size.iter().map(|at| at_size(at.size)).collect(),
        sigma: sigmas(results().map(|result| &result.summary.sigma)),
        seconds: Sample::new(results().map(|result| result.summary.seconds)),
        images_per_second: Sample::new(
            results().map(|result| (result.summary.epochs * images) as f64 / result.summary.seconds.max(1e-9)),
        ),
    }
}

fn verdicts(rows: &[SceneRow]) -> Vec<Verdict> {
    let find = |layer: LayerKind, learned: bool| {
        let wanted = |row: &&SceneRow| {
            let model = &row.model;
            let sigma = layer == LayerKind::Conv || model.njet.learn_sigma == learned;
            model.layer == layer && sigma && model.subsampling == Subsampling::Strides
        };
        rows.iter().find(wanted)
    };
    let Some(learned) = find(LayerKind::Njet, true) else { return Vec::new() };
    let against = |statement: &str, other: &SceneRow, holds: fn(f64, f64) -> bool| {
        let difference = learned.miou.mean() - other.miou.mean();
        let pooled = pooled_deviation([&learned.miou, &other.miou]);
        let deviation = pooled.map_or("none".to_owned(), |pooled| format!("{pooled:.3}"));
        Verdict::new(
            statement,
            pooled.map(|pooled| holds(difference, pooled)),
            format!(
                "{} against {} ({}): {difference:+.3}, pooled deviation {deviation}",
                stated(&learned.miou, 1.0, 3),
                stated(&other.miou, 1.0, 3),
                other.setting
            ),
        )
    };
    let enough = Verdict::new(
        format!("learned σ has a mean IoU of at least {ENOUGH:.2}"),
        Some(learned.miou.mean() >= ENOUGH),
        stated(&learned.miou, 1.0, 3),
    );
    let above = find(LayerKind::Njet, false).map(|row| {
        let statement = "learned σ is above σ fixed at 1 by more than a pooled deviation";
        against(statement, row, |difference, pooled| difference > pooled)
    });
    let twin = find(LayerKind::Conv, false).map(|row| {
        let statement = "learned σ is not below plain convolutions by more than a pooled deviation";
        against(statement, row, |difference, pooled| difference >= -pooled)
    });
    // Ranges are named by their middle, which is a power of two.
    let at = |size: f64| learned.at_size.iter().find(|at| (at.size / size).log2().abs() < 0.1).map(|at| at.iou.mean());
    let large = at(4.0).zip(at(1.0)).map(|(large, usual)| {
        Verdict::new(
            format!("learned σ has at least {LARGE_PART} of the IoU of objects at 1× for those at 4×"),
            Some(large >= LARGE_PART * usual),
            format!("{large:.3} at 4×, {usual:.3} at 1×"),
        )
    });
    [Some(enough), above, twin, large].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(layer: LayerKind, learn_sigma: bool, miou: [f64; 2], at_4: f64) -> SceneRow {
        let mut model = UNetConfig::new(1, 11);
        model.layer = layer;
        model.njet.learn_sigma = learn_sigma;
        let sample = |value: f64| Sample::new([value]);
        SceneRow {
            setting: "a setting",
            model,
            cells: Vec::new(),
            parameters: 1,
            miou: Sample::new(miou),
            boundary_f1: sample(0.5),
            at_size: vec![IouAtSize { size: 1.0, iou: sample(0.8) }, IouAtSize { size: 4.0, iou: sample(at_4) }],
            sigma: BTreeMap::new(),
            seconds: sample(1.0),
            images_per_second: sample(1.0),
        }
    }

    #[test]
    fn verdicts_follow_from_the_figures() {
        let holds = |fixed: [f64; 2], conv: [f64; 2], at_4: f64| {
            let learned = row(LayerKind::Njet, true, [0.70, 0.72], at_4);
            let rows = [row(LayerKind::Njet, false, fixed, 0.1), row(LayerKind::Conv, true, conv, 0.1), learned];
            verdicts(&rows).iter().map(|verdict| verdict.holds).collect::<Vec<_>>()
        };
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(holds([0.60, 0.62], [0.71, 0.72], 0.73), [yes, yes, yes, yes]);
        assert_eq!(holds([0.70, 0.71], [0.80, 0.82], 0.70), [yes, no, no, no]);
    }

    #[test]
    fn one_seed_decides_nothing_about_a_difference() {
        let mut rows = [row(LayerKind::Njet, true, [0.5; 2], 0.8), row(LayerKind::Njet, false, [0.4; 2], 0.8)];
        rows.iter_mut().for_each(|row| row.miou = Sample::new([row.miou.mean()]));
        let verdicts = verdicts(&rows);
        assert_eq!(verdicts.iter().map(|verdict| verdict.holds).collect::<Vec<_>>(), [Some(false), None, Some(true)]);
    }
}
