//! In what precision products are taken.

use super::present;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::fmt;
use std::str::FromStr;

/// In what precision N-jet layers multiply responses by coefficients, on the CPU backend. Images, coefficients, filters and
/// sums are f32 with either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// f32.
    #[default]
    F32,
    /// Both factors of each product are rounded to bf16 (8 bits of significand) on processors with a unit for that: Intel's
    /// since 2023 (AMX). On all others as [`F32`](Self::F32).
    Bf16,
}

thread_local!(static PRESENT: Cell<Precision> = const { Cell::new(Precision::F32) });

impl Precision {
    /// Whether this machine has a unit for such products.
    pub fn is_fast(self) -> bool {
        match self {
            Self::F32 => true,
            #[cfg(feature = "flex")]
            Self::Bf16 => njet_kernels::engine::Isa::Amx.is_available(),
            #[cfg(not(feature = "flex"))]
            Self::Bf16 => false,
        }
    }

    /// Runs `what` with products of this precision: of the layers that are called on this thread meanwhile, and of their
    /// backward passes, whenever these are run. As is usual for mixed precision, only training should be: what is rounded there is
    /// averaged over many steps.
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use njet::{NJetConv2dConfig, Precision};
    /// let device = Device::flex().autodiff();
    /// let layer = NJetConv2dConfig::new([32, 48]).init(&device);
    /// let x = Tensor::<4>::ones([1, 32, 16, 16], &device);
    /// let loss = Precision::Bf16.during(|| layer.forward(x).sum());
    /// let gradients = loss.backward();
    /// assert!(layer.alpha.val().grad(&gradients).is_some());
    /// ```
    pub fn during<R>(self, what: impl FnOnce() -> R) -> R {
        present::with(&PRESENT, self, what)
    }

    /// That of the calls which are made now.
    pub(super) fn present() -> Self {
        PRESENT.get()
    }

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all = [Self::F32, Self::Bf16];
        all.into_iter()
            .find(|p| p.name() == name)
            .ok_or_else(|| format!("unknown precision `{name}`: known are f32 and bf16"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_before_is_back_after() {
        assert_eq!(Precision::present(), Precision::F32);
        Precision::Bf16.during(|| {
            assert_eq!(Precision::present(), Precision::Bf16);
            Precision::F32.during(|| assert_eq!(Precision::present(), Precision::F32));
            assert_eq!(Precision::present(), Precision::Bf16);
        });
        let panics = std::panic::catch_unwind(|| Precision::Bf16.during(|| panic!("on purpose")));
        assert!(panics.is_err());
        assert_eq!(Precision::present(), Precision::F32);
    }

    #[test]
    fn names_are_read_back() {
        for precision in [Precision::F32, Precision::Bf16] {
            assert_eq!(precision.to_string().parse(), Ok(precision));
        }
        assert!("bf8".parse::<Precision>().unwrap_err().contains("f32 and bf16"));
    }
}
