//! Batch normalisation followed by a nonlinearity, in as few passes over memory as it has dependencies.
//!
//! As separate tensor operations the two make some thirty passes over the activations in a training
//! step. Here a channel is taken at a time: what its statistics read is still in cache when it is
//! normalised.
//!
//! With `x̂ = (x − μ)/√(v + ε)` over the images and pixels of a channel, `z = γ·x̂ + β`, `y = f(z)` and
//! `g = ∂y · f′(z)` (Ioffe and Szegedy 2015): `∂β = Σ g`, `∂γ = Σ g·x̂`, `∂x = γ/√(v + ε) · (g − ∂β/n − x̂·∂γ/n)`.

use crate::KernelError;
use crate::disjoint::Filling;
use crate::engine::Isa;
use crate::isa::Body;
use crate::nonlinearity::{Nonlinearity, Pointwise, Relu, Swish};
use crate::real::Real;
use crate::sum::sum;
use rayon::prelude::*;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// `[batch, channels, pixels]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activations {
    /// Images.
    pub batch: usize,
    /// Channels.
    pub channels: usize,
    /// Pixels of an image.
    pub pixels: usize,
}

impl Activations {
    /// Elements.
    pub fn elements(&self) -> usize {
        self.batch * self.channels * self.pixels
    }

    fn planes(&self, channel: usize) -> impl Iterator<Item = std::ops::Range<usize>> + Clone + use<> {
        let Self { batch, channels, pixels } = *self;
        (0..batch).map(move |n| (n * channels + channel) * pixels..(n * channels + channel + 1) * pixels)
    }

    fn check(
        &self,
        operation: &'static str,
        activations: &[(&'static str, usize)],
        vectors: &[(&'static str, usize)],
    ) -> Result<(), KernelError> {
        let all = activations.iter().map(|a| (a, "[batch, channels, pixels]", self.elements()));
        let all = all.chain(vectors.iter().map(|v| (v, "[channels]", self.channels)));
        for (&(what, got), shape, expected) in all {
            if got != expected {
                return Err(KernelError::Length { operation, what, shape, expected, got });
            }
        }
        Ok(())
    }
}

/// What normalises a channel.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a, T> {
    /// Gains γ, `[channels]`.
    pub gamma: &'a [T],
    /// Offsets β, `[channels]`.
    pub beta: &'a [T],
    /// Means μ, `[channels]`.
    pub mean: &'a [T],
    /// Variances v, `[channels]`.
    pub variance: &'a [T],
    /// ε.
    pub epsilon: f64,
}

impl<T: Real> Norm<'_, T> {
    fn lengths(&self) -> [(&'static str, usize); 4] {
        [
            ("gamma", self.gamma.len()),
            ("beta", self.beta.len()),
            ("mean", self.mean.len()),
            ("variance", self.variance.len()),
        ]
    }

    /// γ·x̂ + β as `scale · x + offset`. One expression for both passes: they must agree on the sign that a ReLU sees.
    fn affine(&self, channel: usize) -> Affine<T> {
        let inverse = 1.0 / (self.variance[channel].to_f64() + self.epsilon).sqrt();
        let scale = self.gamma[channel].to_f64() * inverse;
        let mean = self.mean[channel].to_f64();
        Affine {
            scale: T::from_f64(scale),
            offset: T::from_f64(self.beta[channel].to_f64() - mean * scale),
            inverse: T::from_f64(inverse),
            mean: T::from_f64(mean),
        }
    }
}

#[derive(Clone, Copy)]
struct Affine<T> {
    scale: T,
    offset: T,
    inverse: T,
    mean: T,
}

impl<T: Real> Affine<T> {
    #[inline(always)]
    fn apply<const FUSED: bool>(self, x: T) -> T {
        x.multiply_add::<FUSED>(self.scale, self.offset)
    }
}

/// Mean and (biased) variance of each channel over images and pixels.
///
/// # Errors
/// A slice whose length is not that of its shape.
pub fn moments<T: Real>(shape: &Activations, x: &[T]) -> Result<(Vec<T>, Vec<T>), KernelError> {
    shape.check("moments", &[("x", x.len())], &[])?;
    let count = (shape.batch * shape.pixels).max(1) as f64;
    let by_channel = |channel| {
        let planes = shape.planes(channel).map(|range| &x[range]);
        let values = planes.clone().map(|plane| Isa::Best.run(Sum { values: plane }));
        let mean = values.sum::<f64>() / count;
        // Second pass, in cache: the mean of squares minus the square of the mean would cancel.
        let centre = T::from_f64(mean);
        let squares = planes.map(|plane| Isa::Best.run(SumOfSquares { values: plane, centre }));
        let squares = squares.sum::<f64>() / count;
        let rest = mean - centre.to_f64();
        (centre, T::from_f64(squares - rest * rest))
    };
    Ok((0..shape.channels).into_par_iter().map(by_channel).unzip())
}

struct Sum<'a, T> {
    values: &'a [T],
}

impl<T: Real> Body for Sum<'_, T> {
    type Output = f64;
    #[inline(always)]
    fn run<const FUSED: bool>(self) -> f64 {
        sum(self.values, self.values, |v, _| v)
    }
}

struct SumOfSquares<'a, T> {
    values: &'a [T],
    centre: T,
}

