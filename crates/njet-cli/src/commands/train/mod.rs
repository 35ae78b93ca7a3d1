//! `njet train`

mod segment;

use super::{data_of, dataset_error, load, report};
use crate::Usage;
use crate::device::DeviceName;
use crate::progress::{Display, duration};
use crate::table::grouped;
use anyhow::{Context, Result, anyhow, bail};
use burn::tensor::Device;
use clap::Args;
use njet::data::{self, MULTI_SIZE_PREFIX, MultiSize, Samples, Sizing};
use njet::models::{Architecture, LayerKind, ModelError, Subsampling, UnknownName};
use njet::segmentation::UNET;
use njet::segmentation::data::{SCENES, is_composition};
use njet::training::{
    DataConfig, Observer, OptimizerConfig, OptimizerKind, RunConfig, RunDirectory, ScheduleConfig, ScheduleKind,
    Settings, Summary, Task, Trainer, TrainingError,
};
use njet::{Discretisation, PaddingMode, Precision, SigmaBounds, SigmaSharing};
use segment::SegmentFlags;
use serde::Serialize;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Train a network
#[derive(Debug, Args)]
pub struct Train {
    /// What is learned: classify (a label for each image) or segment (a class for every pixel)
    #[arg(long, value_name = "classify|segment", default_value_t = Task::Classify)]
    task: Task,
    /// Data: a name from `njet data list`, a directory (IDX, CIFAR or image files), or multi-size:NAME; to segment, scenes
    /// or a directory with images and masks (default: the built-in images, or scenes made of them)
    #[arg(long, value_name = "NAME|DIR")]
    data: Option<String>,
    /// Images of mixed sizes: fixed, letterbox, random-resized-crop or group (default: fixed, or letterbox where sizes
    /// are mixed)
    #[arg(long, value_name = "NAME")]
    sizing: Option<Sizing>,
    /// Rows and columns that images are brought to; the bound of `--sizing group`
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    size: Option<usize>,
    /// Architecture: njet-small, nin, allcnn, resnet20, resnet32, resnet44, resnet56, resnet110, resnet18 or
    /// efficientnet-b0 (default: njet-small); to segment, unet
    #[arg(long, value_name = "NAME")]
    arch: Option<Arch>,
    /// Spatial layers: njet (their size is learned) or conv (plain convolutions)
    #[arg(long, value_name = "njet|conv", default_value_t = LayerKind::Njet)]
    layer: LayerKind,
    /// Side of the windows of `--layer conv`, odd (default: the published ones)
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    conv_side: Option<usize>,
    /// Where the published network makes the image smaller: strides (as published, pooling too), none, or safe (a
    /// stride that follows sigma; default: none for nin and allcnn, strides for the others)
    #[arg(long, value_name = "none|strides|safe")]
    subsampling: Option<Subsampling>,
    /// Outputs of `--subsampling safe` for each sigma
    #[arg(long, value_name = "R", allow_negative_numbers = true, default_value_t = 1.0)]
    safe_ratio: f64,
    /// Who has a sigma of their own: layer (one for all), group, input (channel) or output (channel)
    #[arg(long, value_name = "NAME", default_value_t = SigmaSharing::Layer)]
    sigma_sharing: SigmaSharing,
    /// Train sigma along y and along x apart
    #[arg(long)]
    separate_axes: bool,
    /// Bounds between which sigma moves, in pixels
    #[arg(long, value_name = "MIN,MAX", allow_negative_numbers = true, value_parser = bounds, default_value = "0.3,8")]
    sigma_bounds: SigmaBounds,
    /// Weight of a prior that pulls log2 sigma towards its start
    #[arg(long, value_name = "F", allow_negative_numbers = true, default_value_t = 0.0)]
    sigma_prior: f64,
    /// Scale that the prior pulls towards, in pixels (default: the initial one)
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    sigma_prior_at: Option<f64>,
    /// Around the images of N-jet layers: zeros, replicate, reflect or circular
    #[arg(long, value_name = "NAME", value_parser = padding_mode, default_value = "zeros")]
    padding_mode: PaddingMode,
    /// Order of the N-jet, 0 to 10
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 2)]
    order: usize,
    /// Initial scale of the filters in pixels
    #[arg(long, value_name = "S", allow_negative_numbers = true, default_value_t = 1.0)]
    sigma: f64,
    /// Keep the scale as it is
    #[arg(long)]
    fixed_sigma: bool,
    /// Reach of the filters in units of sigma (published: 2; default: 4, to segment 2, or 4 with safe subsampling)
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    extent: Option<f64>,
    /// Sampling of the Gaussian: normalized-sampled, sampled, integrated or discrete-analogue
    #[arg(long, value_name = "NAME", default_value_t = Discretisation::NormalizedSampled)]
    discretisation: Discretisation,
    /// Passes over the training images (default: 8; to segment, as many as 30,000 pieces take, from 2 to 100)
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    epochs: Option<usize>,
    /// Images in a step (default: 64, to segment 16)
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    batch_size: Option<usize>,
    /// Optimiser: adamw, sgd or muon (default: adamw, to segment muon)
    #[arg(long, value_name = "NAME", value_parser = ["adamw", "sgd", "muon"])]
    optimizer: Option<String>,
    /// Learning rate at the start (sgd: 0.05; others: 0.01, to segment 0.03)
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    lr: Option<f64>,
    /// Learning rate of log2 sigma at the start
    #[arg(long, value_name = "F", allow_negative_numbers = true, default_value_t = 0.01)]
    sigma_lr: f64,
    /// Weight decay, never on sigma (sgd: 0.0005; others: 0.01, to segment 0.1)
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    weight_decay: Option<f64>,
    /// Momentum of sgd (default: 0.9) and muon (0.95)
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    momentum: Option<f64>,
    /// In what precision N-jet layers multiply while they are trained: f32, or bf16 on processors that are faster at it
    /// (Intel's since 2023, AMX; f32 on all others)
    #[arg(long, value_name = "f32|bf16", default_value_t = Precision::F32)]
    precision: Precision,
    /// Learning rate over time: cosine or step
    #[arg(long, value_name = "NAME", value_parser = ["cosine", "step"], default_value = "cosine")]
    schedule: String,
    /// Epochs between the steps of `--schedule step`
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 5)]
    step_every: usize,
    /// Factor of each step
    #[arg(long, value_name = "F", allow_negative_numbers = true, default_value_t = 0.1)]
    step_factor: f64,
    /// Largest random shift of a training image in pixels (default: 1)
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    shift: Option<usize>,
    /// Mirror half of the training images left to right (to segment, always)
    #[arg(long)]
    flip: bool,
    /// Decides every random choice
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 1)]
    seed: u64,
    /// Use at most so many training images
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    limit: Option<usize>,
    /// Part of the training images kept for validation (default: 0.1)
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    validation: Option<f64>,
    #[command(flatten)]
    segment: SegmentFlags,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    device: DeviceName,
    /// Directory of the run (default: the first free runs/ARCH-LAYER-N)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with an interrupted run, to the same result as without the interruption
    #[arg(long, value_name = "DIR", conflicts_with_all = [
        "task", "data", "sizing", "size", "arch", "layer", "conv_side", "subsampling", "safe_ratio", "sigma_sharing", "separate_axes",
        "sigma_bounds", "sigma_prior", "sigma_prior_at", "padding_mode", "order", "sigma", "fixed_sigma", "extent",
        "discretisation", "epochs",
        "batch_size", "optimizer", "lr", "sigma_lr", "weight_decay", "momentum", "precision", "schedule", "step_every", "step_factor",
        "shift", "flip", "seed", "limit", "validation", "out", "widths", "convolutions", "up",
        "deep_supervision", "parts", "sigma_images", "crop", "loss", "class_weights", "quarter_turns", "scale_jitter", "colour_jitter", "no_augment",
    ])]
    resume: Option<PathBuf>,
    /// Draw the curves of the run on the terminal while it goes
    #[arg(long, conflicts_with = "json")]
    dashboard: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// The architectures of both tasks.
