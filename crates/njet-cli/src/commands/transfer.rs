//! `njet transfer`

use super::{eval::factor, report};
use anyhow::{Result, anyhow};
use clap::Args;
use njet::training::{RunDirectory, TrainingError, transfer};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Make a run for images of another resolution: every sigma times a factor
///
/// The weights stay as they are. What counts in pixels and has no sigma (pooling, strides, plain convolutions) does not
/// follow, and is named.
#[derive(Debug, Args)]
pub struct Transfer {
    /// Directory of the run
    run: PathBuf,
    /// How many times as large the new images are (e.g. 2: twice as many rows and columns)
    #[arg(long, value_name = "F", allow_negative_numbers = true, value_parser = factor)]
    scale: f64,
    /// Directory of the new run
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Outcome {
    run: String,
    from: String,
    scale: f64,
    size: [usize; 2],
    /// The new σ of every layer.
    sigma: BTreeMap<String, Vec<f64>>,
    /// What does not rescale.
    fixed: Vec<String>,
    warnings: Vec<String>,
}

impl Transfer {
    /// Makes the new run.
    pub fn run(self) -> Result<()> {
        let (run, config) = RunDirectory::open(&self.run)?;
        let made = transfer(&run, &config, self.scale, &self.out).map_err(advise)?;
        let result = Outcome {
            run: made.run.path().display().to_string(),
            from: self.run.display().to_string(),
            scale: self.scale,
            size: made.config.data.size,
            sigma: made.model.njet_layers().map(|(name, layer)| (name.to_owned(), layer.sigmas())).collect(),
            fixed: made.fixed.iter().map(ToString::to_string).collect(),
            warnings: made.warnings.iter().map(|(layer, warning)| format!("{layer}: {warning}")).collect(),
        };
        report(self.json, &result, text)?;
        for warning in &result.warnings {
            crate::say(format_args!("warning: {warning}"));
        }
        Ok(())
    }
}

pub fn advise(error: TrainingError) -> anyhow::Error {
    match error {
        TrainingError::HoldsRun { path } => {
            anyhow!("{} already holds a run: choose another directory with `--out`", path.display())
        }
        TrainingError::File { doing: "write" | "create", .. } => {
            anyhow!("{error}; choose another directory with `--out`")
        }
        other => other.into(),
    }
}

fn text(result: &Outcome) -> String {
    let [height, width] = result.size;
    let mut text = format!("{} with every σ × {}, for images of {height}×{width} pixels\n", result.from, result.scale);
    for (layer, sigmas) in &result.sigma {
        text += &format!("    σ  {layer}  {} → {}\n", range(sigmas, 1.0 / result.scale), range(sigmas, 1.0));
    }
    match result.fixed.as_slice() {
        [] => text += "everything that counts in pixels has followed\n",
        parts => {
            text += "not rescaled, so the new model is near the old one, not the same:\n";
            for part in parts {
                text += &format!("    {part}\n");
            }
        }
    }
    text += &format!("the run is in {run}: `njet eval {run} --scales {}` tests it\n", result.scale, run = result.run);
    text
}

/// σ of a layer times a factor; of several, the least and the greatest.
fn range(sigmas: &[f64], factor: f64) -> String {
    let least = factor * sigmas.iter().copied().fold(f64::INFINITY, f64::min);
    let most = factor * sigmas.iter().copied().fold(0.0, f64::max);
    if sigmas.len() == 1 { format!("{least:.3}") } else { format!("{least:.3}…{most:.3}") }
}
