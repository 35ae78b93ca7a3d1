//! The results, for people and for programs.

use super::cases::{LayerCase, NetworkCase};
use super::layer::LayerTimes;
use super::network::NetworkTimes;
use crate::progress::duration;
use crate::table::{Align, grouped, layout};
use anyhow::{Context, Result};
use njet_kernels::LoopOrder;
use serde::Serialize;
use std::io::Write;
use std::time::Duration;

/// What everything was measured on.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Machine {
    /// Of multiply-adds in registers, f32, all threads together.
    pub peak_gflops: f64,
    /// On which everything was computed.
    pub threads: usize,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    #[serde(flatten)]
    machine: Machine,
    #[serde(rename = "rows")]
    layers: Vec<LayerRow>,
    networks: Vec<NetworkRow>,
}

#[derive(Debug, Serialize)]
struct LayerRow {
    what: &'static str,
    c_in: usize,
    c_out: usize,
    side: usize,
    groups: usize,
    batch: usize,
    order: usize,
    extent: f64,
    sigma: f64,
    kernel_side: usize,
    /// Pixels between samples along y and x, forward and backward; 1 but with a band limit.
    band_step: [usize; 2],
    band_step_backward: [usize; 2],
    loop_order: &'static str,
    forward_ms: f64,
    forward_backward_ms: f64,
    /// Of the mixing of channels alone, which any implementation must do; filters are not counted.
    gflops: f64,
    forward_backward_gflops: f64,
    /// Of the peak of the machine, 0 to 1.
    of_peak: f64,
    forward_backward_of_peak: f64,
    #[serde(flatten)]
    machine: Machine,
    #[serde(skip)]
    shape: String,
}

#[derive(Debug, Serialize)]
struct NetworkRow {
    what: String,
    arch: &'static str,
    layer: &'static str,
    order: Option<usize>,
    extent: Option<f64>,
    sigma: Option<f64>,
    channels: usize,
    side: usize,
    images: usize,
    parameters: usize,
    train_step_ms: f64,
    train_images_per_second: f64,
    inference_ms: f64,
    inference_images_per_second: f64,
    /// Of the training step, above what the process held before. Of the first network alone.
    peak_memory_bytes: Option<u64>,
    #[serde(flatten)]
    machine: Machine,
}

impl Report {
    /// Puts what was measured together.
    pub fn new<'a>(
        machine: &Machine,
        networks: impl Iterator<Item = (&'a NetworkCase, NetworkTimes)>,
        layers: impl Iterator<Item = (&'a LayerCase, LayerTimes)>,
    ) -> Self {
        Self {
            machine: *machine,
            layers: layers.map(|(case, times)| LayerRow::new(machine, case, times)).collect(),
            networks: networks.map(|(case, times)| NetworkRow::new(machine, case, times)).collect(),
        }
    }

    /// Prints it on standard output.
    pub fn print(&self, json: bool, took: Duration) -> Result<()> {
        let text = if json { self.json()? } else { self.text(took) };
        std::io::stdout().write_all(text.as_bytes()).context("cannot write the result to standard output")
    }

    fn json(&self) -> Result<String> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    fn text(&self, took: Duration) -> String {
        let mut parts = Vec::new();
        if !self.layers.is_empty() {
            let rows: Vec<_> = self.layers.iter().map(LayerRow::cells).collect();
            parts.push(layout(&LayerRow::HEADER, &rows));
        }
        if !self.networks.is_empty() {
            let rows: Vec<_> = self.networks.iter().map(NetworkRow::cells).collect();
            parts.push(layout(&NetworkRow::HEADER, &rows));
        }
        let Machine { threads, peak_gflops } = self.machine;
        let s = if threads == 1 { "" } else { "s" };
        let mut end = format!("{threads} thread{s}, f32; the machine's peak is {peak_gflops:.1} GFLOP/s");
        end += " (multiply-adds in registers, measured between the rows)\n";
        if !self.layers.is_empty() {
            end += "GFLOP/s count the mixing of channels (two operations a coefficient and pixel), ";
            end += "three times that with backward; filters are not counted\n";
        }
        if self.layers.iter().any(|row| row.band_step != [1, 1]) {
            end += "÷y×x: computed at every y-th and x-th pixel and interpolated, within the band limit\n";
        }
        end += &format!("measured in {}\n", duration(took.as_secs_f64()));
        parts.push(end);
        parts.join("\n")
    }
}

impl LayerRow {
    const HEADER: [(&str, Align); 12] = [
        ("layer", Align::Left),
        ("order", Align::Right),
        ("extent", Align::Right),
        ("σ (px)", Align::Right),
        ("kernel", Align::Right),
        ("first", Align::Left),
        ("forward ms", Align::Right),
        ("GFLOP/s", Align::Right),
        ("of peak", Align::Right),
        ("forward+backward ms", Align::Right),
        ("GFLOP/s", Align::Right),
        ("of peak", Align::Right),
    ];

