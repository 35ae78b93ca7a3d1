//! A benchmark for learned resolution: the objects of any labelled set, at sizes that differ, on a larger canvas.
//!
//! Each image holds one object, resampled by a factor of its own with antialiasing and put at a random place on black.
//! Factor and place are functions of the seed and the image's number, so a set is the same wherever it is made, and an
//! accuracy can be told apart by factor ([`MultiSize::placement`]).

use std::fmt;
use std::str::FromStr;
use std::thread;

use serde::{Deserialize, Serialize};

use super::{DataError, Dataset, ImageSet, Random, Resampler, Samples, Stream, Watch};

/// What a source string begins with.
pub const MULTI_SIZE_PREFIX: &str = "multi-size:";

/// Sets beyond this many bytes are refused: a slip in the canvas asks for more than any machine has.
const MOST_BYTES: usize = 16 << 30;

/// Which factors training and test images have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// All have factor 1: only the places differ.
    OneSize,
    /// Training and test images have the whole range.
    #[default]
    ManySizes,
    /// Training images have the middle half of the range (by the logarithm), test images the quarters below and above.
    UnseenSizes,
}

impl Form {
    const NAMES: [(&'static str, Self); 3] =
        [("one-size", Self::OneSize), ("many-sizes", Self::ManySizes), ("unseen-sizes", Self::UnseenSizes)];

    /// The name in a source string.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize].0
    }
}

/// Training or test images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Training images.
    Train,
    /// Test images.
    Test,
}

/// A multi-size set: a base set and what is done with it.
///
/// As a source: `multi-size:BASE?form=many-sizes&canvas=64&smallest=0.5&largest=2&seed=1`, each option with a default.
///
/// ```
/// use njet::data::{Form, MultiSize};
///
/// let wanted = MultiSize { canvas: Some(64), largest: Some(2.0), ..MultiSize::new("fashion-mnist-subset") };
/// assert_eq!(wanted, "multi-size:fashion-mnist-subset?canvas=64&largest=2".parse()?);
/// assert_eq!((wanted.form, wanted.smallest, wanted.seed), (Form::ManySizes, 0.5, 1));
/// # Ok::<(), njet::data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct MultiSize {
    /// The set whose objects are used: what [`load`](super::load) takes.
    pub base: String,
    /// Which factors occur.
    pub form: Form,
    /// Rows and columns of an image. `None`: as many as the largest object has, in every form.
    pub canvas: Option<usize>,
    /// The least factor.
    pub smallest: f64,
    /// The greatest factor. `None`: 4, or less where the canvas holds no more.
    pub largest: Option<f64>,
    /// Decides factors and places.
    pub seed: u64,
}

/// Where an object is, and how large.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// The factor that was drawn; the size is that of the object times this, rounded to whole pixels.
    pub factor: f64,
    /// Rows above the object.
    pub top: usize,
    /// Columns left of it.
    pub left: usize,
    /// Its rows.
    pub height: usize,
    /// Its columns.
    pub width: usize,
}

impl MultiSize {
    /// Many sizes from ½× to 4× of a base set, with seed 1.
    pub fn new(base: impl Into<String>) -> Self {
        Self { base: base.into(), form: Form::ManySizes, canvas: None, smallest: 0.5, largest: None, seed: 1 }
    }

    /// Loads the base set and makes the images.
    ///
    /// # Errors
    ///
    /// What [`load`](super::load) says of the base set; what [`generate`](Self::generate) says.
    pub fn load(&self) -> Result<Dataset, DataError> {
        self.load_watched(&|_, _| {})
    }

    /// [`load`](Self::load); `watch` is told of every file of the base set that is decoded.
    pub(super) fn load_watched(&self, watch: Watch<'_>) -> Result<Dataset, DataError> {
        if self.base.starts_with(MULTI_SIZE_PREFIX) {
            return Err(self.refused("a multi-size set cannot be the base of another; name a plain set"));
        }
        self.generate(&super::load_watched(&self.base, watch)?)
    }

    /// Makes the images from a set that is already there. The set is named by the source string.
    ///
    /// # Errors
    ///
    /// [`DataError::MultiSize`] if the range makes no sense or the canvas is too small for its objects; what the images
    /// of the base set say when they are read.
    pub fn generate(&self, base: &Dataset) -> Result<Dataset, DataError> {
        let layout = self.layout(base)?;
        let [train, test] = [(Part::Train, &base.train), (Part::Test, &base.test)]
            .map(|(part, samples)| self.part(&layout, part, samples).map(Samples::Memory));
        Ok(Dataset { name: self.to_string(), classes: base.classes.clone(), train: train?, test: test? })
    }

