//! The product first: B planes for every output channel, then the filters sum them into the output.
//!
//! It is the other order turned round: the forward pass is a synthesis, the backward pass analyses
//! the upstream gradient with the adjoint filters. Cheaper where there are fewer output than input
//! channels.

use super::filters::{FilterSets, SigmaSums};
use super::pack::{self, Source};
use super::plane::{Planes, Responses, clear_margins, with_margins};
use super::product::{Left, Onto, Output, Right, Tiles, multiply, multiply_pixels, strip_pitch};
use super::workspace::Buffer;
use super::{Sums, TASKS, TILE_PIXELS, Workspace, channels_per_block, images_per_part, pieces};
use crate::disjoint::{Disjoint, Filling};
use crate::isa::Isa;
use crate::simd::STRIP;
use crate::{Backward, Forward, Geometry, Real};
use rayon::prelude::*;
use std::ops::Range;

/// Elements of a block of planes: a mebibyte of f32.
const BLOCK: usize = 1 << 18;

/// The coefficients of each group as left operand of the product that comes first,
/// `[group_out · B, group_in]`.
fn mixing<T: Real>(isa: Isa, geometry: &Geometry, alpha: &[T]) -> Vec<Tiles<T>> {
    let (basis, inputs) = (geometry.basis(), geometry.group_in);
    let rows = geometry.group_out * basis;
    let group =
        |group: &[T]| Tiles::pack(isa, rows, inputs, |row, c| group[(row / basis * inputs + c) * basis + row % basis]);
    alpha.chunks_exact(rows * inputs).map(group).collect()
}

/// The input channels of a group of some images.
fn input<'a, T>(geometry: &Geometry, x: &'a [T], images: &Range<usize>, group: usize) -> Source<'a, T> {
    let pixels = geometry.pixels_in();
    Source {
        data: x,
        start: (images.start * geometry.channels_in() + group * geometry.group_in) * pixels,
        image: geometry.channels_in() * pixels,
        images: images.len(),
        channels: geometry.group_in,
        pixels,
    }
}

fn output_plane(geometry: &Geometry, image: usize, group: usize, o: usize) -> Range<usize> {
    let plane = image * geometry.channels_out() + group * geometry.group_out + o;
    plane * geometry.pixels_out()..(plane + 1) * geometry.pixels_out()
}

/// B planes with margins for each row of `left`, from one image of `input`.
fn mix<'a, T: Real>(
    isa: Isa,
    geometry: &Geometry,
    left: Left<'_, T>,
    rows: usize,
    input: Right<'_, T>,
    m: usize,
    mixed: &'a mut Buffer<T>,
) -> &'a [T] {
    let pixels = geometry.pixels_in();
    let mixed = mixed.room(with_margins(rows, pixels, STRIP));
    clear_margins(mixed, pixels, STRIP);
    let strips = pixels.div_ceil(STRIP);
    let right = input.at_strip(m * strips, pixels);
    multiply(isa, left, right, Output::new(&mut mixed[STRIP..], pixels + STRIP, Onto::Overwrite));
    mixed
}

/// The B planes of output channel `index` of a block.
fn planes(geometry: &Geometry, index: usize) -> Planes {
    let pitch = geometry.pixels_in() + STRIP;
    Planes { start: STRIP + index * geometry.basis() * pitch, pitch, border: 0 }
}

pub(super) fn forward<T: Real>(geometry: &Geometry, call: &Forward<'_, T>, isa: Isa) -> Vec<T> {
    let filters = FilterSets::forward(geometry, call.taps, None);
    let mixing = mixing(isa, geometry, call.alpha);
    let basis = geometry.basis();
    // Images divide the work; where there are few, so do the output channels.
    let divisions = TASKS.div_ceil(geometry.batch.max(1) * geometry.groups).min(geometry.group_out);
    let divisions: Vec<_> = pieces(geometry.group_out, geometry.group_out.div_ceil(divisions)).collect();
    let mut filling = Filling::new(geometry.output_len());
    let y = filling.parts(geometry.output_len());
    (0..geometry.batch * geometry.groups * divisions.len()).into_par_iter().for_each(|task| {
        let outputs = &divisions[task % divisions.len()];
        let group = task / divisions.len() % geometry.groups;
        let image = task / divisions.len() / geometry.groups;
        T::with_workspace(|Workspace { stages, mixed, by_pixels, .. }| {
            let input = pack::by_pixels(isa, input(geometry, call.x, &(image..image + 1), group), by_pixels);
            for block in pieces(outputs.len(), channels_per_block(BLOCK, basis, geometry.pixels_in(), outputs.len())) {
                let block = outputs.start + block.start..outputs.start + block.end;
                let left = mixing[group].rows(block.start * basis..block.end * basis);
                let mixed = mix(isa, geometry, left, block.len() * basis, input, 0, mixed);
                for (index, o) in block.enumerate() {
                    // SAFETY: the only task with this image and output channel.
                    let out = unsafe { y.part(output_plane(geometry, image, group, o)) };
                    let filters = filters.set(geometry.set_of_output(group * geometry.group_out + o));
                    stages.synthesise(isa, filters, planes(geometry, index), mixed, Some(&mut *out));
                    if let Some(bias) = call.bias {
                        let bias = bias[group * geometry.group_out + o];
                        // SAFETY: the synthesis has written the plane.
                        out.iter_mut().for_each(|y| _ = y.write(unsafe { y.assume_init() } + bias));
                    }
                }
            }
        });
        T::with_workspace(Workspace::trim);
    });
    // SAFETY: the tasks cover every output channel of every image, and a synthesis writes its plane.
    unsafe { filling.finish(geometry.output_len()) }
}

