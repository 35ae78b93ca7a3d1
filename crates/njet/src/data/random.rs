//! A small random generator that gives the same numbers forever.
//!
//! A run must repeat bit for bit from its seed, years later and on any machine. The generators of crates may change
//! their numbers with a version, and `ln` or `cos` of a system's library differ in the last bit between systems, so
//! this one is written out: xoshiro256++ (Blackman & Vigna 2019) with its state from SplitMix64, and only operations
//! that IEEE 754 rounds exactly.

/// What random numbers are drawn for. Each purpose has numbers of its own, so drawing more for one changes no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stream {
    /// Splitting off validation images.
    Split,
    /// Drawing a limited number of images.
    Limit,
    /// The order of images in an epoch.
    Shuffle,
    /// Shifts and flips of images.
    Augment,
    /// First values of weights.
    Weights,
    /// Sizes and places of the objects of a multi-size set.
    MultiSize,
    /// The composed scenes of segmentation.
    Scenes,
    /// Any other purpose, by a number of its own.
    Other(u32),
}

impl Stream {
    // The numbers are part of the results: never change one, never give one again.
    fn key(self) -> u64 {
        match self {
            Self::Split => 1,
            Self::Limit => 2,
            Self::Shuffle => 3,
            Self::Augment => 4,
            Self::Weights => 5,
            Self::MultiSize => 6,
            Self::Scenes => 7,
            Self::Other(number) => (1 << 32) | u64::from(number),
        }
    }
}

/// A deterministic random generator: xoshiro256++, period 2²⁵⁶ − 1. Not for secrets.
///
/// ```
/// use njet::data::{Random, Stream};
///
/// let mut order: Vec<usize> = (0..10).collect();
/// Random::for_stream(42, Stream::Shuffle, 3).shuffle(&mut order); // seed 42, the order of epoch 3
/// let mut again: Vec<usize> = (0..10).collect();
/// Random::for_stream(42, Stream::Shuffle, 3).shuffle(&mut again);
/// assert_eq!(order, again);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// The generator for the `index`-th use (an epoch, a class, a batch …) of a stream under a seed.
    pub fn for_stream(seed: u64, stream: Stream, index: u64) -> Self {
        let mut key = seed;
        for part in [stream.key(), index] {
            key = split_mix(&mut key) ^ part;
        }
        Self { state: std::array::from_fn(|_| split_mix(&mut key)) }
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Uniform among 0, 1, … n − 1, without bias (Lemire 2019); 0 for `n` = 0.
    pub fn below(&mut self, n: usize) -> usize {
        let n = n as u64;
        if n == 0 {
            return 0;
        }
        let threshold = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            if product as u64 >= threshold {
                return (product >> 64) as usize;
            }
        }
    }

    /// Uniform in [0, 1), a multiple of 2⁻²⁴.
    pub fn uniform(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 * (1.0 / (1u32 << 24) as f32)
    }

    /// Normal with mean 0 and standard deviation 1 (Marsaglia's polar method, computed in `f64`).
    pub fn normal(&mut self) -> f32 {
        let mut signed = || (self.next_u64() >> 11) as f64 * (2.0 / (1u64 << 53) as f64) - 1.0;
        loop {
            let (x, y) = (signed(), signed());
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return (x * (-2.0 * ln(square) / square).sqrt()) as f32;
            }
        }
    }

    /// Puts `items` into a uniformly random order (Fisher & Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// The next number of SplitMix64 (Steele, Lea, Flood 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Natural logarithm of a normal positive number, the same on every machine: x = m·2^e with m in [√½, √2), and
