//! IoU by class and by the size of the objects.

use super::Tested;
use crate::commands::eval::segment::size_range;
use crate::commands::report::html::{Column, escape, note, number, section, table};
use crate::commands::report::plot::{Axis, Chart, Series, Spacing};
use crate::table::grouped;
use njet::segmentation::SceneEvaluation;
use njet::segmentation::data::{SizeUnit, class_colour};

fn figure(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| number(value, &format!("{value:.3}")))
}

/// The section about classes.
pub fn classes(tested: &Tested<'_>) -> String {
    use Column::{Numbers, Words};
    let SceneEvaluation { iou, dice, miou, mean_dice, boundary_f1, .. } = &tested.evaluation;
    let row = |(number, class): (u8, &String)| {
        let [red, green, blue] = class_colour(number);
        let name = escape(class);
        let swatch = format!(
            "<svg class=\"swatch\" role=\"img\" aria-label=\"The colour of the class {name}\" viewBox=\"0 0 12 12\" width=\"12\" height=\"12\"><rect width=\"12\" height=\"12\" fill=\"rgb({red} {green} {blue})\"/></svg>"
        );
        vec![format!("{swatch} {name}"), figure(iou.get(class).copied()), figure(dice.get(class).copied())]
    };
    let mut rows: Vec<Vec<String>> = (0..).zip(&tested.set.classes).map(row).collect();
    rows.push(vec!["mean".to_owned(), figure(Some(*miou)), figure(Some(*mean_dice))]);
    let header = [("class", Words), ("IoU", Numbers), ("Dice", Numbers)];
    let mut html = table("Classes on the test images", &header, &rows);
    if let Some(f1) = boundary_f1 {
        html += &note(&format!("F1 score of the outlines, within two pixels: {f1:.3}."));
    }
    section("classes", "Classes", &html)
}

/// The section about sizes; empty where there are no objects.
pub fn sizes(evaluation: &SceneEvaluation) -> String {
    use Column::{Numbers, Words};
    let SceneEvaluation { by_size, size_unit, .. } = evaluation;
    let middle = |from: f64, to: f64| (from * to).sqrt();
    let some = || by_size.iter().filter_map(|range| Some((range, range.iou?)));
    if some().next().is_none() {
        return String::new();
    }
    let in_words = |from, to| size_range(from, to, *size_unit);
    let (label, format): (_, fn(f64) -> String) = match size_unit {
        Some(SizeUnit::Factor) => ("size of the object (times the original)", |v| format!("{v}×")),
        _ => ("size of the object (root of its pixels)", |v| format!("{v:.0}")),
    };
    let series = Series {
        name: String::new(),
        points: some().map(|(range, iou)| (middle(range.from, range.to), iou)).collect(),
        titles: some().map(|(range, iou)| format!("{}: IoU {iou:.3}", in_words(range.from, range.to))).collect(),
    };
    let description: Vec<String> =
        some().map(|(range, iou)| format!("{}: {iou:.3}", in_words(range.from, range.to))).collect();
    let short = |v: f64| format!("{v:.3}").trim_end_matches('0').trim_end_matches('.').to_owned();
    let chart = Chart {
        title: "IoU of objects by their size",
        description: format!("IoU of objects by their size. {}", description.join("; ")),
        x: Axis { label, format, spacing: Spacing::Log2, ticks: None },
        y: Axis { label: "IoU", format: short, spacing: Spacing::Linear, ticks: None },
        series: vec![series],
    };
    let rows: Vec<Vec<String>> = by_size
        .iter()
        .map(|range| {
            let count = number(range.count as f64, &grouped(range.count as u64));
            vec![escape(&in_words(range.from, range.to)), count, figure(range.iou)]
        })
        .collect();
    let header = [("size", Words), ("objects", Numbers), ("IoU", Numbers)];
    let html =
        format!("<div class=\"pair\">\n{}\n{}</div>\n", chart.figure(), table("Objects by their size", &header, &rows));
    section("sizes", "Size of the objects", &html)
}
