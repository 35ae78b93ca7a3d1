//! Scenes of items on a textured background.
//!
//! An item comes with its own outline: the pixels that are not black. Outline and brightness are resampled together, so
//! that the resampled outline is the part of each new pixel that the item covers. The image takes as much of the item as
//! it covers, the rest from what is behind, and the mask has the item where it covers at least half of the pixel.
//!
//! Factors are drawn first and the largest item is put down first, so that their distribution is the one that was asked
//! for whatever can be hidden by what. A place that would hide more than a quarter of an item before it is drawn again.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::composition::{Composition, Part, scaled};
use super::{Object, Objects, Scene, SizeUnit};
use crate::data::{Random, Resampler, Samples, Stream, resample};

/// Bytes above this belong to an item: below it is the noise of the scan around some.
const OUTLINE: u8 = 20;

/// Items with fewer pixels of their 784 are left out: some are black on black.
const LEAST_PIXELS: usize = 64;

/// An item for which no place is found so often is left out.
const TRIES: usize = 20;

/// The textures whose sum is a background.
const LAYERS: usize = 4;

/// Items to compose scenes of: their pixels, and their classes.
#[derive(Debug)]
pub(super) struct Items {
    images: Vec<Vec<u8>>,
    labels: Vec<u8>,
    size: [usize; 2],
}

impl Items {
    pub(super) fn new(samples: &Samples) -> Self {
        let mut items = Self { images: Vec::new(), labels: Vec::new(), size: [1, 1] };
        for i in 0..samples.len() {
            let Ok(image) = samples.image(i) else { continue };
            if image.pixels.iter().filter(|&&v| v > OUTLINE).count() >= LEAST_PIXELS {
                items.images.push(image.plane(0).to_vec());
                items.labels.push(samples.label(i));
                items.size = samples.size(i);
            }
        }
        items
    }

    pub(super) fn len(&self) -> usize {
        self.images.len()
    }
}

/// Composed scenes, made when they are first asked for, and kept. Their objects, which training does not ask for, are made
/// again each time.
#[derive(Clone)]
pub struct ComposedScenes {
    composition: Composition,
    part: Part,
    items: Arc<Items>,
    made: Arc<Vec<OnceLock<Scene>>>,
}

impl fmt::Debug for ComposedScenes {
    /// Without the pixels.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComposedScenes")
            .field("composition", &self.composition)
            .field("part", &self.part)
            .field("items", &self.items.len())
            .field("scenes", &self.len())
            .finish()
    }
}

impl ComposedScenes {
    pub(super) fn new(composition: Composition, part: Part, count: usize, items: Arc<Items>) -> Self {
        Self { composition, part, items, made: Arc::new((0..count).map(|_| OnceLock::new()).collect()) }
    }

    /// The number of scenes.
    pub fn len(&self) -> usize {
        self.made.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.made.is_empty()
    }

    /// `[height, width]` of every scene in pixels.
    pub fn size(&self) -> [usize; 2] {
        [self.composition.canvas; 2]
    }

    /// Scene `i`.
    ///
    /// # Panics
    ///
    /// If `i ≥ len()`.
    pub fn scene(&self, i: usize) -> &Scene {
        self.made[i].get_or_init(|| self.compose(i).0)
    }

    /// The items of scene `i`, the largest first: their classes, the factors by which they were made larger, and where
    /// they are seen.
    ///
    /// # Panics
    ///
    /// If `i ≥ len()`.
    pub fn objects(&self, i: usize) -> Objects {
        assert!(i < self.len(), "scene {i} of {}", self.len());
        self.compose(i).1
    }

    fn compose(&self, i: usize) -> (Scene, Objects) {
        let part = match self.part {
            Part::Train => 0,
            Part::Val => 1 << 32,
            Part::Test => 2 << 32,
        };
        let mut random = Random::for_stream(self.composition.seed, Stream::Scenes, part | i as u64);
        compose(&self.composition, &self.items, &mut random)
    }
}

/// An item at its size.
#[derive(Debug)]
struct Cutout {
    /// Part of each pixel that the item covers, 0 … 1.
    cover: Vec<f32>,
    /// Its brightness times that part.
    light: Vec<f32>,
    side: usize,
}

impl Cutout {
    fn new(item: &[u8], size: [usize; 2], side: usize, gain: f32) -> Self {
        let outline = |v: u8| f32::from(u8::from(v > OUTLINE));
        let cover: Vec<f32> = item.iter().map(|&v| outline(v)).collect();
        let light: Vec<f32> = item.iter().map(|&v| gain * f32::from(v) * outline(v)).collect();
        let resampler = Resampler::new(size, [side; 2]);
        Self { cover: resampler.plane(&cover), light: resampler.plane(&light), side }
    }

