//! One interface to scenes, wherever they are.

use std::borrow::Cow;
use std::sync::Arc;

use super::{ComposedScenes, Objects, Scene, SceneFiles};
use crate::data::cores::on_all_cores;
use crate::data::{DataError, Normalisation, Watch};

/// Scenes that are in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryScenes(Arc<Vec<Scene>>);

/// The scenes of a part of a set.
#[derive(Debug, Clone)]
pub enum Scenes {
    /// In memory.
    Memory(MemoryScenes),
    /// Image files and mask files.
    Files(SceneFiles),
    /// Made from a seed when they are first asked for, and kept.
    Composed(ComposedScenes),
}

impl From<Vec<Scene>> for Scenes {
    fn from(scenes: Vec<Scene>) -> Self {
        Self::Memory(MemoryScenes(Arc::new(scenes)))
    }
}

impl Scenes {
    /// The number of scenes.
    pub fn len(&self) -> usize {
        match self {
            Self::Memory(MemoryScenes(scenes)) => scenes.len(),
            Self::Files(files) => files.len(),
            Self::Composed(scenes) => scenes.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `[height, width]` of scene `i` in pixels.
    ///
    /// # Panics
    ///
    /// If `i ≥ len()`, like the index of a slice. So do all that take a number.
    pub fn size(&self, i: usize) -> [usize; 2] {
        match self {
            Self::Memory(MemoryScenes(scenes)) => scenes[i].size(),
            Self::Files(files) => files.size(i),
            Self::Composed(scenes) => scenes.size(),
        }
    }

    /// What scene `i` is called: the name of its file without the ending, or its number.
    pub fn name(&self, i: usize) -> Cow<'_, str> {
        match self {
            Self::Files(files) => Cow::Borrowed(files.name(i)),
            Self::Memory(_) | Self::Composed(_) => Cow::Owned(i.to_string()),
        }
    }

    /// Scene `i`, with the channels of its set.
    ///
    /// # Errors
    ///
    /// A file cannot be read any more, or is another one by now.
    pub fn load(&self, i: usize) -> Result<Scene, DataError> {
        match self {
            Self::Memory(MemoryScenes(scenes)) => Ok(scenes[i].clone()),
            Self::Files(files) => files.load(i),
            Self::Composed(scenes) => Ok(scenes.scene(i).clone()),
        }
    }

    /// The objects of scene `i`: those it was composed of, or the connected parts of its mask other than class 0.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn objects(&self, i: usize) -> Result<Objects, DataError> {
        match self {
            Self::Composed(scenes) => Ok(scenes.objects(i)),
            Self::Memory(_) | Self::Files(_) => Ok(Objects::of_mask(&self.load(i)?, Some(0))),
        }
    }

    /// Makes all composed scenes that are not made yet; others are there. `watch` is told of each.
    pub fn compose(&self, watch: Watch<'_>) {
        if let Self::Composed(scenes) = self {
            on_all_cores(scenes.len(), watch, |i| {
                scenes.scene(i);
            });
        }
    }

    /// The normalisation that gives the samples of all scenes mean 0 and standard deviation 1. Each scene counts the
    /// same, however many pixels it has; where all samples are equal the standard deviation counts as 1.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn normalisation(&self) -> Result<Normalisation, DataError> {
        let moments = self.each(|i| self.moments(i))?;
        let mean = |of: usize| moments.iter().map(|moments| moments[of]).sum::<f64>() / moments.len().max(1) as f64;
        let (mean, square) = (mean(0), mean(1));
        let std = (square - mean * mean).max(0.0).sqrt();
        // A constant comes out as a hair above 0.
        Ok(Normalisation { mean: mean as f32, std: if std > 1e-6 { std as f32 } else { 1.0 } })
    }

    /// Pixels of each class over all scenes; those to ignore are not counted.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn class_counts(&self, classes: usize) -> Result<Vec<u64>, DataError> {
        let mut sums = vec![0; classes];
        for counts in self.counts()? {
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        Ok(sums)
    }

    /// [`Scene::class_counts`] of every scene.
    pub(super) fn counts(&self) -> Result<Vec<[u64; 256]>, DataError> {
        self.each(|i| match self {
            Self::Files(files) => Ok(*files.counts(i)),
            Self::Composed(scenes) => Ok(scenes.scene(i).class_counts()),
            Self::Memory(MemoryScenes(scenes)) => Ok(scenes[i].class_counts()),
        })
    }

    fn moments(&self, i: usize) -> Result<[f64; 2], DataError> {
        match self {
            Self::Files(files) => Ok(files.moments(i)),
            Self::Composed(scenes) => Ok(moments(&scenes.scene(i).image)),
            Self::Memory(MemoryScenes(scenes)) => Ok(moments(&scenes[i].image)),
        }
    }
}

impl Scenes {
    /// Something of every scene, in their order, on all cores: composed scenes are made here if they are not yet.
    fn each<T: Send>(&self, of: impl Fn(usize) -> Result<T, DataError> + Sync) -> Result<Vec<T>, DataError> {
        on_all_cores(self.len(), &|_, _| {}, of).into_iter().collect()
    }
}

/// Means of the samples and of their squares, scaled to 0 … 1.
pub(super) fn moments(samples: &[u8]) -> [f64; 2] {
    let (mut sum, mut squares) = (0u64, 0u64);
    for &v in samples {
        let v = u64::from(v);
        (sum, squares) = (sum + v, squares + v * v);
    }
    let scale = 255.0 * samples.len().max(1) as f64;
    [sum as f64 / scale, squares as f64 / (255.0 * scale)]
}
