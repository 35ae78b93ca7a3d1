//! How well outlines agree.

use super::distance::squared_distances;
use super::mean;
use crate::segmentation::data::IGNORED;

/// The boundary F1 score, with a tolerance in pixels.
///
/// A boundary pixel of class c is one of class c of whose four neighbours at least one is of another class; the edge of
/// the image is no boundary, and neither is a side next to a pixel to ignore, in the truth and in the prediction alike.
/// The *precision* of c is the part of the predicted boundary pixels of c that lie within the tolerance (Euclidean, from
/// centre to centre, the tolerance included) of a true one of the same image; the *recall* is the part of the true ones
/// that lie so near a predicted one. F1 is their harmonic mean. Pixels are added up over all images, then the score is
/// formed (Csurka, Larlus, Perronnin, BMVC 2013, form it image by image).
///
/// ```
/// use njet::segmentation::metrics::BoundaryF1;
///
/// let mut score = BoundaryF1::new(2, 1.0);
/// score.add(&[0, 1, 1, 1], &[0, 0, 1, 1], [1, 4]); // off by one pixel
/// assert_eq!(score.mean(), Some(1.0));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct BoundaryF1 {
    tolerance: f64,
    classes: Vec<Counts>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    predicted: u64,
    /// Predicted ones near a true one.
    right: u64,
    known: u64,
    /// True ones near a predicted one.
    found: u64,
}

impl BoundaryF1 {
    /// Without an image so far.
    ///
    /// # Panics
    ///
    /// If the tolerance is not a number of at least 0.
    pub fn new(classes: usize, tolerance: f64) -> Self {
        assert!(tolerance >= 0.0, "a tolerance of {tolerance} pixels");
        Self { tolerance, classes: vec![Counts::default(); classes] }
    }

    /// Compares the outlines of an image, `[height, width]` both. Predictions where the truth is 255 count as ignored, too.
    ///
    /// # Panics
    ///
    /// If the two do not hold `height × width` pixels.
    pub fn add(&mut self, prediction: &[u8], truth: &[u8], size: [usize; 2]) {
        let pixels = size[0] * size[1];
        assert_eq!([prediction.len(), truth.len()], [pixels; 2], "pixels of {size:?}");
        let visible = |(&prediction, &truth): (&u8, &u8)| if truth == IGNORED { IGNORED } else { prediction };
        let prediction: Vec<u8> = prediction.iter().zip(truth).map(visible).collect();
        let (predicted, known) = (boundaries(&prediction, size), boundaries(truth, size));
        for (counts, class) in self.classes.iter_mut().zip(0u8..) {
            let of = |mask: &[u8], boundary: &[bool]| -> Vec<bool> {
                mask.iter().zip(boundary).map(|(&c, &boundary)| boundary && c == class).collect()
            };
            let (predicted, known) = (of(&prediction, &predicted), of(truth, &known));
            let count = |marked: &[bool]| marked.iter().filter(|&&marked| marked).count() as u64;
            let (some_predicted, some_known) = (count(&predicted), count(&known));
            counts.predicted += some_predicted;
            counts.known += some_known;
            if some_predicted > 0 && some_known > 0 {
                counts.right += near(&predicted, &known, size, self.tolerance);
                counts.found += near(&known, &predicted, size, self.tolerance);
            }
        }
    }

    /// The score of each class, 0 where none of the boundary was found or it was predicted where there is none; `None` for
    /// a class that has a boundary neither in the truth nor in the predictions.
    pub fn f1(&self) -> Vec<Option<f64>> {
        let score = |&Counts { predicted, right, known, found }: &Counts| {
            let part = |some: u64, all: u64| if all == 0 { 0.0 } else { some as f64 / all as f64 };
            let (precision, recall) = (part(right, predicted), part(found, known));
            let f1 = if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 };
            (predicted + known > 0).then_some(f1)
        };
        self.classes.iter().map(score).collect()
    }

    /// The mean of [`f1`](Self::f1) over the classes that have a boundary; `None` without any.
    pub fn mean(&self) -> Option<f64> {
        mean(self.f1())
    }
}

/// How many of some pixels are within the tolerance of others.
fn near(some: &[bool], others: &[bool], size: [usize; 2], tolerance: f64) -> u64 {
    let within = |distance: u64| distance as f64 <= tolerance * tolerance;
    some.iter().zip(squared_distances(others, size)).filter(|&(&some, distance)| some && within(distance)).count()
        as u64
}

