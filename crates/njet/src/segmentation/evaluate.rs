//! How well a network segments scenes.

use super::batch::targets;
use super::data::{IGNORED, Scene, Scenes, SizeUnit};
use super::loss::Loss;
use super::metrics::{BoundaryF1, Confusion, SizeIou, SizeRange};
use super::tiles::{Segmenter, classes, paste};
use crate::data::{Feed, Image};
use crate::training::TrainingError;
use burn::tensor::Device;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Pixels by which an outline may be off.
const TOLERANCE: f64 = 2.0;

/// What a network makes of some scenes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SceneEvaluation {
    /// Scenes.
    pub count: usize,
    /// Mean of the loss over the pixels that count.
    pub loss: f64,
    /// Part of the pixels that are right.
    pub accuracy: f64,
    /// Mean intersection over union.
    pub miou: f64,
    /// Mean Dice coefficient.
    pub mean_dice: f64,
    /// Intersection over union of each class that occurs.
    pub iou: BTreeMap<String, f64>,
    /// Dice coefficient of each class that occurs.
    pub dice: BTreeMap<String, f64>,
    /// F1 score of the outlines within two pixels, where there are any.
    pub boundary_f1: Option<f64>,
    /// What the sizes of `by_size` are.
    pub size_unit: Option<SizeUnit>,
    /// Intersection over union of the objects by their size.
    pub by_size: Vec<SizeRange>,
}

/// Counts over scenes.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) confusion: Confusion,
    /// Sum of the loss times the pixels it is the mean of.
    loss: f64,
    pixels: usize,
}

impl Counts {
    /// Mean of the loss over the pixels.
    pub(super) fn loss(&self) -> f64 {
        self.loss / self.pixels.max(1) as f64
    }
}

/// Is told the number of a scene, the scene and what was predicted, a class for each pixel.
pub(super) type Each<'a> = dyn FnMut(usize, &Scene, &[u8]) -> Result<(), TrainingError> + 'a;

/// Segments every scene; `each` is told its number, the scene and the prediction. Returns the counts and the time spent
/// waiting for scenes.
pub(super) fn segment(
    segmenter: &Segmenter<'_>,
    loss: &Loss,
    scenes: &Scenes,
    device: &Device,
    each: &mut Each<'_>,
) -> Result<(Counts, Duration), TrainingError> {
    let mut counts = Counts { confusion: Confusion::new(segmenter.classes()), loss: 0.0, pixels: 0 };
    let waited = Feed::run(
        scenes.len(),
        workers(scenes),
        |i| scenes.load(i),
        |feed| {
            for (i, scene) in feed.by_ref().enumerate() {
                let scene = scene?;
                let prediction = one(segmenter, loss, &scene, device, &mut counts)?;
                each(i, &scene, &prediction)?;
            }
            Ok::<_, TrainingError>(feed.waited())
        },
    )?;
    Ok((counts, waited))
}

/// Threads that load scenes: those in memory are only copied.
pub(super) fn workers(scenes: &Scenes) -> usize {
    match scenes {
        Scenes::Memory(_) => 1,
        Scenes::Files(_) | Scenes::Composed(_) => std::thread::available_parallelism().map_or(1, usize::from).min(8),
    }
}

fn one(
    segmenter: &Segmenter<'_>,
    loss: &Loss,
    scene: &Scene,
    device: &Device,
    counts: &mut Counts,
) -> Result<Vec<u8>, TrainingError> {
    let Scene { height, width, channels, .. } = *scene;
    let image = Image { pixels: scene.image.as_slice().into(), channels, height, width };
    let (views, mut prediction) = (segmenter.views(&image), vec![0; height * width]);
    for tile in segmenter.tiles([height, width])? {
        let logits = views.logits(segmenter, &tile);
        paste(&mut prediction, width, &tile, &classes(&logits));
        let [rows, columns] = tile.kept;
        let truth =
            rows.clone().flat_map(|row| &scene.mask[row * width..][columns.clone()]).copied().collect::<Vec<_>>();
        let pixels = truth.iter().filter(|&&class| class != IGNORED).count();
        let value = loss.forward(logits, targets(&truth, [1, rows.len(), columns.len()], device));
        counts.loss += f64::from(value.into_scalar::<f32>()) * pixels as f64;
        counts.pixels += pixels;
    }
    counts.confusion.add(&prediction, &scene.mask);
    Ok(prediction)
}

/// Evaluates a network at all scenes of a part of a set. `progress` is told how many scenes are done.
///
/// # Errors
/// A scene that cannot be read any more, or is too large.
pub fn evaluate_scenes(
    segmenter: &Segmenter<'_>,
    loss: &Loss,
    scenes: &Scenes,
    names: &[String],
    device: &Device,
    progress: &mut dyn FnMut(usize),
) -> Result<SceneEvaluation, TrainingError> {
    let mut boundary = BoundaryF1::new(segmenter.classes(), TOLERANCE);
    let (mut sizes, mut unit) = (SizeIou::new(), None);
    let mut measure = |i: usize, scene: &Scene, prediction: &[u8]| -> Result<(), TrainingError> {
        let size = [scene.height, scene.width];
        boundary.add(prediction, &scene.mask, size);
        let objects = scenes.objects(i)?;
        sizes.add(prediction, &scene.mask, &objects, size);
        unit = Some(objects.unit);
        progress(i + 1);
        Ok(())
    };
    let (counts, _) = segment(segmenter, loss, scenes, device, &mut measure)?;
    let confusion = &counts.confusion;
    let named = |values: Vec<Option<f64>>| -> BTreeMap<String, f64> {
        names.iter().cloned().zip(values).filter_map(|(name, value)| Some((name, value?))).collect()
    };
    let by_size = unit.map_or(Vec::new(), |unit| sizes.by_size(&edges(unit)));
    Ok(SceneEvaluation {
        count: scenes.len(),
        loss: counts.loss(),
        accuracy: confusion.pixel_accuracy().unwrap_or(0.0),
        miou: confusion.miou().unwrap_or(0.0),
        mean_dice: confusion.mean_dice().unwrap_or(0.0),
        iou: named(confusion.iou()),
        dice: named(confusion.dice()),
        boundary_f1: boundary.mean(),
        size_unit: unit,
        by_size: by_size.into_iter().filter(|range| range.count > 0).collect(),
    })
}

/// Ranges of an octave: about the factors ½, 1, 2, 4 …, or from 1 pixel on.
fn edges(unit: SizeUnit) -> Vec<f64> {
    match unit {
        SizeUnit::Factor => (-7..8).map(|octave| (f64::from(octave) - 0.5).exp2()).collect(),
        SizeUnit::Pixels => (0..16).map(|octave| f64::from(octave).exp2()).collect(),
    }
}
