//! `njet jet`

mod circles;
mod colours;

use super::report;
use crate::Usage;
use crate::picture::{Pixels, png};
use crate::progress::Meter;
use crate::table::{Align, layout};
use anyhow::{Context, Result, anyhow};
use clap::{Args, ValueEnum};
use colours::Scale;
use njet::data::read_image;
use njet::scale_space::{
    Blob, BlobConfig, BlobRule, Invariant, JetIndex, Polarity, ScaleSpace, ScaleSpaceConfig, ScaleSpaceError, blobs,
    jet,
};
use njet::training::write_file;
use njet::{Discretisation, PaddingMode};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// Make the derivative maps of an image at given scales, and find its blobs with theirs
///
/// L, Lx, Ly, Lxx, Lxy, Lyy … with the sign of the true derivative (Lx is positive where the image becomes brighter to the
/// right, Ly where it does downwards), the gradient magnitude, the Laplacian and the determinant of the Hessian. An image
/// goes from 0, black, to 1, white; colours become grey. A derivative of order n is multiplied by sigma to the power of n
/// times gamma. Signed maps are blue below 0, white at 0 and red above, each as far as its greatest value.
#[derive(Debug, Args)]
pub struct Jet {
    /// Image file: PNG, JPEG, BMP, GIF, WebP or TIFF
    image: PathBuf,
    /// Scales in pixels
    #[arg(long, value_name = "S,…", allow_negative_numbers = true, value_delimiter = ',', default_value = "1,2,4")]
    sigma: Vec<f64>,
    /// Highest order of the derivatives, 0 to 10
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 2)]
    order: usize,
    /// Directory for the pictures, one folder in it for each scale
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Around the image: zeros, replicate, reflect or circular
    #[arg(long, value_name = "NAME", value_parser = super::train::padding_mode, default_value = "replicate")]
    padding_mode: PaddingMode,
    /// Reach of the filters in units of sigma, at least 4
    #[arg(long, value_name = "K", allow_negative_numbers = true, default_value_t = 5.0)]
    extent: f64,
    /// Sampling of the Gaussian: normalized-sampled, sampled, integrated or discrete-analogue
    #[arg(long, value_name = "NAME", default_value_t = Discretisation::DiscreteAnalogue)]
    discretisation: Discretisation,
    /// Power of the scale normalisation: 1 makes maps of different scales comparable, 0 gives derivatives a pixel
    #[arg(long, value_name = "F", allow_negative_numbers = true, default_value_t = 1.0)]
    gamma: f64,
    /// Signed maps in grey, 0 in the middle
    #[arg(long)]
    grey: bool,
    /// Also write every map as it is, in f32, for NumPy
    #[arg(long)]
    npy: bool,
    /// Find blobs with the scale at which they stand out most, and draw them into blobs.png
    #[arg(long, value_name = "BY", value_enum)]
    blobs: Option<By>,
    /// Range of scales for the blobs, in pixels (default: from 1 to an eighth of the shorter side)
    #[arg(long, value_name = "MIN,MAX", allow_negative_numbers = true, value_parser = range, requires = "blobs")]
    blob_sigma: Option<[f64; 2]>,
    /// Contrast of the weakest blob: the height of a Gaussian blob that stands out as much
    #[arg(long, value_name = "C", allow_negative_numbers = true, default_value_t = 0.1, requires = "blobs")]
    contrast: f64,
    /// At most so many blobs, the strongest
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 100, requires = "blobs")]
    most: usize,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// Whose extrema over place and scale are blobs.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum By {
    /// The Laplacian: also the ends and thick places of lines
    Laplacian,
    /// The determinant of the Hessian: round things alone
    Determinant,
}

fn range(text: &str) -> Result<[f64; 2], String> {
    let numbers: Vec<f64> = text.split(',').filter_map(|number| number.trim().parse().ok()).collect();
    let range = <[f64; 2]>::try_from(numbers).ok().filter(|_| text.split(',').count() == 2);
    range.ok_or_else(|| "two numbers are needed, the least and the greatest scale: 1,16".to_owned())
}

#[derive(Debug, Serialize)]
struct Outcome {
    image: String,
    height: usize,
    width: usize,
    scales: Vec<AtScale>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blobs: Option<Blobs>,
}

#[derive(Debug, Serialize)]
struct AtScale {
    sigma: f64,
    maps: Vec<Map>,
}

