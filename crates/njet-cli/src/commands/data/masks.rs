//! `njet data info` for images with masks.

use crate::commands::{compose, dataset_error, read_scenes};
use crate::table::{Align, grouped, layout};
use anyhow::{Result, anyhow};
use njet::data::{DataError, Extents};
use njet::segmentation::data::{self as scenes, Scene, Scenes, ScenesSummary, SegmentationSet, SegmentationSummary};
use njet::training::write_file;
use std::path::Path;

/// Scenes that are pictured, and how many of them beside each other.
const PICTURED: usize = 12;
const ACROSS: usize = 3;

/// Rows and columns that a picture of a scene has at most, and those between two.
const LONGEST: usize = 160;
const GAP: usize = 4;

/// The images with masks that the command line names.
pub fn load(source: &str) -> Result<SegmentationSet> {
    let set = read_scenes(source).map_err(dataset_error)?;
    [&set.train, &set.val, &set.test].into_iter().for_each(compose);
    Ok(set)
}

/// The summary for people.
pub fn info(summary: &SegmentationSummary) -> String {
    let SegmentationSummary { name, classes, channels, train, val, test } = summary;
    let by = |[height, width]: [usize; 2]| format!("{height}×{width}");
    let mut text = format!(
        "{name}: images with masks of {} classes, {channels} channel{}\n",
        classes.len(),
        if *channels == 1 { "" } else { "s" },
    );
    let parts = [("training", train), ("validation", val), ("test", test)];
    for (part, ScenesSummary { count, sizes, ignored, .. }) in parts {
        let sizes = match sizes {
            None => String::new(),
            Some(Extents { least, greatest, .. }) if least == greatest => format!(" of {} pixels", by(*least)),
            Some(Extents { least, median, greatest }) => {
                let [least, median, greatest] = [least, median, greatest].map(|size| by(*size));
                format!(" of {least} pixels at least, {median} in the median, {greatest} at most")
            }
        };
        text += &format!("{part}: {} image{}{sizes}", grouped(*count as u64), if *count == 1 { "" } else { "s" });
        if *ignored > 0.0 {
            text += &format!(", {:.1} % of the pixels to be ignored", 100.0 * ignored);
        }
        text.push('\n');
    }
    text += &format!("training pixels in 0…1: mean {:.4}, deviation {:.4}\n\n", train.mean, train.std);
    let rows: Vec<Vec<String>> = classes
        .iter()
        .enumerate()
        .map(|(i, class)| {
            let share = |part: &ScenesSummary| format!("{:.2}", 100.0 * part.pixels[i]);
            let count = |part: &ScenesSummary| grouped(part.scenes[i] as u64);
            vec![
                i.to_string(),
                class.clone(),
                share(train),
                share(val),
                share(test),
                count(train),
                count(val),
                count(test),
            ]
        })
        .collect();
    use Align::{Left, Right};
    let columns = [
        ("class", Right),
        ("name", Left),
        ("% training", Right),
        ("% validation", Right),
        ("% test", Right),
        ("in training", Right),
        ("in validation", Right),
        ("in test", Right),
    ];
    text += &layout(&columns, &rows);
    text += "%: part of the pixels that count; in: images in which the class occurs\n";
    text
}

/// Writes a picture of the first training scenes, each with its mask beside it.
pub fn picture(set: &SegmentationSet, path: &Path) -> Result<()> {
    let shown = pictured(&set.train)?;
    let rows = shown.len().div_ceil(ACROSS);
    let (cell, across) = (LONGEST + GAP, 2 * ACROSS);
    let [height, width] = [rows * cell + GAP, across * cell + GAP];
    let mut pixels = vec![255; height * width * 3];
    for (i, scene) in shown.iter().enumerate() {
        let plain = Scene { mask: vec![0; scene.mask.len()], ..scene.clone() };
        for (side, scene) in [&plain, scene].into_iter().enumerate() {
            let (top, left) = (GAP + i / ACROSS * cell, GAP + (i % ACROSS * 2 + side) * cell);
            for (y, row) in scenes::overlay(scene).chunks_exact(3 * scene.width).enumerate() {
                pixels[((top + y) * width + left) * 3..][..row.len()].copy_from_slice(row);
            }
        }
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&pixels)?;
    write_file(path, &file).map_err(|error| anyhow!("{error}; choose another place with `--picture`"))
}

fn pictured(scenes: &Scenes) -> Result<Vec<Scene>, DataError> {
    (0..scenes.len().min(PICTURED)).map(|i| Ok(scenes::thumbnail(&scenes.load(i)?, LONGEST))).collect()
}
