//! The matrix product between coefficients and responses: a microkernel that reads its operands as
//! the filters write them.
//!
//! The right operand lies in strips of [`STRIP`] columns, `[strip][inner][STRIP]`: what the filters
//! produce, so nothing is packed again. The left operand lies in tiles of [`TILE`] rows,
//! `[tile][inner][TILE]`, packed once a call. The kernel keeps a block of the result in registers
//! while it runs over the inner dimension: 6 × 16 with AVX2 (twelve accumulators), 12 × 32 with
//! AVX-512 (twenty-four).
//!
//! The gradient of the coefficients sums over pixels. There the responses, as they lie, are the left
//! operand (their rows are [`STRIP`] apart, the inner dimension runs along the strip), and the
//! upstream gradient, transposed into strips of channels, is the right one.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(not(target_arch = "x86_64"))]
#[path = "no_amx.rs"]
mod amx;
mod microkernel;

use super::pack::Source;
use crate::Real;
use crate::disjoint::Disjoint;
use crate::isa::Isa;
use crate::simd::{STRIP, VectorBody, Vectors};
pub(crate) use amx::Lines;
use microkernel::Block;
use std::any::TypeId;
use std::marker::PhantomData;
use std::ops::Range;

/// Rows of a tile of the left operand.
pub(super) const TILE: usize = 6;

/// The left operand, packed.
#[derive(Debug, Default)]
pub(super) struct Tiles<T> {
    data: Vec<T>,
    /// In place of `data` where the product runs on the tile unit.
    rounded: Option<amx::Rows>,
    rows: usize,
    inner: usize,
}

/// Whether this machine has a unit for products in bf16.
pub(crate) fn has_tile_unit() -> bool {
    amx::available()
}

/// Whether products of `T` run on the tile unit.
fn on_tile_unit<T: Real>(isa: Isa) -> bool {
    isa == Isa::Amx && TypeId::of::<T>() == TypeId::of::<f32>() && amx::available()
}

impl<T: Real> Tiles<T> {
    /// Packs `at(row, inner)`.
    pub(super) fn pack(isa: Isa, rows: usize, inner: usize, at: impl Fn(usize, usize) -> T + Sync) -> Self {
        if on_tile_unit::<T>(isa) && rows >= amx::FEWEST {
            // Exact: `T` is f32.
            let rounded = amx::Rows::pack(rows, inner, |row, k| at(row, k).to_f64() as f32);
            return Self { data: Vec::new(), rounded: Some(rounded), rows, inner };
        }
        let mut data = vec![T::ZERO; rows.div_ceil(TILE) * TILE * inner];
        for (tile, data) in data.chunks_exact_mut((TILE * inner).max(1)).enumerate() {
            for (k, column) in data.chunks_exact_mut(TILE).enumerate() {
                for (r, value) in column.iter_mut().enumerate().take(rows - tile * TILE) {
                    *value = at(tile * TILE + r, k);
                }
            }
        }
        Self { data, rounded: None, rows, inner }
    }

    /// Packs the rows `data`, `[rows, inner]`.
    pub(super) fn of_rows(isa: Isa, [rows, inner]: [usize; 2], data: &[T]) -> Self {
        assert_eq!(data.len(), rows * inner);
        if on_tile_unit::<T>(isa) && inner > 0 {
            let rounded = Some(amx::Rows::of_rows([rows, inner], single(data)));
            return Self { data: Vec::new(), rounded, rows, inner };
        }
        Self::pack(isa, rows, inner, |row, k| data[row * inner + k])
    }

    /// Packs what has these columns, `[inner, rows]`.
    pub(super) fn of_columns(isa: Isa, [rows, inner]: [usize; 2], data: &[T]) -> Self {
        assert_eq!(data.len(), rows * inner);
        if on_tile_unit::<T>(isa) {
            let rounded = Some(amx::Rows::of_columns([rows, inner], single(data)));
            return Self { data: Vec::new(), rounded, rows, inner };
        }
        Self::pack(isa, rows, inner, |row, k| data[k * rows + row])
    }

