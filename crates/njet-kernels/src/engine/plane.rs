//! The filters over one plane: all responses of a channel, and the adjoint.

use super::filters::{Filters, Regular};
use super::fir::Bank;
use super::line::{Plans, Rows};
use super::padded::Padded;
use super::pieces;
use super::placement::{Direction, Placement};
use super::positioned;
use super::strips::Strips;
use super::workspace::Buffer;
use crate::Real;
use crate::disjoint::as_uninit;
use crate::geometry::jet_index;
use crate::isa::Isa;
use crate::simd::{STRIP, VectorBody, Vectors};
use crate::sum::Dot;
use std::mem::MaybeUninit;
use std::ops::Range;

/// B planes inside a larger array: plane `b` starts at `start + b · pitch`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planes {
    pub(super) start: usize,
    pub(super) pitch: usize,
    /// Rows of zeros above and below each.
    pub(super) border: usize,
}

impl Planes {
    #[inline(always)]
    pub(super) fn at(&self, i: usize, j: usize) -> usize {
        self.start + jet_index(i, j) * self.pitch
    }
}

/// Intermediate lines and planes of one thread. The two directions of a pass leave their first halves
/// here, where [`sigma`](Stages::sigma) reads them.
#[derive(Debug)]
pub(super) struct Stages<T> {
    /// Some rows between margins.
    lines: Buffer<T>,
    /// The fields of a register of columns.
    column: Buffer<T>,
    /// Results between strides.
    scratch: Buffer<T>,
    /// The analysed plane filtered along x with the taps, `[order + 1, slots, width]` with margins;
    fields: Buffer<T>,
    /// with their derivatives, `[order + 1, slots, width]`.
    tangent_fields: Buffer<T>,
    /// Elements between the planes of both,
    margin: usize,
    /// the rows that they have, as slots, and those between that hold samples.
    slots: Range<usize>,
    spread: usize,
    /// Planes with rows of zeros between their rows, where there is a stride.
    spread_rows: Buffer<T>,
    /// The synthesised planes filtered and summed along y with the taps, `[order + 1, rows, width]` with
    /// room for a strip after each;
    sums: Buffer<T>,
    /// with their derivatives.
    tangent_sums: Buffer<T>,
    /// The strips of each half of the two passes.
    analyse_x: Plans,
    analyse_y: Plans,
    synthesise_y: Plans,
    synthesise_x: Plans,
    /// Of filters that differ from output to output.
    positioned: positioned::Stages<T>,
}

impl<T> Default for Stages<T> {
    fn default() -> Self {
        Self {
            lines: Buffer::default(),
            column: Buffer::default(),
            scratch: Buffer::default(),
            fields: Buffer::default(),
            tangent_fields: Buffer::default(),
            margin: STRIP,
            slots: 0..0,
            spread: 1,
            spread_rows: Buffer::default(),
            sums: Buffer::default(),
            tangent_sums: Buffer::default(),
            analyse_x: Plans::default(),
            analyse_y: Plans::default(),
            synthesise_y: Plans::default(),
            synthesise_x: Plans::default(),
            positioned: positioned::Stages::default(),
        }
    }
}

/// Elements between planes with `border` rows of zeros between them, and at least a strip.
#[inline(always)]
pub(super) fn margin(border: usize, width: usize) -> usize {
    (border * width).next_multiple_of(STRIP).max(STRIP)
}

/// Elements of `count` planes of `area` elements with margins before, between and after, and what the last strip reads
/// beyond.
pub(super) fn with_margins(count: usize, area: usize, margin: usize) -> usize {
    count * (area + margin) + margin + STRIP
}

/// Clears the margins of [`with_margins`].
#[inline(always)]
pub(super) fn clear_margins<T: Real>(planes: &mut [T], area: usize, margin: usize) {
    for plane in planes.chunks_mut(area + margin) {
        let len = margin.min(plane.len());
        plane[..len].fill(T::ZERO);
    }
}

/// Where the responses of [`Stages::analyse`] go.
pub(super) struct Responses<'a, T> {
    pub(super) out: &'a mut [T],
    pub(super) planes: Planes,
    /// Elements between strips of pixels.
    pub(super) strip_pitch: usize,
}

