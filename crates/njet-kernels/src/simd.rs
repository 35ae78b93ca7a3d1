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

/// Code for any instruction set. `run` and all that it calls must be `#[inline(always)]`: only then
/// does it become part of the function that carries the target features.
pub(crate) trait VectorBody<T> {
    type Output;
    /// `R` registers make a strip.
    fn run<V: Vectors<T>, const R: usize>(self, v: V) -> Self::Output;
}

/// Registers as four-element arrays, which the compiler turns into the 128-bit vectors that every
/// common target has.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

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
        impl Vectors<$type> for Portable {
            type V = [$type; 4];
            const LANES: usize = 4;
            const REGISTERS: usize = 16;
            const NAME: &'static str = "portable";
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
                match STRIP / S::$lanes {
                    1 => self.0.run::<Wide<S>, 1>(Wide(simd)),
                    2 => self.0.run::<Wide<S>, 2>(Wide(simd)),
                    4 => self.0.run::<Wide<S>, 4>(Wide(simd)),
                    8 => self.0.run::<Wide<S>, 8>(Wide(simd)),
                    _ => self.0.run::<Portable, 4>(Portable),
                }
            }
        }

        /// Runs `body` on an instruction set.
        #[inline]
        pub(crate) fn $dispatch<B: VectorBody<$type>>(isa: Isa, body: B) -> B::Output {
            match isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => match pulp::x86::V3::try_new() {
                    Some(simd) => pulp::Simd::vectorize(simd, Shell(body, PhantomData)),
                    None => body.run::<Portable, 4>(Portable),
                },
                #[cfg(not(target_arch = "x86_64"))]
                Isa::Avx2 => body.run::<Portable, 4>(Portable),
                Isa::Portable => body.run::<Portable, 4>(Portable),
                Isa::Best => pulp::Arch::new().dispatch(Shell(body, PhantomData)),
            }
        }
    };
}
vectors!(f32, f32s, F32_LANES, splat_f32s, add_f32s, sub_f32s, mul_add_e_f32s, dispatch_f32);
vectors!(f64, f64s, F64_LANES, splat_f64s, add_f64s, sub_f64s, mul_add_e_f64s, dispatch_f64);
