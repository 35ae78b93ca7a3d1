//! The claims of the project, and the runs that decide them.
//!
//! A [`Claim`] names settings; each setting with each seed is a [`Cell`], an ordinary run of [`training`](crate::training)
//! in a directory that is named by what is trained, so claims share the cells that they have in common. A [`Plan`] is the
//! claim on actual images. [`Plan::run`] trains what is not trained yet and returns the [`Results`]: a table with mean
//! and deviation over the seeds, and for each part of the claim a [`Verdict`] that says how it came out, whichever way.
//!
//! ```no_run
//! use njet::experiments::{Claim, Options, Plan, Quiet};
//!
//! let plan = Plan::new(Claim::Transfer, &Options { quick: true, ..Options::default() })?;
//! let results = plan.run("runs/reproduce-quick".as_ref(), &burn::tensor::Device::flex(), &mut Quiet)?;
//! println!("{}", results.markdown());
//! # Ok::<(), njet::experiments::ExperimentError>(())
//! ```

mod cell;
mod claim;
mod error;
mod figures;
mod page;
mod plan;
mod results;
mod segmentation;
mod settings;
mod statistics;
mod transfer;
mod verdict;

pub use cell::{Cell, CellResult};
pub use claim::{Claim, UnknownClaim};
pub use error::ExperimentError;
pub use page::Page;
pub use plan::{Ending, Options, Place, Plan, Quiet, Watcher};
pub use results::{AtScale, Column, Results, Row};
pub use segmentation::{AtSize, SEGMENTATION, ScenePlan, SceneResult, SceneResults, SceneRow, SceneSetting};
pub use settings::Setting;
pub use statistics::{Sample, pooled_deviation};
pub use transfer::{Treated, Treatment};
pub use verdict::Verdict;
