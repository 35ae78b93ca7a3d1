//! Pixels by their true and their predicted class.

use super::mean;
use crate::segmentation::data::IGNORED;

/// How many pixels of each class were predicted to be of each class.
///
/// ```
/// use njet::segmentation::metrics::Confusion;
///
/// let mut confusion = Confusion::new(3);
/// confusion.add(&[0, 1, 1, 0], &[0, 1, 0, 255]);
/// assert_eq!(confusion.iou(), [Some(0.5), Some(0.5), None]); // class 2 does not occur
/// assert_eq!(confusion.miou(), Some(0.5));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// `[truth, prediction]`, row-major.
    counts: Vec<u64>,
}

impl Confusion {
    /// Without a pixel so far.
    pub fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * classes] }
    }

    /// Counts the pixels of an image. Those whose truth is 255 are passed over.
    ///
    /// # Panics
    ///
    /// If the two differ in length, or a class that counts is not below the number of classes.
    pub fn add(&mut self, prediction: &[u8], truth: &[u8]) {
        assert_eq!(prediction.len(), truth.len(), "pixels predicted and pixels known");
        for (&prediction, &truth) in prediction.iter().zip(truth) {
            if truth != IGNORED {
                let (truth, prediction) = (usize::from(truth), usize::from(prediction));
                assert!(
                    truth.max(prediction) < self.classes,
                    "class {prediction} for {truth}, of {} classes",
                    self.classes
                );
                self.counts[truth * self.classes + prediction] += 1;
            }
        }
    }

    /// Adds the pixels of another.
    ///
    /// # Panics
    ///
    /// If the numbers of classes differ.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.classes, other.classes, "classes of two confusions");
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, count)| *sum += count);
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Pixels of class `truth` that were predicted to be `prediction`.
    ///
    /// # Panics
    ///
    /// If there is no such class.
    pub fn count(&self, truth: usize, prediction: usize) -> u64 {
        assert!(prediction < self.classes, "class {prediction} of {}", self.classes);
        self.counts[truth * self.classes + prediction]
    }

    /// Pixels that counted.
    pub fn pixels(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// For class c: hits, pixels that are c, pixels that were predicted to be c.
    fn of(&self, class: usize) -> [u64; 3] {
        let truth = (0..self.classes).map(|other| self.count(class, other)).sum();
        let prediction = (0..self.classes).map(|other| self.count(other, class)).sum();
        [self.count(class, class), truth, prediction]
    }

    fn per_class(&self, value: impl Fn([u64; 3]) -> f64) -> Vec<Option<f64>> {
        let occurs = |[_, truth, prediction]: &[u64; 3]| truth + prediction > 0;
        (0..self.classes).map(|class| Some(self.of(class)).filter(occurs).map(&value)).collect()
    }

    /// Intersection over union of each class: hits / (pixels that are c or were predicted to be). `None` for a class that
    /// occurs neither in the truth nor in the predictions.
    pub fn iou(&self) -> Vec<Option<f64>> {
        self.per_class(|[hits, truth, prediction]| hits as f64 / (truth + prediction - hits) as f64)
    }

    /// Dice coefficient of each class: 2·hits / (pixels that are c + pixels predicted to be c), which is the F1 score of
    /// its pixels. `None` as in [`iou`](Self::iou).
    pub fn dice(&self) -> Vec<Option<f64>> {
        self.per_class(|[hits, truth, prediction]| 2.0 * hits as f64 / (truth + prediction) as f64)
    }

    /// The mean of [`iou`](Self::iou) over the classes that occur; `None` without pixels.
    pub fn miou(&self) -> Option<f64> {
        mean(self.iou())
    }

    /// The mean of [`dice`](Self::dice) over the classes that occur; `None` without pixels.
    pub fn mean_dice(&self) -> Option<f64> {
        mean(self.dice())
    }

    /// Part of the pixels whose class was predicted; `None` without pixels.
    pub fn pixel_accuracy(&self) -> Option<f64> {
        let hits: u64 = (0..self.classes).map(|class| self.count(class, class)).sum();
        Some(self.pixels()).filter(|pixels| *pixels > 0).map(|pixels| hits as f64 / pixels as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_and_all_ignored_are_none() {
        let mut confusion = Confusion::new(2);
        for _ in 0..2 {
            assert_eq!((confusion.miou(), confusion.mean_dice(), confusion.pixel_accuracy()), (None, None, None));
            assert_eq!(confusion.iou(), [None, None]);
            confusion.add(&[1, 7], &[255, 255]); // whatever was predicted there
        }
    }

    #[test]
    #[should_panic(expected = "class 3 for 0, of 3 classes")]
    fn a_class_beyond() {
        Confusion::new(3).add(&[3], &[0]);
    }

    proptest! {
        /// The definitions with sets of pixels; image by image is the same as at once.
        #[test]
        fn sets_of_pixels_say_the_same(pixels in prop::collection::vec((0u8..4, prop_oneof![0u8..3, Just(255)]), 0..60)) {
            let (prediction, truth): (Vec<u8>, Vec<u8>) = pixels.iter().copied().unzip();
            let mut confusion = Confusion::new(5);
            confusion.add(&prediction, &truth);
            let known: Vec<_> = pixels.iter().filter(|(_, truth)| *truth != 255).collect();
            let (mut ious, mut dices) = (Vec::new(), Vec::new());
            for class in 0..5u8 {
                let both = known.iter().filter(|(p, t)| *p == class && *t == class).count() as f64;
                let either = known.iter().filter(|(p, t)| *p == class || *t == class).count() as f64;
                let (p, t) = (
                    known.iter().filter(|(p, _)| *p == class).count() as f64,
                    known.iter().filter(|(_, t)| *t == class).count() as f64,
                );
                let expected = (either > 0.0).then(|| (both / either, 2.0 * both / (p + t)));
                let i = usize::from(class);
                prop_assert_eq!(confusion.iou()[i].zip(confusion.dice()[i]), expected);
                ious.extend(expected.map(|(iou, _)| iou));
                dices.extend(expected.map(|(_, dice)| dice));
            }
            let mean = |values: &[f64]| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
            prop_assert_eq!((confusion.miou(), confusion.mean_dice()), (mean(&ious), mean(&dices)));
            let right = known.iter().filter(|(p, t)| p == t).count() as f64;
            prop_assert_eq!(confusion.pixel_accuracy(), (!known.is_empty()).then(|| right / known.len() as f64));

            let mut parts = Confusion::new(5);
            for at in 0..pixels.len() {
                let mut one = Confusion::new(5);
                one.add(&prediction[at..=at], &truth[at..=at]);
                parts.merge(&one);
            }
            prop_assert_eq!(parts, confusion);
        }
    }
}
