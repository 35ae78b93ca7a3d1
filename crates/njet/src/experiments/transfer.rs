//! A trained model on test images at other scales, and what is done about it.

use super::error::ExperimentError;
use crate::data::{DataError, Dataset, ImageSet, Preparation, Resampler, Samples, Sizing};
use crate::models::{Classifier, LayerKind};
use crate::training::{RunConfig, evaluate};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// Sides of the test images in units of that of training.
pub(super) const SCALES: [f64; 2] = [0.5, 2.0];

/// What is done about the other scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Treatment {
    /// Every σ times the scale.
    Rescaled,
    /// Nothing.
    LeftAlone,
    /// The images are resampled back to the size of training.
    ResampledBack,
}

impl Treatment {
    /// Those that a model can have.
    pub(super) fn of(layer: LayerKind) -> &'static [Self] {
        match layer {
            LayerKind::Njet => &[Self::Rescaled, Self::LeftAlone, Self::ResampledBack],
            LayerKind::Conv => &[Self::LeftAlone, Self::ResampledBack],
        }
    }

    /// In words.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Rescaled => "σ rescaled",
            Self::LeftAlone => "left alone",
            Self::ResampledBack => "input resampled back",
        }
    }
}

/// An accuracy at another scale.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Treated {
    /// Side of the images in units of that of training.
    pub scale: f64,
    /// What was done about it.
    pub treatment: Treatment,
    /// On the test images.
    pub accuracy: f64,
}

/// Tests a model at each scale with each treatment.
pub(super) fn test(
    cell: &str,
    model: &Classifier,
    config: &RunConfig,
    dataset: &Dataset,
    device: &Device,
) -> Result<Vec<Treated>, ExperimentError> {
    let trained = config.data.size;
    let all: Vec<usize> = (0..dataset.test.len()).collect();
    let mut results = Vec::new();
    for scale in SCALES {
        let size = trained.map(|side| ((side as f64 * scale).round() as usize).max(1));
        let images = Samples::from(resampled(&dataset.test, size)?);
        let back = Samples::from(resampled(&images, trained)?);
        let fixed = Preparation { sizing: Sizing::Fixed, ..config.data.preparation(&config.model) };
        let as_they_are = (&images, Preparation { size, ..fixed });
        for &treatment in Treatment::of(config.model.layer) {
            let accuracy = |model: &Classifier, (images, preparation): (&Samples, Preparation)| {
                Ok::<_, ExperimentError>(evaluate(model, images, &all, &preparation, device)?.accuracy)
            };
            let accuracy = match treatment {
                Treatment::LeftAlone => accuracy(model, as_they_are)?,
                Treatment::ResampledBack => accuracy(model, (&back, Preparation { size: trained, ..fixed }))?,
                Treatment::Rescaled => {
                    let rescaled = model.rescale(scale).map_err(|source| ExperimentError::Rescale {
                        cell: cell.to_owned(),
                        source: Box::new(source),
                    })?;
                    accuracy(&rescaled.model, as_they_are)?
                }
            };
            results.push(Treated { scale, treatment, accuracy });
        }
    }
    Ok(results)
}

/// All images of a part at one size, `[height, width]`, as bytes; by the cubic, so that what changes is the scale and not
/// the sharpness.
fn resampled(samples: &Samples, size: [usize; 2]) -> Result<ImageSet, DataError> {
    let channels = samples.channels();
    let mut pixels = Vec::with_capacity(samples.len() * channels * size[0] * size[1]);
    for index in 0..samples.len() {
        let image = samples.image(index)?;
        let resampler = Resampler::cubic([image.height, image.width], size);
        for channel in 0..channels {
            let plane: Vec<f32> = image.plane(channel).iter().map(|&v| f32::from(v)).collect();
            // Beside an edge the cubic overshoots.
            pixels.extend(resampler.plane(&plane).iter().map(|v| v.round().clamp(0.0, 255.0) as u8));
        }
    }
    ImageSet::new(pixels, samples.labels().to_vec(), channels, size[0], size[1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::{RunDirectory, Silent, Trainer, load_model};

    #[test]
    fn images_are_resampled_with_their_labels() {
        let set = ImageSet::new(vec![0, 2, 4, 6, 10, 10, 10, 10], vec![3, 1], 1, 2, 2).unwrap();
        let half = resampled(&set.clone().into(), [1, 1]).unwrap();
        assert_eq!((half.images(), half.labels(), half.shape()), ([3, 10].as_slice(), [3, 1].as_slice(), [1, 1, 1]));
        let same = resampled(&set.clone().into(), [2, 2]).unwrap();
        assert_eq!(same, set);
    }

    /// Each treatment is what its name says.
    #[test]
    fn treatments() {
        let device = Device::flex();
        let mut dataset = crate::data::load(crate::data::DEFAULT_SOURCE).unwrap();
        dataset.test = dataset.test.subset(&(0..150).collect::<Vec<_>>());
        let mut config = RunConfig::new(&dataset, crate::models::Architecture::Small);
        config.model.subsampling = Some(crate::models::Subsampling::None);
        (config.model.sigma, config.epochs, config.data.limit) = (1.5, 2, Some(400));
        // An untrained model finds all images alike.
        let directory = tempfile::tempdir().unwrap();
        let run = RunDirectory::create(&directory.path().join("run"), &config).unwrap();
        Trainer::new(&config, &dataset, &device).unwrap().run(&run, &mut Silent).unwrap();
        let model = load_model(&run, &config, &device).unwrap();
        let treated = test("cell", &model, &config, &dataset, &device).unwrap();
        let found = |scale, treatment| {
            treated.iter().find(|at| at.scale == scale && at.treatment == treatment).unwrap().accuracy
        };

        let all: Vec<usize> = (0..150).collect();
        let large = Samples::from(resampled(&dataset.test, [56, 56]).unwrap());
        let at = |model: &Classifier, samples: &Samples, side: usize| {
            let preparation = Preparation { size: [side; 2], ..config.data.preparation(&config.model) };
            evaluate(model, samples, &all, &preparation, &device).unwrap().accuracy
        };
        let rescaled = at(&model.rescale(2.0).unwrap().model, &large, 56);
        let left_alone = at(&model, &large, 56);
        let back = at(&model, &resampled(&large, [28, 28]).unwrap().into(), 28);
        assert_ne!(rescaled, left_alone, "the images do not tell the treatments apart");
        assert_eq!(found(2.0, Treatment::Rescaled), rescaled);
        assert_eq!(found(2.0, Treatment::LeftAlone), left_alone);
        assert_eq!(found(2.0, Treatment::ResampledBack), back);
        assert_ne!(found(0.5, Treatment::Rescaled), found(0.5, Treatment::LeftAlone));
        assert_eq!(treated.len(), 6);
    }
}
