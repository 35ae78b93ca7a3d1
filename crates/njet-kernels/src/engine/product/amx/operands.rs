//! Factors in bf16, in the order in which the tile registers take them, and the ways into it.

use super::available;
use crate::simd::STRIP;
use rayon::prelude::*;
use std::arch::x86_64::*;
use std::marker::PhantomData;

/// Fewest rows worth a task of their own when a left operand is packed.
const PACKED_ROWS: usize = 8;

/// bf16 in a row of a tile register: the inner dimension of one instruction.
pub(super) const CHUNK: usize = 32;

/// Rows of a tile register.
pub(super) const ROWS: usize = 16;

/// A cache line of bf16.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line([u16; CHUNK]);

const ZEROS: Line = Line([0; CHUNK]);

/// A left operand: rows of bf16.
#[derive(Debug, Default)]
pub(in crate::engine::product) struct Rows {
    lines: Vec<Line>,
    /// Lines between rows: odd in number, so that the rows of a tile lie in different sets of a cache.
    pitch: usize,
    /// Rows, a tile more than there are.
    rows: usize,
}

impl Rows {
    /// Rounds `at(row, inner)`. [`available`] must have said yes.
    pub(in crate::engine::product) fn pack(rows: usize, inner: usize, at: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        let mut packed = Self::zeros(rows, inner);
        packed.lines.par_chunks_exact_mut(packed.pitch).take(rows).enumerate().with_min_len(PACKED_ROWS).for_each(
            |(row, lines)| {
                for (first, line) in (0..inner).step_by(CHUNK).zip(lines) {
                    let value = |k: usize| if first + k < inner { at(row, first + k) } else { 0.0 };
                    // The pairs that the vectors make, of even places and odd ones.
                    let (even, odd): ([f32; STRIP], [f32; STRIP]) =
                        (std::array::from_fn(|i| value(2 * i)), std::array::from_fn(|i| value(2 * i + 1)));
                    // SAFETY: the machine has AVX-512, asserted by `zeros`; both have sixteen elements.
                    *line = unsafe { pair(even.as_ptr(), Some(odd.as_ptr())) };
                }
            },
        );
        packed
    }

    /// Rounds rows as they lie, `[rows, inner]`.
    pub(in crate::engine::product) fn of_rows([rows, inner]: [usize; 2], data: &[f32]) -> Self {
        let mut packed = Self::zeros(rows, inner);
        for (row, lines) in data.chunks_exact(inner).zip(packed.lines.chunks_exact_mut(packed.pitch)) {
            for (chunk, line) in row.chunks(CHUNK).zip(lines) {
                // SAFETY: the machine has AVX-512, asserted by `zeros`.
                *line = unsafe { line_of(chunk) };
            }
        }
        packed
    }

    /// Rounds the rows that have these columns, `[inner, rows]`.
    pub(in crate::engine::product) fn of_columns([rows, inner]: [usize; 2], data: &[f32]) -> Self {
        let mut packed = Self::zeros(rows, inner);
        for first in (0..rows).step_by(ROWS) {
            let len = ROWS.min(rows - first);
            for (chunk, columns) in data.chunks(CHUNK * rows).enumerate() {
                // What a pair of columns has of these rows.
                let mut lines = [ZEROS; ROWS];
                for (line, pair) in lines.iter_mut().zip(columns.chunks(2 * rows)) {
                    // No second one after an odd last.
                    let some = |column: usize| pair.get(column * rows + first..).and_then(|some| some.get(..len));
                    // SAFETY: the machine has AVX-512, asserted by `zeros`.
                    *line = unsafe { pair_of(some(0).unwrap_or(&[]), some(1).unwrap_or(&[])) };
                }
                // SAFETY: AVX-512; there are sixteen lines.
                unsafe { transpose(lines.as_mut_ptr()) };
                for (row, line) in (first..first + len).zip(lines) {
                    packed.lines[row * packed.pitch + chunk] = line;
                }
            }
        }
        packed
    }

    /// Room for `rows` rows. [`available`] must have said yes.
    fn zeros(rows: usize, inner: usize) -> Self {
        assert!(available());
        // A row that begins anywhere may read a whole chunk past its end.
        let pitch = (inner.div_ceil(CHUNK) + 1) | 1;
        let rows = rows + ROWS;
        Self { lines: vec![ZEROS; rows * pitch], pitch, rows }
    }

