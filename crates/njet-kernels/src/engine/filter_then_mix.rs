//! Filters first: the responses of the input channels, then one product with the coefficients.

use super::filters::{FilterSets, SigmaSums};
use super::pack::{self, Source};
use super::plane::{Planes, Responses, clear_margins, margin, with_margins};
use super::product::{Onto, Output, Right, Tiles, multiply, multiply_pixels, strip_pitch};
use super::{PARTS, Sums, TASKS, TILE_PIXELS, channels_per_block, images_per_part, pieces};
use crate::disjoint::{Disjoint, Filling};
use crate::isa::Isa;
use crate::simd::STRIP;
use crate::{Backward, Forward, Geometry, Real};
use rayon::prelude::*;
use std::ops::Range;

/// Pixels of a band of one large image. The fewer, the more channels a block of responses holds, and the less often the
/// results are read and added to; but what is filtered along x above and below a band the next one filters again.
const BAND_PIXELS: [usize; 2] = [1024, 4096];

/// Rows of a band for each of the radius, between those bounds.
const ROWS_PER_RADIUS: usize = 4;

/// Elements of a block of responses, which the product adds up in memory: 2.3 MiB of f32, 576 rows with a tile of 1,024
/// pixels. Smaller blocks read and write the output more often, which costs more than the larger ones' way to the
/// third-level cache.
const SUMMED_BLOCK: usize = 9 << 16;

/// The same in the backward pass: half a mebibyte of f32 and, beside it, as much for their gradients.
const BACKWARD_BLOCK: usize = 1 << 17;

/// Fewest pixels worth a task of its own: below that the lines that neighbouring bands both filter
/// and the start of a task cost more than another thread brings.
const TASK_PIXELS: usize = 256;

/// Several whole images, or some rows of one.
#[derive(Debug, Clone)]
struct Tile {
    images: Range<usize>,
    rows: Range<usize>,
}

fn tiles(geometry: &Geometry) -> Vec<Tile> {
    let (height, pixels) = (geometry.y.output, geometry.pixels_out());
    let images = (TILE_PIXELS / pixels).clamp(1, geometry.batch.div_ceil(TASKS).max(1));
    let band = ROWS_PER_RADIUS * geometry.y.radius * geometry.x.output;
    let bands = pixels
        .div_ceil(band.clamp(BAND_PIXELS[0], BAND_PIXELS[1]))
        .max(TASKS.div_ceil(geometry.batch.max(1)).min(pixels / TASK_PIXELS))
        .clamp(1, height);
    let rows = pieces(height, height.div_ceil(bands));
    pieces(geometry.batch, images)
        .flat_map(|images| rows.clone().map(move |rows| Tile { images: images.clone(), rows }))
        .collect()
}

/// The coefficients of each group as the forward product's left operand, `[group_out, group_in · B]`.
fn coefficients<T: Real>(isa: Isa, geometry: &Geometry, alpha: &[T]) -> Vec<Tiles<T>> {
    let row = geometry.group_in * geometry.basis();
    let group = |group: &[T]| Tiles::of_rows(isa, [geometry.group_out, row], group);
    alpha.chunks_exact(geometry.group_out * row).map(group).collect()
}

fn input_plane<'a, T>(geometry: &Geometry, x: &'a [T], image: usize, group: usize, c: usize) -> &'a [T] {
    let channel = group * geometry.group_in + c;
    &x[(image * geometry.channels_in() + channel) * geometry.pixels_in()..][..geometry.pixels_in()]
}

pub(super) fn forward<T: Real>(geometry: &Geometry, call: &Forward<'_, T>, isa: Isa) -> Vec<T> {
    let filters = FilterSets::forward(geometry, call.taps, None);
    let coefficients = coefficients(isa, geometry, call.alpha);
    let mut filling = Filling::new(geometry.output_len());
    let y = filling.parts(geometry.output_len());
    let tiles = tiles(geometry);
    (0..tiles.len() * geometry.groups).into_par_iter().for_each(|task| {
        let (tile, group) = (&tiles[task / geometry.groups], task % geometry.groups);
        T::with_workspace(|workspace| {
            forward_tile(geometry, call, &filters, &coefficients[group], tile, group, &y, workspace, isa);
            workspace.trim();
        });
    });
    // SAFETY: the tiles cover every row of every image, the groups every channel, and each product
    // writes all of its rows and columns.
    unsafe { filling.finish(geometry.output_len()) }
}

