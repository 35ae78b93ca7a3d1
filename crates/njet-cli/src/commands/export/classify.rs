//! A run that classifies.

use super::samples::Samples;
use super::subject::{Subject, Told};
use anyhow::{Context, Result, bail, ensure};
use burn::tensor::{Device, Tensor, TensorData};
use njet::data::{self, Batch, Normalisation, Sizing, batch_random};
use njet::interop::graph::Array;
use njet::interop::{BakeError, Baking, Graph, Pixels, PlainNetwork, metadata};
use njet::models::Classifier;
use njet::training::RunConfig;

/// Images at a time.
const BATCH: usize = 50;

/// Its model and its settings.
pub struct Classified {
    pub model: Classifier,
    pub config: RunConfig,
}

impl Subject for Classified {
    fn bake(&self, baking: &Baking) -> Result<Graph, BakeError> {
        self.model.bake_graph(baking)
    }

    fn size(&self) -> Result<[usize; 2]> {
        Ok(self.config.data.size)
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
        data::load(&self.config.data.source).ok().map(|dataset| dataset.classes)
    }

    fn metadata(&self, classes: Option<&[String]>, baking: &Baking, pixels: Pixels) -> Vec<(String, String)> {
        metadata(&self.model, &self.config, classes, baking, pixels)
    }

    fn samples(
        &self,
        graph: &Graph,
        pixels: Pixels,
        count: usize,
        device: &Device,
        told: &mut Told<'_>,
    ) -> Result<Samples> {
        let Self { model, config } = self;
        let dataset = data::load(&config.data.source).context("the samples are test images of the run's data")?;
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
            told(labels.len() as f64 / indices.len() as f64);
        }
        let rows = labels.len();
        Ok(Samples {
            images: Array::new(shape, images),
            labels: Array::vector(labels),
            logits: Array::new([rows, logits.len() / rows.max(1)], logits),
            exported,
        })
    }
}