    /// Where object `index` of a part lies and how large it is, in the set that [`generate`](Self::generate) makes.
    ///
    /// # Errors
    ///
    /// As [`generate`](Self::generate).
    ///
    /// # Panics
    ///
    /// If the part has no such image.
    pub fn placement(&self, base: &Dataset, part: Part, index: usize) -> Result<Placement, DataError> {
        let samples = match part {
            Part::Train => &base.train,
            Part::Test => &base.test,
        };
        Ok(self.layout(base)?.placement(self, part, index, samples.size(index)))
    }

    /// Canvas and range, with what was left open filled in.
    fn layout(&self, base: &Dataset) -> Result<Layout, DataError> {
        let sides = [&base.train, &base.test].into_iter().filter_map(Samples::extents);
        let side = sides.flat_map(|extents| extents.greatest).max().unwrap_or(1);
        let (smallest, one_size) = (self.smallest, self.form == Form::OneSize);
        let largest = self.largest.unwrap_or_else(|| {
            let room = self.canvas.map_or(f64::INFINITY, |canvas| canvas as f64 / side as f64);
            room.min(4.0).max(smallest)
        });
        if !(smallest > 0.0 && smallest <= largest && largest <= 1000.0) {
            return Err(self.refused(&format!(
                "sizes from {smallest} to {largest} times the object's: `smallest` must be above 0 and at most \
                 `largest`, which may be 1000 at most"
            )));
        }
        // The forms of one range share a canvas, so that they can be compared.
        let canvas = self.canvas.unwrap_or_else(|| scaled(side, largest.max(1.0)));
        let (smallest, largest) = if one_size { (1.0, 1.0) } else { (smallest, largest) };
        let needed = scaled(side, largest);
        if canvas < needed {
            let most = canvas as f64 / side as f64;
            let or_less = if most < smallest { String::new() } else { format!(", or largest={most:.2} or less") };
            return Err(self.refused(&format!(
                "objects of {side} pixels at {largest} times their size do not fit on a canvas of {canvas}: give \
                 canvas={needed} or more{or_less}"
            )));
        }
        let image = canvas.checked_mul(canvas).and_then(|n| n.checked_mul(base.channels()));
        let all = image.and_then(|n| n.checked_mul(base.train.len() + base.test.len()));
        if all.is_none_or(|bytes| bytes > MOST_BYTES) {
            return Err(self.refused(&format!(
                "{} images on a canvas of {canvas} need more than {} GiB of memory: use a smaller canvas",
                base.train.len() + base.test.len(),
                MOST_BYTES >> 30,
            )));
        }
        Ok(Layout { canvas, channels: base.channels(), smallest, largest })
    }

    fn part(&self, layout: &Layout, part: Part, samples: &Samples) -> Result<ImageSet, DataError> {
        let Layout { canvas, channels, .. } = *layout;
        let image_len = channels * canvas * canvas;
        let mut images = vec![0; samples.len() * image_len];
        // Each image depends on its number alone, so the cut among threads does not matter.
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let share = samples.len().div_ceil(workers).max(1);
        thread::scope(|scope| {
            let parts = images.chunks_mut(share * image_len).enumerate().map(|(worker, images)| {
                scope.spawn(move || {
                    for (offset, image) in images.chunks_exact_mut(image_len).enumerate() {
                        let index = worker * share + offset;
                        let place = layout.placement(self, part, index, samples.size(index));
                        paste(image, canvas, channels, samples, index, place)?;
                    }
                    Ok(())
                })
            });
            let parts: Vec<_> = parts.collect();
            parts.into_iter().try_for_each(|part| part.join().expect("pasting does not panic"))
        })?;
        ImageSet::new(images, samples.labels().to_vec(), channels, canvas, canvas)
    }

    fn refused(&self, reason: &str) -> DataError {
        DataError::MultiSize { source_text: self.to_string(), reason: reason.to_owned() }
    }
}

