//! Counts and statistics of a data set.

use serde::Serialize;

use super::{Dataset, Extents, ImageSet, Samples, Skipped};

/// What `njet data info` shows of a data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The name the set was loaded by.
    pub name: String,
    /// The names of the classes.
    pub classes: Vec<String>,
    /// The number of channels.
    pub channels: usize,
    /// `[channels, height, width]` of every image, in pixels; `None` where sizes are mixed.
    pub shape: Option<[usize; 3]>,
    /// The training images.
    pub train: PartSummary,
    /// The test images.
    pub test: PartSummary,
    /// Memory that images and labels take, in bytes.
    pub bytes: usize,
}

/// Counts and statistics of the training or the test images.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartSummary {
    /// The number of images.
    pub count: usize,
    /// The number of images of each class.
    pub per_class: Vec<usize>,
    /// Least, median and greatest size; `None` without images.
    pub sizes: Option<Extents>,
    /// Images that are the first frame of several.
    pub animated: usize,
    /// Files that are not used, with the reason.
    pub skipped: Vec<Skipped>,
    /// Mean of all samples, scaled to 0 … 1.
    pub mean: f64,
    /// Standard deviation of all samples, scaled to 0 … 1.
    pub std: f64,
}

impl Summary {
    pub(super) fn of(set: &Dataset) -> Self {
        let (train, test) = (&set.train, &set.test);
        Self {
            name: set.name.clone(),
            classes: set.classes.clone(),
            channels: set.channels(),
            shape: train.shape().filter(|shape| test.is_empty() || test.shape() == Some(*shape)),
            train: PartSummary::of(train, set.classes.len()),
            test: PartSummary::of(test, set.classes.len()),
            bytes: train.bytes() + test.bytes(),
        }
    }
}

impl PartSummary {
    fn of(samples: &Samples, classes: usize) -> Self {
        let mut per_class = vec![0; classes];
        for &label in samples.labels() {
            let label = usize::from(label);
            if label >= per_class.len() {
                per_class.resize(label + 1, 0);
            }
            per_class[label] += 1;
        }
        let (mean, std) = samples.mean_and_std();
        let (animated, skipped) = match samples {
            Samples::Memory(_) => (0, Vec::new()),
            Samples::Files(files) => (files.animated(), files.skipped().to_vec()),
        };
        Self { count: samples.len(), per_class, sizes: samples.extents(), animated, skipped, mean, std }
    }
}

/// Mean and standard deviation of all samples, scaled to 0 … 1; zeros for a set without images. The sums are exact
/// integers, so the result does not depend on the order of the images.
pub(super) fn mean_and_std(set: &ImageSet) -> (f64, f64) {
    let (mut count, mut sum, mut squares) = (0u128, 0u128, 0u128);
    for (value, n) in (0u128..).zip(set.histogram()) {
        let n = u128::from(n);
        count += n;
        sum += n * value;
        squares += n * value * value;
    }
    if count == 0 {
        return (0.0, 0.0);
    }
    // count²·variance, without the cancellation of mean(v²) − mean(v)²
    let spread = count * squares - sum * sum;
    let scale = 255.0 * count as f64;
    (sum as f64 / scale, (spread as f64).sqrt() / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_std_are_those_of_the_scaled_samples() {
        let set = ImageSet::new(vec![0, 0, 255, 255], vec![0], 1, 2, 2).unwrap();
        assert_eq!(mean_and_std(&set), (0.5, 0.5));
        let constant = ImageSet::new(vec![51; 9], vec![0; 9], 1, 1, 1).unwrap();
        assert_eq!(mean_and_std(&constant), (0.2, 0.0));
        let none = ImageSet::new(vec![], vec![], 1, 2, 2).unwrap();
        assert_eq!(mean_and_std(&none), (0.0, 0.0));
    }
}
