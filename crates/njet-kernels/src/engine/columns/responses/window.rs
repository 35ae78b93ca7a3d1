//! A window of 2R + 1 rows of fields in registers.

use crate::Real;
use crate::engine::columns::{FIELDS, Half, Kept, Strip, fields};
use crate::engine::plane::Responses;
use crate::simd::{STRIP, Vectors, prefetch};
use std::hint::black_box;
use std::ops::RangeInclusive;

/// Radii whose windows fit into [`MANY_REGISTERS`](crate::engine::columns::MANY_REGISTERS).
pub(super) const RADII: RangeInclusive<usize> = 2..=5;

/// Down a register of columns.
pub(super) struct Window<'a, T, const BANKS: usize> {
    pub(super) strip: Strip<'a, T>,
    /// The taps along x; or these and then their derivatives, whose fields are only kept.
    pub(super) banks: [&'a Half<T>; BANKS],
    /// The taps along y, as many.
    pub(super) taps: &'a Half<T>,
    /// The row of samples under tap −R of the first row of responses,
    pub(super) top: isize,
    /// and how many rows of those.
    pub(super) rows: usize,
}

impl<'a, T: Real, const BANKS: usize> Window<'a, T, BANKS> {
    #[inline(always)]
    pub(super) fn run<V: Vectors<T>>(&self, v: V, mut kept: Option<&mut Kept<'_, T>>, to: &mut Responses<'_, T>) {
        match self.taps.len() - 1 {
            2 => self.fields_from::<V, 5, 3, 0, FIELDS>(v, &mut kept, to),
            3 => self.fields_from::<V, 7, 4, 0, FIELDS>(v, &mut kept, to),
            4 => self.fields_from::<V, 9, 5, 0, FIELDS>(v, &mut kept, to),
            5 => {
                // Not those of all fields.
                self.fields_from::<V, 11, 6, 0, 2>(v, &mut kept, to);
                self.fields_from::<V, 11, 6, 2, 1>(v, &mut kept, to);
            }
            _ => unreachable!("a radius of `RADII`"),
        }
    }

    /// The responses of `COUNT` fields from `FROM` on. `D` = 2R + 1, `HALF` = R + 1.
    #[inline(always)]
    fn fields_from<V: Vectors<T>, const D: usize, const HALF: usize, const FROM: usize, const COUNT: usize>(
        &self,
        v: V,
        kept: &mut Option<&mut Kept<'_, T>>,
        to: &mut Responses<'_, T>,
    ) {
        let &Strip { lines, pitch, from, samples, width, column, next } = &self.strip;
        let radius = D / 2;
        if let Some(last) = samples.checked_sub(1) {
            assert!(from >= radius && from + last * pitch + V::LANES + radius <= lines.len());
            assert!(kept.as_ref().is_none_or(|kept| kept.has_room(v, last * width + column)));
        }
        let known = |taps: &'a Half<T>| taps.first_chunk::<HALF>().expect("the taps of the radius");
        let taps = (self.banks.map(known), known(self.taps));
        let mut window = [[v.splat(T::ZERO); D]; COUNT];
        for i in 0..self.rows + 2 * radius {
            // Else the compiler would keep every tap in a register of its own before the loop, and most of those on
            // the stack, across two cache lines each: to load a tap into every lane takes no longer than to load one.
            let (banks, taps) = *black_box(&taps);
            // Rows that are none are zeros.
            let row = usize::try_from(self.top + i as isize).ok().filter(|&row| row < samples);
            let mut new = [v.splat(T::ZERO); COUNT];
            if let Some(row) = row {
                if FROM == 0 {
                    prefetch(next.wrapping_add(row * width + column));
                }
                // SAFETY: the samples of the last row, the farthest, have been checked, and so has the room.
                unsafe {
                    let centre = lines.as_ptr().add(from + row * pitch);
                    let fields = fields::<T, V, FROM, COUNT, BANKS, 1>(v, centre, 0, banks.map(|bank| &bank[..]));
                    if let Some(kept) = kept {
                        kept.keep::<V, FROM, COUNT, BANKS, 1>(v, row * width + column, &fields, 0);
                    }
                    for j in 0..COUNT {
                        new[j] = fields[0][j][0];
                    }
                }
            }
            for j in 0..COUNT {
                for k in 1..D {
                    window[j][k - 1] = window[j][k];
                }
                window[j][D - 1] = new[j];
            }
            if i >= 2 * radius {
                let pixel = (i - 2 * radius) * width + column;
                for j in 0..COUNT {
                    respond(v, taps, FROM + j, &window[j], pixel, to);
                }
            }
        }
    }
}

/// The responses of a window of field `j`, at `pixel`.
#[inline(always)]
fn respond<T: Real, V: Vectors<T>, const D: usize>(
    v: V,
    taps: &Half<T>,
    j: usize,
    window: &[V::V; D],
    pixel: usize,
    to: &mut Responses<'_, T>,
) {
    let (radius, orders) = (D / 2, FIELDS - j);
    let mut sums = [v.splat(T::ZERO); FIELDS];
    for n in (0..orders).step_by(2) {
        sums[n] = v.mul_add(window[radius], v.splat(taps[0][n]), sums[n]);
    }
    for t in 1..=radius {
        let (after, before) = (window[radius + t], window[radius - t]);
        let (sum, difference) = (v.add(after, before), v.sub(after, before));
        for n in 0..orders {
            let folded = if n.is_multiple_of(2) { sum } else { difference };
            sums[n] = v.mul_add(folded, v.splat(taps[t][n]), sums[n]);
        }
    }
    let Responses { out, planes, strip_pitch } = to;
    let to = pixel / STRIP * *strip_pitch + pixel % STRIP;
    for n in 0..orders {
        // SAFETY: the last strip of the last plane has been checked; `pixel` begins a register, which a strip is made of.
        unsafe { v.store(out.as_mut_ptr().add(planes.at(n, j) + to), sums[n]) };
    }
}
