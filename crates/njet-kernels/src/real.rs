//! The two floating-point types that the kernels compute in.

use crate::nonlinearity::sigmoid_f32;
use std::ops::{Add, AddAssign, Mul, Neg, Sub};

pub(crate) mod sealed {
    use crate::engine::{self, Options, Workspace};
    use crate::isa::Isa;
    use crate::simd::{VectorBody, dispatch_f32, dispatch_f64};
    use crate::{Backward, Forward, Geometry, Gradients, KernelError};
    use std::cell::RefCell;

    /// What the engine needs of a type: vectors, and memory that each thread keeps between calls.
    #[allow(private_interfaces, private_bounds, missing_docs)]
    pub trait Sealed: Sized {
        fn dispatch<B: VectorBody<Self>>(isa: Isa, body: B) -> B::Output;
        fn with_workspace<R>(run: impl FnOnce(&mut Workspace<Self>) -> R) -> R;

        // Not generic in their implementations, so that the engine is compiled once, in this crate, and
        // not again in each that calls it.
        fn forward(geometry: &Geometry, call: &Forward<'_, Self>, options: Options) -> Result<Vec<Self>, KernelError>;
        fn backward(
            geometry: &Geometry,
            call: &Backward<'_, Self>,
            options: Options,
        ) -> Result<Gradients<Self>, KernelError>;
    }

    macro_rules! sealed {
        ($type:ty, $dispatch:ident) => {
            #[allow(private_interfaces, private_bounds)]
            impl Sealed for $type {
                #[inline(always)]
                fn dispatch<B: VectorBody<Self>>(isa: Isa, body: B) -> B::Output {
                    $dispatch(isa, body)
                }

                fn with_workspace<R>(run: impl FnOnce(&mut Workspace<Self>) -> R) -> R {
                    thread_local!(static WORKSPACE: RefCell<Workspace<$type>> = RefCell::default());
                    WORKSPACE.with_borrow_mut(run)
                }

                fn forward(
                    geometry: &Geometry,
                    call: &Forward<'_, Self>,
                    options: Options,
                ) -> Result<Vec<Self>, KernelError> {
                    engine::run_forward(geometry, call, options)
                }

                fn backward(
                    geometry: &Geometry,
                    call: &Backward<'_, Self>,
                    options: Options,
                ) -> Result<Gradients<Self>, KernelError> {
                    engine::run_backward(geometry, call, options)
                }
            }
        };
    }
    sealed!(f32, dispatch_f32);
    sealed!(f64, dispatch_f64);
}

/// `f32` or `f64`.
pub trait Real:
    sealed::Sealed
    + Copy
    + Send
    + Sync
    + Default
    + PartialEq
    + PartialOrd
    + std::fmt::Debug
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + 'static
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Rounds to nearest.
    fn from_f64(value: f64) -> Self;
    /// Exact.
    fn to_f64(self) -> f64;
    /// `self · factor + addend` in one rounding where `FUSED`, else in two. A fused operation
    /// is one instruction only on machines that have it; elsewhere it is a slow library call.
    fn multiply_add<const FUSED: bool>(self, factor: Self, addend: Self) -> Self;
    /// 1 / (1 + e⁻ˣ) of itself.
    fn sigmoid<const FUSED: bool>(self) -> Self;
}

macro_rules! real {
    ($type:ty, $sigmoid:expr) => {
        impl Real for $type {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as $type
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn multiply_add<const FUSED: bool>(self, factor: Self, addend: Self) -> Self {
                if FUSED { self.mul_add(factor, addend) } else { self * factor + addend }
            }
            #[inline(always)]
            fn sigmoid<const FUSED: bool>(self) -> Self {
                $sigmoid(self)
            }
        }
    };
}
real!(f32, sigmoid_f32::<FUSED>);
real!(f64, |z: f64| 1.0 / (1.0 + (-z).exp()));