/// ln m = 2·artanh z, z = (m − 1)/(m + 1), |z| < 0.172. Ten terms of the series leave less than 1e-15.
fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) as i64 - 1023) as f64;
    let mut mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1.0;
    }
    let z = (mantissa - 1.0) / (mantissa + 1.0);
    let series = (0..10).rev().fold(0.0, |sum, k| sum * z * z + 1.0 / f64::from(2 * k + 1));
    exponent * std::f64::consts::LN_2 + 2.0 * z * series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generators_are_the_published_ones() {
        let mut state = 1_234_567;
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(expected.map(|_| split_mix(&mut state)), expected);
        let mut rng = Random { state: [1, 2, 3, 4] };
        let expected = [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386];
        assert_eq!(expected.map(|_| rng.next_u64()), expected);
    }

    /// From an independent implementation. If this fails, every run recorded before would come out differently.
    #[test]
    fn the_numbers_never_change() {
        let rng = || Random::for_stream(42, Stream::Weights, 7);
        assert_eq!(rng().next_u64(), 17_835_958_692_446_149_107);
        let mut normal = rng();
        assert_eq!([(); 4].map(|()| normal.normal().to_bits()), [0xbe86_8aab, 0xbfa8_0103, 0xbea6_fa38, 0x3fe6_0931]);
        let mut order: Vec<usize> = (0..10).collect();
        rng().shuffle(&mut order);
        assert_eq!(order, [7, 2, 4, 0, 6, 1, 5, 3, 8, 9]);
    }

    #[test]
    fn streams_seeds_and_indices_differ() {
        let first = |seed, stream, index| Random::for_stream(seed, stream, index).next_u64();
        let streams = [
            Stream::Split,
            Stream::Limit,
            Stream::Shuffle,
            Stream::Augment,
            Stream::Weights,
            Stream::MultiSize,
            Stream::Scenes,
        ];
        let mut seen: Vec<u64> = streams
            .into_iter()
            .chain([Stream::Other(0), Stream::Other(1)])
            .flat_map(|stream| (0..20).flat_map(move |seed| (0..20).map(move |index| first(seed, stream, index))))
            .collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 9 * 20 * 20);
    }

    #[test]
    fn below_is_even_and_in_range() {
        let mut rng = Random::for_stream(1, Stream::Other(0), 0);
        let mut counts = [0i32; 7];
        (0..70_000).for_each(|_| counts[rng.below(7)] += 1);
        // five standard deviations of a count, √(70000·6/49) = 93
        assert!(counts.iter().all(|n| (n - 10_000).abs() < 465), "{counts:?}");
        assert_eq!((rng.below(0), rng.below(1)), (0, 0));
        assert!(rng.below(usize::MAX) < usize::MAX);
    }

    #[test]
    fn uniform_and_normal_have_their_moments() {
        let mut rng = Random::for_stream(1, Stream::Other(0), 0);
        let n = 100_000;
        let uniform: Vec<f64> = (0..n).map(|_| f64::from(rng.uniform())).collect();
        assert!(uniform.iter().all(|u| (0.0..1.0).contains(u)));
        let normal: Vec<f64> = (0..n).map(|_| f64::from(rng.normal())).collect();
        let moment = |values: &[f64], p| values.iter().map(|v| v.powi(p)).sum::<f64>() / f64::from(n);
        // five standard errors each: σ/√n with σ = √(1/12), 1, √2, √96
        assert!((moment(&uniform, 1) - 0.5).abs() < 0.0046);
        assert!(moment(&normal, 1).abs() < 0.0158);
        assert!((moment(&normal, 2) - 1.0).abs() < 0.0224);
        assert!((moment(&normal, 4) - 3.0).abs() < 0.155);
    }

    #[test]
    fn ln_agrees_with_the_system() {
        for x in [1e-300, 1e-10, 0.1, 0.5, 0.7, 0.71, 0.999_999_9, 1.0, 1.414, 1.415, 3.0, 1e10] {
            let (got, expected): (f64, f64) = (ln(x), x.ln());
            assert!((got - expected).abs() <= 1e-14 * expected.abs() + 1e-16, "ln {x}: {got}, expected {expected}");
        }
    }

    #[test]
    fn shuffle_permutes() {
        let mut items: Vec<usize> = (0..100).collect();
        Random::for_stream(1, Stream::Shuffle, 0).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
        Random::for_stream(1, Stream::Shuffle, 0).shuffle::<u8>(&mut []);
    }
}