    /// The columns `inner` of the matrix.
    pub(super) fn columns(&self, inner: Range<usize>) -> Left<'_, T> {
        assert!(inner.start <= inner.end && inner.end <= self.inner);
        if let Some(rounded) = &self.rounded {
            return Left::on_tile_unit(rounded.from(0, inner.start), self.rows, inner.len());
        }
        Left {
            data: &self.data[inner.start * TILE..],
            rounded: None,
            skipped: 0,
            rows: self.rows,
            inner: inner.len(),
            tile_pitch: self.inner * TILE,
        }
    }

    /// The rows `rows` of the matrix.
    pub(super) fn rows(&self, rows: Range<usize>) -> Left<'_, T> {
        assert!(rows.start <= rows.end && rows.end <= self.rows);
        if let Some(rounded) = &self.rounded {
            return Left::on_tile_unit(rounded.from(rows.start, 0), rows.len(), self.inner);
        }
        Left {
            rounded: None,
            data: &self.data[rows.start / TILE * TILE * self.inner..],
            skipped: rows.start % TILE,
            rows: rows.len(),
            inner: self.inner,
            tile_pitch: self.inner * TILE,
        }
    }
}

/// Some rows and columns of packed tiles.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left<'a, T> {
    data: &'a [T],
    rounded: Option<amx::Left<'a>>,
    /// Rows of the first tile that do not belong.
    skipped: usize,
    rows: usize,
    inner: usize,
    tile_pitch: usize,
}

impl<'a, T> Left<'a, T> {
    fn on_tile_unit(rounded: amx::Left<'a>, rows: usize, inner: usize) -> Self {
        Self { data: &[], rounded: Some(rounded), skipped: 0, rows, inner, tile_pitch: 0 }
    }
}

/// The right operand: `columns` columns in strips, `pitch` elements apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Right<'a, T> {
    strips: &'a [T],
    pitch: usize,
    columns: usize,
    /// The same for the tile unit.
    rounded: Option<amx::Right<'a>>,
}

impl<'a, T: Real> Right<'a, T> {
    pub(super) fn new(strips: &'a [T], pitch: usize, columns: usize) -> Self {
        Self { strips, pitch, columns, rounded: None }
    }

    /// So many columns, from a strip on.
    pub(super) fn at_strip(self, strip: usize, columns: usize) -> Self {
        Self {
            strips: &self.strips[strip * self.pitch..],
            columns,
            rounded: self.rounded.map(|rounded| rounded.at_strip(strip)),
            ..self
        }
    }

    /// Rounded for the tile unit if `isa` has one: for an operand of `inner` rows that [`multiply`] reads more than once.
    pub(super) fn rounded(self, isa: Isa, inner: usize, to: &'a mut amx::Lines) -> Self {
        if !on_tile_unit::<T>(isa) || self.columns == 0 {
            return self;
        }
        let strips = self.columns.div_ceil(STRIP);
        assert!((strips - 1) * self.pitch + inner * STRIP <= self.strips.len(), "the operand reaches past its slice");
        // SAFETY: checked; `T` is f32.
        let rounded = unsafe { amx::round_columns(self.strips.as_ptr().cast(), [strips, self.pitch, inner], to) };
        Self { rounded: Some(rounded), ..self }
    }

    /// The same for the upstream gradient of [`multiply_pixels`], `pixels` strips of pixels.
    pub(super) fn pixels_rounded(self, isa: Isa, pixels: usize, to: &'a mut amx::Lines) -> Self {
        if !on_tile_unit::<T>(isa) || self.columns < amx::FEWEST {
            return self;
        }
        let strips = self.columns.div_ceil(STRIP);
        let needed = (strips - 1) * self.pitch + pixels * STRIP * STRIP;
        assert!(needed <= self.strips.len(), "the upstream gradient reaches past its slice");
        // SAFETY: checked; `T` is f32.
        let rounded = unsafe { amx::round_pixels(self.strips.as_ptr().cast(), [strips, self.pitch, pixels], to) };
        Self { rounded: Some(rounded), ..self }
    }

