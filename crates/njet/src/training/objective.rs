//! What the loop must know of a task: its settings, its batches, its loss and its validation.

use super::config::{ConfigError, OptimizerConfig, ScheduleConfig, Task};
use super::error::TrainingError;
use crate::data::{DataError, Random};
use crate::models::{LayerKind, ModelError, Network};
use burn::tensor::{Device, Tensor};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::time::Duration;

/// The settings of a run, which are its `config.toml`.
pub trait Settings: Serialize + DeserializeOwned + Clone + Debug + PartialEq {
    /// What is trained.
    type Model: Network;
    /// What is learned.
    const TASK: Task;

    /// Checks every setting that depends neither on the data nor on the layers.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    fn validate(&self) -> Result<(), ConfigError>;

    /// A model with random parameters.
    ///
    /// # Errors
    /// Settings that make no model.
    fn init(&self, device: &Device) -> Result<Self::Model, ModelError>;

    /// Takes from `other` what runs did not keep before.
    fn fill(&mut self, other: &Self) {
        let _ = other;
    }

    /// Whether training goes on from weights that came from elsewhere, in `origin.safetensors`.
    fn goes_on(&self) -> bool {
        false
    }

    /// What every run has.
    fn course(&self) -> Course<'_>;
}

/// The settings that every run has, whatever it learns.
#[derive(Debug, Clone, Copy)]
pub struct Course<'a> {
    /// Name of the architecture.
    pub arch: &'static str,
    /// What its spatial layers are.
    pub layer: LayerKind,
    /// The data's name.
    pub source: &'a str,
    /// Rows and columns of the training images.
    pub size: [usize; 2],
    /// Passes over the training set.
    pub epochs: usize,
    /// Images in a step.
    pub batch_size: usize,
    /// Decides every random choice.
    pub seed: u64,
    /// The initial σ in pixels, and whether it is trained.
    pub sigma: f64,
    /// Whether σ is trained.
    pub learn_sigma: bool,
    /// Optimiser.
    pub optimizer: &'a OptimizerConfig,
    /// Learning rate over time.
    pub schedule: &'a ScheduleConfig,
}

/// A task on a data set.
pub(crate) trait Objective: Sync {
    /// The settings of its runs.
    type Settings: Settings;
    /// What a step learns from.
    type Batch: Send;

    fn settings(&self) -> &Self::Settings;

    /// Images to train, to validate and to test.
    fn images(&self) -> [usize; 3];

    /// The training images of an epoch, batch by batch. `random` is that of the epoch.
    fn batches(&self, random: &mut Random) -> Vec<Vec<usize>>;

    /// Threads that make batches.
    fn workers(&self) -> usize;

    /// A batch of training images. `random` is that of the batch.
    fn batch(&self, images: &[usize], random: &mut Random) -> Result<Self::Batch, DataError>;

    /// The parts of a batch that are learned from side by side.
    fn parts(&self, batch: Self::Batch) -> Vec<Part<Self::Batch>> {
        vec![Part { batch, share: 1.0, sigma_images: None }]
    }

    /// What a model makes of a batch, or of a part of one.
    fn step(&self, model: &Model<Self>, batch: Self::Batch, device: &Device) -> Step;

    /// What a model makes of the validation images.
    fn validate(&self, model: &Model<Self>) -> Result<Validation, TrainingError>;
}

/// The model of a task.
pub(crate) type Model<O> = <<O as Objective>::Settings as Settings>::Model;

/// Some images of a batch.
pub(crate) struct Part<B> {
    pub(crate) batch: B,
    /// How much of the whole batch they are.
    pub(crate) share: f64,
    /// The first so many of them are those that σ learns from; `None`: all.
    pub(crate) sigma_images: Option<usize>,
}

/// What a model made of a batch.
pub(crate) struct Step {
    /// The loss, to be made smaller.
    pub(crate) loss: Tensor<1>,
    /// Images in the batch.
    pub(crate) images: usize,
    /// Those that were right; of segmentation the part of the pixels times the images.
    pub(crate) right: f64,
}

/// What a model made of the validation images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Validation {
    pub(crate) loss: f64,
    pub(crate) accuracy: f64,
    pub(crate) miou: Option<f64>,
    /// Time spent waiting for images.
    pub(crate) waited: Duration,
}
