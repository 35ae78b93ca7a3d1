//! A run that segments.

use super::samples::Samples;
use super::subject::{Subject, Told};
use crate::commands::read_scenes;
use anyhow::{Context, Result, bail, ensure};
use burn::tensor::{Device, Tensor, TensorData};
use njet::data::{DataError, Normalisation};
use njet::interop::graph::Array;
use njet::interop::{BakeError, Baking, Graph, Pixels, PlainNetwork, segmentation_metadata};
use njet::models::UNet;
use njet::segmentation::data::{Scenes, SegmentationSet};
use njet::segmentation::{SegmentationConfig, check_scenes};
use std::cell::OnceCell;
use std::collections::BTreeMap;

/// Bytes of logits that a file of samples may hold.
const MOST_BYTES: usize = 1 << 30;

/// Bytes that a scene may take: there are about [`ARRAYS`] as large as the largest at once.
const MOST_MEMORY: usize = 4_000_000_000;
const ARRAYS: usize = 4;

/// Its model and its settings, and its scenes once they were asked for.
pub struct Segmented {
    pub model: UNet,
    pub config: SegmentationConfig,
    set: OnceCell<Result<SegmentationSet, DataError>>,
}

impl Segmented {
    pub fn new(model: UNet, config: SegmentationConfig) -> Self {
        Self { model, config, set: OnceCell::new() }
    }

    /// Its scenes, or why they cannot be read.
    fn set(&self) -> Result<&SegmentationSet, &DataError> {
        self.set.get_or_init(|| read_scenes(&self.config.data.source)).as_ref()
    }
}

impl Subject for Segmented {
    fn bake(&self, baking: &Baking) -> Result<Graph, BakeError> {
        self.model.bake_graph(baking)
    }

    /// That of all test scenes.
    fn size(&self) -> Result<[usize; 2]> {
        let set = self.set().map_err(|error| anyhow::anyhow!("the data of the run cannot be read: {error}"))?;
        let sizes = sizes(&set.test);
        match sizes.as_slice() {
            [(size, _)] => Ok(*size),
            [] => bail!("there are no test scenes"),
            [(common, _), ..] => {
                let [least, greatest] =
                    [sizes.iter().min(), sizes.iter().max()].map(|size| size.map_or(*common, |s| s.0));
                bail!("the test scenes have sizes of their own, from {} to {}", by(least), by(greatest))
            }
        }
    }

    fn normalisation(&self) -> Normalisation {
        self.config.data.normalisation
    }

    fn channels_and_classes(&self) -> [usize; 2] {
        [self.config.model.channels, self.config.model.classes]
    }

    fn kept_classes(&self) -> (&[String], &str) {
        (&self.config.data.classes, &self.config.data.source)
    }

    fn classes_of_data(&self) -> Option<Vec<String>> {
        self.set().ok().map(|set| set.classes.clone())
    }

    fn metadata(&self, classes: Option<&[String]>, baking: &Baking, pixels: Pixels) -> Vec<(String, String)> {
        segmentation_metadata(&self.model, &self.config, classes, baking, pixels)
    }

    /// Of one size: that of the network, or the commonest.
    fn samples(
        &self,
        graph: &Graph,
        pixels: Pixels,
        count: usize,
        device: &Device,
        told: &mut Told<'_>,
    ) -> Result<Samples> {
        let Self { model, config, .. } = self;
        let set = self.set().map_err(|error| anyhow::anyhow!("{error}"));
        let set = set.context("the samples are test scenes of the run's data")?;
        check_scenes(config, set)?;
        let sizes = sizes(&set.test);
        let Some(&(common, _)) = sizes.first() else { bail!("there are no test scenes to take samples of") };
        let size = graph.size.unwrap_or(common);
        let of_size: Vec<usize> = (0..set.test.len()).filter(|&i| set.test.size(i) == size).collect();
        ensure!(
            !of_size.is_empty(),
            "no test scene has {} pixels, the size that the network is exported for, and samples are not resized: use \
             `--size {}`, or leave `--samples` out",
            by(size),
            by(common)
        );
        if sizes.len() > 1 {
            crate::say(format_args!(
                "note: samples have one size: they are test scenes of {} pixels, and those of other sizes are left out",
                by(size)
            ));
        }
        let [height, width] = size;
        let [channels, classes] = self.channels_and_classes();
        let indices = &of_size[..of_size.len().min(count)];
        let bytes = indices.len() * classes * height * width * size_of::<f32>();
        ensure!(
            bytes <= MOST_BYTES || indices.len() == 1,
            "the logits of {} samples would take {:.1} GB: ask for fewer with `--samples`, at most {}",
            indices.len(),
            bytes as f64 / 1e9,
            (MOST_BYTES / (bytes / indices.len())).max(1)
        );
        let whole = ARRAYS * size_of::<f32>() * config.model.largest_activation(height, width);
        ensure!(
            whole <= MOST_MEMORY,
            "a scene of {} pixels would take about {:.0} GB at once: leave `--samples` out",
            by(size),
            whole as f64 / 1e9
        );
        let network = PlainNetwork::new(graph, device);
        let [mut images, mut labels, mut logits, mut exported] = [const { Vec::new() }; 4];
        for (done, &i) in indices.iter().enumerate() {
            let scene = set.test.load(i)?.with_channels(channels);
            let tensor = |of: &dyn Fn(u8) -> f32| {
                let values: Vec<f32> = scene.image.iter().map(|&v| of(v)).collect();
                Tensor::<4>::from_data(TensorData::new(values, [1, channels, height, width]), device)
            };
            let normalised = tensor(&|v| config.data.normalisation.apply(v));
            logits.extend(model.forward(normalised.clone()).into_data().iter::<f32>());
            let image = match pixels {
                Pixels::Normalised => normalised,
                Pixels::UnitRange => tensor(&|v| f32::from(v) / 255.0),
            };
            exported.extend(network.forward(image.clone()).into_data().iter::<f32>());
            images.extend(image.into_data().iter::<f32>());
            labels.extend(scene.mask.iter().map(|&class| f32::from(class)));
            told((done + 1) as f64 / indices.len() as f64);
        }
        let count = indices.len();
        Ok(Samples {
            images: Array::new([count, channels, height, width], images),
            labels: Array::new([count, height, width], labels),
            logits: Array::new([count, classes, height, width], logits),
            exported,
        })
    }
}

/// The sizes of scenes with how many have them, the commonest first, of equals the smaller.
fn sizes(scenes: &Scenes) -> Vec<([usize; 2], usize)> {
    let mut counts = BTreeMap::new();
    (0..scenes.len()).for_each(|i| *counts.entry(scenes.size(i)).or_insert(0) += 1);
    let mut sizes: Vec<_> = counts.into_iter().collect();
    sizes.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    sizes
}

fn by([height, width]: [usize; 2]) -> String {
    format!("{height}x{width}")
}
