//! The claim about segmentation: a learned σ against a fixed one and against plain convolutions, on scenes of objects of
//! many sizes.

mod cell;
mod results;

use super::error::ExperimentError;
use super::plan::{Ending, MOST_SEEDS, Options, Place, Watcher};
use crate::models::{LayerKind, Subsampling, UNetConfig};
use crate::segmentation::data::{self, SCENES, SegmentationSet};
use crate::segmentation::{MOST_EPOCHS, SegmentationConfig};
use burn::tensor::Device;
use cell::SceneCell;
pub use cell::{AtSize, SceneResult};
pub use results::{SceneResults, SceneRow};
use std::path::Path;

/// Name of the claim on the command line and of the directory of its results.
pub const SEGMENTATION: &str = "segmentation";

/// The claim in a line.
pub(super) const TITLE: &str = "Where objects of many sizes are segmented, a learned σ beats a fixed one";

/// Scenes of the quick form: as small as they can be.
const QUICK_SCENES: &str = "scenes?canvas=32&largest=1&train=6&val=2&test=2";

/// Seeds unless their number is given.
const SEEDS: usize = 3;

/// Pieces of scenes that a run trains on, each scene as often as that takes, of so many scenes at most: enough to tell the
/// settings apart, and short enough that four settings and three seeds take less than an hour on two cores.
const PIECES: usize = 5_000;

/// What the runs of a row have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct SceneSetting {
    /// In words.
    pub label: &'static str,
    /// A short name, for directories.
    name: &'static str,
    /// All settings but the seed.
    pub config: SegmentationConfig,
}

/// The claim on actual scenes.
#[derive(Debug)]
pub struct ScenePlan {
    /// Whether it is only tried.
    pub quick: bool,
    /// The scenes.
    pub set: SegmentationSet,
    /// What is compared.
    pub settings: Vec<SceneSetting>,
    /// The seeds of each setting.
    pub seeds: Vec<u64>,
    /// The scenes that were named.
    named: Option<String>,
}

impl ScenePlan {
    /// Loads the scenes and lists what is trained.
    ///
    /// # Errors
    /// No seeds; scenes that cannot be read.
    pub fn new(options: &Options) -> Result<Self, ExperimentError> {
        let quick = options.quick;
        let seeds = options.seeds.unwrap_or(if quick { 1 } else { SEEDS });
        if !(1..=MOST_SEEDS).contains(&seeds) {
            return Err(ExperimentError::Seeds { seeds });
        }
        let usual = if quick { QUICK_SCENES } else { SCENES };
        let set = data::load(options.data.as_deref().unwrap_or(usual))?;
        for (scenes, doing) in [(&set.train, "train on"), (&set.val, "validate on"), (&set.test, "test on")] {
            if scenes.is_empty() {
                return Err(ExperimentError::Empty { data: set.name, doing });
            }
        }
        let mut config = SegmentationConfig::new(&set)?;
        config.epochs = PIECES.div_ceil(set.train.len()).min(MOST_EPOCHS);
        config.data.limit = (set.train.len() > PIECES).then_some(PIECES);
        if quick {
            config.epochs = 1;
            (config.model.widths, config.model.convolutions) = (vec![4, 8, 8], vec![1, 2, 1]);
            config.data.crop = config.data.crop.map(|side| side.min(32));
            config.data.limit = Some(8);
        }
        let seeds = (1..=seeds as u64).collect();
        Ok(Self { quick, set, settings: settings(&config), seeds, named: options.data.clone() })
    }

    /// The command that makes this table, but for `--out`.
    pub fn command(&self) -> String {
        let mut command = format!("njet reproduce {SEGMENTATION}");
        if self.quick {
            command += " --quick";
        }
        if self.seeds.len() != if self.quick { 1 } else { SEEDS } {
            command += &format!(" --seeds {}", self.seeds.len());
        }
        if let Some(data) = &self.named {
            command += &format!(" --data {data}");
        }
        command
    }

    /// The cells of a setting, seed by seed.
    fn cells<'a>(&'a self, setting: &'a SceneSetting) -> impl Iterator<Item = SceneCell> + 'a {
        self.seeds
            .iter()
            .map(move |&seed| SceneCell::new(setting.name, SegmentationConfig { seed, ..setting.config.clone() }))
    }

    /// Trains what is not trained yet in `out/cells` and returns the table. Interrupted at any moment and called again,
    /// it ends with the same numbers.
    ///
    /// # Errors
    /// A cell with other settings; whatever training says.
    pub fn run(&self, out: &Path, device: &Device, watcher: &mut dyn Watcher) -> Result<SceneResults, ExperimentError> {
        let directory = out.join("cells");
        let by_setting: Vec<Vec<SceneCell>> =
            self.settings.iter().map(|setting| self.cells(setting).collect()).collect();
        // What cannot be used is said before hours of training.
        by_setting.iter().flatten().try_for_each(|cell| cell.check(&directory))?;
        // Seed by seed, so that an interrupted table has all rows early.
        let order: Vec<(usize, usize)> =
            (0..self.seeds.len()).flat_map(|seed| (0..self.settings.len()).map(move |row| (row, seed))).collect();
        let work = |&(row, seed): &(usize, usize)| {
            let cell = &by_setting[row][seed];
            let scenes = self.set.train.len();
            let images = cell.config.data.limit.map_or(scenes, |limit| limit.min(scenes));
            if cell.finished(&directory) { 0 } else { cell.config.epochs * images }
        };
        let works: Vec<usize> = order.iter().map(work).collect();
        let mut results: Vec<Vec<(String, SceneResult)>> = vec![Vec::new(); self.settings.len()];
        for (index, &(row, seed)) in order.iter().enumerate() {
            let cell = &by_setting[row][seed];
            let label = format!("{}, seed {}", self.settings[row].label, self.seeds[seed]);
            let place = Place {
                number: index + 1,
                of: order.len(),
                name: &cell.name,
                label: &label,
                finished: cell.finished(&directory),
                images: works[index],
                images_after: works[index + 1..].iter().sum(),
            };
            watcher.cell(&place);
            let result = cell.run(&directory, &self.set, device, watcher)?;
            let ending = Ending { what: "mIoU", score: result.summary.test_miou, seconds: result.summary.seconds };
            watcher.cell_ended(&place, &ending);
            results[row].push((cell.name.clone(), result));
        }
        Ok(SceneResults::new(self, &results))
    }
}

fn settings(base: &SegmentationConfig) -> Vec<SceneSetting> {
    let setting = |label, name, change: fn(&mut SegmentationConfig)| {
        let mut config = base.clone();
        change(&mut config);
        SceneSetting { label, name, config }
    };
    vec![
        setting("σ learned from 1", "learned", |_| {}),
        setting("σ fixed at 1", "fixed", |config| config.model.njet.learn_sigma = false),
        setting("σ learned from 1, safe subsampling", "safe", |config| {
            config.model.subsampling = Subsampling::Safe;
            config.model.njet.extent = UNetConfig::usual_extent(Subsampling::Safe);
        }),
        setting("conv 3×3", "conv", |config| config.model.layer = LayerKind::Conv),
    ]
}
