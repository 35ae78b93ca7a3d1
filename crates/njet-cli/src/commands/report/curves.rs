//! Loss, accuracy and σ over the epochs.

use super::few::evenly;
use super::html::{Column, number, percent, section, table};
use super::layers::scales;
use super::plot::{Axis, Chart, Series, Spacing, whole_ticks};
use crate::table::grouped;
use njet::training::EpochRecord;

/// The section; there is an epoch.
pub fn html(epochs: &[EpochRecord]) -> String {
    let segments = epochs[0].val_miou.is_some();
    let say_loss = if segments { |value| format!("{value:.4}") } else { nats };
    let mut charts = String::new();
    charts += &over_epochs(
        epochs,
        "Loss",
        Axis {
            label: if segments { "loss" } else { "cross-entropy (nats)" },
            format: short,
            spacing: Spacing::Linear,
            ticks: None,
        },
        vec![
            line(epochs, "training", |e| e.train_loss, say_loss),
            line(epochs, "validation", |e| e.val_loss, say_loss),
        ],
    );
    charts += &over_epochs(
        epochs,
        "Accuracy",
        Axis {
            label: if segments { "accuracy of the pixels" } else { "accuracy" },
            format: |v| format!("{} %", short(100.0 * v)),
            spacing: Spacing::Linear,
            ticks: None,
        },
        vec![
            line(epochs, "training", |e| e.train_accuracy, |v| format!("{:.2} %", 100.0 * v)),
            line(epochs, "validation", |e| e.val_accuracy, |v| format!("{:.2} %", 100.0 * v)),
        ],
    );
    if segments {
        let axis = Axis { label: "mean IoU", format: short, spacing: Spacing::Linear, ticks: None };
        let miou = line(epochs, "validation", EpochRecord::score, |v| format!("{v:.4}"));
        charts += &over_epochs(epochs, "Intersection over union", axis, vec![miou]);
    }
    let sigmas = sigma_lines(epochs);
    if !sigmas.is_empty() {
        let label =
            Axis { label: "σ (pixels of the layer’s input)", format: short, spacing: Spacing::Linear, ticks: None };
        charts += &over_epochs(epochs, "Scale σ of the N-jet layers", label, sigmas);
    }
    let body = format!(
        "<div class=\"charts\">\n{charts}</div>\n<details>\n<summary>The numbers, epoch by epoch</summary>\n{}</details>\n",
        numbers(epochs)
    );
    section("training", "Training", &body)
}

fn nats(value: f64) -> String {
    format!("{value:.4} nats")
}

/// A tick without zeros that say nothing.
fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn line(epochs: &[EpochRecord], name: &str, value: fn(&EpochRecord) -> f64, say: fn(f64) -> String) -> Series {
    Series {
        name: name.to_owned(),
        points: epochs.iter().map(|e| (e.epoch as f64, value(e))).collect(),
        titles: epochs.iter().map(|e| format!("{name}, epoch {}: {}", e.epoch, say(value(e)))).collect(),
    }
}

/// Layers whose line has a name and a colour.
const NAMED: usize = 8;

/// A line for each layer: its σ, of several their geometric mean.
fn sigma_lines(epochs: &[EpochRecord]) -> Vec<Series> {
    let layers: Vec<&String> = epochs.first().map(|e| e.sigma.keys().collect()).unwrap_or_default();
    let named = evenly(layers.len(), NAMED);
    let mut lines = Vec::new();
    for (i, layer) in layers.into_iter().enumerate() {
        let value = |e: &EpochRecord| Some(mean(e.sigma.get(layer).filter(|sigmas| !sigmas.is_empty())?));
        let kernel = |e: &EpochRecord| e.kernel.get(layer).map_or(String::new(), |[h, w]| format!(", {h}×{w} taps"));
        let some = || epochs.iter().filter_map(|e| Some((e, value(e)?)));
        lines.push(Series {
            points: some().map(|(e, sigma)| (e.epoch as f64, sigma)).collect(),
            titles: some().map(|(e, sigma)| format!("{layer}, epoch {}: σ {sigma:.3}{}", e.epoch, kernel(e))).collect(),
            name: if named.contains(&i) { abridged(layer) } else { String::new() },
        });
    }
    lines
}

