//! `njet convert`

use super::transfer::advise;
use super::{data_of, report};
use crate::Usage;
use crate::device::DeviceName;
use crate::progress::Display;
use crate::table::{Align, grouped, layout};
use anyhow::Result;
use burn::tensor::Device;
use clap::Args;
use njet::SigmaSharing;
use njet::data::Dataset;
use njet::interop::convert::{ConvertConfig, ConvertError, ConvertedLayer, convert};
use njet::models::Classifier;
use njet::training::{
    EpochRecord, Observer, Origin, OriginKind, Progress, RunConfig, RunDirectory, Start, Trainer, TrainingError,
    check_data, evaluate, load_model, write_run,
};
use serde::Serialize;
use std::path::PathBuf;

/// Part of the learning rates of the run that the new one starts with: its weights are trained already.
const SLOWER: f64 = 0.1;

/// Make a network of plain convolutions into one of N-jet layers, as a start for training
///
/// Each spatial convolution is replaced by an N-jet layer that is fitted to its filters: the scale is sought, the
/// coefficients follow, and the order is the lowest that loses no more than the error. Reports the accuracy on the test
/// images before, after, and after one epoch of training; `njet train --resume` goes on from there.
#[derive(Debug, Args)]
pub struct Convert {
    /// Directory of a run of `njet train --layer conv`, or of `njet import`
    run: PathBuf,
    /// Directory of the new run
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Part of the energy of a layer's filters that may be lost
    #[arg(long, value_name = "F", allow_negative_numbers = true, default_value_t = ConvertConfig::default().max_error)]
    max_error: f64,
    /// The highest order that is taken for it, 0 to 10
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = ConvertConfig::default().order)]
    order: usize,
    /// Reach of the filters in units of sigma
    #[arg(long, value_name = "K", allow_negative_numbers = true, default_value_t = ConvertConfig::default().extent)]
    extent: f64,
    /// Who has a sigma of their own: layer (one for all) or output (channel)
    #[arg(long, value_name = "NAME", default_value_t = SigmaSharing::Layer)]
    sigma_sharing: SigmaSharing,
    /// Do not train: only convert and test
    #[arg(long)]
    no_training: bool,
    /// Learning rate at the start of the new run (default: a tenth of the run's)
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    lr: Option<f64>,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    device: DeviceName,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Outcome {
    run: String,
    from: String,
    /// Accuracy on the test images.
    accuracy: Accuracy,
    parameters: [usize; 2],
    layers: Vec<Layer>,
}

