//! The product first: B planes for every output channel, then the filters sum them into the output.
//!
//! It is the other order turned round: the forward pass is a synthesis, the backward pass analyses
//! the upstream gradient with the adjoint filters. Cheaper where there are fewer output than input
//! channels.

use super::plane::{Direction, Planes, Workspace};
use super::product::{Matrix, Onto, multiply};
use super::{channels_per_block, images_per_part, pieces};
use crate::disjoint::Disjoint;
use crate::isa::Isa;
use crate::{Backward, Forward, Geometry, Gradients, Real};
use rayon::prelude::*;
use std::ops::Range;

/// The coefficients as `[channels_out · B, channels_in / groups]`, the order of the mixed planes.
fn mixing_rows<T: Real>(geometry: &Geometry, alpha: &[T]) -> Vec<T> {
    let (basis, inputs) = (geometry.basis(), geometry.group_in);
    let mut rows = Vec::with_capacity(alpha.len());
    for coefficients in alpha.chunks_exact(inputs * basis) {
        for b in 0..basis {
            rows.extend((0..inputs).map(|c| coefficients[c * basis + b]));
        }
    }
    rows
}

/// The rows of a block of output channels of a group.
fn mixing_block<'a, T>(geometry: &Geometry, mixing: &'a [T], group: usize, block: &Range<usize>) -> Matrix<'a, T> {
    let (basis, inputs) = (geometry.basis(), geometry.group_in);
    let start = (group * geometry.group_out + block.start) * basis * inputs;
    Matrix::new(&mixing[start..], block.len() * basis, inputs, inputs)
}

/// The input channels of a group of one image, `[channels_in / groups, pixels]`.
fn input_matrix<'a, T>(geometry: &Geometry, x: &'a [T], image: usize, group: usize) -> Matrix<'a, T> {
    let pixels = geometry.pixels_in();
    let start = (image * geometry.channels_in() + group * geometry.group_in) * pixels;
    Matrix::new(&x[start..], geometry.group_in, pixels, pixels)
}

fn output_plane(geometry: &Geometry, image: usize, group: usize, o: usize) -> Range<usize> {
    let plane = image * geometry.channels_out() + group * geometry.group_out + o;
    plane * geometry.pixels_out()..(plane + 1) * geometry.pixels_out()
}

pub(super) fn forward<T: Real>(geometry: &Geometry, call: &Forward<'_, T>, y: &mut [T], isa: Isa) {
    let direction = Direction::forward(geometry.order, &geometry.y, &geometry.x, call.taps);
    let mixing = mixing_rows(geometry, call.alpha);
    let (basis, pixels) = (geometry.basis(), geometry.pixels_in());
    let blocks: Vec<_> = pieces(geometry.group_out, channels_per_block(basis, pixels, geometry.group_out)).collect();
    let y = Disjoint::new(y);
    (0..geometry.batch * geometry.groups * blocks.len()).into_par_iter().for_each_init(
        || (Workspace::new(isa), Vec::new()),
        |(workspace, mixed), task| {
            let block = &blocks[task % blocks.len()];
            let group = task / blocks.len() % geometry.groups;
            let image = task / blocks.len() / geometry.groups;
            mixed.resize(block.len() * basis * pixels, T::ZERO);
            let rows = mixing_block(geometry, &mixing, group, block);
            multiply(mixed, pixels, Onto::Overwrite, rows, input_matrix(geometry, call.x, image, group));
            for (index, o) in block.clone().enumerate() {
                let planes = Planes { start: index * basis * pixels, pitch: pixels };
                workspace.synthesise_y(&direction, planes, mixed);
                // SAFETY: the only task with this image and output channel.
                let out = unsafe { y.part(output_plane(geometry, image, group, o)) };
                workspace.synthesise_x(&direction, out);
            }
        },
    );
}

/// Gradients of one task: one group over some images.
struct Partial<T> {
    group: usize,
    /// `[group_out · B, channels_in / groups]`.
    mixing: Vec<T>,
    sigma: [f64; 2],
}

