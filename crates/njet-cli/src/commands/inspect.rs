//! `njet inspect`

use super::report;
use crate::progress::sigma_range;
use crate::table::{Align, grouped, layout};
use anyhow::Result;
use burn::tensor::Device;
use clap::Args;
use njet::models::{Description, Network};
use njet::segmentation::SegmentationConfig;
use njet::training::{RunConfig, RunDirectory, Settings, Task, load_model};
use std::path::PathBuf;

/// Show a run's network layer by layer
#[derive(Debug, Args)]
pub struct Inspect {
    /// Directory of the run
    run: PathBuf,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

impl Inspect {
    /// Describes the best model of the run.
    pub fn run(self) -> Result<()> {
        match RunDirectory::task(&self.run)? {
            Task::Classify => self.describe::<RunConfig>(),
            Task::Segment => self.describe::<SegmentationConfig>(),
        }
    }

    fn describe<S: Settings>(&self) -> Result<()> {
        let (run, config) = RunDirectory::open_as::<S>(&self.run)?;
        let model = load_model(&run, &config, &Device::flex())?;
        let size = config.course().size;
        report(self.json, &model.describe(size), |description| text(description, size))
    }
}

fn text(description: &Description, [height, width]: [usize; 2]) -> String {
    use Align::{Left, Right};
    let header = [
        ("layer", Left),
        ("kind", Left),
        ("σ (px)", Right),
        ("kernel", Right),
        ("receptive field", Right),
        ("parameters", Right),
        ("multiply-adds", Right),
    ];
    let rows: Vec<Vec<String>> = description
        .layers
        .iter()
        .map(|layer| {
            vec![
                layer.name.clone(),
                layer.kind.to_owned(),
                if layer.sigma.is_empty() { "–".to_owned() } else { sigma_range(&layer.sigma) },
                format!("{}×{}", layer.kernel[0], layer.kernel[1]),
                format!("{0}×{0}", layer.receptive_field),
                grouped(layer.parameters as u64),
                grouped(layer.multiply_adds),
            ]
        })
        .collect();
    let mut text = layout(&header, &rows);
    text += &format!(
        "\n{} parameters, {} multiply-adds for an image of {height}×{width}\n",
        grouped(description.parameters as u64),
        grouped(description.multiply_adds)
    );
    text
}
