//! The training loop.

use super::checkpoint::{self, State};
use super::config::{DataConfig, OriginKind, RunConfig};
use super::error::TrainingError;
use super::evaluate::{self, Evaluation, correct, tensors};
use super::optimizer::{optimizer, schedule};
use super::origin::first_weights;
use super::prior::sigma_prior;
use super::run::{RunDirectory, load_model, write};
use crate::data::{
    Augment, Dataset, Feed, Normalisation, Preparation, Random, Samples, Sizing, Stream, batch_random, limit,
    stratified_split, workers,
};
use crate::layer::{AtBound, SigmaBounds};
use crate::models::{Classifier, LayerDescription};
use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

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
    /// Part of that time in which images were waited for; 0 in records from before it was measured.
    #[serde(default)]
    pub waiting: f64,
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
    /// Whether to end the run after this step. What the epoch has done so far is lost; the run can be gone on with.
    fn stop(&self) -> bool {
        false
    }
    /// Once an epoch, where some scales are at a bound.
    fn at_bounds(&mut self, epoch: usize, scales: &[BoundScale]) {
        let _ = (epoch, scales);
    }
    /// After every epoch.
    fn epoch_ended(&mut self, record: &EpochRecord, best: bool) {
        let _ = (record, best);
    }
}

/// A scale that training has pushed to a bound.
#[derive(Debug, Clone, PartialEq)]
pub struct BoundScale {
    /// Name of the layer.
    pub layer: String,
    /// Which scale, how large it is, and which bound.
    pub scale: AtBound,
    /// The bounds of the layer.
    pub bounds: SigmaBounds,
}

/// Hears and says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}

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

