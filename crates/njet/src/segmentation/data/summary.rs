//! Counts and sizes of a set of images with masks.

use serde::Serialize;

use super::{Scenes, SegmentationSet};
use crate::data::{DataError, Extents};

/// What `njet data info` shows of images with masks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SegmentationSummary {
    /// The name the set was loaded by.
    pub name: String,
    /// The names of the classes.
    pub classes: Vec<String>,
    /// The number of channels.
    pub channels: usize,
    /// The training scenes.
    pub train: ScenesSummary,
    /// The validation scenes.
    pub val: ScenesSummary,
    /// The test scenes.
    pub test: ScenesSummary,
}

/// Counts and sizes of a part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScenesSummary {
    /// The number of scenes.
    pub count: usize,
    /// Least, median and greatest size; `None` without scenes.
    pub sizes: Option<Extents>,
    /// Part of the pixels that each class has, of those that are not ignored.
    pub pixels: Vec<f64>,
    /// Scenes in which each class occurs.
    pub scenes: Vec<usize>,
    /// Part of all pixels that is to be ignored.
    pub ignored: f64,
    /// Mean of all samples, scaled to 0 … 1; each scene counts the same.
    pub mean: f64,
    /// Standard deviation of all samples, scaled to 0 … 1.
    pub std: f64,
}

impl SegmentationSummary {
    pub(super) fn of(set: &SegmentationSet) -> Result<Self, DataError> {
        let part = |scenes| ScenesSummary::of(scenes, set.classes.len());
        Ok(Self {
            name: set.name.clone(),
            classes: set.classes.clone(),
            channels: set.channels,
            train: part(&set.train)?,
            val: part(&set.val)?,
            test: part(&set.test)?,
        })
    }
}

impl ScenesSummary {
    fn of(scenes: &Scenes, classes: usize) -> Result<Self, DataError> {
        let (mut pixels, mut occurs, mut ignored) = (vec![0u64; classes], vec![0; classes], 0u64);
        for counts in scenes.counts()? {
            ignored += counts[255];
            for (class, &count) in counts[..classes].iter().enumerate() {
                pixels[class] += count;
                occurs[class] += usize::from(count > 0);
            }
        }
        let known: u64 = pixels.iter().sum();
        let part = |count: u64, of: u64| count as f64 / of.max(1) as f64;
        let normalisation = scenes.normalisation()?;
        Ok(Self {
            count: scenes.len(),
            sizes: extents(scenes),
            pixels: pixels.iter().map(|&count| part(count, known)).collect(),
            scenes: occurs,
            ignored: part(ignored, ignored + known),
            mean: f64::from(normalisation.mean),
            std: f64::from(normalisation.std),
        })
    }
}

fn extents(scenes: &Scenes) -> Option<Extents> {
    let axis = |axis: usize| {
        let mut extents: Vec<usize> = (0..scenes.len()).map(|i| scenes.size(i)[axis]).collect();
        extents.sort_unstable();
        Some([*extents.first()?, extents[(extents.len() - 1) / 2], *extents.last()?])
    };
    let (y, x) = (axis(0)?, axis(1)?);
    let [least, median, greatest] = [0, 1, 2].map(|i| [y[i], x[i]]);
    Some(Extents { least, median, greatest })
}
