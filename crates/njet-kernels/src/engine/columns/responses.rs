//! All responses of a plane, down its columns.

use super::{FIELDS, Half, MANY_REGISTERS, fields, half, plain, with_diameter};
use crate::Real;
use crate::engine::filters::Regular;
use crate::engine::plane::{Laid, Planes, Responses, Stages};
use crate::isa::Isa;
use crate::simd::{STRIP, VectorBody, Vectors, prefetch};
use std::hint::black_box;
use std::ops::Range;

/// Responses of a plane.
const BASIS: usize = 6;

/// Results in a row from which on the columns pay: fewer would leave most of a register empty.
const LEAST_WIDTH: usize = 7;

/// The greatest diameters for which the windows of all fields fit into [`MANY_REGISTERS`], and those of two.
const THREE_FIELDS: usize = 9;
const TWO_FIELDS: usize = 11;

/// The greatest diameter: of 19 rows the compiler keeps the windows in memory.
const GREATEST: usize = 15;

impl<T: Real> Stages<T> {
    /// Writes all responses of `plane` at the result rows `rows`, and keeps its fields where the gradient of σ is
    /// wanted; or does nothing and returns false where the loops are not made for such filters, or such a machine.
    pub(in crate::engine) fn by_columns(
        &mut self,
        isa: Isa,
        filters: Regular<'_, T>,
        plane: &[T],
        rows: Range<usize>,
        responses: &mut Responses<'_, T>,
    ) -> bool {
        plain(filters.taps)
            && filters.taps.x.result >= LEAST_WIDTH
            && T::dispatch(isa, Columns { stages: self, filters, plane, rows, responses })
    }
}

struct Columns<'a, 'b, T> {
    stages: &'a mut Stages<T>,
    filters: Regular<'a, T>,
    plane: &'a [T],
    rows: Range<usize>,
    responses: &'a mut Responses<'b, T>,
}

impl<T: Real> VectorBody<T> for Columns<'_, '_, T> {
    type Output = bool;
    #[inline(always)]
    fn run<V: Vectors<T>, const R: usize>(self, v: V) -> bool {
        with_diameter!(self.filters.taps.taps_y.radius(), D => {
            let applies = D <= GREATEST && V::REGISTERS >= MANY_REGISTERS;
            if applies {
                self.of_diameter::<V, D>(v);
            }
            applies
        })
    }
}

/// The taps of both axes, and the derivatives by σ of those along x.
struct Taps<T, const D: usize> {
    x: Half<T, D>,
    tangent: Half<T, D>,
    y: Half<T, D>,
}

impl<T: Real> Columns<'_, '_, T> {
    #[inline(always)]
    fn of_diameter<V: Vectors<T>, const D: usize>(self, v: V) {
        let Self { stages, filters: Regular { taps: direction, tangent }, plane, rows, responses } = self;
        let (y, x) = (&direction.y, &direction.x);
        let slots = y.read(&rows, D / 2);
        let next = plane.as_ptr().wrapping_add(plane.len() + slots.start * x.source);
        let read = &plane[slots.start * x.source..slots.end * x.source];
        let over = y.over(rows.start) - slots.start as isize;
        let (width, samples) = (x.result, slots.len());
        let pixels = rows.len() * width;
        // Strips are of neighbouring pixels. Where rows are not of whole strips the responses go to planes first.
        let whole = width.is_multiple_of(STRIP);
        let planes = Planes { start: 0, pitch: pixels + STRIP, border: 0 };
        let kept = if tangent.is_some() { FIELDS } else { 0 };
        let room = if whole { 0 } else { BASIS * planes.pitch };
        let Laid { lines, pitch, first, fields, tangents, scratch } =
            stages.lay_columns(x, D / 2, read, slots, kept, room);
        let to = if whole {
            Responses { out: &mut *responses.out, ..*responses }
        } else {
            Responses { out: &mut *scratch, planes, strip_pitch: STRIP }
        };
        let taps = Taps::<T, D> {
            x: half(&direction.taps_x),
            tangent: half(&tangent.unwrap_or(direction).taps_x),
            y: half(&direction.taps_y),
        };
        let field = samples * width + STRIP;
        let most = basis().map(|(i, j)| to.planes.at(i, j)).max();
        let last = pixels.div_ceil(STRIP).saturating_sub(1);
        assert!(most.unwrap_or(0) + last * to.strip_pitch + STRIP <= to.out.len());
        assert!(tangent.is_none() || FIELDS * field + STRIP <= fields.len().min(tangents.len()));
        let mut done = 0;
        while done < width {
            // The last columns once more, rather than a register that is filled in part, unless there is but one.
            let column = done.min(width.saturating_sub(V::LANES));
            done = column + V::LANES;
            let from = (first as isize + x.over(0)) as usize + column;
            // The farthest that is read.
            let end = from + samples.saturating_sub(1) * pitch + V::LANES + D / 2;
            assert!(samples == 0 || from >= D / 2 && end <= lines.len());
            let mut walk = Walk {
                lines,
                pitch,
                from,
                samples,
                over,
                rows: rows.len(),
                width,
                column,
                next: next.wrapping_add(column),
                kept: [&mut *fields, &mut *tangents],
                field,
                responses: Responses { out: &mut *to.out, ..to },
            };
            macro_rules! walk {
                ($FROM:literal, $COUNT:literal) => {
                    match tangent {
                        None => walk.run::<V, D, $FROM, $COUNT, false>(v, &taps),
                        Some(_) => walk.run::<V, D, $FROM, $COUNT, true>(v, &taps),
                    }
                };
            }
            if D <= THREE_FIELDS {
                walk!(0, 3);
            } else if D <= TWO_FIELDS {
                walk!(0, 2);
                walk!(2, 1);
            } else {
                walk!(0, 1);
                walk!(1, 1);
                walk!(2, 1);
            }
        }
        if !whole {
            into_strips(scratch, planes, pixels, responses);
        }
    }
}