#[derive(Debug, Clone, Copy)]
enum Arch {
    Classifier(Architecture),
    UNet,
}

impl FromStr for Arch {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        if name == UNET { Ok(Self::UNet) } else { name.parse().map(Self::Classifier) }
    }
}

#[derive(Debug, Serialize)]
struct Outcome {
    run: String,
    task: Task,
    arch: &'static str,
    layer: &'static str,
    #[serde(flatten)]
    summary: Summary,
}

impl Train {
    /// Trains, or goes on with a run.
    pub fn run(self) -> Result<()> {
        if self.dashboard {
            can_draw()?;
        }
        let device = self.device.open()?;
        let task = match &self.resume {
            Some(path) => RunDirectory::task(path)?,
            None => self.task,
        };
        match task {
            Task::Classify => self.classify(&device),
            Task::Segment => segment::run(&self, &device),
        }
    }

    fn classify(&self, device: &Device) -> Result<()> {
        let (run, config, dataset) = match &self.resume {
            Some(path) => {
                let (run, config) = RunDirectory::open(path)?;
                let dataset = data_of(path, &config.data.source)?;
                (run, config, dataset)
            }
            None => {
                let dataset = load(&source(&self.data())?)?;
                let config = self.config(&dataset)?;
                // Whatever is wrong with the settings is said before anything is written.
                config.validate().map_err(usage)?;
                match config.model.init(device) {
                    Ok(_) => {}
                    Err(e @ ModelError::Empty { .. }) => {
                        bail!("{}: {e}; give images of two or more classes", dataset.name)
                    }
                    Err(e) => return Err(usage(e).into()),
                }
                Trainer::new(&config, &dataset, device)?;
                for warning in config.model.warnings() {
                    crate::say(format_args!("warning: {warning}"));
                }
                self.warn_of_precision();
                let name = format!("{}-{}", config.model.arch, config.model.layer);
                (directory(self.out.as_deref(), &config, &name)?, config, dataset)
            }
        };
        let trainer = Trainer::new(&config, &dataset, device)?;
        tell_skipped(&dataset);
        if config.data.sizing != Sizing::Fixed {
            let [height, width] = config.data.size;
            crate::say(format_args!("images of mixed sizes: {}, {height}×{width}", config.data.sizing));
        }
        let summary = self.watch(&run, |observer| trainer.run(&run, observer))?;
        let result = Outcome {
            run: run.path().display().to_string(),
            task: config.task,
            arch: config.model.arch.name(),
            layer: config.model.layer.name(),
            summary,
        };
        report(self.json, &result, text)
    }