/// What the options come to for a base set.
#[derive(Debug, Clone, Copy)]
struct Layout {
    canvas: usize,
    channels: usize,
    smallest: f64,
    largest: f64,
}

impl Layout {
    fn placement(&self, set: &MultiSize, part: Part, index: usize, object: [usize; 2]) -> Placement {
        let part_key = match part {
            Part::Train => 0,
            Part::Test => 1 << 32,
        };
        let mut random = Random::for_stream(set.seed, Stream::MultiSize, part_key | index as u64);
        // Place on the logarithmic range, 0 … 1. The draws are the same in every form.
        let u = f64::from(random.uniform());
        let at = match (set.form, part) {
            (Form::OneSize, _) => 0.0,
            (Form::ManySizes, _) => u,
            (Form::UnseenSizes, Part::Train) => 0.25 + 0.5 * u,
            (Form::UnseenSizes, Part::Test) if u < 0.5 => 0.5 * u,
            (Form::UnseenSizes, Part::Test) => 0.5 + 0.5 * u,
        };
        // libm rounds the same on every machine.
        let factor = self.smallest * libm::exp(at * libm::log(self.largest / self.smallest));
        let factor = factor.clamp(self.smallest, self.largest);
        let [height, width] = object.map(|n| scaled(n, factor));
        let [top, left] = [height, width].map(|n| random.below(self.canvas - n + 1));
        Placement { factor, top, left, height, width }
    }
}

fn scaled(extent: usize, factor: f64) -> usize {
    ((extent as f64 * factor).round() as usize).max(1)
}

/// Puts an object onto its black canvas, `[channels, canvas, canvas]`.
fn paste(
    image: &mut [u8],
    canvas: usize,
    channels: usize,
    samples: &Samples,
    index: usize,
    place: Placement,
) -> Result<(), DataError> {
    let object = samples.image(index)?;
    let resampler = Resampler::new([object.height, object.width], [place.height, place.width]);
    for (channel, target) in (0..channels).zip(image.chunks_exact_mut(canvas * canvas)) {
        let plane: Vec<f32> = object.plane(channel).iter().map(|&v| f32::from(v)).collect();
        let plane = resampler.plane(&plane);
        let rows = target.chunks_exact_mut(canvas).skip(place.top);
        for (row, from) in rows.zip(plane.chunks_exact(place.width)) {
            // The weights sum to 1 up to rounding: a value may be a hair outside.
            let bytes = from.iter().map(|v| v.round().clamp(0.0, 255.0) as u8);
            row[place.left..].iter_mut().zip(bytes).for_each(|(pixel, v)| *pixel = v);
        }
    }
    Ok(())
}

impl fmt::Display for MultiSize {
    /// The source string, with every option that is not left open.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MULTI_SIZE_PREFIX}{}?form={}", self.base, self.form.name())?;
        if let Some(canvas) = self.canvas {
            write!(f, "&canvas={canvas}")?;
        }
        write!(f, "&smallest={}", self.smallest)?;
        if let Some(largest) = self.largest {
            write!(f, "&largest={largest}")?;
        }
        write!(f, "&seed={}", self.seed)
    }
}

impl FromStr for MultiSize {
    type Err = DataError;