    fn new(machine: &Machine, case: &LayerCase, times: LayerTimes) -> Self {
        let (geometry, shape) = (&case.geometry, case.shape);
        let operations = 2.0 * geometry.alpha_len() as f64 * (case.batch * shape.side * shape.side) as f64;
        // Operations a millisecond, in thousands of millions a second.
        let gflops = operations / times.forward * 1e-6;
        let forward_backward_gflops = 3.0 * operations / times.forward_backward * 1e-6;
        Self {
            what: "njet",
            c_in: shape.channels_in,
            c_out: shape.channels_out,
            side: shape.side,
            groups: shape.groups,
            batch: case.batch,
            order: case.order,
            extent: case.extent,
            sigma: case.sigma,
            kernel_side: case.taps.side(),
            band_step: times.steps[0],
            band_step_backward: times.steps[1],
            loop_order: match LoopOrder::cheaper(geometry) {
                LoopOrder::FilterThenMix => "filter-then-mix",
                LoopOrder::MixThenFilter => "mix-then-filter",
            },
            forward_ms: times.forward,
            forward_backward_ms: times.forward_backward,
            gflops,
            forward_backward_gflops,
            of_peak: gflops / machine.peak_gflops,
            forward_backward_of_peak: forward_backward_gflops / machine.peak_gflops,
            machine: *machine,
            shape: shape.to_string(),
        }
    }

    /// Where a band limit made samples stand apart: by how many pixels along y and x.
    fn coarser(&self) -> String {
        match self.band_step {
            [1, 1] => String::new(),
            [y, x] => format!(" ÷{y}×{x}"),
        }
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.shape.clone(),
            self.order.to_string(),
            self.extent.to_string(),
            self.sigma.to_string(),
            format!("{0}×{0}{1}", self.kernel_side, self.coarser()),
            self.loop_order.split('-').next().unwrap_or_default().to_owned(),
            format!("{:.2}", self.forward_ms),
            format!("{:.1}", self.gflops),
            format!("{:.1} %", 100.0 * self.of_peak),
            format!("{:.2}", self.forward_backward_ms),
            format!("{:.1}", self.forward_backward_gflops),
            format!("{:.1} %", 100.0 * self.forward_backward_of_peak),
        ]
    }
}

impl NetworkRow {
    const HEADER: [(&str, Align); 11] = [
        ("network", Align::Left),
        ("layers", Align::Left),
        ("order", Align::Right),
        ("extent", Align::Right),
        ("σ (px)", Align::Right),
        ("images", Align::Left),
        ("training step ms", Align::Right),
        ("images/s", Align::Right),
        ("inference ms", Align::Right),
        ("images/s", Align::Right),
        ("peak memory MiB", Align::Right),
    ];

    fn new(machine: &Machine, case: &NetworkCase, times: NetworkTimes) -> Self {
        let per_second = |ms: f64| 1e3 * case.batch as f64 / ms;
        Self {
            what: format!("{}-{}", case.arch, case.layer()),
            arch: case.arch.name(),
            layer: case.layer().name(),
            order: case.njet.map(|njet| njet.order),
            extent: case.njet.map(|njet| njet.extent),
            sigma: case.njet.map(|njet| njet.sigma),
            channels: case.channels,
            side: case.side,
            images: case.batch,
            parameters: times.parameters,
            train_step_ms: times.train_step,
            train_images_per_second: per_second(times.train_step),
            inference_ms: times.inference,
            inference_images_per_second: per_second(times.inference),
            peak_memory_bytes: times.peak_memory,
            machine: *machine,
        }
    }

    fn cells(&self) -> Vec<String> {
        fn or_dash<T: ToString>(value: Option<T>) -> String {
            value.map_or("–".to_owned(), |value| value.to_string())
        }
        vec![
            self.arch.to_owned(),
            self.layer.to_owned(),
            or_dash(self.order),
            or_dash(self.extent),
            or_dash(self.sigma),
            format!("{}x{}x{2}x{2}", self.images, self.channels, self.side),
            format!("{:.2}", self.train_step_ms),
            grouped(self.train_images_per_second.round() as u64),
            format!("{:.2}", self.inference_ms),
            grouped(self.inference_images_per_second.round() as u64),
            or_dash(self.peak_memory_bytes.map(|bytes| grouped(bytes.div_ceil(1 << 20)))),
        ]
    }
}
