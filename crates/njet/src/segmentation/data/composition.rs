//! How scenes are composed: the options of the source `scenes`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::compose::{ComposedScenes, Items};
use super::{Scenes, SegmentationSet};
use crate::data::{DEFAULT_SOURCE, DataError, FASHION_MNIST_CLASSES, stratified_split};

/// The source of composed scenes.
pub const SCENES: &str = "scenes";

/// The extent of an item of Fashion-MNIST in pixels.
const ITEM: usize = 28;

/// Items of the training images that become those of the validation scenes.
const VALIDATION_ITEMS: f64 = 1.0 / 6.0;

/// Beyond so many pixels in all scenes together they are refused: they are kept once they are made.
const MOST_PIXELS: usize = 2 << 30;

/// Scenes made of the items of Fashion-MNIST: several items of sizes that differ, one over another, on a textured
/// background, with an exact mask.
///
/// Class 0 is the background, and classes 1 to 10 are those of Fashion-MNIST. As a source:
/// `scenes?canvas=128&smallest=0.5&largest=4&most=30&train=15000&val=100&test=1000&seed=1`, each option with a default.
/// The items of the three parts have none in common, and a scene is a function of seed, part and number.
///
/// ```
/// use njet::segmentation::data::Composition;
///
/// let wanted: Composition = "scenes?canvas=64&largest=2".parse()?;
/// assert_eq!(wanted, Composition { canvas: 64, largest: 2.0, ..Composition::default() });
/// # Ok::<(), njet::data::DataError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Composition {
    /// Rows and columns of a scene.
    pub canvas: usize,
    /// The least factor by which an item is made larger.
    pub smallest: f64,
    /// The greatest. Items of every octave between together have the same area: there are more small ones.
    pub largest: f64,
    /// The greatest number of items in a scene; the least is 1.
    pub most: usize,
    /// Training scenes.
    pub train: usize,
    /// Validation scenes.
    pub val: usize,
    /// Test scenes.
    pub test: usize,
    /// Decides all that is random.
    pub seed: u64,
}

impl Default for Composition {
    /// One to thirty items of ½ to 4 times their size on 128×128 pixels.
    fn default() -> Self {
        Self { canvas: 128, smallest: 0.5, largest: 4.0, most: 30, train: 15_000, val: 100, test: 1000, seed: 1 }
    }
}

/// A part of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Train,
    Val,
    Test,
}

impl Composition {
    /// The set. Scenes are made when they are asked for.
    ///
    /// # Errors
    ///
    /// [`DataError::Composition`] if the options make no sense together.
    pub fn load(&self) -> Result<SegmentationSet, DataError> {
        self.check()?;
        let base = crate::data::load(DEFAULT_SOURCE)?;
        let (train, val) = stratified_split(base.train.labels(), VALIDATION_ITEMS, 0);
        let items = [base.train.subset(&train), base.train.subset(&val), base.test];
        let [train, val, test] = [(Part::Train, self.train), (Part::Val, self.val), (Part::Test, self.test)];
        let mut scenes = [train, val, test].into_iter().zip(items).map(|((part, count), items)| {
            Scenes::Composed(ComposedScenes::new(*self, part, count, Arc::new(Items::new(&items))))
        });
        let [train, val, test] = std::array::from_fn(|_| scenes.next().expect("three parts"));
        let classes = std::iter::once("background").chain(FASHION_MNIST_CLASSES).map(str::to_owned).collect();
        Ok(SegmentationSet { name: self.to_string(), classes, channels: 1, train, val, test })
    }

    fn check(&self) -> Result<(), DataError> {
        let Self { canvas, smallest, largest, most, .. } = *self;
        let refused = |reason| Err(DataError::Composition { source_text: self.to_string(), reason });
        if !(smallest > 0.0 && smallest <= largest && largest <= 100.0) {
            return refused(format!(
                "items of {smallest} to {largest} times their size: `smallest` must be above 0 and at most `largest`, \
                 which may be 100 at most"
            ));
        }
        let needed = scaled(largest);
        if canvas < needed {
            let most = canvas as f64 / ITEM as f64;
            let or_less = if most < smallest { String::new() } else { format!(", or largest={most:.2} or less") };
            return refused(format!(
                "items of {ITEM} pixels at {largest} times their size do not fit on a canvas of {canvas}: give \
                 canvas={needed} or more{or_less}"
            ));
        }
        if !(1..=100).contains(&most) {
            return refused(format!("most={most}: there can be from 1 to 100 items in a scene"));
        }
        let count = self.train.saturating_add(self.val).saturating_add(self.test);
        if canvas.saturating_mul(canvas).saturating_mul(count) > MOST_PIXELS {
            return refused(format!(
                "{count} scenes of {canvas}×{canvas} are more than {} megapixels: use fewer, or a smaller canvas",
                MOST_PIXELS / 1_000_000
            ));
        }
        Ok(())
    }
}

