//! `njet reproduce`

use super::report;
use super::train::source;
use crate::Usage;
use crate::progress::{Session, duration};
use crate::table::{Align, layout};
use anyhow::Result;
use burn::tensor::Device;
use clap::Args;
use njet::data::DataError;
use njet::experiments::{Claim, ExperimentError, Options, Plan, Results};
use std::path::PathBuf;
use std::time::Instant;

/// Decide a claim of the project by runs
#[derive(Debug, Args)]
pub struct Reproduce {
    /// architectures, sizes, starts, transfer or ablations
    claim: Claim,
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
        let data = self.data.as_deref().map(source).transpose()?;
        let options = Options { quick: self.quick, seeds: self.seeds, data };
        let plan = Plan::new(self.claim, &options).map_err(refused)?;
        let out = self
            .out
            .unwrap_or_else(|| PathBuf::from(if self.quick { "runs/reproduce-quick" } else { "runs/reproduce" }));
        let directory = out.join(self.claim.name());
        let start = Instant::now();
        let results = plan.run(&out, &Device::flex(), &mut Session::new())?;
        results.write(&directory)?;
        crate::say(format_args!(
            "{} in {}, the runs in {}, {}",
            self.claim,
            directory.join("results.md").display(),
            out.join("cells").display(),
            duration(start.elapsed().as_secs_f64())
        ));
        report(self.json, &results, text)
    }
}

/// What the command line is to blame for.
fn refused(error: ExperimentError) -> anyhow::Error {
    match error {
        ExperimentError::Seeds { .. }
        | ExperimentError::Data(DataError::UnknownSource { .. } | DataError::MultiSize { .. }) => {
            Usage(error.into()).into()
        }
        other => other.into(),
    }
}

fn text(results: &Results) -> String {
    let header = results.header();
    let align = |words| if words { Align::Left } else { Align::Right };
    let header: Vec<(&str, Align)> = header.iter().map(|(name, words)| (name.as_str(), align(*words))).collect();
    let mut text = format!("{}\n{}\n\n{}\n", results.title, results.method(), layout(&header, &results.table()));
    for verdict in &results.verdicts {
        text += &format!("{}: {}\n    {}\n", verdict.word(), verdict.statement, verdict.figures);
    }
    if results.quick {
        text += "\nonly tried (--quick): the figures mean nothing\n";
    }
    text
}