impl<T: Real> Stages<T> {
    /// All responses of `plane` at the result rows `rows`.
    pub(super) fn analyse(
        &mut self,
        isa: Isa,
        filters: Filters<'_, T>,
        plane: &[T],
        rows: Range<usize>,
        mut responses: Responses<'_, T>,
    ) {
        match filters {
            Filters::Regular(filters) if self.by_columns(isa, filters, plane, rows.clone(), &mut responses) => {}
            Filters::Regular(filters) => {
                T::dispatch(isa, Analyse { stages: self, filters, plane, rows, responses: Some(responses) });
            }
            Filters::Positioned(filters) => self.positioned.analyse(isa, filters, plane, rows, Some(responses)),
        }
    }

    /// The first half of [`analyse`](Self::analyse), all rows: what [`sigma`](Self::sigma) needs of it.
    pub(super) fn analyse_x(&mut self, isa: Isa, filters: Filters<'_, T>, plane: &[T]) {
        match filters {
            Filters::Regular(filters) => {
                let rows = 0..filters.taps.y.result;
                T::dispatch(isa, Analyse { stages: self, filters, plane, rows, responses: None });
            }
            Filters::Positioned(filters) => self.positioned.analyse(isa, filters, plane, 0..0, None),
        }
    }

    /// The adjoint of [`analyse`](Self::analyse): B planes, each with a margin of zeros before and after (at least the rows that
    /// `planes` says), are filtered and summed into `out`. Without the gradient of σ.
    pub(super) fn synthesise(
        &mut self,
        isa: Isa,
        filters: Filters<'_, T>,
        planes: Planes,
        source: &[T],
        out: Option<&mut [MaybeUninit<T>]>,
    ) {
        debug_assert!(!filters.have_tangents());
        self.synthesise_for_sigma(isa, [filters; 2], planes, source, out, |_, _| {});
    }

    /// The same. Where the filters have derivatives, `add` is handed the number of each array of them (0, unless outputs
    /// have taps of their own) and `[Σ upstream · ∂response/∂σy, Σ upstream · ∂response/∂σx]`. The planes are upstream, and
    /// the last `analyse` (or `analyse_x`), with the filters `analysed`, of all rows, was of the plane that responds; or the
    /// other way round.
    ///
    /// Along x the plane under the derivative taps meets the upstream planes summed along y; along y the plane filtered
    /// along x meets the upstream planes under the derivative taps.
    pub(super) fn synthesise_for_sigma(
        &mut self,
        isa: Isa,
        [filters, analysed]: [Filters<'_, T>; 2],
        planes: Planes,
        source: &[T],
        mut out: Option<&mut [MaybeUninit<T>]>,
        mut add: impl FnMut(usize, [f64; 2]),
    ) {
        let wanted = filters.have_tangents();
        match filters {
            Filters::Regular(filters) => {
                if let Some(by) = self.by_bands(isa, filters, planes, source, &mut out) {
                    if wanted {
                        add(0, by);
                    }
                    return;
                }
                T::dispatch(isa, Synthesise { stages: self, filters, planes, source, out });
            }
            Filters::Positioned(filters) => self.positioned.synthesise(isa, filters, planes, source, out),
        }
        if wanted {
            self.sigma(isa, analysed, add);
        }
    }

    /// The second half of [`synthesise`](Self::synthesise): along x, into `out`.
    pub(super) fn synthesise_x(&mut self, isa: Isa, taps: &Direction<T>, out: &mut [MaybeUninit<T>]) {
        T::dispatch(isa, SynthesiseX { stages: self, taps, out });
    }

    /// Rows of samples, those of the slots `slots`, for filters down the columns, and room.
    #[inline(always)]
    pub(super) fn lay_columns(
        &mut self,
        x: &Placement,
        radius: usize,
        samples: &[T],
        slots: Range<usize>,
        room: Room,
    ) -> Laid<'_, T> {
        let Room { column, kept, scratch } = room;
        let rows = slots.len();
        let padded = Padded { rows, ..Padded::new(x, radius) };
        let lines = self.lines.room(padded.margin + rows * padded.pitch + ROOM);
        padded.lay(x, samples.chunks_exact(x.source), lines);
        let room = if kept > 0 { with_margins(kept, rows * x.result, STRIP) } else { 0 };
        (self.slots, self.spread, self.margin) = (slots, 1, STRIP);
        let (fields, tangents) = (self.fields.room(room), self.tangent_fields.room(room));
        let (column, scratch) = (self.column.room(column), self.scratch.room(scratch));
        Laid { lines, pitch: padded.pitch, first: padded.margin, column, fields, tangents, scratch }
    }