pub(super) fn backward<T: Real>(geometry: &Geometry, call: &Backward<'_, T>, isa: Isa) -> Gradients<T> {
    let forward = Direction::forward(geometry.order, &geometry.y, &geometry.x, call.taps);
    let direction = |taps| Direction::adjoint(geometry.order, &geometry.y, &geometry.x, taps);
    let adjoint = direction(call.taps);
    let tangent = call.d_taps.filter(|_| call.wanted.sigma).map(direction);
    let mixing = mixing_rows(geometry, call.alpha);
    let (basis, pixels, wanted) = (geometry.basis(), geometry.pixels_in(), call.wanted);

    let blocks = pieces(geometry.group_out, channels_per_block(basis, pixels, geometry.group_out));
    let tasks: Vec<_> = pieces(geometry.batch, images_per_part(geometry.batch))
        .flat_map(|images| (0..geometry.groups).map(move |group| (images.clone(), group)))
        .collect();

    let mut grad_x = if wanted.x { vec![T::ZERO; call.x.len()] } else { Vec::new() };
    let shared_x = Disjoint::new(&mut grad_x);
    let partials: Vec<Partial<T>> = tasks
        .into_par_iter()
        .map_init(
            || (Workspace::new(isa), Vec::new(), Vec::new()),
            |(workspace, panel, mixed), (images, group)| {
                let mut partial = Partial { group, mixing: Vec::new(), sigma: [0.0; 2] };
                if wanted.alpha {
                    partial.mixing.resize(geometry.group_out * basis * geometry.group_in, T::ZERO);
                }
                for (image, block) in images.flat_map(|image| blocks.clone().map(move |block| (image, block))) {
                    let rows = block.len() * basis;
                    let input = input_matrix(geometry, call.x, image, group);
                    let coefficients = mixing_block(geometry, &mixing, group, &block);
                    panel.resize(rows * pixels, T::ZERO);
                    if tangent.is_some() {
                        mixed.resize(rows * pixels, T::ZERO);
                        multiply(mixed, pixels, Onto::Overwrite, coefficients, input);
                    }
                    for (index, o) in block.clone().enumerate() {
                        let planes = Planes { start: index * basis * pixels, pitch: pixels };
                        let upstream = &call.grad_y[output_plane(geometry, image, group, o)];
                        workspace.analyse(&adjoint, upstream, 0..geometry.y.input, planes, panel);
                        if let Some(tangent) = &tangent {
                            workspace.synthesise_y(&forward, planes, mixed);
                            let [by_y, by_x] = workspace.sigma(tangent, upstream, planes, mixed);
                            partial.sigma[0] += by_y;
                            partial.sigma[1] += by_x;
                        }
                    }
                    let responses = Matrix::new(panel, rows, pixels, pixels);
                    if wanted.alpha {
                        let start = block.start * basis * geometry.group_in;
                        let out = &mut partial.mixing[start..];
                        multiply(out, geometry.group_in, Onto::Add, responses, input.transposed());
                    }
                    if wanted.x {
                        let start = (image * geometry.channels_in() + group * geometry.group_in) * pixels;
                        // SAFETY: the only task with this image and group.
                        let out = unsafe { shared_x.part(start..start + geometry.group_in * pixels) };
                        multiply(out, pixels, Onto::Add, coefficients.transposed(), responses);
                    }
                }
                partial
            },
        )
        .collect();

    let mut grad_alpha = if wanted.alpha { vec![T::ZERO; call.alpha.len()] } else { Vec::new() };
    let mut sigma = [0.0; 2];
    let inputs = geometry.group_in;
    for partial in &partials {
        sigma[0] += partial.sigma[0];
        sigma[1] += partial.sigma[1];
        for (row, from) in partial.mixing.chunks_exact(inputs).enumerate() {
            let (o, b) = (partial.group * geometry.group_out + row / basis, row % basis);
            for (c, &from) in from.iter().enumerate() {
                grad_alpha[(o * inputs + c) * basis + b] += from;
            }
        }
    }
    Gradients {
        x: wanted.x.then_some(grad_x),
        alpha: wanted.alpha.then_some(grad_alpha),
        bias: None,
        sigma: wanted.sigma.then_some(sigma),
    }
}
