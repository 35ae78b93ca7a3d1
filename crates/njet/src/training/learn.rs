//! The loop, whatever is learned.

use super::checkpoint::{self, State};
use super::error::TrainingError;
use super::objective::{Course, Model, Objective, Settings};
use super::optimizer::{optimizer, schedule};
use super::parts::{Learned, learn_from};
use super::prior::sigma_prior;
use super::record::{BoundScale, EpochRecord, Observer, Progress, Start, write_metrics};
use super::run::{RunDirectory, load_weights};
use crate::data::{Feed, Random, Stream, batch_random};
use crate::models::{LayerDescription, Network};
use burn::module::Module;
use burn::tensor::Device;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What an epoch has come to so far.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    /// Images.
    seen: usize,
    /// Their loss.
    loss: f64,
    /// Those that were right.
    right: f64,
}

/// Trains from the newest checkpoint of `run`, or from the start where it has none, to the end. Interrupted at any moment
/// and called again, it ends with the same numbers.
///
/// # Errors
/// Files of the run that cannot be read or written; a loss that is not finite.
pub(crate) fn learn<O: Objective>(
    objective: &O,
    run: &RunDirectory,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<State, TrainingError> {
    let settings = objective.settings();
    let course = settings.course();
    let device = device.clone().autodiff();
    device.seed(Random::for_stream(course.seed, Stream::Weights, 0).next_u64());
    let model = match settings.goes_on() {
        true => load_weights(run, settings, &run.origin_path(), &device)?,
        false => run.init_model(settings, &device)?,
    };
    let model = model.materialize();
    let images = objective.images();
    let per_epoch = images[0];
    let steps_per_epoch = per_epoch.div_ceil(course.batch_size);
    let restored = checkpoint::load(run, model.clone(), |model| optimizer(course.optimizer, model))?;
    let (mut model, mut optimizer, mut state) =
        restored.unwrap_or_else(|| (model.clone(), optimizer(course.optimizer, &model), State::default()));
    let mut schedule = schedule(&course, &model, steps_per_epoch);
    for _ in 0..state.steps {
        schedule.step();
    }
    write_metrics(run, &state.epochs)?;
    let Course { arch, layer, source, epochs, .. } = course;
    let parameters = model.num_parameters();
    observer.started(&Start { arch, layer, source, epochs, parameters, images, done: state.epochs.len() });

    while state.epochs.len() < epochs {
        let epoch = state.epochs.len() + 1;
        let start = Instant::now();
        let random = |stream| Random::for_stream(course.seed, stream, epoch as u64);
        device.seed(random(Stream::Weights).next_u64());
        let batches = objective.batches(&mut random(Stream::Shuffle));
        // Every random choice of a batch follows from the seed, the epoch and its number.
        let make = |number: usize| objective.batch(&batches[number], &mut batch_random(course.seed, epoch, number));
        let mut sums = Sums::default();
        let mut waited = Duration::ZERO;
        let mut step = |model: Model<O>, batch, number| -> Result<Model<O>, TrainingError> {
            // The loss that is reported is that of the images.
            let prior = |model: &Model<O>| sigma_prior(model, course.optimizer, course.sigma);
            let (model, Learned { loss, images, right, gradients }) =
                learn_from(objective, model, batch, &device, course.optimizer.precision, prior);
            state.steps += 1;
            let Some(gradients) = gradients else {
                return Err(TrainingError::Diverged { loss, epoch, step: number });
            };
            let model = optimizer.step(schedule.step(), model, gradients);
            check_scales(&model, epoch, number)?;
            sums.seen += images;
            sums.loss += loss * images as f64;
            sums.right += right;
            observer.stepped(&progress(&course, per_epoch, epoch, &sums, start));
            if observer.stop() {
                return Err(TrainingError::Stopped { epoch });
            }
            Ok(model)
        };
        model = Feed::run(batches.len(), objective.workers(), make, |feed| {
            let model = feed.by_ref().zip(1..).try_fold(model, |model, (batch, number)| step(model, batch?, number));
            waited = feed.waited();
            model
        })?;
        let trained = model.valid();
        let validation = objective.validate(&trained)?;
        if !validation.loss.is_finite() {
            // The last step broke the weights: neither a model nor a checkpoint may be made of them.
            return Err(TrainingError::Diverged { loss: validation.loss, epoch, step: steps_per_epoch });
        }
        let seconds = start.elapsed().as_secs_f64();
        let record = EpochRecord {
            epoch,
            train_loss: sums.loss / sums.seen as f64,
            train_accuracy: sums.right / sums.seen as f64,
            val_loss: validation.loss,
            val_accuracy: validation.accuracy,
            val_miou: validation.miou,
            sigma: sigmas(&trained),
            kernel: kernels(&trained, course.size),
            seconds,
            waiting: (waited + validation.waited).as_secs_f64() / seconds.max(1e-9),
        };
        let best = EpochRecord::best(&state.epochs).is_none_or(|best| record.score() > best.score());
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
        let bound = if course.learn_sigma { bound_scales(&trained) } else { Vec::new() };
        if !bound.is_empty() {
            observer.at_bounds(epoch, &bound);
        }
    }
    Ok(state)
}

fn progress(
    course: &Course<'_>,
    per_epoch: usize,
    epoch: usize,
    &Sums { seen, loss, right }: &Sums,
    start: Instant,
) -> Progress {
    let rate = seen as f64 / start.elapsed().as_secs_f64().max(1e-9);
    let left = per_epoch - seen + (course.epochs - epoch) * per_epoch;
    Progress {
        epoch,
        epochs: course.epochs,
        images: seen,
        images_per_epoch: per_epoch,
        loss: loss / seen as f64,
        accuracy: right / seen as f64,
        images_per_second: rate,
        seconds_left: left as f64 / rate,
    }
}

fn kernels(model: &impl Network, size: [usize; 2]) -> BTreeMap<String, [usize; 2]> {
    let spatial = |layer: &LayerDescription| layer.kernel != [1, 1];
    let layers = model.describe(size).layers.into_iter();
    layers.filter(spatial).map(|layer| (layer.name, layer.kernel)).collect()
}

/// Checks that the filters of the next forward pass can be built, which would panic.
fn check_scales(model: &impl Network, epoch: usize, step: usize) -> Result<(), TrainingError> {
    for (name, layer) in model.njet_layers() {
        if let Err(source) = layer.settings().check_scales() {
            return Err(TrainingError::Scale { layer: name.to_owned(), source, epoch, step });
        }
    }
    Ok(())
}

/// σ of every N-jet layer in pixels.
pub(crate) fn sigmas(model: &impl Network) -> BTreeMap<String, Vec<f64>> {
    model.njet_layers().into_iter().map(|(name, layer)| (name.to_owned(), layer.sigmas())).collect()
}

/// Scales at their bounds.
fn bound_scales(model: &impl Network) -> Vec<BoundScale> {
    let layers = model.njet_layers().into_iter();
    let of_layer = |(name, layer): (&str, &crate::layer::NJetConv2d)| {
        let (layer_name, bounds) = (name.to_owned(), layer.bounds);
        let scales = layer.at_bounds().into_iter();
        scales.map(move |scale| BoundScale { layer: layer_name.clone(), scale, bounds }).collect::<Vec<_>>()
    };
    layers.flat_map(of_layer).collect()
}
