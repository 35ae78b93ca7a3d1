//! The two operations on one plane.

// Registers are indexed together in several arrays.
#![allow(clippy::needless_range_loop)]

use super::axes::{Axes, Band, Bands};
use super::transpose::transpose;
use crate::Real;
use crate::engine::plane::{Planes, Responses};
use crate::engine::strips::Strips;
use crate::engine::workspace::Buffer;
use crate::isa::Isa;
use crate::simd::{STRIP, VectorBody, Vectors};
use crate::sum::Dot;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Orders filtered in one pass.
const PASS: usize = 4;

/// One set of filters in one direction.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Filters<'a, T> {
    pub(in crate::engine) taps: &'a Axes<T>,
    /// Their derivatives by what the gradient is wanted of: σ and, apart from it, what moves the outputs.
    pub(in crate::engine) tangents: [Option<&'a Axes<T>>; 2],
}

impl<T> Filters<'_, T> {
    /// The taps, then the derivatives.
    fn all(&self) -> [Option<&Axes<T>>; 3] {
        [Some(self.taps), self.tangents[0], self.tangents[1]]
    }
}

/// Intermediate planes of one thread: the halves of the last analysis and of the last synthesis, with the taps and with
/// each array of derivatives.
#[derive(Debug)]
pub(in crate::engine) struct Stages<T> {
    /// Planes with their axes exchanged.
    turned: Buffer<T>,
    turned_out: Buffer<T>,
    /// The analysed plane filtered along x, `[order + 1, rows, width]`, the width rounded up to whole strips;
    fields: [Buffer<T>; 3],
    /// the synthesised planes filtered and summed along y, shaped alike.
    sums: [Buffer<T>; 3],
    /// Rows of responses before they go to their strips.
    scratch: Buffer<T>,
}

impl<T> Default for Stages<T> {
    fn default() -> Self {
        Self {
            turned: Buffer::default(),
            turned_out: Buffer::default(),
            fields: Default::default(),
            sums: Default::default(),
            scratch: Buffer::default(),
        }
    }
}

impl<T: Real> Stages<T> {
    /// The plane filtered along x, and where wanted all its responses at the result rows `rows`.
    pub(in crate::engine) fn analyse(
        &mut self,
        isa: Isa,
        filters: Filters<'_, T>,
        plane: &[T],
        rows: Range<usize>,
        responses: Option<Responses<'_, T>>,
    ) {
        T::dispatch(isa, Analyse { stages: self, filters, plane, rows, responses });
    }

    /// The adjoint: B planes, each with a strip of room after it, are filtered and summed into `out`.
    pub(in crate::engine) fn synthesise(
        &mut self,
        isa: Isa,
        filters: Filters<'_, T>,
        planes: Planes,
        source: &[T],
        out: Option<&mut [MaybeUninit<T>]>,
    ) {
        T::dispatch(isa, Synthesise { stages: self, filters, planes, source, out });
    }

    /// See [`Stages::sigma`](crate::engine::plane::Stages::sigma).
    pub(in crate::engine) fn sigma(&self, isa: Isa, filters: Filters<'_, T>, mut add: impl FnMut(usize, [f64; 2])) {
        let (height, width) = (filters.taps.y.sources, filters.taps.x.rows.len());
        let pitch = width.next_multiple_of(STRIP);
        let dot = |a: &[T], b: &[T]| -> f64 {
            let lines = (0..filters.taps.orders * height).map(|line| {
                let line = line * pitch..line * pitch + width;
                isa.run(Dot { a: &a[line.clone()], b: &b[line] })
            });
            lines.sum()
        };
        for k in 0..filters.tangents.iter().flatten().count() {
            add(k, [dot(&self.fields[0], &self.sums[k + 1]), dot(&self.fields[k + 1], &self.sums[0])]);
        }
    }
}

struct Analyse<'a, T> {
    stages: &'a mut Stages<T>,
    filters: Filters<'a, T>,
    plane: &'a [T],
    rows: Range<usize>,
    responses: Option<Responses<'a, T>>,
}

