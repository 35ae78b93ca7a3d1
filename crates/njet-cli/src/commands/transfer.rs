//! `njet transfer`

use super::{eval::factor, report};
use crate::Usage;
use anyhow::{Result, anyhow};
use clap::Args;
use njet::training::{RunDirectory, ScaleError, TrainingError, Unscaled, UnscaledPart, transfer};
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
    sigma: BTreeMap<String, [f64; 2]>,
    unscaled: Vec<String>,
}

impl Transfer {
    /// Makes the new run.
    pub fn run(self) -> Result<()> {
        let (run, config) = RunDirectory::open(&self.run)?;
        let made = transfer(&run, &config, self.scale, &self.out).map_err(advise)?;
        let sigma = made.model.njet_layers().map(|(name, layer)| {
            let sigma = layer.sigma();
            (name.to_owned(), [sigma / self.scale, sigma])
        });
        let result = Outcome {
            run: made.run.path().display().to_string(),
            from: self.run.display().to_string(),
            scale: self.scale,
            size: made.config.data.size,
            sigma: sigma.collect(),
            unscaled: made.unscaled.iter().map(say).collect(),
        };
        report(self.json, &result, text)
    }
}

fn advise(error: TrainingError) -> anyhow::Error {
    match error {
        TrainingError::HoldsRun { path } => {
            anyhow!("{} already holds a run: choose another directory with `--out`", path.display())
        }
        TrainingError::File { doing: "write" | "create", .. } => {
            anyhow!("{error}; choose another directory with `--out`")
        }
        TrainingError::Rescale(e @ ScaleError::Factor { .. }) => Usage(e.into()).into(),
        other => other.into(),
    }
}

fn say(part: &Unscaled) -> String {
    let layer = &part.layer;
    match part.part {
        UnscaledPart::Convolution([height, width]) => format!("{layer}: a plain {height}×{width} convolution"),
        UnscaledPart::Stride([y, x]) => format!("{layer}: its stride of {y}×{x} pixels"),
        UnscaledPart::Pooling => format!("{layer}: the pooling after it, of 2×2 pixels"),
    }
}

fn text(result: &Outcome) -> String {
    let [height, width] = result.size;
    let mut text = format!("{} with every σ × {}, for images of {height}×{width} pixels\n", result.from, result.scale);
    for (layer, [before, after]) in &result.sigma {
        text += &format!("    σ  {layer}  {before:.3} → {after:.3}\n");
    }
    match result.unscaled.as_slice() {
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