    /// The rows that the last analysis filtered along x, and the results, `[order + 1, slots, width]` with
    /// margins.
    pub(super) fn slots(&self) -> Range<usize> {
        self.slots.clone()
    }

    pub(super) fn fields(&self) -> &[T] {
        &self.fields
    }

    /// Room for the sums of a band, and the fields of the last analysis, of rows of `width`, if they are of rows
    /// that follow one another.
    #[inline(always)]
    pub(super) fn for_bands(&mut self, lines: usize, width: usize) -> (&mut [T], KeptFields<'_, T>) {
        let margin = self.margin.min(self.fields.len());
        let kept = KeptFields {
            fields: &self.fields[margin..],
            tangents: &self.tangent_fields,
            pitch: self.slots.len() * width + self.margin,
            rows: if self.spread == 1 { self.slots.clone() } else { 0..0 },
        };
        (self.lines.room(lines), kept)
    }

    /// Stages that have been used: what a call does not write itself is no number.
    #[cfg(test)]
    pub(super) fn used() -> Self {
        let mut stages = Self::default();
        for buffer in [&mut stages.lines, &mut stages.column, &mut stages.scratch] {
            buffer.room(1 << 16).fill(T::from_f64(f64::NAN));
        }
        stages
    }

    /// The fields of the last analysis and those under the derivatives of the taps, `[orders, slots, width]`.
    #[cfg(test)]
    pub(super) fn kept_fields(&self, orders: usize, width: usize) -> [Vec<T>; 2] {
        let area = self.slots.len() * width;
        [(&self.fields, self.margin), (&self.tangent_fields, 0)].map(|(fields, first)| {
            let field = |n: usize| fields.iter().skip(first + n * (area + self.margin)).take(area);
            (0..orders).flat_map(field).copied().collect()
        })
    }

    /// Rows with margins, and the sums along y with the taps and with their derivatives.
    pub(super) fn for_fan(&mut self) -> ([&mut Buffer<T>; 3], &mut Plans) {
        ([&mut self.spread_rows, &mut self.sums, &mut self.tangent_sums], &mut self.synthesise_y)
    }

    /// The same, and the strips along y, for [`gather_y`](Self::gather_y).
    pub(super) fn for_gather(&mut self) -> (&[T], &mut Plans) {
        (&self.fields, &mut self.analyse_y)
    }

    /// What [`synthesise_for_sigma`](Self::synthesise_for_sigma) hands out, from the sums that are kept.
    pub(super) fn sigma(&self, isa: Isa, filters: Filters<'_, T>, mut add: impl FnMut(usize, [f64; 2])) {
        match filters {
            Filters::Regular(filters) => add(0, self.regular_sigma(isa, filters)),
            Filters::Positioned(filters) => self.positioned.sigma(isa, filters, add),
        }
    }

    fn regular_sigma(&self, isa: Isa, filters: Regular<'_, T>) -> [f64; 2] {
        let (y, width) = (filters.taps.y, filters.taps.x.result);
        let (area, pitch) = (y.source * width, y.source * width + STRIP);
        let field = self.slots.len() * width + self.margin;
        let [mut by_y, mut by_x] = [0.0; 2];
        let dot = |a, b| isa.run(Dot { a, b });
        for j in 0..=filters.taps.order {
            let (fields, tangents) = (&self.fields[j * field + self.margin..], &self.tangent_fields[j * field..]);
            let (sums, tangent_sums) = (&self.sums[j * pitch..][..area], &self.tangent_sums[j * pitch..][..area]);
            if self.spread == 1 {
                let rows = self.slots.start * width..self.slots.end * width;
                by_y += dot(&fields[..rows.len()], &tangent_sums[rows.clone()]);
                by_x += dot(&tangents[..rows.len()], &sums[rows]);
            } else {
                for row in 0..y.source {
                    let slot = row * self.spread;
                    if self.slots.contains(&slot) {
                        let at = (slot - self.slots.start) * width;
                        by_y += dot(&fields[at..][..width], &tangent_sums[row * width..][..width]);
                        by_x += dot(&tangents[at..][..width], &sums[row * width..][..width]);
                    }
                }
            }
        }
        [by_y, by_x]
    }
}

