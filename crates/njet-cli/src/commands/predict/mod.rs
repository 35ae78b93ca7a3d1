//! `njet predict`

mod grey;
mod segment;

use super::eval::reduction;
use super::{read as read_data, report};
use crate::Usage;
use crate::device::DeviceName;
use crate::progress::Meter;
use anyhow::{Result, anyhow, bail, ensure};
use burn::tensor::Device;
use clap::Args;
use njet::data::{DataError, Image, Preparation, Sizing, read_image};
use njet::models::Classifier;
use njet::training::{RunConfig, RunDirectory, Task, View, load_model, logits, probabilities, scaled_size, seen_size};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Classes named for an image.
const TOP: usize = 5;

/// Say what is on images, by the best model of a run
///
/// A run that segments writes a mask for each image (PNG, the class of each pixel as the index of its colour) and an
/// overlay. Files of PNG, JPEG, BMP, GIF, WebP and TIFF, of any size. Colours become grey where the model takes one channel;
/// what is transparent becomes black. The images are brought to size as the training images were, undistorted.
#[derive(Debug, Args)]
pub struct Predict {
    /// Directory of the run
    run: PathBuf,
    /// Image files
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Keep the size of each image (a run that segments always does)
    #[arg(long)]
    native: bool,
    /// Directory of the masks and overlays of a run that segments (default: predictions)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
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

#[derive(Debug, Serialize)]
struct Outcome<T> {
    images: Vec<T>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<Failure>,
}

#[derive(Debug, Serialize)]
struct Prediction {
    path: String,
    label: String,
    probability: f64,
    top: Vec<(String, f64)>,
}

#[derive(Debug, Serialize)]
struct Failure {
    path: String,
    reason: String,
}

impl Predict {
    /// Predicts for every image that can be read; fails at the end if one cannot.
    pub fn run(self) -> Result<()> {
        let device = self.device.open()?;
        match RunDirectory::task(&self.run)? {
            Task::Classify => self.classify(device),
            Task::Segment => segment::run(&self, &device),
        }
    }

    fn classify(&self, device: Device) -> Result<()> {
        if self.out.is_some() {
            bail!(Usage(anyhow!("--out is for runs that segment, and this one classifies: leave it out")));
        }
        if !self.also_at.is_empty() {
            bail!(Usage(anyhow!("--also-at is for runs that segment, and this one classifies: leave it out")));
        }
        let (run, config) = RunDirectory::open(&self.run)?;
        let model = load_model(&run, &config, &device)?;
        check_channels(config.model.channels)?;
        let sight = Sight { config: &config, model: &model, classes: classes(&config), native: self.native, device };
        self.each(|path| sight.predict(path), text)
    }

    /// Looks at every image and tells what came of it.
    fn each<T: Serialize>(
        &self,
        mut look: impl FnMut(&Path) -> Result<T>,
        text: impl FnOnce(&Outcome<T>) -> String,
    ) -> Result<()> {
        let mut outcome = Outcome { images: Vec::new(), failed: Vec::new() };
        let mut meter = Meter::new(self.images.len() as f64);
        for (i, path) in self.images.iter().enumerate() {
            meter.reach(i as f64, &path.display().to_string());
            match look(path) {
                Ok(prediction) => outcome.images.push(prediction),
                Err(error) => {
                    let (path, reason) = (path.display().to_string(), crate::message(&error));
                    outcome.failed.push(Failure { path, reason });
                }
            }
        }
        drop(meter);
        report(self.json, &outcome, text)?;
        for Failure { path, reason } in &outcome.failed {
            crate::say(format_args!("{path}: {reason}"));
        }
        match outcome.failed.len() {
            0 => Ok(()),
            failed => bail!("{failed} of {} images could not be looked at", self.images.len()),
        }
    }
}

/// Checks that image files have the channels of a model.
fn check_channels(channels: usize) -> Result<()> {
    ensure!(
        [1, 3].contains(&channels),
        "the model takes {channels} channels, and image files have 1 (grey) or 3 (colour)"
    );
    Ok(())
}

/// An image file. Its path is told beside the error.
fn read(path: &Path) -> Result<Image<'static>> {
    read_image(path).map_err(|error| match error {
        DataError::UnusableImage { reason, .. } => anyhow!(reason),
        other => other.into(),
    })
}

/// A model and what it needs to look at a file.
struct Sight<'a> {
    config: &'a RunConfig,
    model: &'a Classifier,
    classes: Vec<String>,
    native: bool,
    device: Device,
}

impl Sight<'_> {
    fn predict(&self, path: &Path) -> Result<Prediction> {
        let (settings, data) = (&self.config.model, &self.config.data);
        let samples = grey::samples(read(path)?, settings.channels)?;
        let sizing = match (self.native, data.sizing) {
            (true, _) => Sizing::Fixed,
            // An image of any size into one size, undistorted.
            (false, Sizing::Fixed) => Sizing::Letterbox,
            (false, sizing) => sizing,
        };
        let preparation = Preparation { sizing, ..data.preparation(settings) };
        // At scale 1: is anything left of it, and is there room for it?
        scaled_size(settings, seen_size(&preparation, &samples), 1.0)?;
        let view = View { preparation, scale: 1.0 };
        let logits = logits(settings, self.model, &samples, &[0], &view, &self.device, &mut |_| {})?;
        ensure!(logits.iter().all(|logit| logit.is_finite()), "the model's answer is not a number");
        let mut top: Vec<(String, f64)> = self.classes.iter().cloned().zip(probabilities(&logits)).collect();
        top.sort_by(|a, b| b.1.total_cmp(&a.1));
        top.truncate(TOP);
        let (label, probability) = top[0].clone();
        Ok(Prediction { path: path.display().to_string(), label, probability, top })
    }
}

/// Names of the classes. Runs from before they were kept have them with the data; where that is gone, their numbers.
fn classes(config: &RunConfig) -> Vec<String> {
    let count = config.model.classes;
    if config.data.classes.len() == count {
        return config.data.classes.clone();
    }
    match read_data(&config.data.source) {
        Ok(dataset) if dataset.classes.len() == count => dataset.classes,
        Ok(_) | Err(_) => {
            crate::say(format_args!(
                "note: the data of the run, {}, cannot be read: classes are told by their numbers",
                config.data.source
            ));
            (0..count).map(|class| class.to_string()).collect()
        }
    }
}

fn text(outcome: &Outcome<Prediction>) -> String {
    let mut text = String::new();
    for Prediction { path, label, probability, top } in &outcome.images {
        text += &format!("{path}: {label} ({:.1} %)\n", 100.0 * probability);
        let others: Vec<String> = top[1..].iter().map(|(label, p)| format!("{label} {:.1} %", 100.0 * p)).collect();
        text += &format!("    then {}\n", others.join(", "));
    }
    text
}
