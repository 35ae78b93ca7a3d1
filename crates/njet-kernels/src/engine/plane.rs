//! The filters over one plane: all responses of a channel, and the adjoint.
//!
//! A pass goes in one of two directions between the grid of the input and the grid of the output.
//! Each is described, for each axis, by a [`Placement`]: where the samples of the source land in a
//! line of zeros, which outputs are read off it. So padding, stride, border and the adjoint of all
//! three are one piece of code:
//!
//! | direction | source → result | sample `i` lands at | result `o` starts at | taps |
//! |---|---|---|---|---|
//! | forward | input → output | `pad + i` | `o · stride` | as they are |
//! | adjoint | output → input | `2R − pad + i · stride` | `o` | read backwards |

use super::fir::{Bank, LANES, Line};
use crate::geometry::jet_index;
use crate::isa::{Body, Isa};
use crate::sum::sum;
use crate::{Axis, Real, Taps};
use std::ops::Range;

/// How one axis of a source grid becomes one axis of a result grid.
#[derive(Debug, Clone, Copy)]
struct Placement {
    /// Samples of the source.
    source: usize,
    /// Where sample 0 lands; it may lie before the line.
    offset: isize,
    /// Distance between neighbouring samples.
    spread: usize,
    /// Length of the line.
    line: usize,
    /// Results.
    result: usize,
    /// Distance between the starts of neighbouring results.
    keep: usize,
}

impl Placement {
    fn forward(axis: &Axis) -> Self {
        Self {
            source: axis.input,
            offset: axis.pad as isize,
            spread: 1,
            line: (axis.output - 1) * axis.stride + axis.taps(),
            result: axis.output,
            keep: axis.stride,
        }
    }

    fn adjoint(axis: &Axis) -> Self {
        Self {
            source: axis.output,
            offset: 2 * axis.radius as isize - axis.pad as isize,
            spread: axis.stride,
            line: axis.input + 2 * axis.radius,
            result: axis.input,
            keep: 1,
        }
    }

    /// Place of sample `i` in the line; those outside meet no result.
    #[inline(always)]
    fn place(&self, i: usize) -> Option<usize> {
        let at = self.offset + (i * self.spread) as isize;
        (0..self.line as isize).contains(&at).then_some(at as usize)
    }

    /// The sample at place `at` of the line, if one landed there.
    #[inline(always)]
    fn sample_at(&self, at: usize) -> Option<usize> {
        let distance = usize::try_from(at as isize - self.offset).ok()?;
        (distance.is_multiple_of(self.spread) && distance / self.spread < self.source).then(|| distance / self.spread)
    }

    /// Results of the line before those that fall between are dropped.
    fn dense(&self) -> usize {
        (self.result - 1) * self.keep + 1
    }

    /// Lays `samples` into `line`, zeros elsewhere.
    #[inline(always)]
    fn lay<T: Real>(&self, samples: &[T], line: &mut [T]) {
        let line = &mut line[..self.line];
        if self.spread > 1 {
            line.fill(T::ZERO);
            for (i, &sample) in samples.iter().enumerate() {
                if let Some(at) = self.place(i) {
                    line[at] = sample;
                }
            }
            return;
        }
        let skip = (-self.offset).max(0) as usize;
        let start = (self.offset.max(0) as usize).min(self.line);
        let count = self.source.saturating_sub(skip).min(self.line - start);
        line[..start].fill(T::ZERO);
        if count > 0 {
            line[start..start + count].copy_from_slice(&samples[skip..skip + count]);
        }
        line[start + count..].fill(T::ZERO);
    }

    /// Copies every `keep`-th of `dense` into `out`.
    #[inline(always)]
    fn thin<T: Real>(&self, dense: &[T], out: &mut [T]) {
        for (o, &value) in out.iter_mut().zip(dense.iter().step_by(self.keep)) {
            *o = value;
        }
    }
}

