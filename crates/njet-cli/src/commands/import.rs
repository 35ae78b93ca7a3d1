//! `njet import`

use super::train::{inspect, sized, source};
use super::transfer::advise;
use super::{load, report};
use crate::Usage;
use crate::table::grouped;
use anyhow::{Result, anyhow};
use clap::Args;
use njet::data::Normalisation;
use njet::interop::import::{ImportError, Imported, import};
use njet::interop::tensors::TensorFile;
use njet::models::{Architecture, LayerKind, ModelError, Subsampling};
use njet::training::{Origin, OriginKind, RunConfig, check_data, write_run};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Make a run of a PyTorch checkpoint of an N-jet network
///
/// Reads .pth and .pt as torch.save writes them (also .pth.tar, with the weights under `state_dict` and `module.` before
/// their names) and .safetensors; nothing in a file is executed. Order, channels and classes follow from the shapes. A file
/// without N-jet layers is read as the twin of plain convolutions, for `njet convert`.
#[derive(Debug, Args)]
pub struct Import {
    /// The checkpoint
    file: PathBuf,
    /// Architecture: njet-small, nin, allcnn, resnet20, resnet32, resnet44, resnet56, resnet110 or resnet18
    #[arg(long, value_name = "NAME")]
    arch: Architecture,
    /// Directory of the new run
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Reach of the filters in units of sigma, which is not in the file (published: 2)
    #[arg(long, value_name = "K", allow_negative_numbers = true, default_value_t = 2.0)]
    extent: f64,
    /// What is done where the published network makes the image smaller: strides (pooling too) or none (default: none for
    /// nin and allcnn, strides for the others)
    #[arg(long, value_name = "none|strides")]
    subsampling: Option<Subsampling>,
    /// The data that the network was trained for: a name from `njet data list` or a directory
    #[arg(long, value_name = "NAME|DIR")]
    data: Option<String>,
    /// Rows and columns of the images, without `--data`
    #[arg(long, value_name = "N", default_value_t = 32, conflicts_with = "data")]
    size: usize,
    /// Mean that was subtracted from the pixels, which go from 0 to 1 (default: that of the data, or 0)
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    mean: Option<f32>,
    /// Deviation that they were divided by (default: that of the data, or 1)
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    std: Option<f32>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Outcome {
    run: String,
    from: String,
    arch: &'static str,
    layer: &'static str,
    /// `None`: plain convolutions.
    order: Option<usize>,
    channels: usize,
    classes: usize,
    parameters: usize,
    sigma: BTreeMap<String, Vec<f64>>,
}

impl Import {
    /// Reads the file and writes the run.
    pub fn run(self) -> Result<()> {
        let file = TensorFile::open(&self.file)?;
        let imported = import(&file, self.arch, self.extent).map_err(|error| match error {
            ImportError::Model(ModelError::Layer { source, .. }) => Usage(source.into()).into(),
            error @ ImportError::Architecture { .. } => Usage(error.into()).into(),
            other => anyhow::Error::from(other),
        })?;
        let config = self.config(&imported)?;
        let Imported { model, .. } = imported;
        let run = write_run(&self.out, &config, &model).map_err(advise)?;
        let result = Outcome {
            run: run.path().display().to_string(),
            from: self.file.display().to_string(),
            arch: config.model.arch.name(),
            layer: config.model.layer.name(),
            order: (config.model.layer == LayerKind::Njet).then_some(config.model.order),
            channels: config.model.channels,
            classes: config.model.classes,
            parameters: model.num_parameters(),
            sigma: model.njet_layers().map(|(name, layer)| (name.to_owned(), layer.sigmas())).collect(),
        };
        report(self.json, &result, text)
    }

    fn config(&self, imported: &Imported) -> Result<RunConfig> {
        let mut config = match &self.data {
            Some(name) => {
                let dataset = load(&source(name)?)?;
                let mut config = RunConfig::new(&dataset, self.arch);
                config.data = sized(config.data, &dataset, None, None)?;
                config.model = imported.config.clone();
                check_data(&config, &dataset)?;
                config
            }
            None => RunConfig::without_data(imported.config.clone(), [self.size; 2]),
        };
        let Normalisation { mean, std } = config.data.normalisation;
        let normalisation = Normalisation { mean: self.mean.unwrap_or(mean), std: self.std.unwrap_or(std) };
        if !(normalisation.std > 0.0 && normalisation.std.is_finite() && normalisation.mean.is_finite()) {
            return Err(Usage(anyhow!("--mean must be a number and --std a number above 0")).into());
        }
        config.data.normalisation = normalisation;
        if let Some(subsampling) = self.subsampling {
            if subsampling == Subsampling::Safe {
                return Err(Usage(anyhow!("a checkpoint has no safe subsampling: give none or strides")).into());
            }
            config.model.subsampling = Some(subsampling);
        }
        let run = self.file.display().to_string();
        config.origin = Some(Origin { run, scale: 1.0, by: OriginKind::Import });
        config.validate().map_err(|error| Usage(error.into()))?;
        Ok(config)
    }
}

fn text(result: &Outcome) -> String {
    let order = result.order.map_or_else(String::new, |order| format!(" of order {order}"));
    let mut text = format!(
        "{}: {} with {} layers{order}, {} channels, {} classes, {} parameters\n",
        result.from,
        result.arch,
        result.layer,
        result.channels,
        result.classes,
        grouped(result.parameters as u64)
    );
    for (layer, sigmas) in &result.sigma {
        let sigmas: Vec<String> = sigmas.iter().map(|sigma| format!("{sigma:.3}")).collect();
        text += &format!("    σ  {layer}  {}\n", sigmas.join(", "));
    }
    text + &inspect(&result.run)
}