    fn config(&self, dataset: &data::Dataset) -> Result<RunConfig> {
        if let Some(flag) = self.segment.given() {
            bail!(Usage(anyhow!("{flag} is for `--task segment`: leave it out, or add that")));
        }
        let arch = match self.arch {
            Some(Arch::UNet) => bail!(Usage(anyhow!("{UNET} segments: add `--task segment`"))),
            Some(Arch::Classifier(arch)) => arch,
            None => Architecture::Small,
        };
        let mut config = RunConfig::new(dataset, arch);
        config.data = sized(config.data, dataset, self.sizing, self.size)?;
        config.epochs = self.epochs.unwrap_or(config.epochs);
        config.batch_size = self.batch_size.unwrap_or(config.batch_size);
        config.seed = self.seed;
        config.data.limit = self.limit;
        config.data.validation = self.validation.unwrap_or(config.data.validation);
        config.model.layer = self.layer;
        config.model.conv_side = self.conv_side;
        config.model.subsampling = Some(self.subsampling.unwrap_or(arch.subsampling()));
        config.model.order = self.order;
        config.model.safe_ratio = self.safe_ratio;
        config.model.sharing = self.sigma_sharing;
        config.model.separate_axes = self.separate_axes;
        config.model.bounds = self.sigma_bounds;
        config.model.padding_mode = self.padding_mode;
        config.model.sigma = self.sigma;
        config.model.learn_sigma = !self.fixed_sigma;
        config.model.extent = self.extent.unwrap_or(config.model.extent);
        config.model.discretisation = self.discretisation;
        (config.optimizer, config.schedule) = self.optimization(&config.optimizer);
        config.augment.shift = self.shift.unwrap_or(config.augment.shift);
        config.augment.flip = self.flip;
        Ok(config)
    }

