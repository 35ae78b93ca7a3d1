//! Settings of a run: all that is needed to repeat it.

use super::objective::{Course, Settings};
use crate::data::{Dataset, ImageSet, Normalisation, Preparation, Samples, Sizing};
use crate::layer::Precision;
use crate::models::{Architecture, Classifier, ModelConfig, ModelError};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// One label for each image.
    #[default]
    Classify,
    /// A class for every pixel.
    Segment,
}

impl Task {
    /// The name on the command line and in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classify => "classify",
            Self::Segment => "segment",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Task {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = [Self::Classify, Self::Segment].into_iter().find(|task| task.name() == name);
        known.ok_or_else(|| format!("unknown task `{name}`: known are classify, segment"))
    }
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RunConfig {
    /// What is learned.
    pub task: Task,
    /// Passes over the training set.
    pub epochs: usize,
    /// Images in a step.
    pub batch_size: usize,
    /// Decides every random choice.
    pub seed: u64,
    /// Images.
    pub data: DataConfig,
    /// Network.
    pub model: ModelConfig,
    /// Optimiser.
    pub optimizer: OptimizerConfig,
    /// Learning rate over time.
    pub schedule: ScheduleConfig,
    /// Random changes of the training images.
    pub augment: AugmentConfig,
    /// Where the weights come from, if they were not trained here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// What made a run that was not trained from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OriginKind {
    /// `njet transfer`: every σ of a run multiplied.
    #[default]
    Transfer,
    /// `njet import`: a file of another program.
    Import,
    /// `njet convert`: N-jets fitted to the filters of a run. Training goes on from there.
    Convert,
}

impl OriginKind {
    fn is_transfer(&self) -> bool {
        *self == Self::Transfer
    }

    /// The command.
    pub const fn command(self) -> &'static str {
        match self {
            Self::Transfer => "njet transfer",
            Self::Import => "njet import",
            Self::Convert => "njet convert",
        }
    }
}

/// The run, or the file, that a run was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Origin {
    /// The directory of the run that was trained, or the file, as it was named.
    pub run: String,
    /// What every σ was multiplied by.
    #[serde(default = "unscaled", skip_serializing_if = "is_unscaled")]
    pub scale: f64,
    /// What made it.
    #[serde(default, skip_serializing_if = "OriginKind::is_transfer")]
    pub by: OriginKind,
}

fn unscaled() -> f64 {
    1.0
}

fn is_unscaled(scale: &f64) -> bool {
    *scale == 1.0
}

/// Where the images come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DataConfig {
    /// A known name, a directory, or a multi-size set: what [`load`](crate::data::load) takes.
    pub source: String,
    /// Use at most this many training images, drawn class by class, validation images included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Part of the training images that is kept for validation, class by class.
    pub validation: f64,
    /// Rows and columns of an image as the model sees it; the bound of [`Sizing::Group`].
    pub size: [usize; 2],
    /// How images are brought to that size.
    #[serde(default)]
    pub sizing: Sizing,
    /// Names of the classes, for when the data is gone; none in runs from before they were kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// How pixels become numbers: that of the training images, for whatever the model sees later.
    pub normalisation: Normalisation,
}

/// Which optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// AdamW (Loshchilov and Hutter 2019).
    Adamw,
    /// Stochastic gradient descent with momentum.
    Sgd,
    /// Muon (Jordan and others 2024) for what mixes channels, but for the first and the last layer; AdamW for the rest.
    Muon,
}

impl OptimizerKind {
    /// The momentum that is usual with it.
    pub const fn usual_momentum(self) -> f64 {
        match self {
            Self::Muon => 0.95,
            Self::Adamw | Self::Sgd => 0.9,
        }
    }
}

/// Optimiser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Which.
    pub kind: OptimizerKind,
    /// Learning rate at the start.
    pub lr: f64,
    /// Learning rate of s = log₂ σ at the start.
    pub sigma_lr: f64,
    /// Pull of the weights towards zero. Never on σ, on the normalisation or on biases.
    pub weight_decay: f64,
    /// Momentum of `sgd` and `muon`.
    pub momentum: f64,
    /// Weight of a prior on log₂ σ: this times its squared distance from the centre, in octaves, is added to the loss.
    #[serde(default)]
    pub sigma_prior: f64,
    /// The centre of the prior in pixels; `None`: the initial σ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigma_prior_at: Option<f64>,
    /// In what precision N-jet layers multiply while they are trained, and the iterations of Muon for them.
    #[serde(default)]
    pub precision: Precision,
}