/// The extent of an item at a factor, in pixels.
pub(super) fn scaled(factor: f64) -> usize {
    ((ITEM as f64 * factor).round() as usize).max(1)
}

impl fmt::Display for Composition {
    /// The source string, with every option.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { canvas, smallest, largest, most, train, val, test, seed } = self;
        write!(f, "{SCENES}?canvas={canvas}&smallest={smallest}&largest={largest}&most={most}")?;
        write!(f, "&train={train}&val={val}&test={test}&seed={seed}")
    }
}

impl FromStr for Composition {
    type Err = DataError;

    /// Reads a source string.
    fn from_str(source: &str) -> Result<Self, DataError> {
        let refused = |reason: String| DataError::Composition { source_text: source.to_owned(), reason };
        let example = format!("as in {}", Self::default());
        let (name, options) = source.split_once('?').unwrap_or((source, ""));
        if name != SCENES {
            return Err(refused(format!("composed scenes are named {SCENES}, {example}")));
        }
        let mut composition = Self::default();
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let Some((key, value)) = option.split_once('=') else {
                return Err(refused(format!("{option:?} is not KEY=VALUE, {example}")));
            };
            let wrong = |wanted: &str| refused(format!("{key}={value}: {key} must be {wanted}, {example}"));
            let number = |least: usize, most: usize| {
                let number = value.parse().ok().filter(|number| (least..=most).contains(number));
                number.ok_or_else(|| wrong(&format!("a number from {least} to {most}")))
            };
            let factor = || {
                let factor = value.parse::<f64>().ok().filter(|factor| factor.is_finite() && *factor > 0.0);
                factor.ok_or_else(|| wrong("a factor above 0"))
            };
            match key {
                "canvas" => composition.canvas = number(1, 1 << 15)?,
                "smallest" => composition.smallest = factor()?,
                "largest" => composition.largest = factor()?,
                "most" => composition.most = number(1, 100)?,
                "train" => composition.train = number(1, 10_000_000)?,
                "val" => composition.val = number(1, 10_000_000)?,
                "test" => composition.test = number(1, 10_000_000)?,
                "seed" => composition.seed = value.parse().map_err(|_| wrong("a whole number"))?,
                _ => {
                    let known = "canvas, smallest, largest, most, train, val, test, seed";
                    return Err(refused(format!("{key:?} is not an option, there are {known}, {example}")));
                }
            }
        }
        composition.check()?;
        Ok(composition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_string_is_read_as_it_is_written() {
        let odd = "scenes?seed=7&&canvas=200&smallest=1.5&largest=2.25&most=9&train=3&val=2&test=1";
        let odd: Composition = odd.parse().unwrap();
        assert_eq!((odd.canvas, odd.most, odd.seed, odd.train, odd.val, odd.test), (200, 9, 7, 3, 2, 1));
        assert_eq!((odd.smallest, odd.largest), (1.5, 2.25));
        for composition in [odd, Composition::default()] {
            assert_eq!(composition.to_string().parse::<Composition>().unwrap(), composition);
        }
        assert_eq!("scenes".parse::<Composition>().unwrap(), Composition::default());
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_remedy() {
        for (source, words) in [
            ("scenes?canvas=64", ["largest=2.29 or less", "canvas=112"]),
            ("scenes?largest=0.1", ["`smallest` must be", "0.5 to 0.1"]),
            ("scenes?largest=101&canvas=9999", ["100 at most", "101"]),
            ("scenes?canvas=0", ["canvas must be", "from 1 to 32768"]),
            ("scenes?most=0", ["most must be", "from 1 to 100"]),
            ("scenes?seed=-1", ["seed must be", "a whole number"]),
            ("scenes?smallest=nan", ["smallest must be", "above 0"]),
            ("scenes?colour", ["KEY=VALUE", "as in scenes?canvas=128"]),
            ("scenes?colour=1", ["not an option", "canvas, smallest"]),
            ("scenes?train=10000000", ["megapixels", "fewer"]),
            ("scenery", ["are named scenes", "as in"]),
        ] {
            let message = source.parse::<Composition>().unwrap_err().to_string();
            assert!(words.iter().all(|word| message.contains(word)), "{source}: {message}");
        }
    }
}
