//! A bias for each channel: adding it, and its gradient.

use crate::Real;
use rayon::prelude::*;

/// Adds `bias[channel]` to every value of `y`, `[batch, channels, pixels]`.
///
/// ```
/// let mut y = [1.0f32, 2.0, 3.0, 4.0]; // one image of two channels of two pixels
/// njet_kernels::bias::add(&mut y, &[10.0, 20.0], 2);
/// assert_eq!(y, [11.0, 12.0, 23.0, 24.0]);
/// ```
///
/// # Panics
/// If `y` is not whole images of that many channels and pixels.
pub fn add<T: Real>(y: &mut [T], bias: &[T], pixels: usize) {
    let image = bias.len() * pixels;
    assert!(y.is_empty() || (image > 0 && y.len().is_multiple_of(image)), "not whole images");
    y.par_chunks_mut(pixels.max(1)).enumerate().for_each(|(plane, y)| {
        let bias = bias[plane % bias.len()];
        y.iter_mut().for_each(|y| *y += bias);
    });
}

/// The gradient of a bias from that of the output, `[batch, channels, pixels]`: the sum of each channel, in f64.
///
/// ```
/// assert_eq!(njet_kernels::bias::gradient(&[1.0f32, 2.0, 3.0, 4.0], 2, 2), [3.0, 7.0]);
/// ```
///
/// # Panics
/// If `grad_y` is not whole images of that many channels and pixels.
pub fn gradient<T: Real>(grad_y: &[T], channels: usize, pixels: usize) -> Vec<T> {
    let image = channels * pixels;
    assert!(grad_y.is_empty() || (image > 0 && grad_y.len().is_multiple_of(image)), "not whole images");
    let images = grad_y.len().checked_div(image).unwrap_or(0);
    let sum = |channel: usize| {
        let plane = |n: usize| &grad_y[(n * channels + channel) * pixels..][..pixels];
        T::from_f64((0..images).flat_map(plane).map(|g| g.to_f64()).sum())
    };
    (0..channels).into_par_iter().map(sum).collect()
}
