//! Accuracy against scale: the test images larger and smaller, σ as it is and rescaled with them.

use super::contents::Trained;
use super::html::{Column, escape, note, percent, section, table};
use super::plot::{Axis, Chart, Series, Spacing};
use crate::progress::Meter;
use crate::table::grouped;
use anyhow::Result;
use burn::tensor::Device;
use njet::data::{Samples, limit};
use njet::models::Classifier;
use njet::training::{RunConfig, View, evaluate_at, scaled_size};

/// From half to four times the size, in steps of √2.
const FACTORS: [f64; 7] =
    [0.5, std::f64::consts::FRAC_1_SQRT_2, 1.0, std::f64::consts::SQRT_2, 2.0, 2.0 * std::f64::consts::SQRT_2, 4.0];

/// Multiply-adds that the whole curve may take: some 15 s on two cores, where `njet-small` does 17 G of them a second.
const BUDGET: f64 = 2.5e11;

/// Images below which an accuracy says little: rather fewer scales than fewer images.
const FEW: usize = 200;

/// A model at images of several sizes.
#[derive(Debug)]
pub struct Curve {
    /// Ascending.
    pub points: Vec<Point>,
    /// How many of the test images were used.
    pub images: usize,
    /// How many there are.
    pub all: usize,
}

/// One size.
#[derive(Debug)]
pub struct Point {
    factor: f64,
    size: [usize; 2],
    accuracy: f64,
    /// Absent where no layer has a σ, or it cannot be rescaled so far.
    rescaled: Option<f64>,
}

/// Tests the model at as many of the scales and images as the time allows. The choice follows from the network and the
/// number of images alone, so that it is the same for everybody.
pub fn measure(
    config: &RunConfig,
    trained: &Trained,
    samples: &Samples,
    view: &View,
    device: &Device,
) -> Result<Curve> {
    let (settings, model, own) = (&config.model, &trained.model, config.data.size);
    let has_sigma = model.njet_layers().next().is_some();
    let possible: Vec<(f64, [usize; 2])> =
        FACTORS.into_iter().filter_map(|factor| Some((factor, scaled_size(settings, own, factor).ok()?))).collect();
    let pixels = |[height, width]: [usize; 2]| (height * width) as f64;
    // Multiply-adds of an image, once.
    let share = |size: [usize; 2]| trained.description.multiply_adds as f64 * pixels(size) / pixels(own);
    let cost = |&(factor, size): &(f64, [usize; 2])| if factor == 1.0 { 1.0 } else { 2.0 } * share(size);
    let (kept, images) = affordable(&possible.iter().map(cost).collect::<Vec<_>>(), samples.len());
    // Drawn class by class, by a seed of no matter.
    let mut indices = limit(samples.labels(), images, 1);
    indices.sort_unstable();
    let mut meter = Meter::new(images as f64 * possible[..kept].iter().map(cost).sum::<f64>());
    let mut points = Vec::new();
    for (factor, size) in possible.into_iter().take(kept) {
        let label = format!("images of {}×{}", size[0], size[1]);
        let mut accuracy = |model: &Classifier| -> Result<f64> {
            let before = meter.done();
            let mut progress = |done: usize| meter.reach(before + share(size) * done as f64, &label);
            let view = View { scale: view.scale * factor, ..*view };
            let evaluation = evaluate_at(settings, model, samples, &indices, &view, device, &mut progress)?;
            Ok(evaluation.accuracy)
        };
        let as_is = accuracy(model)?;
        let rescaled = match has_sigma {
            false => None,
            true if factor == 1.0 => Some(as_is),
            true => model.rescale(factor).ok().map(|rescaled| accuracy(&rescaled.model)).transpose()?,
        };
        points.push(Point { factor, size, accuracy: as_is, rescaled });
    }
    Ok(Curve { points, images, all: samples.len() })
}

/// How many of the scales, from the smallest on, and how many images fit into the budget. `costs`: multiply-adds of an
/// image at each scale.
fn affordable(costs: &[f64], all: usize) -> (usize, usize) {
    let images = |kept: usize| (BUDGET / costs[..kept].iter().sum::<f64>()) as usize;
    let few = FEW.min(all);
    // The three smallest have scale 1 among them.
    let kept = (3..=costs.len()).rev().find(|&kept| images(kept) >= few).unwrap_or(costs.len().min(3));
    (kept, images(kept).clamp(few, all))
}

