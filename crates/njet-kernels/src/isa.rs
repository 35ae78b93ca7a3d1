//! Which instruction set a pass runs with: chosen at run time, once a call.

/// The instruction set of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isa {
    /// The widest that this machine has.
    #[default]
    Best,
    /// What every machine of the target has: no fused multiply-add on x86-64.
    Portable,
}

/// A body of plain loops that the compiler vectorises, compiled once for each instruction set.
/// `run` and everything it calls must be `#[inline(always)]`: only then does it become part of the
/// shell that carries the target features.
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

impl Isa {
    #[inline]
    pub(crate) fn run<B: Body>(self, body: B) -> B::Output {
        match self {
            Self::Best => pulp::Arch::new().dispatch(Shell(body)),
            Self::Portable => body.run::<false>(),
        }
    }
}
