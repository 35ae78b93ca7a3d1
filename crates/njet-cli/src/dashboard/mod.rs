//! `njet train --dashboard`: Burn's terminal dashboard, told by our own loop how the run goes.

mod terminal;

use burn_train::Interrupter;
use burn_train::logger::TrainingProgressLogger;
use burn_train::metric::{
    MetricAttributes, MetricDefinition, MetricEntry, MetricId, NumericAttributes, NumericEntry, SerializedEntry,
};
use burn_train::renderer::tui::TuiMetricsRendererWrapper;
use burn_train::renderer::{MetricState, MetricsRenderer, MetricsRendererTraining};
use njet::training::{EpochRecord, Observer, Progress, Start};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use terminal::Guard;

/// Draws on the terminal from its making to its end.
pub struct Dashboard {
    renderer: Option<TuiMetricsRendererWrapper>,
    interrupter: Interrupter,
    guard: Guard,
    metrics: BTreeMap<String, MetricId>,
    epoch: usize,
    stopped: bool,
}

impl Dashboard {
    /// Takes over the terminal, which standard output must be. `resume` is what an interrupted run is gone on with, for
    /// the last words.
    pub fn new(resume: &str) -> Self {
        let interrupter = Interrupter::new();
        let guard = Guard::before(format!("njet: stopped; go on with `{resume}`\n"));
        let renderer = TuiMetricsRendererWrapper::new(interrupter.clone(), None);
        guard.let_signals_through();
        Self { renderer: Some(renderer), interrupter, guard, metrics: BTreeMap::new(), epoch: 0, stopped: false }
    }

    /// The renderer panics where its user chooses to kill the program. To us that is a stop.
    fn draw(&mut self, what: impl FnOnce(&mut TuiMetricsRendererWrapper)) {
        let Some(renderer) = &mut self.renderer else { return };
        if catch_unwind(AssertUnwindSafe(|| what(renderer))).is_err() {
            self.stopped = true;
            // Its end would panic again; the terminal is already as it was.
            std::mem::forget(self.renderer.take());
        }
    }

    fn register(&mut self, name: &str, description: &str, unit: Option<&str>, higher_is_better: bool) {
        let id = MetricId::new(Arc::new(name.to_owned()));
        let definition = MetricDefinition {
            metric_id: id.clone(),
            name: Arc::new(name.to_owned()),
            description: Some(description.to_owned()),
            attributes: MetricAttributes::Numeric(NumericAttributes {
                unit: unit.map(str::to_owned),
                higher_is_better,
            }),
        };
        self.metrics.insert(name.to_owned(), id);
        self.draw(|renderer| renderer.register_metric(definition));
    }

    fn state(&self, name: &str, text: String, value: f64) -> Option<MetricState> {
        let entry = MetricEntry::new(self.metrics.get(name)?.clone(), SerializedEntry::new(text, value.to_string()));
        Some(MetricState::Numeric(entry, Some(NumericEntry::Value(value))))
    }

    fn train(&mut self, name: &str, text: String, value: f64) {
        if let Some(state) = self.state(name, text, value) {
            self.draw(|renderer| renderer.update_train(state));
        }
    }

    fn valid(&mut self, name: &str, text: String, value: f64) {
        if let Some(state) = self.state(name, text, value) {
            self.draw(|renderer| renderer.update_valid(state));
        }
    }
}

const LOSS: &str = "Loss";
const ACCURACY: &str = "Accuracy";

impl Observer for Dashboard {
    fn started(&mut self, start: &Start<'_>) {
        self.register(LOSS, "Mean loss over the images", None, false);
        self.register(
            ACCURACY,
            "Part of the images, or of their pixels, that are classified as what they are",
            Some("%"),
            true,
        );
        let label = format!("{} on {}", start.arch, start.source);
        let &Start { epochs, images, done, .. } = start;
        self.draw(|renderer| {
            renderer.start(epochs, done, Some(images[0]), Some(&label));
            renderer.start_split("train", images[0]);
        });
    }

    fn stepped(&mut self, progress: &Progress) {
        if progress.epoch != self.epoch {
            self.epoch = progress.epoch;
            let (epoch, images) = (progress.epoch, progress.images_per_epoch);
            self.draw(|renderer| {
                // It counts from 0.
                renderer.update_epoch(epoch - 1);
                renderer.start_split("train", images);
            });
        }
        self.train(LOSS, format!("{:.4}", progress.loss), progress.loss);
        let percent = 100.0 * progress.accuracy;
        self.train(ACCURACY, format!("{percent:.2} %"), percent);
        let images = progress.images;
        self.draw(|renderer| renderer.update_split(images));
        self.stopped |= self.interrupter.should_stop();
    }

    fn epoch_ended(&mut self, record: &EpochRecord, _: bool) {
        self.valid(LOSS, format!("{:.4}", record.val_loss), record.val_loss);
        let percent = 100.0 * record.val_accuracy;
        self.valid(ACCURACY, format!("{percent:.2} %"), percent);
        for (layer, sigmas) in &record.sigma {
            for (i, &sigma) in sigmas.iter().enumerate() {
                let name = if sigmas.len() == 1 { format!("σ {layer}") } else { format!("σ {layer} {}", i + 1) };
                if !self.metrics.contains_key(&name) {
                    self.register(&name, "Scale of the layer's filters in pixels of its input", Some("px"), false);
                }
                let kernel = record.kernel.get(layer).map_or(String::new(), |[h, w]| format!(" ({h}×{w})"));
                self.train(&name, format!("{sigma:.3} px{kernel}"), sigma);
            }
        }
        self.draw(|renderer| renderer.end_split());
    }

    fn stop(&self) -> bool {
        self.stopped
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        // The renderer gives the terminal back before the signals are ours no more.
        drop(self.renderer.take());
        self.guard.release();
    }
}
