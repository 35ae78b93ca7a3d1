//! How fast this machine multiplies and adds: what a rate of the engine is held against.
//!
//! A figure from a data sheet is of no use for that: clocks change with load and temperature, and on a
//! shared machine with what others do. So the peak is measured, in bursts short enough to stand between
//! two other measurements. A burst is chains of multiply-adds that depend on nothing but themselves, in
//! registers: no memory, no product, no layer can be faster.

use pulp::{Simd, WithSimd};
use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

/// Length of a burst: long beside the start of a thread (some 50 µs), short beside what it is compared with.
const BURST: Duration = Duration::from_millis(10);

/// Steps of every chain between two looks at the clock: about 10 µs.
const STEPS: usize = 4096;

/// Multiply-adds in f32 that `threads` threads of this machine do in a second, all together, in a burst of 10 ms.
/// The threads are started for it; none counts as one. A multiply-add is two floating-point operations.
///
/// Bursts differ, on a shared machine by more than a few per cent: take the median of several, spread over the
/// time of what is compared with them.
///
/// ```
/// let gflops = 2e-9 * njet_kernels::peak::multiply_adds_per_second(1);
/// assert!(gflops > 0.0);
/// ```
///
/// # Panics
/// If the system starts no more threads.
pub fn multiply_adds_per_second(threads: usize) -> f64 {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(burst)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a burst does not panic")).sum()
    })
}

/// The rate of the calling thread.
fn burst() -> f64 {
    let arch = pulp::Arch::new();
    let mut done = 0;
    let start = Instant::now();
    loop {
        done += arch.dispatch(Chains);
        let elapsed = start.elapsed();
        if elapsed >= BURST {
            return done as f64 / elapsed.as_secs_f64();
        }
    }
}

/// [`STEPS`] steps of every chain, by the widest instructions of this machine. Gives the number of multiply-adds.
struct Chains;

impl WithSimd for Chains {
    type Output = usize;

    /// A chain waits for its own last step, about four cycles; two to four units want a step in each. 12 chains
    /// and two operands fit 16 registers; with 32 there is room for 24.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        if S::IS_SCALAR {
            portable::<12>()
        } else if S::REGISTER_COUNT < 32 {
            vectors::<S, 12>(simd)
        } else {
            vectors::<S, 24>(simd)
        }
    }
}

/// Each step is `v ← v/2 + 1`, which stays at 2: no value grows, and none becomes so small that it is slow. Nothing
/// is known to the compiler when the chains begin, else it would see that they are all the same.
#[inline(always)]
fn vectors<S: Simd, const CHAINS: usize>(simd: S) -> usize {
    let (factor, addend) = (simd.splat_f32s(black_box(0.5)), simd.splat_f32s(black_box(1.0)));
    let mut chains = black_box([simd.splat_f32s(2.0); CHAINS]);
    for _ in 0..STEPS {
        for v in &mut chains {
            *v = simd.mul_add_e_f32s(*v, factor, addend);
        }
    }
    black_box(chains);
    STEPS * CHAINS * S::F32_LANES
}

/// The same where no instruction set beyond the target's own is found: four lanes, which the compiler vectorises
/// if it can, and a product and a sum, because a fused one would be a library call.
#[inline(always)]
fn portable<const CHAINS: usize>() -> usize {
    let (factor, addend) = (black_box(0.5f32), black_box(1.0f32));
    let mut chains = black_box([[2.0f32; 4]; CHAINS]);
    for _ in 0..STEPS {
        for v in chains.as_flattened_mut() {
            *v = *v * factor + addend;
        }
    }
    black_box(chains);
    STEPS * CHAINS * 4
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Between a tenth of what a core of 2010 does and ten times what a wide one does today.
    #[test]
    fn plausible() {
        for threads in [0, 1, 2] {
            let rate = multiply_adds_per_second(threads);
            assert!((1e8..1e12).contains(&rate), "{rate:e} multiply-adds a second on {threads} threads");
        }
    }

    /// Without the features of `pulp` that name them, the wide instructions would silently not be taken.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn wide_instructions_are_taken() {
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            assert!(pulp::Arch::new().dispatch(Chains) >= STEPS * 12 * 8);
        }
    }
}