impl Default for OptimizerConfig {
    /// AdamW.
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Adamw,
            lr: 1e-2,
            sigma_lr: 1e-2,
            weight_decay: 1e-2,
            momentum: 0.9,
            sigma_prior: 0.0,
            sigma_prior_at: None,
            precision: Precision::F32,
        }
    }
}

/// Shape of the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// Half a cosine from the learning rate down to zero.
    Cosine,
    /// Times `gamma` after every `every` epochs.
    Step,
}

/// Learning rate over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ScheduleConfig {
    /// Shape.
    pub kind: ScheduleKind,
    /// Epochs between steps of `step`.
    pub every: usize,
    /// Factor of a step.
    pub gamma: f64,
}

impl Default for ScheduleConfig {
    /// A cosine; the steps of the other are five epochs long.
    fn default() -> Self {
        Self { kind: ScheduleKind::Cosine, every: 5, gamma: 0.1 }
    }
}

/// Random changes of the training images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AugmentConfig {
    /// Largest shift along each axis in pixels.
    pub shift: usize,
    /// Whether half of the images are mirrored left to right.
    pub flip: bool,
}

/// The source of a run that has no data.
pub const NO_DATA: &str = "none";

/// Longest side that [`Sizing::Letterbox`] and [`Sizing::RandomResizedCrop`] have unless a size is given: what a processor
/// trains on in reasonable time.
const DEFAULT_SIDE: usize = 128;

/// The bound of [`Sizing::Group`] unless one is given.
const DEFAULT_BOUND: usize = 256;

impl DataConfig {
    /// A tenth for validation; images as they are where they have one size, [`Sizing::Letterbox`] where they have not.
    pub fn new(dataset: &Dataset) -> Self {
        let shape = dataset.train.shape();
        let mixed = shape.is_none() || shape != dataset.test.shape();
        let data = Self {
            source: dataset.name.clone(),
            limit: None,
            validation: 0.1,
            size: [1, 1],
            sizing: Sizing::Fixed,
            normalisation: Normalisation::of(&dataset.train),
            classes: dataset.classes.clone(),
        };
        data.with_sizing(if mixed { Sizing::Letterbox } else { Sizing::Fixed }, dataset)
    }

    /// With this sizing, and a size that goes with it and the data: that of the images, or a square of the median of their
    /// longer sides, 128 at most; for [`Sizing::Group`] the longest side, 256 at most.
    pub fn with_sizing(mut self, sizing: Sizing, dataset: &Dataset) -> Self {
        self.sizing = sizing;
        if let Some(extents) = dataset.train.extents() {
            let longer = |[height, width]: [usize; 2]| height.max(width);
            self.size = match sizing {
                Sizing::Fixed => extents.greatest,
                Sizing::Letterbox | Sizing::RandomResizedCrop => [longer(extents.median).min(DEFAULT_SIDE); 2],
                Sizing::Group => [longer(extents.greatest).min(DEFAULT_BOUND); 2],
            };
        }
        self
    }

    /// How the images become the input of a model.
    pub fn preparation(&self, model: &ModelConfig) -> Preparation {
        let Self { size, sizing, normalisation, .. } = *self;
        Preparation { sizing, size, least: model.smallest_image(), channels: model.channels, normalisation }
    }

    /// The smallest `[height, width]` that the model sees of some images; `None` where [`Sizing::Fixed`] meets several.
    pub(super) fn least_size(&self, samples: &Samples) -> Option<[usize; 2]> {
        match self.sizing {
            Sizing::Fixed => samples.shape().map(|[_, height, width]| [height, width]),
            Sizing::Letterbox | Sizing::RandomResizedCrop => Some(self.size),
            // What is smaller than the model needs is put into a larger batch.
            Sizing::Group => Some([usize::MAX; 2]),
        }
    }
}

/// A setting that makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{setting} is {value}: it must be {allowed}")]
pub struct ConfigError {
    /// Which setting.
    pub setting: &'static str,
    /// What it is.
    pub value: String,
    /// What it may be.
    pub allowed: &'static str,
}

