//! The page: one file that needs nothing else.

use super::contents::Contents;
use super::html::{escape, note, number, percent};
use super::{confusion, curves, filters, layers, mistakes, scale};
use crate::progress::duration;
use crate::table::grouped;
use anyhow::Result;
use njet::models::Description;
use njet::training::{EpochRecord, Origin, OriginKind, RunConfig};

const STYLE: &str = include_str!("style.css");

/// The whole page.
///
/// # Errors
/// A test image that cannot be read any more.
pub fn page(contents: &Contents) -> Result<String> {
    let Contents { name, config, settings, epochs, trained, tested, missing } = contents;
    let mut body = headline(contents);
    for text in missing {
        body += &format!("<p class=\"missing\">{}</p>\n", escape(text));
    }
    if epochs.is_empty() {
        let text = match &config.origin {
            Some(Origin { run, scale, by: OriginKind::Transfer }) => format!(
                "The weights were not trained here: `njet transfer` took them from {run} and multiplied every σ by {scale}."
            ),
            Some(origin) => {
                format!("The weights were not trained here: `{}` took them from {}.", origin.by.command(), origin.run)
            }
            None => "No epoch has ended yet: there are no curves.".to_owned(),
        };
        body += &format!("<p class=\"missing\">{}</p>\n", escape(&text));
    } else {
        body += &curves::html(epochs);
    }
    if let Some(trained) = trained {
        body += &layers::html(contents, trained)?;
        let njet_layers: Vec<_> = trained.model.njet_layers().collect();
        body += &filters::html(&njet_layers).unwrap_or_default();
    }
    if let Some(tested) = tested {
        body += &scale::html(&tested.curve);
        body += &confusion::html(tested);
        body += &mistakes::html(tested)?;
    }
    body += &settings_section(settings);
    Ok(shell(name, &subtitle(config), &body))
}

/// The file of the settings, folded up.
pub fn settings_section(settings: &str) -> String {
    format!(
        "<section id=\"settings\" aria-labelledby=\"settings-heading\">\n<h2 id=\"settings-heading\">Settings</h2>\n<details>\n<summary>config.toml</summary>\n<pre>{}</pre>\n</details>\n</section>\n",
        escape(settings)
    )
}

/// The page around its contents. `name` and `subtitle` are text, `body` is HTML.
pub fn shell(name: &str, subtitle: &str, body: &str) -> String {
    let title = escape(name);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n<title>{title}: njet report</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<p class=\"brand\">njet report</p>\n<h1>{title}</h1>\n{}</header>\n<main>\n{body}</main>\n\
         <footer><p>Made by njet {}</p></footer>\n</body>\n</html>\n",
        note(subtitle),
        env!("CARGO_PKG_VERSION"),
    )
}

fn subtitle(config: &RunConfig) -> String {
    let [height, width] = config.data.size;
    let model = &config.model;
    format!(
        "{} with {} layers on {}, {} classes, images of {height}×{width} pixels in {} channel{}",
        model.arch,
        model.layer,
        config.data.source,
        model.classes,
        model.channels,
        if model.channels == 1 { "" } else { "s" }
    )
}

/// The figures that people look for first.
fn headline(contents: &Contents) -> String {
    let mut tiles: Vec<[String; 3]> = Vec::new();
    let mut tile = |what: &str, figure: String, detail: String| tiles.push([what.to_owned(), figure, detail]);
    if let Some(tested) = &contents.tested {
        let e = tested.evaluation;
        tile("test accuracy", percent(e.accuracy, 2), format!("{} images", grouped(e.count as u64)));
        tile("test loss", number(e.loss, &format!("{:.4}", e.loss)), "nats an image".to_owned());
    }
    tile_epochs(&contents.epochs, contents.config.epochs, &mut tile);
    if let Some(trained) = &contents.trained {
        tile_description(&trained.description, contents.config.data.size, &mut tile);
    }
    tiles_html(tiles)
}

/// Tells what is figure, figure and detail of a tile.
pub type Tile<'a> = dyn FnMut(&str, String, String) + 'a;

/// The best epoch, and how many there are.
pub fn tile_epochs(epochs: &[EpochRecord], all: usize, tile: &mut Tile<'_>) {
    let Some(best) = EpochRecord::best(epochs) else { return };
    let done = epochs.len();
    let unfinished = if done < all { ", unfinished" } else { "" };
    let (what, figure) = match best.val_miou {
        Some(miou) => ("validation mIoU", number(miou, &format!("{miou:.3}"))),
        None => ("validation accuracy", percent(best.val_accuracy, 2)),
    };
    tile(what, figure, format!("the best, in epoch {}", best.epoch));
    let seconds: f64 = epochs.iter().map(|e| e.seconds).sum();
    tile("epochs", number(done as f64, &done.to_string()), format!("of {all}{unfinished}, in {}", duration(seconds)));
}

/// How large the network is.
pub fn tile_description(description: &Description, [height, width]: [usize; 2], tile: &mut Tile<'_>) {
    let Description { parameters, multiply_adds, .. } = description;
    tile("parameters", number(*parameters as f64, &grouped(*parameters as u64)), "trained values".to_owned());
    let figure = number(*multiply_adds as f64, &engineering(*multiply_adds));
    tile("multiply-adds", figure, format!("for {height}×{width} pixels"));
}

/// What, figure (HTML) and detail of each.
pub fn tiles_html(tiles: Vec<[String; 3]>) -> String {
    let tiles: Vec<String> = tiles
        .into_iter()
        .map(|[what, figure, detail]| {
            format!("<div><dt>{}</dt><dd><b>{figure}</b> <span>{}</span></dd></div>\n", escape(&what), escape(&detail))
        })
        .collect();
    if tiles.is_empty() { String::new() } else { format!("<dl class=\"tiles\">\n{}</dl>\n", tiles.concat()) }
}

/// `6.5 M`
fn engineering(n: u64) -> String {
    let x = n as f64;
    match n {
        0..10_000 => grouped(n),
        10_000..1_000_000 => format!("{:.0} k", x / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} M", x / 1e6),
        _ => format!("{:.1} G", x / 1e9),
    }
}
