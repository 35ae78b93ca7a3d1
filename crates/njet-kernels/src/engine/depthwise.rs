//! Layers in which every channel is filtered by itself: the product degenerates, the filters are everything.
//!
//! Along y the orders are summed with the channel's coefficients before any pixel is seen: as many filters
//! as the jet has orders along x, instead of one for each basis function. The common sizes go forward with both axes at once
//! ([`columns`](super::columns)).
//!
//! ```text
//! forward    F_j = x ⋆ g_j (along x)     y = Σ_j F_j ⋆ c_j (along y),  c_j = Σ_i α_ij g_i
//! backward   G_j = c_jᵀ ∂y               ∂x = Σ_j g_jᵀ G_j
//!            T_j(t) = Σ_pixels ∂y · F_j shifted by t,   ∂α_ij = Σ_t g_i(t) T_j(t)
//!            ∂σ_x = Σ_j ⟨x ⋆ ∂g_j, G_j⟩,   ∂σ_y = Σ_j ⟨F_j, (Σ_i α_ij ∂g_i)ᵀ ∂y⟩
//! ```

use super::asymmetric::Mixture;
use super::filters::{FilterSets, Filters, SigmaSums};
use super::{Workspace, images_per_part, pieces};
use crate::disjoint::{Disjoint, Filling};
use crate::geometry::jet_index;
use crate::isa::Isa;
use crate::{Backward, Forward, Geometry, Gradients, Real};
use rayon::prelude::*;
use std::ops::Range;

/// Whether the layer is of this kind.
pub(super) fn applies(geometry: &Geometry) -> bool {
    geometry.group_in == 1 && geometry.group_out == 1
}

/// The filters along y of each channel.
fn mixtures<T: Real>(geometry: &Geometry, alpha: &[T], filters: &FilterSets<T>) -> Vec<Mixture<T>> {
    let channel = |(channel, alpha): (usize, &[T])| {
        let taps = &filters.regular(geometry.set_of_input(channel)).taps.taps_y;
        Mixture::new(taps, geometry.order + 1, |i, j| alpha[jet_index(i, j)])
    };
    alpha.chunks_exact(geometry.basis()).enumerate().map(channel).collect()
}

pub(super) fn forward<T: Real>(geometry: &Geometry, call: &Forward<'_, T>, isa: Isa) -> Vec<T> {
    let sets = FilterSets::forward(geometry, call.taps, None);
    let mixtures = mixtures(geometry, call.alpha, &sets);
    let (channels, pixels_in, pixels) = (geometry.groups, geometry.pixels_in(), geometry.pixels_out());
    let mut filling = Filling::new(geometry.output_len());
    let y = filling.parts(geometry.output_len());
    (0..geometry.batch * channels).into_par_iter().for_each(|plane| {
        let channel = plane % channels;
        T::with_workspace(|Workspace { stages, .. }| {
            let filters = sets.regular(geometry.set_of_input(channel));
            let samples = &call.x[plane * pixels_in..][..pixels_in];
            let bias = call.bias.map_or(T::ZERO, |bias| bias[channel]);
            let mixture = &mixtures[channel];
            // SAFETY: the only task with this plane.
            let out = unsafe { y.part(plane * pixels..(plane + 1) * pixels) };
            if stages.depthwise_by_columns(isa, filters.taps, mixture, samples, bias, out) {
                return;
            }
            stages.analyse_x(isa, Filters::Regular(filters), samples);
            stages.gather_y(isa, filters.taps, mixture, out);
            if call.bias.is_some() {
                // SAFETY: `gather_y` has written the plane.
                out.iter_mut().for_each(|y| _ = y.write(unsafe { y.assume_init() } + bias));
            }
        });
    });
    // SAFETY: every plane has been written.
    unsafe { filling.finish(geometry.output_len()) }
}

/// Gradients of one channel over some images.
struct Partial {
    channel: usize,
    /// `[B]`.
    alpha: Vec<f64>,
    sigma: SigmaSums,
}