    /// What begins at a row and a column.
    pub(in crate::engine::product) fn from(&self, row: usize, inner: usize) -> Left<'_> {
        assert!(row + ROWS <= self.rows && inner <= (self.pitch - 1) * CHUNK);
        let at = self.lines[row * self.pitch..].as_ptr().cast::<u16>().wrapping_add(inner);
        Left { at, pitch: self.pitch * size_of::<Line>(), borrow: PhantomData }
    }
}

/// Part of a left operand.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine::product) struct Left<'a> {
    pub(super) at: *const u16,
    /// Bytes between rows.
    pub(super) pitch: usize,
    pub(super) borrow: PhantomData<&'a [Line]>,
}

impl Left<'_> {
    pub(super) fn row(self, row: usize) -> Self {
        Self { at: self.at.wrapping_add(row * self.pitch / size_of::<u16>()), ..self }
    }
}

/// A right operand in bf16: strip `s` begins at line `s · pitch`, its chunks follow one another, sixteen lines each.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine::product) struct Right<'a> {
    pub(super) lines: &'a [Line],
    pub(super) pitch: usize,
}

impl Right<'_> {
    /// From a strip on.
    pub(in crate::engine::product) fn at_strip(self, strip: usize) -> Self {
        Self { lines: &self.lines[strip * self.pitch..], ..self }
    }
}

/// Operands in bf16, kept from call to call.
#[derive(Debug, Default)]
pub(crate) struct Lines(Vec<Line>);

impl Lines {
    /// At least so many; contents are whatever was there.
    pub(super) fn room(&mut self, len: usize) -> &mut [Line] {
        if self.0.len() < len {
            self.0.resize(len, ZEROS);
        }
        &mut self.0[..len]
    }

    /// Gives them back if they are more than `bytes`.
    pub(crate) fn trim(&mut self, bytes: usize) {
        if self.0.capacity() * size_of::<Line>() > bytes {
            self.0 = Vec::new();
        }
    }
}

/// Rounds the right operand of [`multiply`].
///
/// # Safety
/// [`available`]; `strips` strips, `pitch` apart, of `inner` rows.
pub(in crate::engine::product) unsafe fn round_columns<'a>(
    from: *const f32,
    [strips, pitch, inner]: [usize; 3],
    to: &'a mut Lines,
) -> Right<'a> {
    let lines = inner.div_ceil(CHUNK).max(1) * ROWS;
    let to = to.room(strips * lines);
    for (s, to) in to.chunks_exact_mut(lines).enumerate() {
        // SAFETY: the caller's promise.
        unsafe { round_strip(from.wrapping_add(s * pitch), inner, to) };
    }
    Right { lines: to, pitch: lines }
}

/// Rounds the right operand of [`multiply_pixels`]: `pixels` strips of pixels of each strip of channels.
///
/// # Safety
/// [`available`]; `strips` strips of channels, `pitch` apart, of `pixels · STRIP` rows.
pub(in crate::engine::product) unsafe fn round_pixels<'a>(
    from: *const f32,
    [strips, pitch, pixels]: [usize; 3],
    to: &'a mut Lines,
) -> Right<'a> {
    let lines = pixels.div_ceil(2) * ROWS;
    let to = to.room(strips * lines);
    for (s, to) in to.chunks_exact_mut(lines).enumerate() {
        // SAFETY: the caller's promise.
        unsafe { round_channels(from.wrapping_add(s * pitch), pixels, to) };
    }
    Right { lines: to, pitch: lines }
}

/// Planes of f32, as a layer has them: channel `c` of image `m` begins at `m · image + c · pixels`.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine::product) struct Planes {
    pub(in crate::engine::product) at: *const f32,
    pub(in crate::engine::product) image: usize,
    pub(in crate::engine::product) images: usize,
    pub(in crate::engine::product) channels: usize,
    /// A whole number of strips.
    pub(in crate::engine::product) pixels: usize,
}

impl Planes {
    fn strips(&self) -> usize {
        self.pixels / STRIP
    }

    /// A strip of a channel, counted through all images.
    fn strip(&self, strip: usize, channel: usize) -> *const f32 {
        let (m, s) = (strip / self.strips(), strip % self.strips());
        self.at.wrapping_add(m * self.image + channel * self.pixels + s * STRIP)
    }
}

