//! `njet export`

mod classify;
mod samples;
mod segment;
mod size;
mod subject;

use super::report;
use crate::Usage;
use crate::progress::Meter;
use crate::table::grouped;
use anyhow::{Result, anyhow, bail};
use burn::tensor::Device;
use clap::{Args, ValueEnum};
use classify::Classified;
use njet::interop::state_dict::{LOADER, pth, safetensors};
use njet::interop::{BakeError, Baking, Form, Graph, Pixels, onnx};
use njet::segmentation::SegmentationConfig;
use njet::training::{RunDirectory, Task, load_model, write_file};
use segment::Segmented;
use serde::Serialize;
use size::Size;
use std::fs;
use std::path::{Path, PathBuf};
use subject::Subject;

/// Write a run's model as plain convolutions: ONNX, or weights for PyTorch
///
/// The scales are numbers now, so every N-jet layer is an ordinary convolution. The input is the normalised image,
/// (pixel/255 − mean)/std; mean, std, size, class names and every sigma are in the metadata of the file. The output are logits, one for each class; of
/// a run that segments, for every pixel. With safetensors
/// and pytorch a Python module is written beside the file that loads it into torch.nn.
#[derive(Debug, Args)]
pub struct Export {
    /// Directory of the run
    run: PathBuf,
    /// Kind of file
    #[arg(long, value_enum)]
    format: Format,
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// N-jet layers as one convolution each (dense), as chains of 1-D filters and a 1×1 (separable), or as whichever takes
    /// fewer multiply-adds (cheaper)
    #[arg(long, value_name = "NAME", default_value_t = Form::Dense)]
    form: Form,
    /// Size of the images: free, N, or HEIGHTxWIDTH (default: free, or that of the run where the model depends on it; of scenes,
    /// that of the test scenes)
    #[arg(long, value_name = "SIZE")]
    size: Option<Size>,
    /// Leave batch normalisation an operation of its own
    #[arg(long)]
    keep_norm: bool,
    /// Let the network normalise: its input is then pixel/255
    #[arg(long)]
    normalise: bool,
    /// Write beside it, into FILE.samples.safetensors, so many test images with the logits that njet gives them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    samples: Option<u32>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For inference engines
    Onnx,
    /// Weights by name
    Safetensors,
    /// Weights by name, for torch.load
    Pytorch,
}

#[derive(Debug, Serialize)]
struct Outcome {
    task: Task,
    file: String,
    format: &'static str,
    form: &'static str,
    /// `null`: any.
    size: Option<[usize; 2]>,
    /// Numbers that the network holds,
    values: usize,
    /// and how many it would hold with `--form cheaper`, where those are less than half.
    #[serde(skip_serializing_if = "Option::is_none")]
    values_cheaper: Option<usize>,
    bytes: usize,
    input: &'static str,
    /// Of the samples: the largest difference between the exported network, run in Burn, and the model, in parts of the
    /// largest logit.
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    samples: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loader: Option<String>,
}

/// Parts of the work, about.
const PARTS: f64 = 3.0;

impl Export {
    /// Bakes the best model of the run and writes it.
    pub fn run(self) -> Result<()> {
        let device = Device::flex();
        match RunDirectory::task(&self.run)? {
            Task::Classify => {
                let (run, config) = RunDirectory::open(&self.run)?;
                let model = load_model(&run, &config, &device)?;
                self.export(&Classified { model, config }, Task::Classify, &device)
            }
            Task::Segment => {
                let (run, config) = RunDirectory::open_as::<SegmentationConfig>(&self.run)?;
                let model = load_model(&run, &config, &device)?;
                self.export(&Segmented::new(model, config), Task::Segment, &device)
            }
        }
    }

    fn export(&self, subject: &dyn Subject, task: Task, device: &Device) -> Result<()> {
        let loader = (self.format != Format::Onnx).then(|| self.out.with_extension("py"));
        if let Some(loader) = &loader {
            self.check_loader(loader)?;
        }
        let mut meter = Meter::new(PARTS);
        let (graph, baking) = self.bake(subject)?;
        let normalisation = subject.normalisation();
        let (graph, pixels) = if self.normalise {
            (graph.normalising(normalisation.mean, normalisation.std), Pixels::UnitRange)
        } else {
            (graph, Pixels::Normalised)
        };
        meter.reach(1.0, "baked");
        let classes = classes(subject);
        // All that can fail is done before anything is written.
        let samples = match self.samples {
            None => None,
            Some(count) => {
                let mut told = |part: f64| meter.reach(1.0 + part, "testing");
                Some(subject.samples(&graph, pixels, count as usize, device, &mut told)?)
            }
        };
        meter.reach(2.0, "tested");
        let entries = subject.metadata(classes.as_deref(), &baking, pixels);
        let bytes = match self.format {
            Format::Onnx => onnx::encode(&graph, &entries),
            Format::Safetensors => safetensors(&graph, &entries),
            Format::Pytorch => pth(&graph, &entries)?,
        };
        if bytes.len() > i32::MAX as usize && self.format == Format::Onnx {
            bail!(
                "the file would have {} bytes, and an ONNX file has room for 2 GiB: use `--form cheaper`",
                bytes.len()
            );
        }
        let write = |path: &Path, bytes: &[u8]| {
            write_file(path, bytes).map_err(|error| anyhow!("{error}; choose another place with `--out`"))
        };
        write(&self.out, &bytes)?;
        if let Some(loader) = &loader {
            write(loader, LOADER.as_bytes())?;
        }
        let beside = samples::path(&self.out);
        if let Some(samples) = &samples {
            write(&beside, &samples.bytes())?;
        }
        drop(meter);
        let path = |path: &Path| path.display().to_string();
        let outcome = Outcome {
            task,
            file: path(&self.out),
            format: match self.format {
                Format::Onnx => "onnx",
                Format::Safetensors => "safetensors",
                Format::Pytorch => "pytorch",
            },
            form: baking.form.name(),
            size: baking.size,
            values: graph.len(),
            values_cheaper: self.cheaper(subject, &baking).filter(|&cheaper| 2 * cheaper < graph.len()),
            bytes: bytes.len(),
            input: if self.normalise { "pixel / 255" } else { "(pixel / 255 - mean) / std" },
            difference: samples.as_ref().map(samples::Samples::difference),
            samples: samples.is_some().then(|| path(&beside)),
            loader: loader.as_deref().map(path),
        };
        report(self.json, &outcome, |outcome| text(outcome, subject.channels_and_classes()))
    }

