//! What follows a normalisation, element by element.

use crate::Real;
use crate::isa::{Body, Isa};

/// A function of each element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nonlinearity {
    /// `max(0, z)`.
    Relu,
    /// `z / (1 + e⁻ᶻ)` (Ramachandran, Zoph, Le 2017), which others call SiLU.
    Swish,
}

/// One of them, known when the loop around it is compiled.
pub(crate) trait Pointwise: Copy {
    fn value<T: Real, const FUSED: bool>(z: T) -> T;
    /// The derivative by z.
    fn slope<T: Real, const FUSED: bool>(z: T) -> T;
}

#[derive(Clone, Copy)]
pub(crate) struct Relu;

impl Pointwise for Relu {
    #[inline(always)]
    fn value<T: Real, const FUSED: bool>(z: T) -> T {
        // Written so that NaN stays NaN: a run that diverged must be seen.
        if z < T::ZERO { T::ZERO } else { z }
    }

    #[inline(always)]
    fn slope<T: Real, const FUSED: bool>(z: T) -> T {
        if z > T::ZERO { T::ONE } else { T::ZERO }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Swish;

impl Pointwise for Swish {
    #[inline(always)]
    fn value<T: Real, const FUSED: bool>(z: T) -> T {
        z * z.sigmoid::<FUSED>()
    }

    #[inline(always)]
    fn slope<T: Real, const FUSED: bool>(z: T) -> T {
        let s = z.sigmoid::<FUSED>();
        (z * (T::ONE - s)).multiply_add::<FUSED>(s, s)
    }
}

/// `1 / (1 + e⁻ᶻ)` to 2 units in the last place.
#[inline(always)]
pub(crate) fn sigmoid_f32<const FUSED: bool>(z: f32) -> f32 {
    let [part, power] = exponential::<FUSED>(-z);
    1.0 / part.multiply_add::<FUSED>(power, 1.0)
}

/// Puts eᵗ in the place of each t, to 2 units in the last place, on vectors. Beyond ±87, where eᵗ or its inverse would not be a normal
/// number, it is that of ±87; NaN stays NaN.
///
/// ```
/// let mut values = [0.0, -1.0];
/// njet_kernels::exponentials(&mut values);
/// assert!((values[0] - 1.0).abs() < 1e-6 && (values[1] - 0.367879).abs() < 1e-6);
/// ```
pub fn exponentials(values: &mut [f32]) {
    struct Exponentials<'a>(&'a mut [f32]);
    impl Body for Exponentials<'_> {
        type Output = ();
        #[inline(always)]
        fn run<const FUSED: bool>(self) {
            for value in self.0 {
                let [part, power] = exponential::<FUSED>(*value);
                *value = part * power;
            }
        }
    }
    Isa::Best.run(Exponentials(values));
}

/// eᵗ as a product of two, without a branch or a call, so that loops over it become vectors: the library's is a call for each
/// element.
///
/// eᵗ = 2ⁿ·eʳ with |r| ≤ ½ ln 2, and eʳ by a polynomial of degree 6 whose last four coefficients make its greatest relative error
/// least (4e-9; found by reweighted least squares).
#[inline(always)]
fn exponential<const FUSED: bool>(t: f32) -> [f32; 2] {
    /// 1.5 · 2²³: added to a small number, it leaves the nearest integer in the lowest bits.
    const TO_INTEGER: f32 = 12_582_912.0;
    /// ln 2 in two parts, of which the first times n is exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    // Beyond these 2ⁿ would not be a normal number; a sigmoid is 0 or 1 there, to f32. NaN passes.
    let t = t.clamp(-87.0, 87.0);
    let shifted = t.multiply_add::<FUSED>(std::f32::consts::LOG2_E, TO_INTEGER);
    let n = shifted - TO_INTEGER;
    let r = n.multiply_add::<FUSED>(-LN_2[1], n.multiply_add::<FUSED>(-LN_2[0], t));
    let coefficients = [1.386_37e-3, 8.367_54e-3, 4.166_724e-2, 0.166_665_34, 0.5, 1.0, 1.0];
    let part = coefficients.into_iter().fold(0.0, |sum: f32, c| sum.multiply_add::<FUSED>(r, c));
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    [part, power]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sigmoid_is_that_of_the_library() {
        let mut worst: f64 = 0.0;
        for i in -120_000..=120_000 {
            let z = i as f32 * 1e-3;
            let exact = 1.0 / (1.0 + (-f64::from(z)).exp());
            for got in [sigmoid_f32::<false>(z), sigmoid_f32::<true>(z)] {
                assert!((f64::from(got) - exact).abs() <= 2.5e-7 * exact + 2e-38, "{z}: {got} for {exact}");
                worst = worst.max((f64::from(got) - exact).abs() / exact.max(1e-37));
            }
        }
        assert!(worst > 0.0);
        assert_eq!(sigmoid_f32::<true>(f32::INFINITY), 1.0);
        assert!(sigmoid_f32::<true>(f32::NEG_INFINITY) < 2e-38);
        assert!(sigmoid_f32::<true>(f32::NAN).is_nan() && Swish::value::<f32, true>(f32::NAN).is_nan());
    }

    #[test]
    fn exponentials_are_those_of_the_library() {
        let exact = |t: f32| f64::from(t.clamp(-87.0, 87.0)).exp();
        let all: Vec<f32> = (-100_000..=100_000).map(|i| i as f32 * 1e-3).chain([f32::INFINITY, -1e30]).collect();
        let mut values = all.clone();
        exponentials(&mut values);
        for (t, value) in all.into_iter().zip(values) {
            assert!((f64::from(value) - exact(t)).abs() <= 2.5e-7 * exact(t), "{t}: {value} for {}", exact(t));
        }
        let mut nan = [f32::NAN; 3];
        exponentials(&mut nan);
        assert!(nan.iter().all(|value| value.is_nan()));
    }

    #[test]
    fn slopes_are_those_of_the_values() {
        for i in -40..=40 {
            let (z, h) = (f64::from(i) * 0.37 + 0.1, 1e-5);
            let difference = (Swish::value::<f64, false>(z + h) - Swish::value::<f64, false>(z - h)) / (2.0 * h);
            assert!((Swish::slope::<f64, false>(z) - difference).abs() < 1e-9, "{z}");
            let single = Swish::slope::<f32, false>(z as f32);
            assert!((f64::from(single) - difference).abs() < 1e-6, "{z}: {single} for {difference}");
            assert_eq!(Relu::slope::<f64, false>(z), f64::from(u8::from(z > 0.0)));
        }
    }
}
