//! `njet eval` of a run that segments.

use super::Eval;
use crate::Usage;
use crate::commands::train::scene_source;
use crate::commands::{dataset_error, read_scenes, report};
use crate::progress::Meter;
use crate::table::{Align, grouped, layout};
use anyhow::{Result, anyhow, bail};
use burn::tensor::Device;
use njet::segmentation::data::SizeUnit;
use njet::segmentation::{SceneEvaluation, SegmentationConfig, Segmenter, check_scenes, evaluate_scenes};
use njet::training::{RunDirectory, load_model};

/// Evaluates on the test scenes.
pub fn run(eval: &Eval, device: &Device) -> Result<()> {
    let flags =
        [(eval.sizing.is_some(), "--sizing"), (eval.size.is_some(), "--size"), (eval.scales.is_some(), "--scales")];
    if let Some((_, flag)) = flags.into_iter().find(|(given, _)| *given) {
        bail!(Usage(anyhow!("{flag} is for runs that classify, and this one segments: leave it out")));
    }
    let (run, config) = RunDirectory::open_as::<SegmentationConfig>(&eval.run)?;
    let model = load_model(&run, &config, device)?;
    let set = match &eval.data {
        Some(name) => read_scenes(&scene_source(name)?).map_err(dataset_error)?,
        None => read_scenes(&config.data.source)?,
    };
    check_scenes(&config, &set)?;
    let segmenter = Segmenter::new(&config, &model, device).also_at(&eval.also_at);
    let mut meter = Meter::new(set.test.len() as f64);
    let mut progress = |done: usize| meter.reach(done as f64, "test scenes");
    let evaluation = evaluate_scenes(&segmenter, &config.loss, &set.test, &set.classes, device, &mut progress)?;
    drop(meter);
    report(eval.json, &evaluation, |evaluation| text(&set.name, &set.classes, evaluation))
}

fn text(name: &str, classes: &[String], evaluation: &SceneEvaluation) -> String {
    use Align::{Left, Right};
    let SceneEvaluation { count, loss, accuracy, miou, mean_dice, boundary_f1, .. } = evaluation;
    let mut text = format!(
        "{name}: mIoU {miou:.3}, mean Dice {mean_dice:.3}, boundary F1 {}, {:.2} % of the pixels, loss {loss:.4}, on {} test images\n\n",
        boundary_f1.map_or("–".to_owned(), |f1| format!("{f1:.3}")),
        100.0 * accuracy,
        grouped(*count as u64)
    );
    let figure = |value: Option<&f64>| value.map_or("–".to_owned(), |value| format!("{value:.3}"));
    let rows: Vec<Vec<String>> = classes
        .iter()
        .map(|class| vec![class.clone(), figure(evaluation.iou.get(class)), figure(evaluation.dice.get(class))])
        .collect();
    text += &layout(&[("class", Left), ("IoU", Right), ("Dice", Right)], &rows);
    if !evaluation.by_size.is_empty() {
        let rows: Vec<Vec<String>> = evaluation
            .by_size
            .iter()
            .map(|range| {
                let size = size_range(range.from, range.to, evaluation.size_unit);
                vec![size, grouped(range.count as u64), figure(range.iou.as_ref())]
            })
            .collect();
        text += "\n";
        text += &layout(&[("size of the object", Left), ("objects", Right), ("IoU", Right)], &rows);
    }
    text
}

/// A range of sizes in words.
pub fn size_range(from: f64, to: f64, unit: Option<SizeUnit>) -> String {
    match unit {
        Some(SizeUnit::Factor) => format!("{from:.2}× to {to:.2}×"),
        Some(SizeUnit::Pixels) | None => format!("{from:.0} to {to:.0} pixels"),
    }
}