/// What an epoch has come to so far.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    /// Images.
    seen: usize,
    /// Their cross-entropy.
    loss: f64,
    /// Those whose label had the highest logit.
    right: usize,
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
        let config = self.config;
        let device = self.device.clone().autodiff();
        device.seed(Random::for_stream(config.seed, Stream::Weights, 0).next_u64());
        let model = match first_weights(run, config, &device)? {
            Some(model) => model,
            None => run.init_model(config, &device)?,
        };
        let model = model.materialize();
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
        while state.epochs.len() < config.epochs {
            let epoch = state.epochs.len() + 1;
            let start = Instant::now();
            device.seed(self.random(Stream::Weights, epoch).next_u64());
            let batches = self.batches(epoch);
            let augment = Augment { shift: config.augment.shift, flip: config.augment.flip };
            // Every random choice of a batch follows from the seed, the epoch and its number.
            let make = |number: usize| {
                let mut random = batch_random(config.seed, epoch, number);
                self.preparation.batch(&self.dataset.train, &batches[number], Some(augment), &mut random)
            };
            let mut sums = Sums::default();
            let mut waited = Duration::ZERO;
            let mut step = |model: Classifier, batch, number| -> Result<Classifier, TrainingError> {
                let (images, targets, labels) = tensors(batch, &device);
                let logits = model.forward(images);
                sums.right += correct(&logits, &labels);
                let mean = loss.forward(logits, targets);
                let value = f64::from(mean.clone().into_scalar::<f32>());
                state.steps += 1;
                if !value.is_finite() {
                    return Err(TrainingError::Diverged { loss: value, epoch, step: number });
                }
                // The loss that is reported is that of the images.
                let total = match sigma_prior(&model, &config.optimizer, config.model.sigma) {
                    Some(prior) => mean + prior,
                    None => mean,
                };
                let gradients = GradientsParams::from_grads(total.backward(), &model);
                let model = optimizer.step(schedule.step(), model, gradients);
                check_scales(&model, epoch, number)?;
                sums.seen += labels.len();
                sums.loss += value * labels.len() as f64;
                observer.stepped(&self.progress(epoch, &sums, start));
                if observer.stop() {
                    return Err(TrainingError::Stopped { epoch });
                }
                Ok(model)
            };
            model = Feed::run(batches.len(), workers(&self.dataset.train), make, |feed| {
                let model =
                    feed.by_ref().zip(1..).try_fold(model, |model, (batch, number)| step(model, batch?, number));
                waited = feed.waited();
                model
            })?;
            let trained = model.valid();
            let (validation, waited_too) = self.evaluate(&trained, &self.dataset.train, &self.validation)?;
            if !validation.loss.is_finite() {
                // The last step broke the weights: neither a model nor a checkpoint may be made of them.
                return Err(TrainingError::Diverged { loss: validation.loss, epoch, step: steps_per_epoch });
            }
            let seconds = start.elapsed().as_secs_f64();
            let record = EpochRecord {
                epoch,
                train_loss: sums.loss / sums.seen as f64,
                train_accuracy: sums.right as f64 / sums.seen as f64,
                val_loss: validation.loss,
                val_accuracy: validation.accuracy,
                sigma: sigmas(&trained),
                kernel: self.kernels(&trained),
                seconds,
                waiting: (waited + waited_too).as_secs_f64() / seconds.max(1e-9),
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
            // Scales that are not trained may stay where they were put.
            let bound = if config.model.learn_sigma { bound_scales(&trained) } else { Vec::new() };
            if !bound.is_empty() {
                observer.at_bounds(epoch, &bound);
            }
        }
        self.summary(run, &state)
    }

    fn random(&self, stream: Stream, epoch: usize) -> Random {
        Random::for_stream(self.config.seed, stream, epoch as u64)
    }

    /// The training images of an epoch, batch by batch.
    fn batches(&self, epoch: usize) -> Vec<Vec<usize>> {
        let mut random = self.random(Stream::Shuffle, epoch);
        let mut order = self.training.clone();
        random.shuffle(&mut order);
        self.preparation.batches(&self.dataset.train, order, self.config.batch_size, Some(&mut random))
    }

    fn evaluate(
        &self,
        model: &Classifier,
        samples: &Samples,
        indices: &[usize],
    ) -> Result<(Evaluation, Duration), TrainingError> {
        Ok(evaluate::timed(model, samples, indices, &self.preparation, &self.device)?)
    }

    fn kernels(&self, model: &Classifier) -> BTreeMap<String, [usize; 2]> {
        let [height, width] = self.config.data.size;
        let spatial = |layer: &LayerDescription| layer.kernel != [1, 1];
        let layers = model.describe(height, width).layers.into_iter();
        layers.filter(spatial).map(|layer| (layer.name, layer.kernel)).collect()
    }

    fn progress(&self, epoch: usize, &Sums { seen, loss, right }: &Sums, start: Instant) -> Progress {
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
        let (evaluation, _) = self.evaluate(&model, test, &all)?;
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

/// Scales at their bounds.
fn bound_scales(model: &Classifier) -> Vec<BoundScale> {
    let layers = model.njet_layers();
    let of_layer = |(name, layer): (&str, &crate::layer::NJetConv2d)| {
        let (layer_name, bounds) = (name.to_owned(), layer.bounds);
        let scales = layer.at_bounds().into_iter();
        scales.map(move |scale| BoundScale { layer: layer_name.clone(), scale, bounds }).collect::<Vec<_>>()
    };
    layers.flat_map(of_layer).collect()
}

/// The finished epochs of a run, from its `metrics.jsonl`; none where there is no such file.
///
/// # Errors
/// The file cannot be read, or a line of it is no record of an epoch.
pub fn read_metrics(run: &RunDirectory) -> Result<Vec<EpochRecord>, TrainingError> {
    let path = run.metrics_path();
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(TrainingError::file("read", path)(e)),
    };
    let record = |(line, text): (usize, &str)| {
        serde_json::from_str(text).map_err(|e| TrainingError::Damaged {
            path: path.clone(),
            reason: format!("line {}: {e}", line + 1),
            advice: format!("`njet train --resume {}` writes it anew", run.path().display()),
        })
    };
    text.lines().enumerate().map(record).collect()
}

fn write_metrics(run: &RunDirectory, epochs: &[EpochRecord]) -> Result<(), TrainingError> {
    let mut text = String::new();
    for epoch in epochs {
        text += &serde_json::to_string(epoch).expect("plain values");
        text.push('\n');
    }
    write(&run.metrics_path(), text.as_bytes())
}
