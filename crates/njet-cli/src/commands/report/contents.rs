//! Everything that a report tells, gathered before a line of it is written.

use super::scale::{Curve, measure};
use crate::commands::read;
use crate::progress::Meter;
use anyhow::{Context, Result};
use burn::tensor::Device;
use njet::data::{Preparation, Samples, Sizing};
use njet::models::{Classifier, Description};
use njet::training::{
    EpochRecord, Evaluation, RunConfig, RunDirectory, TrainingError, View, check_data, load_model, logits,
    read_metrics, seen_size,
};
use std::fs;

/// A run, as far as there is one.
#[derive(Debug)]
pub struct Contents {
    /// Its directory, as it was named.
    pub name: String,
    /// Its settings.
    pub config: RunConfig,
    /// The file of its settings.
    pub settings: String,
    /// Its finished epochs.
    pub epochs: Vec<EpochRecord>,
    /// Its best model; absent where no epoch has ended.
    pub trained: Option<Trained>,
    /// Its test images and what the model says of them; absent without model or images.
    pub tested: Option<Tested>,
    /// What is not in the report, and why.
    pub missing: Vec<String>,
}

/// A model.
#[derive(Debug)]
pub struct Trained {
    /// The best of the run.
    pub model: Classifier,
    /// Layer by layer, at the size that the run is for.
    pub description: Description,
}

/// A model at test images.
#[derive(Debug)]
pub struct Tested {
    /// The images, as they are.
    pub images: Samples,
    /// How the model sees them.
    pub view: View,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// `[images, classes]`.
    pub logits: Vec<f32>,
    /// What follows from them.
    pub evaluation: Evaluation,
    /// The images larger and smaller.
    pub curve: Curve,
}

impl Tested {
    /// The logits of each image with its label, in order.
    pub fn rows(&self) -> impl Iterator<Item = (&[f32], usize)> {
        let labels = self.images.labels().iter().map(|&label| usize::from(label));
        self.logits.chunks_exact(self.classes.len()).zip(labels)
    }
}

/// Reads a run and tests its model.
pub fn gather(run: &RunDirectory, config: RunConfig, device: &Device) -> Result<Contents> {
    let settings = fs::read_to_string(run.config_path())
        .with_context(|| format!("cannot read {}", run.config_path().display()))?;
    let mut missing = Vec::new();
    let epochs = read_metrics(run)?;
    let trained = match load_model(run, &config, device) {
        Ok(model) => {
            let [height, width] = config.data.size;
            Some(Trained { description: model.describe(height, width), model })
        }
        Err(error @ TrainingError::NoModel { .. }) => {
            missing.push(error.to_string());
            None
        }
        Err(error) => return Err(error.into()),
    };
    let tested = match &trained {
        None => None,
        Some(trained) => match test_images(&config) {
            Ok((_, images)) if images.is_empty() => {
                missing.push(format!("The data, {}, has no test images: nothing could be tested.", config.data.source));
                None
            }
            Ok((classes, images)) => match test(&config, trained, classes, images, device) {
                Ok(tested) => Some(tested),
                Err(error) => {
                    missing.push(format!("Nothing could be tested: {}", crate::message(&error)));
                    None
                }
            },
            Err(error) => {
                missing.push(format!(
                    "Nothing could be tested, since the test images are not there: {}",
                    crate::message(&error)
                ));
                None
            }
        },
    };
    Ok(Contents { name: run.path().display().to_string(), config, settings, epochs, trained, tested, missing })
}

/// The classes and the test images of a run.
fn test_images(config: &RunConfig) -> Result<(Vec<String>, Samples)> {
    let dataset = read(&config.data.source)?;
    check_data(config, &dataset)?;
    Ok((dataset.classes, dataset.test))
}

fn test(
    config: &RunConfig,
    trained: &Trained,
    classes: Vec<String>,
    images: Samples,
    device: &Device,
) -> Result<Tested> {
    let all: Vec<usize> = (0..images.len()).collect();
    let preparation = config.data.preparation(&config.model);
    let view = View { preparation, scale: own_scale(config, &preparation, &images) };
    let mut meter = Meter::new(all.len() as f64);
    let mut progress = |done| meter.reach(done as f64, "test images");
    let logits = logits(&config.model, &trained.model, &images, &all, &view, device, &mut progress)?;
    drop(meter);
    let evaluation = Evaluation::of(&logits, images.labels());
    let curve = measure(config, trained, &images, &view, device)?;
    Ok(Tested { images, view, classes, logits, evaluation, curve })
}

/// How many times as large the images of a transferred run have to be made to have its size.
fn own_scale(config: &RunConfig, preparation: &Preparation, images: &Samples) -> f64 {
    match config.data.sizing {
        Sizing::Fixed => config.data.size[0] as f64 / seen_size(preparation, images)[0] as f64,
        Sizing::Letterbox | Sizing::RandomResizedCrop | Sizing::Group => 1.0,
    }
}
