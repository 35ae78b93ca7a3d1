//! How images of mixed sizes become batches: which part of an image is taken, and at which size.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Random;

/// How images are brought to the size that a batch needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sizing {
    /// Not at all: all images have one size.
    #[default]
    Fixed,
    /// Resampled to fit into the given size as a whole, in the middle, with black beside it.
    Letterbox,
    /// In training a random part of the image (of 8 to 100 % of its area, of an aspect ¾ to 4/3 times that of the given
    /// size; Szegedy et al. 2015) resampled to the given size. In evaluation the short side is resampled to the given
    /// size and the middle is taken.
    RandomResizedCrop,
    /// As they are, only reduced to fit into the given size where they are larger. A batch holds images of similar size
    /// and is as large as they need, with black beside the smaller ones.
    Group,
}

impl Sizing {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Fixed, Self::Letterbox, Self::RandomResizedCrop, Self::Group];

    /// The name in settings and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Letterbox => "letterbox",
            Self::RandomResizedCrop => "random-resized-crop",
            Self::Group => "group",
        }
    }
}

impl fmt::Display for Sizing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Not the name of a [`Sizing`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not one of fixed, letterbox, random-resized-crop, group")]
pub struct UnknownSizing(String);

impl FromStr for Sizing {
    type Err = UnknownSizing;

    fn from_str(name: &str) -> Result<Self, UnknownSizing> {
        Self::ALL.into_iter().find(|sizing| sizing.name() == name).ok_or_else(|| UnknownSizing(name.to_owned()))
    }
}

/// A rectangle of an image, and the size it is resampled to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) top: usize,
    pub(super) left: usize,
    /// `[height, width]` of the rectangle in pixels of the image.
    pub(super) from: [usize; 2],
    /// `[height, width]` of the result.
    pub(super) to: [usize; 2],
}

impl Window {
    pub(super) fn whole(from: [usize; 2], to: [usize; 2]) -> Self {
        Self { top: 0, left: 0, from, to }
    }

    /// The largest rectangle of the aspect of `to`, in the middle.
    pub(super) fn middle(image: [usize; 2], to: [usize; 2]) -> Self {
        let factor = (image[0] as f64 / to[0] as f64).min(image[1] as f64 / to[1] as f64);
        let from = [0, 1].map(|axis| scaled(to[axis], factor).min(image[axis]));
        Self { top: (image[0] - from[0]) / 2, left: (image[1] - from[1]) / 2, from, to }
    }

    /// A rectangle of random area, aspect and place.
    pub(super) fn random(image: [usize; 2], to: [usize; 2], random: &mut Random) -> Self {
        const LEAST_PART: f64 = 0.08;
        const MOST_ASPECT: f64 = 4.0 / 3.0;
        const TRIES: usize = 10;
        let [height, width] = image.map(|n| n as f64);
        for _ in 0..TRIES {
            let part = LEAST_PART + (1.0 - LEAST_PART) * f64::from(random.uniform());
            // Uniform in the logarithm. libm rounds the same on every machine.
            let aspect = libm::exp((2.0 * f64::from(random.uniform()) - 1.0) * libm::log(MOST_ASPECT));
            let aspect = aspect * to[1] as f64 / to[0] as f64;
            let area = part * height * width;
            let from = [(area / aspect).sqrt(), (area * aspect).sqrt()].map(|n| n.round() as usize);
            if from.iter().zip(&image).all(|(n, most)| (1..=*most).contains(n)) {
                let [top, left] = [0, 1].map(|axis| random.below(image[axis] - from[axis] + 1));
                return Self { top, left, from, to };
            }
        }
        Self::middle(image, to)
    }
}

/// The size of an image that is resampled, both axes alike, to fit into `room` as closely as it can.
pub(super) fn fitted(image: [usize; 2], room: [usize; 2]) -> [usize; 2] {
    let factor = (room[0] as f64 / image[0] as f64).min(room[1] as f64 / image[1] as f64);
    [0, 1].map(|axis| scaled(image[axis], factor).min(room[axis]))
}

/// [`fitted`], but never larger than the image is.
pub(super) fn bounded(image: [usize; 2], room: [usize; 2]) -> [usize; 2] {
    if image[0] <= room[0] && image[1] <= room[1] { image } else { fitted(image, room) }
}

fn scaled(extent: usize, factor: f64) -> usize {
    ((extent as f64 * factor).round() as usize).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Stream;

    #[test]
    fn names_are_those_of_the_settings() {
        for sizing in Sizing::ALL {
            assert_eq!(sizing.name().parse(), Ok(sizing));
            assert_eq!(serde_json::to_value(sizing).unwrap(), sizing.name());
        }
        let message = "square".parse::<Sizing>().unwrap_err().to_string();
        assert!(message.contains("\"square\"") && message.contains("letterbox"), "{message}");
    }

    #[test]
    fn fitting_keeps_the_aspect_and_the_room() {
        assert_eq!(fitted([100, 50], [32, 32]), [32, 16]);
        assert_eq!(fitted([5, 10], [32, 32]), [16, 32]);
        assert_eq!(fitted([1000, 1], [32, 32]), [32, 1]);
        assert_eq!(bounded([5, 10], [32, 32]), [5, 10]);
        assert_eq!(bounded([64, 10], [32, 32]), [32, 5]);
    }

    #[test]
    fn the_middle_has_the_aspect_of_the_result() {
        let window = Window::middle([100, 60], [32, 32]);
        assert_eq!(window, Window { top: 20, left: 0, from: [60, 60], to: [32, 32] });
        assert_eq!(Window::middle([3, 1000], [10, 20]).from, [3, 6]);
    }

    #[test]
    fn random_windows_are_inside_and_of_every_size() {
        let mut random = Random::for_stream(3, Stream::Augment, 0);
        let windows: Vec<Window> = (0..500).map(|_| Window::random([80, 120], [32, 32], &mut random)).collect();
        let mut parts = Vec::new();
        for Window { top, left, from: [height, width], .. } in windows {
            assert!(top + height <= 80 && left + width <= 120 && height > 0 && width > 0);
            // Rounded to whole pixels, of at least 23.
            let aspect = width as f64 / height as f64;
            assert!((0.72..1.39).contains(&aspect), "{width}/{height}");
            parts.push((height * width) as f64 / 9600.0);
        }
        let near = |low: f64, high: f64| parts.iter().any(|part| (low..high).contains(part));
        assert!(parts.iter().all(|part| (0.075..=1.0).contains(part)) && near(0.075, 0.12) && near(0.6, 0.9));
        // No aspect fits: the middle.
        assert_eq!(Window::random([1, 400], [32, 32], &mut random), Window::middle([1, 400], [32, 32]));
    }
}
