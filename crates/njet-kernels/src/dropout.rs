//! Dropout whose mask is a function of a seed and a place: the backward pass makes it anew and nothing is kept of it.
//!
//! Drawing a mask from a generator, one number after another, on one thread, takes longer than all other elementwise work of
//! a training step that has it.

use crate::Real;
use crate::disjoint::Filling;
use crate::engine::Isa;
use crate::isa::Body;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Elements that one key serves.
const PIECE: usize = 1 << 14;

/// Which elements are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// Decides every element.
    pub seed: u64,
    /// The part of the elements that is kept, above 0 and at most 1.
    pub keep: f64,
}

impl Dropout {
    /// Zero where an element is dropped, `x / keep` elsewhere. Of upstream gradients it is the gradient.
    ///
    /// ```
    /// use njet_kernels::dropout::Dropout;
    /// let y = Dropout { seed: 1, keep: 0.5 }.apply(&[1.0f32; 1000]);
    /// assert!(y.iter().all(|&v| v == 0.0 || v == 2.0));
    /// ```
    pub fn apply<T: Real>(&self, x: &[T]) -> Vec<T> {
        let mut filling = Filling::new(x.len());
        let y = filling.parts(x.len());
        x.par_chunks(PIECE).enumerate().for_each(|(piece, x)| {
            // SAFETY: each piece is written by one task.
            let y = unsafe { y.part(piece * PIECE..piece * PIECE + x.len()) };
            Isa::Best.run(self.piece(piece, x, y));
        });
        // SAFETY: the pieces are all of y, and each has been written.
        unsafe { filling.finish(x.len()) }
    }

    fn piece<'a, T: Real>(&self, piece: usize, x: &'a [T], y: &'a mut [MaybeUninit<T>]) -> Piece<'a, T> {
        // SplitMix64 (Steele et al. 2014): neighbouring seeds and pieces get keys that have nothing in common.
        let mut key = self.seed.wrapping_add((piece as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        key = (key ^ (key >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        key = (key ^ (key >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        key ^= key >> 31;
        // The hash is one of 2³² numbers, each as likely.
        let below = (self.keep * 2f64.powi(32)).round().min(f64::from(u32::MAX)) as u32;
        Piece { keys: [key as u32, (key >> 32) as u32], below, scale: T::from_f64(1.0 / self.keep), x, y }
    }
}

struct Piece<'a, T> {
    keys: [u32; 2],
    below: u32,
    scale: T,
    x: &'a [T],
    y: &'a mut [MaybeUninit<T>],
}

/// A bijection of 32 bits in which each bit of the input changes each of the output with a probability near one half:
/// xor-shifts and odd products, as in the finaliser of MurmurHash3.
#[inline(always)]
fn mixed(mut bits: u32) -> u32 {
    bits = (bits ^ (bits >> 16)).wrapping_mul(0x85eb_ca6b);
    bits = (bits ^ (bits >> 13)).wrapping_mul(0xc2b2_ae35);
    bits ^ (bits >> 16)
}

impl<T: Real> Body for Piece<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Self { keys, below, scale, x, y } = self;
        for (i, (y, &x)) in y.iter_mut().zip(x).enumerate() {
            let hash = mixed(mixed(i as u32 ^ keys[0]).wrapping_add(keys[1]));
            y.write(if hash < below { x * scale } else { T::ZERO });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: usize = 4 * PIECE + 77;

    fn kept(seed: u64, keep: f64) -> Vec<bool> {
        Dropout { seed, keep }.apply(&vec![1.0f32; LEN]).iter().map(|&v| v != 0.0).collect()
    }

    fn part(kept: impl Iterator<Item = bool>) -> f64 {
        let (mut all, mut yes) = (0u32, 0u32);
        kept.for_each(|kept| (all, yes) = (all + 1, yes + u32::from(kept)));
        f64::from(yes) / f64::from(all)
    }

    /// Of 65,613 elements; four standard deviations of a fair draw.
    fn near(part: f64, expected: f64) -> bool {
        (part - expected).abs() < 4.0 * (expected * (1.0 - expected) / LEN as f64).sqrt()
    }

    #[test]
    fn the_part_that_was_asked_for_is_kept_and_scaled() {
        for keep in [0.5, 0.8, 0.1] {
            let x: Vec<f32> = (0..LEN).map(|i| i as f32 + 1.0).collect();
            let y = Dropout { seed: 3, keep }.apply(&x);
            let scale = (1.0 / keep) as f32;
            assert!(x.iter().zip(&y).all(|(&x, &y)| y == 0.0 || y == x * scale));
            assert!(near(part(y.iter().map(|&v| v != 0.0)), keep), "{keep}");
        }
        assert!(kept(1, 1.0).into_iter().filter(|kept| !kept).count() <= 1, "all but one of 2³²");
    }

    /// Neighbours, elements a row or a piece apart, and the same element under neighbouring seeds: two of them are
    /// alike half of the time.
    #[test]
    fn draws_have_nothing_to_do_with_one_another() {
        let one = kept(5, 0.5);
        for lag in [1, 2, 3, 16, 32, 1024, PIECE, 2 * PIECE] {
            let alike = part(one.iter().zip(one.iter().cycle().skip(lag)).map(|(a, b)| a == b));
            assert!(near(alike, 0.5), "lag {lag}: {alike}");
        }
        for seed in [4, 6, 5 ^ (1 << 40)] {
            let alike = part(one.iter().zip(kept(seed, 0.5)).map(|(&a, b)| a == b));
            assert!(near(alike, 0.5), "seed {seed}: {alike}");
        }
    }

    #[test]
    fn a_seed_is_a_mask() {
        assert_eq!(kept(9, 0.5), kept(9, 0.5));
        let double = Dropout { seed: 9, keep: 0.5 }.apply(&vec![1.0f64; LEN]);
        assert_eq!(kept(9, 0.5), double.iter().map(|&v| v != 0.0).collect::<Vec<_>>(), "of every type the same");
    }
}