/// Pixels with a neighbour of another class.
fn boundaries(mask: &[u8], [height, width]: [usize; 2]) -> Vec<bool> {
    let mut boundary = vec![false; mask.len()];
    let mut meet = |a: usize, b: usize| {
        if mask[a] != mask[b] && mask[a] != IGNORED && mask[b] != IGNORED {
            boundary[a] = true;
            boundary[b] = true;
        }
    };
    for y in 0..height {
        for x in 0..width {
            let at = y * width + x;
            if x + 1 < width {
                meet(at, at + 1);
            }
            if y + 1 < height {
                meet(at, at + width);
            }
        }
    }
    boundary
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, pixel by pixel and pair by pair: (predicted, right, known, found) of a class.
    fn counted(prediction: &[u8], truth: &[u8], [height, width]: [usize; 2], class: u8, tolerance: f64) -> Counts {
        let class_of = |mask: &[u8], y: usize, x: usize| {
            let at = y * width + x;
            if truth[at] == IGNORED { IGNORED } else { mask[at] }
        };
        let outline = |mask: &[u8]| -> Vec<(usize, usize)> {
            let mut found = Vec::new();
            for y in 0..height {
                for x in 0..width {
                    let mut neighbours = vec![(y + 1, x), (y, x + 1)];
                    neighbours.extend(y.checked_sub(1).map(|y| (y, x)));
                    neighbours.extend(x.checked_sub(1).map(|x| (y, x)));
                    let other = |&(ny, nx): &(usize, usize)| {
                        ny < height && nx < width && ![class, IGNORED].contains(&class_of(mask, ny, nx))
                    };
                    if class_of(mask, y, x) == class && neighbours.iter().any(other) {
                        found.push((y, x));
                    }
                }
            }
            found
        };
        let (predicted, known) = (outline(prediction), outline(truth));
        let near = |some: &[(usize, usize)], others: &[(usize, usize)]| {
            let distance =
                |a: (usize, usize), b: (usize, usize)| (a.0.abs_diff(b.0) as f64).hypot(a.1.abs_diff(b.1) as f64);
            some.iter().filter(|&&a| others.iter().any(|&b| distance(a, b) <= tolerance + 1e-9)).count() as u64
        };
        Counts {
            predicted: predicted.len() as u64,
            right: near(&predicted, &known),
            known: known.len() as u64,
            found: near(&known, &predicted),
        }
    }

    proptest! {
        #[test]
        fn pairs_of_pixels_say_the_same(
            height in 1usize..8,
            width in 1usize..8,
            pixels in prop::collection::vec((0u8..3, prop_oneof![6 => 0u8..3, 1 => Just(255)]), 49),
            tolerance in prop_oneof![Just(0.0), Just(1.0), Just(1.5), Just(2.0)],
        ) {
            let (prediction, truth): (Vec<u8>, Vec<u8>) = pixels[..height * width].iter().copied().unzip();
            let mut score = BoundaryF1::new(4, tolerance);
            score.add(&prediction, &truth, [height, width]);
            for class in 0..4 {
                let expected = counted(&prediction, &truth, [height, width], class, tolerance);
                prop_assert_eq!(score.classes[usize::from(class)], expected);
            }
        }
    }

    #[test]
    fn the_score_is_the_harmonic_mean_of_its_two_parts() {
        // Class 1 in truth: columns 3, 4, 5; predicted: columns 6, 7. Within 1: the predicted boundary at 6, the true at 5.
        let (truth, prediction) = ([0, 0, 0, 1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1, 1, 0]);
        let mut score = BoundaryF1::new(2, 1.0);
        score.add(&prediction, &truth, [1, 9]);
        // predicted 6, 7; known 3, 5
        assert_eq!(score.classes[1], Counts { predicted: 2, right: 1, known: 2, found: 1 });
        assert_eq!(score.f1()[1], Some(0.5));
        // A second image adds to the first.
        score.add(&truth, &truth, [1, 9]);
        assert_eq!(score.classes[1], Counts { predicted: 4, right: 3, known: 4, found: 3 });
        assert_eq!(score.f1()[1], Some(0.75));
    }

    #[test]
    fn the_score_is_low_where_one_part_is() {
        // Two of four predicted boundary pixels are near, and both that there are.
        let (truth, prediction) = ([0, 0, 1, 0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 1, 0, 1, 0]);
        let mut score = BoundaryF1::new(2, 0.0);
        score.add(&prediction, &truth, [1, 9]);
        assert_eq!(score.classes[1], Counts { predicted: 3, right: 1, known: 1, found: 1 });
        assert_eq!(score.f1()[1], Some(0.5));
    }

    #[test]
    #[should_panic(expected = "a tolerance of NaN pixels")]
    fn a_tolerance_that_is_no_number() {
        BoundaryF1::new(2, f64::NAN);
    }

    #[test]
    fn without_a_boundary_there_is_no_score() {
        let mut score = BoundaryF1::new(3, 2.0);
        score.add(&[1; 6], &[1; 6], [2, 3]);
        assert_eq!((score.f1(), score.mean()), (vec![None; 3], None));
        // One that is predicted where there is none is wrong.
        score.add(&[1, 2], &[1, 1], [1, 2]);
        assert_eq!((score.f1(), score.mean()), (vec![None, Some(0.0), Some(0.0)], Some(0.0)));
    }
}
