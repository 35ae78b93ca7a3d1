//! A claim on actual images: the cells, and training them one after another.

use super::cell::{Cell, CellResult};
use super::claim::Claim;
use super::error::ExperimentError;
use super::results::Results;
use super::settings::{Setting, settings};
use crate::data::{self, DEFAULT_SOURCE, Dataset, MULTI_SIZE_PREFIX, MultiSize, Sizing};
use crate::models::Architecture;
use crate::training::{Observer, RunConfig};
use burn::tensor::Device;
use std::collections::BTreeMap;
use std::path::Path;

/// More than any table needs.
pub(super) const MOST_SEEDS: usize = 1_000;

/// Side of the images of the quick form of [`Claim::Architectures`], whose networks are large.
const QUICK_SIDE: usize = 8;

/// What to do for a claim.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Options {
    /// A few images, small, once: whether everything works, not how it comes out.
    pub quick: bool,
    /// Runs of each setting; `None`: as many as the claim needs.
    pub seeds: Option<usize>,
    /// The images instead of the built-in ones; of a claim about many sizes those that are resampled.
    pub data: Option<String>,
}

/// A claim on actual images.
#[derive(Debug)]
pub struct Plan {
    /// The claim.
    pub claim: Claim,
    /// Whether it is only tried.
    pub quick: bool,
    /// The images.
    pub dataset: Dataset,
    /// What is compared.
    pub settings: Vec<Setting>,
    /// The seeds of each setting.
    pub seeds: Vec<u64>,
    /// A short name of the images, for directories.
    data: String,
    /// The images that were named.
    named: Option<String>,
}

/// Which cell is next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place<'a> {
    /// From 1.
    pub number: usize,
    /// Of how many.
    pub of: usize,
    /// Its name.
    pub name: &'a str,
    /// What it is of the table: the setting and the seed.
    pub label: &'a str,
    /// Whether it was finished before.
    pub finished: bool,
    /// Images times epochs of this cell.
    pub images: usize,
    /// Images times epochs of the unfinished cells after this one.
    pub images_after: usize,
}

/// Is told how a plan goes, and how each of its runs goes.
pub trait Watcher: Observer {
    /// Before each cell.
    fn cell(&mut self, place: &Place<'_>) {
        let _ = place;
    }
    /// After each cell, those that were there before too.
    fn cell_ended(&mut self, place: &Place<'_>, ending: &Ending) {
        let _ = (place, ending);
    }
}

/// How a cell ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ending {
    /// What was measured on the test images: `accuracy` or `mIoU`.
    pub what: &'static str,
    /// How much, as a fraction.
    pub score: f64,
    /// Time of training.
    pub seconds: f64,
}

/// Hears and says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Observer for Quiet {}
impl Watcher for Quiet {}

impl Plan {
    /// Loads the images and lists what is trained.
    ///
    /// # Errors
    /// No seeds; images that cannot be read or that the claim cannot use.
    pub fn new(claim: Claim, options: &Options) -> Result<Self, ExperimentError> {
        let quick = options.quick;
        let effort = claim.effort(quick);
        let seeds = options.seeds.unwrap_or(effort.seeds);
        if !(1..=MOST_SEEDS).contains(&seeds) {
            return Err(ExperimentError::Seeds { seeds });
        }
        let base = data::load(options.data.as_deref().unwrap_or(DEFAULT_SOURCE))?;
        for (samples, doing) in [(&base.train, "train on"), (&base.test, "test on")] {
            if samples.is_empty() {
                return Err(ExperimentError::Empty { data: base.name, doing });
            }
        }
        let short = short_name(&base.name);
        let (dataset, data) = match claim {
            Claim::Architectures | Claim::Transfer => (base, short),
            Claim::Sizes | Claim::Starts | Claim::Ablations => many_sizes(&base, &short, quick)?,
        };
        let mut config = RunConfig::new(&dataset, Architecture::Small);
        config.epochs = effort.epochs;
        config.data.limit = effort.images;
        match claim {
            Claim::Architectures if quick => {
                config.data = config.data.with_sizing(Sizing::Letterbox, &dataset);
                config.data.size = [QUICK_SIDE; 2];
            }
            Claim::Transfer => {
                let alike = dataset.train.shape().is_some() && dataset.train.shape() == dataset.test.shape();
                if !alike {
                    return Err(ExperimentError::MixedSizes { data: dataset.name });
                }
                if quick {
                    let size = config.data.size.map(|side| side.div_ceil(2));
                    config.data = config.data.with_sizing(Sizing::Letterbox, &dataset);
                    config.data.size = size;
                }
            }
            _ => {}
        }
        let settings = settings(claim, &config);
        let seeds = (1..=seeds as u64).collect();
        Ok(Self { claim, quick, dataset, settings, seeds, data, named: options.data.clone() })
    }

    /// The command that makes this table, but for `--out`.
    pub fn command(&self) -> String {
        let mut command = format!("njet reproduce {}", self.claim);
        if self.quick {
            command += " --quick";
        }
        if self.seeds.len() != self.claim.effort(self.quick).seeds {
            command += &format!(" --seeds {}", self.seeds.len());
        }
        if let Some(data) = &self.named {
            command += &format!(" --data {data}");
        }
        command
    }

    /// The cells of a setting, seed by seed.
    pub fn cells<'a>(&'a self, setting: &'a Setting) -> impl Iterator<Item = Cell> + 'a {
        self.seeds.iter().map(move |&seed| {
            let config = RunConfig { seed, ..setting.config.clone() };
            Cell::new(&self.data, config, self.claim == Claim::Transfer)
        })
    }

