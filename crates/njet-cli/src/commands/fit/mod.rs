//! `njet fit`

mod picture;

use super::report;
use crate::Usage;
use crate::table::{Align, grouped, layout};
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use njet::Discretisation;
use njet::interop::fit::{Filters, Fit as Fitted, FitConfig, FitError, Reach, SigmaPer, fit};
use njet::interop::tensors::{TensorEntry, TensorFile};
use njet::training::write_file;
use njet_basis::jet;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// Filters that the table lists.
const LISTED: usize = 256;

/// Filters that take more than a moment.
const MANY: usize = 4096;

/// Tensors that a message names.
const NAMED: usize = 12;

/// Approximate the filters of a convolution by N-jets, and report how well
///
/// For each filter, or for the layer, the scale is sought at which an N-jet comes nearest; its coefficients follow by
/// least squares. Writes the fitted layer (OUT.safetensors) and a picture of the filters, the fits and what is left
/// (OUT.png). The explained variance is 1 − what is left of the filter's energy; overall it is the mean over the filters.
#[derive(Debug, Args)]
pub struct Fit {
    /// File with the filters: .safetensors, .npy, .onnx, or .pth, .pt as torch.save writes them
    file: PathBuf,
    /// Name of the tensor, `[outputs, inputs, height, width]` (default: that with the largest windows)
    #[arg(long, value_name = "NAME")]
    tensor: Option<String>,
    /// Order of the N-jets, 0 to 10
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=10))]
    order: u8,
    /// Who has a sigma of their own: filter, layer (one for all), input or output (channel)
    #[arg(long, value_name = "NAME", default_value_t = SigmaPer::Filter)]
    sigma_per: SigmaPer,
    /// Let the N-jets reach to K sigma, and count what they have outside the window (default: compare on the window)
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    extent: Option<f64>,
    /// Sampling of the Gaussian: normalized-sampled, sampled, integrated or discrete-analogue
    #[arg(long, value_name = "NAME", default_value_t = Discretisation::NormalizedSampled)]
    discretisation: Discretisation,
    /// Where to write, without the ending (default: FILE-orderN in this directory)
    #[arg(short, long, value_name = "OUT")]
    out: Option<PathBuf>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Outcome {
    file: String,
    tensor: String,
    shape: [usize; 4],
    order: usize,
    sigma_per: &'static str,
    /// `None`: compared on the window.
    extent: Option<f64>,
    discretisation: &'static str,
    /// The mean over the filters that are not all zeros.
    explained_variance: f64,
    /// Of the energy of all filters together.
    explained_energy: f64,
    filters: Vec<Filter>,
    layer: String,
    picture: String,
    /// Spent fitting.
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct Filter {
    index: usize,
    sigma: f64,
    explained_variance: f64,
}

impl Fit {
    /// Fits, writes and reports.
    pub fn run(self) -> Result<()> {
        let file = TensorFile::open(&self.file)?;
        let (tensor, shape) = self.choose(&file)?;
        let values = file.values_f64(tensor)?;
        let named = |error: FitError| anyhow!("the tensor {} of {}: {error}", tensor.name, self.file.display());
        let filters = Filters::new(&values, shape).map_err(named)?;
        let config = FitConfig {
            sigma_per: self.sigma_per,
            reach: self.extent.map_or(Reach::Window, Reach::Extent),
            discretisation: self.discretisation,
            ..FitConfig::new(self.order.into())
        };
        if filters.len() > MANY {
            crate::say(format_args!("fitting {} filters", grouped(filters.len() as u64)));
        }
        let start = Instant::now();
        let fitted = fit(&filters, &config).map_err(|error| match error {
            FitError::Basis(error) => Usage(error.into()).into(),
            other => named(other),
        })?;
        let seconds = start.elapsed().as_secs_f64();
        let out = self.out.clone().unwrap_or_else(|| {
            let stem = self.file.file_stem().map_or_else(Default::default, |stem| stem.to_string_lossy().into_owned());
            PathBuf::from(format!("{stem}-order{}", self.order))
        });
        let [layer, picture] = [".safetensors", ".png"].map(|ending| {
            let mut path = out.clone().into_os_string();
            path.push(ending);
            PathBuf::from(path)
        });
        let advise = |error| anyhow!("{error}; choose another place with `--out`");
        write_file(&layer, &self.layer(&tensor.name, &fitted)?).map_err(advise)?;
        write_file(&picture, &picture::draw(&filters, &fitted)).map_err(advise)?;
        let result = Outcome {
            file: self.file.display().to_string(),
            tensor: tensor.name.clone(),
            shape,
            order: self.order.into(),
            sigma_per: self.sigma_per.name(),
            extent: self.extent,
            discretisation: self.discretisation.name(),
            explained_variance: fitted.explained_variance(),
            explained_energy: fitted.explained_energy(),
            filters: (0..)
                .zip(&fitted.filters)
                .map(|(index, filter)| Filter {
                    index,
                    sigma: filter.sigma,
                    explained_variance: filter.explained_variance(),
                })
                .collect(),
            layer: layer.display().to_string(),
            picture: picture.display().to_string(),
            seconds,
        };
        report(self.json, &result, text)
    }

    /// The tensor that is named, or the one with the largest windows, as filters.
    fn choose<'a>(&self, file: &'a TensorFile) -> Result<(&'a TensorEntry, [usize; 4])> {
        let path = self.file.display();
        if let Some(name) = &self.tensor {
            let tensor = file.get(name).ok_or_else(|| {
                Usage(anyhow!("{path} has no tensor {name:?}; it has {}", names(file.tensors().iter())))
            })?;
            let shape = as_filters(&tensor.shape).ok_or_else(|| {
                let axes =
                    "[outputs, inputs, height, width] is needed, or [filters, height, width], or [height, width]";
                Usage(anyhow!("the tensor {name} of {path} has the shape {:?}: {axes}", tensor.shape))
            })?;
            return Ok((tensor, shape));
        }
        // An array alone may have any of the shapes; among tensors of a network a matrix is no filter.
        let least_axes = if file.tensors().len() == 1 { 2 } else { 4 };
        let candidates = file.tensors().iter().filter(|tensor| tensor.shape.len() >= least_axes);
        let candidates = candidates.filter_map(|tensor| Some((tensor, as_filters(&tensor.shape)?)));
        let spatial: Vec<_> = candidates.filter(|(_, [.., height, width])| height * width > 1).collect();
        let window = |[.., height, width]: [usize; 4]| height * width;
        let largest = spatial.iter().copied().rev().max_by_key(|(_, shape)| window(*shape));
        let (tensor, shape) = largest.ok_or_else(|| {
            anyhow!(
                "{path} has no tensor of filters, [outputs, inputs, height, width] with more than one tap; it has {}",
                names(file.tensors().iter())
            )
        })?;
        if spatial.len() > 1 {
            let others = names(spatial.iter().map(|(tensor, _)| *tensor).filter(|other| other.name != tensor.name));
            crate::say(format_args!("fitting {} (`--tensor` chooses another: {others})", tensor.name));
        }
        Ok((tensor, shape))
    }

    /// The fitted layer as a file.
    fn layer(&self, tensor: &str, fitted: &Fitted) -> Result<Vec<u8>> {
        use safetensors::tensor::{Dtype, TensorView, serialize};
        let [outputs, inputs, height, width] = fitted.shape;
        let basis: Vec<String> = jet(fitted.config.order).map(|index| index.to_string()).collect();
        let single = |values: &[f64]| -> Vec<u8> { values.iter().flat_map(|&v| (v as f32).to_le_bytes()).collect() };
        let kernels: Vec<f64> = (0..fitted.filters.len()).flat_map(|filter| fitted.kernel(filter)).collect();
        if let Some(value) = fitted.alpha.iter().chain(&kernels).find(|&&value| !(value as f32).is_finite()) {
            bail!(
                "the N-jets of {tensor} have weights up to {value:e}, which single precision does not hold: make its weights smaller"
            );
        }
        let (alpha, sigma, kernels) = (single(&fitted.alpha), single(&fitted.sigma), single(&kernels));
        let order = (fitted.config.order as i64).to_le_bytes();
        let mut tensors = vec![
            ("alpha", TensorView::new(Dtype::F32, vec![outputs, inputs, basis.len()], &alpha)?),
            ("sigma", TensorView::new(Dtype::F32, vec![fitted.sigma.len()], &sigma)?),
            ("kernel", TensorView::new(Dtype::F32, vec![outputs, inputs, height, width], &kernels)?),
            ("order", TensorView::new(Dtype::I64, vec![], &order)?),
        ];
        let extent = self.extent.map(|extent| (extent as f32).to_le_bytes());
        if let Some(extent) = &extent {
            tensors.push(("extent", TensorView::new(Dtype::F32, vec![], extent)?));
        }
        // One entry: several would come in random order, and the same fit is to give the same bytes.
        let about = serde_json::json!({
            "producer": "njet fit", "tensor": tensor, "order": fitted.config.order, "extent": self.extent,
            "window": [height, width], "sigma_per": self.sigma_per.name(),
            "discretisation": self.discretisation.name(), "basis": basis,
            "explained_variance": fitted.explained_variance(), "explained_energy": fitted.explained_energy(),
        });
        let about = [("njet".to_owned(), about.to_string())].into();
        serialize(tensors, Some(about)).context("cannot make the file of the layer")
    }
}

