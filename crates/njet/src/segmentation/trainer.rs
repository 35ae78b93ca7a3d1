//! Training a network that segments.

use super::batch::{SceneBatch, targets};
use super::config::SegmentationConfig;
use super::data::{IGNORED, SegmentationSet};
use super::evaluate::{SceneEvaluation, evaluate_scenes, segment, workers};
use super::loss::deep::lower_resolution;
use super::tiles::{Segmenter, classes};
use crate::data::{DataError, Random, Stream};
use crate::models::{DeepLogits, UNet};
use crate::training::{
    EpochRecord, Objective, Observer, Part, RunDirectory, Settings, Step, TrainingError, Validation, learn, load_model,
    sigmas,
};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentationSummary {
    /// Trained values of the model.
    pub parameters: usize,
    /// Epochs of the run.
    pub epochs: usize,
    /// The epoch with the best mIoU on the validation scenes, from 1: its model is kept and tested.
    pub best_epoch: usize,
    /// Its mIoU on the validation scenes.
    pub val_miou: f64,
    /// Its mIoU on the test scenes.
    pub test_miou: f64,
    /// Its σ in pixels, layer by layer.
    pub sigma: BTreeMap<String, Vec<f64>>,
    /// Time spent training.
    pub seconds: f64,
}

/// Trains a U-Net on scenes.
#[derive(Debug)]
pub struct SegmentationTrainer<'a> {
    config: &'a SegmentationConfig,
    set: &'a SegmentationSet,
    training: Vec<usize>,
    device: Device,
}

impl<'a> SegmentationTrainer<'a> {
    /// Checks the settings against the scenes and chooses those to train on.
    ///
    /// # Errors
    /// Settings that make no sense; scenes that do not fit the model or are too few.
    pub fn new(
        config: &'a SegmentationConfig,
        set: &'a SegmentationSet,
        device: &Device,
    ) -> Result<Self, TrainingError> {
        config.validate()?;
        check_scenes(config, set)?;
        if set.train.normalisation()? != config.data.normalisation {
            return Err(TrainingError::OtherImages { data: set.name.clone() });
        }
        let mut training: Vec<usize> = (0..set.train.len()).collect();
        if let Some(limit) = config.data.limit.filter(|&limit| limit < training.len()) {
            Random::for_stream(config.seed, Stream::Limit, 0).shuffle(&mut training);
            training.truncate(limit);
            training.sort_unstable();
        }
        if training.is_empty() || set.val.is_empty() {
            let (training, validation) = (training.len(), set.val.len());
            return Err(TrainingError::TooFewImages { images: training + validation, training, validation });
        }
        Ok(Self { config, set, training, device: device.clone() })
    }

    /// Trains from the newest checkpoint of `run`, or from the start where it has none, to the end. Interrupted at any
    /// moment and called again, it ends with the same numbers.
    ///
    /// # Errors
    /// Files of the run that cannot be read or written; a loss that is not finite.
    pub fn run(&self, run: &RunDirectory, observer: &mut dyn Observer) -> Result<SegmentationSummary, TrainingError> {
        let state = learn(self, run, &self.device, observer)?;
        let model = load_model(run, self.config, &self.device)?;
        let best = EpochRecord::best(&state.epochs).expect("a finished run has an epoch");
        Ok(SegmentationSummary {
            parameters: model.num_parameters(),
            epochs: state.epochs.len(),
            best_epoch: best.epoch,
            val_miou: best.score(),
            test_miou: self.test(&model, &mut |_| {})?.miou,
            sigma: sigmas(&model),
            seconds: state.seconds,
        })
    }

    /// What a model in evaluation mode makes of the test scenes. `progress` is told how many are done.
    ///
    /// # Errors
    /// A scene that cannot be read any more, or is too large.
    pub fn test(&self, model: &UNet, progress: &mut dyn FnMut(usize)) -> Result<SceneEvaluation, TrainingError> {
        let segmenter = Segmenter::new(self.config, model, &self.device);
        let SegmentationSet { test, classes, .. } = self.set;
        evaluate_scenes(&segmenter, &self.config.loss, test, classes, &self.device, progress)
    }
}