/// Rounds planes, whose channels are the inner dimension of [`multiply`].
///
/// # Safety
/// [`available`]; the planes can be read.
pub(in crate::engine::product) unsafe fn round_planes(planes: Planes, to: &mut Lines) -> Right<'_> {
    let pairs = planes.channels.div_ceil(2);
    let pitch = planes.channels.div_ceil(CHUNK).max(1) * ROWS;
    let to = to.room(planes.images * planes.strips() * pitch);
    for (strip, to) in to.chunks_exact_mut(pitch).enumerate() {
        for (i, line) in to[..pairs].iter_mut().enumerate() {
            let second = (2 * i + 1 < planes.channels).then(|| planes.strip(strip, 2 * i + 1));
            // SAFETY: the caller's promise.
            *line = unsafe { pair(planes.strip(strip, 2 * i), second) };
        }
        to[pairs..].fill(ZEROS);
    }
    Right { lines: to, pitch }
}

/// Rounds planes, whose pixels are the inner dimension of [`multiply_pixels`]; the channels are a whole number of strips.
///
/// # Safety
/// [`available`]; the planes can be read.
pub(in crate::engine::product) unsafe fn round_planes_of_pixels(planes: Planes, to: &mut Lines) -> Right<'_> {
    let strips = planes.images * planes.strips();
    let pitch = strips.div_ceil(2) * ROWS;
    let to = to.room(planes.channels / STRIP * pitch);
    for (first, to) in (0..planes.channels).step_by(STRIP).zip(to.chunks_exact_mut(pitch.max(1))) {
        for (strip, to) in (0..strips).step_by(2).zip(to.chunks_exact_mut(ROWS)) {
            for (channel, line) in (first..).zip(&mut *to) {
                let second = (strip + 1 < strips).then(|| planes.strip(strip + 1, channel));
                // SAFETY: the caller's promise.
                *line = unsafe { pair(planes.strip(strip, channel), second) };
            }
            // SAFETY: AVX-512; there are sixteen lines.
            unsafe { transpose(to.as_mut_ptr()) };
        }
    }
    Right { lines: to, pitch }
}

/// A strip of columns into tiles of pairs.
///
/// # Safety
/// The strip has `inner` rows; AVX-512.
#[target_feature(enable = "avx512f")]
unsafe fn round_strip(strip: *const f32, inner: usize, out: &mut [Line]) {
    let (pairs, rest) = out.split_at_mut(inner.div_ceil(2));
    for (i, line) in pairs.iter_mut().enumerate() {
        let second = (2 * i + 1 < inner).then(|| strip.wrapping_add((2 * i + 1) * STRIP));
        // SAFETY: the caller's promise.
        *line = unsafe { pair(strip.wrapping_add(2 * i * STRIP), second) };
    }
    rest.fill(ZEROS);
}

/// Pixels of a strip of channels into tiles of pairs: pixel `i` of a strip of pixels with pixel `i` of the next.
///
/// # Safety
/// The strip has those pixels; AVX-512.
#[target_feature(enable = "avx512f")]
unsafe fn round_channels(from: *const f32, pixels: usize, out: &mut [Line]) {
    for (strip, out) in (0..pixels).step_by(2).zip(out.chunks_exact_mut(ROWS)) {
        for (p, line) in out.iter_mut().enumerate() {
            let at = |strip: usize| from.wrapping_add((strip * STRIP + p) * STRIP);
            let second = (strip + 1 < pixels).then(|| at(strip + 1));
            // SAFETY: the caller's promise.
            *line = unsafe { pair(at(strip), second) };
        }
    }
}

/// A row of strips of pixels, `pitch` apart, into chunks: the pixels of two strips in turns. The last chunk has one strip
/// unless all are `whole`.
///
/// # Safety
/// The strips can be read; AVX-512.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn round_row(from: *const f32, pitch: usize, whole: bool, out: &mut [Line]) {
    let chunks = out.len();
    for (i, line) in out.iter_mut().enumerate() {
        let at = from.wrapping_add(2 * i * pitch);
        let second = (whole || i + 1 < chunks).then(|| at.wrapping_add(pitch));
        // SAFETY: the caller's promise.
        *line = unsafe { pair(at, second) };
    }
}

/// Up to [`CHUNK`] elements, zeros after them.
///
/// # Safety
/// AVX-512.
#[target_feature(enable = "avx512f")]
unsafe fn line_of(chunk: &[f32]) -> Line {
    let (first, second) = chunk.split_at(chunk.len().min(STRIP));
    // SAFETY: what the masks have can be read; a register of 64 bytes holds what a line does.
    unsafe {
        let half = |half| _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(rounded(half)));
        let both = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(half(first)), half(second));
        std::mem::transmute::<__m512i, Line>(both)
    }
}