/// The filters of a layer in one direction.
#[derive(Debug, Clone)]
pub(super) struct Direction<T> {
    order: usize,
    y: Placement,
    x: Placement,
    taps_y: Bank<T>,
    taps_x: Bank<T>,
}

impl<T: Real> Direction<T> {
    pub(super) fn forward(order: usize, y: &Axis, x: &Axis, taps: Taps<'_, T>) -> Self {
        Self {
            order,
            y: Placement::forward(&y.trimmed()),
            x: Placement::forward(&x.trimmed()),
            taps_y: Bank::new(taps.y, order + 1, y.dead_taps()),
            taps_x: Bank::new(taps.x, order + 1, x.dead_taps()),
        }
    }

    pub(super) fn adjoint(order: usize, y: &Axis, x: &Axis, taps: Taps<'_, T>) -> Self {
        let forward = Self::forward(order, y, x, taps);
        Self {
            y: Placement::adjoint(&y.trimmed()),
            x: Placement::adjoint(&x.trimmed()),
            taps_y: forward.taps_y.flipped(),
            taps_x: forward.taps_x.flipped(),
            ..forward
        }
    }
}

/// B planes inside a larger array: plane `b` starts at `start + b · pitch`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planes {
    pub(super) start: usize,
    pub(super) pitch: usize,
}

impl Planes {
    #[inline(always)]
    fn at(&self, i: usize, j: usize) -> usize {
        self.start + jet_index(i, j) * self.pitch
    }
}

/// Intermediate lines and planes of one thread. The two stages of a pass leave their first halves
/// here, where [`sigma`](Workspace::sigma) reads them.
#[derive(Debug)]
pub(super) struct Workspace<T> {
    isa: Isa,
    /// Padded lines along x.
    lines: Vec<T>,
    /// Unthinned or derivative results.
    scratch: Vec<T>,
    /// The source filtered along x, `[order + 1, rows of the line along y, width of the result]`.
    along_x: Vec<T>,
    /// Padded planes on their way through the filter along y.
    padded: Vec<T>,
    /// Responses filtered and summed along y, `[order + 1, height of the result, width of the source]`.
    along_y: Vec<T>,
}

/// Makes `buffer` at least `len` long and hands out that much. Contents are whatever was there.
#[inline(always)]
fn room<T: Real>(buffer: &mut Vec<T>, len: usize) -> &mut [T] {
    if buffer.len() < len {
        buffer.resize(len, T::ZERO);
    }
    &mut buffer[..len]
}

impl<T: Real> Workspace<T> {
    pub(super) fn new(isa: Isa) -> Self {
        Self {
            isa,
            lines: Vec::new(),
            scratch: Vec::new(),
            along_x: Vec::new(),
            padded: Vec::new(),
            along_y: Vec::new(),
        }
    }

    /// All responses of `plane` at the result rows `rows`: plane `b` of `planes` in `out` becomes
    /// basis function `b` correlated with `plane`.
    pub(super) fn analyse(
        &mut self,
        direction: &Direction<T>,
        plane: &[T],
        rows: Range<usize>,
        planes: Planes,
        out: &mut [T],
    ) {
        self.isa.run(Analyse { workspace: self, direction, plane, rows, planes, out });
    }

    /// First half of the adjoint of [`analyse`](Self::analyse), kept inside: the planes filtered along
    /// y and summed over the orders along y.
    pub(super) fn synthesise_y(&mut self, direction: &Direction<T>, planes: Planes, source: &[T]) {
        self.isa.run(SynthesiseY { workspace: self, direction, planes, source });
    }

    /// Second half: along x, into `out`.
    pub(super) fn synthesise_x(&mut self, direction: &Direction<T>, out: &mut [T]) {
        self.isa.run(SynthesiseX { workspace: self, direction, out });
    }

