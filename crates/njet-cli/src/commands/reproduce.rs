//! `njet reproduce`

use super::report;
use super::train::{scene_source, source};
use crate::Usage;
use crate::progress::{Session, duration};
use crate::table::{Align, layout};
use anyhow::Result;
use burn::tensor::Device;
use clap::Args;
use njet::data::DataError;
use njet::experiments::{Claim, ExperimentError, Options, Page, Plan, SEGMENTATION, ScenePlan};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Instant;

/// Decide a claim of the project by runs
#[derive(Debug, Args)]
pub struct Reproduce {
    /// architectures, sizes, starts, transfer, ablations or segmentation
    claim: Wanted,
    /// Try it: a few small images, one epoch, one seed
    #[arg(long)]
    quick: bool,
    /// Runs of each setting (default: 2 or 3, 1 with --quick)
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    seeds: Option<usize>,
    /// Other images than the built-in ones: a name from `njet data list` or a directory; for sizes, starts and ablations
    /// the objects that are resampled
    #[arg(long, value_name = "NAME|DIR")]
    data: Option<String>,
    /// Directory of the results, DIR/CLAIM, and of the runs, DIR/cells: the same command goes on with what is there, and
    /// claims share runs (default: runs/reproduce, runs/reproduce-quick with --quick)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

impl Reproduce {
    /// Trains what is missing and prints the table.
    pub fn run(self) -> Result<()> {
        let named = self.data.as_deref();
        let data = match self.claim {
            Wanted::Claim(_) => named.map(source).transpose()?,
            Wanted::Segmentation => named.map(scene_source).transpose()?,
        };
        let options = Options { quick: self.quick, seeds: self.seeds, data };
        let out = self
            .out
            .unwrap_or_else(|| PathBuf::from(if self.quick { "runs/reproduce-quick" } else { "runs/reproduce" }));
        let start = Instant::now();
        let done = |name: &str, directory: &Path| {
            crate::say(format_args!(
                "{name} in {}, the runs in {}, {}",
                directory.join("results.md").display(),
                out.join("cells").display(),
                duration(start.elapsed().as_secs_f64())
            ));
        };
        let directory = out.join(self.claim.name());
        match self.claim {
            Wanted::Claim(claim) => {
                let plan = Plan::new(claim, &options).map_err(refused)?;
                let results = plan.run(&out, &Device::flex(), &mut Session::new())?;
                results.write(&directory)?;
                done(claim.name(), &directory);
                report(self.json, &results, |results| text(&results.page()))
            }
            Wanted::Segmentation => {
                let plan = ScenePlan::new(&options).map_err(refused)?;
                let results = plan.run(&out, &Device::flex(), &mut Session::new())?;
                results.write(&directory)?;
                done(SEGMENTATION, &directory);
                report(self.json, &results, |results| text(&results.page()))
            }
        }
    }
}

/// A claim about networks that classify, or the one about segmentation.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    Claim(Claim),
    Segmentation,
}

impl Wanted {
    const fn name(self) -> &'static str {
        match self {
            Self::Claim(claim) => claim.name(),
            Self::Segmentation => SEGMENTATION,
        }
    }
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            SEGMENTATION => Ok(Self::Segmentation),
            _ => name.parse().map(Self::Claim).map_err(|error| format!("{error}, {SEGMENTATION}")),
        }
    }
}

/// What the command line is to blame for.
fn refused(error: ExperimentError) -> anyhow::Error {
    match error {
        ExperimentError::Seeds { .. }
        | ExperimentError::Data(
            DataError::UnknownSource { .. }
            | DataError::MultiSize { .. }
            | DataError::UnknownScenes { .. }
            | DataError::Composition { .. },
        ) => Usage(error.into()).into(),
        other => other.into(),
    }
}

fn text(page: &Page<'_>) -> String {
    let align = |words| if words { Align::Left } else { Align::Right };
    let header: Vec<(&str, Align)> = page.header.iter().map(|(name, words)| (name.as_str(), align(*words))).collect();
    let mut text = format!("{}\n{}\n\n{}\n", page.title, page.method, layout(&header, &page.rows));
    for verdict in page.verdicts {
        text += &format!("{}: {}\n    {}\n", verdict.word(), verdict.statement, verdict.figures);
    }
    if page.quick {
        text += "\nonly tried (--quick): the figures mean nothing\n";
    }
    text
}