    /// Reads a source string.
    fn from_str(source: &str) -> Result<Self, DataError> {
        let refused = |reason: String| DataError::MultiSize { source_text: source.to_owned(), reason };
        let example = "as in multi-size:fashion-mnist-subset?form=many-sizes&canvas=64&smallest=0.5&largest=2&seed=1";
        let rest = source.strip_prefix(MULTI_SIZE_PREFIX).unwrap_or(source);
        let (base, options) = rest.split_once('?').unwrap_or((rest, ""));
        if base.is_empty() {
            return Err(refused(format!("no base set is named, {example}")));
        }
        let mut set = Self::new(base);
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let Some((key, value)) = option.split_once('=') else {
                return Err(refused(format!("{option:?} is not KEY=VALUE, {example}")));
            };
            let wrong = |wanted: &str| refused(format!("{key}={value}: {key} must be {wanted}, {example}"));
            let factor = || value.parse::<f64>().ok().filter(|factor| factor.is_finite() && *factor > 0.0);
            match key {
                "form" => {
                    let known = Form::NAMES.into_iter().find(|(name, _)| *name == value);
                    set.form = known.ok_or_else(|| wrong("one-size, many-sizes or unseen-sizes"))?.1;
                }
                "canvas" => {
                    let canvas = value.parse().ok().filter(|canvas| (1..=1 << 15).contains(canvas));
                    set.canvas = Some(canvas.ok_or_else(|| wrong("a number of pixels from 1 to 32768"))?);
                }
                "smallest" => set.smallest = factor().ok_or_else(|| wrong("a factor above 0"))?,
                "largest" => set.largest = Some(factor().ok_or_else(|| wrong("a factor above 0"))?),
                "seed" => set.seed = value.parse().map_err(|_| wrong("a whole number"))?,
                _ => {
                    let known = "form, canvas, smallest, largest, seed";
                    return Err(refused(format!("{key:?} is not an option, there are {known}, {example}")));
                }
            }
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten white squares of 8×8 in each part.
    fn base() -> Dataset {
        let part = || ImageSet::new(vec![255; 10 * 64], (0..10).collect(), 1, 8, 8).unwrap().into();
        Dataset { name: "base".into(), classes: (0..10).map(|i| i.to_string()).collect(), train: part(), test: part() }
    }

    fn set(options: &str) -> MultiSize {
        format!("multi-size:base?{options}").parse().unwrap()
    }

    fn memory(samples: &Samples) -> &ImageSet {
        match samples {
            Samples::Memory(set) => set,
            Samples::Files(_) => panic!("in memory"),
        }
    }

    /// Rows and columns that are not black.
    fn seen(set: &ImageSet, index: usize) -> [std::ops::Range<usize>; 2] {
        let lit: Vec<usize> = (0..set.image_len()).filter(|&i| set.image(index)[i] > 0).collect();
        let range = |of: &dyn Fn(usize) -> usize| {
            lit.iter().map(|&i| of(i)).min().unwrap()..lit.iter().map(|&i| of(i)).max().unwrap() + 1
        };
        [range(&|i| i / set.width()), range(&|i| i % set.width())]
    }

    #[test]
    fn objects_are_where_and_as_large_as_their_placement_says() {
        let base = base();
        for form in ["one-size", "many-sizes", "unseen-sizes"] {
            let set = set(&format!("form={form}&canvas=24&smallest=0.5&largest=3"));
            let made = set.generate(&base).unwrap();
            for (part, samples) in [(Part::Train, &made.train), (Part::Test, &made.test)] {
                assert_eq!(samples.shape(), Some([1, 24, 24]));
                assert_eq!(samples.labels(), base.train.labels());
                for index in 0..10 {
                    let place = set.placement(&base, part, index).unwrap();
                    assert!((0.5..=3.0).contains(&place.factor), "{place:?}");
                    assert_eq!(place.height, (8.0 * place.factor).round() as usize);
                    assert!(place.top + place.height <= 24 && place.left + place.width <= 24, "{place:?}");
                    let found = seen(memory(samples), index);
                    let [top, left] = [place.top, place.left];
                    assert_eq!(found, [top..top + place.height, left..left + place.width]);
                }
            }
        }
    }

    #[test]
    fn forms_have_their_ranges() {
        let base = base();
        let factors = |options: &str, part| {
            let (set, samples) = (set(options), &base.train);
            let layout = set.layout(&base).unwrap();
            let mut factors: Vec<f64> =
                (0..400).map(|index| layout.placement(&set, part, index, samples.size(0)).factor).collect();
            factors.sort_by(f64::total_cmp);
            factors
        };
        assert!(factors("form=one-size", Part::Train).iter().all(|&factor| factor == 1.0));
        let many = factors("smallest=0.25&largest=4", Part::Test);
        // Half of a log-uniform draw lies below the geometric mean, 1: 400 draws, five standard deviations are 50.
        let below = many.partition_point(|&factor| factor < 1.0);
        assert!(many[0] < 0.3 && many[399] > 3.4 && (150..250).contains(&below), "{below}");
        let train = factors("form=unseen-sizes&smallest=0.25&largest=4", Part::Train);
        assert!(train[0] >= 0.5 && train[0] < 0.55 && train[399] <= 2.0 && train[399] > 1.8);
        let test = factors("form=unseen-sizes&smallest=0.25&largest=4", Part::Test);
        assert!(test.iter().all(|factor| !(0.5001..1.9999).contains(factor)));
        assert!(test[0] < 0.3 && test[399] > 3.4 && test.iter().any(|factor| (0.4..=0.5).contains(factor)));
    }

    #[test]
    fn the_seed_decides_every_byte() {
        let base = base();
        let bytes = |options: &str| memory(&set(options).generate(&base).unwrap().train).images().to_vec();
        assert_eq!(bytes("canvas=24"), bytes("canvas=24"));
        let all: Vec<Vec<u8>> =
            ["canvas=24", "canvas=24&seed=2", "canvas=24&form=one-size", "canvas=24&form=unseen-sizes"]
                .map(bytes)
                .into();
        for (i, one) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|other| other != one), "set {i} is like another");
        }
        let made = set("canvas=24").generate(&base).unwrap();
        assert_ne!(memory(&made.train).images(), memory(&made.test).images());
    }

    #[test]
    fn objects_are_averaged_when_they_shrink() {
        let stripes: Vec<u8> = (0..64).map(|i| if i % 2 == 0 { 0 } else { 200 }).collect();
        let part: Samples = ImageSet::new(stripes, vec![0], 1, 8, 8).unwrap().into();
        let base = Dataset { name: "base".into(), classes: vec!["a".into()], train: part.clone(), test: part };
        let made = set("canvas=4&smallest=0.5&largest=0.5").generate(&base).unwrap();
        // Stripes of 0 and 200 at half the size: 100, but for the border.
        assert_eq!(&memory(&made.train).image(0)[1..3], [100, 100]);
    }

    #[test]
    fn what_is_left_open_follows_from_the_rest() {
        let base = base();
        let canvas = |options: &str| set(options).generate(&base).unwrap().train.shape().unwrap()[1];
        assert_eq!(canvas(""), 32);
        assert_eq!(canvas("largest=2"), 16);
        assert_eq!(canvas("form=one-size"), 32, "as large as that of the other forms");
        assert_eq!(canvas("form=one-size&largest=0.5"), 8);
        assert_eq!(set("canvas=20").layout(&base).unwrap().largest, 2.5);
        assert_eq!(set("canvas=100").layout(&base).unwrap().largest, 4.0);
    }

    #[test]
    fn the_name_is_a_source_again() {
        let all = "form=unseen-sizes&canvas=64&smallest=0.25&largest=2.5&seed=9";
        for options in ["", all] {
            let set = set(options);
            assert_eq!(set.to_string().parse::<MultiSize>().unwrap(), set);
        }
        assert_eq!(set(all).to_string(), format!("multi-size:base?{all}"));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let parse = |source: &str| source.parse::<MultiSize>().unwrap_err().to_string();
        for (source, words) in [
            ("multi-size:", "no base set is named"),
            ("multi-size:x?canvas", "\"canvas\" is not KEY=VALUE"),
            ("multi-size:x?canvas=0", "canvas=0: canvas must be a number of pixels from 1"),
            ("multi-size:x?smallest=-1", "smallest must be a factor above 0"),
            ("multi-size:x?largest=inf", "largest must be a factor above 0"),
            ("multi-size:x?form=three", "form must be one-size, many-sizes or unseen-sizes"),
            ("multi-size:x?seed=1.5", "seed must be a whole number"),
            ("multi-size:x?size=1", "\"size\" is not an option, there are form, canvas"),
        ] {
            let message = parse(source);
            assert!(message.starts_with(&format!("{source}: ")) && message.contains(words), "{message}");
            assert!(message.contains("as in multi-size:"), "{message}");
        }
        let generate = |options: &str| set(options).generate(&base()).unwrap_err().to_string();
        let message = generate("canvas=20&largest=4");
        assert!(message.contains("do not fit on a canvas of 20: give canvas=32 or more, or largest=2.50"), "{message}");
        let message = generate("canvas=4&form=one-size");
        assert!(message.contains("give canvas=8 or more") && !message.contains("largest=0"), "{message}");
        let message = generate("canvas=3");
        assert!(message.contains("at 0.5 times") && message.contains("canvas=4 or more"), "{message}");
        assert!(generate("smallest=3&largest=2").contains("at most `largest`"));
        assert!(generate("canvas=32768").contains("GiB of memory"), "{}", generate("canvas=32768"));
        let nested = MultiSize::new("multi-size:base").load().unwrap_err().to_string();
        assert!(nested.contains("cannot be the base of another"), "{nested}");
    }
}
