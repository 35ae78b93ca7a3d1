//! The backward pass of layers that mix channels: which images go which way.

use super::filters::SigmaSums;
use super::{LoopOrder, Options, Way, filter_then_mix, mix_then_filter};
use crate::disjoint::Filling;
use crate::{Backward, Geometry, Gradients, KernelError, Real, Wanted};
use std::ops::Range;

/// What some images give for all channels.
pub(super) struct Sums<T> {
    pub(super) alpha: Option<Vec<T>>,
    pub(super) sigma: SigmaSums,
}

/// Images that give the gradient of σ.
pub(super) fn sampled<T: Real>(geometry: &Geometry, call: &Backward<'_, T>, options: Options) -> usize {
    let all = geometry.batch;
    options.sigma_images.filter(|_| call.wanted.sigma).map_or(all, |images| images.clamp(1, all.max(1)).min(all))
}

/// All gradients but that of the bias: the first images by `order`, and those that σ is not asked of the way that is cheaper
/// then.
pub(super) fn backward<T: Real>(
    geometry: &Geometry,
    call: &Backward<'_, T>,
    options: Options,
    order: LoopOrder,
) -> Result<Gradients<T>, KernelError> {
    let wanted = call.wanted;
    let len = if wanted.x { geometry.input_len() } else { 0 };
    let mut filling = Filling::new(len);
    let grad_x = filling.parts(len);
    let run = |order: LoopOrder, images: Range<usize>, call: &Backward<'_, T>| match order {
        LoopOrder::FilterThenMix => filter_then_mix::backward(geometry, call, options.isa, images, &grad_x),
        LoopOrder::MixThenFilter => mix_then_filter::backward(geometry, call, options.isa, images, &grad_x),
    };
    let first = sampled(geometry, call, options);
    let sums = if first == geometry.batch {
        run(order, 0..first, call)
    } else {
        let rest = Backward { wanted: Wanted { sigma: false, ..wanted }, ..*call };
        let Way::Product(cheaper) = Way::back(geometry, &rest, options)? else {
            unreachable!("a layer that mixes channels with σ mixes them without")
        };
        let (mut sums, rest) =
            rayon::join(|| run(order, 0..first, call), || run(cheaper, first..geometry.batch, &rest));
        add(&mut sums.alpha, rest.alpha);
        sums
    };
    Ok(Gradients {
        // SAFETY: the tasks of all images cover every channel of each, and write all of its plane.
        x: wanted.x.then(|| unsafe { filling.finish(len) }),
        alpha: sums.alpha,
        bias: None,
        sigma: wanted.sigma.then(|| estimate(sums.sigma.finish(), geometry.batch, first)),
    })
}

/// The same where the ways differ in more than their order: the first images and the others one after the other.
pub(super) fn apart<T: Real>(
    geometry: &Geometry,
    call: &Backward<'_, T>,
    run: impl Fn(&Geometry, &Backward<'_, T>) -> Result<Gradients<T>, KernelError>,
    first: usize,
) -> Result<Gradients<T>, KernelError> {
    let [input, output] = [geometry.input_len(), geometry.output_len()].map(|len| len / geometry.batch.max(1));
    let part = |images: Range<usize>, sigma: bool| {
        let geometry = geometry.with_batch(images.len());
        let x = if call.x.is_empty() { call.x } else { &call.x[images.start * input..images.end * input] };
        let grad_y = &call.grad_y[images.start * output..images.end * output];
        run(&geometry, &Backward { x, grad_y, wanted: Wanted { sigma, ..call.wanted }, ..*call })
    };
    let (mut sums, rest) = (part(0..first, true)?, part(first..geometry.batch, false)?);
    if let (Some(x), Some(rest)) = (&mut sums.x, &rest.x) {
        x.extend_from_slice(rest);
    }
    add(&mut sums.alpha, rest.alpha);
    sums.sigma = sums.sigma.map(|sigma| estimate(sigma, geometry.batch, first));
    Ok(sums)
}

fn add<T: Real>(to: &mut Option<Vec<T>>, from: Option<Vec<T>>) {
    if let (Some(to), Some(from)) = (to, from) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
    }
}

/// What all images would give if the others were as the first.
fn estimate(mut sums: Vec<[f64; 2]>, all: usize, first: usize) -> Vec<[f64; 2]> {
    if first < all {
        let times = all as f64 / first as f64;
        sums.iter_mut().flatten().for_each(|sum| *sum *= times);
    }
    sums
}
