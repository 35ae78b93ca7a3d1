//! Training: settings, loop, run directory, checkpoints.
//!
//! A run is a directory. Its `config.toml` is all that is needed to repeat it; `metrics.jsonl` has a line
//! for each epoch; `checkpoints/` what is needed to go on after an interruption; `model.safetensors` the
//! best model so far. Optimisers, schedules, losses and records are Burn's. The loop is our own because
//! an interrupted run must go on to the same bits: the order of the images, their augmentation and the
//! dropout of an epoch are functions of the seed and the epoch's number, so the state of a run is the
//! model, the optimiser and a number.
//!
//! ```no_run
//! use njet::data;
//! use njet::models::Architecture;
//! use njet::training::{RunConfig, RunDirectory, Silent, Trainer};
//!
//! let dataset = data::load(data::DEFAULT_SOURCE)?;
//! let config = RunConfig::new(&dataset, Architecture::Small);
//! let run = RunDirectory::create("runs/first".as_ref(), &config)?;
//! let summary = Trainer::new(&config, &dataset, &burn::tensor::Device::flex())?.run(&run, &mut Silent)?;
//! println!("{:.1} % right", 100.0 * summary.test_accuracy);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod checkpoint;
mod checksum;
mod config;
mod error;
mod evaluate;
mod learn;
mod muon;
mod objective;
mod optimizer;
mod origin;
mod outputs;
mod parts;
mod prior;
mod record;
mod run;
mod scales;
mod trainer;
mod transfer;

pub(crate) use config::{check, check_size};
pub(crate) use learn::{learn, sigmas};
pub(crate) use objective::{Objective, Part, Step, Validation};

#[cfg(test)]
pub(crate) use parts::learn_from;

pub use config::{
    AugmentConfig, ConfigError, DataConfig, NO_DATA, OptimizerConfig, OptimizerKind, Origin, OriginKind, RunConfig,
    ScheduleConfig, ScheduleKind, Task,
};
pub use error::TrainingError;
pub use evaluate::{Evaluation, evaluate};
pub use objective::{Course, Settings};
pub use optimizer::optimizer;
pub use origin::write_run;
pub use outputs::{View, best_class, cross_entropy, logits, probabilities};
pub use record::{BoundScale, EpochRecord, Observer, Progress, Silent, Start, read_metrics};
pub use run::{RunDirectory, load_model, write as write_file};
pub use scales::{ScaleError, evaluate_at, scaled_size, seen_size};
pub use trainer::{Summary, Trainer, check_data};
pub use transfer::{Transfer, transfer};
