//! The training loop.

use super::checkpoint::{self, State};
use super::config::{DataConfig, RunConfig};
use super::error::TrainingError;
use super::evaluate::{Evaluation, correct, evaluate, tensors};
use super::optimizer::{optimizer, schedule};
use super::run::{RunDirectory, load_model, write};
use crate::data::{Augment, Dataset, ImageSet, Normalisation, Random, Stream, fill_batch, limit, stratified_split};
use crate::models::{Classifier, LayerDescription, ModelConfig};
use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Instant;

/// One epoch: a line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// From 1.
    pub epoch: usize,
    /// Mean cross-entropy over the training images, as they were seen.
    pub train_loss: f64,
    /// Accuracy over the training images, as they were seen.
    pub train_accuracy: f64,
    /// Mean cross-entropy over the validation images.
    pub val_loss: f64,
    /// Accuracy over the validation images.
    pub val_accuracy: f64,
    /// σ of every N-jet layer in pixels.
    pub sigma: BTreeMap<String, Vec<f64>>,
    /// Taps along y and x of every spatial layer.
    pub kernel: BTreeMap<String, [usize; 2]>,
    /// Wall time of the epoch.
    pub seconds: f64,
}

/// Where an epoch stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// From 1.
    pub epoch: usize,
    /// Of the run.
    pub epochs: usize,
    /// Images seen in this epoch.
    pub images: usize,
    /// Images in an epoch.
    pub images_per_epoch: usize,
    /// Mean loss so far in this epoch.
    pub loss: f64,
    /// Accuracy so far in this epoch.
    pub accuracy: f64,
    /// Images a second in this epoch.
    pub images_per_second: f64,
    /// Estimate for the rest of the run.
    pub seconds_left: f64,
}

/// Is told how a run goes.
pub trait Observer {
    /// Before the first step; `done` epochs were finished before an interruption.
    fn started(&mut self, config: &RunConfig, parameters: usize, images: [usize; 3], done: usize) {
        let _ = (config, parameters, images, done);
    }
    /// After every step.
    fn stepped(&mut self, progress: &Progress) {
        let _ = progress;
    }
    /// After every epoch.
    fn epoch_ended(&mut self, record: &EpochRecord, best: bool) {
        let _ = (record, best);
    }
}

/// Hears and says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    device: Device,
}

