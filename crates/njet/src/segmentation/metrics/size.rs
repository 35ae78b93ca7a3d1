//! How well objects are found, by their size.

use serde::Serialize;

use super::mean;
use crate::segmentation::data::{IGNORED, Objects};

/// Intersection over union of single objects.
///
/// For an object of class c that is seen at the pixels T, let P be the pixels predicted to be c that lie in the box around
/// T, made wider on each side by a quarter of its greater extent and at least one pixel, without those of other objects of
/// class c and those to ignore. The IoU of the object is |P ∩ T| / |P ∪ T|. What is wrongly called c far from any c is
/// nobody's fault here; [`Confusion`](super::Confusion) counts it. The margin grows with the object, so that an object and
/// its prediction made larger together have the same IoU.
///
/// ```
/// use njet::segmentation::data::{Objects, Scene};
/// use njet::segmentation::metrics::SizeIou;
///
/// let scene = Scene { image: vec![0; 8], mask: vec![0, 1, 1, 0, 0, 0, 2, 0], channels: 1, height: 1, width: 8 };
/// let mut sizes = SizeIou::new();
/// sizes.add(&[0, 1, 0, 0, 0, 0, 2, 2], &scene.mask, &Objects::of_mask(&scene, Some(0)), [1, 8]);
/// let found: Vec<f64> = sizes.objects().iter().map(|object| object.iou).collect();
/// assert_eq!(found, [0.5, 0.5]);
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SizeIou {
    objects: Vec<ObjectIou>,
}

/// One object and how well it was found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ObjectIou {
    /// Its class.
    pub class: u8,
    /// Its size, in the unit of its [`Objects`].
    pub size: f64,
    /// Pixels seen of it.
    pub pixels: usize,
    /// Intersection over union.
    pub iou: f64,
}

/// The objects of a range of sizes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SizeRange {
    /// The least size of the range.
    pub from: f64,
    /// Where the next begins.
    pub to: f64,
    /// Objects in it.
    pub count: usize,
    /// The mean of their IoU; `None` without objects.
    pub iou: Option<f64>,
}

impl SizeIou {
    /// Without an object so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Measures the objects of an image, `[height, width]` all. Objects of which nothing is seen are passed over.
    ///
    /// # Panics
    ///
    /// If a mask or the map does not hold `height × width` pixels.
    pub fn add(&mut self, prediction: &[u8], truth: &[u8], objects: &Objects, [height, width]: [usize; 2]) {
        let lengths = [prediction.len(), truth.len(), objects.map.len()];
        assert_eq!(lengths, [height * width; 3], "pixels of {height}×{width}");
        let mut boxes = vec![Extent::NONE; objects.list.len()];
        for (at, &object) in objects.map.iter().enumerate() {
            if object != 0 {
                boxes[usize::from(object) - 1].include(at / width, at % width);
            }
        }
        for ((object, extent), number) in objects.list.iter().zip(boxes).zip(1..=u16::MAX) {
            let Some([rows, columns]) = extent.widened([height, width]) else { continue };
            let (mut both, mut either) = (0, 0);
            for y in rows {
                for at in columns.clone().map(|x| y * width + x).filter(|&at| truth[at] != IGNORED) {
                    let here = objects.map[at] == number;
                    let predicted = prediction[at] == object.class;
                    both += usize::from(here && predicted);
                    either += usize::from(here || predicted && truth[at] != object.class);
                }
            }
            if either > 0 {
                let iou = both as f64 / either as f64;
                self.objects.push(ObjectIou { class: object.class, size: object.size, pixels: object.pixels, iou });
            }
        }
    }

    /// All objects that were measured.
    pub fn objects(&self) -> &[ObjectIou] {
        &self.objects
    }

    /// The mean over all objects; `None` without any.
    pub fn mean(&self) -> Option<f64> {
        mean(self.objects.iter().map(|object| Some(object.iou)))
    }

    /// The objects by size: range i is from `edges[i]` to below `edges[i + 1]`, and the last has its end, too.
    pub fn by_size(&self, edges: &[f64]) -> Vec<SizeRange> {
        let ranges = edges.windows(2).enumerate().map(|(i, edge)| {
            let (from, to) = (edge[0], edge[1]);
            let last = i + 2 == edges.len();
            let inside = |size: f64| from <= size && (size < to || last && size == to);
            let ious = || self.objects.iter().filter(|object| inside(object.size)).map(|object| object.iou);
            SizeRange { from, to, count: ious().count(), iou: mean(ious().map(Some)) }
        });
        ranges.collect()
    }
}

/// A box around pixels: first and last row and column.
#[derive(Debug, Clone, Copy)]
struct Extent {
    first: [usize; 2],
    last: [usize; 2],
}

impl Extent {
    const NONE: Self = Self { first: [usize::MAX; 2], last: [0; 2] };

    fn include(&mut self, y: usize, x: usize) {
        for (axis, at) in [y, x].into_iter().enumerate() {
            self.first[axis] = self.first[axis].min(at);
            self.last[axis] = self.last[axis].max(at);
        }
    }

