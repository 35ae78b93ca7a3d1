//! `njet eval`

use super::{load, report};
use crate::device::DeviceName;
use crate::table::grouped;
use anyhow::Result;
use clap::Args;
use njet::data;
use njet::training::{RunDirectory, check_data, evaluate, load_model};
use std::path::PathBuf;

/// Test the best model of a run
#[derive(Debug, Args)]
pub struct Eval {
    /// Directory of the run
    run: PathBuf,
    /// Test images of other data: a name from `njet data list`, or a directory of IDX files
    #[arg(long, value_name = "NAME|DIR")]
    data: Option<String>,
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
        let (run, config) = RunDirectory::open(&self.run)?;
        let model = load_model(&run, &config, &device)?;
        let dataset = match &self.data {
            Some(source) => load(source)?,
            None => data::load(&config.data.source)?,
        };
        check_data(&config.model, &dataset)?;
        let all: Vec<usize> = (0..dataset.test.len()).collect();
        let evaluation = evaluate(&model, &dataset.test, &all, config.data.normalisation, &device);
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