impl<'a> Trainer<'a> {
    /// Checks the settings against the data and splits it.
    ///
    /// # Errors
    /// Settings that make no sense; data that does not fit the model or is too little.
    pub fn new(config: &'a RunConfig, dataset: &'a Dataset, device: &Device) -> Result<Self, TrainingError> {
        config.validate()?;
        check_data(&config.model, dataset)?;
        let set = &dataset.train;
        let [_, height, width] = set.shape();
        let DataConfig { size, normalisation, .. } = config.data;
        if size != [height, width] || normalisation != Normalisation::of(set) {
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
        Ok(Self { config, dataset, training: of_set(training), validation: of_set(validation), device: device.clone() })
    }

    /// Trains from the newest checkpoint of `run`, or from the start where it has none, to the end.
    /// Interrupted at any moment and called again, it ends with the same numbers.
    ///
    /// # Errors
    /// Files of the run that cannot be read or written; a loss that is not finite.
    pub fn run(&self, run: &RunDirectory, observer: &mut dyn Observer) -> Result<Summary, TrainingError> {
        let config = self.config;
        let device = self.device.clone().autodiff();
        device.seed(Random::for_stream(config.seed, Stream::Weights, 0).next_u64());
        let model = run.init_model(config, &device)?.materialize();
        let steps_per_epoch = self.training.len().div_ceil(config.batch_size);
        let restored = checkpoint::load(run, model.clone(), |model| optimizer(&config.optimizer, model))?;
        let (mut model, mut optimizer, mut state) =
            restored.unwrap_or_else(|| (model.clone(), optimizer(&config.optimizer, &model), State::default()));
        let mut schedule = schedule(config, &model, steps_per_epoch);
        for _ in 0..state.steps {
            schedule.step();
        }
        write_metrics(run, &state.epochs)?;
        let images = [self.training.len(), self.validation.len(), self.dataset.test.len()];
        observer.started(config, model.num_parameters(), images, state.epochs.len());

        let loss = CrossEntropyLossConfig::new().init(&device);
        let augment = Augment { shift: config.augment.shift, flip: config.augment.flip };
        let mut pixels = Vec::new();
        while state.epochs.len() < config.epochs {
            let epoch = state.epochs.len() + 1;
            let start = Instant::now();
            // Every random choice of an epoch follows from the seed and its number.
            let stream = |stream| Random::for_stream(config.seed, stream, epoch as u64);
            let mut order = self.training.clone();
            stream(Stream::Shuffle).shuffle(&mut order);
            let mut random = stream(Stream::Augment);
            device.seed(stream(Stream::Weights).next_u64());
            let (mut loss_sum, mut right, mut seen) = (0.0, 0, 0);
            for batch in order.chunks(config.batch_size) {
                fill_batch(
                    &self.dataset.train,
                    batch,
                    self.config.data.normalisation,
                    Some(augment),
                    &mut random,
                    &mut pixels,
                );
                let (images, labels) = tensors(&self.dataset.train, batch, &pixels, &device);
                let logits = model.forward(images);
                right += correct(&logits, &self.dataset.train, batch);
                let mean = loss.forward(logits, labels);
                let value = f64::from(mean.clone().into_scalar::<f32>());
                state.steps += 1;
                let step = (state.steps - 1) % steps_per_epoch + 1;
                if !value.is_finite() {
                    return Err(TrainingError::Diverged { loss: value, epoch, step });
                }
                let gradients = GradientsParams::from_grads(mean.backward(), &model);
                model = optimizer.step(schedule.step(), model, gradients);
                check_scales(&model, epoch, step)?;
                seen += batch.len();
                loss_sum += value * batch.len() as f64;
                observer.stepped(&self.progress(epoch, seen, loss_sum, right, start));
            }
            let trained = model.valid();
            let validation = self.evaluate(&trained, &self.dataset.train, &self.validation);
            if !validation.loss.is_finite() {
                // The last step broke the weights: neither a model nor a checkpoint may be made of them.
                return Err(TrainingError::Diverged { loss: validation.loss, epoch, step: steps_per_epoch });
            }
            let record = EpochRecord {
                epoch,
                train_loss: loss_sum / seen as f64,
                train_accuracy: right as f64 / seen as f64,
                val_loss: validation.loss,
                val_accuracy: validation.accuracy,
                sigma: sigmas(&trained),
                kernel: self.kernels(&trained),
                seconds: start.elapsed().as_secs_f64(),
            };
            let best = best_of(&state.epochs).is_none_or(|best| record.val_accuracy > best.val_accuracy);
            // The model first: should the run die before the checkpoint, the epoch is repeated and writes it again.
            if best {
                run.save_model(&trained)?;
            }
            state.seconds += record.seconds;
            state.epochs.push(record);
            checkpoint::save(run, &model, &optimizer, &state)?;
            write_metrics(run, &state.epochs)?;
            observer.epoch_ended(&state.epochs[epoch - 1], best);
        }
        self.summary(run, &state)
    }

    fn evaluate(&self, model: &Classifier, set: &ImageSet, indices: &[usize]) -> Evaluation {
        evaluate(model, set, indices, self.config.data.normalisation, &self.device)
    }

    fn kernels(&self, model: &Classifier) -> BTreeMap<String, [usize; 2]> {
        let [height, width] = self.config.data.size;
        let spatial = |layer: &LayerDescription| layer.kernel != [1, 1];
        let layers = model.describe(height, width).layers.into_iter();
        layers.filter(spatial).map(|layer| (layer.name, layer.kernel)).collect()
    }

    fn progress(&self, epoch: usize, seen: usize, loss: f64, right: usize, start: Instant) -> Progress {
        let per_epoch = self.training.len();
        let rate = seen as f64 / start.elapsed().as_secs_f64().max(1e-9);
        let left = per_epoch - seen + (self.config.epochs - epoch) * per_epoch;
        Progress {
            epoch,
            epochs: self.config.epochs,
            images: seen,
            images_per_epoch: per_epoch,
            loss: loss / seen as f64,
            accuracy: right as f64 / seen as f64,
            images_per_second: rate,
            seconds_left: left as f64 / rate,
        }
    }

    fn summary(&self, run: &RunDirectory, state: &State) -> Result<Summary, TrainingError> {
        let model = load_model(run, self.config, &self.device)?;
        let test = &self.dataset.test;
        let all: Vec<usize> = (0..test.len()).collect();
        let evaluation = self.evaluate(&model, test, &all);
        let best = best_of(&state.epochs).expect("a finished run has an epoch");
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
}

/// The first of the epochs with the highest validation accuracy.
fn best_of(epochs: &[EpochRecord]) -> Option<&EpochRecord> {
    epochs.iter().rev().max_by(|a, b| a.val_accuracy.total_cmp(&b.val_accuracy))
}

/// Checks that a model can take the images of a data set.
///
/// # Errors
/// Other channels or classes than the model's; images that its pooling leaves nothing of.
pub fn check_data(model: &ModelConfig, dataset: &Dataset) -> Result<(), TrainingError> {
    let data = || dataset.name.clone();
    let ([channels, height, width], classes) = (dataset.train.shape(), dataset.classes.len());
    if (model.channels, model.classes) != (channels, classes) {
        return Err(TrainingError::Mismatch {
            data: data(),
            model_channels: model.channels,
            model_classes: model.classes,
            channels,
            classes,
        });
    }
    let smallest = model.smallest_image();
    if height.min(width) < smallest {
        return Err(TrainingError::TooSmall { data: data(), arch: model.arch.name(), smallest, height, width });
    }
    Ok(())
}

/// Checks that the filters of the next forward pass can be built, which would panic.
fn check_scales(model: &Classifier, epoch: usize, step: usize) -> Result<(), TrainingError> {
    for (name, layer) in model.njet_layers() {
        if let Err(source) = layer.settings().check_scales() {
            return Err(TrainingError::Scale { layer: name.to_owned(), source, epoch, step });
        }
    }
    Ok(())
}

fn sigmas(model: &Classifier) -> BTreeMap<String, Vec<f64>> {
    model.njet_layers().map(|(name, layer)| (name.to_owned(), layer.sigmas())).collect()
}

fn write_metrics(run: &RunDirectory, epochs: &[EpochRecord]) -> Result<(), TrainingError> {
    let mut text = String::new();
    for epoch in epochs {
        text += &serde_json::to_string(epoch).expect("plain values");
        text.push('\n');
    }
    write(&run.metrics_path(), text.as_bytes())
}
