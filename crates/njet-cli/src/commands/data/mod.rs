//! `njet data`

mod masks;

use super::{load, report};
use crate::Usage;
use crate::table::{Align, grouped, layout};
use anyhow::{Result, anyhow};
use clap::{Args, Subcommand};
use njet::data::{self, Extents, PartSummary, Skipped, SourceInfo, Summary};
use njet::segmentation::data::is_segmentation_source;
use serde::Serialize;
use std::path::PathBuf;

/// List the known data, or describe one
#[derive(Debug, Args)]
pub struct Data {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The data that has a name, and where it is
    List {
        /// Print the result as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Sizes, classes and statistics of one
    Info {
        /// A name from `njet data list`, a directory, or a multi-size set, as in `njet train --data`
        name: String,
        /// Of images with masks: write a picture of some, with their masks in colours
        #[arg(long, value_name = "FILE.png")]
        picture: Option<PathBuf>,
        /// Print the result as one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// What has no name of its own.
const OTHERS: &str = "\
Directories can be named as well. What they hold is found out:
  the four IDX files of a set in MNIST's form
  the binary version of CIFAR-10 (data_batch_1.bin …) or CIFAR-100 (train.bin …), or the directory around it
  a folder of images of any size: train/CLASS/*, with test/CLASS/* or val/CLASS/*

multi-size:NAME puts the objects of one of these at many sizes on a larger canvas:
  multi-size:fashion-mnist-subset?form=many-sizes&canvas=64&smallest=0.5&largest=2&seed=1
  forms: one-size, many-sizes, unseen-sizes

Images with masks, for segmentation:
  scenes                 built in: clothes at many sizes, one over another, on textured backgrounds, 11 classes
                         scenes?canvas=128&smallest=0.5&largest=4&most=6&train=1000&val=100&test=200&seed=1
  a folder of masks      train/images/*, train/masks/*, val/images/*, val/masks/*, and test/… where there is one;
                         masks hold class indices, 255 is ignored; class names in classes.txt
";

/// Skipped files that are named; `--json` has them all.
const NAMED: usize = 10;

#[derive(Debug, Serialize)]
struct List {
    sources: Vec<SourceInfo>,
}

impl Data {
    /// Lists or describes.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::List { json } => report(json, &List { sources: data::sources() }, list),
            Command::Info { name, picture, json } if is_segmentation_source(&name) => {
                let set = masks::load(&name)?;
                if let Some(path) = picture {
                    masks::picture(&set, &path)?;
                }
                report(json, &set.summary()?, masks::info)
            }
            Command::Info { picture: Some(_), .. } => Err(Usage(anyhow!(
                "`--picture` is for images with masks: `scenes`, or a directory with train/images and train/masks"
            ))
            .into()),
            Command::Info { name, picture: None, json } => report(json, &load(&name)?.summary(), info),
        }
    }
}

fn list(list: &List) -> String {
    let rows: Vec<Vec<String>> = list
        .sources
        .iter()
        .map(|source| {
            let available = if source.available { "yes" } else { "no" };
            vec![source.name.to_owned(), available.to_owned(), source.location.clone(), source.description.to_owned()]
        })
        .collect();
    use Align::Left;
    let mut text = layout(&[("name", Left), ("available", Left), ("where", Left), ("what", Left)], &rows);
    for source in &list.sources {
        if let Some(advice) = &source.advice {
            text += &format!("\n{}: {advice}\n", source.name);
        }
    }
    text += &format!("\n{OTHERS}");
    text
}

fn info(summary: &Summary) -> String {
    let by = |[height, width]: [usize; 2]| format!("{height}×{width}");
    let sizes = match (summary.shape, summary.train.sizes) {
        (Some([_, height, width]), _) => format!("{} pixels", by([height, width])),
        _ => "mixed sizes".to_owned(),
    };
    let channels = summary.channels;
    let mut text = format!(
        "{}: {} training and {} test images of {sizes}, {channels} channel{}, {:.1} MB in memory\n",
        summary.name,
        grouped(summary.train.count as u64),
        grouped(summary.test.count as u64),
        if channels == 1 { "" } else { "s" },
        summary.bytes as f64 / 1e6,
    );
    let parts = [("training", &summary.train), ("test", &summary.test)];
    if summary.shape.is_none() {
        for (part, PartSummary { sizes, .. }) in parts {
            if let Some(Extents { least, median, greatest }) = *sizes {
                let [least, median, greatest] = [least, median, greatest].map(by);
                text += &format!("{part} sizes: {least} at least, {median} in the median, {greatest} at most\n");
            }
        }
    }
    text += &format!("training pixels in 0…1: mean {:.4}, deviation {:.4}\n", summary.train.mean, summary.train.std);
    for (part, PartSummary { animated, skipped, .. }) in parts {
        if *animated > 0 {
            text += &format!("{part}: of {animated} animated images the first frame is used\n");
        }
        if !skipped.is_empty() {
            text += &format!("{part}: {} skipped\n{}", files(skipped.len()), reasons(skipped));
        }
    }
    text.push('\n');
    let rows: Vec<Vec<String>> = summary
        .classes
        .iter()
        .enumerate()
        .map(|(i, class)| {
            let count = |counts: &[usize]| grouped(counts[i] as u64);
            vec![i.to_string(), class.clone(), count(&summary.train.per_class), count(&summary.test.per_class)]
        })
        .collect();
    use Align::{Left, Right};
    text += &layout(&[("label", Right), ("class", Left), ("training", Right), ("test", Right)], &rows);
    text
}

fn files(count: usize) -> String {
    format!("{} file{}", grouped(count as u64), if count == 1 { "" } else { "s" })
}

/// The first of the skipped files, then how many more there are.
fn reasons(skipped: &[Skipped]) -> String {
    let line = |Skipped { path, reason }: &Skipped| format!("  {}: {reason}\n", path.display());
    let mut text: String = skipped.iter().take(NAMED).map(line).collect();
    if let Some(more) = skipped.len().checked_sub(NAMED).filter(|more| *more > 0) {
        text += &format!("  … and {}, which --json names\n", files(more));
    }
    text
}
