//! What is said of the runs of a setting that differ in their seed alone.

use serde::{Serialize, Serializer};

/// The values that some runs gave.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sample {
    values: Vec<f64>,
}

impl Sample {
    /// Of these values.
    pub fn new(values: impl IntoIterator<Item = f64>) -> Self {
        Self { values: values.into_iter().collect() }
    }

    /// All values of some samples.
    pub fn together<'a>(samples: impl IntoIterator<Item = &'a Self>) -> Self {
        Self::new(samples.into_iter().flat_map(|sample| sample.values.iter().copied()))
    }

    /// The values.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Their mean; NaN of none.
    pub fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }

    /// Their standard deviation, with n − 1 in the denominator; `None` of fewer than two.
    pub fn deviation(&self) -> Option<f64> {
        pooled_deviation([self])
    }

    /// Sum of the squared distances from the mean.
    fn squares(&self) -> f64 {
        let mean = self.mean();
        self.values.iter().map(|value| (value - mean).powi(2)).sum()
    }
}

/// The standard deviation within samples that have a mean each: √(Σ (nᵢ − 1) sᵢ² / Σ (nᵢ − 1)). `None` where no sample
/// has two values.
///
/// ```
/// use njet::experiments::{Sample, pooled_deviation};
///
/// let (low, high) = (Sample::new([0.0, 2.0]), Sample::new([10.0, 12.0]));
/// assert_eq!(pooled_deviation([&low, &high]), Some(2f64.sqrt()));
/// ```
pub fn pooled_deviation<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> Option<f64> {
    let (mut squares, mut free) = (0.0, 0);
    for sample in samples.into_iter().filter(|sample| sample.values.len() > 1) {
        squares += sample.squares();
        free += sample.values.len() - 1;
    }
    (free > 0).then(|| (squares / free as f64).sqrt())
}

impl Serialize for Sample {
    /// `{"mean", "deviation", "values"}`; the deviation is null of fewer than two values.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Stated<'a> {
            mean: f64,
            deviation: Option<f64>,
            values: &'a [f64],
        }
        Stated { mean: self.mean(), deviation: self.deviation(), values: &self.values }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: Option<f64>, expected: f64) {
        let found = found.expect("a deviation");
        // Of values near 1: rounding alone.
        assert!((found - expected).abs() < 1e-12, "{found} instead of {expected}");
    }

    #[test]
    fn mean_and_deviation_of_a_sample() {
        let sample = Sample::new([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert_eq!(sample.mean(), 5.0);
        // The squares sum to 32, over seven degrees of freedom.
        near(sample.deviation(), (32.0f64 / 7.0).sqrt());
    }

    #[test]
    fn one_value_has_no_deviation() {
        assert_eq!(Sample::new([3.0]).deviation(), None);
        assert_eq!(pooled_deviation([&Sample::new([3.0]), &Sample::new([4.0])]), None);
        assert_eq!(pooled_deviation([]), None);
        let json = serde_json::to_string(&Sample::new([3.0])).unwrap();
        assert_eq!(json, r#"{"mean":3.0,"deviation":null,"values":[3.0]}"#);
    }

    #[test]
    fn pooling_weighs_by_the_degrees_of_freedom() {
        // Variances 1 (two degrees of freedom) and 8 (one): (2·1 + 1·8)/3.
        let (three, two) = (Sample::new([1.0, 2.0, 3.0]), Sample::new([10.0, 14.0]));
        near(pooled_deviation([&three, &two]), (10.0f64 / 3.0).sqrt());
        // The distance between the means counts for nothing, nor does a sample of one.
        near(pooled_deviation([&three, &two, &Sample::new([99.0])]), (10.0f64 / 3.0).sqrt());
        assert!(Sample::together([&three, &two]).deviation().unwrap() > 4.0);
    }
}