    /// Whether planes are rounded as they are, channels inside, for a left operand of `rows` rows: whole strips of pixels, and
    /// the left operand is rounded too.
    pub(super) fn rounds_planes(isa: Isa, planes: &Source<'_, T>, rows: usize) -> bool {
        on_tile_unit::<T>(isa) && rows >= amx::FEWEST && planes.pixels.is_multiple_of(STRIP)
    }

    /// Strips of pixels of all images.
    pub(super) fn rounded_planes(planes: &Source<'_, T>, to: &'a mut amx::Lines) -> Self {
        // SAFETY: `planes_of_f32` has checked them.
        let rounded = unsafe { amx::round_planes(planes_of_f32(planes), to) };
        Self::on_tile_unit(rounded, planes.images * planes.pixels)
    }

    /// Whether planes are rounded as they are for the upstream gradient of [`multiply_pixels`]: whole strips of both.
    pub(super) fn rounds_planes_of_pixels(isa: Isa, planes: &Source<'_, T>) -> bool {
        let whole = planes.pixels.is_multiple_of(STRIP) && planes.channels.is_multiple_of(STRIP);
        on_tile_unit::<T>(isa) && planes.channels >= amx::FEWEST && whole
    }

    /// Strips of channels, pixels of all images inside.
    pub(super) fn rounded_planes_of_pixels(planes: &Source<'_, T>, to: &'a mut amx::Lines) -> Self {
        // SAFETY: as above.
        let rounded = unsafe { amx::round_planes_of_pixels(planes_of_f32(planes), to) };
        Self::on_tile_unit(rounded, planes.channels)
    }

    /// Planes for the tile unit alone.
    fn on_tile_unit(rounded: amx::Right<'a>, columns: usize) -> Self {
        Self { strips: &[], pitch: 0, columns, rounded: Some(rounded) }
    }

    /// Whether all strips have `len` elements.
    fn reaches(&self, len: usize) -> bool {
        (self.columns.div_ceil(STRIP) - 1) * self.pitch + len <= self.strips.len()
    }

    /// For the tile unit.
    fn operand(&self) -> amx::Operand<'a> {
        self.rounded.map_or(amx::Operand::Whole(self.strips.as_ptr().cast(), self.pitch), amx::Operand::Rounded)
    }
}

/// A slice of f32.
fn single<T: Real>(data: &[T]) -> &[f32] {
    assert_eq!(TypeId::of::<T>(), TypeId::of::<f32>());
    // SAFETY: the same type.
    unsafe { std::slice::from_raw_parts(data.as_ptr().cast(), data.len()) }
}

/// The planes of a source of f32, on a machine that has the unit.
fn planes_of_f32<T: Real>(source: &Source<'_, T>) -> amx::Planes {
    assert!(on_tile_unit::<T>(Isa::Amx));
    let Source { data, start, image, images, channels, pixels } = *source;
    assert!(
        start + images.saturating_sub(1) * image + channels * pixels <= data.len(),
        "planes reach past their slice"
    );
    amx::Planes { at: data[start..].as_ptr().cast(), image, images, channels, pixels }
}

/// Elements between strips of `inner` rows: an odd number of cache lines, so that strips do not
/// compete for the same sets of a cache.
pub(super) fn strip_pitch(inner: usize) -> usize {
    (inner | 1) * STRIP
}

/// What happens to what the output held.
#[derive(Debug, Clone, Copy)]
pub(super) enum Onto<'a, T> {
    Overwrite,
    /// Overwrites with the sum of the product and a value for each row.
    Bias(&'a [T]),
    Add,
}

/// The output: row `r` begins at `r · pitch`.
pub(super) struct Output<'a, T> {
    to: *mut T,
    available: usize,
    pitch: usize,
    onto: Onto<'a, T>,
    /// Not in the caches yet: part of a tensor.
    far: bool,
    borrow: PhantomData<&'a mut [T]>,
}

impl<'a, T> Output<'a, T> {
    /// Into a slice of a workspace.
    pub(super) fn new(out: &'a mut [T], pitch: usize, onto: Onto<'a, T>) -> Self {
        Self { to: out.as_mut_ptr(), available: out.len(), pitch, onto, far: false, borrow: PhantomData }
    }