impl<T: Real> Body for SumOfSquares<'_, T> {
    type Output = f64;
    #[inline(always)]
    fn run<const FUSED: bool>(self) -> f64 {
        let centre = self.centre;
        sum(self.values, self.values, |v, _| (v - centre) * (v - centre))
    }
}

/// `y = f(γ·x̂ + β)`.
///
/// # Errors
/// A slice whose length is not that of its shape.
pub fn forward<T: Real>(
    shape: &Activations,
    norm: &Norm<'_, T>,
    f: Nonlinearity,
    x: &[T],
) -> Result<Vec<T>, KernelError> {
    match f {
        Nonlinearity::Relu => forward_by::<T, Relu>(shape, norm, x),
        Nonlinearity::Swish => forward_by::<T, Swish>(shape, norm, x),
    }
}

fn forward_by<T: Real, F: Pointwise>(shape: &Activations, norm: &Norm<'_, T>, x: &[T]) -> Result<Vec<T>, KernelError> {
    shape.check("batch_norm forward", &[("x", x.len())], &norm.lengths())?;
    let mut filling = Filling::new(x.len());
    let y = filling.parts(x.len());
    (0..shape.channels).into_par_iter().for_each(|channel| {
        let affine = norm.affine(channel);
        for range in shape.planes(channel) {
            // SAFETY: a plane belongs to one channel, a channel to one task.
            let y = unsafe { y.part(range.clone()) };
            Isa::Best.run(Apply { affine, x: &x[range], y, f: PhantomData::<F> });
        }
    });
    // SAFETY: the planes of all channels are all of y, and each has been written.
    Ok(unsafe { filling.finish(x.len()) })
}

struct Apply<'a, T, F> {
    affine: Affine<T>,
    x: &'a [T],
    y: &'a mut [MaybeUninit<T>],
    f: PhantomData<F>,
}

impl<T: Real, F: Pointwise> Body for Apply<'_, T, F> {
    type Output = ();
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        for (y, &x) in self.y.iter_mut().zip(self.x) {
            y.write(F::value::<T, FUSED>(self.affine.apply::<FUSED>(x)));
        }
    }
}

/// Gradients of x, γ and β.
#[derive(Debug, Clone, PartialEq)]
pub struct NormGradients<T> {
    /// `[batch, channels, pixels]`.
    pub x: Vec<T>,
    /// `[channels]`.
    pub gamma: Vec<T>,
    /// `[channels]`.
    pub beta: Vec<T>,
}

