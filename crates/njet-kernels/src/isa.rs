//! Which instruction set a pass runs with: chosen at run time, once a call.

use crate::Real;
use crate::simd::{VectorBody, Vectors};

/// The instruction set of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isa {
    /// The widest that this machine has.
    #[default]
    Best,
    /// [`Best`](Self::Best), but products of f32 on the tile unit of recent Intel processors (AMX): factors are rounded to
    /// bf16, products and sums are f32. Everything else, f64 and machines without that unit: as `Best`.
    Amx,
    /// AVX2 with fused multiply-add, also where there is AVX-512. Where there is neither, portable.
    Avx2,
    /// What every machine of the target has: SSE2, without fused multiply-add, on x86-64.
    Portable,
}

impl Isa {
    /// Whether this machine has it; all others run as [`Best`](Self::Best) or [`Portable`](Self::Portable) then.
    pub fn is_available(self) -> bool {
        match self {
            Self::Best | Self::Portable => true,
            Self::Amx => crate::engine::has_tile_unit(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => pulp::x86::V3::try_new().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 => false,
        }
    }

    /// Every choice, for tests and comparisons.
    pub const ALL: [Self; 3] = [Self::Best, Self::Avx2, Self::Portable];

    /// The instruction set that this choice really runs on here: `AVX-512`, `AVX2`, `SSE2`, `NEON` …
    pub fn name<T: Real>(self) -> &'static str {
        struct Name;
        impl<T> VectorBody<T> for Name {
            type Output = &'static str;
            #[inline(always)]
            fn run<V: Vectors<T>, const R: usize>(self, _: V) -> &'static str {
                V::NAME
            }
        }
        T::dispatch(self, Name)
    }

    /// Runs plain loops, which the compiler vectorises, on this instruction set.
    #[inline]
    pub(crate) fn run<B: Body>(self, body: B) -> B::Output {
        match self {
            Self::Portable => body.run::<false>(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => match pulp::x86::V3::try_new() {
                Some(simd) => pulp::Simd::vectorize(simd, Shell(body)),
                None => body.run::<false>(),
            },
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 => body.run::<false>(),
            Self::Best | Self::Amx => pulp::Arch::new().dispatch(Shell(body)),
        }
    }
}

/// Plain loops, compiled once for each instruction set. `run` and everything it calls must be
/// `#[inline(always)]`: only then does it become part of the shell that carries the target features.
pub(crate) trait Body {
    type Output;
    /// `FUSED`: multiply-add is one instruction.
    fn run<const FUSED: bool>(self) -> Self::Output;
}

struct Shell<B>(B);

impl<B: Body> pulp::WithSimd for Shell<B> {
    type Output = B::Output;
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> B::Output {
        // WebAssembly's vectors have no fused multiply-add in their base form.
        if S::IS_SCALAR || cfg!(target_family = "wasm") { self.0.run::<false>() } else { self.0.run::<true>() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_that_the_machine_has_is_taken() {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl");
            let narrow = if avx2 { "AVX2" } else { "SSE2" };
            assert_eq!(Isa::Avx2.name::<f32>(), narrow);
            assert_eq!(Isa::Avx2.name::<f64>(), narrow);
            assert_eq!(Isa::Best.name::<f32>(), if avx512 { "AVX-512" } else { narrow });
            assert_eq!(Isa::Portable.name::<f32>(), "SSE2");
        }
    }
}
