//! What the tables of all claims have in common: figures of runs, and how they are told.

use super::statistics::Sample;
use std::collections::BTreeMap;

/// σ in pixels by layer, over runs; the mean where a layer has several.
pub(super) fn sigmas<'a>(runs: impl Iterator<Item = &'a BTreeMap<String, Vec<f64>>>) -> BTreeMap<String, Sample> {
    let mut means: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for run in runs {
        for (layer, sigmas) in run {
            means.entry(layer.clone()).or_default().push(Sample::new(sigmas.iter().copied()).mean());
        }
    }
    means.into_iter().map(|(layer, means)| (layer, Sample::new(means))).collect()
}

/// The scales of the layers in a cell of a table.
pub(super) fn stated_sigmas(sigmas: &BTreeMap<String, Sample>) -> String {
    match sigmas.is_empty() {
        true => "–".to_owned(),
        false => sigmas.values().map(|sigma| stated(sigma, 1.0, 2)).collect::<Vec<_>>().join(", "),
    }
}

/// Mean ± deviation, in units of `unit`, with so many decimals.
pub(super) fn stated(sample: &Sample, unit: f64, decimals: usize) -> String {
    let mean = format!("{:.decimals$}", sample.mean() / unit);
    match sample.deviation() {
        Some(deviation) => format!("{mean} ± {:.decimals$}", deviation / unit),
        None => mean,
    }
}

/// A fraction in percent, mean ± deviation.
pub(super) fn percent(sample: &Sample) -> String {
    stated(sample, 0.01, 2)
}

/// With commas between thousands.
pub(super) fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let group = |group: &[u8]| String::from_utf8_lossy(group).into_owned();
    digits.as_bytes().rchunks(3).rev().map(group).collect::<Vec<_>>().join(",")
}

/// How it was measured: `training` and `test` say on what, with its number.
pub(super) fn method(data: &str, training: &str, epochs: usize, test: &str, seeds: usize) -> String {
    let passes = if epochs == 1 { "epoch" } else { "epochs" };
    let over = if seeds == 1 { "seed (no deviation)" } else { "seeds" };
    format!("{data}: {training}, {epochs} {passes}, {test}; mean ± sample standard deviation over {seeds} {over}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_means_over_channels_and_samples_over_runs() {
        let run = |a: f64, b: [f64; 2]| BTreeMap::from([("a".to_owned(), vec![a]), ("b".to_owned(), b.to_vec())]);
        let runs = [run(1.0, [2.0, 4.0]), run(1.5, [1.0, 2.0])];
        let sigmas = sigmas(runs.iter());
        assert_eq!((sigmas["a"].values(), sigmas["b"].values()), ([1.0, 1.5].as_slice(), [3.0, 1.5].as_slice()));
        assert_eq!(stated_sigmas(&sigmas), "1.25 ± 0.35, 2.25 ± 1.06");
        assert_eq!(stated_sigmas(&BTreeMap::new()), "–");
    }

    #[test]
    fn one_is_told_otherwise_than_several() {
        let one = method("scenes", "1,000 training scenes", 1, "2 test scenes", 1);
        assert_eq!(
            one,
            "scenes: 1,000 training scenes, 1 epoch, 2 test scenes; mean ± sample standard deviation over 1 seed (no deviation)."
        );
        assert!(method("d", "t", 2, "e", 3).ends_with(", 2 epochs, e; mean ± sample standard deviation over 3 seeds."));
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
