//! Choosing indices: a validation split and a limited draw, both balanced over the classes.

use super::{Random, Stream};

/// Splits indices into `(train, validation)` so that every class gives the same fraction to validation.
///
/// Of a class with m images, `fraction`·m go to validation, rounded up or down; the total is `fraction` of all, rounded.
/// Both lists are in ascending order and together hold every index once. The same arguments give the same split.
/// A `fraction` outside 0 … 1 counts as the nearer end, and NaN as 0.
///
/// ```
/// use njet::data::stratified_split;
///
/// let labels = [0, 0, 0, 0, 1, 1, 1, 1];
/// let (train, validation) = stratified_split(&labels, 0.25, 42);
/// assert_eq!((train.len(), validation.len()), (6, 2));
/// assert_ne!(labels[validation[0]], labels[validation[1]]);
/// ```
pub fn stratified_split(labels: &[u8], fraction: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let fraction = if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) };
    let (mut train, mut validation) = (Vec::new(), Vec::new());
    let mut seen = 0;
    for members in shuffled_classes(labels, Stream::Split, seed) {
        // The rounded running total, so that what one class loses by rounding the next one gains.
        seen += members.len();
        let wanted = (fraction * seen as f64).round() as usize - validation.len();
        let (chosen, rest) = members.split_at(wanted.min(members.len()));
        validation.extend_from_slice(chosen);
        train.extend_from_slice(rest);
    }
    train.sort_unstable();
    validation.sort_unstable();
    (train, validation)
}

/// The first `n` indices of a random draw that takes one image of each class in turn.
///
/// The counts of two classes differ by at most one, until a class has no more images. A larger `n` only appends to the
/// list, and one beyond the number of labels gives them all. The same arguments give the same list.
///
/// ```
/// use njet::data::limit;
///
/// let labels = [0, 0, 0, 0, 0, 0, 1, 2];
/// let mut drawn: Vec<u8> = limit(&labels, 3, 42).into_iter().map(|i| labels[i]).collect();
/// drawn.sort();
/// assert_eq!(drawn, [0, 1, 2]);
/// ```
pub fn limit(labels: &[u8], n: usize, seed: u64) -> Vec<usize> {
    let mut classes = shuffled_classes(labels, Stream::Limit, seed);
    // Otherwise class 0 would always be the one with an image more.
    Random::for_stream(seed, Stream::Limit, 256).shuffle(&mut classes);
    let rounds = classes.iter().map(Vec::len).max().unwrap_or(0);
    (0..rounds).flat_map(|round| classes.iter().filter_map(move |class| class.get(round).copied())).take(n).collect()
}

/// The indices of each class in random order; classes without images are left out.
fn shuffled_classes(labels: &[u8], stream: Stream, seed: u64) -> Vec<Vec<usize>> {
    let mut classes = vec![Vec::new(); 256];
    labels.iter().enumerate().for_each(|(i, &label)| classes[usize::from(label)].push(i));
    for (number, members) in (0..).zip(&mut classes) {
        Random::for_stream(seed, stream, number).shuffle(members);
    }
    classes.retain(|members| !members.is_empty());
    classes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(labels: &[u8], indices: &[usize]) -> Vec<usize> {
        let mut counts = vec![0; 256];
        indices.iter().for_each(|&i| counts[usize::from(labels[i])] += 1);
        counts
    }

    /// Classes 0, 1, 2, 255 with 100, 37, 1, 12 images, mixed up.
    fn uneven() -> Vec<u8> {
        let mut labels: Vec<u8> = [(0, 100), (1, 37), (2, 1), (255, 12)]
            .into_iter()
            .flat_map(|(label, n)| std::iter::repeat_n(label, n))
            .collect();
        Random::for_stream(0, Stream::Other(0), 0).shuffle(&mut labels);
        labels
    }

    #[test]
    fn split_is_balanced_disjoint_and_complete() {
        let labels = uneven();
        let all = counts(&labels, &(0..labels.len()).collect::<Vec<_>>());
        for fraction in [0.0, 0.1, 0.25, 0.5, 0.9, 1.0] {
            let (train, validation) = stratified_split(&labels, fraction, 7);
            assert_eq!(validation.len(), (fraction * labels.len() as f64).round() as usize);
            for (got, m) in counts(&labels, &validation).into_iter().zip(&all) {
                assert!((got as f64 - fraction * *m as f64).abs() <= 1.0, "{got} of {m} at {fraction}");
            }
            let mut together = [train, validation].concat();
            together.sort_unstable();
            assert_eq!(together, (0..labels.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn split_depends_on_the_seed_alone() {
        let labels = uneven();
        assert_eq!(stratified_split(&labels, 0.2, 1), stratified_split(&labels, 0.2, 1));
        assert_ne!(stratified_split(&labels, 0.2, 1), stratified_split(&labels, 0.2, 2));
    }

    #[test]
    fn split_takes_any_fraction_and_no_labels() {
        let labels = [0, 1, 1];
        assert!(stratified_split(&labels, -1.0, 1).1.is_empty());
        assert!(stratified_split(&labels, f64::NAN, 1).1.is_empty());
        assert!(stratified_split(&labels, f64::INFINITY, 1).0.is_empty());
        assert_eq!(stratified_split(&[], 0.5, 1), (vec![], vec![]));
    }

    #[test]
    fn limit_takes_the_classes_in_turn() {
        let labels = uneven();
        let drawn = counts(&labels, &limit(&labels, 32, 3));
        // 1 image of class 2, then 31 over three classes
        assert_eq!(drawn[2], 1);
        assert!([0, 1, 255].iter().all(|&class| (10..=11).contains(&drawn[class])));
        let mut all = limit(&labels, usize::MAX, 3);
        assert_eq!(limit(&labels, 32, 3), all[..32]);
        assert_ne!(limit(&labels, 32, 4), all[..32]);
        all.sort_unstable();
        assert_eq!(all, (0..labels.len()).collect::<Vec<_>>());
        assert!(limit(&[], 5, 1).is_empty());
        // the seed decides which class comes first: over 100 seeds each of four does
        let first: std::collections::HashSet<u8> = (0..100).map(|seed| labels[limit(&labels, 1, seed)[0]]).collect();
        assert_eq!(first.len(), 4);
    }
}