fn name(factor: f64) -> String {
    if factor == 0.5 {
        "½".to_owned()
    } else {
        format!("{:.2}", factor).trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

/// The section.
pub fn html(curve: &Curve) -> String {
    let Curve { points, images, all } = curve;
    let title = |what: &str, point: &Point, accuracy: f64| {
        format!(
            "{what}, scale {}, images of {}×{}: {:.1} %",
            name(point.factor),
            point.size[0],
            point.size[1],
            100.0 * accuracy
        )
    };
    let mut series = vec![Series {
        name: "as it is".to_owned(),
        points: points.iter().map(|p| (p.factor, p.accuracy)).collect(),
        titles: points.iter().map(|p| title("as it is", p, p.accuracy)).collect(),
    }];
    let follow: Vec<(&Point, f64)> = points.iter().filter_map(|p| Some((p, p.rescaled?))).collect();
    if !follow.is_empty() {
        series.push(Series {
            name: "σ rescaled".to_owned(),
            points: follow.iter().map(|(p, accuracy)| (p.factor, *accuracy)).collect(),
            titles: follow.iter().map(|(p, accuracy)| title("σ rescaled", p, *accuracy)).collect(),
        });
    }
    let chart = Chart {
        title: "Accuracy against the size of the images",
        description:
            "Line chart of the test accuracy at images made smaller and larger; the numbers are in the table below"
                .to_owned(),
        x: Axis {
            label: "scale of the images",
            format: name,
            spacing: Spacing::Log2,
            ticks: Some(points.iter().map(|p| p.factor).collect()),
        },
        y: Axis { label: "accuracy", format: |v| format!("{:.0} %", 100.0 * v), spacing: Spacing::Linear, ticks: None },
        series,
    };
    let used = if images == all {
        format!("All {} test images", grouped(*all as u64))
    } else {
        format!("{} of the {} test images, drawn class by class", grouped(*images as u64), grouped(*all as u64))
    };
    let spread =
        points.iter().map(|p| p.accuracy * (1.0 - p.accuracy) / (*images).max(1) as f64).fold(0.0, f64::max).sqrt();
    let mut text =
        format!("{used}, resampled with antialiasing (one standard error is at most {:.1} points).", 100.0 * spread);
    if follow.is_empty() {
        text += " The network has no σ that could be rescaled.";
    } else {
        text += " “σ rescaled”: every σ is multiplied by the scale, the weights stay. What counts in pixels and has no σ, such as pooling, does not follow.";
    }
    let rows: Vec<Vec<String>> = points
        .iter()
        .map(|p| {
            vec![
                escape(&name(p.factor)),
                escape(&format!("{}×{}", p.size[0], p.size[1])),
                percent(p.accuracy, 1),
                p.rescaled.map_or_else(|| "–".to_owned(), |accuracy| percent(accuracy, 1)),
            ]
        })
        .collect();
    use Column::Numbers;
    let header = [("scale", Numbers), ("image", Numbers), ("as it is", Numbers), ("σ rescaled", Numbers)];
    let body = format!(
        "{}<div class=\"pair\">\n{}{}</div>\n",
        note(&text),
        chart.figure(),
        table("Accuracy at each scale", &header, &rows)
    );
    section("scale", "Accuracy against scale", &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_goes_to_images_then_to_scales() {
        let at = |costs: &[f64], all| {
            let costs: Vec<f64> = costs.iter().map(|cost| cost * BUDGET / 4000.0).collect();
            affordable(&costs, all)
        };
        assert_eq!(at(&[0.1; 7], 2000), (7, 2000), "cheap: everything");
        assert_eq!(at(&[1.0, 2.0, 4.0, 8.0], 2000), (4, 266), "fewer images");
        assert_eq!(at(&[1.0, 2.0, 4.0, 100.0], 2000), (3, 571), "fewer scales");
        assert_eq!(at(&[1000.0; 7], 2000), (3, FEW), "dear: the least that says something");
        assert_eq!(at(&[1000.0; 2], 30), (2, 30));
        assert_eq!(at(&[], 30), (0, 30));
    }

    #[test]
    fn names_of_scales() {
        assert_eq!(FACTORS.map(name), ["½", "0.71", "1", "1.41", "2", "2.83", "4"]);
    }
}