pub(super) fn backward<T: Real>(geometry: &Geometry, call: &Backward<'_, T>, isa: Isa) -> Gradients<T> {
    let d_taps = call.d_taps.filter(|_| call.wanted.sigma);
    let forward = FilterSets::forward(geometry, call.taps, d_taps);
    let flipped = |channel: usize, alpha: &[T], tangent: bool| {
        let filters = forward.regular(geometry.set_of_input(channel));
        let taps = if tangent { filters.tangent? } else { filters.taps };
        Some(Mixture::new(&taps.taps_y, geometry.order + 1, |i, j| alpha[jet_index(i, j)]).flipped())
    };
    let mixtures = |tangent: bool| -> Vec<Mixture<T>> {
        let channels = call.alpha.chunks_exact(geometry.basis()).enumerate();
        channels.filter_map(|(channel, alpha)| flipped(channel, alpha, tangent)).collect()
    };
    let mut sigma = SigmaSums::new(geometry, d_taps);
    let pass = BackwardPass {
        geometry,
        call,
        isa,
        mixtures: mixtures(false),
        tangent_mixtures: mixtures(true),
        adjoint: forward.adjoint(geometry),
        forward,
        no_sigma: sigma.clone(),
    };
    let tasks: Vec<_> = pieces(geometry.batch, images_per_part(geometry.batch))
        .flat_map(|images| (0..geometry.groups).map(move |channel| (images.clone(), channel)))
        .collect();
    let wanted = call.wanted;
    let mut filling = Filling::new(if wanted.x { geometry.input_len() } else { 0 });
    let grad_x = filling.parts(if wanted.x { geometry.input_len() } else { 0 });
    let partials: Vec<Partial> = tasks
        .into_par_iter()
        .map(|(images, channel)| T::with_workspace(|workspace| pass.run(images, channel, &grad_x, workspace)))
        .collect();
    let mut alpha = vec![0.0; if wanted.alpha { call.alpha.len() } else { 0 }];
    for partial in &partials {
        sigma.merge(&partial.sigma);
        let start = partial.channel * geometry.basis();
        alpha.iter_mut().skip(start).zip(&partial.alpha).for_each(|(sum, &part)| *sum += part);
    }
    Gradients {
        // SAFETY: the tasks cover every channel of every image, each synthesis writes all of its plane.
        x: wanted.x.then(|| unsafe { filling.finish(geometry.input_len()) }),
        alpha: wanted.alpha.then(|| alpha.into_iter().map(T::from_f64).collect()),
        bias: None,
        sigma: wanted.sigma.then(|| sigma.finish()),
    }
}

struct BackwardPass<'a, T> {
    geometry: &'a Geometry,
    call: &'a Backward<'a, T>,
    isa: Isa,
    forward: FilterSets<T>,
    adjoint: FilterSets<T>,
    /// The adjoint filters along y of each channel,
    mixtures: Vec<Mixture<T>>,
    /// and their derivatives by σ, where wanted.
    tangent_mixtures: Vec<Mixture<T>>,
    no_sigma: SigmaSums,
}

impl<T: Real> BackwardPass<'_, T> {
    fn run(
        &self,
        images: Range<usize>,
        channel: usize,
        grad_x: &Disjoint<'_, T>,
        Workspace { stages, .. }: &mut Workspace<T>,
    ) -> Partial {
        let (geometry, call, isa, wanted) = (self.geometry, self.call, self.isa, self.call.wanted);
        let (pixels_in, pixels) = (geometry.pixels_in(), geometry.pixels_out());
        let set = geometry.set_of_input(channel);
        let (filters, adjoint) = (self.forward.regular(set), self.adjoint.regular(set));
        let (mixture, tangent) = (&self.mixtures[channel], self.tangent_mixtures.get(channel));
        let alpha = vec![0.0; if wanted.alpha { geometry.basis() } else { 0 }];
        let mut partial = Partial { channel, alpha, sigma: self.no_sigma.clone() };
        for image in images {
            let plane = image * geometry.groups + channel;
            let upstream = &call.grad_y[plane * pixels..][..pixels];
            if wanted.alpha || wanted.sigma {
                stages.analyse_x(isa, Filters::Regular(filters), &call.x[plane * pixels_in..][..pixels_in]);
            }
            if wanted.alpha {
                stages.by_coefficients(isa, filters.taps, upstream, &mut partial.alpha);
            }
            if wanted.x || wanted.sigma {
                stages.fan_y(isa, adjoint.taps, mixture, tangent, upstream);
            }
            if wanted.x {
                // SAFETY: the only task with this image and channel.
                let out = unsafe { grad_x.part(plane * pixels_in..(plane + 1) * pixels_in) };
                stages.synthesise_x(isa, adjoint.taps, out);
            }
            if wanted.sigma {
                stages.sigma(isa, Filters::Regular(filters), |k, by| partial.sigma.add(set, k, by));
            }
        }
        partial
    }
}
