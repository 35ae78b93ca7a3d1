//! `njet eval --scales`: the test images larger and smaller.

use crate::progress::Meter;
use crate::table::{Align, layout};
use anyhow::Result;
use burn::tensor::Device;
use njet::data::Samples;
use njet::models::Classifier;
use njet::training::{Evaluation, RunConfig, View, evaluate_at, scaled_size, seen_size};
use serde::Serialize;

/// What a model comes to at one scale.
#[derive(Debug, Clone, Serialize)]
pub struct AtScale {
    /// How many times as large as they are the images were made.
    pub scale: f64,
    /// Rows and columns that they then had; of images of mixed sizes, the bound.
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

/// Scales at which a model can be tested.
#[derive(Debug)]
pub struct Plan<'a> {
    config: &'a RunConfig,
    model: &'a Classifier,
    samples: &'a Samples,
    rescale: bool,
    steps: Vec<Step>,
}

/// One scale, checked.
#[derive(Debug)]
struct Step {
    scale: f64,
    size: [usize; 2],
    /// Where it is another model.
    rescaled: Option<Classifier>,
}

impl Step {
    /// The time goes by pixels.
    fn pixels(&self) -> f64 {
        (self.size[0] * self.size[1]) as f64
    }
}

impl<'a> Plan<'a> {
    /// Checks every scale.
    pub fn new(
        config: &'a RunConfig,
        model: &'a Classifier,
        samples: &'a Samples,
        factors: &[f64],
        rescale: bool,
    ) -> Result<Self> {
        let seen = seen_size(&config.data.preparation(&config.model), samples);
        let step = |&scale: &f64| -> Result<Step> {
            let size = scaled_size(&config.model, seen, scale)?;
            // At scale 1 both are the same model.
            let rescaled = if rescale && scale != 1.0 { Some(model.rescale(scale)?.model) } else { None };
            Ok(Step { scale, size, rescaled })
        };
        let steps = factors.iter().map(step).collect::<Result<_>>()?;
        Ok(Self { config, model, samples, rescale, steps })
    }

    /// Evaluates at every scale, on all images.
    pub fn run(&self, device: &Device) -> Result<Vec<AtScale>> {
        let all: Vec<usize> = (0..self.samples.len()).collect();
        let passes = |step: &Step| if step.rescaled.is_some() { 2.0 } else { 1.0 };
        let work: f64 = self.steps.iter().map(|step| passes(step) * step.pixels()).sum();
        let mut meter = Meter::new(work * all.len() as f64);
        let mut evaluate = |step: &Step, model: &Classifier, what: &str| -> Result<Evaluation> {
            let [height, width] = step.size;
            let label = format!("scale {}{what}, images of {height}×{width}", step.scale);
            let before = meter.done();
            let mut progress = |images: usize| meter.reach(before + step.pixels() * images as f64, &label);
            let settings = &self.config.model;
            let view = View { preparation: self.config.data.preparation(settings), scale: step.scale };
            Ok(evaluate_at(settings, model, self.samples, &all, &view, device, &mut progress)?)
        };
        let mut rows = Vec::new();
        for step in &self.steps {
            let as_is = evaluate(step, self.model, "")?;
            let rescaled = match &step.rescaled {
                Some(model) => Some(evaluate(step, model, " with rescaled σ")?),
                None => self.rescale.then_some(as_is),
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
        Ok(rows)
    }
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
