//! `njet eval`

mod scales;

use super::{load, report};
use crate::device::DeviceName;
use crate::table::grouped;
use anyhow::Result;
use clap::Args;
use njet::data;
use njet::training::{Evaluation, RunDirectory, check_data, evaluate, load_model};
use scales::{AtScale, by_scale};
use serde::Serialize;
use std::path::PathBuf;

/// Test the best model of a run
#[derive(Debug, Args)]
pub struct Eval {
    /// Directory of the run
    run: PathBuf,
    /// Test images of other data: a name from `njet data list`, or a directory of IDX files
    #[arg(long, value_name = "NAME|DIR")]
    data: Option<String>,
    /// Test as well with the images made so many times as large, with antialiasing (e.g. 0.5,1,2)
    #[arg(long, value_name = "F,…", value_delimiter = ',', allow_negative_numbers = true, value_parser = factor)]
    scales: Option<Vec<f64>>,
    /// At each of the scales, test once more with every sigma made as many times as large
    #[arg(long, requires = "scales")]
    rescale: bool,
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
        let (run, config) = RunDirectory::open(&self.run)?;
        let model = load_model(&run, &config, &device)?;
        let dataset = match &self.data {
            Some(source) => load(source)?,
            None => data::load(&config.data.source)?,
        };
        check_data(&config.model, &dataset)?;
        // What cannot be done at some scale is said before any work.
        let plan = self
            .scales
            .as_ref()
            .map(|factors| scales::plan(&config, &model, dataset.test.shape(), factors, self.rescale));
        let plan = plan.transpose()?;
        let all: Vec<usize> = (0..dataset.test.len()).collect();
        let evaluation = evaluate(&model, &dataset.test, &all, config.data.normalisation, &device);
        let by_scale = plan.map(|plan| by_scale(&model, plan, &dataset.test, config.data.normalisation, &device));
        let result = Outcome { evaluation, by_scale };
        if let Some(origin) = &config.origin
            && self.scales.is_none()
            && config.data.size != [dataset.test.height(), dataset.test.width()]
        {
            crate::say(format_args!(
                "note: the run was transferred by {} to images of {}×{} pixels, and these are {}×{}; `--scales {0}` resamples them",
                origin.scale,
                config.data.size[0],
                config.data.size[1],
                dataset.test.height(),
                dataset.test.width(),
            ));
        }
        report(self.json, &result, |result| {
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
