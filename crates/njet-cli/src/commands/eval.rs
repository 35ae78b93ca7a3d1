//! `njet eval`

use super::train::{sized, tell_skipped};
use super::{load, report};
use crate::Usage;
use crate::device::DeviceName;
use crate::table::grouped;
use anyhow::Result;
use clap::Args;
use njet::data::{self, Sizing};
use njet::training::{RunDirectory, check_data, evaluate, load_model};
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
    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    device: DeviceName,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

impl Eval {
    /// Evaluates on the test images.
    pub fn run(self) -> Result<()> {
        let device = self.device.open()?;
        let (run, mut config) = RunDirectory::open(&self.run)?;
        let model = load_model(&run, &config, &device)?;
        let dataset = match &self.data {
            Some(source) => load(source)?,
            None => data::load(&config.data.source)?,
        };
        config.data = sized(config.data, &dataset, self.sizing, self.size)?;
        config.validate().map_err(|error| Usage(error.into()))?;
        check_data(&config, &dataset)?;
        tell_skipped(&dataset);
        let all: Vec<usize> = (0..dataset.test.len()).collect();
        let preparation = config.data.preparation(&config.model);
        let evaluation = evaluate(&model, &dataset.test, &all, &preparation, &device)?;
        report(self.json, &evaluation, |e| {
            format!(
                "{}: accuracy {:.2} %, loss {:.4}, on {} test images\n",
                dataset.name,
                100.0 * e.accuracy,
                e.loss,
                grouped(e.count as u64)
            )
        })
    }
}
