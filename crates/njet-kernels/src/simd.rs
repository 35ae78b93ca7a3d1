//! Vectors of the engine: one body of code, compiled for each instruction set, chosen at run time.
//!
//! Everything works on strips of [`STRIP`] neighbouring elements, whatever the width of a register:
//! data is laid out the same for every instruction set, and only the number of registers in a strip
//! differs.

use crate::isa::Isa;
use std::marker::PhantomData;

/// Elements processed together: one AVX-512 register, two AVX2 registers or one cache line of f32.
pub(crate) const STRIP: usize = 16;

/// Vectors of `T` on one instruction set. A value of the type is the proof that the machine has it.
pub(crate) trait Vectors<T>: Copy {
    /// A register.
    type V: Copy;
    /// Elements of a register.
    const LANES: usize;
    /// Registers that a loop may keep values in.
    const REGISTERS: usize;
    /// Name for people and tests.
    const NAME: &'static str;

    fn splat(self, value: T) -> Self::V;
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a · b + c`, in one rounding where the machine has such an instruction.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;

    /// Any alignment.
    ///
    /// # Safety
    /// `LANES` elements from `from` on can be read.
    #[inline(always)]
    unsafe fn load(self, from: *const T) -> Self::V {
        const { assert!(size_of::<Self::V>() == Self::LANES * size_of::<T>()) }
        // SAFETY: the caller's promise; a register is an array of `LANES` elements, checked above.
        unsafe { from.cast::<Self::V>().read_unaligned() }
    }

    /// Any alignment.
    ///
    /// # Safety
    /// `LANES` elements from `to` on can be written.
    #[inline(always)]
    unsafe fn store(self, to: *mut T, value: Self::V) {
        const { assert!(size_of::<Self::V>() == Self::LANES * size_of::<T>()) }
        // SAFETY: as in `load`.
        unsafe { to.cast::<Self::V>().write_unaligned(value) }
    }
}

/// Asks for the cache line at `at`, before it is needed. It may be any address: nothing is read, and none is refused.
#[inline(always)]
pub(crate) fn prefetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: of a machine it needs SSE, which all x86-64 have; a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// Code for any instruction set. `run` and all that it calls must be `#[inline(always)]`: only then
/// does it become part of the function that carries the target features.
pub(crate) trait VectorBody<T> {
    type Output;
    /// `R` registers make a strip.
    fn run<V: Vectors<T>, const R: usize>(self, v: V) -> Self::Output;
}

/// What every machine of the target has: SSE2 on x86-64.
#[cfg(target_arch = "x86_64")]
pub(crate) type Portable = Sse2;
#[cfg(not(target_arch = "x86_64"))]
pub(crate) type Portable = Arrays;

#[cfg(target_arch = "x86_64")]
const PORTABLE: Portable = Sse2;
#[cfg(not(target_arch = "x86_64"))]
const PORTABLE: Portable = Arrays;

/// Registers as four-element arrays, which the compiler turns into what vectors the target has.
#[derive(Clone, Copy)]
#[cfg_attr(all(target_arch = "x86_64", not(test)), allow(dead_code))]
pub(crate) struct Arrays;

/// The vectors of every x86-64.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Sse2;

#[cfg(target_arch = "x86_64")]
macro_rules! sse2 {
    ($type:ty, $register:ident, $lanes:literal, $set:ident, $add:ident, $sub:ident, $mul:ident) => {
        // SAFETY, of every operation here: all x86-64 machines have SSE2.
        impl Vectors<$type> for Sse2 {
            type V = std::arch::x86_64::$register;
            const LANES: usize = $lanes;
            const REGISTERS: usize = 16;
            const NAME: &'static str = "SSE2";
            #[inline(always)]
            fn splat(self, value: $type) -> Self::V {
                // SAFETY: see above.
                unsafe { std::arch::x86_64::$set(value) }
            }
            #[inline(always)]
            fn add(self, a: Self::V, b: Self::V) -> Self::V {
                // SAFETY: see above.
                unsafe { std::arch::x86_64::$add(a, b) }
            }
            #[inline(always)]
            fn sub(self, a: Self::V, b: Self::V) -> Self::V {
                // SAFETY: see above.
                unsafe { std::arch::x86_64::$sub(a, b) }
            }
            #[inline(always)]
            fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
                // SAFETY: see above.
                unsafe { std::arch::x86_64::$add(std::arch::x86_64::$mul(a, b), c) }
            }
        }
    };
}
#[cfg(target_arch = "x86_64")]
sse2!(f32, __m128, 4, _mm_set1_ps, _mm_add_ps, _mm_sub_ps, _mm_mul_ps);
#[cfg(target_arch = "x86_64")]
sse2!(f64, __m128d, 2, _mm_set1_pd, _mm_add_pd, _mm_sub_pd, _mm_mul_pd);

macro_rules! lanewise {
    ($type:ty, |$a:ident, $b:ident| $value:expr) => {{
        let mut out = $a;
        for l in 0..4 {
            let ($a, $b): ($type, $type) = ($a[l], $b[l]);
            out[l] = $value;
        }
        out
    }};
}

/// Registers of the instruction set that `pulp` found.
#[derive(Clone, Copy)]
pub(crate) struct Wide<S>(S);