/// The six of the jet.
fn basis() -> impl Iterator<Item = (usize, usize)> {
    (0..FIELDS).flat_map(|j| (0..FIELDS - j).map(move |i| (i, j)))
}

/// From planes of pixels to strips, with zeros after the last pixel.
#[inline(always)]
fn into_strips<T: Real>(from: &mut [T], planes: Planes, pixels: usize, to: &mut Responses<'_, T>) {
    for (i, j) in basis() {
        let plane = &mut from[planes.at(i, j)..][..pixels.next_multiple_of(STRIP)];
        plane[pixels..].fill(T::ZERO);
        for (s, strip) in plane.as_chunks::<STRIP>().0.iter().enumerate() {
            to.out[to.planes.at(i, j) + s * to.strip_pitch..][..STRIP].copy_from_slice(strip);
        }
    }
}

/// A register of columns.
struct Walk<'a, T> {
    /// Rows of samples between zeros,
    lines: &'a [T],
    /// elements from one to the next,
    pitch: usize,
    /// the sample under the centre tap of the first column, in row 0,
    from: usize,
    /// and how many rows there are.
    samples: usize,
    /// The row of samples under the centre tap of the first row of responses,
    over: isize,
    /// and how many rows of those.
    rows: usize,
    /// Columns of the plane, and the first of these.
    width: usize,
    column: usize,
    /// Where the same columns of the plane after this one may be.
    next: *const T,
    /// The fields that the gradient of σ reads, and those under the derivatives of the taps,
    kept: [&'a mut [T]; 2],
    /// elements from one to the next.
    field: usize,
    responses: Responses<'a, T>,
}

