//! `njet eval --scales`: the test images larger and smaller.

use crate::progress::Meter;
use crate::table::{Align, layout};
use burn::tensor::Device;
use njet::data::{ImageSet, Normalisation};
use njet::models::Classifier;
use njet::training::{RunConfig, ScaleError, evaluate_at, rescaled, scaled_size};
use serde::Serialize;

/// What a model comes to at one scale.
#[derive(Debug, Clone, Serialize)]
pub struct AtScale {
    /// How many times as large as they are the images were made.
    pub scale: f64,
    /// Rows and columns that they then had.
    pub size: [usize; 2],
    /// Of the model as it is.
    pub accuracy: f64,
    /// Of the model as it is, in nats.
    pub loss: f64,
    /// With every σ made as many times as large.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rescaled_accuracy: Option<f64>,
    /// With every σ made as many times as large, in nats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rescaled_loss: Option<f64>,
}

/// One scale, checked.
#[derive(Debug)]
pub struct Step {
    scale: f64,
    size: [usize; 2],
    rescale: bool,
    /// Where it is another model.
    rescaled: Option<Classifier>,
}

/// Checks every scale for images `[channels, height, width]`.
pub fn plan(
    config: &RunConfig,
    model: &Classifier,
    [_, height, width]: [usize; 3],
    factors: &[f64],
    rescale: bool,
) -> Result<Vec<Step>, ScaleError> {
    let step = |&scale: &f64| {
        let size = scaled_size(&config.model, model, [height, width], scale)?;
        // At scale 1 both are the same model.
        let rescaled = if rescale && scale != 1.0 { Some(rescaled(model, scale)?) } else { None };
        Ok(Step { scale, size, rescale, rescaled })
    };
    factors.iter().map(step).collect()
}

/// Evaluates at every scale, on all images of the set.
pub fn by_scale(
    model: &Classifier,
    plan: Vec<Step>,
    set: &ImageSet,
    normalisation: Normalisation,
    device: &Device,
) -> Vec<AtScale> {
    let all: Vec<usize> = (0..set.len()).collect();
    // The time goes by pixels.
    let work = |step: &Step| (step.size[0] * step.size[1] * all.len()) as f64;
    let passes = |step: &Step| 1.0 + f64::from(u8::from(step.rescaled.is_some()));
    let mut meter = Meter::new(plan.iter().map(|step| passes(step) * work(step)).sum());
    let mut rows = Vec::new();
    for step in plan {
        let pixels = (step.size[0] * step.size[1]) as f64;
        let mut evaluate = |model: &Classifier, what: &str| {
            let label = format!("scale {}{what}, images of {}×{}", step.scale, step.size[0], step.size[1]);
            let before = meter.done();
            let mut progress = |images: usize| meter.reach(before + pixels * images as f64, &label);
            evaluate_at(model, set, &all, normalisation, step.size, device, &mut progress)
        };
        let as_is = evaluate(model, "");
        let rescaled = match &step.rescaled {
            Some(model) => Some(evaluate(model, " with rescaled σ")),
            None => step.rescale.then_some(as_is),
        };
        rows.push(AtScale {
            scale: step.scale,
            size: step.size,
            accuracy: as_is.accuracy,
            loss: as_is.loss,
            rescaled_accuracy: rescaled.map(|e| e.accuracy),
            rescaled_loss: rescaled.map(|e| e.loss),
        });
    }
    rows
}

/// A table for people.
pub fn text(rows: &[AtScale]) -> String {
    use Align::Right;
    let mut header = vec![("scale", Right), ("image", Right), ("accuracy", Right), ("loss", Right)];
    if rows.iter().any(|row| row.rescaled_accuracy.is_some()) {
        header.extend([("accuracy, σ rescaled", Right), ("loss, σ rescaled", Right)]);
    }
    let percent = |part: f64| format!("{:.2} %", 100.0 * part);
    let cells = |row: &AtScale| {
        let mut cells = vec![
            row.scale.to_string(),
            format!("{}×{}", row.size[0], row.size[1]),
            percent(row.accuracy),
            format!("{:.4}", row.loss),
        ];
        cells.extend(row.rescaled_accuracy.map(percent));
        cells.extend(row.rescaled_loss.map(|loss| format!("{loss:.4}")));
        cells
    };
    layout(&header, &rows.iter().map(cells).collect::<Vec<_>>())
}