impl Objective for SegmentationTrainer<'_> {
    type Settings = SegmentationConfig;
    type Batch = SceneBatch;

    fn settings(&self) -> &SegmentationConfig {
        self.config
    }

    fn images(&self) -> [usize; 3] {
        [self.training.len(), self.set.val.len(), self.set.test.len()]
    }

    fn batches(&self, random: &mut Random) -> Vec<Vec<usize>> {
        let mut order = self.training.clone();
        random.shuffle(&mut order);
        order.chunks(self.config.batch_size).map(<[usize]>::to_vec).collect()
    }

    fn workers(&self) -> usize {
        workers(&self.set.train)
    }

    fn batch(&self, scenes: &[usize], random: &mut Random) -> Result<SceneBatch, DataError> {
        let SegmentationConfig { augment, data, .. } = self.config;
        let piece = |&i: &usize| Ok(augment.apply(&self.set.train.load(i)?, data.crop, random));
        let pieces = scenes.iter().map(piece).collect::<Result<Vec<_>, DataError>>()?;
        Ok(SceneBatch::new(&pieces, self.config.model.channels, data.normalisation))
    }

    fn parts(&self, batch: SceneBatch) -> Vec<Part<SceneBatch>> {
        let all = batch.len() as f64;
        let part = |batch: SceneBatch| Part {
            share: batch.len() as f64 / all,
            sigma_images: self.config.sigma_images.map(|images| (images * batch.len()).div_ceil(all as usize)),
            batch,
        };
        batch.divided(self.config.parts).into_iter().map(part).collect()
    }

    fn step(&self, model: &UNet, batch: SceneBatch, device: &Device) -> Step {
        let DeepLogits { logits, side, lower } = model.forward_deep(batch.images(device));
        let [images, _, rows, columns] = logits.dims();
        let masks = batch.by_cells(side, [rows / (side * side), columns]);
        let predictions = classes(&logits.clone().inner());
        let all = masks.iter().filter(|&&truth| truth != IGNORED).count();
        let right = masks.iter().zip(&predictions).filter(|(truth, guess)| truth == guess).count();
        let mut loss = self.config.loss.forward(logits, targets(&masks, [images, rows, columns], device));
        for (side, logits) in lower {
            let weights = &self.config.loss.class_weights;
            let deep = lower_resolution(logits, side, &batch.masks, batch.size(), weights);
            loss = loss + deep.mul_scalar(self.config.model.deep_supervision);
        }
        Step { loss, images: batch.len(), right: batch.len() as f64 * right as f64 / all.max(1) as f64 }
    }

    fn validate(&self, model: &UNet) -> Result<Validation, TrainingError> {
        let segmenter = Segmenter::new(self.config, model, &self.device);
        let (counts, waited) =
            segment(&segmenter, &self.config.loss, &self.set.val, &self.device, &mut |_, _, _| Ok(()))?;
        let confusion = &counts.confusion;
        Ok(Validation {
            loss: counts.loss(),
            accuracy: confusion.pixel_accuracy().unwrap_or(0.0),
            miou: Some(confusion.miou().unwrap_or(0.0)),
            waited,
        })
    }
}