impl<T: Real> VectorBody<T> for Analyse<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vectors<T>, const R: usize>(self, v: V) {
        let Self { stages, filters, plane, rows, responses } = self;
        let Axes { orders, ref y, ref x } = *filters.taps;
        let (height, width) = (y.sources, x.rows.len());
        let (pitch, turned_pitch) = (width.next_multiple_of(STRIP), height.next_multiple_of(STRIP));
        let turned = stages.turned.room(x.sources * turned_pitch);
        transpose(plane, x.sources, [height, x.sources], turned, turned_pitch, T::ZERO);
        let turned_out = stages.turned_out.room(orders * width * turned_pitch);
        for (axes, fields) in filters.all().into_iter().zip(&mut stages.fields) {
            let Some(axes) = axes else { continue };
            analyse::<T, V, R>(v, &axes.x, orders, 0..width, turned, turned_pitch, turned_out, width * turned_pitch);
            let fields = fields.room(orders * height * pitch);
            for (turned, field) in
                turned_out.chunks_exact(width * turned_pitch).zip(fields.chunks_exact_mut(height * pitch))
            {
                transpose(turned, turned_pitch, [width, height], field, pitch, T::ZERO);
            }
        }
        let Some(Responses { out, planes, strip_pitch }) = responses else { return };
        let out = Strips::apart(out, strip_pitch);
        let scratch = stages.scratch.room(orders * rows.len() * pitch);
        for (j, field) in stages.fields[0].chunks_exact(height * pitch).enumerate().take(orders) {
            let order = rows.len() * pitch;
            analyse::<T, V, R>(v, y, orders - j, rows.clone(), field, pitch, scratch, order);
            for (i, response) in scratch.chunks_exact(order.max(1)).enumerate().take(orders - j) {
                for (r, row) in response.chunks_exact(pitch).enumerate() {
                    out.scatter(planes.at(i, j), r * width, &row[..width]);
                }
            }
        }
    }
}

struct Synthesise<'a, T> {
    stages: &'a mut Stages<T>,
    filters: Filters<'a, T>,
    planes: Planes,
    source: &'a [T],
    out: Option<&'a mut [MaybeUninit<T>]>,
}

impl<T: Real> VectorBody<T> for Synthesise<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vectors<T>, const R: usize>(self, v: V) {
        let Self { stages, filters, planes, source, out } = self;
        let Axes { orders, ref y, ref x } = *filters.taps;
        let (height, width) = (y.rows.len(), x.sources);
        let pitch = width.next_multiple_of(STRIP);
        for (axes, sums) in filters.all().into_iter().zip(&mut stages.sums) {
            let Some(axes) = axes else { continue };
            let sums = sums.room(orders * height * pitch);
            for (j, sums) in sums.chunks_exact_mut(height * pitch).enumerate() {
                for i in 0..orders - j {
                    let plane = &source[planes.at(i, j)..];
                    synthesise::<T, V, R>(v, &axes.y, i, plane, width, sums, pitch, i > 0);
                }
            }
        }
        let Some(out) = out else { return };
        let turned_pitch = height.next_multiple_of(STRIP);
        let turned = stages.turned.room(width * turned_pitch);
        let turned_out = stages.turned_out.room(x.rows.len() * turned_pitch);
        for (j, sums) in stages.sums[0].chunks_exact(height * pitch).enumerate().take(orders) {
            transpose(sums, pitch, [height, width], turned, turned_pitch, T::ZERO);
            synthesise::<T, V, R>(v, x, j, turned, turned_pitch, turned_out, turned_pitch, j > 0);
        }
        let results = x.rows.len();
        let out = &mut out[..height * results];
        for (o, row) in out.chunks_exact_mut(results).enumerate() {
            for (r, value) in row.iter_mut().enumerate() {
                value.write(turned_out[r * turned_pitch + o]);
            }
        }
    }
}

/// Orders `0 … orders` of the result lines `results` of a plane of lines `pitch` apart, whole strips of it. Line `r` of
/// order `n` goes to `n · order + (r − results.start) · pitch`.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn analyse<T: Real, V: Vectors<T>, const R: usize>(
    v: V,
    bands: &Bands<T>,
    orders: usize,
    results: Range<usize>,
    lines: &[T],
    pitch: usize,
    out: &mut [T],
    order: usize,
) {
    assert!(orders <= bands.orders && pitch.is_multiple_of(STRIP));
    assert!(lines.len() >= bands.sources * pitch);
    assert!(order >= results.len() * pitch && out.len() >= orders.saturating_sub(1) * order + results.len() * pitch);
    for (r, band) in bands.rows[results].iter().enumerate() {
        for first in (0..orders).step_by(PASS) {
            macro_rules! pass {
                ($J:literal) => {
                    for strip in (0..pitch).step_by(STRIP) {
                        // SAFETY: the band's sources are lines of the slice, a strip of a line lies inside it, and
                        // so does a strip of a result: all checked above.
                        unsafe {
                            let sums = analyse_strip::<T, V, R, $J>(v, bands, band, first, lines, pitch, strip);
                            for n in 0..$J {
                                let to = out.as_mut_ptr().add((first + n) * order + r * pitch + strip);
                                (0..R).for_each(|k| v.store(to.add(k * V::LANES), sums[n][k]));
                            }
                        }
                    }
                };
            }
            match orders - first {
                1 => pass!(1),
                2 => pass!(2),
                3 => pass!(3),
                _ => pass!(4),
            }
        }
    }
}

