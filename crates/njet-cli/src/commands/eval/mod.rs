//! `njet eval`

mod scales;
pub mod segment;

use super::train::{sized, tell_skipped};
use super::{load, read, report};
use crate::Usage;
use crate::device::DeviceName;
use crate::table::grouped;
use anyhow::{Result, anyhow, bail};
use burn::tensor::Device;
use clap::Args;
use njet::data::{Samples, Sizing};
use njet::training::{
    Evaluation, NO_DATA, OriginKind, RunConfig, RunDirectory, Task, check_data, evaluate, load_model,
};
use scales::{AtScale, Plan};
use serde::Serialize;
use std::path::PathBuf;

/// Test the best model of a run
#[derive(Debug, Args)]
pub struct Eval {
    /// Directory of the run
    run: PathBuf,
    /// Test images of other data: a name from `njet data list`, a directory, or multi-size:NAME
    #[arg(long, value_name = "NAME|DIR")]
    data: Option<String>,
    /// Another sizing than that of the run: fixed, letterbox, random-resized-crop or group
    #[arg(long, value_name = "NAME")]
    sizing: Option<Sizing>,
    /// Another size than that of the run
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    size: Option<usize>,
    /// Test as well with the images made so many times as large, with antialiasing (e.g. 0.5,1,2)
    #[arg(long, value_name = "F,…", value_delimiter = ',', allow_negative_numbers = true, value_parser = factor)]
    scales: Option<Vec<f64>>,
    /// At each of the scales, test once more with every sigma made as many times as large
    #[arg(long, requires = "scales")]
    rescale: bool,
    /// A run that segments: average with the answers for the images made smaller, these times as large (e.g. 0.75,0.5,0.375)
    #[arg(long, value_name = "F,…", value_delimiter = ',', allow_negative_numbers = true, value_parser = reduction)]
    also_at: Vec<f64>,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    device: DeviceName,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// How many times as large images become.
pub fn factor(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(factor) if (0.001..=1000.0).contains(&factor) => Ok(factor),
        Ok(_) => Err("a scale is a number from 0.001 to 1000".to_owned()),
        Err(_) => Err("it is no number".to_owned()),
    }
}

/// How many times as large images become that become smaller.
pub fn reduction(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(factor) if (0.001..1.0).contains(&factor) => Ok(factor),
        Ok(_) => Err("images are made smaller: a number from 0.001 to less than 1".to_owned()),
        Err(_) => Err("it is no number".to_owned()),
    }
}

#[derive(Debug, Serialize)]
struct Outcome {
    #[serde(flatten)]
    evaluation: Evaluation,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_scale: Option<Vec<AtScale>>,
}

impl Eval {
    /// Evaluates on the test images.
    pub fn run(self) -> Result<()> {
        let device = self.device.open()?;
        match RunDirectory::task(&self.run)? {
            Task::Classify => self.classify(&device),
            Task::Segment => segment::run(&self, &device),
        }
    }

    fn classify(&self, device: &Device) -> Result<()> {
        if !self.also_at.is_empty() {
            bail!(Usage(anyhow!("--also-at is for runs that segment, and this one classifies: leave it out")));
        }
        let (run, mut config) = RunDirectory::open(&self.run)?;
        let model = load_model(&run, &config, device)?;
        let dataset = match &self.data {
            Some(source) => load(source)?,
            None if config.data.source == NO_DATA => {
                bail!(Usage(anyhow!("{} was made without data: name some with `--data`", self.run.display())))
            }
            None => read(&config.data.source)?,
        };
        config.data = sized(config.data, &dataset, self.sizing, self.size)?;
        config.validate().map_err(|error| Usage(error.into()))?;
        check_data(&config, &dataset)?;
        tell_skipped(&dataset);
        // What cannot be done at some scale is said before any work.
        let plan = |factors: &Vec<f64>| Plan::new(&config, &model, &dataset.test, factors, self.rescale);
        let plan = self.scales.as_ref().map(plan).transpose()?;
        let all: Vec<usize> = (0..dataset.test.len()).collect();
        let preparation = config.data.preparation(&config.model);
        let evaluation = evaluate(&model, &dataset.test, &all, &preparation, device)?;
        let by_scale = plan.map(|plan| plan.run(device)).transpose()?;
        if self.scales.is_none() {
            tell_transferred(&config, &dataset.test);
        }
        report(self.json, &Outcome { evaluation, by_scale }, |result| {
            let Evaluation { count, loss, accuracy } = result.evaluation;
            let mut text = format!(
                "{}: accuracy {:.2} %, loss {loss:.4}, on {} test images\n",
                dataset.name,
                100.0 * accuracy,
                grouped(count as u64)
            );
            if let Some(rows) = &result.by_scale {
                text += "\n";
                text += &scales::text(rows);
            }
            text
        })
    }
}

/// Says that images are not of the size that a run was transferred to.
fn tell_transferred(config: &RunConfig, samples: &Samples) {
    let Some(origin) = config.origin.as_ref().filter(|origin| origin.by == OriginKind::Transfer) else { return };
    let ([height, width], scale) = (config.data.size, origin.scale);
    if config.data.sizing == Sizing::Fixed
        && let Some([_, own_height, own_width]) = samples.shape()
        && [own_height, own_width] != [height, width]
    {
        crate::say(format_args!(
            "note: the run was transferred by {scale} to images of {height}×{width} pixels, and these are \
             {own_height}×{own_width}; `--scales {scale}` resamples them"
        ));
    }
}