/// Checks that the model of a run can take the scenes of a set, and that its loss has their classes. A model of colour
/// images takes grey ones.
///
/// # Errors
/// Other channels or classes than the model's; settings of the loss that do not fit.
pub fn check_scenes(config: &SegmentationConfig, set: &SegmentationSet) -> Result<(), TrainingError> {
    config.loss.check(config.model.classes)?;
    let (model, classes) = (&config.model, set.classes.len());
    if model.classes != classes || (model.channels != set.channels && set.channels != 1) {
        return Err(TrainingError::Mismatch {
            data: set.name.clone(),
            model_channels: model.channels,
            model_classes: model.classes,
            channels: set.channels,
            classes,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Stream;
    use crate::layer::{NJetConv2d, Precision};
    use crate::segmentation::data::{JointAugment, Scene};
    use crate::segmentation::loss::Loss;
    use crate::training::{Silent, learn_from, read_metrics};
    use burn::module::{Module, ModuleVisitor, Param};
    use burn::optim::GradientsParams;
    use burn::tensor::Tensor;

    /// Scenes of two classes, coloured, 6×7 pixels; most pixels are to be ignored.
    fn set() -> SegmentationSet {
        let scene = |number: usize| {
            let value = |i: usize| ((i * i + 31 * number * i) % 251) as u8;
            let class = |i: usize| if i % 8 < 6 { IGNORED } else { 1 };
            let (image, mask) = ((0..126).map(value).collect(), (0..42).map(class).collect());
            Scene { image, mask, channels: 3, height: 6, width: 7 }
        };
        let part = |numbers: std::ops::Range<usize>| numbers.map(scene).collect::<Vec<_>>().into();
        let classes = vec!["ground".to_owned(), "thing".to_owned()];
        let (name, train, val, test) = ("here".to_owned(), part(0..20), part(20..22), part(22..24));
        SegmentationSet { name, classes, channels: 3, train, val, test }
    }

    fn config(set: &SegmentationSet) -> SegmentationConfig {
        let mut config = SegmentationConfig::new(set).unwrap();
        config.batch_size = 4;
        (config.model.widths, config.model.convolutions) = (vec![2, 4], vec![1, 1]);
        config
    }

    fn random(index: u64) -> Random {
        Random::for_stream(3, Stream::Augment, index)
    }

    #[test]
    fn a_limit_draws_scenes_and_an_epoch_shuffles_them() {
        let set = set();
        let mut config = config(&set);
        config.data.limit = Some(8);
        let trainer = SegmentationTrainer::new(&config, &set, &Device::flex()).unwrap();
        let drawn = trainer.training.clone();
        assert!(drawn.is_sorted() && drawn.len() == 8 && drawn != (0..8).collect::<Vec<_>>(), "{drawn:?}");
        let epochs = [1, 2].map(|epoch| trainer.batches(&mut random(epoch)));
        assert_ne!(epochs[0], epochs[1]);
        for batches in epochs {
            assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4]);
            let mut order = batches.concat();
            assert_ne!(order, drawn);
            order.sort_unstable();
            assert_eq!(order, drawn);
        }
    }

    #[test]
    fn a_batch_is_of_changed_scenes() {
        let set = set();
        let mut config = config(&set);
        config.data.crop = [5, 4];
        let trainer = SegmentationTrainer::new(&config, &set, &Device::flex()).unwrap();
        let batch = trainer.batch(&[3, 1], &mut random(7)).unwrap();
        let mut random = random(7);
        let pieces = [3, 1].map(|i| config.augment.apply(&set.train.load(i).unwrap(), [5, 4], &mut random));
        assert_eq!(batch.masks, pieces.iter().flat_map(|piece| piece.mask.clone()).collect::<Vec<_>>());
        let images: Vec<f32> = batch.images(&Device::flex()).into_data().iter().collect();
        let expected = pieces.iter().flat_map(|piece| piece.image.iter().map(|&v| config.data.normalisation.apply(v)));
        assert_eq!(images, expected.collect::<Vec<_>>());
    }

    /// A step takes the pixels in another order than the network gives them: the loss is the same.
    #[test]
    fn the_loss_of_a_step_is_that_of_the_networks_logits() {
        let (set, device) = (set(), Device::flex());
        let mut config = config(&set);
        (config.model.widths, config.model.convolutions) = (vec![2, 3, 4], vec![1, 1, 1]);
        assert_eq!(config.model.up(), [0]);
        for (up, deep_supervision) in [(None, 0.0), (Some(vec![1, 1]), 0.0), (None, 0.5)] {
            (config.model.up, config.model.deep_supervision) = (up, deep_supervision);
            let model = config.init(&device).unwrap();
            let trainer = SegmentationTrainer::new(&config, &set, &device).unwrap();
            // 6×7 pixels: the last cells reach past the end.
            let batch = trainer.batch(&[3, 1], &mut random(7)).unwrap();
            let (images, targets) = (batch.images(&device), targets(&batch.masks, [2, 6, 7], &device));
            let expected = config.loss.forward(model.forward(images), targets).into_scalar::<f32>();
            let loss = trainer.step(&model, batch, &device).loss.into_scalar::<f32>();
            if deep_supervision == 0.0 {
                assert!((loss - expected).abs() < 1e-6, "{loss} {expected}");
            } else {
                assert!(loss > expected + 0.1, "two losses of lower resolutions are missing: {loss} {expected}");
            }
        }
    }

    /// Values of a model and their gradients.
    struct Values<'a> {
        gradients: &'a GradientsParams,
        trained: Vec<f32>,
        running: Vec<f32>,
    }

    impl ModuleVisitor for Values<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let numbers = |tensor: Tensor<D>| tensor.into_data().iter::<f32>().collect::<Vec<_>>();
            match self.gradients.get::<D>(param.id) {
                Some(gradient) => self.trained.extend(numbers(gradient)),
                None => self.running.extend(numbers(param.val())),
            }
        }
    }

    /// Each part goes through a network of its own and is normalised by itself; then they count by their size.
    #[test]
    fn parts_are_learned_from_apart() {
        let (set, device) = (set(), Device::flex().autodiff());
        let mut config = config(&set);
        (config.augment, config.data.crop) = (JointAugment::NONE, [6, 7]);
        let start = config.init(&device).unwrap();
        let learn = |parts: usize, scenes: &[usize]| {
            let config = SegmentationConfig { parts, ..config.clone() };
            let trainer = SegmentationTrainer::new(&config, &set, &Device::flex()).unwrap();
            let batch = trainer.batch(scenes, &mut random(7)).unwrap();
            let model = start.valid().train();
            let (model, learned) = learn_from(&trainer, model, batch, &device, Precision::F32, |_| None);
            let gradients = learned.gradients.unwrap();
            let mut values = Values { gradients: &gradients, trained: Vec::new(), running: Vec::new() };
            model.valid().visit(&mut values);
            let Values { trained, running, .. } = values;
            (trained, running, learned.loss, learned.images, learned.right)
        };
        let (together, first, second) = (learn(2, &[3, 1, 5]), learn(1, &[3]), learn(1, &[1, 5]));
        assert!(together.0.len() > 100 && together.1.len() > 4, "{} {}", together.0.len(), together.1.len());
        let off = |together: &[f32], first: &[f32], second: &[f32], share: f32| {
            assert_eq!([together.len(); 2], [first.len(), second.len()]);
            let means = first.iter().zip(second).map(|(a, b)| a * share + b * (1.0 - share));
            means.zip(together).map(|(mean, value)| (mean - value).abs()).fold(0.0, f32::max)
        };
        assert!(off(&together.0, &first.0, &second.0, 1.0 / 3.0) < 1e-5, "the gradients");
        assert!(off(&together.1, &first.1, &second.1, 0.5) < 1e-6, "the running statistics");
        assert!(off(&together.1, &first.1, &first.1, 0.5) > 1e-4, "of one part alone");
        assert!((together.2 - (first.2 + 2.0 * second.2) / 3.0).abs() < 1e-6);
        assert_eq!((together.3, together.4), (3, first.4 + second.4));
        // Nothing depends on which thread runs which part.
        for threads in 1..4 {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert!(pool.install(|| learn(2, &[3, 1, 5])) == together, "{threads} threads");
        }
    }

    /// σ learns from some of the images, all else from all of them.
    #[test]
    fn sigma_learns_from_some_images() {
        let (set, device) = (set(), Device::flex().autodiff());
        let mut config = config(&set);
        (config.augment, config.data.crop, config.parts) = (JointAugment::NONE, [6, 7], 1);
        let model = config.init(&device).unwrap();
        let learn = |sigma_images: Option<usize>| {
            let config = SegmentationConfig { sigma_images, ..config.clone() };
            let trainer = SegmentationTrainer::new(&config, &set, &Device::flex()).unwrap();
            let batch = trainer.batch(&[3, 1, 5, 2], &mut random(7)).unwrap();
            let (_, learned) = learn_from(&trainer, model.clone(), batch, &device, Precision::F32, |_| None);
            let gradients = learned.gradients.unwrap();
            let values = |of: Option<Tensor<1>>| of.unwrap().into_data().iter::<f32>().collect::<Vec<_>>();
            let layers: Vec<_> = model.njet_layers().collect();
            let sigma = layers.iter().flat_map(|(_, layer)| values(gradients.get::<1>(layer.log2_sigma.id)));
            let alpha =
                |layer: &NJetConv2d| values(gradients.get::<3>(layer.alpha.id).map(|alpha| alpha.flatten(0, 2)));
            let alpha = layers.iter().flat_map(|(_, layer)| alpha(layer));
            (sigma.collect::<Vec<_>>(), alpha.collect::<Vec<_>>())
        };
        let off = |a: &[f32], b: &[f32]| {
            let size = b.iter().fold(0.0, |most: f32, b| most.max(b.abs()));
            a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / size
        };
        let (all, some, four) = (learn(None), learn(Some(1)), learn(Some(4)));
        assert!(all.0.len() > 3 && off(&some.0, &all.0) > 1e-2, "{:?} {:?}", some.0, all.0);
        assert!(off(&some.1, &all.1) < 1e-5);
        assert_eq!(four, all);
    }

    /// Of the pixels that count all are of one class: soon all of them are right.
    #[test]
    fn ignored_pixels_count_in_no_accuracy() {
        let (mut set, device) = (set(), Device::flex());
        // The first epoch that gets all of them right is kept, so its model is tested on the same.
        set.test = set.val.clone();
        let mut config = config(&set);
        (config.epochs, config.model.layer) = (10, crate::models::LayerKind::Conv);
        config.loss = Loss { dice: 0.0, ..Loss::default() };
        let directory = tempfile::tempdir().unwrap();
        let run = RunDirectory::create(&directory.path().join("run"), &config).unwrap();
        let summary = SegmentationTrainer::new(&config, &set, &device).unwrap().run(&run, &mut Silent).unwrap();
        let last = read_metrics(&run).unwrap().pop().unwrap();
        assert!(last.train_accuracy > 0.9 && last.train_accuracy <= 1.0, "{last:?}");
        assert_eq!((last.val_accuracy, last.val_miou, summary.test_miou), (1.0, Some(1.0), 1.0));
    }

    #[test]
    fn scenes_that_do_not_fit_are_refused() {
        let set = set();
        let refused = |change: fn(&mut SegmentationConfig)| {
            let mut config = config(&set);
            change(&mut config);
            SegmentationTrainer::new(&config, &set, &Device::flex()).map(drop).unwrap_err()
        };
        let error = refused(|config| config.data.normalisation.mean += 0.1);
        assert!(matches!(error, TrainingError::OtherImages { .. }), "{error}");
        let error = refused(|config| config.model.channels = 1);
        assert!(matches!(error, TrainingError::Mismatch { model_channels: 1, channels: 3, .. }), "{error}");
        let error = refused(|config| config.loss.class_weights = vec![1.0]);
        assert!(matches!(error, TrainingError::Loss(_)), "{error}");
        let grey = SegmentationSet { channels: 1, ..set.clone() };
        assert!(check_scenes(&config(&set), &grey).is_ok(), "grey scenes are repeated");
    }
}