/// `stage3.block2.conv1` as `s3.b2.c1`, where the name is too long to stand beside a line.
fn abridged(layer: &str) -> String {
    const LONG: usize = 12;
    if layer.chars().count() <= LONG {
        return layer.to_owned();
    }
    let part = |part: &str| -> String {
        let digits = part.trim_start_matches(|c: char| !c.is_ascii_digit());
        part.chars().take(1).chain(digits.chars()).collect()
    };
    layer.split('.').map(part).collect::<Vec<_>>().join(".")
}

fn mean(sigmas: &Vec<f64>) -> f64 {
    match sigmas.as_slice() {
        [one] => *one,
        all => (all.iter().map(|sigma| sigma.log2()).sum::<f64>() / all.len() as f64).exp2(),
    }
}

fn over_epochs(epochs: &[EpochRecord], title: &str, y: Axis<'_>, series: Vec<Series>) -> String {
    let (first, last) = (epochs[0].epoch, epochs[epochs.len() - 1].epoch);
    let ends: Vec<String> = series
        .iter()
        .filter(|s| !s.name.is_empty())
        .filter_map(|s| {
            Some(format!("{} from {} to {}", s.name, short(s.points.first()?.1), short(s.points.last()?.1)))
        })
        .collect();
    let x = Axis {
        label: "epoch",
        format: |v| format!("{v:.0}"),
        spacing: Spacing::Linear,
        ticks: Some(whole_ticks(first, last, 8)),
    };
    let description = format!("{title}, epochs {first} to {last}: {}", ends.join("; "));
    Chart { title, description, x, y, series }.figure()
}

fn numbers(epochs: &[EpochRecord]) -> String {
    use Column::Numbers;
    let layers: Vec<&String> = epochs[0].sigma.keys().collect();
    let sigma_names: Vec<String> = layers.iter().map(|layer| format!("σ {layer}")).collect();
    let mut header = vec![
        ("epoch", Numbers),
        ("training loss", Numbers),
        ("training accuracy", Numbers),
        ("validation loss", Numbers),
        ("validation accuracy", Numbers),
    ];
    let segments = epochs[0].val_miou.is_some();
    if segments {
        header.push(("validation mIoU", Numbers));
    }
    header.extend(sigma_names.iter().map(|name| (name.as_str(), Numbers)));
    header.push(("seconds", Numbers));
    let rows: Vec<Vec<String>> = epochs
        .iter()
        .map(|e| {
            let mut row = vec![
                grouped(e.epoch as u64),
                number(e.train_loss, &format!("{:.4}", e.train_loss)),
                percent(e.train_accuracy, 2),
                number(e.val_loss, &format!("{:.4}", e.val_loss)),
                percent(e.val_accuracy, 2),
            ];
            if segments {
                row.push(number(e.score(), &format!("{:.4}", e.score())));
            }
            for layer in &layers {
                let sigmas = e.sigma.get(*layer).map_or(&[][..], Vec::as_slice);
                row.push(scales(sigmas));
            }
            row.push(number(e.seconds, &format!("{:.1}", e.seconds)));
            row
        })
        .collect();
    table("Epochs", &header, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_abridged() {
        assert_eq!(["layer1", "stage3.block12.conv1"].map(abridged), ["layer1", "s3.b12.c1"]);
    }

    #[test]
    fn ticks_without_zeros_that_say_nothing() {
        assert_eq!([0.0, 0.5, 1.25, 1000.0, 0.00012].map(short), ["0", "0.5", "1.25", "1000", "0.0001"]);
    }
}
