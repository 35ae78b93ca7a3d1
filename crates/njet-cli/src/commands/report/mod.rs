//! `njet report`

mod confusion;
mod contents;
mod curves;
mod few;
mod filters;
mod html;
mod layers;
mod mistakes;
mod page;
mod picture;
mod plot;
mod scale;
mod segment;

use super::report;
use crate::device::DeviceName;
use anyhow::{Result, anyhow};
use clap::Args;
use njet::training::{RunDirectory, Task, write_file};
use serde::Serialize;
use std::path::PathBuf;

/// Write a page about a run: curves, scales, filters, receptive fields, mistakes
///
/// One HTML file that needs no other and no network. It tests the best model on the test images, and on a part of them
/// made larger and smaller. Of a run that segments it shows images beside their masks, and IoU by class and by the size of
/// the objects.
#[derive(Debug, Args)]
pub struct Report {
    /// Directory of the run
    run: PathBuf,
    /// Where to write the page (default: report.html in the directory of the run)
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    device: DeviceName,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Outcome {
    report: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<String>,
}

impl Report {
    /// Writes the page and says where it is.
    pub fn run(self) -> Result<()> {
        let device = self.device.open()?;
        let (page, missing) = match RunDirectory::task(&self.run)? {
            Task::Classify => {
                let (run, config) = RunDirectory::open(&self.run)?;
                let contents = contents::gather(&run, config, &device)?;
                (page::page(&contents)?, contents.missing)
            }
            Task::Segment => segment::page(&self.run, &device)?,
        };
        let path = self.out.unwrap_or_else(|| self.run.join("report.html"));
        write_file(&path, page.as_bytes()).map_err(|e| anyhow!("{e}; choose another place with `--out`"))?;
        for text in &missing {
            crate::say(format_args!("note: {text}"));
        }
        let outcome = Outcome { report: path.display().to_string(), missing };
        report(self.json, &outcome, |outcome| format!("{}\n", outcome.report))
    }
}