struct Shell<T, B>(B, PhantomData<T>);

macro_rules! vectors {
    ($type:ident, $register:ident, $lanes:ident, $splat:ident, $add:ident, $sub:ident, $mul_add:ident, $dispatch:ident) => {
        impl Vectors<$type> for Arrays {
            type V = [$type; 4];
            const LANES: usize = 4;
            const REGISTERS: usize = 16;
            const NAME: &'static str = "arrays";
            #[inline(always)]
            fn splat(self, value: $type) -> Self::V {
                [value; 4]
            }
            #[inline(always)]
            fn add(self, a: Self::V, b: Self::V) -> Self::V {
                lanewise!($type, |a, b| a + b)
            }
            #[inline(always)]
            fn sub(self, a: Self::V, b: Self::V) -> Self::V {
                lanewise!($type, |a, b| a - b)
            }
            #[inline(always)]
            fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
                // Fused only by an instruction; the library call in its place is very slow.
                let product = lanewise!($type, |a, b| a * b);
                lanewise!($type, |product, c| product + c)
            }
        }

        impl<S: pulp::Simd> Vectors<$type> for Wide<S> {
            type V = S::$register;
            const LANES: usize = S::$lanes;
            const REGISTERS: usize = S::REGISTER_COUNT;
            const NAME: &'static str = if cfg!(target_arch = "x86_64") {
                if size_of::<S::$register>() == 64 { "AVX-512" } else { "AVX2" }
            } else if cfg!(target_arch = "aarch64") {
                "NEON"
            } else {
                "vectors of pulp"
            };
            #[inline(always)]
            fn splat(self, value: $type) -> Self::V {
                self.0.$splat(value)
            }
            #[inline(always)]
            fn add(self, a: Self::V, b: Self::V) -> Self::V {
                self.0.$add(a, b)
            }
            #[inline(always)]
            fn sub(self, a: Self::V, b: Self::V) -> Self::V {
                self.0.$sub(a, b)
            }
            #[inline(always)]
            fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
                self.0.$mul_add(a, b, c)
            }
        }

        impl<B: VectorBody<$type>> pulp::WithSimd for Shell<$type, B> {
            type Output = B::Output;
            #[inline(always)]
            fn with_simd<S: pulp::Simd>(self, simd: S) -> B::Output {
                // A constant block, so that the other arms are never compiled.
                match const { STRIP / S::$lanes } {
                    1 => self.0.run::<Wide<S>, 1>(Wide(simd)),
                    2 => self.0.run::<Wide<S>, 2>(Wide(simd)),
                    4 => self.0.run::<Wide<S>, 4>(Wide(simd)),
                    8 => self.0.run::<Wide<S>, 8>(Wide(simd)),
                    _ => self.0.run::<Portable, { STRIP / <Portable as Vectors<$type>>::LANES }>(PORTABLE),
                }
            }
        }

        /// Runs `body` on an instruction set. Not inlined: one copy of each body.
        #[inline(never)]
        pub(crate) fn $dispatch<B: VectorBody<$type>>(isa: Isa, body: B) -> B::Output {
            match isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => match pulp::x86::V3::try_new() {
                    Some(simd) => pulp::Simd::vectorize(simd, Shell(body, PhantomData)),
                    None => body.run::<Portable, { STRIP / <Portable as Vectors<$type>>::LANES }>(PORTABLE),
                },
                #[cfg(not(target_arch = "x86_64"))]
                Isa::Avx2 => body.run::<Portable, { STRIP / <Portable as Vectors<$type>>::LANES }>(PORTABLE),
                Isa::Portable => body.run::<Portable, { STRIP / <Portable as Vectors<$type>>::LANES }>(PORTABLE),
                Isa::Best | Isa::Amx => pulp::Arch::new().dispatch(Shell(body, PhantomData)),
            }
        }
    };
}
vectors!(f32, f32s, F32_LANES, splat_f32s, add_f32s, sub_f32s, mul_add_e_f32s, dispatch_f32);
vectors!(f64, f64s, F64_LANES, splat_f64s, add_f64s, sub_f64s, mul_add_e_f64s, dispatch_f64);

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of targets that the tests do not run on compute what every other does.
    #[test]
    fn arrays_agree_with_the_portable_vectors() {
        fn results<V: Vectors<f32>>(v: V) -> Vec<f32> {
            let (a, b) = ([1.5f32, -2.0, 0.25, 8.0], [3.0f32, 0.5, -4.0, 1.0]);
            // SAFETY: four elements each, and both kinds of vectors have four lanes.
            unsafe {
                let (a, b, c) = (v.load(a.as_ptr()), v.load(b.as_ptr()), v.splat(10.0));
                [v.add(a, b), v.sub(a, b), v.mul_add(a, b, c)]
                    .into_iter()
                    .flat_map(|value| {
                        let mut out = [0.0; 4];
                        v.store(out.as_mut_ptr(), value);
                        out
                    })
                    .collect()
            }
        }
        let expected = [4.5, -1.5, -3.75, 9.0, -1.5, -2.5, 4.25, 7.0, 14.5, 9.0, 9.0, 18.0];
        assert_eq!(results(Arrays), expected);
        assert_eq!(results(PORTABLE), expected);
    }
}