impl RunConfig {
    /// AdamW and a cosine for eight epochs, batches of 64, shifts of one pixel, a tenth of the training
    /// images for validation.
    pub fn new(dataset: &Dataset, arch: Architecture) -> Self {
        let channels = dataset.channels();
        Self {
            task: Task::Classify,
            epochs: 8,
            batch_size: 64,
            seed: 1,
            data: DataConfig::new(dataset),
            model: ModelConfig::new(arch, channels, dataset.classes.len()),
            optimizer: OptimizerConfig::default(),
            schedule: ScheduleConfig::default(),
            augment: AugmentConfig { shift: 1, flip: false },
            origin: None,
        }
    }

    /// For a model that came without data: pixels from 0 to 1 as they are, images of any size brought to `size`. Training
    /// settings are the usual ones.
    pub fn without_data(model: ModelConfig, size: [usize; 2]) -> Self {
        let grey = ImageSet::new(vec![0], vec![0], 1, 1, 1).expect("a pixel");
        let samples = || Samples::from(grey.clone());
        let dataset = Dataset { name: NO_DATA.to_owned(), classes: Vec::new(), train: samples(), test: samples() };
        let mut config = Self::new(&dataset, model.arch);
        config.model = model;
        config.data.size = size;
        config.data.sizing = Sizing::Letterbox;
        config.data.normalisation = Normalisation { mean: 0.0, std: 1.0 };
        config
    }

    /// Checks every setting that does not depend on the data; those of the layers are checked where
    /// the model is built.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.course().validate()?;
        let part = self.data.validation;
        check(part > 0.0 && part < 1.0, "the validation part", &part, "above 0 and below 1")?;
        check_size(self.data.size)?;
        check(self.data.limit != Some(0), "the limit on the training images", &0, "at least 1")
    }
}

impl Settings for RunConfig {
    type Model = Classifier;
    const TASK: Task = Task::Classify;

    fn validate(&self) -> Result<(), ConfigError> {
        self.validate()
    }

    fn init(&self, device: &Device) -> Result<Classifier, ModelError> {
        self.model.init(device)
    }

    fn fill(&mut self, other: &Self) {
        if self.data.classes.is_empty() {
            self.data.classes.clone_from(&other.data.classes);
        }
    }

    fn goes_on(&self) -> bool {
        self.origin.as_ref().is_some_and(|origin| origin.by == OriginKind::Convert)
    }

    fn course(&self) -> Course<'_> {
        Course {
            arch: self.model.arch.name(),
            layer: self.model.layer,
            source: &self.data.source,
            size: self.data.size,
            epochs: self.epochs,
            batch_size: self.batch_size,
            seed: self.seed,
            sigma: self.model.sigma,
            learn_sigma: self.model.learn_sigma,
            optimizer: &self.optimizer,
            schedule: &self.schedule,
        }
    }
}

impl Course<'_> {
    /// Checks the settings that every run has.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let rate = |lr: f64| lr > 0.0 && lr <= 1.0;
        let &OptimizerConfig { lr, sigma_lr, weight_decay, momentum, sigma_prior, sigma_prior_at, .. } = self.optimizer;
        // The bound keeps the number of steps, which the schedules count, far from overflowing.
        let passes = |n: usize| (1..=1_000_000).contains(&n);
        check(passes(self.epochs), "the number of epochs", &self.epochs, "at least 1 and at most 1000000")?;
        check(self.batch_size > 0, "the batch size", &self.batch_size, "at least 1")?;
        check(rate(lr), "the learning rate", &lr, "above 0 and at most 1")?;
        check(rate(sigma_lr), "the learning rate of sigma", &sigma_lr, "above 0 and at most 1")?;
        check((0.0..1.0).contains(&weight_decay), "the weight decay", &weight_decay, "at least 0 and below 1")?;
        check((0.0..1.0).contains(&momentum), "the momentum", &momentum, "at least 0 and below 1")?;
        let weight = sigma_prior >= 0.0 && sigma_prior.is_finite();
        check(weight, "the weight of the prior on sigma", &sigma_prior, "at least 0")?;
        let centre = sigma_prior_at.unwrap_or(1.0);
        check(centre > 0.0 && centre.is_finite(), "the centre of the prior on sigma", &centre, "above 0 pixels")?;
        let &ScheduleConfig { every, gamma, .. } = self.schedule;
        check(passes(every), "the number of epochs between steps", &every, "at least 1 and at most 1000000")?;
        check(gamma > 0.0 && gamma <= 1.0, "the factor of the schedule", &gamma, "above 0 and at most 1")
    }
}