    /// `[Σ upstream · ∂response/∂σy, Σ upstream · ∂response/∂σx]`, where the responses are those of
    /// `plane` in the direction `tangent` (which holds the derivatives of the taps). The last
    /// `analyse` must have been of `plane`, all rows, and the last `synthesise_y` of `upstream`.
    pub(super) fn sigma(&mut self, tangent: &Direction<T>, plane: &[T], planes: Planes, upstream: &[T]) -> [f64; 2] {
        self.isa.run(Sigma { workspace: self, tangent, plane, planes, upstream })
    }
}

struct Analyse<'a, T> {
    workspace: &'a mut Workspace<T>,
    direction: &'a Direction<T>,
    plane: &'a [T],
    rows: Range<usize>,
    planes: Planes,
    out: &'a mut [T],
}

impl<T: Real> Body for Analyse<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Self { workspace, direction, plane, rows, planes, out } = self;
        let (y, x, orders) = (&direction.y, &direction.x, direction.order + 1);
        let width = x.result;
        // The lines that the wanted rows read.
        let first = rows.start * y.keep;
        let count = (rows.len() - 1) * y.keep + 2 * direction.taps_y.radius() + 1;
        let area = count * width;
        let along_x = room(&mut workspace.along_x, orders * area + LANES);
        let line = room(&mut workspace.lines, x.line + LANES);
        for v in 0..count {
            match y.sample_at(first + v) {
                Some(row) => {
                    x.lay(&plane[row * x.source..][..x.source], line);
                    filter_line::<T, FUSED>(direction, line, &mut workspace.scratch, |n| n * area + v * width, along_x);
                }
                None => (0..orders).for_each(|n| along_x[n * area + v * width..][..width].fill(T::ZERO)),
            }
        }
        for j in 0..orders {
            let source = &along_x[j * area..];
            let start = |i| planes.at(i, j);
            if y.keep == 1 {
                let line = Line { source, step: width, len: rows.len() * width };
                direction.taps_y.analyse::<FUSED>(line, orders - j, start, out);
            } else {
                for r in 0..rows.len() {
                    let line = Line { source: &source[r * y.keep * width..], step: width, len: width };
                    direction.taps_y.analyse::<FUSED>(line, orders - j, |i| start(i) + r * width, out);
                }
            }
        }
    }
}

/// Every order along x of one padded line, into `out` from `start(order)` on.
#[inline(always)]
fn filter_line<T: Real, const FUSED: bool>(
    direction: &Direction<T>,
    line: &[T],
    scratch: &mut Vec<T>,
    start: impl Fn(usize) -> usize,
    out: &mut [T],
) {
    let (x, orders) = (&direction.x, direction.order + 1);
    let dense = x.dense();
    let source = Line { source: line, step: 1, len: dense };
    if x.keep == 1 {
        direction.taps_x.analyse::<FUSED>(source, orders, start, out);
    } else {
        let scratch = room(scratch, orders * dense);
        direction.taps_x.analyse::<FUSED>(source, orders, |n| n * dense, scratch);
        for n in 0..orders {
            x.thin(&scratch[n * dense..][..dense], &mut out[start(n)..][..x.result]);
        }
    }
}

struct SynthesiseY<'a, T> {
    workspace: &'a mut Workspace<T>,
    direction: &'a Direction<T>,
    planes: Planes,
    source: &'a [T],
}

impl<T: Real> Body for SynthesiseY<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Self { workspace, direction, planes, source } = self;
        let (y, orders, width) = (&direction.y, direction.order + 1, direction.x.source);
        let padded_area = y.line * width;
        let padded = room(&mut workspace.padded, orders * padded_area + LANES);
        let area = y.result * width;
        let along_y = room(&mut workspace.along_y, orders * area + LANES);
        // Rows are laid into the padded plane as samples are into a line.
        for j in 0..orders {
            for i in 0..orders - j {
                let plane = &source[planes.at(i, j)..][..y.source * width];
                let padded = &mut padded[i * padded_area..][..padded_area];
                for (v, row) in padded.chunks_exact_mut(width).enumerate() {
                    match y.sample_at(v) {
                        Some(r) => row.copy_from_slice(&plane[r * width..][..width]),
                        None => row.fill(T::ZERO),
                    }
                }
            }
            let out = &mut along_y[j * area..][..area];
            let runs = if y.keep == 1 { 1 } else { y.result };
            let len = area / runs;
            for r in 0..runs {
                let line = Line { source: &padded[r * y.keep * width..], step: width, len };
                let out = &mut out[r * len..][..len];
                direction.taps_y.synthesise::<FUSED>(line, orders - j, |i| i * padded_area, out);
            }
        }
    }
}

