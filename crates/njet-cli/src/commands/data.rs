//! `njet data`

use super::{load, report};
use crate::table::{Align, grouped, layout};
use anyhow::Result;
use clap::{Args, Subcommand};
use njet::data::{self, SourceInfo, Summary};
use serde::Serialize;

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
        /// A name from `njet data list`, or a directory of IDX files
        name: String,
        /// Print the result as one JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Serialize)]
struct List {
    sources: Vec<SourceInfo>,
}

impl Data {
    /// Lists or describes.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::List { json } => report(json, &List { sources: data::sources() }, list),
            Command::Info { name, json } => report(json, &load(&name)?.summary(), info),
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
    text += "\nA directory that holds the four IDX files of a set in MNIST's form can be named as well.\n";
    text
}

fn info(summary: &Summary) -> String {
    let [channels, height, width] = summary.shape;
    let mut text = format!(
        "{}: {} training and {} test images of {height}×{width} pixels, {channels} channel{}, {:.1} MB in memory\n",
        summary.name,
        grouped(summary.train.count as u64),
        grouped(summary.test.count as u64),
        if channels == 1 { "" } else { "s" },
        summary.bytes as f64 / 1e6,
    );
    text += &format!("training pixels in 0…1: mean {:.4}, deviation {:.4}\n\n", summary.train.mean, summary.train.std);
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