/// Fields that an analysis has left, `[order + 1, rows, width]`.
pub(super) struct KeptFields<'a, T> {
    pub(super) fields: &'a [T],
    /// Those under the derivatives of the taps.
    pub(super) tangents: &'a [T],
    /// Elements from one field to the next.
    pub(super) pitch: usize,
    /// The rows of samples that they are of.
    pub(super) rows: Range<usize>,
}

struct Analyse<'a, T> {
    stages: &'a mut Stages<T>,
    filters: Regular<'a, T>,
    plane: &'a [T],
    rows: Range<usize>,
    responses: Option<Responses<'a, T>>,
}

/// Elements after laid rows that the last columns may read beyond them.
const ROOM: usize = 3 * STRIP;

/// What [`Stages::lay_columns`] makes room for.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Elements of a register of columns.
    pub(super) column: usize,
    /// Fields, which then count as those of the last analysis.
    pub(super) kept: usize,
    /// Other elements.
    pub(super) scratch: usize,
}

/// See [`Stages::lay_columns`].
pub(super) struct Laid<'a, T> {
    /// Rows between zeros, so that no tap along x reads a neighbour, with room for some registers after the last,
    pub(super) lines: &'a [T],
    /// elements from one to the next,
    pub(super) pitch: usize,
    /// and where sample 0 of the first stands.
    pub(super) first: usize,
    pub(super) column: &'a mut [T],
    /// As those that [`Stages::sigma`] reads.
    pub(super) fields: &'a mut [T],
    pub(super) tangents: &'a mut [T],
    pub(super) scratch: &'a mut [T],
}

impl<T: Real> VectorBody<T> for Analyse<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vectors<T>, const R: usize>(self, v: V) {
        let Self { stages, filters: Regular { taps, tangent }, plane, rows, responses } = self;
        let (y, x, orders) = (&taps.y, &taps.x, taps.order + 1);
        let width = x.result;
        let slots = y.read(&rows, taps.taps_y.radius());
        let area = slots.len() * width;
        // What only the gradient of σ reads needs no rows of zeros.
        let border = if responses.is_some() { taps.border() } else { 0 };
        let margin = margin(border, width);
        let room = with_margins(orders, area, margin);
        let fields = stages.fields.room(room);
        let tangents = stages.tangent_fields.room(if tangent.is_some() { room } else { 0 });
        let padded = Padded::new(x, taps.taps_x.radius());
        let lines = stages.lines.room(STRIP + padded.len());
        // The slots that hold samples.
        let first = slots.start.next_multiple_of(y.spread).min(slots.end);
        for chunk in pieces((slots.end - first).div_ceil(y.spread), padded.rows) {
            let sample = first / y.spread + chunk.start;
            let samples = plane[sample * x.source..].chunks_exact(x.source).take(chunk.len());
            padded.lay(x, samples, &mut lines[STRIP..]);
            let to = RowsTo {
                // What is written past a row's end the next row overwrites.
                start: (first + chunk.start * y.spread - slots.start) * width,
                order: area + margin,
                row: y.spread * width,
                rows: chunk.len(),
            };
            for (direction, out) in [(Some(taps), &mut fields[margin..]), (tangent, &mut *tangents)] {
                if let Some(direction) = direction {
                    let plans = &mut stages.analyse_x;
                    filter_rows::<T, V, R>(v, direction, &padded, lines, plans, &mut stages.scratch, to, out);
                }
            }
        }
        for slot in slots.clone().filter(|slot| slot % y.spread != 0) {
            let row = (slot - slots.start) * width;
            (0..orders).for_each(|n| fields[margin + n * (area + margin) + row..][..width].fill(T::ZERO));
        }
        clear_margins(fields, area, margin);
        (stages.slots, stages.spread, stages.margin) = (slots.clone(), y.spread, margin);
        let Some(Responses { out, planes, strip_pitch }) = responses else {
            return;
        };
        let out = Strips::apart(out, strip_pitch);
        // With a stride the rows of results do not follow one another as strips: they are filtered apart and
        // put in order afterwards.
        let apart = y.keep > 1;
        let pitch = width.next_multiple_of(STRIP);
        let scratch = stages.scratch.room(if apart { orders * (orders + 1) / 2 * pitch } else { 0 });
        let runs = if apart { rows.len() } else { 1 };
        for r in 0..runs {
            let line = y.bordered(&slots, border, rows.start + r, width, rows.len() * width / runs);
            let plan = stages.analyse_y.of(line, Rows::ONE, taps.taps_y.radius());
            let (row_out, place) = if apart {
                (&Strips::apart(scratch, STRIP), Planes { start: 0, pitch, border: 0 })
            } else {
                (&out, planes)
            };
            let (origin, count) = (|j| margin + j * (area + margin) - border * width, |j| orders - j);
            taps.taps_y.analyse::<V, R, _>(v, plan, fields, orders, origin, count, |i, j| place.at(i, j), row_out);
            for (i, j) in (0..if apart { orders } else { 0 }).flat_map(|j| (0..orders - j).map(move |i| (i, j))) {
                out.scatter(planes.at(i, j), r * width, &scratch[place.at(i, j)..][..width]);
            }
        }
    }
}