    /// For images of any size where that is possible and no size was asked for, else for one.
    fn bake(&self, subject: &dyn Subject) -> Result<(Graph, Baking)> {
        let baking = |size| Baking { form: self.form, fold_norm: !self.keep_norm, size };
        let (size, given) = match self.size {
            Some(Size::Pixels(size)) => (Some(size), true),
            Some(Size::Free) => (None, true),
            None => (None, false),
        };
        match subject.bake(&baking(size)) {
            Ok(graph) => Ok((graph, baking(size))),
            Err(error @ BakeError::TooSmall { .. }) => Err(Usage(error.into()).into()),
            Err(error) if size.is_some() => Err(error.into()),
            Err(error) => {
                let size = subject.size();
                let [height, width] = match (size, given) {
                    (Ok([height, width]), true) => {
                        bail!("images of any size cannot be exported: {error}; use `--size {height}x{width}`")
                    }
                    (Err(_), true) => {
                        bail!("images of any size cannot be exported: {error}; use `--size HEIGHTxWIDTH`")
                    }
                    (Err(why), false) => bail!(
                        "images of any size cannot be exported: {error}; and which size is not known: {why}; choose one with \
                         `--size HEIGHTxWIDTH`"
                    ),
                    (Ok(size), false) => size,
                };
                crate::say(format_args!("note: exported for images of {height}×{width} pixels alone: {error}"));
                let baking = baking(Some([height, width]));
                Ok((subject.bake(&baking)?, baking))
            }
        }
    }

    /// Numbers of the cheaper form, where dense kernels are written.
    fn cheaper(&self, subject: &dyn Subject, baking: &Baking) -> Option<usize> {
        if baking.form != Form::Dense {
            return None;
        }
        let cheaper = subject.bake(&Baking { form: Form::Cheaper, ..baking.clone() });
        cheaper.ok().map(|graph| graph.len())
    }

    /// Nobody's own Python file is overwritten. The module of another version of njet is: it has the same first line.
    fn check_loader(&self, loader: &Path) -> Result<()> {
        if loader == self.out {
            let error = anyhow!("{} is where the Python module would go: name the file otherwise", loader.display());
            return Err(Usage(error).into());
        }
        let first = LOADER.lines().next().unwrap_or_default();
        let ours = fs::read_to_string(loader).map_or(!loader.exists(), |text| text.lines().next() == Some(first));
        if !ours {
            bail!(
                "{} is not a file of njet's, and the Python module would go there: choose another name with `--out`",
                loader.display()
            );
        }
        Ok(())
    }
}

/// Names of the classes: those that were kept with the run, else those of its data.
fn classes(subject: &dyn Subject) -> Option<Vec<String>> {
    let [_, classes] = subject.channels_and_classes();
    let fit = |names: &Vec<String>| names.len() == classes;
    let (kept, source) = subject.kept_classes();
    let names = Some(kept.to_vec()).filter(fit).or_else(|| subject.classes_of_data().filter(fit));
    if names.is_none() {
        crate::say(format_args!(
            "note: the data of the run, {source}, cannot be read: the file has no names of classes"
        ));
    }
    names
}

fn text(outcome: &Outcome, [channels, classes]: [usize; 2]) -> String {
    let size = outcome.size.map_or("height, width".to_owned(), |[height, width]| format!("{height}, {width}"));
    let output = match outcome.task {
        Task::Classify => format!("[batch, {classes}]: logits"),
        Task::Segment => format!("[batch, {classes}, {size}]: logits of every pixel"),
    };
    let mut text = format!(
        "{}: {} numbers, {} bytes, {}\n    input   [batch, {channels}, {size}]: {}\n    output  {output}\n",
        outcome.file,
        grouped(outcome.values as u64),
        grouped(outcome.bytes as u64),
        outcome.form,
        outcome.input,
    );
    if let Some(values) = outcome.values_cheaper {
        text +=
            &format!("    with `--form cheaper` it would be {} numbers, and usually faster\n", grouped(values as u64));
    }
    if let Some(loader) = &outcome.loader {
        text += &format!("    {loader} loads it into torch.nn\n");
    }
    if let (Some(samples), Some(difference)) = (&outcome.samples, outcome.difference) {
        text +=
            &format!("    {samples} has test images and their logits; the plain network is off by {difference:.1e}\n");
    }
    text
}
