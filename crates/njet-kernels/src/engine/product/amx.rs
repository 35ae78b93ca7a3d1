//! Products in bf16 on the tile unit of x86-64 (AMX): factors are rounded to bf16 (8 bits of significand), products and
//! sums are f32, as mixed-precision training has them everywhere.
//!
//! The unit does thirty times as many multiply-adds a cycle as AVX-512. What is left of a product is the way of its
//! factors: they are rounded on the way into the order of the tiles, which is worth it wherever a factor meets
//! [`FEWEST`] others.
//!
//! A tile register holds 16 rows of 64 bytes. Of the left operand that is `[16 rows][32 of the inner dimension]`;
//! of the right one `[16 pairs of the inner dimension][16 columns][2]`.

use super::Onto;
use crate::simd::STRIP;
use rayon::prelude::*;
use std::arch::asm;
use std::arch::x86_64::*;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::OnceLock;

/// Fewest rows worth a task of their own when a left operand is packed.
const PACKED_ROWS: usize = 8;

/// bf16 in a row of a tile register: the inner dimension of one instruction.
const CHUNK: usize = 32;

/// Rows of a tile register.
const ROWS: usize = 16;

/// Rows, or columns, that a factor must meet for its rounding to be worth it.
pub(super) const FEWEST: usize = 32;

/// Chunks of pixels that [`multiply_pixels`] rounds at a time.
const RUN_CHUNKS: usize = 32;

/// A cache line of bf16.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([u16; CHUNK]);

const ZEROS: Line = Line([0; CHUNK]);

/// Whether this machine has the unit and the operating system lends it.
pub(super) fn available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        let vectors = is_x86_feature_detected!("avx512f");
        // CPUID leaf 7: AMX-BF16 and AMX-TILE.
        let tiles = __cpuid_count(7, 0).edx & (1 << 22) != 0 && __cpuid_count(7, 0).edx & (1 << 24) != 0;
        vectors && tiles && lent()
    })
}

/// Linux gives a process the state of the tiles when it asks.
#[cfg(target_os = "linux")]
fn lent() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
    const XTILEDATA: i64 = 18;
    let result: i64;
    // SAFETY: a system call that reads and writes no memory of ours.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XTILEDATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn lent() -> bool {
    false
}

/// A left operand: rows of bf16.
#[derive(Debug, Default)]
pub(super) struct Rows {
    lines: Vec<Line>,
    /// Lines between rows: odd in number, so that the rows of a tile lie in different sets of a cache.
    pitch: usize,
    /// Rows, a tile more than there are.
    rows: usize,
}

impl Rows {
    /// Rounds `at(row, inner)`. [`available`] must have said yes.
    pub(super) fn pack(rows: usize, inner: usize, at: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        assert!(available());
        // A row that begins anywhere may read a whole chunk past its end.
        let pitch = (inner.div_ceil(CHUNK) + 1) | 1;
        let padded = rows + ROWS;
        let mut lines = vec![ZEROS; padded * pitch];
        lines.par_chunks_exact_mut(pitch).take(rows).enumerate().with_min_len(PACKED_ROWS).for_each(|(row, lines)| {
            for (first, line) in (0..inner).step_by(CHUNK).zip(lines) {
                let value = |k: usize| if first + k < inner { at(row, first + k) } else { 0.0 };
                // The pairs that the vectors make, of even places and odd ones.
                let (even, odd): ([f32; STRIP], [f32; STRIP]) =
                    (std::array::from_fn(|i| value(2 * i)), std::array::from_fn(|i| value(2 * i + 1)));
                // SAFETY: the machine has AVX-512, asserted above; both have sixteen elements.
                *line = unsafe { pair(even.as_ptr(), Some(odd.as_ptr())) };
            }
        });
        Self { lines, pitch, rows: padded }
    }

    /// What begins at a row and a column.
    pub(super) fn from(&self, row: usize, inner: usize) -> Left<'_> {
        assert!(row + ROWS <= self.rows && inner <= (self.pitch - 1) * CHUNK);
        let at = self.lines[row * self.pitch..].as_ptr().cast::<u16>().wrapping_add(inner);
        Left { at, pitch: self.pitch * size_of::<Line>(), borrow: PhantomData }
    }
}

/// Part of a left operand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left<'a> {
    at: *const u16,
    /// Bytes between rows.
    pitch: usize,
    borrow: PhantomData<&'a [Line]>,
}