#[derive(Debug, Serialize)]
struct Accuracy {
    before: f64,
    after: f64,
    after_one_epoch: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Layer {
    name: String,
    window: [usize; 2],
    order: usize,
    sigma: Vec<f64>,
    error: f64,
    weights: [usize; 2],
}

impl From<ConvertedLayer> for Layer {
    fn from(ConvertedLayer { name, window, order, sigma, error, weights }: ConvertedLayer) -> Self {
        Self { name, window, order, sigma, error, weights }
    }
}

/// Ends the training after its first epoch.
struct OneEpoch {
    display: Display,
    done: bool,
}

impl Observer for OneEpoch {
    fn started(&mut self, start: &Start<'_>) {
        self.display.started(start);
    }
    fn stepped(&mut self, progress: &Progress) {
        self.display.stepped(progress);
    }
    fn stop(&self) -> bool {
        self.done
    }
    fn epoch_ended(&mut self, record: &EpochRecord, best: bool) {
        self.done = true;
        self.display.epoch_ended(record, best);
    }
}

impl Convert {
    /// Converts, tests, and trains an epoch.
    pub fn run(self) -> Result<()> {
        let device = self.device.open()?;
        let (run, config) = RunDirectory::open(&self.run)?;
        let model = load_model(&run, &config, &Device::flex())?;
        let settings = ConvertConfig {
            max_error: self.max_error,
            order: self.order,
            extent: self.extent,
            sharing: self.sigma_sharing,
        };
        let conversion = convert(&model, &config.model, &settings).map_err(|error| match error {
            ConvertError::Setting { .. } => Usage(error.into()).into(),
            ConvertError::Fit { source: njet::interop::fit::FitError::Basis(error), .. } => Usage(error.into()).into(),
            other => anyhow::Error::from(other),
        })?;
        let mut new = RunConfig { model: conversion.config, ..config.clone() };
        new.optimizer.lr = self.lr.unwrap_or(SLOWER * config.optimizer.lr);
        new.optimizer.sigma_lr = SLOWER * config.optimizer.sigma_lr;
        let origin = self.run.display().to_string();
        new.origin = Some(Origin { run: origin, scale: 1.0, by: OriginKind::Convert });
        new.validate().map_err(|error| Usage(error.into()))?;
        let dataset = data_of(&self.run, &config.data.source)?;
        check_data(&new, &dataset)?;
        let trainer = (!self.no_training).then(|| Trainer::new(&new, &dataset, &device)).transpose()?;

        let converted = write_run(&self.out, &new, &conversion.model).map_err(advise)?;
        let before = tested(&model, &config, &dataset)?;
        let after = tested(&load_model(&converted, &new, &Device::flex())?, &new, &dataset)?;
        crate::say(format_args!("accuracy {:.2} % before, {:.2} % after", 100.0 * before, 100.0 * after));
        let after_one_epoch = match trainer {
            Some(trainer) => {
                let mut observer = OneEpoch { display: Display::new(), done: false };
                match trainer.run(&converted, &mut observer) {
                    // A run of one epoch ends by itself.
                    Ok(_) | Err(TrainingError::Stopped { .. }) if observer.done => {}
                    Ok(_) => {}
                    Err(error) => return Err(error.into()),
                }

                Some(tested(&load_model(&converted, &new, &Device::flex())?, &new, &dataset)?)
            }
            None => None,
        };
        let result = Outcome {
            run: converted.path().display().to_string(),
            from: self.run.display().to_string(),
            accuracy: Accuracy { before, after, after_one_epoch },
            parameters: [model.num_parameters(), conversion.model.num_parameters()],
            layers: conversion.layers.into_iter().map(Layer::from).collect(),
        };
        report(self.json, &result, text)
    }
}

/// Accuracy on the test images.
fn tested(model: &Classifier, config: &RunConfig, dataset: &Dataset) -> Result<f64> {
    let all: Vec<usize> = (0..dataset.test.len()).collect();
    let preparation = config.data.preparation(&config.model);
    Ok(evaluate(model, &dataset.test, &all, &preparation, &Device::flex())?.accuracy)
}

fn text(result: &Outcome) -> String {
    use Align::{Left, Right};
    let header = [
        ("layer", Left),
        ("window", Right),
        ("order", Right),
        ("σ (px)", Right),
        ("error", Right),
        ("weights", Right),
        ("now", Right),
    ];
    let rows: Vec<Vec<String>> = result
        .layers
        .iter()
        .map(|layer| {
            vec![
                layer.name.clone(),
                format!("{}×{}", layer.window[0], layer.window[1]),
                layer.order.to_string(),
                crate::progress::sigma_range(&layer.sigma),
                format!("{:.4}", layer.error),
                grouped(layer.weights[0] as u64),
                grouped(layer.weights[1] as u64),
            ]
        })
        .collect();
    let mut text = layout(&header, &rows);
    let [before, after] = result.parameters.map(|parameters| grouped(parameters as u64));
    text += &format!("\n{before} parameters before, {after} after\n");
    let Accuracy { before, after, after_one_epoch } = result.accuracy;
    text += &format!("test accuracy {:.2} % before, {:.2} % after", 100.0 * before, 100.0 * after);
    if let Some(trained) = after_one_epoch {
        text += &format!(", {:.2} % after one epoch of training", 100.0 * trained);
    }
    text += &format!("\nthe run is in {run}: `njet train --resume {run}` goes on\n", run = result.run);
    text
}