/// As [`pair`], of up to sixteen elements each.
///
/// # Safety
/// AVX-512.
#[target_feature(enable = "avx512f")]
unsafe fn pair_of(a: &[f32], b: &[f32]) -> Line {
    // SAFETY: as above.
    unsafe {
        let upper = _mm512_set1_epi32(0xffff_0000_u32 as i32);
        let both = _mm512_ternarylogic_epi32::<0xd8>(_mm512_srli_epi32::<16>(rounded(a)), rounded(b), upper);
        std::mem::transmute::<__m512i, Line>(both)
    }
}

/// Up to sixteen elements, such that the upper halves of their bits are the nearest bf16; zeros after them.
///
/// # Safety
/// AVX-512.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn rounded(some: &[f32]) -> __m512i {
    let mask = ((1u32 << some.len().min(STRIP)) - 1) as u16;
    // SAFETY: the mask has what the slice has.
    let bits = unsafe { _mm512_castps_si512(_mm512_maskz_loadu_ps(mask, some.as_ptr())) };
    _mm512_add_epi32(bits, _mm512_set1_epi32(HALF_A_UNIT))
}

/// Half a unit of the last place of a bf16, in the bits of an f32.
const HALF_A_UNIT: i32 = 0x8000;

/// Two registers of f32 into pairs `(a, b)` of the nearest bf16. Without a second, zeros.
///
/// # Safety
/// Sixteen elements can be read from each; AVX-512.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn pair(a: *const f32, b: Option<*const f32>) -> Line {
    // SAFETY: the caller's promise; a register of 64 bytes holds what a line does.
    unsafe {
        let load = |at| _mm512_castps_si512(_mm512_loadu_ps(at));
        let (a, b) = (load(a), b.map_or(_mm512_setzero_si512(), load));
        // To the nearest: what half a unit of the last place carries over.
        let rounded = |value| _mm512_add_epi32(value, _mm512_set1_epi32(HALF_A_UNIT));
        // The upper half of `b`, and for the lower half the upper one of `a`: bits of the second where the mask has them.
        let upper = _mm512_set1_epi32(0xffff_0000_u32 as i32);
        let both = _mm512_ternarylogic_epi32::<0xd8>(_mm512_srli_epi32::<16>(rounded(a)), rounded(b), upper);
        std::mem::transmute::<__m512i, Line>(both)
    }
}

/// Turns sixteen lines of sixteen pairs.
///
/// # Safety
/// The lines can be read and written; AVX-512.
#[target_feature(enable = "avx512f")]
unsafe fn transpose(lines: *mut Line) {
    // SAFETY: the caller's promise.
    let row = |i: usize| unsafe { _mm512_load_si512(lines.wrapping_add(i).cast()) };
    let by_four: [[__m512i; 4]; 4] = std::array::from_fn(|group| {
        let [a, b, c, d] = std::array::from_fn(|i| row(4 * group + i));
        let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
        let (ab_high, cd_high) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
        [
            _mm512_unpacklo_epi64(ab, cd),
            _mm512_unpackhi_epi64(ab, cd),
            _mm512_unpacklo_epi64(ab_high, cd_high),
            _mm512_unpackhi_epi64(ab_high, cd_high),
        ]
    });
    // Quarter q of register k of a group is column 4q + k of its four rows.
    let [first, second, third, fourth] = by_four;
    for (k, (((a, b), c), d)) in first.into_iter().zip(second).zip(third).zip(fourth).enumerate() {
        let (even_ab, even_cd) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0x88>(c, d));
        let (odd_ab, odd_cd) = (_mm512_shuffle_i32x4::<0xdd>(a, b), _mm512_shuffle_i32x4::<0xdd>(c, d));
        let columns = [
            _mm512_shuffle_i32x4::<0x88>(even_ab, even_cd),
            _mm512_shuffle_i32x4::<0x88>(odd_ab, odd_cd),
            _mm512_shuffle_i32x4::<0xdd>(even_ab, even_cd),
            _mm512_shuffle_i32x4::<0xdd>(odd_ab, odd_cd),
        ];
        for (q, column) in columns.into_iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { _mm512_store_si512(lines.wrapping_add(4 * q + k).cast(), column) };
        }
    }
}