impl Left<'_> {
    fn row(self, row: usize) -> Self {
        Self { at: self.at.wrapping_add(row * self.pitch / size_of::<u16>()), ..self }
    }
}

/// A right operand in bf16: strip `s` begins at line `s · pitch`, its chunks follow one another, sixteen lines each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Right<'a> {
    lines: &'a [Line],
    pitch: usize,
}

impl Right<'_> {
    /// From a strip on.
    pub(super) fn at_strip(self, strip: usize) -> Self {
        Self { lines: &self.lines[strip * self.pitch..], ..self }
    }
}

/// Operands in bf16, kept from call to call.
#[derive(Debug, Default)]
pub(crate) struct Lines(Vec<Line>);

impl Lines {
    /// At least so many; contents are whatever was there.
    fn room(&mut self, len: usize) -> &mut [Line] {
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
pub(super) unsafe fn round_columns<'a>(
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
pub(super) unsafe fn round_pixels<'a>(
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
pub(super) struct Planes {
    pub(super) at: *const f32,
    pub(super) image: usize,
    pub(super) images: usize,
    pub(super) channels: usize,
    /// A whole number of strips.
    pub(super) pixels: usize,
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
pub(super) unsafe fn round_planes(planes: Planes, to: &mut Lines) -> Right<'_> {
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
pub(super) unsafe fn round_planes_of_pixels(planes: Planes, to: &mut Lines) -> Right<'_> {
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

/// Where a product goes.
#[derive(Clone, Copy)]
pub(super) struct Out<'a> {
    pub(super) to: *mut f32,
    pub(super) pitch: usize,
    pub(super) onto: Onto<'a, f32>,
}

/// Operands in bf16 of one thread, kept from call to call.
#[derive(Default)]
struct Scratch {
    left: Lines,
    right: Lines,
}

thread_local!(static SCRATCH: RefCell<Scratch> = RefCell::default());

/// A right operand, rounded before or in f32: where it begins and the elements between its strips.
#[derive(Clone, Copy)]
pub(super) enum Operand<'a> {
    Rounded(Right<'a>),
    Whole(*const f32, usize),
}

/// `rows` rows of `left` by `columns` columns.
///
/// # Safety
/// [`available`]. `left` has `rows` rows and from there on at least one tile more, `inner` columns and a chunk more;
/// `right` has the strips of `columns` columns with `inner` rows; the output can be written.
pub(super) unsafe fn multiply(left: Left<'_>, [rows, inner, columns]: [usize; 3], right: Operand<'_>, out: Out<'_>) {
    let chunks = inner.div_ceil(CHUNK).max(1);
    let lines = chunks * ROWS;
    SCRATCH.with_borrow_mut(|scratch| {
        // SAFETY: the caller's promise.
        unsafe {
            configure();
            for column in (0..columns).step_by(2 * STRIP) {
                let columns = (columns - column).min(2 * STRIP);
                let (strip, strips) = (column / STRIP, columns.div_ceil(STRIP));
                let right = match right {
                    Operand::Rounded(right) => right.at_strip(strip),
                    Operand::Whole(from, pitch) => {
                        round_columns(from.wrapping_add(strip * pitch), [strips, pitch, inner], &mut scratch.right)
                    }
                };
                let right = [0, strips - 1].map(|s| right.lines[s * right.pitch..][..lines].as_ptr());
                for row in (0..rows).step_by(2 * ROWS) {
                    let from =
                        Out { to: out.to.wrapping_add(row * out.pitch + column), onto: skip(out.onto, row), ..out };
                    block(left.row(row), right, chunks, [(rows - row).min(2 * ROWS), columns], from);
                }
            }
            release();
        }
    });
}

/// `out[k, o] (+)= Σ_p responses[k, p] · upstream[p, o]`: `rows` rows of strips of pixels, `strips` of them, by `columns`
/// channels in strips of `[pixels, STRIP]`.
///
/// # Safety
/// [`available`]; both operands can be read and the output written to the extent described.
pub(super) unsafe fn multiply_pixels(
    [rows, strips, columns]: [usize; 3],
    (responses, responses_pitch): (*const f32, usize),
    upstream: Operand<'_>,
    out: Out<'_>,
) {
    SCRATCH.with_borrow_mut(|Scratch { left, right: scratch }| {
        let chunks = strips.div_ceil(2);
        // Rows of a tile an odd number of lines apart.
        let pitch = RUN_CHUNKS | 1;
        let left = left.room(2 * ROWS * pitch);
        // SAFETY: the caller's promise.
        unsafe {
            configure();
            for first in (0..chunks).step_by(RUN_CHUNKS) {
                let run = RUN_CHUNKS.min(chunks - first);
                let right = match upstream {
                    Operand::Rounded(right) => Right { lines: &right.lines[first * ROWS..], ..right },
                    Operand::Whole(from, pitch) => {
                        let pixels = (strips - 2 * first).min(2 * run);
                        let from = from.wrapping_add(2 * first * STRIP * STRIP);
                        round_pixels(from, [columns.div_ceil(STRIP), pitch, pixels], scratch)
                    }
                };
                for row in (0..rows).step_by(2 * ROWS) {
                    let some = (rows - row).min(2 * ROWS);
                    let from = responses.wrapping_add(2 * first * responses_pitch + row * STRIP);
                    let whole = (strips - 2 * first) / 2 >= run;
                    for r in 0..some {
                        round_row(from.wrapping_add(r * STRIP), responses_pitch, whole, &mut left[r * pitch..][..run]);
                    }
                    let left = Left { at: left.as_ptr().cast(), pitch: pitch * size_of::<Line>(), borrow: PhantomData };
                    for column in (0..columns).step_by(2 * STRIP) {
                        let columns = (columns - column).min(2 * STRIP);
                        let c = column / STRIP;
                        let right = [c, c + columns.div_ceil(STRIP) - 1]
                            .map(|c| right.lines[c * right.pitch..][..run * ROWS].as_ptr());
                        let onto = if first > 0 { Onto::Add } else { out.onto };
                        let to = out.to.wrapping_add(row * out.pitch + column);
                        block(left, right, run, [some, columns], Out { to, onto, ..out });
                    }
                }
            }
            release();
        }
    });
}

/// The biases from a row on.
fn skip(onto: Onto<'_, f32>, row: usize) -> Onto<'_, f32> {
    match onto {
        Onto::Bias(bias) => Onto::Bias(&bias[row..]),
        other => other,
    }
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
unsafe fn round_row(from: *const f32, pitch: usize, whole: bool, out: &mut [Line]) {
    let chunks = out.len();
    for (i, line) in out.iter_mut().enumerate() {
        let at = from.wrapping_add(2 * i * pitch);
        let second = (whole || i + 1 < chunks).then(|| at.wrapping_add(pitch));
        // SAFETY: the caller's promise.
        *line = unsafe { pair(at, second) };
    }
}

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
        let rounded = |value| _mm512_add_epi32(value, _mm512_set1_epi32(0x8000));
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

/// Every tile register: sixteen rows of 64 bytes.
///
/// # Safety
/// [`available`]. [`release`] must follow.
unsafe fn configure() {
    #[repr(C, align(64))]
    struct Configuration([u8; 64]);
    static CONFIGURATION: Configuration = {
        let mut bytes = [0; 64];
        bytes[0] = 1;
        let mut tile = 0;
        while tile < 8 {
            bytes[16 + 2 * tile] = 64;
            bytes[48 + tile] = ROWS as u8;
            tile += 1;
        }
        Configuration(bytes)
    };
    // SAFETY: the machine has the instruction, the configuration is a valid one.
    unsafe { asm!("ldtilecfg [{}]", in(reg) CONFIGURATION.0.as_ptr(), options(nostack, readonly)) }
}

/// # Safety
/// [`available`].
unsafe fn release() {
    // SAFETY: the machine has the instruction.
    unsafe { asm!("tilerelease", options(nostack, nomem)) }
}

/// Sums of up to two tiles of rows by two strips of columns, in the tile registers over the whole inner dimension, and
/// then to the output.
///
/// # Safety
/// After [`configure`]; the operands hold `chunks` chunks and whole tiles, the output `rows` by `columns`.
#[target_feature(enable = "avx512f")]
unsafe fn block(left: Left<'_>, right: [*const Line; 2], chunks: usize, [rows, columns]: [usize; 2], out: Out<'_>) {
    #[repr(C, align(64))]
    struct Sums([[[f32; STRIP]; ROWS]; 4]);
    let mut sums = std::mem::MaybeUninit::<Sums>::uninit();
    let to = sums.as_mut_ptr();
    // SAFETY: the caller's promise; the tiles that are read below are those that were stored.
    unsafe {
        prefetch_output(rows, columns, out);
        match (rows > ROWS, columns > STRIP) {
            (true, true) => two_by_two(left, right, chunks, to.cast()),
            (true, false) => two_by_one(left, right, chunks, to.cast()),
            (false, true) => one_by_two(left, right, chunks, to.cast()),
            (false, false) => one_by_one(left, right, chunks, to.cast()),
        }
        for strip in 0..columns.div_ceil(STRIP) {
            let mask = (((1u32 << (columns - strip * STRIP).min(STRIP)) - 1) & 0xffff) as u16;
            for row in 0..rows {
                let tile = row / ROWS * 2 + strip;
                let mut sum = _mm512_load_ps((*to).0[tile][row % ROWS].as_ptr());
                let out_row = out.to.wrapping_add(row * out.pitch + strip * STRIP);
                match out.onto {
                    Onto::Overwrite => {}
                    Onto::Bias(bias) => sum = _mm512_add_ps(sum, _mm512_set1_ps(*bias.get_unchecked(row))),
                    Onto::Add => sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, out_row)),
                }
                _mm512_mask_storeu_ps(out_row, mask, sum);
            }
        }
    }
}

/// Asks for the lines of the output before the sums are there.
#[inline]
fn prefetch_output(rows: usize, columns: usize, out: Out<'_>) {
    for row in 0..rows {
        for strip in 0..columns.div_ceil(STRIP) {
            let at = out.to.wrapping_add(row * out.pitch + strip * STRIP);
            // SAFETY: a hint, which does not access memory.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
        }
    }
}

/// The loop over chunks: loads and products of one kind of block. `tmm0` to `tmm3` are the sums; what is loaded goes to
/// the others.
macro_rules! chunks {
    ($name:ident, [$($line:literal),*]) => {
        /// # Safety
        /// As for [`block`].
        unsafe fn $name(left: Left<'_>, right: [*const Line; 2], chunks: usize, to: *mut f32) {
            // SAFETY: the caller's promise: whole tiles of `chunks` chunks can be read, and four tiles be written.
            unsafe {
                asm!(
                    "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
                    "2:",
                    $($line,)*
                    "add {l0}, 64", "add {l1}, 64", "add {r0}, 1024", "add {r1}, 1024",
                    "dec {n}", "jnz 2b",
                    "tilestored [{to} + {s}], tmm0", "tilestored [{to} + {s} + 1024], tmm1",
                    "tilestored [{to} + {s} + 2048], tmm2", "tilestored [{to} + {s} + 3072], tmm3",
                    l0 = inout(reg) left.at => _, l1 = inout(reg) left.row(ROWS).at => _,
                    r0 = inout(reg) right[0] => _, r1 = inout(reg) right[1] => _,
                    p = in(reg) left.pitch, s = in(reg) 64usize, n = inout(reg) chunks => _, to = in(reg) to,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                );
            }
        }
    };
}

chunks!(
    two_by_two,
    [
        "tileloadd tmm4, [{l0} + {p}]",
        "tileloadd tmm6, [{r0} + {s}]",
        "tdpbf16ps tmm0, tmm4, tmm6",
        "tileloadd tmm7, [{r1} + {s}]",
        "tdpbf16ps tmm1, tmm4, tmm7",
        "tileloadd tmm5, [{l1} + {p}]",
        "tdpbf16ps tmm2, tmm5, tmm6",
        "tdpbf16ps tmm3, tmm5, tmm7"
    ]
);

chunks!(
    two_by_one,
    [
        "tileloadd tmm4, [{l0} + {p}]",
        "tileloadd tmm6, [{r0} + {s}]",
        "tdpbf16ps tmm0, tmm4, tmm6",
        "tileloadd tmm5, [{l1} + {p}]",
        "tdpbf16ps tmm2, tmm5, tmm6"
    ]
);

chunks!(
    one_by_two,
    [
        "tileloadd tmm4, [{l0} + {p}]",
        "tileloadd tmm6, [{r0} + {s}]",
        "tdpbf16ps tmm0, tmm4, tmm6",
        "tileloadd tmm7, [{r1} + {s}]",
        "tdpbf16ps tmm1, tmm4, tmm7"
    ]
);

chunks!(one_by_one, ["tileloadd tmm4, [{l0} + {p}]", "tileloadd tmm6, [{r0} + {s}]", "tdpbf16ps tmm0, tmm4, tmm6"]);