impl<T: Real> Walk<'_, T> {
    /// The responses of the fields from `FROM` on. `KEEP`: their fields are kept.
    #[inline(always)]
    fn run<V: Vectors<T>, const D: usize, const FROM: usize, const COUNT: usize, const KEEP: bool>(
        &mut self,
        v: V,
        taps: &Taps<T, D>,
    ) {
        let radius = D / 2;
        let mut window = [[v.splat(T::ZERO); D]; COUNT];
        for i in 0..self.rows + 2 * radius {
            // Else the compiler would keep every tap in a register of its own before the loop, and most of those on
            // the stack, across two cache lines each: to load a tap into every lane takes no longer than to load one.
            let taps = black_box(taps);
            // Rows that are none are zeros.
            let row = usize::try_from(self.over + i as isize - radius as isize).ok().filter(|&row| row < self.samples);
            let new = match row {
                Some(row) => self.fields::<V, D, FROM, COUNT, KEEP>(v, taps, row),
                None => [v.splat(T::ZERO); COUNT],
            };
            for j in 0..COUNT {
                for k in 1..D {
                    window[j][k - 1] = window[j][k];
                }
                window[j][D - 1] = new[j];
            }
            if i >= 2 * radius {
                let pixel = (i - 2 * radius) * self.width + self.column;
                for j in 0..COUNT {
                    self.respond::<V, D>(v, taps, FROM + j, &window[j], pixel);
                }
            }
        }
    }

    /// The fields of a row.
    #[inline(always)]
    fn fields<V: Vectors<T>, const D: usize, const FROM: usize, const COUNT: usize, const KEEP: bool>(
        &mut self,
        v: V,
        taps: &Taps<T, D>,
        row: usize,
    ) -> [V::V; COUNT] {
        if FROM == 0 {
            prefetch(self.next.wrapping_add(row * self.width));
        }
        // SAFETY: the samples of the last row, the farthest, have been checked, and so has the room for the fields. Where
        // a register reaches past a row, the next row is written over that, and after the last there is a margin.
        unsafe {
            let centre = self.lines.as_ptr().add(self.from + row * self.pitch);
            if !KEEP {
                let [fields] = fields::<T, V, D, FROM, COUNT, 1, 1>(v, centre, [&taps.x]);
                return fields.map(|[field]| field);
            }
            let [fields, tangents] = fields::<T, V, D, FROM, COUNT, 1, 2>(v, centre, [&taps.x, &taps.tangent]);
            for j in 0..COUNT {
                let at = (FROM + j) * self.field + row * self.width + self.column;
                // The first half of a pass has a margin before the fields.
                v.store(self.kept[0].as_mut_ptr().add(STRIP + at), fields[j][0]);
                v.store(self.kept[1].as_mut_ptr().add(at), tangents[j][0]);
            }
            fields.map(|[field]| field)
        }
    }

    /// The responses of a window of field `j`, at `pixel`.
    #[inline(always)]
    fn respond<V: Vectors<T>, const D: usize>(
        &mut self,
        v: V,
        taps: &Taps<T, D>,
        j: usize,
        window: &[V::V; D],
        pixel: usize,
    ) {
        let (radius, orders) = (D / 2, FIELDS - j);
        let mut sums = [v.splat(T::ZERO); FIELDS];
        for n in (0..orders).step_by(2) {
            sums[n] = v.mul_add(window[radius], v.splat(taps.y[0][n]), sums[n]);
        }
        for t in 1..=radius {
            let (after, before) = (window[radius + t], window[radius - t]);
            let (sum, difference) = (v.add(after, before), v.sub(after, before));
            for n in 0..orders {
                let folded = if n.is_multiple_of(2) { sum } else { difference };
                sums[n] = v.mul_add(folded, v.splat(taps.y[t][n]), sums[n]);
            }
        }
        let Responses { out, planes, strip_pitch } = &mut self.responses;
        let to = pixel / STRIP * *strip_pitch + pixel % STRIP;
        for n in 0..orders {
            // SAFETY: the last strip of the last plane has been checked; `pixel` begins a register, which a strip is made of.
            unsafe { v.store(out.as_mut_ptr().add(planes.at(n, j) + to), sums[n]) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::columns::case::{Case, cast, has_many_registers};
    use crate::engine::filters::Filters;
    use crate::engine::plane::Planes;
    use crate::geometry::jet_index;
    use crate::{Forward, Taps, reference};
    use proptest::prelude::*;

    /// The responses at `rows`, and the fields that are kept, if the columns make them.
    fn run<T: Real>(case: &Case, isa: Isa, rows: Range<usize>, tangent: bool) -> Option<[Vec<f64>; 3]> {
        let (taps, d_taps) = (case.direction::<T>(&case.taps), case.direction::<T>(&case.d_taps));
        let filters = Regular { taps: &taps, tangent: tangent.then_some(&d_taps) };
        let width = case.geometry.x.output;
        let pixels = rows.len() * width;
        let strips = pixels.div_ceil(STRIP);
        let mut out = vec![T::from_f64(f64::NAN); strips * BASIS * STRIP];
        let planes = Planes { start: 0, pitch: STRIP, border: 0 };
        let mut responses = Responses { out: &mut out, planes, strip_pitch: BASIS * STRIP };
        let mut stages = Stages::default();
        let plane = cast(&case.plane);
        if !stages.by_columns(isa, filters, &plane, rows.clone(), &mut responses) {
            return None;
        }
        let f64s = |values: &[T]| values.iter().map(|v| v.to_f64()).collect::<Vec<_>>();
        let [fields, tangents] =
            stages.kept_fields(FIELDS, width).map(|kept| if tangent { f64s(&kept) } else { Vec::new() });
        // From strips to planes.
        let plane = |b: usize, pixels: Range<usize>| pixels.map(move |p| (p / STRIP * BASIS + b) * STRIP + p % STRIP);
        // What is summed over pixels meets what is after the last, too.
        let after = (0..BASIS).flat_map(|b| plane(b, pixels..strips * STRIP));
        assert!(after.map(|at| out[at].to_f64()).all(|v| v == 0.0));
        Some([(0..BASIS).flat_map(|b| plane(b, 0..pixels)).map(|at| out[at].to_f64()).collect(), fields, tangents])
    }

    /// The first halves, along x alone, by the way of all other filters.
    fn fields_of_all_rows(case: &Case) -> [Vec<f64>; 2] {
        let (taps, d_taps) = (case.direction::<f64>(&case.taps), case.direction::<f64>(&case.d_taps));
        let mut stages = Stages::default();
        stages.analyse_x(Isa::Portable, Filters::Regular(Regular { taps: &taps, tangent: Some(&d_taps) }), &case.plane);
        stages.kept_fields(FIELDS, case.geometry.x.output)
    }

    fn close(what: &str, ours: &[f64], expected: &[f64], tolerance: f64) -> Result<(), TestCaseError> {
        prop_assert_eq!(ours.len(), expected.len());
        for (i, (ours, expected)) in ours.iter().zip(expected).enumerate() {
            prop_assert!((ours - expected).abs() <= tolerance, "{what} {i}: {ours}, {expected}");
        }
        Ok(())
    }

    proptest! {
        /// Some rows of planes lower than the taps reach, with more padding than they need, and less.
        #[test]
        fn columns_agree_with_the_reference(
            radius in 2usize..8,
            rows in 1usize..40,
            width in 1usize..70,
            padding in prop::option::of(prop::array::uniform4(0usize..12)),
            part in prop::array::uniform2(0.0f64..1.0),
            tangent in any::<bool>(),
        ) {
            let [top, bottom, left, right] = padding.unwrap_or([radius; 4]);
            let case = Case::new(2, [rows, width], [radius; 2], [(top, bottom), (left, right)], 1);
            prop_assume!(case.as_ref().is_some_and(|case| case.geometry.x.output >= LEAST_WIDTH));
            let case = case.unwrap();
            let (all, width) = (case.geometry.y.output, case.geometry.x.output);
            let from = (part[0] * all as f64) as usize;
            let to = from + 1 + (part[1] * (all - from) as f64) as usize;
            let some = from..to.min(all);
            let taps = Taps { y: &case.taps[0][..], x: &case.taps[1][..] };
            let response = |b: usize| {
                let alpha: Vec<f64> = (0..BASIS).map(|k| f64::from(u8::from(k == b))).collect();
                let call = Forward { taps, alpha: &alpha, bias: None, x: &case.plane };
                reference::forward(&case.geometry, &call).unwrap()[some.start * width..some.end * width].to_vec()
            };
            prop_assert_eq!(jet_index(0, 2).max(jet_index(2, 0)) + 1, BASIS);
            let expected = (0..BASIS).flat_map(response).collect::<Vec<_>>();
            for isa in [Isa::Best, Isa::Avx2, Isa::Portable] {
                let (double, single) = (run::<f64>(&case, isa, some.clone(), tangent), run::<f32>(&case, isa, some.clone(), tangent));
                prop_assert_eq!(double.is_some(), has_many_registers::<f64>(isa));
                prop_assert_eq!(single.is_some(), has_many_registers::<f32>(isa));
                for (results, tolerance) in [(double, 1e-13), (single, 2e-5)] {
                    let Some([responses, fields, tangents]) = results else { continue };
                    close("response", &responses, &expected, tolerance)?;
                    if tangent && some == (0..all) {
                        let [expected, expected_tangents] = fields_of_all_rows(&case);
                        close("field", &fields, &expected, tolerance)?;
                        close("field under derivatives", &tangents, &expected_tangents, tolerance)?;
                    }
                }
            }
        }
    }

    #[test]
    fn other_rows_go_another_way() {
        let taken = |size: [usize; 2], radius| {
            let case = Case::new(2, size, [radius; 2], [(radius, radius); 2], 1).unwrap();
            let filters = case.direction::<f32>(&case.taps);
            let mut out = vec![0.0; BASIS * size[0] * size[1].next_multiple_of(STRIP)];
            let planes = Planes { start: 0, pitch: STRIP, border: 0 };
            let mut responses = Responses { out: &mut out, planes, strip_pitch: BASIS * STRIP };
            let filters = Regular { taps: &filters, tangent: None };
            Stages::default().by_columns(Isa::Best, filters, &cast::<f32>(&case.plane), 0..size[0], &mut responses)
        };
        assert_eq!(taken([20, 32], 3), has_many_registers::<f32>(Isa::Best));
        assert_eq!(taken([20, 28], 3), has_many_registers::<f32>(Isa::Best));
        assert!(!taken([20, 6], 3), "a row of less than half a register");
        assert!(!taken([20, 32], 8), "a radius without a loop");
    }
}
