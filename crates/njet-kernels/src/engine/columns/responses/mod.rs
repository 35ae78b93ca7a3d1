//! All responses of a plane, down its columns.

mod cached;
mod window;

use super::cached::Column;
use super::{FIELDS, Half, Kept, MANY_REGISTERS, Strip, half, plain};
use crate::Real;
use crate::engine::filters::Regular;
use crate::engine::plane::{Laid, Planes, Responses, Room, Stages};
use crate::isa::Isa;
use crate::simd::{STRIP, VectorBody, Vectors};
use cached::{TOGETHER, Walk};
use std::ops::Range;
use window::{RADII, Window};

/// Responses of a plane.
const BASIS: usize = 6;

/// Results in a row from which on the columns pay: fewer would leave most of a register empty.
const LEAST_WIDTH: usize = 7;

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
        // With fewer registers one axis after the other is as fast.
        if V::REGISTERS < MANY_REGISTERS {
            return false;
        }
        let Self { stages, filters: Regular { taps: direction, tangent }, plane, rows, responses } = self;
        let (y, x) = (&direction.y, &direction.x);
        let (taps_x, taps_y) = (half(&direction.taps_x), half(&direction.taps_y));
        let radius = taps_y.len() - 1;
        let slots = y.read(&rows, radius);
        let next = plane.as_ptr().wrapping_add(plane.len() + slots.start * x.source);
        let read = &plane[slots.start * x.source..slots.end * x.source];
        let top = y.over(rows.start) - slots.start as isize - radius as isize;
        let (width, samples) = (x.result, slots.len());
        let pixels = rows.len() * width;
        // Strips are of neighbouring pixels. Where rows are not of whole strips the responses go to planes first.
        let whole = width.is_multiple_of(STRIP);
        let planes = Planes { start: 0, pitch: pixels + STRIP, border: 0 };
        let room = Room {
            column: (rows.len().next_multiple_of(TOGETHER) + 2 * radius) * FIELDS * V::LANES,
            kept: if tangent.is_some() { FIELDS } else { 0 },
            scratch: if whole { 0 } else { BASIS * planes.pitch },
        };
        let laid = stages.lay_columns(x, taps_x.len() - 1, read, slots, room);
        let Laid { lines, pitch, first, column: fields, fields: kept, tangents, scratch } = laid;
        let mut to = if whole {
            Responses { out: &mut *responses.out, ..*responses }
        } else {
            Responses { out: &mut *scratch, planes, strip_pitch: STRIP }
        };
        let most = basis().map(|(i, j)| to.planes.at(i, j)).max();
        let last = pixels.div_ceil(STRIP).saturating_sub(1);
        assert!(most.unwrap_or(0) + last * to.strip_pitch + STRIP <= to.out.len());
        let mut kept = tangent.map(|_| Kept { fields: [kept, tangents], pitch: samples * width + STRIP });
        let mut done = 0;
        while done < width {
            // The last columns once more, rather than a register that is filled in part, unless there is but one.
            let column = done.min(width.saturating_sub(V::LANES));
            done = column + V::LANES;
            let from = (first as isize + x.over(0)) as usize + column;
            let strip = Strip { lines, pitch, from, samples, width, column, next };
            let down = Down { strip, taps: taps_y, top, rows: rows.len() };
            match (tangent, &mut kept) {
                (Some(tangent), Some(kept)) => {
                    let banks = [taps_x, half(&tangent.taps_x)];
                    down.run(v, banks, fields, Some(kept), &mut to);
                }
                _ => down.run(v, [taps_x], fields, None, &mut to),
            }
        }
        if !whole {
            into_strips(scratch, planes, pixels, responses);
        }
        true
    }
}

/// Down a register of columns.
struct Down<'a, T> {
    strip: Strip<'a, T>,
    /// Along y.
    taps: &'a Half<T>,
    /// The row of samples under tap −R of the first row of responses,
    top: isize,
    /// and how many rows of those.
    rows: usize,
}

impl<'a, T: Real> Down<'a, T> {
    #[inline(always)]
    fn run<'b, V: Vectors<T>, const BANKS: usize>(
        self,
        v: V,
        banks: [&'a Half<T>; BANKS],
        fields: &'b mut [T],
        kept: Option<&'b mut Kept<'a, T>>,
        to: &mut Responses<'_, T>,
    ) {
        let Self { strip, taps, top, rows } = self;
        if RADII.contains(&(taps.len() - 1)) && banks[0].len() == taps.len() {
            Window { strip, banks, taps, top, rows }.run(v, kept, to);
        } else {
            let (width, column) = (strip.width, strip.column);
            Walk { taps, rows, width, column }.run(v, Column::new(v, strip, banks, top, fields, kept), to);
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
        let mut stages = Stages::used();
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
            radius in 0usize..20,
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
        assert_eq!(taken([20, 32], 18), has_many_registers::<f32>(Isa::Best));
    }
}
