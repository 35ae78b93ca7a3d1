//! `njet train --task segment`

use super::{Train, dataset_error, directory, inspect, scene_source, usage};
use crate::Usage;
use crate::commands::{compose, read_scenes, report};
use crate::progress::duration;
use crate::table::grouped;
use anyhow::{Result, anyhow, bail};
use burn::tensor::Device;
use clap::Args;
use njet::models::{LayerSettings, ModelError, Subsampling, UNetConfig};
use njet::segmentation::data::{JointAugment, SegmentationSet};
use njet::segmentation::loss::{Loss, balanced_weights};
use njet::segmentation::{SegmentationConfig, SegmentationSummary, SegmentationTrainer, UNET};
use njet::training::{RunDirectory, Settings, Task, TrainingError};
use serde::Serialize;

/// What only segmentation has.
#[derive(Debug, Args)]
#[command(next_help_heading = "For --task segment")]
pub struct SegmentFlags {
    /// Channels of the U-Net at each resolution, from the full one to the bottom (default: 32,48,96,128)
    #[arg(long, value_name = "N,…", value_delimiter = ',', allow_negative_numbers = true)]
    widths: Vec<usize>,
    /// Convolutions at each resolution on the way down (default: 1,3,4,3; further resolutions have 3)
    #[arg(long, value_name = "N,…", value_delimiter = ',', allow_negative_numbers = true)]
    convolutions: Vec<usize>,
    /// Convolutions after each step up, from the highest resolution that the way up reaches; with fewer steps than the way
    /// down has, one 1×1 convolution makes the pixels that are missing (default: 0,1,…,1, which ends at half the resolution;
    /// with safe subsampling 1,…,1)
    #[arg(long, value_name = "N,…", value_delimiter = ',', allow_negative_numbers = true)]
    up: Vec<usize>,
    /// Weight of the losses at lower resolutions beside that at the full one; 0: none (default: 0.3)
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    deep_supervision: Option<f64>,
    /// Parts of a batch that are learned from side by side, each with batch normalisation of its own: two or more keep all
    /// processors busy (default: 2, or 1 where a part would have fewer than 8 images)
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    parts: Option<usize>,
    /// Images of a step that σ learns from, on the CPU: with fewer a step takes less time, and σ learns a little less well
    /// (default: a quarter of the batch, or all of fewer than 16)
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    sigma_images: Option<usize>,
    /// Rows and columns of the pieces that are trained on (default: 96, or less where the images are smaller)
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    crop: Option<usize>,
    /// Loss: cross-entropy, dice and focal, joined by + (default: cross-entropy+dice)
    #[arg(long, value_name = "NAME+…", value_parser = loss)]
    loss: Option<Loss>,
    /// Weights of the classes in cross-entropy and focal loss: balanced, or a number for each class
    #[arg(long, value_name = "balanced|F,…", value_parser = class_weights)]
    class_weights: Option<ClassWeights>,
    /// Turn the training images by quarters
    #[arg(long)]
    quarter_turns: bool,
    /// Training images become up to so many times as large or small (default: 2, or 1 for `scenes`, which has all sizes; 1 leaves them as they are)
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    scale_jitter: Option<f64>,
    /// Random change of brightness and contrast, 0 to 1 (default: 0.2, or 0 for `scenes`)
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    colour_jitter: Option<f64>,
    /// Leave the training images as they are but for the place of the piece: no mirroring, no turns, scales or colours
    #[arg(long, conflicts_with_all = ["quarter_turns", "scale_jitter", "colour_jitter", "flip"])]
    no_augment: bool,
}

