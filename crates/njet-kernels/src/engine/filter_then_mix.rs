//! Filters first: the responses of the input channels, then one product with the coefficients.

use super::plane::{Direction, Planes, Workspace};
use super::product::{Matrix, Onto, multiply};
use super::{TILE_PIXELS, channels_per_block, images_per_part, pieces};
use crate::disjoint::Disjoint;
use crate::isa::Isa;
use crate::{Backward, Forward, Geometry, Gradients, Real};
use rayon::prelude::*;
use std::ops::Range;

/// Pixels that a band of one large image may have, so that a block of responses holds some channels.
const BAND_PIXELS: usize = 4096;

/// Fewest bands and images together: what keeps the threads of common machines busy at batch 1.
const TASKS: usize = 16;

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
    let bands = pixels
        .div_ceil(BAND_PIXELS)
        .max(TASKS.div_ceil(geometry.batch.max(1)).min(pixels / TASK_PIXELS))
        .clamp(1, height);
    let rows = pieces(height, height.div_ceil(bands));
    pieces(geometry.batch, images)
        .flat_map(|images| rows.clone().map(move |rows| Tile { images: images.clone(), rows }))
        .collect()
}

/// Where the responses of channel `c` of a block and image `m` of a tile stand in the panel
/// `[channels · B, images · pixels]`.
fn planes(geometry: &Geometry, c: usize, m: usize, pixels: usize, pitch: usize) -> Planes {
    Planes { start: c * geometry.basis() * pitch + m * pixels, pitch }
}

/// Columns `block · B` of the coefficients of a group.
fn alpha_block<'a, T>(geometry: &Geometry, alpha: &'a [T], group: usize, block: &Range<usize>) -> Matrix<'a, T> {
    let basis = geometry.basis();
    let row = geometry.group_in * basis;
    let data = &alpha[group * geometry.group_out * row + block.start * basis..];
    Matrix::new(data, geometry.group_out, block.len() * basis, row)
}

fn input_plane<'a, T>(geometry: &Geometry, x: &'a [T], image: usize, group: usize, c: usize) -> &'a [T] {
    let channel = group * geometry.group_in + c;
    &x[(image * geometry.channels_in() + channel) * geometry.pixels_in()..][..geometry.pixels_in()]
}

pub(super) fn forward<T: Real>(geometry: &Geometry, call: &Forward<'_, T>, y: &mut [T], isa: Isa) {
    let direction = Direction::forward(geometry.order, &geometry.y, &geometry.x, call.taps);
    let y = Disjoint::new(y);
    let tiles = tiles(geometry);
    (0..tiles.len() * geometry.groups).into_par_iter().for_each_init(
        || (Workspace::new(isa), Vec::new(), Vec::new()),
        |(workspace, panel, mixed), task| {
            let (tile, group) = (&tiles[task / geometry.groups], task % geometry.groups);
            let pixels = tile.rows.len() * geometry.x.output;
            let pitch = tile.images.len() * pixels;
            mixed.resize(geometry.group_out * pitch, T::ZERO);
            // One whole image: its group's planes are one piece of the output.
            let whole = tile.images.len() == 1 && tile.rows.len() == geometry.y.output;
            let y_plane = |image, o| (image * geometry.channels_out() + o) * geometry.pixels_out();
            let first = group * geometry.group_out;
            let out = if whole {
                let start = y_plane(tile.images.start, first);
                // SAFETY: the only task with this image and group.
                unsafe { y.part(start..start + geometry.group_out * pixels) }
            } else {
                &mut mixed[..]
            };
            for block in pieces(geometry.group_in, channels_per_block(geometry.basis(), pitch, geometry.group_in)) {
                let rows = block.len() * geometry.basis();
                panel.resize(rows * pitch, T::ZERO);
                for c in block.clone() {
                    for (m, image) in tile.images.clone().enumerate() {
                        let planes = planes(geometry, c - block.start, m, pixels, pitch);
                        let plane = input_plane(geometry, call.x, image, group, c);
                        workspace.analyse(&direction, plane, tile.rows.clone(), planes, panel);
                    }
                }
                let onto = if block.start == 0 { Onto::Overwrite } else { Onto::Add };
                let alpha = alpha_block(geometry, call.alpha, group, &block);
                multiply(out, pitch, onto, alpha, Matrix::new(panel, rows, pitch, pitch));
            }
            if !whole {
                for (m, image) in tile.images.clone().enumerate() {
                    for o in 0..geometry.group_out {
                        let start = y_plane(image, first + o) + tile.rows.start * geometry.x.output;
                        // SAFETY: the only task with this image, group and band of rows.
                        let out = unsafe { y.part(start..start + pixels) };
                        out.copy_from_slice(&mixed[o * pitch + m * pixels..][..pixels]);
                    }
                }
            }
        },
    );
}

/// Gradients of one task: some channels of one group over some images.
struct Partial<T> {
    group: usize,
    block: Range<usize>,
    /// `[group_out, block · B]`.
    alpha: Vec<T>,
    sigma: [f64; 2],
}

