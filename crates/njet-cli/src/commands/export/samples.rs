//! Test images with what the model says of them, to test an exported network by.

use anyhow::{Result, bail, ensure};
use burn::tensor::{Device, Tensor, TensorData};
use njet::data::{Batch, Dataset, Sizing, batch_random};
use njet::interop::graph::Array;
use njet::interop::state_dict::arrays;
use njet::interop::{Graph, Pixels, PlainNetwork};
use njet::models::Classifier;
use njet::training::RunConfig;
use std::path::{Path, PathBuf};

/// Images at a time.
const BATCH: usize = 50;

/// Images as the exported network takes them, and logits.
pub struct Samples {
    images: Array,
    labels: Array,
    /// Of the model itself
    logits: Array,
    /// and of the exported network.
    exported: Vec<f32>,
}

/// Beside the exported file.
pub fn path(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".samples.safetensors");
    PathBuf::from(name)
}

impl Samples {
    /// The first test images.
    pub fn new(
        dataset: &Dataset,
        config: &RunConfig,
        model: &Classifier,
        graph: &Graph,
        pixels: Pixels,
        count: usize,
        device: &Device,
    ) -> Result<Self> {
        let preparation = config.data.preparation(&config.model);
        if preparation.sizing == Sizing::Group {
            bail!("the test images keep sizes of their own (`--sizing group`), and samples must have one size");
        }
        let network = PlainNetwork::new(graph, device);
        let normalisation = preparation.normalisation;
        let [mut images, mut labels, mut logits, mut exported] = [const { Vec::new() }; 4];
        let mut shape = [0; 4];
        let indices: Vec<usize> = (0..dataset.test.len().min(count)).collect();
        for batch in indices.chunks(BATCH) {
            // Nothing is random without augmentation.
            let batch = preparation.batch(&dataset.test, batch, None, &mut batch_random(0, 0, 0))?;
            let Batch { pixels: mut values, shape: [rows, channels, height, width], labels: classes } = batch;
            ensure!(
                graph.size.is_none_or(|size| size == [height, width]),
                "the test images are {height}×{width}, and the network is exported for another size: no samples"
            );
            let tensor = |values: &[f32]| {
                let data = TensorData::new(values.to_vec(), [rows, channels, height, width]);
                Tensor::<4>::from_data(data, device)
            };
            logits.extend(model.forward(tensor(&values)).into_data().iter::<f32>());
            if pixels == Pixels::UnitRange {
                values.iter_mut().for_each(|v| *v = *v * normalisation.std + normalisation.mean);
            }
            exported.extend(network.forward(tensor(&values)).into_data().iter::<f32>());
            images.extend(values);
            labels.extend(classes.iter().map(|&class| f32::from(class)));
            shape = [labels.len(), channels, height, width];
        }
        let rows = labels.len();
        Ok(Self {
            images: Array::new(shape, images),
            labels: Array::vector(labels),
            logits: Array::new([rows, logits.len() / rows.max(1)], logits),
            exported,
        })
    }

    /// The largest between the network, run in Burn, and the model, in parts of the largest logit.
    pub fn difference(&self) -> f64 {
        let logits = &self.logits.values;
        let largest = logits.iter().fold(f32::MIN_POSITIVE, |largest, logit| largest.max(logit.abs()));
        let apart = logits.iter().zip(&self.exported).fold(0.0f32, |apart, (a, b)| apart.max((a - b).abs()));
        f64::from(apart / largest)
    }

    /// Of a safetensors file: `images`, `labels` and `logits`.
    pub fn bytes(&self) -> Vec<u8> {
        let named = [("images", &self.images), ("labels", &self.labels), ("logits", &self.logits)];
        arrays(&named.map(|(name, array)| (name.to_owned(), array.clone())), &[])
    }
}