#[allow(clippy::too_many_arguments)]
fn forward_tile<T: Real>(
    geometry: &Geometry,
    call: &Forward<'_, T>,
    filters: &FilterSets<T>,
    coefficients: &Tiles<T>,
    tile: &Tile,
    group: usize,
    y: &Disjoint<'_, T>,
    workspace: &mut super::Workspace<T>,
    isa: Isa,
) {
    let basis = geometry.basis();
    let pixels = tile.rows.len() * geometry.x.output;
    let strips = pixels.div_ceil(STRIP);
    let first = group * geometry.group_out;
    let per_block = channels_per_block(SUMMED_BLOCK, basis, tile.images.len() * strips * STRIP, geometry.group_in);
    for block in pieces(geometry.group_in, per_block) {
        let rows = block.len() * basis;
        let pitch = strip_pitch(rows);
        let panel = workspace.panel.room(tile.images.len() * strips * pitch);
        for c in block.clone() {
            let filters = filters.set(geometry.set_of_input(group * geometry.group_in + c));
            for (panel, image) in panel.chunks_exact_mut(strips * pitch).zip(tile.images.clone()) {
                let planes = Planes { start: (c - block.start) * basis * STRIP, pitch: STRIP, border: 0 };
                let responses = Responses { out: panel, planes, strip_pitch: pitch };
                let plane = input_plane(geometry, call.x, image, group, c);
                workspace.stages.analyse(isa, filters, plane, tile.rows.clone(), responses);
            }
        }
        let left = coefficients.columns(block.start * basis..block.end * basis);
        let onto = match call.bias {
            _ if block.start > 0 => Onto::Add,
            Some(bias) => Onto::Bias(&bias[first..][..geometry.group_out]),
            None => Onto::Overwrite,
        };
        for (panel, image) in panel.chunks_exact(strips * pitch).zip(tile.images.clone()) {
            let start =
                (image * geometry.channels_out() + first) * geometry.pixels_out() + tile.rows.start * geometry.x.output;
            // SAFETY: the only task with this image, group and band of rows.
            let out = unsafe { Output::shared(y, start, geometry.pixels_out(), onto) };
            multiply(isa, left, Right::new(panel, pitch, pixels), out);
        }
    }
}

/// Gradients of one task: some channels of one group over some images.
struct Partial<T> {
    group: usize,
    channels: Range<usize>,
    /// `[channels · B, group_out]`.
    alpha: Vec<T>,
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
    let d_taps = call.d_taps.filter(|_| call.wanted.sigma);
    let forward = FilterSets::forward(geometry, call.taps, d_taps);
    let no_sigma = SigmaSums::new(geometry, d_taps);
    let pass = BackwardPass {
        geometry,
        call,
        isa,
        adjoint: forward.adjoint(geometry),
        forward,
        no_sigma: no_sigma.clone(),
        mixing: mixing(isa, geometry, call.alpha),
    };
    let part = images_per_part(geometry.batch);
    let parts = geometry.batch.div_ceil(part).max(1);
    // Few parts, as of a small batch, leave threads idle: then the channels are divided too.
    let divisions = PARTS.div_ceil(parts * geometry.groups).min(geometry.group_in);
    let first = images.start;
    let tasks: Vec<_> = pieces(images.len(), part)
        .flat_map(|images| {
            (0..geometry.groups).flat_map(move |group| {
                let images = first + images.start..first + images.end;
                pieces(geometry.group_in, geometry.group_in.div_ceil(divisions))
                    .map(move |channels| (images.clone(), group, channels))
            })
        })
        .collect();
    let partials: Vec<Partial<T>> = tasks
        .into_par_iter()
        .map(|(images, group, channels)| {
            T::with_workspace(|workspace| {
                let partial = pass.run(images, group, channels, grad_x, workspace);
                workspace.trim();
                partial
            })
        })
        .collect();
    let mut sigma = no_sigma;
    partials.iter().for_each(|partial| sigma.merge(&partial.sigma));
    Sums { alpha: call.wanted.alpha.then(|| sum_alpha(geometry, &partials)), sigma }
}

/// The transposed coefficients of each group, `[group_in · B, group_out]`.
fn mixing<T: Real>(isa: Isa, geometry: &Geometry, alpha: &[T]) -> Vec<Tiles<T>> {
    let row = geometry.group_in * geometry.basis();
    let group = |group: &[T]| Tiles::of_columns(isa, [row, geometry.group_out], group);
    alpha.chunks_exact(geometry.group_out * row).map(group).collect()
}

/// Adds the partial sums in their order and turns them to `[channels_out, group_in, B]`.
fn sum_alpha<T: Real>(geometry: &Geometry, partials: &[Partial<T>]) -> Vec<T> {
    let (basis, outputs) = (geometry.basis(), geometry.group_out);
    let row = geometry.group_in * basis;
    let mut alpha = vec![T::ZERO; geometry.alpha_len()];
    // `[group, group_in · B, group_out]` first: contiguous sums.
    let mut turned = vec![T::ZERO; geometry.alpha_len()];
    turned.par_chunks_mut((basis * outputs).max(1)).enumerate().for_each(|(channel, sum)| {
        let (group, channel) = (channel / geometry.group_in, channel % geometry.group_in);
        for partial in partials.iter().filter(|p| p.group == group && p.channels.contains(&channel)) {
            let from = &partial.alpha[(channel - partial.channels.start) * basis * outputs..][..basis * outputs];
            sum.iter_mut().zip(from).for_each(|(sum, &from)| *sum += from);
        }
    });
    alpha.par_chunks_mut(row).enumerate().for_each(|(o, to)| {
        let from = &turned[o / outputs * row * outputs + o % outputs..];
        to.iter_mut().zip(from.iter().step_by(outputs)).for_each(|(to, &from)| *to = from);
    });
    alpha
}