#[derive(Debug, Serialize)]
struct Map {
    name: String,
    path: String,
    /// The least and the greatest value.
    min: f64,
    max: f64,
    /// The values of the darkest and of the brightest pixel; of a coloured map, of pure blue and of pure red.
    shown: [f64; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    npy: Option<String>,
}

#[derive(Debug, Serialize)]
struct Blobs {
    path: String,
    sigmas: [f64; 2],
    points: Vec<Point>,
}

#[derive(Debug, Serialize)]
struct Point {
    x: f64,
    y: f64,
    sigma: f64,
    polarity: &'static str,
    contrast: f64,
}

impl Jet {
    /// Writes the pictures.
    pub fn run(self) -> Result<()> {
        self.check_scales()?;
        let image = read_image(&self.image)?;
        let size = [image.height, image.width];
        let luminance = image.luminance();
        let values: Vec<f32> = luminance.iter().map(|grey| grey / 255.0).collect();
        let Self { padding_mode, extent, discretisation, gamma, .. } = self;
        let config = ScaleSpaceConfig { padding_mode, extent, discretisation, gamma };
        let space = ScaleSpace::new(&values, size, config).map_err(refused)?;
        // Whatever is wrong with the settings is said before anything is written.
        for &sigma in &self.sigma {
            space.check(sigma, self.order).map_err(refused)?;
        }
        let search = self.search(size);
        let levels = match &search {
            Some(search) => search.check(&space).map_err(refused)?,
            None => Vec::new(),
        };
        // Nothing is known of the time but that it grows with σ and the number of passes.
        let passes = (self.order + Invariant::ALL.len()) as f64;
        let work = |sigma: f64| 8.0 + sigma;
        let mut meter = Meter::new(
            self.sigma.iter().map(|&sigma| passes * work(sigma)).sum::<f64>()
                + levels.iter().map(|&sigma| work(sigma)).sum::<f64>(),
        );
        let mut scales = Vec::new();
        for &sigma in &self.sigma {
            scales.push(self.at_scale(&space, sigma)?);
            meter.reach(meter.done() + passes * work(sigma), &format!("sigma {sigma}"));
        }
        let blobs = match &search {
            Some(search) => {
                let found = blobs(&space, search, &mut |done, _| {
                    let sigma = levels[done - 1];
                    meter.reach(meter.done() + work(sigma), &format!("blobs of sigma {sigma:.1}"));
                });
                Some(self.drawn(&found.map_err(refused)?, &luminance, size, search.sigmas)?)
            }
            None => None,
        };
        drop(meter);
        let outcome =
            Outcome { image: self.image.display().to_string(), height: size[0], width: size[1], scales, blobs };
        report(self.json, &outcome, text)
    }

    fn check_scales(&self) -> Result<()> {
        for (i, sigma) in self.sigma.iter().enumerate() {
            if self.sigma[..i].contains(sigma) {
                return Err(Usage(anyhow!("`--sigma` names the scale {sigma} twice: once is enough")).into());
            }
        }
        Ok(())
    }

    fn search(&self, [height, width]: [usize; 2]) -> Option<BlobConfig> {
        let rule = match self.blobs? {
            By::Laplacian => BlobRule::Laplacian,
            By::Determinant => BlobRule::HessianDeterminant,
        };
        // The scale beyond the last must have filters as well.
        let largest = 0.8 * njet_basis::MAX_RADIUS as f64 / self.extent;
        let sigmas = self.blob_sigma.unwrap_or([1.0, (height.min(width) as f64 / 8.0).clamp(2.0, largest.max(2.0))]);
        Some(BlobConfig { rule, contrast: self.contrast, most: self.most, ..BlobConfig::new(sigmas) })
    }

    fn at_scale(&self, space: &ScaleSpace<'_>, sigma: f64) -> Result<AtScale> {
        let directory = self.out.join(format!("sigma-{sigma}"));
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}; choose another place with `--out`", directory.display()))?;
        let mut maps = Vec::new();
        // Degree by degree: not all maps of a large image need be in memory.
        for degree in 0..=self.order {
            let wanted: Vec<JetIndex> = jet(degree).filter(|index| index.degree() == degree).collect();
            let made = space.derivatives(sigma, &wanted).map_err(refused)?;
            for (index, map) in wanted.iter().zip(&made) {
                maps.push(self.write(&directory, &index.to_string(), map, space.size(), degree > 0)?);
            }
        }
        for invariant in Invariant::ALL.into_iter().filter(|invariant| invariant.order() <= self.order) {
            let map = space.invariant(sigma, invariant).map_err(refused)?;
            let signed = invariant != Invariant::GradientMagnitude;
            maps.push(self.write(&directory, invariant.name(), &map, space.size(), signed)?);
        }
        Ok(AtScale { sigma, maps })
    }

