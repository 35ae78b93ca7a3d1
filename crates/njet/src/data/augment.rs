//! From bytes to a batch: normalisation, random shift, random flip.

use super::{ImageSet, Random, Samples};
use serde::{Deserialize, Serialize};

/// How bytes become numbers: (v/255 − mean)/std.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalisation {
    /// Subtracted, in units of the full range 0 … 1.
    pub mean: f32,
    /// Divided by, in units of the full range 0 … 1.
    pub std: f32,
}

impl Normalisation {
    /// The normalisation that gives `samples` mean 0 and standard deviation 1. Where all samples are equal
    /// the standard deviation counts as 1.
    pub fn of(samples: &Samples) -> Self {
        let (mean, std) = samples.mean_and_std();
        Self { mean: mean as f32, std: if std > 0.0 { std as f32 } else { 1.0 } }
    }

    /// (v/255 − mean)/std.
    pub fn apply(self, v: u8) -> f32 {
        self.apply_between(f32::from(v))
    }

    /// [`apply`](Self::apply) for a value between bytes, as resampling makes them.
    pub(super) fn apply_between(self, v: f32) -> f32 {
        (v / 255.0 - self.mean) / self.std
    }
}

/// Random changes of an image that leave its class as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Augment {
    /// Shift along y and along x by a whole number of pixels, uniform in −shift … shift; what comes in from outside is
    /// black (byte 0).
    pub shift: usize,
    /// Mirror left and right in half of the cases.
    pub flip: bool,
}

/// What is done to one image: first flipped, then shifted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    dy: isize,
    dx: isize,
    flip: bool,
}

impl Augment {
    /// A change of an image of `[height, width]`.
    pub(super) fn draw(self, [height, width]: [usize; 2], rng: &mut Random) -> Change {
        // A shift by the whole image leaves nothing of it: no need to draw beyond.
        let mut shift = |extent: usize| {
            let most = self.shift.min(extent);
            rng.below(2 * most + 1) as isize - most as isize
        };
        let (dy, dx) = (shift(height), shift(width));
        Change { dy, dx, flip: self.flip && rng.below(2) == 1 }
    }
}

/// Writes the images at `indices` into `out` as a normalised batch; what `out` held is replaced, its memory reused.
///
/// With `augment`, each image is changed by draws of its own from `rng`, in the order of `indices`: the shift along y,
/// along x, then the flip. Without, `rng` is not used.
///
/// # Shapes
///
/// - `out`: `[indices.len(), channels, height, width]`, row-major
///
/// # Panics
///
/// If an index is `≥ set.len()`, like the index of a slice.
///
/// ```
/// use njet::data::{ImageSet, Normalisation, Random, Stream, fill_batch};
///
/// # fn main() -> Result<(), njet::data::DataError> {
/// let set = ImageSet::new(vec![0, 255, 51, 102], vec![0, 1], 1, 1, 2)?;
/// let mut rng = Random::for_stream(42, Stream::Augment, 0);
/// let mut batch = Vec::new();
/// fill_batch(&set, &[0], Normalisation { mean: 0.5, std: 0.25 }, None, &mut rng, &mut batch);
/// assert_eq!(batch, [-2.0, 2.0]);
/// # Ok(())
/// # }
/// ```
pub fn fill_batch(
    set: &ImageSet,
    indices: &[usize],
    normalisation: Normalisation,
    augment: Option<Augment>,
    rng: &mut Random,
    out: &mut Vec<f32>,
) {
    let table: [f32; 256] = std::array::from_fn(|v| normalisation.apply(v as u8));
    out.clear();
    out.reserve(indices.len() * set.image_len());
    for &index in indices {
        let image = set.image(index);
        match augment {
            None => out.extend(image.iter().map(|&v| table[usize::from(v)])),
            Some(augment) => {
                let change = augment.draw([set.height(), set.width()], rng);
                for plane in image.chunks_exact(set.height() * set.width()) {
                    push_changed(plane, set.width(), change, |v| table[usize::from(v)], out);
                }
            }
        }
    }
}

impl Change {
    /// The image as it is.
    pub(super) const NONE: Self = Self { dy: 0, dx: 0, flip: false };
}