/// An error unless the setting is as it must be.
pub(crate) fn check(
    ok: bool,
    setting: &'static str,
    value: &dyn fmt::Display,
    allowed: &'static str,
) -> Result<(), ConfigError> {
    if ok { Ok(()) } else { Err(ConfigError { setting, value: value.to_string(), allowed }) }
}

/// Checks the size that training images have.
pub(crate) fn check_size([height, width]: [usize; 2]) -> Result<(), ConfigError> {
    let fits = [height, width].iter().all(|n| (1..=16_384).contains(n));
    check(fits, "the size of the images", &format!("{height}×{width}"), "at least 1×1 and at most 16384×16384")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data;

    fn config() -> RunConfig {
        let set = data::ImageSet::new(vec![0, 255, 7, 9], vec![0], 1, 2, 2).unwrap();
        let classes = vec!["cat".to_owned(), "dog".to_owned()];
        let (train, test) = (set.clone().into(), set.into());
        let dataset = Dataset { name: "somewhere".to_owned(), classes, train, test };
        RunConfig::new(&dataset, Architecture::Small)
    }

    /// Settings written before there was a choice.
    #[test]
    fn without_a_sizing_it_is_fixed() {
        let mut config = config();
        let text = toml::to_string(&config).unwrap();
        assert!(text.contains("sizing = \"fixed\"\n"), "{text}");
        assert_eq!(toml::from_str::<RunConfig>(&text.replace("sizing = \"fixed\"\n", "")).unwrap(), config);
        config.data.sizing = Sizing::RandomResizedCrop;
        let text = toml::to_string(&config).unwrap();
        assert!(text.contains("sizing = \"random-resized-crop\"\n"), "{text}");
        assert_eq!(toml::from_str::<RunConfig>(&text).unwrap(), config);
    }

    /// Runs from before the names of the classes were kept.
    #[test]
    fn without_classes_there_are_none() {
        let mut config = config();
        let text = toml::to_string(&config).unwrap();
        let line = "classes = [\"cat\", \"dog\"]\n";
        assert!(text.contains(line), "{text}");
        config.data.classes.clear();
        assert_eq!(toml::from_str::<RunConfig>(&text.replace(line, "")).unwrap(), config);
        assert!(!toml::to_string(&config).unwrap().contains("classes = ["));
    }

    #[test]
    fn toml_round_trip() {
        let mut config = config();
        config.data.limit = Some(100);
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<RunConfig>(&text).unwrap(), config);
        assert!(text.contains("arch = \"njet-small\""), "{text}");
    }

    #[test]
    fn senseless_settings_are_named() {
        let message = |change: fn(&mut RunConfig)| {
            let mut config = config();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert_eq!(config().validate(), Ok(()));
        assert_eq!(message(|c| c.batch_size = 0), "the batch size is 0: it must be at least 1");
        assert!(message(|c| c.optimizer.lr = -0.1).contains("the learning rate is -0.1"));
        assert!(message(|c| c.optimizer.lr = f64::NAN).contains("the learning rate is NaN"));
        assert!(message(|c| c.optimizer.sigma_lr = 0.0).contains("rate of sigma is 0"));
        assert!(message(|c| c.optimizer.weight_decay = -1.0).contains("weight decay"));
        assert!(message(|c| c.optimizer.momentum = 1.0).contains("momentum"));
        assert!(message(|c| c.epochs = 0).contains("epochs is 0"));
        assert!(message(|c| c.epochs = usize::MAX).contains("at most 1000000"));
        assert!(message(|c| c.data.validation = 1.0).contains("validation part is 1"));
        assert!(message(|c| c.data.size = [8, 0]).contains("the size of the images is 8×0"));
        assert!(message(|c| c.data.limit = Some(0)).contains("limit"));
        assert!(message(|c| c.schedule.gamma = 0.0).contains("factor"));
        assert!(message(|c| c.schedule.every = 0).contains("between steps"));
    }
}