    /// Into a tensor that other threads write at the same time.
    ///
    /// # Safety
    /// No other thread writes the rows and columns of the product, and nobody reads them meanwhile.
    pub(super) unsafe fn shared(out: &'a Disjoint<'_, T>, start: usize, pitch: usize, onto: Onto<'a, T>) -> Self {
        let (to, available) = out.from(start);
        Self { to, available, pitch, onto, far: true, borrow: PhantomData }
    }

    /// The same, of f32.
    ///
    /// # Safety
    /// `T` is f32.
    unsafe fn single(&self) -> amx::Out<'a> {
        let onto = match self.onto {
            Onto::Overwrite => Onto::Overwrite,
            Onto::Add => Onto::Add,
            // SAFETY: the caller's promise.
            Onto::Bias(bias) => Onto::Bias(unsafe { std::slice::from_raw_parts(bias.as_ptr().cast(), bias.len()) }),
        };
        amx::Out { to: self.to.cast(), pitch: self.pitch, onto }
    }

    fn check(&self, rows: usize, columns: usize) {
        assert!(rows == 1 || columns <= self.pitch, "rows of the output overlap");
        assert!((rows - 1) * self.pitch + columns <= self.available, "the output reaches past its slice");
        if let Onto::Bias(bias) = self.onto {
            assert!(rows <= bias.len(), "a bias for each row");
        }
    }
}

/// `out = left · right` or `out += left · right`, on the calling thread.
pub(super) fn multiply<T: Real>(isa: Isa, left: Left<'_, T>, right: Right<'_, T>, out: Output<'_, T>) {
    let (rows, columns, inner) = (left.rows, right.columns, left.inner);
    if rows == 0 || columns == 0 {
        return;
    }
    out.check(rows, columns);
    let reaches = right.reaches(inner * STRIP);
    if let Some(left) = left.rounded {
        // What is rounded is read as a slice.
        assert!(reaches || right.rounded.is_some(), "the right operand reaches past its slice");
        // SAFETY: the right operand and the output have been checked, `Left` reaches no further than its rows; `T` is f32.
        return unsafe { amx::multiply(left, [rows, inner, columns], right.operand(), out.single()) };
    }
    assert!(reaches, "the right operand reaches past its slice");
    let tiles = (left.skipped + rows).div_ceil(TILE);
    assert!((tiles - 1) * left.tile_pitch + inner * TILE <= left.data.len(), "the left operand reaches past its slice");
    T::dispatch(isa, Multiply { left, right, out });
}

struct Multiply<'a, T> {
    left: Left<'a, T>,
    right: Right<'a, T>,
    out: Output<'a, T>,
}

impl<T: Real> VectorBody<T> for Multiply<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vectors<T>, const R: usize>(self, v: V) {
        let Self { left, right, out } = self;
        let block = Block {
            inner: left.inner,
            left: left.data.as_ptr(),
            tile_pitch: left.tile_pitch,
            right: right.strips.as_ptr(),
            right_pitch: right.pitch,
            out: out.to,
            out_pitch: out.pitch,
            out_far: out.far,
            bias: if let Onto::Bias(bias) = out.onto { bias.as_ptr() } else { std::ptr::null() },
            add: matches!(out.onto, Onto::Add),
            runs: 1,
            left_run: 0,
            columns: right.columns,
        };
        // SAFETY: `multiply` has checked all three against their slices.
        unsafe { block.cover::<V, R, 1, TILE>(v, left.skipped..left.skipped + left.rows) }
    }
}

/// `out[k, o] += Σ_p responses[k, p] · upstream[p, o]`.
///
/// `responses` are strips of pixels of `rows` rows; here the inner dimension is the pixels, all of every
/// strip: where a strip is longer than its line, `upstream` must hold zeros. `upstream` has strips of
/// channels, each `[pixels, STRIP]`.
pub(super) fn multiply_pixels<T: Real>(
    isa: Isa,
    rows: usize,
    responses: Right<'_, T>,
    upstream: Right<'_, T>,
    out: Output<'_, T>,
) {
    if rows == 0 || responses.columns == 0 || upstream.columns == 0 {
        return;
    }
    let strips = responses.columns.div_ceil(STRIP);
    assert!(responses.reaches(rows * STRIP), "the responses reach past their slice");
    let reaches = upstream.reaches(strips * STRIP * STRIP);
    out.check(rows, upstream.columns);
    if on_tile_unit::<T>(isa) && upstream.columns >= amx::FEWEST {
        assert!(reaches || upstream.rounded.is_some(), "the upstream gradient reaches past its slice");
        // SAFETY: all three have been checked; `T` is f32.
        return unsafe {
            amx::multiply_pixels(
                [rows, strips, upstream.columns],
                (responses.strips.as_ptr().cast(), responses.pitch),
                upstream.operand(),
                out.single(),
            )
        };
    }
    assert!(reaches, "the upstream gradient reaches past its slice");
    T::dispatch(isa, MultiplyPixels { rows, responses, upstream, out });
}