/// Gradients of one task: one group over some images.
struct Partial<T> {
    group: usize,
    /// `[group_out · B, channels_in / groups]`.
    mixing: Vec<T>,
    sigma: SigmaSums,
}

/// The gradients that `images` give, those of the input to `grad_x`.
pub(super) fn backward<T: Real>(
    geometry: &Geometry,
    call: &Backward<'_, T>,
    isa: Isa,
    images: Range<usize>,
    grad_x: &Disjoint<'_, T>,
) -> Sums<T> {
    let wanted = call.wanted;
    let d_taps = call.d_taps.filter(|_| wanted.sigma);
    let forward = FilterSets::forward(geometry, call.taps, d_taps);
    let no_sigma = SigmaSums::new(geometry, d_taps);
    let pass = BackwardPass {
        geometry,
        call,
        isa,
        adjoint: forward.adjoint(geometry),
        forward,
        no_sigma: no_sigma.clone(),
        // Only σ asks for what the forward pass filtered.
        mixing: if wanted.sigma { mixing(isa, geometry, call.alpha) } else { Vec::new() },
        unmixing: if wanted.x { unmixing(isa, geometry, call.alpha) } else { Vec::new() },
    };
    let first = images.start;
    let tasks: Vec<_> = pieces(images.len(), images_per_part(geometry.batch))
        .map(|images| first + images.start..first + images.end)
        .flat_map(|images| (0..geometry.groups).map(move |group| (images.clone(), group)))
        .collect();
    let partials: Vec<Partial<T>> = tasks
        .into_par_iter()
        .map(|(images, group)| {
            T::with_workspace(|workspace| {
                let partial = pass.run(images, group, grad_x, workspace);
                workspace.trim();
                partial
            })
        })
        .collect();
    let mut sigma = no_sigma;
    partials.iter().for_each(|partial| sigma.merge(&partial.sigma));
    Sums { alpha: wanted.alpha.then(|| sum_alpha(geometry, &partials)), sigma }
}

/// Adds the partial sums in their order and turns them to `[channels_out, group_in, B]`.
fn sum_alpha<T: Real>(geometry: &Geometry, partials: &[Partial<T>]) -> Vec<T> {
    let (basis, inputs) = (geometry.basis(), geometry.group_in);
    let mut alpha = vec![T::ZERO; geometry.alpha_len()];
    alpha.par_chunks_mut((basis * inputs).max(1)).enumerate().for_each(|(o, to)| {
        let (group, o) = (o / geometry.group_out, o % geometry.group_out);
        // `[B, group_in]` first: contiguous sums.
        let mut sum = vec![T::ZERO; to.len()];
        for partial in partials.iter().filter(|partial| partial.group == group) {
            let from = &partial.mixing[o * basis * inputs..][..basis * inputs];
            sum.iter_mut().zip(from).for_each(|(sum, &from)| *sum += from);
        }
        for (b, row) in sum.chunks_exact(inputs).enumerate() {
            to[b..].iter_mut().step_by(basis).zip(row).for_each(|(to, &sum)| *to = sum);
        }
    });
    alpha
}

/// The transposed coefficients of each group, `[group_in, group_out · B]`.
fn unmixing<T: Real>(isa: Isa, geometry: &Geometry, alpha: &[T]) -> Vec<Tiles<T>> {
    let (basis, inputs) = (geometry.basis(), geometry.group_in);
    let rows = geometry.group_out * basis;
    let group = |group: &[T]| {
        let of_input = |c| group.chunks_exact(basis).skip(c).step_by(inputs).flatten().copied();
        Tiles::of_rows(isa, [inputs, rows], &(0..inputs).flat_map(of_input).collect::<Vec<T>>())
    };
    alpha.chunks_exact(rows * inputs).map(group).collect()
}