/// The gradients of [`forward`] with μ and v those of x itself ([`moments`]), their dependence on x
/// included.
///
/// # Errors
/// A slice whose length is not that of its shape.
pub fn backward<T: Real>(
    shape: &Activations,
    norm: &Norm<'_, T>,
    f: Nonlinearity,
    x: &[T],
    grad_y: &[T],
) -> Result<NormGradients<T>, KernelError> {
    match f {
        Nonlinearity::Relu => backward_by::<T, Relu>(shape, norm, x, grad_y),
        Nonlinearity::Swish => backward_by::<T, Swish>(shape, norm, x, grad_y),
    }
}

fn backward_by<T: Real, F: Pointwise>(
    shape: &Activations,
    norm: &Norm<'_, T>,
    x: &[T],
    grad_y: &[T],
) -> Result<NormGradients<T>, KernelError> {
    shape.check("batch_norm backward", &[("x", x.len()), ("grad_y", grad_y.len())], &norm.lengths())?;
    let count = (shape.batch * shape.pixels).max(1) as f64;
    let mut filling = Filling::new(x.len());
    let shared = filling.parts(x.len());
    let by_channel = |channel| {
        let affine = norm.affine(channel);
        let (mut by_gamma, mut by_beta) = (0.0, 0.0);
        for range in shape.planes(channel) {
            // SAFETY: a plane belongs to one channel, a channel to one task.
            let inner = unsafe { shared.part(range.clone()) };
            let reduce = Reduce { affine, x: &x[range.clone()], grad_y: &grad_y[range], inner, f: PhantomData::<F> };
            let [g, gx] = Isa::Best.run(reduce);
            by_beta += g;
            by_gamma += gx;
        }
        let means = [by_beta / count, by_gamma / count].map(T::from_f64);
        for range in shape.planes(channel) {
            // SAFETY: as above, and `Reduce` has written it.
            let grad_x = unsafe { shared.part(range.clone()).assume_init_mut() };
            Isa::Best.run(Scatter { affine, means, x: &x[range], grad_x });
        }
        (T::from_f64(by_gamma), T::from_f64(by_beta))
    };
    let (gamma, beta) = (0..shape.channels).into_par_iter().map(by_channel).unzip();
    // SAFETY: as in `forward_by`.
    let x = unsafe { filling.finish(x.len()) };
    Ok(NormGradients { x, gamma, beta })
}

/// g, which is kept: of some nonlinearities it takes longer to find than to read. And `[Σ g, Σ g·x̂]`.
struct Reduce<'a, T, F> {
    affine: Affine<T>,
    x: &'a [T],
    grad_y: &'a [T],
    inner: &'a mut [MaybeUninit<T>],
    f: PhantomData<F>,
}

impl<T: Real, F: Pointwise> Body for Reduce<'_, T, F> {
    type Output = [f64; 2];
    #[inline(always)]
    fn run<const FUSED: bool>(self) -> [f64; 2] {
        let Self { affine, x, grad_y, inner, .. } = self;
        for ((inner, &x), &g) in inner.iter_mut().zip(x).zip(grad_y) {
            inner.write(g * F::slope::<T, FUSED>(affine.apply::<FUSED>(x)));
        }
        // SAFETY: all have been written: the three are of one length.
        let inner: &[T] = unsafe { inner.assume_init_ref() };
        [sum(inner, inner, |g, _| g), sum(x, inner, |x, g| g * ((x - affine.mean) * affine.inverse))]
    }
}

/// The gradient of x in the place of g.
struct Scatter<'a, T> {
    affine: Affine<T>,
    /// Of g and of g·x̂.
    means: [T; 2],
    x: &'a [T],
    grad_x: &'a mut [T],
}

impl<T: Real> Body for Scatter<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Self { affine, means: [mean, mean_normalised], x, grad_x } = self;
        for (g, &x) in grad_x.iter_mut().zip(x) {
            let normalised = (x - affine.mean) * affine.inverse;
            *g = affine.scale * (*g - mean - normalised * mean_normalised);
        }
    }
}
