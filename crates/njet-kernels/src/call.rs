//! Arguments and results of the passes, the same for the reference and the engine.

use crate::{Geometry, KernelError, Real};

/// The 1-D filters of the two axes: each `[sets, order + 1, 2R + 1]`, even orders symmetric, odd orders
/// antisymmetric about the centre. Sets: one, or as many as channels or groups have filters of their own
/// ([`Sharing`](crate::Sharing)); a set of a smaller scale has zeros at both ends.
///
/// Where the outputs stand at real distances, each `[sets, order + 1, outputs, 2R + 1]`, without symmetry.
#[derive(Debug, Clone, Copy)]
pub struct Taps<'a, T> {
    /// Along y (columns of the image are filtered).
    pub y: &'a [T],
    /// Along x (rows of the image are filtered).
    pub x: &'a [T],
}

/// A forward pass.
#[derive(Debug, Clone, Copy)]
pub struct Forward<'a, T> {
    /// The filters.
    pub taps: Taps<'a, T>,
    /// Coefficients α, `[channels_out, channels_in / groups, B]`.
    pub alpha: &'a [T],
    /// `[channels_out]`.
    pub bias: Option<&'a [T]>,
    /// Input, `[batch, channels_in, height, width]`.
    pub x: &'a [T],
}

/// Which gradients a backward pass computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Of the input.
    pub x: bool,
    /// Of the coefficients.
    pub alpha: bool,
    /// Of the bias.
    pub bias: bool,
    /// Of σ, along each axis.
    pub sigma: bool,
}

impl Wanted {
    /// Every gradient.
    pub const ALL: Self = Self { x: true, alpha: true, bias: true, sigma: true };
}

/// A backward pass.
#[derive(Debug, Clone, Copy)]
pub struct Backward<'a, T> {
    /// The filters.
    pub taps: Taps<'a, T>,
    /// Their derivatives by σ, shaped and symmetric as they are; needed for the gradient of σ. Where the outputs
    /// stand at real distances there may be several: one array after the other, as for what moves the outputs.
    pub d_taps: Option<Taps<'a, T>>,
    /// Coefficients α, `[channels_out, channels_in / groups, B]`.
    pub alpha: &'a [T],
    /// Input, `[batch, channels_in, height, width]`. It may be left empty where neither the gradient of α nor that of σ is
    /// wanted: the others do not depend on it.
    pub x: &'a [T],
    /// Gradient of the loss by the output, `[batch, channels_out, height_out, width_out]`.
    pub grad_y: &'a [T],
    /// Which gradients to compute.
    pub wanted: Wanted,
}

/// What a backward pass computed; `None` where it was not asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Gradients<T> {
    /// Shaped like the input.
    pub x: Option<Vec<T>>,
    /// Shaped like the coefficients.
    pub alpha: Option<Vec<T>>,
    /// `[channels_out]`.
    pub bias: Option<Vec<T>>,
    /// By σ along y and along x, for each set of filters (and each array of derivatives, one after the other); for
    /// one σ on both axes add the two. A sum with heavy cancellation, therefore in f64 whatever the type of the call.
    pub sigma: Option<Vec<[f64; 2]>>,
}

struct Checker<'a> {
    geometry: &'a Geometry,
    operation: &'static str,
}

impl Checker<'_> {
    fn length(&self, what: &'static str, shape: &'static str, expected: usize, got: usize) -> Result<(), KernelError> {
        if expected == got {
            return Ok(());
        }
        Err(KernelError::Length { operation: self.operation, what, shape, expected, got })
    }

    fn taps<T>(&self, what: [&'static str; 2], taps: Taps<'_, T>) -> Result<(), KernelError> {
        let shape = self.taps_shape();
        let [y, x] = self.geometry.taps_len();
        self.length(what[0], shape, y, taps.y.len())?;
        self.length(what[1], shape, x, taps.x.len())
    }

    fn taps_shape(&self) -> &'static str {
        match (self.geometry.is_centred(), self.geometry.sets()) {
            (true, _) => "[sets, order + 1, outputs, 2R + 1]",
            (false, 1) => "[order + 1, 2R + 1]",
            (false, _) => "[sets, order + 1, 2R + 1]",
        }
    }

    /// One array of derivatives, or several where the outputs stand at real distances.
    fn d_taps<T>(&self, d_taps: Taps<'_, T>) -> Result<(), KernelError> {
        let [y, x] = self.geometry.taps_len();
        let tangents = if self.geometry.is_centred() { (d_taps.y.len() / y).max(1) } else { 1 };
        self.length("d_taps.y", self.taps_shape(), tangents * y, d_taps.y.len())?;
        self.length("d_taps.x", self.taps_shape(), tangents * x, d_taps.x.len())
    }

    fn alpha<T>(&self, alpha: &[T]) -> Result<(), KernelError> {
        self.length("alpha", "[channels_out, channels_in / groups, B]", self.geometry.alpha_len(), alpha.len())
    }

    fn x<T>(&self, x: &[T]) -> Result<(), KernelError> {
        self.length("x", "[batch, channels_in, height, width]", self.geometry.input_len(), x.len())
    }
}

impl<T: Real> Forward<'_, T> {
    pub(crate) fn check(&self, geometry: &Geometry) -> Result<(), KernelError> {
        let check = Checker { geometry, operation: "forward" };
        check.taps(["taps.y", "taps.x"], self.taps)?;
        check.alpha(self.alpha)?;
        check.x(self.x)?;
        if let Some(bias) = self.bias {
            check.length("bias", "[channels_out]", geometry.channels_out(), bias.len())?;
        }
        Ok(())
    }
}

impl<T: Real> Backward<'_, T> {
    pub(crate) fn check(&self, geometry: &Geometry) -> Result<(), KernelError> {
        let check = Checker { geometry, operation: "backward" };
        check.taps(["taps.y", "taps.x"], self.taps)?;
        match self.d_taps {
            Some(d_taps) => check.d_taps(d_taps)?,
            None if self.wanted.sigma => return Err(KernelError::NoTangents { operation: "backward" }),
            None => {}
        }
        check.alpha(self.alpha)?;
        if !self.x.is_empty() || self.wanted.alpha || self.wanted.sigma {
            check.x(self.x)?;
        }
        check.length("grad_y", "[batch, channels_out, height_out, width_out]", geometry.output_len(), self.grad_y.len())
    }
}