struct SynthesiseX<'a, T> {
    workspace: &'a mut Workspace<T>,
    direction: &'a Direction<T>,
    out: &'a mut [T],
}

impl<T: Real> Body for SynthesiseX<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Self { workspace, direction, out } = self;
        let (y, x, orders) = (&direction.y, &direction.x, direction.order + 1);
        let area = y.result * x.source;
        let dense = x.dense();
        let lines = room(&mut workspace.lines, orders * x.line + LANES);
        let scratch = room(&mut workspace.scratch, dense);
        for (r, out) in out.chunks_exact_mut(x.result).enumerate() {
            for (j, line) in lines.chunks_exact_mut(x.line).take(orders).enumerate() {
                x.lay(&workspace.along_y[j * area + r * x.source..][..x.source], line);
            }
            let line = Line { source: lines, step: 1, len: dense };
            let out_dense = if x.keep == 1 { &mut *out } else { &mut *scratch };
            direction.taps_x.synthesise::<FUSED>(line, orders, |j| j * x.line, out_dense);
            if x.keep > 1 {
                x.thin(scratch, out);
            }
        }
    }
}

struct Sigma<'a, T> {
    workspace: &'a mut Workspace<T>,
    tangent: &'a Direction<T>,
    plane: &'a [T],
    planes: Planes,
    upstream: &'a [T],
}

impl<T: Real> Body for Sigma<'_, T> {
    type Output = [f64; 2];
    #[inline(always)]
    fn run<const FUSED: bool>(self) -> [f64; 2] {
        let Self { workspace, tangent, plane, planes, upstream } = self;
        let (y, x, orders) = (&tangent.y, &tangent.x, tangent.order + 1);
        let width = x.result;
        let [mut by_y, mut by_x] = [0.0; 2];
        // Along y: the lines filtered along x meet the derivative taps.
        let line_area = y.line * width;
        let area = y.result * width;
        let runs = if y.keep == 1 { 1 } else { y.result };
        let len = area / runs;
        let scratch = room(&mut workspace.scratch, orders * len.max(x.dense()).max(width));
        for j in 0..orders {
            for r in 0..runs {
                let source = &workspace.along_x[j * line_area + r * y.keep * width..];
                tangent.taps_y.analyse::<FUSED>(Line { source, step: width, len }, orders - j, |i| i * len, scratch);
                for i in 0..orders - j {
                    by_y += dot(&scratch[i * len..][..len], &upstream[planes.at(i, j) + r * len..][..len]);
                }
            }
        }
        // Along x: the upstream planes summed along y meet the source under the derivative taps.
        let lines = room(&mut workspace.lines, x.line + LANES);
        let filtered = room(&mut workspace.padded, orders * width);
        let along_y_area = y.source * width;
        for row in 0..y.source {
            x.lay(&plane[row * x.source..][..x.source], lines);
            filter_line::<T, FUSED>(tangent, lines, &mut workspace.scratch, |n| n * width, filtered);
            for j in 0..orders {
                let upstream = &workspace.along_y[j * along_y_area + row * width..][..width];
                by_x += dot(&filtered[j * width..][..width], upstream);
            }
        }
        [by_y, by_x]
    }
}

#[inline(always)]
fn dot<T: Real>(a: &[T], b: &[T]) -> f64 {
    sum(a, b, |a, b| a * b)
}