/// Where rows go that are filtered along x: row `r` of order `n` from `start + n · order + r · row` on.
#[derive(Clone, Copy)]
struct RowsTo {
    start: usize,
    order: usize,
    row: usize,
    rows: usize,
}

/// Every order along x of laid rows.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn filter_rows<T: Real, V: Vectors<T>, const R: usize>(
    v: V,
    direction: &Direction<T>,
    padded: &Padded,
    lines: &[T],
    plans: &mut Plans,
    scratch: &mut Buffer<T>,
    to: RowsTo,
    out: &mut [T],
) {
    let (x, bank, orders) = (&direction.x, &direction.taps_x, direction.order + 1);
    let thinned = x.keep > 1;
    // Whole strips, so that no row is written over another's beginning.
    let pitch = x.dense().next_multiple_of(STRIP);
    let scratch = scratch.room(if thinned { orders * to.rows * pitch } else { 0 });
    let dense = RowsTo { start: 0, order: to.rows * pitch, row: pitch, ..to };
    let (strips, at) = if thinned { (Strips::plain(scratch), dense) } else { (Strips::plain(out), to) };
    let rows = Rows { count: to.rows, outputs: at.row, samples: padded.pitch };
    let plan = plans.of(x.padded(padded.margin), rows, bank.radius());
    bank.analyse::<V, R, _>(v, plan, lines, 1, |_| STRIP, |_| orders, |n, _| at.start + n * at.order, &strips);
    if thinned {
        for (n, r) in (0..orders).flat_map(|n| (0..to.rows).map(move |r| (n, r))) {
            let out = &mut out[to.start + n * to.order + r * to.row..][..x.result];
            thin(&scratch[n * dense.order + r * pitch..][..x.dense()], x.keep, as_uninit(out));
        }
    }
}

/// Copies every `keep`-th of `dense` into `out`.
#[inline(always)]
fn thin<T: Real>(dense: &[T], keep: usize, out: &mut [MaybeUninit<T>]) {
    for (o, &value) in out.iter_mut().zip(dense.iter().step_by(keep)) {
        o.write(value);
    }
}

struct Synthesise<'a, T> {
    stages: &'a mut Stages<T>,
    filters: Regular<'a, T>,
    planes: Planes,
    source: &'a [T],
    out: Option<&'a mut [MaybeUninit<T>]>,
}

