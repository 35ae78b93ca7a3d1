//! Test images side by side: image, truth, prediction, and where they differ.

use super::Tested;
use crate::commands::report::few::evenly;
use crate::commands::report::html::{escape, note, number, section};
use crate::commands::report::picture::{Pixels, data_uri};
use anyhow::Result;
use njet::data::{Image, resample};
use njet::segmentation::data::{IGNORED, Scene, class_colour};
use std::fmt::Write;

/// Images shown, evenly spread over the test images.
const MOST: usize = 8;

/// Longest side of a picture: a larger image is shown smaller.
const LONGEST: usize = 256;

/// Of the pixels that are wrong, and of those that do not count.
const WRONG: [u8; 3] = [200, 40, 30];
const NOT_COUNTED: [u8; 3] = [128, 128, 128];

/// The section.
///
/// # Errors
/// A scene that cannot be read any more.
pub fn html(tested: &Tested<'_>) -> Result<String> {
    let scenes = &tested.set.test;
    let text = "Some of the test images: the image, its mask, what the network makes of it, and where they differ (red; grey \
                pixels are ignored). The colours are those of the table of classes.";
    let mut html = note(text);
    for i in evenly(scenes.len(), MOST) {
        let scene = scenes.load(i)?;
        let Scene { channels, height, width, .. } = scene;
        let image = Image { pixels: scene.image.as_slice().into(), channels, height, width };
        let prediction = tested.segmenter.mask(&image)?;
        let wrong = |(&truth, &prediction): (&u8, &u8)| truth != IGNORED && truth != prediction;
        let counted = scene.mask.iter().filter(|&&truth| truth != IGNORED).count();
        let errors = scene.mask.iter().zip(&prediction).filter(|&(t, p)| wrong((t, p))).count();
        let part = errors as f64 / counted.max(1) as f64;
        let shown = Shown::of(height, width);
        let name = escape(&scenes.name(i));
        let errors =
            scene.mask.iter().zip(&prediction).map(|(&truth, &prediction)| match (truth, truth == prediction) {
                (IGNORED, _) => NOT_COUNTED,
                (_, true) => [0, 0, 0],
                (_, false) => WRONG,
            });
        let pictures = [
            ("image", shown.image(&image)),
            ("truth", shown.colours(scene.mask.iter().map(|&class| truth_colour(class)).collect())),
            ("prediction", shown.colours(prediction.iter().map(|&class| class_colour(class)).collect())),
            ("errors", shown.colours(errors.collect())),
        ];
        html += "<div class=\"example\">\n";
        for (what, picture) in pictures {
            write!(
                html,
                "<figure>\n<img class=\"pixels\" src=\"{picture}\" width=\"{}\" height=\"{}\" alt=\"Test image {name}: {what}\"/>\n<figcaption>{what}</figcaption>\n</figure>\n",
                shown.size[1], shown.size[0],
            )
            .expect("writing to a string");
        }
        let percent = number(part, &format!("{:.1}\u{202f}%", 100.0 * part));
        html += &format!("</div>\n<p class=\"note\">Image {name}: {percent} of its pixels are wrong.</p>\n");
    }
    Ok(section("examples", "Examples", &html))
}

fn truth_colour(class: u8) -> [u8; 3] {
    if class == IGNORED { NOT_COUNTED } else { class_colour(class) }
}

/// How large an image is shown.
struct Shown {
    from: [usize; 2],
    size: [usize; 2],
}

impl Shown {
    fn of(height: usize, width: usize) -> Self {
        let factor = (LONGEST as f64 / height.max(width) as f64).min(1.0);
        let size = [height, width].map(|side| ((side as f64 * factor).round() as usize).max(1));
        Self { from: [height, width], size }
    }

    /// An image, grey unless it has three channels.
    fn image(&self, image: &Image<'_>) -> String {
        let shown = if image.channels == 3 { 3 } else { 1 };
        let planes: Vec<Vec<u8>> = (0..shown).map(|channel| self.plane(image.plane(channel))).collect();
        let pixels = self.size[0] * self.size[1];
        let bytes: Vec<u8> = (0..pixels).flat_map(|p| planes.iter().map(move |plane| plane[p])).collect();
        data_uri(if shown == 3 { Pixels::Rgb(&bytes) } else { Pixels::Grey(&bytes) }, self.size[1])
    }

    fn plane(&self, plane: &[u8]) -> Vec<u8> {
        if self.from == self.size {
            return plane.to_vec();
        }
        let numbers: Vec<f32> = plane.iter().map(|&v| f32::from(v)).collect();
        resample(&numbers, self.from, self.size).iter().map(|v| v.round() as u8).collect()
    }

    /// Colours of pixels, by the nearest pixel.
    fn colours(&self, colours: Vec<[u8; 3]>) -> String {
        let nearest = |axis: usize, to: usize| (2 * to + 1) * self.from[axis] / (2 * self.size[axis]);
        let pixels = (0..self.size[0]).flat_map(|y| (0..self.size[1]).map(move |x| (y, x)));
        let bytes: Vec<u8> = pixels.flat_map(|(y, x)| colours[nearest(0, y) * self.from[1] + nearest(1, x)]).collect();
        data_uri(Pixels::Rgb(&bytes), self.size[1])
    }
}