/// # Safety
/// The band's sources are lines of `lines` and have the strip; `first + J` orders are in the bands.
#[inline(always)]
unsafe fn analyse_strip<T: Real, V: Vectors<T>, const R: usize, const J: usize>(
    v: V,
    bands: &Bands<T>,
    band: &Band,
    first: usize,
    lines: &[T],
    pitch: usize,
    strip: usize,
) -> [[V::V; R]; J] {
    let mut sums = [[v.splat(T::ZERO); R]; J];
    // SAFETY: the caller's promise; the taps of a band are in the array.
    unsafe {
        let mut taps = bands.taps.as_ptr().add(band.taps + first);
        let mut at = lines.as_ptr().add(band.first * pitch + strip);
        for _ in 0..band.len {
            let samples: [V::V; R] = std::array::from_fn(|k| v.load(at.add(k * V::LANES)));
            for n in 0..J {
                let tap = v.splat(*taps.add(n));
                for k in 0..R {
                    sums[n][k] = v.mul_add(samples[k], tap, sums[n][k]);
                }
            }
            (taps, at) = (taps.wrapping_add(bands.orders), at.wrapping_add(pitch));
        }
    }
    sums
}

/// Every result line of order `n`: sums of lines `pitch` apart, whole strips, which may reach past a line's end. Written
/// to lines `pitch_to` apart, or added to them.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn synthesise<T: Real, V: Vectors<T>, const R: usize>(
    v: V,
    bands: &Bands<T>,
    n: usize,
    lines: &[T],
    pitch: usize,
    out: &mut [T],
    pitch_to: usize,
    add: bool,
) {
    /// Strips summed together: one alone would wait for each multiply-add to finish.
    const WIDE: usize = 4;
    assert!(n < bands.orders && pitch_to.is_multiple_of(STRIP) && out.len() >= bands.rows.len() * pitch_to);
    assert!(bands.sources == 0 || lines.len() >= (bands.sources - 1) * pitch + pitch_to);
    for (r, band) in bands.rows.iter().enumerate() {
        let mut strip = 0;
        while strip < pitch_to {
            macro_rules! strips {
                ($WIDE:expr) => {{
                    // SAFETY: the band's sources are lines of the slice, each with `pitch_to` elements after its
                    // beginning, and the results lie inside theirs: checked above.
                    unsafe {
                        let to = out.as_mut_ptr().add(r * pitch_to + strip);
                        let mut sums = [[v.splat(T::ZERO); R]; $WIDE];
                        if add {
                            for s in 0..$WIDE {
                                (0..R).for_each(|k| sums[s][k] = v.load(to.add(s * STRIP + k * V::LANES)));
                            }
                        }
                        let mut at = lines.as_ptr().add(band.first * pitch + strip);
                        for t in 0..band.len {
                            let tap = v.splat(*bands.taps.get_unchecked(band.taps + t * bands.orders + n));
                            for s in 0..$WIDE {
                                for k in 0..R {
                                    let sample = v.load(at.add(s * STRIP + k * V::LANES));
                                    sums[s][k] = v.mul_add(sample, tap, sums[s][k]);
                                }
                            }
                            at = at.wrapping_add(pitch);
                        }
                        for s in 0..$WIDE {
                            (0..R).for_each(|k| v.store(to.add(s * STRIP + k * V::LANES), sums[s][k]));
                        }
                    }
                    strip += $WIDE * STRIP;
                }};
            }
            if pitch_to - strip >= WIDE * STRIP { strips!(WIDE) } else { strips!(1) }
        }
    }
}