struct BackwardPass<'a, T> {
    geometry: &'a Geometry,
    call: &'a Backward<'a, T>,
    isa: Isa,
    forward: FilterSets<T>,
    adjoint: FilterSets<T>,
    no_sigma: SigmaSums,
    mixing: Vec<Tiles<T>>,
    unmixing: Vec<Tiles<T>>,
}

impl<T: Real> BackwardPass<'_, T> {
    fn run(
        &self,
        images: Range<usize>,
        group: usize,
        grad_x: &Disjoint<'_, T>,
        workspace: &mut Workspace<T>,
    ) -> Partial<T> {
        let (geometry, call, isa) = (self.geometry, self.call, self.isa);
        let (basis, pixels, inputs, wanted) = (geometry.basis(), geometry.pixels_in(), geometry.group_in, call.wanted);
        let need_responses = wanted.x || wanted.alpha;
        let strips = pixels.div_ceil(STRIP);
        let tile = (TILE_PIXELS / pixels).clamp(1, images.len().max(1));
        let per_block = channels_per_block(BLOCK, basis, tile * strips * STRIP, geometry.group_out);
        let mut partial = Partial { group, mixing: Vec::new(), sigma: self.no_sigma.clone() };
        if wanted.alpha {
            partial.mixing.resize(geometry.group_out * basis * inputs, T::ZERO);
        }
        let Workspace { stages, panel, mixed, by_pixels, by_channels, rounded: [rounded_pixels, rounded_channels] } =
            workspace;
        for tile in pieces(images.len(), tile) {
            let tile = images.start + tile.start..images.start + tile.end;
            let source = input(geometry, call.x, &tile, group);
            let mixed_rows = geometry.group_out * basis;
            let by_pixels =
                wanted.sigma.then(|| pack::operand_by_pixels(isa, source, mixed_rows, by_pixels, rounded_pixels));
            let by_channels =
                wanted.alpha.then(|| pack::operand_by_channels(isa, source, by_channels, rounded_channels));
            for block in pieces(geometry.group_out, per_block) {
                let rows = block.len() * basis;
                let pitch = strip_pitch(rows);
                let panel = panel.room(if need_responses { tile.len() * strips * pitch } else { 0 });
                for (m, image) in tile.clone().enumerate() {
                    let mixed = by_pixels.map(|input| {
                        let left = self.mixing[group].rows(block.start * basis..block.end * basis);
                        mix(isa, geometry, left, rows, input, m, mixed)
                    });
                    for (index, o) in block.clone().enumerate() {
                        let set = geometry.set_of_output(group * geometry.group_out + o);
                        let (forward, adjoint) = (self.forward.set(set), self.adjoint.set(set));
                        let upstream = &call.grad_y[output_plane(geometry, image, group, o)];
                        if need_responses {
                            let planes = Planes { start: index * basis * STRIP, pitch: STRIP, border: 0 };
                            let out = &mut panel[m * strips * pitch..][..strips * pitch];
                            let responses = Responses { out, planes, strip_pitch: pitch };
                            stages.analyse(isa, adjoint, upstream, 0..geometry.y.input, responses);
                        } else {
                            stages.analyse_x(isa, adjoint, upstream);
                        }
                        if let Some(mixed) = &mixed {
                            let filters = [forward, adjoint];
                            stages.synthesise_for_sigma(isa, filters, planes(geometry, index), mixed, None, |k, by| {
                                partial.sigma.add(set, k, by);
                            });
                        }
                    }
                    if wanted.x {
                        let onto = if block.start == 0 { Onto::Overwrite } else { Onto::Add };
                        let start = (image * geometry.channels_in() + group * inputs) * pixels;
                        // SAFETY: the only task with this image and group.
                        let out = unsafe { Output::shared(grad_x, start, pixels, onto) };
                        let left = self.unmixing[group].columns(block.start * basis..block.end * basis);
                        let right = Right::new(&panel[m * strips * pitch..], pitch, pixels);
                        multiply(isa, left, right, out);
                    }
                }
                if let Some(input) = by_channels {
                    let responses = Right::new(panel, pitch, tile.len() * strips * STRIP);
                    let to = &mut partial.mixing[block.start * basis * inputs..];
                    multiply_pixels(isa, rows, responses, input, Output::new(to, inputs, Onto::Add));
                }
            }
        }
        partial
    }
}
