//! Training a classifier.

use super::config::{DataConfig, OriginKind, RunConfig};
use super::error::TrainingError;
use super::evaluate::{self, Evaluation, correct, tensors};
use super::learn::{learn, sigmas};
use super::objective::{Objective, Step, Validation};
use super::record::{EpochRecord, Observer};
use super::run::{RunDirectory, load_model};
use crate::data::{
    Augment, Batch, DataError, Dataset, Normalisation, Preparation, Random, Samples, Sizing, limit, stratified_split,
    workers,
};
use crate::models::Classifier;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Trained values of the model.
    pub parameters: usize,
    /// Epochs of the run.
    pub epochs: usize,
    /// The epoch with the best validation accuracy, from 1: its model is kept and tested.
    pub best_epoch: usize,
    /// Its accuracy on the validation images.
    pub val_accuracy: f64,
    /// Its accuracy on the test images.
    pub test_accuracy: f64,
    /// Its σ in pixels, layer by layer.
    pub sigma: BTreeMap<String, Vec<f64>>,
    /// Time spent training.
    pub seconds: f64,
}

/// Trains a model on a data set.
#[derive(Debug)]
pub struct Trainer<'a> {
    config: &'a RunConfig,
    dataset: &'a Dataset,
    training: Vec<usize>,
    validation: Vec<usize>,
    preparation: Preparation,
    device: Device,
}

impl<'a> Trainer<'a> {
    /// Checks the settings against the data and splits it.
    ///
    /// # Errors
    /// Settings that make no sense, or are those of a transferred run; data that does not fit the model or is too little.
    pub fn new(config: &'a RunConfig, dataset: &'a Dataset, device: &Device) -> Result<Self, TrainingError> {
        config.validate()?;
        if let Some(origin) = &config.origin
            && origin.by != OriginKind::Convert
        {
            // Trained from the start, it would lose the model that was brought into it.
            return Err(TrainingError::Transferred { from: origin.run.clone(), by: origin.by.command() });
        }
        check_data(config, dataset)?;
        let set = &dataset.train;
        let DataConfig { size, sizing, normalisation, .. } = config.data;
        let other_size = || set.shape().is_none_or(|[_, height, width]| size != [height, width]);
        if (sizing == Sizing::Fixed && other_size()) || normalisation != Normalisation::of(set) {
            return Err(TrainingError::OtherImages { data: dataset.name.clone() });
        }
        let chosen = limit(set.labels(), config.data.limit.unwrap_or(set.len()), config.seed);
        let labels: Vec<u8> = chosen.iter().map(|&i| set.label(i)).collect();
        let (training, validation) = stratified_split(&labels, config.data.validation, config.seed);
        if training.is_empty() || validation.is_empty() {
            return Err(TrainingError::TooFewImages {
                images: chosen.len(),
                training: training.len(),
                validation: validation.len(),
            });
        }
        let of_set = |places: Vec<usize>| places.into_iter().map(|place| chosen[place]).collect();
        let (training, validation) = (of_set(training), of_set(validation));
        let preparation = config.data.preparation(&config.model);
        Ok(Self { config, dataset, training, validation, preparation, device: device.clone() })
    }

    /// Trains from the newest checkpoint of `run`, or from the start where it has none, to the end.
    /// Interrupted at any moment and called again, it ends with the same numbers.
    ///
    /// # Errors
    /// Files of the run that cannot be read or written; a loss that is not finite.
    pub fn run(&self, run: &RunDirectory, observer: &mut dyn Observer) -> Result<Summary, TrainingError> {
        let state = learn(self, run, &self.device, observer)?;
        let model = load_model(run, self.config, &self.device)?;
        let test = &self.dataset.test;
        let all: Vec<usize> = (0..test.len()).collect();
        let (evaluation, _) = self.evaluate(&model, test, &all)?;
        let best = EpochRecord::best(&state.epochs).expect("a finished run has an epoch");
        Ok(Summary {
            parameters: model.num_parameters(),
            epochs: state.epochs.len(),
            best_epoch: best.epoch,
            val_accuracy: best.val_accuracy,
            test_accuracy: evaluation.accuracy,
            sigma: sigmas(&model),
            seconds: state.seconds,
        })
    }

    fn evaluate(
        &self,
        model: &Classifier,
        samples: &Samples,
        indices: &[usize],
    ) -> Result<(Evaluation, Duration), TrainingError> {
        Ok(evaluate::timed(model, samples, indices, &self.preparation, &self.device)?)
    }
}

impl Objective for Trainer<'_> {
    type Settings = RunConfig;
    type Batch = Batch;

    fn settings(&self) -> &RunConfig {
        self.config
    }

    fn images(&self) -> [usize; 3] {
        [self.training.len(), self.validation.len(), self.dataset.test.len()]
    }

    fn batches(&self, random: &mut Random) -> Vec<Vec<usize>> {
        let mut order = self.training.clone();
        random.shuffle(&mut order);
        self.preparation.batches(&self.dataset.train, order, self.config.batch_size, Some(random))
    }

    fn workers(&self) -> usize {
        workers(&self.dataset.train)
    }

    fn batch(&self, images: &[usize], random: &mut Random) -> Result<Batch, DataError> {
        let augment = Augment { shift: self.config.augment.shift, flip: self.config.augment.flip };
        self.preparation.batch(&self.dataset.train, images, Some(augment), random)
    }

    fn step(&self, model: &Classifier, batch: Batch, device: &Device) -> Step {
        let (images, targets, labels) = tensors(batch, device);
        let logits = model.forward(images);
        let right = correct(&logits, &labels) as f64;
        let loss = CrossEntropyLossConfig::new().init(device).forward(logits, targets);
        Step { loss, images: labels.len(), right }
    }

    fn validate(&self, model: &Classifier) -> Result<Validation, TrainingError> {
        let (Evaluation { loss, accuracy, .. }, waited) =
            self.evaluate(model, &self.dataset.train, &self.validation)?;
        Ok(Validation { loss, accuracy, miou: None, waited })
    }
}

/// Checks that the model of a run can take the images of a data set, brought to size as the run's settings say. A model
/// of colour images takes grey ones.
///
/// # Errors
/// Other channels or classes than the model's; images of several sizes where one is needed, or of one that the model's
/// pooling leaves nothing of.
pub fn check_data(config: &RunConfig, dataset: &Dataset) -> Result<(), TrainingError> {
    let data = || dataset.name.clone();
    let model = &config.model;
    let (channels, classes) = (dataset.channels(), dataset.classes.len());
    if model.classes != classes || (model.channels != channels && channels != 1) {
        return Err(TrainingError::Mismatch {
            data: data(),
            model_channels: model.channels,
            model_classes: model.classes,
            channels,
            classes,
        });
    }
    let smallest = model.smallest_image();
    for samples in [&dataset.train, &dataset.test] {
        let Some(extents) = samples.extents() else { continue };
        let Some([height, width]) = config.data.least_size(samples) else {
            return Err(TrainingError::MixedSizes { data: data(), least: extents.least, greatest: extents.greatest });
        };
        if height.min(width) < smallest {
            return Err(TrainingError::TooSmall { data: data(), arch: model.arch.name(), smallest, height, width });
        }
    }
    Ok(())
}