/// The shape as that of filters, if it is one.
fn as_filters(shape: &[usize]) -> Option<[usize; 4]> {
    match *shape {
        [outputs, inputs, height, width] => Some([outputs, inputs, height, width]),
        [filters, height, width] => Some([filters, 1, height, width]),
        [height, width] => Some([1, 1, height, width]),
        _ => None,
    }
}

/// Tensors with their shapes, the first few of many.
fn names<'a>(tensors: impl Iterator<Item = &'a TensorEntry>) -> String {
    let names: Vec<String> = tensors.map(|tensor| format!("{} {:?}", tensor.name, tensor.shape)).collect();
    match names.len() {
        0 => "none".to_owned(),
        n if n <= NAMED => names.join(", "),
        n => format!("{} and {} more", names[..NAMED].join(", "), n - NAMED),
    }
}

fn text(result: &Outcome) -> String {
    let [outputs, inputs, height, width] = result.shape;
    let all = result.filters.len();
    let compared = match result.extent {
        None => "compared on the window".to_owned(),
        Some(extent) => format!("out to {extent} σ"),
    };
    let mut text = format!(
        "{}: {outputs} × {inputs} filters of {height}×{width}, order {}, a σ for each {}, {compared}\n\n",
        result.tensor, result.order, result.sigma_per
    );
    let header = [
        ("filter", Align::Right),
        ("output", Align::Right),
        ("input", Align::Right),
        ("σ (px)", Align::Right),
        ("explained", Align::Right),
    ];
    let rows: Vec<Vec<String>> = result
        .filters
        .iter()
        .take(LISTED)
        .map(|filter| {
            vec![
                filter.index.to_string(),
                (filter.index / inputs).to_string(),
                (filter.index % inputs).to_string(),
                format!("{:.3}", filter.sigma),
                format!("{:.4}", filter.explained_variance),
            ]
        })
        .collect();
    text += &layout(&header, &rows);
    if all > LISTED {
        text += &format!("… and {} more; `--json` tells all\n", grouped((all - LISTED) as u64));
    }
    text += &format!(
        "\nexplained variance {:.4}, the mean over the filters; {:.4} of the energy of all together; fitted in {:.0} ms\n",
        result.explained_variance,
        result.explained_energy,
        1000.0 * result.seconds
    );
    text += &format!("the layer is in {}, a picture in {}\n", result.layer, result.picture);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_of_filters() {
        assert_eq!(as_filters(&[64, 3, 7, 7]), Some([64, 3, 7, 7]));
        assert_eq!(as_filters(&[5, 3, 3]), Some([5, 1, 3, 3]));
        assert_eq!(as_filters(&[3, 4]), Some([1, 1, 3, 4]));
        assert_eq!((as_filters(&[9]), as_filters(&[1; 5])), (None, None));
    }
}