struct BackwardPass<'a, T> {
    geometry: &'a Geometry,
    call: &'a Backward<'a, T>,
    isa: Isa,
    forward: FilterSets<T>,
    adjoint: FilterSets<T>,
    no_sigma: SigmaSums,
    mixing: Vec<Tiles<T>>,
}

impl<T: Real> BackwardPass<'_, T> {
    fn run(
        &self,
        images: Range<usize>,
        group: usize,
        channels: Range<usize>,
        grad_x: &Disjoint<'_, T>,
        workspace: &mut super::Workspace<T>,
    ) -> Partial<T> {
        let (geometry, call, isa) = (self.geometry, self.call, self.isa);
        let (basis, pixels, wanted) = (geometry.basis(), geometry.pixels_out(), call.wanted);
        let need_planes = wanted.x || wanted.sigma;
        let strips = pixels.div_ceil(STRIP);
        let tile = (TILE_PIXELS / pixels).clamp(1, images.len().max(1));
        let per_block = channels_per_block(BACKWARD_BLOCK, basis, tile * strips * STRIP, channels.len());
        let outputs = geometry.group_out;
        // Between the planes of the gradient of the responses.
        let border = self.adjoint.border();
        let gap = margin(border, geometry.x.output);
        let mut partial = Partial {
            group,
            channels: channels.clone(),
            alpha: vec![T::ZERO; if wanted.alpha { channels.len() * basis * outputs } else { 0 }],
            sigma: self.no_sigma.clone(),
        };
        for tile in pieces(images.len(), tile) {
            let tile = images.start + tile.start..images.start + tile.end;
            let upstream = Source {
                data: call.grad_y,
                start: (tile.start * geometry.channels_out() + group * outputs) * pixels,
                image: geometry.channels_out() * pixels,
                images: tile.len(),
                channels: outputs,
                pixels,
            };
            let [rounded_pixels, rounded_channels] = &mut workspace.rounded;
            let planes = geometry.group_in * basis;
            let by_pixels = need_planes
                .then(|| pack::operand_by_pixels(isa, upstream, planes, &mut workspace.by_pixels, rounded_pixels));
            let by_channels = wanted
                .alpha
                .then(|| pack::operand_by_channels(isa, upstream, &mut workspace.by_channels, rounded_channels));
            for block in pieces(channels.len(), per_block) {
                let block = channels.start + block.start..channels.start + block.end;
                let rows = block.len() * basis;
                // The gradient of the responses: planes with margins, those of an image together.
                let image_planes = with_margins(rows, pixels, gap);
                let mixed = workspace.mixed.room(if need_planes { tile.len() * image_planes } else { 0 });
                if let Some(upstream) = by_pixels {
                    for (m, mixed) in mixed.chunks_exact_mut(image_planes).enumerate() {
                        clear_margins(mixed, pixels, gap);
                        let right = upstream.at_strip(m * strips, pixels);
                        let out = Output::new(&mut mixed[gap..], pixels + gap, Onto::Overwrite);
                        multiply(isa, self.mixing[group].rows(block.start * basis..block.end * basis), right, out);
                    }
                }
                let pitch = strip_pitch(rows);
                let panel = workspace.panel.room(if wanted.alpha { tile.len() * strips * pitch } else { 0 });
                for c in block.clone() {
                    let set = geometry.set_of_input(group * geometry.group_in + c);
                    let (filters, adjoint) = (self.forward.set(set), self.adjoint.set(set));
                    for (m, image) in tile.clone().enumerate() {
                        let stages = &mut workspace.stages;
                        let plane = || input_plane(geometry, call.x, image, group, c);
                        let first = (c - block.start) * basis;
                        if wanted.alpha {
                            let planes = Planes { start: first * STRIP, pitch: STRIP, border: 0 };
                            let out = &mut panel[m * strips * pitch..][..strips * pitch];
                            let responses = Responses { out, planes, strip_pitch: pitch };
                            stages.analyse(isa, filters, plane(), 0..geometry.y.output, responses);
                        } else if wanted.sigma {
                            stages.analyse_x(isa, filters, plane());
                        }
                        if need_planes {
                            let (start, pitch) = (gap + first * (pixels + gap), pixels + gap);
                            let planes = Planes { start, pitch, border };
                            let channel = image * geometry.channels_in() + group * geometry.group_in + c;
                            let start = channel * geometry.pixels_in();
                            // SAFETY: the only task with this image and channel.
                            let out = wanted.x.then(|| unsafe { grad_x.part(start..start + geometry.pixels_in()) });
                            let mixed = &mixed[m * image_planes..][..image_planes];
                            stages.synthesise_for_sigma(isa, [adjoint, filters], planes, mixed, out, |tangent, by| {
                                partial.sigma.add(set, tangent, by);
                            });
                        }
                    }
                }
                if let Some(upstream) = by_channels {
                    let responses = Right::new(panel, pitch, tile.len() * strips * STRIP);
                    let to = &mut partial.alpha[(block.start - channels.start) * basis * outputs..];
                    multiply_pixels(isa, rows, responses, upstream, Output::new(to, outputs, Onto::Add));
                }
            }
        }
        partial
    }
}
