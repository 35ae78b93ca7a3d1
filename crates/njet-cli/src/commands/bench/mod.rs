//! `njet bench`

mod cases;
mod layer;
mod network;
mod report;
mod shape;
mod timing;

use crate::Usage;
use crate::progress::Pieces;
use anyhow::{Context, Result, anyhow, ensure};
use cases::NetworkName;
use clap::{Args, ValueEnum};
use njet::models::LayerKind;
use njet_kernels::engine::Options;
use njet_kernels::peak;
use report::{Machine, Report};
use shape::Shape;
use std::time::Instant;
use timing::{Runs, median};

/// Measure the speed of layers and networks on this machine, on the CPU, in f32
///
/// Each figure is a median. Between the measurements the peak of the machine is measured too, by multiply-adds in
/// registers, and the rates of the layers are given as parts of it.
#[derive(Debug, Args)]
pub struct Bench {
    /// What to measure
    #[arg(value_enum, default_value_t = What::All)]
    what: What,
    /// Layers: channels in × channels out × side of the image, after a slash the groups (e.g. 96x192x32,64x64x64/64)
    #[arg(long, value_name = "SHAPE,…", value_delimiter = ',')]
    shapes: Option<Vec<Shape>>,
    /// Orders of the N-jet (layers: 2,3; networks: 2)
    #[arg(long, value_name = "N,…", value_delimiter = ',', allow_negative_numbers = true)]
    orders: Option<Vec<usize>>,
    /// Reaches of the filters in units of sigma (layers: 2,4; networks: 2)
    #[arg(long, value_name = "K,…", value_delimiter = ',', allow_negative_numbers = true)]
    extents: Option<Vec<f64>>,
    /// Scales in pixels (layers: 0.5,1,2,4,8; networks: 1)
    #[arg(long, value_name = "S,…", value_delimiter = ',', allow_negative_numbers = true)]
    sigmas: Option<Vec<f64>>,
    /// Networks: the architectures of `njet train`, unet too (njet-small and nin)
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    arch: Option<Vec<NetworkName>>,
    /// Spatial layers of the networks: njet, or conv for Burn's plain convolutions (njet)
    #[arg(long, value_name = "njet|conv,…", value_delimiter = ',')]
    layer: Option<Vec<LayerKind>>,
    /// Images in a batch (layers and most networks: 32; njet-small: 64; unet: 16; resnet18 and efficientnet-b0: 8)
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: Option<u32>,
    /// Timed calls of which the median is taken (by how long a call takes: 25 to 3)
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: Option<u32>,
    /// Threads (all that the machine has)
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Layers: compute on a coarser lattice where results stay within this tolerance (e.g. 1e-5; off)
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    band_limit: Option<f64>,
    /// Few and small things: whether it works, not how fast it is
    #[arg(long)]
    quick: bool,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Single layers, on the engine alone
    Layers,
    /// Training steps and inference of whole networks
    Networks,
    /// Both
    All,
}

impl Bench {
    /// Measures everything and prints the results.
    pub fn run(self) -> Result<()> {
        // Whatever is wrong with the command line is said before the first measurement.
        self.no_idle_options().map_err(Usage)?;
        let options = self.engine_options().map_err(Usage)?;
        let networks = self.network_cases().map_err(Usage)?;
        let layers = self.layer_cases().map_err(Usage)?;
        let threads = start_threads(self.threads)?;
        let runs = match (self.runs, self.quick) {
            (Some(n), _) => Runs::Fixed(n as usize),
            (None, true) => Runs::Fixed(2),
            (None, false) => Runs::ByDuration,
        };

        let mut pieces = Pieces::new(networks.len() + layers.len());
        let mut peak = Peak { threads, bursts: Vec::new() };
        let start = Instant::now();
        // Networks first: the memory of the first is that of a program that has done nothing else.
        let mut fresh = true;
        let mut network_times = Vec::with_capacity(networks.len());
        for case in &networks {
            pieces.begin(&case.to_string());
            peak.burst();
            network_times.push(network::measure(case, runs, std::mem::take(&mut fresh))?);
        }
        let mut layer_times = Vec::with_capacity(layers.len());
        for case in &layers {
            pieces.begin(&case.to_string());
            peak.burst();
            layer_times.push(layer::measure(case, options, runs)?);
        }
        peak.burst();
        drop(pieces); // its line gives way to the results

        let machine = Machine { threads, peak_gflops: 2e-9 * median(&peak.bursts) };
        let report = Report::new(&machine, networks.iter().zip(network_times), layers.iter().zip(layer_times));
        report.print(self.json, start.elapsed())
    }

    fn engine_options(&self) -> Result<Options> {
        let sensible = self.band_limit.is_none_or(|tolerance| tolerance > 0.0 && tolerance.is_finite());
        let value = self.band_limit.unwrap_or_default();
        ensure!(sensible, "--band-limit {value}: a tolerance is a small number above 0, such as 1e-5");
        Ok(Options { band_limit: self.band_limit, ..Options::default() })
    }

    /// An option for what is not measured is a mistake, and would go unnoticed.
    fn no_idle_options(&self) -> Result<()> {
        let (idle, other): (&[_], _) = match self.what {
            What::Layers => (&[("--arch", self.arch.is_some()), ("--layer", self.layer.is_some())], "networks"),
            What::Networks => {
                (&[("--shapes", self.shapes.is_some()), ("--band-limit", self.band_limit.is_some())], "layers")
            }
            What::All => (&[], ""),
        };
        match idle.iter().find(|(_, given)| *given) {
            Some((name, _)) => {
                let what = self.what.to_possible_value().expect("no variant is skipped").get_name().to_owned();
                Err(anyhow!("{name} is for {other}, and `njet bench {what}` measures none: leave out {name} or {what}"))
            }
            None => Ok(()),
        }
    }
}

/// The bursts in which the peak is measured, three a time: a single one may fall into a pause of the machine.
struct Peak {
    threads: usize,
    bursts: Vec<f64>,
}

impl Peak {
    fn burst(&mut self) {
        self.bursts.extend((0..3).map(|_| peak::multiply_adds_per_second(self.threads)));
    }
}

/// Starts the threads on which everything is computed, and gives their number.
fn start_threads(wanted: Option<u32>) -> Result<usize> {
    if let Some(n) = wanted {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n as usize);
        pool.build_global().with_context(|| format!("cannot start {n} threads"))?;
    }
    Ok(rayon::current_num_threads())
}
