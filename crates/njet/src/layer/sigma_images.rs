//! Of how many images of a batch the gradient of σ is asked.

use super::present;
use std::cell::Cell;

thread_local!(static PRESENT: Cell<Option<usize>> = const { Cell::new(None) });

/// Runs `what` such that the layers which are called on this thread meanwhile estimate the gradients of their σ from the first
/// so many images of what they are given, on the CPU backend; `None`: from all.
pub(crate) fn with_sigma_images<R>(images: Option<usize>, what: impl FnOnce() -> R) -> R {
    present::with(&PRESENT, images, what)
}

/// That of the calls which are made now.
pub(super) fn sigma_images() -> Option<usize> {
    PRESENT.get()
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::layer::NJetConv2dConfig;
    use burn::tensor::{Device, Distribution, Tensor};

    #[test]
    fn the_gradient_of_sigma_is_that_of_the_first_images_times_what_they_stand_for() {
        let device = Device::flex().autodiff();
        let layer = NJetConv2dConfig::new([3, 4]).init(&device);
        let x = Tensor::<4>::random([6, 3, 9, 8], Distribution::Default, &device);
        let gradient = |images: Option<usize>, x: &Tensor<4>| {
            let y = with_sigma_images(images, || layer.forward(x.clone()));
            // Each image has a say of its own.
            let gradients = y.powi_scalar(2).sum().backward();
            layer.log2_sigma.val().grad(&gradients).unwrap().into_scalar::<f32>()
        };
        let (all, first) = (gradient(None, &x), gradient(None, &x.clone().slice([0..2, 0..3])));
        for (images, expected) in [(Some(2), 3.0 * first), (Some(6), all), (Some(7), all), (None, all)] {
            let got = gradient(images, &x);
            assert!((got - expected).abs() < 1e-4 * expected.abs(), "{images:?}: {got} {expected}");
        }
        assert!((3.0 * first - all).abs() > 1e-2 * all.abs(), "{first} {all}");
    }
}