    /// Trains in a directory, and says how to go on where that does not come to its end.
    fn watch<T>(
        &self,
        run: &RunDirectory,
        train: impl FnOnce(&mut dyn Observer) -> Result<T, TrainingError>,
    ) -> Result<T> {
        crate::say(format_args!("run {}", run.path().display()));
        let resume = format!("njet train --resume {}", run.path().display());
        // Gone before the result is told, or the error.
        let result = train(observer(self.dashboard, &resume).as_mut());
        result.map_err(|e| match e {
            TrainingError::Stopped { .. } => anyhow!("{e}; go on with `{resume}`"),
            e => advise(e, &format!("when that is mended, go on with `{resume}`")),
        })
    }

    /// The data's name.
    fn data(&self) -> String {
        let usual = match self.task {
            Task::Classify => data::DEFAULT_SOURCE,
            Task::Segment => SCENES,
        };
        self.data.clone().unwrap_or_else(|| usual.to_owned())
    }

    /// The first flag given that segmentation does not have.
    fn classifying(&self) -> Option<&'static str> {
        let flags = [
            (matches!(self.arch, Some(Arch::Classifier(_))), "an --arch other than unet"),
            (self.sizing.is_some(), "--sizing"),
            (self.size.is_some(), "--size"),
            (self.conv_side.is_some(), "--conv-side"),
            (self.shift.is_some(), "--shift"),
            (self.validation.is_some(), "--validation"),
        ];
        flags.into_iter().find_map(|(given, name)| given.then_some(name))
    }

    fn warn_of_precision(&self) {
        if !self.precision.is_fast() {
            let precision = self.precision;
            crate::say(format_args!(
                "warning: this processor has no unit for products in {precision}: they are taken in f32"
            ));
        }
    }

    /// How the loss is made small. `usual`: what is usual for the task; the rates are those of AdamW, and so of Muon.
    fn optimization(&self, usual: &OptimizerConfig) -> (OptimizerConfig, ScheduleConfig) {
        let kind = match self.optimizer.as_deref() {
            Some("sgd") => OptimizerKind::Sgd,
            Some("muon") => OptimizerKind::Muon,
            Some(_) => OptimizerKind::Adamw,
            None => usual.kind,
        };
        let sgd = kind == OptimizerKind::Sgd;
        let optimizer = OptimizerConfig {
            kind,
            lr: self.lr.unwrap_or(if sgd { 0.05 } else { usual.lr }),
            sigma_lr: self.sigma_lr,
            weight_decay: self.weight_decay.unwrap_or(if sgd { 5e-4 } else { usual.weight_decay }),
            momentum: self.momentum.unwrap_or(kind.usual_momentum()),
            sigma_prior: self.sigma_prior,
            sigma_prior_at: self.sigma_prior_at,
            precision: self.precision,
        };
        let kind = if self.schedule == "step" { ScheduleKind::Step } else { ScheduleKind::Cosine };
        (optimizer, ScheduleConfig { kind, every: self.step_every, gamma: self.step_factor })
    }
}

/// Whether there is a dashboard, and a terminal for it.
fn can_draw() -> Result<()> {
    if cfg!(not(feature = "dashboard")) {
        let advice = "build it with `cargo build --release --features dashboard`";
        bail!(Usage(anyhow!("this njet was built without the dashboard: {advice}")));
    }
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        bail!(Usage(anyhow!(
            "--dashboard needs a terminal to draw on and keys to listen to, and standard input or output is none: leave it out"
        )));
    }
    Ok(())
}

/// Who is told how the run goes.
fn observer(dashboard: bool, resume: &str) -> Box<dyn Observer> {
    #[cfg(feature = "dashboard")]
    if dashboard {
        return Box::new(crate::dashboard::Dashboard::new(resume));
    }
    let _ = (dashboard, resume);
    Box::new(Display::new())
}

/// `MIN,MAX`; whether they make an interval is for the layer to say.
fn bounds(text: &str) -> Result<SigmaBounds, String> {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let pair = text.split_once(',').and_then(|(min, max)| Some((number(min)?, number(max)?)));
    let (min, max) = pair.ok_or_else(|| "two numbers with a comma between are needed, such as 0.3,8".to_owned())?;
    Ok(SigmaBounds { min, max })
}