impl SegmentFlags {
    /// The first that was given.
    pub fn given(&self) -> Option<&'static str> {
        let flags = [
            (!self.widths.is_empty(), "--widths"),
            (!self.convolutions.is_empty(), "--convolutions"),
            (!self.up.is_empty(), "--up"),
            (self.deep_supervision.is_some(), "--deep-supervision"),
            (self.parts.is_some(), "--parts"),
            (self.sigma_images.is_some(), "--sigma-images"),
            (self.crop.is_some(), "--crop"),
            (self.loss.is_some(), "--loss"),
            (self.class_weights.is_some(), "--class-weights"),
            (self.quarter_turns, "--quarter-turns"),
            (self.scale_jitter.is_some(), "--scale-jitter"),
            (self.colour_jitter.is_some(), "--colour-jitter"),
            (self.no_augment, "--no-augment"),
        ];
        flags.into_iter().find_map(|(given, name)| given.then_some(name))
    }
}

#[derive(Debug, Clone, PartialEq)]
enum ClassWeights {
    /// The rarer, the more; 1 on average over the classes.
    Balanced,
    Given(Vec<f32>),
}

fn class_weights(text: &str) -> Result<ClassWeights, String> {
    if text == "balanced" {
        return Ok(ClassWeights::Balanced);
    }
    let numbers = text.split(',').map(|number| number.trim().parse::<f32>());
    let wrong = |_| "`balanced` is needed, or a number for each class with commas between".to_owned();
    numbers.collect::<Result<_, _>>().map(ClassWeights::Given).map_err(wrong)
}

fn loss(text: &str) -> Result<Loss, String> {
    let mut loss = Loss { cross_entropy: 0.0, dice: 0.0, focal: 0.0, ..Loss::default() };
    for name in text.split('+') {
        let weight = match name.trim() {
            "cross-entropy" => &mut loss.cross_entropy,
            "dice" => &mut loss.dice,
            "focal" => &mut loss.focal,
            other => return Err(format!("unknown loss `{other}`: known are cross-entropy, dice, focal, joined by +")),
        };
        *weight += 1.0;
    }
    Ok(loss)
}

#[derive(Debug, Serialize)]
struct Outcome {
    run: String,
    task: Task,
    arch: &'static str,
    layer: &'static str,
    #[serde(flatten)]
    summary: SegmentationSummary,
    /// Bytes that the process held at most.
    peak_memory: Option<u64>,
}

/// Trains, or goes on with a run.
pub fn run(train: &Train, device: &Device) -> Result<()> {
    let (run, config, set) = match &train.resume {
        Some(path) => {
            let (run, config) = RunDirectory::open_as::<SegmentationConfig>(path)?;
            let set = read_scenes(&config.data.source)?;
            compose(&set.train);
            (run, config, set)
        }
        None => {
            let set = read_scenes(&scene_source(&train.data())?).map_err(dataset_error)?;
            compose(&set.train);
            let config = settings(train, &set)?;
            // Whatever is wrong with the settings is said before anything is written.
            config.validate().map_err(usage)?;
            match config.init(device) {
                Ok(_) => {}
                Err(e @ ModelError::Empty { .. }) => bail!("{}: {e}; give masks of two or more classes", set.name),
                Err(e) => return Err(usage(e).into()),
            }
            SegmentationTrainer::new(&config, &set, device).map_err(loss_error)?;
            for warning in config.model.warnings() {
                crate::say(format_args!("warning: {warning}"));
            }
            train.warn_of_precision();
            let name = format!("{UNET}-{}", config.model.layer);
            (directory(train.out.as_deref(), &config, &name)?, config, set)
        }
    };
    let trainer = SegmentationTrainer::new(&config, &set, device)?;
    let summary = train.watch(&run, |observer| trainer.run(&run, observer))?;
    let result = Outcome {
        run: run.path().display().to_string(),
        task: config.task,
        arch: UNET,
        layer: config.model.layer.name(),
        summary,
        peak_memory: crate::memory::peak(),
    };
    report(train.json, &result, text)
}

/// Settings of the loss are the command line's fault.
fn loss_error(error: TrainingError) -> anyhow::Error {
    match error {
        TrainingError::Loss(error) => usage(error).into(),
        other => other.into(),
    }
}