impl<T: Real> VectorBody<T> for Synthesise<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vectors<T>, const R: usize>(self, v: V) {
        let Self { stages, filters: Regular { taps, tangent }, planes, source, out } = self;
        let (y, orders, width) = (&taps.y, taps.order + 1, taps.x.source);
        let area = y.result * width;
        // Room after each plane for the rest of its last strip.
        let pitch = area + STRIP;
        let sums = stages.sums.room(orders * pitch);
        let tangent_sums = stages.tangent_sums.room(if tangent.is_some() { orders * pitch } else { 0 });
        let slots = 0..y.slots();
        let (rows, origins): (&[T], _) =
            if y.spread == 1 { (source, planes) } else { spread_rows(taps, planes, source, &mut stages.spread_rows) };
        let runs = if y.keep == 1 { 1 } else { y.result };
        let len = area / runs;
        for r in 0..runs {
            let line = y.bordered(&slots, origins.border, r, width, len);
            let plan = stages.synthesise_y.of(line, Rows::ONE, taps.taps_y.radius());
            let (origin, count, start) =
                (|i, j| origins.at(i, j) - origins.border * width, |j| orders - j, |j| j * pitch);
            let out = Strips::plain(&mut sums[r * len..]);
            match tangent {
                None => {
                    Bank::synthesise::<V, R, _, 1>([&taps.taps_y], v, plan, rows, orders, origin, count, start, [&out])
                }
                Some(tangent) => Bank::synthesise::<V, R, _, 2>(
                    [&taps.taps_y, &tangent.taps_y],
                    v,
                    plan,
                    rows,
                    orders,
                    origin,
                    count,
                    start,
                    [&out, &Strips::plain(&mut tangent_sums[r * len..])],
                ),
            }
        }
        if let Some(out) = out {
            SynthesiseX { stages, taps, out }.run::<V, R>(v);
        }
    }
}

/// The second half of a synthesis: along x.
struct SynthesiseX<'a, T> {
    stages: &'a mut Stages<T>,
    taps: &'a Direction<T>,
    out: &'a mut [MaybeUninit<T>],
}

impl<T: Real> VectorBody<T> for SynthesiseX<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vectors<T>, const R: usize>(self, v: V) {
        let Self { stages, taps, out } = self;
        let (y, x, orders, width) = (&taps.y, &taps.x, taps.order + 1, taps.x.source);
        let pitch = y.result * width + STRIP;
        let (thinned, dense_pitch) = (x.keep > 1, x.dense().next_multiple_of(STRIP));
        let padded = Padded::new(x, taps.taps_x.radius());
        let lines = stages.lines.room(STRIP + orders * padded.len());
        for chunk in pieces(y.result, padded.rows) {
            for (j, to) in lines[STRIP..].chunks_exact_mut(padded.len()).enumerate().take(orders) {
                let sums = &stages.sums[j * pitch + chunk.start * width..];
                padded.lay(x, sums.chunks_exact(width).take(chunk.len()), to);
            }
            let out = &mut out[chunk.start * x.result..];
            let scratch = stages.scratch.room(if thinned { chunk.len() * dense_pitch } else { 0 });
            let row = if thinned { dense_pitch } else { x.result };
            let rows = Rows { count: chunk.len(), outputs: row, samples: padded.pitch };
            let plan = stages.synthesise_x.of(x.padded(padded.margin), rows, taps.taps_x.radius());
            let strips = Strips::uninit(if thinned { as_uninit(scratch) } else { &mut *out });
            let origin = |n, _| STRIP + n * padded.len();
            Bank::synthesise::<V, R, _, 1>([&taps.taps_x], v, plan, lines, 1, origin, |_| orders, |_| 0, [&strips]);
            for r in 0..if thinned { chunk.len() } else { 0 } {
                thin(&scratch[r * dense_pitch..][..x.dense()], x.keep, &mut out[r * x.result..][..x.result]);
            }
        }
    }
}

/// The B planes with rows of zeros between their rows, as a stride needs them.
#[inline(always)]
fn spread_rows<'a, T: Real>(
    taps: &Direction<T>,
    planes: Planes,
    source: &[T],
    spread: &'a mut Buffer<T>,
) -> (&'a [T], Planes) {
    let (y, width, orders) = (&taps.y, taps.x.source, taps.order + 1);
    let area = y.slots() * width;
    let basis = orders * (orders + 1) / 2;
    let to = Planes { start: STRIP, pitch: area + STRIP, border: 0 };
    let spread = spread.room(with_margins(basis, area, STRIP));
    spread.fill(T::ZERO);
    for j in 0..orders {
        for i in 0..orders - j {
            let plane = &source[planes.at(i, j)..][..y.source * width];
            let rows = &mut spread[to.at(i, j)..][..area];
            for (row, samples) in rows.chunks_mut(y.spread * width).zip(plane.chunks_exact(width)) {
                row[..width].copy_from_slice(samples);
            }
        }
    }
    (spread, to)
}
