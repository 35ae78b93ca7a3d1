//! Products in bf16 on the tile unit of x86-64 (AMX): factors are rounded to bf16 (8 bits of significand), products and
//! sums are f32, as mixed-precision training has them everywhere.
//!
//! The unit does thirty times as many multiply-adds a cycle as AVX-512. What is left of a product is the way of its
//! factors: they are rounded on the way into the order of the tiles, which is worth it wherever a factor meets
//! [`FEWEST`] others.
//!
//! A tile register holds 16 rows of 64 bytes. Of the left operand that is `[16 rows][32 of the inner dimension]`;
//! of the right one `[16 pairs of the inner dimension][16 columns][2]`.

mod operands;

use super::Onto;
use crate::simd::STRIP;
use std::arch::asm;
use std::arch::x86_64::*;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::OnceLock;

pub(crate) use operands::Lines;
use operands::{CHUNK, Line, ROWS, round_row};
pub(super) use operands::{
    Left, Planes, Right, Rows, round_columns, round_pixels, round_planes, round_planes_of_pixels,
};

/// Rows, or columns, that a factor must meet for its rounding to be worth it.
pub(super) const FEWEST: usize = 32;

/// Chunks of pixels that [`multiply_pixels`] rounds at a time.
const RUN_CHUNKS: usize = 32;

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