fn settings(train: &Train, set: &SegmentationSet) -> Result<SegmentationConfig> {
    if let Some(flag) = train.classifying() {
        bail!(Usage(anyhow!("{flag} is for `--task classify`: leave it out")));
    }
    let flags = &train.segment;
    let mut config = SegmentationConfig::new(set)?;
    let (optimizer, schedule) = train.optimization(&config.optimizer);
    (config.optimizer, config.schedule) = (optimizer, schedule);
    config.epochs = train.epochs.unwrap_or(config.epochs);
    config.batch_size = train.batch_size.unwrap_or(config.batch_size);
    config.parts = flags.parts.unwrap_or(SegmentationConfig::usual_parts(config.batch_size));
    config.sigma_images = flags.sigma_images.or(SegmentationConfig::usual_sigma_images(config.batch_size));
    config.seed = train.seed;
    config.data.limit = train.limit;
    if let Some(crop) = flags.crop {
        config.data.crop = [crop; 2];
    }
    let model = &mut config.model;
    model.layer = train.layer;
    model.subsampling = train.subsampling.unwrap_or(Subsampling::Strides);
    if !flags.widths.is_empty() {
        model.widths.clone_from(&flags.widths);
    }
    model.convolutions = match flags.convolutions.as_slice() {
        [] => UNetConfig::usual_convolutions(model.widths.len()),
        given => given.to_vec(),
    };
    model.up = (!flags.up.is_empty()).then(|| flags.up.clone());
    model.up = Some(model.up());
    model.deep_supervision = flags.deep_supervision.unwrap_or(model.deep_supervision);
    model.safe_ratio = train.safe_ratio;
    model.njet = LayerSettings {
        order: train.order,
        sigma: train.sigma,
        learn_sigma: !train.fixed_sigma,
        extent: train.extent.unwrap_or(UNetConfig::usual_extent(model.subsampling)),
        discretisation: train.discretisation,
        sharing: train.sigma_sharing,
        separate_axes: train.separate_axes,
        bounds: train.sigma_bounds,
        padding_mode: train.padding_mode,
    };
    config.loss = flags.loss.clone().unwrap_or_default();
    config.loss.class_weights = match &flags.class_weights {
        None => Vec::new(),
        Some(ClassWeights::Given(weights)) => weights.clone(),
        Some(ClassWeights::Balanced) => balanced_weights(&set.train.class_counts(set.classes.len())?),
    };
    config.augment = if flags.no_augment { JointAugment::NONE } else { augment(train, config.augment) };
    Ok(config)
}

fn augment(train: &Train, usual: JointAugment) -> JointAugment {
    JointAugment {
        flip: usual.flip,
        quarter_turns: train.segment.quarter_turns,
        scale: train.segment.scale_jitter.unwrap_or(usual.scale),
        colour: train.segment.colour_jitter.unwrap_or(usual.colour),
    }
}

fn text(result: &Outcome) -> String {
    let summary = &result.summary;
    format!(
        "test mIoU {:.3} (epoch {} of {}, validation {:.3}), {} parameters, trained in {}{}\n{}",
        summary.test_miou,
        summary.best_epoch,
        summary.epochs,
        summary.val_miou,
        grouped(summary.parameters as u64),
        duration(summary.seconds),
        result.peak_memory.map_or(String::new(), |bytes| format!(", {:.1} GB of memory at most", bytes as f64 / 1e9)),
        inspect(&result.run),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_summed() {
        let parts = |text| loss(text).map(|loss| [loss.cross_entropy, loss.dice, loss.focal]);
        assert_eq!(parts("dice"), Ok([0.0, 1.0, 0.0]));
        assert_eq!(parts("cross-entropy+dice+focal"), Ok([1.0; 3]));
        assert!(parts("hinge").unwrap_err().contains("unknown loss `hinge`"));
    }

    #[test]
    fn class_weights_are_read() {
        assert_eq!(class_weights("1, 2.5"), Ok(ClassWeights::Given(vec![1.0, 2.5])));
        assert!(class_weights("1,x").is_err());
    }
}