    /// Trains what is not trained yet in `out/cells` and returns the table. Interrupted at any moment and called again,
    /// it ends with the same numbers.
    ///
    /// # Errors
    /// A cell with other settings; whatever training says.
    pub fn run(&self, out: &Path, device: &Device, watcher: &mut dyn Watcher) -> Result<Results, ExperimentError> {
        let directory = out.join("cells");
        // Seed by seed, so that an interrupted table has all rows early. Rows may share a cell.
        let mut cells: Vec<Cell> = Vec::new();
        let mut labels: Vec<String> = Vec::new();
        let by_setting: Vec<Vec<Cell>> = self.settings.iter().map(|setting| self.cells(setting).collect()).collect();
        for (index, seed) in self.seeds.iter().enumerate() {
            for (setting, cell) in self.settings.iter().zip(by_setting.iter().map(|cells| &cells[index])) {
                if !cells.iter().any(|known| known.name == cell.name) {
                    cells.push(cell.clone());
                    labels.push(format!("{}, seed {seed}", setting.label));
                }
            }
        }
        // What cannot be used is said before hours of training.
        cells.iter().try_for_each(|cell| cell.check(&directory))?;
        let images = self.dataset.train.len();
        let work = |cell: &Cell| cell.config.epochs * cell.config.data.limit.map_or(images, |limit| limit.min(images));
        let done: Vec<bool> = cells.iter().map(|cell| cell.finished(&directory)).collect();
        let mut results: BTreeMap<&str, CellResult> = BTreeMap::new();
        for (index, cell) in cells.iter().enumerate() {
            let after = (index + 1..cells.len()).filter(|&later| !done[later]);
            let place = Place {
                number: index + 1,
                of: cells.len(),
                name: &cell.name,
                label: &labels[index],
                finished: done[index],
                images: work(cell),
                images_after: after.map(|later| work(&cells[later])).sum(),
            };
            watcher.cell(&place);
            let result = cell.run(&directory, &self.dataset, device, watcher)?;
            let (score, seconds) = (result.summary.test_accuracy, result.summary.seconds);
            watcher.cell_ended(&place, &Ending { what: "accuracy", score, seconds });
            results.insert(&cell.name, result);
        }
        let rows = by_setting.iter().map(|cells| {
            cells.iter().map(|cell| (cell.name.clone(), results[cell.name.as_str()].clone())).collect::<Vec<_>>()
        });
        Ok(Results::new(self, rows.collect()))
    }
}

/// The objects of a set from ½× to 2× their size, on a canvas that holds the largest; in the quick form from ½× to 1×.
fn many_sizes(base: &Dataset, short: &str, quick: bool) -> Result<(Dataset, String), ExperimentError> {
    if base.name.starts_with(MULTI_SIZE_PREFIX) {
        // It says why not.
        MultiSize::new(base.name.clone()).load()?;
    }
    let sides = [&base.train, &base.test].into_iter().filter_map(|samples| samples.extents());
    let side = sides.flat_map(|extents| extents.greatest).max().unwrap_or(1);
    let largest = if quick { 1.0 } else { 2.0 };
    let canvas = (side as f64 * largest) as usize;
    let set = MultiSize { canvas: Some(canvas), largest: Some(largest), ..MultiSize::new(base.name.clone()) };
    Ok((set.generate(base)?, format!("many-sizes-{canvas}-{short}")))
}

/// A name of a set that is good for a directory: of a path its last part, of that letters, digits and hyphens.
fn short_name(source: &str) -> String {
    let last = Path::new(source).file_name().map_or(source.into(), |name| name.to_string_lossy());
    last.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn plan(claim: Claim, quick: bool) -> Plan {
        Plan::new(claim, &Options { quick, ..Options::default() }).unwrap()
    }

    /// Runs that differ have directories that differ, and those that are alike share one, whatever the claim.
    #[test]
    fn names_tell_runs_apart() {
        let mut known: BTreeMap<String, RunConfig> = BTreeMap::new();
        let mut rows = 0;
        for claim in Claim::ALL {
            for quick in [false, true] {
                let plan = plan(claim, quick);
                for cell in plan.settings.iter().flat_map(|setting| plan.cells(setting)) {
                    rows += 1;
                    let before = known.insert(cell.name.clone(), cell.config.clone());
                    assert!(before.is_none_or(|before| before == cell.config), "{}", cell.name);
                }
            }
        }
        let configs: Vec<&RunConfig> = known.values().collect();
        for (i, config) in configs.iter().enumerate() {
            assert!(!configs[..i].contains(config), "two directories for {config:?}");
        }
        assert!(known.len() < rows, "nothing is shared");
    }

    #[test]
    fn many_sizes_reach_twice_the_object() {
        let plan = plan(Claim::Sizes, false);
        let name = "multi-size:fashion-mnist-subset?form=many-sizes&canvas=56&smallest=0.5&largest=2&seed=1";
        assert_eq!((plan.dataset.name.as_str(), plan.data.as_str()), (name, "many-sizes-56-fashion-mnist-subset"));
        assert_eq!(plan.settings[0].config.data.size, [56, 56]);
        assert_eq!((plan.settings[0].config.epochs, plan.seeds.len()), (6, 3));
    }

    #[test]
    fn the_command_is_told() {
        assert_eq!(plan(Claim::Starts, false).command(), "njet reproduce starts");
        let options = Options { quick: true, seeds: Some(2), data: Some("fashion-mnist-subset".to_owned()) };
        let command = Plan::new(Claim::Transfer, &options).unwrap().command();
        assert_eq!(command, "njet reproduce transfer --quick --seeds 2 --data fashion-mnist-subset");
    }

    #[test]
    fn names_of_directories_are_plain() {
        assert_eq!(short_name("/tmp/my photos/cats & dogs"), "cats___dogs");
        assert_eq!(short_name("fashion-mnist"), "fashion-mnist");
    }
}