pub(super) fn padding_mode(name: &str) -> Result<PaddingMode, String> {
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, StrDeserializer};
    let name: StrDeserializer<'_, Error> = name.into_deserializer();
    serde::Deserialize::deserialize(name).map_err(|_| "known are zeros, replicate, reflect, circular".to_owned())
}

fn usage<E: std::error::Error + Send + Sync + 'static>(error: E) -> Usage {
    Usage(error.into())
}

/// A system's refusal to read or write, with what to do about it; other errors say so themselves.
fn advise(error: TrainingError, advice: &str) -> anyhow::Error {
    match error {
        TrainingError::File { .. } => anyhow!("{error}; {advice}"),
        other => other.into(),
    }
}

/// The settings of a run with another sizing or size.
pub(super) fn sized(
    mut data: DataConfig,
    dataset: &data::Dataset,
    sizing: Option<Sizing>,
    size: Option<usize>,
) -> Result<DataConfig> {
    if let Some(sizing) = sizing {
        data = data.with_sizing(sizing, dataset);
    }
    if let Some(size) = size {
        if data.sizing == Sizing::Fixed {
            let message = "`--size` has no meaning for images that stay as they are: give `--sizing letterbox`, \
                `--sizing random-resized-crop` or `--sizing group` with it";
            return Err(Usage(anyhow!(message)).into());
        }
        data.size = [size, size];
    }
    Ok(data)
}

/// Tells what was left out of the images.
pub(super) fn tell_skipped(dataset: &data::Dataset) {
    let skipped: usize = [&dataset.train, &dataset.test]
        .into_iter()
        .map(|samples| if let Samples::Files(files) = samples { files.skipped().len() } else { 0 })
        .sum();
    if skipped > 0 {
        let files = if skipped == 1 { "file was" } else { "files were" };
        let name = &dataset.name;
        crate::say(format_args!("{} {files} skipped: `njet data info {name}` names them", grouped(skipped as u64)));
    }
}

/// A directory by its full path, so that the run can be resumed from anywhere; a name as it is. The base of a multi-size
/// set likewise.
pub(super) fn source(name: &str) -> Result<String> {
    if name.starts_with(MULTI_SIZE_PREFIX) {
        let set: MultiSize = name.parse().map_err(usage)?;
        return Ok(MultiSize { base: source(&set.base)?, ..set }.to_string());
    }
    let known = data::sources().iter().any(|source| source.name == name);
    if known || !Path::new(name).is_dir() {
        return Ok(name.to_owned());
    }
    let path = std::fs::canonicalize(name).with_context(|| format!("cannot read {name}"))?;
    Ok(path.to_str().with_context(|| format!("{} is not a UTF-8 path", path.display()))?.to_owned())
}

/// The source of images with masks: [`source`], but composed scenes whatever directory has their name.
pub(super) fn scene_source(name: &str) -> Result<String> {
    if is_composition(name) { Ok(name.to_owned()) } else { source(name) }
}

/// The directory of a new run: the one asked for, or the first free `runs/NAME-N`.
fn directory(out: Option<&Path>, config: &impl Settings, name: &str) -> Result<RunDirectory> {
    let create = || {
        if let Some(path) = out {
            return RunDirectory::create(path, config);
        }
        for n in 1.. {
            match RunDirectory::create(&PathBuf::from(format!("runs/{name}-{n}")), config) {
                Err(TrainingError::HoldsRun { .. } | TrainingError::NotEmpty { .. }) => {}
                other => return other,
            }
        }
        unreachable!("numbers do not run out")
    };
    create().map_err(|e| advise(e, "choose another directory with `--out`"))
}

fn text(result: &Outcome) -> String {
    let summary = &result.summary;
    format!(
        "test accuracy {:.2} % (epoch {} of {}, validation {:.2} %), {} parameters, trained in {}\n{}",
        100.0 * summary.test_accuracy,
        summary.best_epoch,
        summary.epochs,
        100.0 * summary.val_accuracy,
        grouped(summary.parameters as u64),
        duration(summary.seconds),
        inspect(&result.run),
    )
}

/// Where a new run is, and what to do with it.
pub(super) fn inspect(run: &str) -> String {
    format!("the run is in {run}: `njet inspect {run}` shows its layers\n")
}