/// Appends one channel, flipped and then shifted: sample (y, x) comes from (y − dy, x − dx). `value` makes a number of a
/// sample; what comes in from outside is that of the default sample, black.
pub(super) fn push_changed<T: Copy + Default>(
    plane: &[T],
    width: usize,
    change: Change,
    value: impl Fn(T) -> f32,
    out: &mut Vec<f32>,
) {
    let height = plane.len() / width;
    let black = value(T::default());
    // Pixels of a row that come in from the left, from the image, and from the right.
    let kept = width.saturating_sub(change.dx.unsigned_abs());
    let left = change.dx.max(0) as usize;
    let left = left.min(width - kept);
    let right = width - kept - left;
    let first = change.dx.min(0).unsigned_abs().min(width - kept);
    for y in 0..height {
        let Some(source) = y.checked_add_signed(-change.dy).filter(|&source| source < height) else {
            out.extend(std::iter::repeat_n(black, width));
            continue;
        };
        let row = &plane[source * width..][..width];
        out.extend(std::iter::repeat_n(black, left));
        if change.flip {
            out.extend(row.iter().rev().skip(first).take(kept).map(|&v| value(v)));
        } else {
            out.extend(row[first..][..kept].iter().map(|&v| value(v)));
        }
        out.extend(std::iter::repeat_n(black, right));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Stream;

    const NORMALISATION: Normalisation = Normalisation { mean: 0.3, std: 0.7 };

    fn rng(index: u64) -> Random {
        Random::for_stream(9, Stream::Augment, index)
    }

    /// 5 images of 2×3×4 with bytes that differ within an image and are never 0.
    fn set() -> ImageSet {
        let images = (0..5 * 24).map(|i| (i * 2 + 1) as u8).collect();
        ImageSet::new(images, vec![0; 5], 2, 3, 4).unwrap()
    }

    /// The definition, sample by sample.
    fn changed(set: &ImageSet, index: usize, Change { dy, dx, flip }: Change) -> Vec<f32> {
        let [channels, height, width] = set.shape().map(|n| n as isize);
        let image = set.image(index);
        let mut out = Vec::new();
        for c in 0..channels {
            for y in 0..height {
                for x in 0..width {
                    let (y, x) = (y - dy, x - dx);
                    let inside = (0..height).contains(&y) && (0..width).contains(&x);
                    let x = if flip { width - 1 - x } else { x };
                    let v = if inside { image[((c * height + y) * width + x) as usize] } else { 0 };
                    out.push((f32::from(v) / 255.0 - NORMALISATION.mean) / NORMALISATION.std);
                }
            }
        }
        out
    }

    #[test]
    fn without_augmentation_it_is_the_normalisation_exactly() {
        let (set, mut generator, mut out) = (set(), rng(0), vec![1.0; 7]);
        fill_batch(&set, &[4, 0, 4], NORMALISATION, None, &mut generator, &mut out);
        let expected: Vec<f32> = [4, 0, 4]
            .into_iter()
            .flat_map(|i| set.image(i).iter().map(|&v| (f32::from(v) / 255.0 - 0.3) / 0.7))
            .collect();
        assert_eq!(out, expected);
        assert_eq!(generator, rng(0), "no draw without augmentation");
    }

    #[test]
    fn every_shift_and_flip_is_exact() {
        let set = set();
        for dy in -4..=4 {
            for dx in -5..=5 {
                for flip in [false, true] {
                    let change = Change { dy, dx, flip };
                    let mut out = Vec::new();
                    for plane in set.image(2).chunks_exact(12) {
                        push_changed(plane, 4, change, |v| NORMALISATION.apply(v), &mut out);
                    }
                    assert_eq!(out, changed(&set, 2, change), "{change:?}");
                }
            }
        }
    }

    #[test]
    fn every_image_is_one_of_the_possible_ones_and_all_occur() {
        let set = set();
        let augment = Augment { shift: 1, flip: true };
        let changes: Vec<Change> =
            (0..18).map(|i| Change { dy: i / 6 - 1, dx: i / 2 % 3 - 1, flip: i % 2 == 1 }).collect();
        let possible: Vec<Vec<f32>> = changes.iter().map(|&change| changed(&set, 3, change)).collect();
        let mut out = Vec::new();
        fill_batch(&set, &[3; 400], NORMALISATION, Some(augment), &mut rng(0), &mut out);
        let mut seen = [false; 18];
        for image in out.chunks_exact(24) {
            let which = possible.iter().position(|p| p == image).expect("a shift by at most 1, perhaps a flip");
            seen[which] = true;
        }
        assert_eq!(seen, [true; 18]);
    }

    #[test]
    fn the_same_generator_repeats_and_another_does_not() {
        let set = set();
        let batch = |index| {
            let mut out = Vec::new();
            let augment = Some(Augment { shift: 2, flip: true });
            fill_batch(&set, &[0, 1, 2, 3, 4], NORMALISATION, augment, &mut rng(index), &mut out);
            out
        };
        assert_eq!(batch(0), batch(0));
        assert_ne!(batch(0), batch(1));
    }

    #[test]
    fn a_huge_shift_and_no_images_are_fine() {
        let mut out = Vec::new();
        let augment = Some(Augment { shift: usize::MAX, flip: true });
        fill_batch(&set(), &[0; 50], NORMALISATION, augment, &mut rng(0), &mut out);
        assert_eq!(out.len(), 50 * 24);
        fill_batch(&set(), &[], NORMALISATION, augment, &mut rng(0), &mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn its_own_normalisation_gives_mean_0_and_deviation_1() {
        let (set, mut out) = (set(), Vec::new());
        let normalisation = Normalisation::of(&set.clone().into());
        fill_batch(&set, &[0, 1, 2, 3, 4], normalisation, None, &mut rng(0), &mut out);
        let mean = out.iter().map(|&v| f64::from(v)).sum::<f64>() / 120.0;
        let variance = out.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / 120.0;
        // f32 rounding of a few values near 1
        assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-6, "{mean} {variance}");
        let constant = ImageSet::new(vec![9; 4], vec![0], 1, 2, 2).unwrap();
        assert_eq!(Normalisation::of(&constant.into()).std, 1.0);
    }
}
