//! Medians of repeated calls.

use std::time::Instant;

/// How many calls are timed.
#[derive(Debug, Clone, Copy)]
pub enum Runs {
    /// So many.
    Fixed(usize),
    /// The more the shorter a call is: a short one is easily disturbed, and costs little.
    ByDuration,
}

/// Milliseconds of a call, the median, after a first one that is not counted.
pub fn median_ms(runs: Runs, mut call: impl FnMut()) -> f64 {
    let mut timed = || {
        let start = Instant::now();
        call();
        1e3 * start.elapsed().as_secs_f64()
    };
    timed();
    let n = match runs {
        Runs::Fixed(n) => n,
        Runs::ByDuration => match timed() {
            ..20.0 => 25,
            20.0..300.0 => 9,
            300.0..1000.0 => 5,
            _ => 3,
        },
    };
    median(&(0..n).map(|_| timed()).collect::<Vec<_>>())
}

/// The middle one of the values, or the mean of the middle two.
///
/// # Panics
/// If there are no values.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[3.0]), 3.0);
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[9.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn calls_are_counted() {
        let mut calls = 0;
        assert!(median_ms(Runs::Fixed(4), || calls += 1) >= 0.0);
        assert_eq!(calls, 5);
    }
}
