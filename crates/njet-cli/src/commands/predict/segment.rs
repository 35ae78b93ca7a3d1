//! `njet predict` of a run that segments.

use super::{Outcome, Predict, check_channels, grey, read};
use crate::Usage;
use crate::picture::{Pixels, png};
use anyhow::{Context, Result, anyhow, bail};
use burn::tensor::Device;
use njet::data::Image;
use njet::segmentation::data::class_colour;
use njet::segmentation::{SegmentationConfig, Segmenter};
use njet::training::{RunDirectory, load_model, write_file};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Where masks and overlays are written unless told otherwise.
const OUT: &str = "predictions";

/// Part that the colour of a class has in an overlay.
const TINT: f32 = 0.5;

#[derive(Debug, Serialize)]
struct Segmented {
    path: String,
    mask: String,
    overlay: String,
}

/// Segments every image that can be read; fails at the end if one cannot.
pub fn run(predict: &Predict, device: &Device) -> Result<()> {
    if predict.native {
        bail!(Usage(anyhow!(
            "--native is for runs that classify: a run that segments keeps the size of each image anyway"
        )));
    }
    let (run, config) = RunDirectory::open_as::<SegmentationConfig>(&predict.run)?;
    let model = load_model(&run, &config, device)?;
    check_channels(config.model.channels)?;
    let segmenter = Segmenter::new(&config, &model, device).also_at(&predict.also_at);
    let out = predict.out.clone().unwrap_or_else(|| PathBuf::from(OUT));
    fs::create_dir_all(&out)
        .with_context(|| format!("cannot create {}; choose another directory with `--out`", out.display()))?;
    let mut names = BTreeSet::new();
    let mut look = |path: &Path| {
        let image = read(path)?;
        let mask = segmenter.mask(&grey::in_channels(image.clone(), config.model.channels))?;
        let name = free(path, &mut names);
        let [mask_path, overlay_path] = ["mask", "overlay"].map(|kind| out.join(format!("{name}.{kind}.png")));
        write_file(&mask_path, &png(Pixels::Classes(&mask), image.width))?;
        write_file(&overlay_path, &png(Pixels::Rgb(&overlay(&image, &mask)), image.width))?;
        let [mask, overlay] = [mask_path, overlay_path].map(|path| path.display().to_string());
        Ok(Segmented { path: path.display().to_string(), mask, overlay })
    };
    predict.each(&mut look, |outcome: &Outcome<Segmented>| {
        let line = |image: &Segmented| format!("{}: {}, {}\n", image.path, image.mask, image.overlay);
        outcome.images.iter().map(line).collect()
    })
}

/// The file's name without its ending, with a number where another image has it already.
fn free(path: &Path, names: &mut BTreeSet<String>) -> String {
    let stem = path.file_stem().map_or("image".into(), |stem| stem.to_string_lossy()).into_owned();
    let numbered = (2..).map(|n| format!("{stem}-{n}"));
    let name = std::iter::once(stem.clone()).chain(numbered).find(|name| !names.contains(name));
    let name = name.expect("numbers do not run out");
    names.insert(name.clone());
    name
}

/// The image with the colours of the classes over it, but for class 0.
fn overlay(image: &Image<'_>, mask: &[u8]) -> Vec<u8> {
    let planes = [0, 1, 2].map(|channel| image.plane(channel));
    (0..mask.len()).flat_map(|i| tinted(planes.map(|plane| plane[i]), mask[i])).collect()
}

fn tinted(pixel: [u8; 3], class: u8) -> [u8; 3] {
    if class == 0 {
        return pixel;
    }
    let colour = class_colour(class);
    std::array::from_fn(|i| ((1.0 - TINT) * f32::from(pixel[i]) + TINT * f32::from(colour[i])).round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_one_name_do_not_overwrite_one_another() {
        let mut names = BTreeSet::new();
        let free = ["a/x.png", "b/x.jpg", "x-2.png", "x"].map(|path| free(Path::new(path), &mut names));
        assert_eq!(free, ["x", "x-2", "x-2-2", "x-3"]);
    }

    #[test]
    fn the_first_class_leaves_the_image_as_it_is() {
        assert_eq!(tinted([9, 10, 200], 0), [9, 10, 200]);
        let class = class_colour(1).map(f32::from);
        assert_eq!(tinted([0, 0, 0], 1), class.map(|v| (TINT * v).round() as u8));
    }
}