pub(super) fn backward<T: Real>(geometry: &Geometry, call: &Backward<'_, T>, isa: Isa) -> Gradients<T> {
    let direction = |taps| Direction::forward(geometry.order, &geometry.y, &geometry.x, taps);
    let forward = direction(call.taps);
    let adjoint = Direction::adjoint(geometry.order, &geometry.y, &geometry.x, call.taps);
    let tangent = call.d_taps.filter(|_| call.wanted.sigma).map(direction);
    let (basis, pixels, wanted) = (geometry.basis(), geometry.pixels_out(), call.wanted);

    let part = images_per_part(geometry.batch);
    let tile = (TILE_PIXELS / pixels).clamp(1, part);
    let blocks = pieces(geometry.group_in, channels_per_block(basis, tile * pixels, geometry.group_in));
    let tasks: Vec<_> = pieces(geometry.batch, part)
        .flat_map(|images| {
            let blocks = blocks.clone();
            (0..geometry.groups).flat_map(move |group| {
                let images = images.clone();
                blocks.clone().map(move |block| (images.clone(), group, block))
            })
        })
        .collect();

    let mut grad_x = if wanted.x { vec![T::ZERO; call.x.len()] } else { Vec::new() };
    let shared_x = Disjoint::new(&mut grad_x);
    let partials: Vec<Partial<T>> = tasks
        .into_par_iter()
        .map_init(
            || (Workspace::new(isa), [const { Vec::new() }; 3]),
            |(workspace, [panel, grad_panel, gathered]), (images, group, block)| {
                let rows = block.len() * basis;
                let mut partial = Partial { group, block: block.clone(), alpha: Vec::new(), sigma: [0.0; 2] };
                if wanted.alpha {
                    partial.alpha.resize(geometry.group_out * rows, T::ZERO);
                }
                for tile in pieces(images.len(), tile) {
                    let tile = images.start + tile.start..images.start + tile.end;
                    let pitch = tile.len() * pixels;
                    let upstream = gather(geometry, call.grad_y, &tile, group, gathered);
                    panel.resize(rows * pitch, T::ZERO);
                    if wanted.x || wanted.sigma {
                        grad_panel.resize(rows * pitch, T::ZERO);
                        let alpha = alpha_block(geometry, call.alpha, group, &block).transposed();
                        multiply(grad_panel, pitch, Onto::Overwrite, alpha, upstream);
                    }
                    for c in block.clone() {
                        for (m, image) in tile.clone().enumerate() {
                            let planes = planes(geometry, c - block.start, m, pixels, pitch);
                            let plane = input_plane(geometry, call.x, image, group, c);
                            if wanted.alpha || wanted.sigma {
                                workspace.analyse(&forward, plane, 0..geometry.y.output, planes, panel);
                            }
                            if wanted.x || wanted.sigma {
                                workspace.synthesise_y(&adjoint, planes, grad_panel);
                            }
                            if wanted.x {
                                let channel = image * geometry.channels_in() + group * geometry.group_in + c;
                                let start = channel * geometry.pixels_in();
                                // SAFETY: the only task with this image and channel.
                                let out = unsafe { shared_x.part(start..start + geometry.pixels_in()) };
                                workspace.synthesise_x(&adjoint, out);
                            }
                            if let Some(tangent) = &tangent {
                                let [by_y, by_x] = workspace.sigma(tangent, plane, planes, grad_panel);
                                partial.sigma[0] += by_y;
                                partial.sigma[1] += by_x;
                            }
                        }
                    }
                    if wanted.alpha {
                        let responses = Matrix::new(panel, rows, pitch, pitch);
                        multiply(&mut partial.alpha, rows, Onto::Add, upstream, responses.transposed());
                    }
                }
                partial
            },
        )
        .collect();

    let mut grad_alpha = if wanted.alpha { vec![T::ZERO; call.alpha.len()] } else { Vec::new() };
    let mut sigma = [0.0; 2];
    for partial in &partials {
        sigma[0] += partial.sigma[0];
        sigma[1] += partial.sigma[1];
        let rows = partial.block.len() * basis;
        for (o, from) in partial.alpha.chunks_exact(rows).enumerate() {
            let row = (partial.group * geometry.group_out + o) * geometry.group_in;
            let to = &mut grad_alpha[(row + partial.block.start) * basis..][..rows];
            to.iter_mut().zip(from).for_each(|(to, &from)| *to += from);
        }
    }
    Gradients {
        x: wanted.x.then_some(grad_x),
        alpha: wanted.alpha.then_some(grad_alpha),
        bias: None,
        sigma: wanted.sigma.then_some(sigma),
    }
}

/// The upstream gradient of a tile as `[group_out, images · pixels]`: where it lies, for one image;
/// gathered for several.
fn gather<'a, T: Real>(
    geometry: &Geometry,
    grad_y: &'a [T],
    tile: &Range<usize>,
    group: usize,
    gathered: &'a mut Vec<T>,
) -> Matrix<'a, T> {
    let (pixels, rows) = (geometry.pixels_out(), geometry.group_out);
    let start = |image| (image * geometry.channels_out() + group * rows) * pixels;
    if tile.len() == 1 {
        return Matrix::new(&grad_y[start(tile.start)..], rows, pixels, pixels);
    }
    let pitch = tile.len() * pixels;
    gathered.resize(rows * pitch, T::ZERO);
    for (m, image) in tile.clone().enumerate() {
        let planes = grad_y[start(image)..].chunks_exact(pixels).take(rows);
        for (o, plane) in planes.enumerate() {
            gathered[o * pitch + m * pixels..][..pixels].copy_from_slice(plane);
        }
    }
    Matrix::new(gathered, rows, pitch, pitch)
}