    /// Its pixels on a canvas, as (number on the canvas, number here), with its corner at `[top, left]`.
    fn on(&self, canvas: usize, [top, left]: [isize; 2]) -> impl Iterator<Item = (usize, usize)> + '_ {
        let inside = move |at: usize, corner: isize| {
            corner.checked_add_unsigned(at).filter(|&n| (0..canvas as isize).contains(&n))
        };
        let pixels = (0..self.side).flat_map(move |y| (0..self.side).map(move |x| (y, x)));
        pixels.filter_map(move |(y, x)| {
            let (row, column) = (inside(y, top)?, inside(x, left)?);
            Some((row as usize * canvas + column as usize, y * self.side + x))
        })
    }

    fn solid(&self, at: usize) -> bool {
        self.cover[at] >= 0.5
    }
}

fn compose(composition: &Composition, items: &Items, random: &mut Random) -> (Scene, Objects) {
    let Composition { canvas, smallest, largest, most, .. } = *composition;
    let mut image = background(canvas, random);
    let mut map = vec![0u16; canvas * canvas];
    let mut list: Vec<Object> = Vec::new();
    // Pixels that each had when it was put down.
    let mut at_first: Vec<usize> = Vec::new();
    let count = 1 + random.below(most);
    let mut factors: Vec<f64> = (0..count).map(|_| factor(f64::from(random.uniform()), smallest, largest)).collect();
    factors.sort_by(|a, b| b.total_cmp(a));
    for factor in factors {
        let (which, gain) = (random.below(items.len()), 0.75 + 0.25 * random.uniform());
        let cutout = Cutout::new(&items.images[which], items.size, scaled(factor), gain);
        let Some(corner) = place(&cutout, canvas, &map, &list, &at_first, random) else { continue };
        let (number, mut pixels) = (list.len() as u16 + 1, 0);
        for (to, from) in cutout.on(canvas, corner) {
            image[to] = cutout.light[from] + (1.0 - cutout.cover[from]) * image[to];
            if cutout.solid(from) {
                if let Some(hidden) = usize::from(map[to]).checked_sub(1) {
                    list[hidden].pixels -= 1;
                }
                map[to] = number;
                pixels += 1;
            }
        }
        list.push(Object { class: items.labels[which] + 1, size: factor, pixels });
        at_first.push(pixels);
    }
    let class = |&object: &u16| usize::from(object).checked_sub(1).map_or(0, |object| list[object].class);
    let mask = map.iter().map(class).collect();
    // The noise of a camera, over all.
    let noise = 2.0 + 4.0 * random.uniform();
    let image = image.iter().map(|v| (v + noise * random.normal()).round().clamp(0.0, 255.0) as u8).collect();
    let scene = Scene { image, mask, channels: 1, height: canvas, width: canvas };
    (scene, Objects { list, map, unit: SizeUnit::Factor })
}

/// The factor below which the part `part` of all items is, so that items of every octave together have the same area: of
/// a density like its power of −3. If it were uniform in its logarithm, nearly all of the area, and so of what there is to
/// learn and to compute, would be that of a few large items.
///
/// Division and square root round the same on every machine.
fn factor(part: f64, smallest: f64, largest: f64) -> f64 {
    let [most, least] = [smallest, largest].map(|factor| 1.0 / (factor * factor));
    (1.0 / (most + part * (least - most)).sqrt()).clamp(smallest, largest)
}

/// A corner for an item. A quarter of its extent may be outside, but not half of its pixels, and of each item before it
/// three quarters of the pixels that it had at first stay to be seen.
fn place(
    cutout: &Cutout,
    canvas: usize,
    map: &[u16],
    list: &[Object],
    at_first: &[usize],
    random: &mut Random,
) -> Option<[isize; 2]> {
    let out = cutout.side / 4;
    let solid = (0..cutout.cover.len()).filter(|&at| cutout.solid(at)).count();
    (0..TRIES).find_map(|_| {
        let corner = [(); 2].map(|()| random.below(canvas - cutout.side + 2 * out + 1) as isize - out as isize);
        let (mut hidden, mut inside) = (vec![0; list.len()], 0);
        for (to, _) in cutout.on(canvas, corner).filter(|&(_, from)| cutout.solid(from)) {
            inside += 1;
            if let Some(object) = usize::from(map[to]).checked_sub(1) {
                hidden[object] += 1;
            }
        }
        let seen = |object: usize| 4 * (list[object].pixels - hidden[object]) >= 3 * at_first[object];
        (inside > 0 && 2 * inside >= solid && (0..list.len()).all(seen)).then_some(corner)
    })
}

/// A sum of random lattices, each smooth on a scale of its own along each axis: blotches, streaks and grain.
fn background(canvas: usize, random: &mut Random) -> Vec<f32> {
    let mean = 25.0 + 75.0 * random.uniform();
    let mut plane = vec![mean; canvas * canvas];
    for _ in 0..LAYERS {
        // 2, 4, … 64 values along an axis.
        let lattice = [(); 2].map(|()| 2usize << random.below(6));
        let amplitude = 5.0 + 20.0 * random.uniform();
        let values: Vec<f32> = (0..lattice[0] * lattice[1]).map(|_| 2.0 * random.uniform() - 1.0).collect();
        let layer = resample(&values, lattice, [canvas; 2]);
        plane.iter_mut().zip(layer).for_each(|(sum, v)| *sum += amplitude * v);
    }
    plane
}
