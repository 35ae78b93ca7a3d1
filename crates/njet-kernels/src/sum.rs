//! Long sums that stay accurate: short runs in the type of the call, the runs in f64.

use crate::Real;
use crate::isa::Body;

/// Terms summed side by side: two vector registers of f32 on AVX2.
const LANES: usize = 16;

/// Terms in a run. Its rounding error in f32 stays near 1e-7 of its terms, and a conversion to f64 every
/// so often costs nothing.
const RUN: usize = 32 * LANES;

/// `Σ f(a, b)` over the elements of two slices of one length.
#[inline(always)]
pub(crate) fn sum<T: Real>(a: &[T], b: &[T], f: impl Fn(T, T) -> T) -> f64 {
    let mut total = 0.0;
    for (a, b) in a.chunks(RUN).zip(b.chunks(RUN)) {
        let mut sums = [T::ZERO; LANES];
        let (a, a_rest) = a.as_chunks::<LANES>();
        let (b, b_rest) = b.as_chunks::<LANES>();
        for (a, b) in a.iter().zip(b) {
            for l in 0..LANES {
                sums[l] += f(a[l], b[l]);
            }
        }
        total += sums.iter().map(|s| s.to_f64()).sum::<f64>();
        total += a_rest.iter().zip(b_rest).map(|(&a, &b)| f(a, b).to_f64()).sum::<f64>();
    }
    total
}

/// `Σ a · b`.
pub(crate) struct Dot<'a, T> {
    pub(crate) a: &'a [T],
    pub(crate) b: &'a [T],
}

impl<T: Real> Body for Dot<'_, T> {
    type Output = f64;
    #[inline(always)]
    fn run<const FUSED: bool>(self) -> f64 {
        sum(self.a, self.b, |a, b| a * b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_no_drift() {
        for n in [0, 1, 15, 16, 17, 511, 512, 513, 1500] {
            let a: Vec<f64> = (0..n).map(f64::from).collect();
            assert_eq!(sum(&a, &a, |a, _| a), f64::from(n * (n - 1).max(0) / 2));
        }
        // A naive f32 sum of these stops growing at 2²⁴ halves.
        let halves = vec![0.5f32; 40_000_000];
        assert_eq!(sum(&halves, &halves, |a, _| a), 20_000_000.0);
    }
}
