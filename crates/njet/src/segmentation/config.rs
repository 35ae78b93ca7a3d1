//! Settings of a run that learns to segment.

use super::data::{JointAugment, Scenes, SegmentationSet};
use super::loss::Loss;
use crate::data::{DataError, Normalisation};
use crate::models::{ModelError, UNet, UNetConfig};
use crate::training::{
    ConfigError, Course, OptimizerConfig, OptimizerKind, ScheduleConfig, Settings, Task, check, check_size,
};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// Name of the architecture on the command line and in files.
pub const UNET: &str = "unet";

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SegmentationConfig {
    /// [`Task::Segment`].
    pub task: Task,
    /// Passes over the training scenes.
    pub epochs: usize,
    /// Scenes in a step.
    pub batch_size: usize,
    /// Parts of a step that are learned from side by side, each with batch normalisation of its own.
    #[serde(default = "one")]
    pub parts: usize,
    /// Scenes of a step that σ learns from, as many of each part; `None`: all. On the CPU backend; elsewhere it learns from all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigma_images: Option<usize>,
    /// Decides every random choice.
    pub seed: u64,
    /// Scenes.
    pub data: SceneConfig,
    /// Network.
    pub model: UNetConfig,
    /// What is made small.
    pub loss: Loss,
    /// Optimiser.
    pub optimizer: OptimizerConfig,
    /// Learning rate over time.
    pub schedule: ScheduleConfig,
    /// Random changes of the training scenes.
    pub augment: JointAugment,
}

/// Where the scenes come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SceneConfig {
    /// A known name or a directory: what [`load`](super::data::load) takes.
    pub source: String,
    /// Use at most this many training scenes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Rows and columns of the pieces of scenes that the network is trained on.
    pub crop: [usize; 2],
    /// Names of the classes, for when the data is gone; none in runs from before they were kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// How pixels become numbers: that of the training scenes, for whatever the network sees later.
    pub normalisation: Normalisation,
}

/// Side of a training piece unless one is given or the scenes are smaller: large enough for context, and for many of them
/// in a batch.
const CROP: usize = 96;

/// Pieces that are trained on unless the number of epochs is given: few scenes are seen more often.
const PIECES: usize = 30_000;

/// Pieces in a step unless their number is given.
const BATCH: usize = 16;

/// Epochs unless their number is given, at least and at most.
const LEAST_EPOCHS: usize = 2;
pub(crate) const MOST_EPOCHS: usize = 100;

/// Before there were parts, a step was one.
fn one() -> usize {
    1
}

impl SegmentationConfig {
    /// Muon (rate 0.03, weight decay 0.1) and a cosine, 16 pieces of 96×96 pixels in a step, cross-entropy and Dice; so
    /// many epochs that 30,000 pieces are seen, from 2 to 100. Scenes that are composed, of objects of all sizes and none
    /// mirrored, are not made larger or smaller, nor mirrored, nor changed in colour.
    ///
    /// # Errors
    /// A scene that cannot be read any more.
    pub fn new(set: &SegmentationSet) -> Result<Self, DataError> {
        let greatest = |axis: usize| (0..set.train.len()).map(|i| set.train.size(i)[axis]).max().unwrap_or(1);
        Ok(Self {
            task: Task::Segment,
            epochs: PIECES.div_ceil(set.train.len().max(1)).clamp(LEAST_EPOCHS, MOST_EPOCHS),
            batch_size: BATCH,
            parts: Self::usual_parts(BATCH),
            sigma_images: Self::usual_sigma_images(BATCH),
            seed: 1,
            data: SceneConfig {
                source: set.name.clone(),
                limit: None,
                crop: [0, 1].map(|axis| greatest(axis).min(CROP)),
                classes: set.classes.clone(),
                normalisation: set.train.normalisation()?,
            },
            model: UNetConfig::new(set.channels, set.classes.len()),
            loss: Loss::default(),
            optimizer: OptimizerConfig {
                kind: OptimizerKind::Muon,
                lr: 3e-2,
                weight_decay: 0.1,
                momentum: OptimizerKind::Muon.usual_momentum(),
                ..OptimizerConfig::default()
            },
            schedule: ScheduleConfig::default(),
            augment: match set.train {
                // They have all sizes and all brightness, and none of them, those to test neither, has a mirrored item.
                Scenes::Composed(_) => JointAugment::NONE,
                _ => JointAugment::default(),
            },
        })
    }

    /// Parts of a step of so many images unless their number is given: two if each has eight or more, which batch normalisation
    /// can go by.
    pub const fn usual_parts(batch_size: usize) -> usize {
        if batch_size >= 16 { 2 } else { 1 }
    }

    /// Scenes of a step of so many that σ learns from unless their number is given: a quarter, or all of a few. A σ is one number
    /// that every pixel has a say in, and those it is not asked of take 0.6 to 0.8 of the time to go back through.
    pub const fn usual_sigma_images(batch_size: usize) -> Option<usize> {
        if batch_size >= 16 { Some(batch_size / 4) } else { None }
    }
}

impl Settings for SegmentationConfig {
    type Model = UNet;
    const TASK: Task = Task::Segment;

    fn validate(&self) -> Result<(), ConfigError> {
        self.course().validate()?;
        check_size(self.data.crop)?;
        check(self.parts > 0, "the number of parts of a batch", &self.parts, "at least 1")?;
        let sigma_images = self.sigma_images.unwrap_or(1);
        let allowed = "at least 1 and at most the batch size";
        let fits = (1..=self.batch_size.max(1)).contains(&sigma_images);
        check(fits, "the number of images that sigma learns from", &sigma_images, allowed)?;
        check(self.data.limit != Some(0), "the limit on the training scenes", &0, "at least 1")?;
        let JointAugment { scale, colour, .. } = self.augment;
        check((1.0..=16.0).contains(&scale), "the largest random scale", &scale, "at least 1 and at most 16")?;
        check((0.0..=1.0).contains(&colour), "the random change of colour", &colour, "at least 0 and at most 1")
    }

    fn init(&self, device: &Device) -> Result<UNet, ModelError> {
        self.model.init(device)
    }

    fn fill(&mut self, other: &Self) {
        if self.data.classes.is_empty() {
            self.data.classes.clone_from(&other.data.classes);
        }
    }

    fn course(&self) -> Course<'_> {
        Course {
            arch: UNET,
            layer: self.model.layer,
            source: &self.data.source,
            size: self.data.crop,
            epochs: self.epochs,
            batch_size: self.batch_size,
            seed: self.seed,
            sigma: self.model.njet.sigma,
            learn_sigma: self.model.njet.learn_sigma,
            optimizer: &self.optimizer,
            schedule: &self.schedule,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segmentation::data::{Composition, Scene};

    #[test]
    fn composed_scenes_stay_as_they_are() {
        let scenes: Composition = "scenes?canvas=28&largest=1&most=2&train=2&val=1&test=1".parse().unwrap();
        let mut set = scenes.load().unwrap();
        let composed = SegmentationConfig::new(&set).unwrap().augment;
        assert_eq!(composed, JointAugment::NONE);
        let scene = Scene { image: vec![1, 2, 3, 4], mask: vec![0; 4], channels: 1, height: 2, width: 2 };
        set.train = Scenes::from(vec![scene]);
        let given = SegmentationConfig::new(&set).unwrap().augment;
        assert!(given.flip && given.scale > 1.0 && given.colour > 0.0);
    }
}