    /// Rows and columns of the wider box, inside the image; `None` without pixels.
    fn widened(self, size: [usize; 2]) -> Option<[std::ops::Range<usize>; 2]> {
        let extent = |axis: usize| Some(self.last[axis].checked_sub(self.first[axis])? + 1);
        let margin = (extent(0)?.max(extent(1)?) / 4).max(1);
        let range =
            |axis: usize| self.first[axis].saturating_sub(margin)..(self.last[axis] + 1 + margin).min(size[axis]);
        Some([range(0), range(1)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segmentation::data::Scene;

    /// A 12×12 scene: a square of class 1 of 4×4 in the middle, one of 2×2 in a corner.
    fn squares() -> (Scene, Objects) {
        let mut mask = vec![0; 144];
        for (y, x) in (4..8).flat_map(|y| (4..8).map(move |x| (y, x))).chain([(0, 0), (0, 1), (1, 0), (1, 1)]) {
            mask[y * 12 + x] = 1;
        }
        let scene = Scene { image: vec![0; 144], mask, channels: 1, height: 12, width: 12 };
        let objects = Objects::of_mask(&scene, Some(0));
        (scene, objects)
    }

    fn ious(prediction: &[u8], scene: &Scene, objects: &Objects) -> Vec<f64> {
        let mut sizes = SizeIou::new();
        sizes.add(prediction, &scene.mask, objects, [12, 12]);
        sizes.objects().iter().map(|object| object.iou).collect()
    }

    #[test]
    fn what_is_near_counts_and_what_is_far_does_not() {
        let (scene, objects) = squares();
        assert_eq!(ious(&scene.mask, &scene, &objects), [1.0, 1.0]);
        let mut prediction = scene.mask.clone();
        prediction[3 * 12 + 4] = 1; // next to the large one, two rows and more from the small one
        assert_eq!(ious(&prediction, &scene, &objects), [1.0, 16.0 / 17.0]);
        prediction[2 * 12 + 7] = 1; // two rows from the large one: its margin is one
        prediction[11 * 12 + 11] = 1; // far from both
        assert_eq!(ious(&prediction, &scene, &objects), [1.0, 16.0 / 17.0]);
        prediction[5 * 12 + 5] = 0; // a hole
        assert_eq!(ious(&prediction, &scene, &objects), [1.0, 15.0 / 17.0]);
        assert_eq!(ious(&[0; 144], &scene, &objects), [0.0, 0.0]);
        assert_eq!(ious(&[1; 144], &scene, &objects), [4.0 / 9.0, 16.0 / 36.0]);
    }

    #[test]
    fn other_objects_of_the_class_and_ignored_pixels_do_not_count() {
        // Eight pixels, one to ignore, and one more that lies in the box of the eight, which is two wider on each side.
        let mask = vec![1, 1, 1, 1, 1, 1, 1, 1, 255, 1, 0, 0];
        let scene = Scene { image: vec![0; 12], mask, channels: 1, height: 1, width: 12 };
        let objects = Objects::of_mask(&scene, Some(0));
        let found = |prediction: [u8; 12]| {
            let mut sizes = SizeIou::new();
            sizes.add(&prediction, &scene.mask, &objects, [1, 12]);
            sizes.objects().iter().map(|object| object.iou).collect::<Vec<_>>()
        };
        assert_eq!(found([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0]), [1.0, 1.0]);
        assert_eq!(found([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]), [1.0, 0.5], "the last is in no box");
        assert_eq!(found([1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]), [0.5, 0.0]);
    }

    /// The margin is a quarter of the longer side, here two pixels.
    #[test]
    fn the_longer_side_decides_what_is_near() {
        let mask = [vec![1; 8], vec![0; 4]].concat();
        let scene = Scene { image: vec![0; 12], mask, channels: 1, height: 1, width: 12 };
        let objects = Objects::of_mask(&scene, Some(0));
        for (beside, expected) in [(8, 8.0 / 9.0), (9, 8.0 / 9.0), (10, 1.0)] {
            let mut prediction = scene.mask.clone();
            prediction[beside] = 1;
            let mut sizes = SizeIou::new();
            sizes.add(&prediction, &scene.mask, &objects, [1, 12]);
            assert_eq!(sizes.mean(), Some(expected), "{beside}");
        }
    }

    #[test]
    fn ranges_take_each_object_once() {
        let object = |size, iou| ObjectIou { class: 1, size, pixels: 9, iou };
        let sizes = SizeIou { objects: vec![object(0.5, 0.1), object(1.0, 0.4), object(1.9, 0.8), object(4.0, 0.6)] };
        let ranges = sizes.by_size(&[0.5, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(ranges.iter().map(|range| range.count).collect::<Vec<_>>(), [1, 2, 0, 1]);
        let expected = [Some(0.1), Some((0.4 + 0.8) / 2.0), None, Some(0.6)];
        assert_eq!(ranges.iter().map(|range| range.iou).collect::<Vec<_>>(), expected);
        assert!((sizes.mean().unwrap() - 0.475).abs() < 1e-12);
        assert_eq!(SizeIou::new().mean(), None);
    }
}