    fn write(&self, directory: &Path, name: &str, map: &[f32], size: [usize; 2], signed: bool) -> Result<Map> {
        let least = f64::from(map.iter().copied().fold(f32::INFINITY, f32::min));
        let greatest = f64::from(map.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let scale = Scale::of([least, greatest], signed, !self.grey);
        let bytes = scale.paint(map);
        let pixels = if scale.coloured() { Pixels::Rgb(&bytes) } else { Pixels::Grey(&bytes) };
        let path = directory.join(format!("{name}.png"));
        write_file(&path, &png(pixels, size[1])).map_err(elsewhere)?;
        let npy = self.npy.then(|| directory.join(format!("{name}.npy")));
        if let Some(path) = &npy {
            write_file(path, &numpy(map, size)).map_err(elsewhere)?;
        }
        let shown = |path: PathBuf| path.display().to_string();
        Ok(Map {
            name: name.to_owned(),
            path: shown(path),
            min: least,
            max: greatest,
            shown: scale.ends(),
            npy: npy.map(shown),
        })
    }

    fn drawn(&self, found: &[Blob], luminance: &[f32], size: [usize; 2], sigmas: [f64; 2]) -> Result<Blobs> {
        let grey: Vec<u8> = luminance.iter().map(|grey| grey.round() as u8).collect();
        let (pixels, width) = circles::picture(&grey, size, found);
        let path = self.out.join("blobs.png");
        write_file(&path, &png(Pixels::Rgb(&pixels), width)).map_err(elsewhere)?;
        let point = |&Blob { x, y, sigma, polarity, contrast }: &Blob| {
            let polarity = match polarity {
                Polarity::Bright => "bright",
                Polarity::Dark => "dark",
            };
            Point { x, y, sigma, polarity, contrast }
        };
        Ok(Blobs { path: path.display().to_string(), sigmas, points: found.iter().map(point).collect() })
    }
}

/// What the command line asked for cannot be; an image that is too large is no fault of it.
fn refused(error: ScaleSpaceError) -> anyhow::Error {
    match error {
        ScaleSpaceError::Kernel(error) => error.into(),
        other => Usage(other.into()).into(),
    }
}

fn elsewhere(error: njet::training::TrainingError) -> anyhow::Error {
    anyhow!("{error}; choose another place with `--out`")
}

/// A file of one array, `[height, width]`, in NumPy's format 1.0.
fn numpy(map: &[f32], [height, width]: [usize; 2]) -> Vec<u8> {
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({height}, {width}), }}");
    // Magic, version and length take ten bytes, and the data begin at a multiple of 64 after a line break.
    header += &" ".repeat((64 - (10 + header.len() + 1) % 64) % 64);
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(map.iter().flat_map(|value| value.to_le_bytes()));
    file
}

fn text(outcome: &Outcome) -> String {
    use Align::{Left, Right};
    let mut text = format!("{}: {}×{} pixels\n", outcome.image, outcome.height, outcome.width);
    for AtScale { sigma, maps } in &outcome.scales {
        text += &format!("\nσ {sigma}\n");
        let header = [("map", Left), ("least", Right), ("greatest", Right), ("picture", Left)];
        let number = |value: f64| format!("{value:.4}");
        let row = |map: &Map| vec![map.name.clone(), number(map.min), number(map.max), map.path.clone()];
        text += &layout(&header, &maps.iter().map(row).collect::<Vec<_>>());
    }
    if let Some(Blobs { path, sigmas: [least, greatest], points }) = &outcome.blobs {
        let blobs = if points.len() == 1 { "1 blob".to_owned() } else { format!("{} blobs", points.len()) };
        text += &format!("\n{blobs} of σ {least:.3} to {greatest:.3}, the strongest first, in {path}\n");
        let header = [("x", Right), ("y", Right), ("σ", Right), ("contrast", Right), ("", Left)];
        let row = |point: &Point| {
            let numbers = [point.x, point.y, point.sigma].map(|value| format!("{value:.1}"));
            let polarity = [format!("{:.3}", point.contrast), point.polarity.to_owned()];
            numbers.into_iter().chain(polarity).collect()
        };
        let shown = points.len().min(SHOWN);
        text += &layout(&header, &points[..shown].iter().map(row).collect::<Vec<_>>());
        if shown < points.len() {
            text += &format!("… and {} more: `--json` lists them all\n", points.len() - shown);
        }
    }
    text
}

/// Blobs that are listed for people.
const SHOWN: usize = 20;