struct MultiplyPixels<'a, T> {
    rows: usize,
    responses: Right<'a, T>,
    upstream: Right<'a, T>,
    out: Output<'a, T>,
}

/// Strips of pixels that [`multiply_pixels`] sums over before it turns to other channels: 16 KiB of the
/// upstream gradient in f32, which stay in a first-level cache meanwhile.
const RUN_STRIPS: usize = 16;

impl<T: Real> VectorBody<T> for MultiplyPixels<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vectors<T>, const R: usize>(self, v: V) {
        let Self { rows, responses, upstream, out } = self;
        let strips = responses.columns.div_ceil(STRIP);
        for first in (0..strips).step_by(RUN_STRIPS) {
            let block = Block {
                inner: STRIP,
                runs: RUN_STRIPS.min(strips - first),
                left: responses.strips[first * responses.pitch..].as_ptr(),
                tile_pitch: TILE * STRIP,
                left_run: responses.pitch,
                right: upstream.strips[first * STRIP * STRIP..].as_ptr(),
                right_pitch: upstream.pitch,
                out: out.to,
                out_pitch: out.pitch,
                out_far: out.far,
                bias: std::ptr::null(),
                add: first > 0 || matches!(out.onto, Onto::Add),
                columns: upstream.columns,
            };
            // SAFETY: `multiply_pixels` has checked all three against their slices.
            unsafe { block.cover::<V, R, STRIP, 1>(v, 0..rows) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Small integers: every sum is exact in either type, whatever its order.
    fn value(seed: usize, i: usize, k: usize) -> f64 {
        ((seed + 31 * i + 17 * k + i * k) % 13) as f64 - 6.0
    }

    fn multiply_agrees<T: Real>(
        isa: Isa,
        [rows, inner, columns, before, after]: [usize; 5],
        add: bool,
        far: bool,
    ) -> Result<(), TestCaseError> {
        let total = before + rows + after;
        let tiles = Tiles::pack(isa, total, inner, |r, k| T::from_f64(value(1, r, k)));
        let pitch = strip_pitch(inner);
        let strips = columns.div_ceil(STRIP);
        // What a strip holds past the columns must not matter.
        let mut panel = vec![T::from_f64(f64::NAN); strips * pitch];
        for k in 0..inner {
            for c in 0..columns {
                panel[c / STRIP * pitch + k * STRIP + c % STRIP] = T::from_f64(value(2, k, c));
            }
        }
        let bias: Vec<T> = (0..rows).map(|r| T::from_f64(r as f64)).collect();
        let out_pitch = columns + 3;
        let mut out = vec![T::from_f64(7.0); (rows - 1) * out_pitch + columns + 3];
        let onto = if add { Onto::Add } else { Onto::Bias(&bias) };
        let right = Right::new(&panel, pitch, columns);
        multiply(
            isa,
            tiles.rows(before..before + rows),
            right,
            Output { far, ..Output::new(&mut out, out_pitch, onto) },
        );
        for (i, out) in out.iter().enumerate() {
            let (r, c) = (i / out_pitch, i % out_pitch);
            let product = (0..inner).map(|k| value(1, before + r, k) * value(2, k, c)).sum::<f64>();
            let expected = if c >= columns {
                7.0
            } else if add {
                7.0 + product
            } else {
                r as f64 + product
            };
            prop_assert_eq!(out.to_f64(), expected, "row {} column {} {:?}", r, c, isa);
        }
        // The same by a stretch of the inner dimension after another.
        let mut halves = vec![T::ZERO; rows * columns];
        for range in [0..inner / 2, inner / 2..inner] {
            let onto = if range.start == 0 { Onto::Overwrite } else { Onto::Add };
            let right = Right::new(&panel[range.start * STRIP..], pitch, columns);
            let tiles = Tiles::pack(isa, rows, inner, |r, k| T::from_f64(value(1, before + r, k)));
            multiply(isa, tiles.columns(range), right, Output::new(&mut halves, columns, onto));
        }
        for (i, out) in halves.iter().enumerate() {
            let (r, c) = (i / columns, i % columns);
            let product = (0..inner).map(|k| value(1, before + r, k) * value(2, k, c)).sum::<f64>();
            prop_assert_eq!(out.to_f64(), product, "in halves, row {} column {} {:?}", r, c, isa);
        }
        Ok(())
    }

    fn pixels_agree<T: Real>(isa: Isa, rows: usize, pixels: usize, channels: usize) -> Result<(), TestCaseError> {
        let strips = pixels.div_ceil(STRIP);
        let pitch = strip_pitch(rows);
        let mut responses = vec![T::ONE; strips * pitch];
        let mut upstream = vec![T::ZERO; channels.div_ceil(STRIP) * strips * STRIP * STRIP];
        for p in 0..pixels {
            for k in 0..rows {
                responses[p / STRIP * pitch + k * STRIP + p % STRIP] = T::from_f64(value(3, k, p));
            }
            for o in 0..channels {
                upstream[(o / STRIP * strips * STRIP + p) * STRIP + o % STRIP] = T::from_f64(value(4, p, o));
            }
        }
        let mut out = vec![T::ONE; rows * channels];
        let left = Right::new(&responses, pitch, pixels);
        let right = Right::new(&upstream, strips * STRIP * STRIP, channels);
        multiply_pixels(isa, rows, left, right, Output::new(&mut out, channels, Onto::Add));
        for (i, out) in out.iter().enumerate() {
            let (k, o) = (i / channels, i % channels);
            let expected = 1.0 + (0..pixels).map(|p| value(3, k, p) * value(4, p, o)).sum::<f64>();
            prop_assert_eq!(out.to_f64(), expected, "row {} channel {} {:?}", k, o, isa);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn every_instruction_set_multiplies(
            shape in [1usize..30, 1usize..40, 1usize..70, 0usize..8, 0usize..8],
            add in any::<bool>(),
            far in any::<bool>(),
        ) {
            for isa in Isa::ALL.into_iter().chain([Isa::Amx]) {
                multiply_agrees::<f32>(isa, shape, add, far)?;
                multiply_agrees::<f64>(isa, shape, add, far)?;
            }
        }

        #[test]
        fn every_instruction_set_sums_over_pixels(rows in 1usize..20, pixels in 1usize..600, channels in 1usize..40) {
            for isa in Isa::ALL.into_iter().chain([Isa::Amx]) {
                pixels_agree::<f32>(isa, rows, pixels, channels)?;
                pixels_agree::<f64>(isa, rows, pixels, channels)?;
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        /// Sums so long that the columns go in groups.
        #[test]
        fn every_instruction_set_multiplies_long_sums(
            shape in [1usize..30, 257usize..600, 1usize..250, 0usize..8, 0usize..8],
            add in any::<bool>(),
        ) {
            for isa in Isa::ALL.into_iter().chain([Isa::Amx]) {
                multiply_agrees::<f32>(isa, shape, add, false)?;
                multiply_agrees::<f64>(isa, shape, add, true)?;
            }
        }
    }

    #[test]
    #[should_panic(expected = "the output reaches past its slice")]
    fn an_output_that_is_too_small_is_refused() {
        let tiles = Tiles::pack(Isa::Best, 7, 3, |_, _| 1.0f32);
        let panel = vec![0.0; strip_pitch(3)];
        let right = Right::new(&panel, strip_pitch(3), 5);
        multiply(Isa::Best, tiles.rows(0..7), right, Output::new(&mut [0.0; 34], 5, Onto::Overwrite));
    }
}
