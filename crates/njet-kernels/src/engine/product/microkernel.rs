//! The microkernel: blocks of the result stay in registers while it runs over the inner dimension.

// Lanes and registers are indexed together in several arrays.
#![allow(clippy::needless_range_loop)]

use super::TILE;
use crate::Real;
use crate::simd::{STRIP, Vectors, prefetch};
use std::ops::Range;

/// Elements of the right operand that are read again for every few rows: a quarter of a mebibyte of f32, half of a
/// second-level cache or less.
const CACHED: usize = 1 << 16;

/// The inner dimension up to which two strips stay in the first-level cache: 32 KiB of f32.
const SHORT: usize = 256;

/// Rows of the largest block.
const FEW_ROWS: usize = 2 * TILE;

/// A product as the microkernel sees it.
#[derive(Clone, Copy)]
pub(super) struct Block<T> {
    /// Inner dimension of a run,
    pub(super) inner: usize,
    /// of which there are this many.
    pub(super) runs: usize,
    pub(super) left: *const T,
    pub(super) tile_pitch: usize,
    /// Elements of the left operand between runs.
    pub(super) left_run: usize,
    pub(super) right: *const T,
    pub(super) right_pitch: usize,
    pub(super) out: *mut T,
    pub(super) out_pitch: usize,
    /// It is not in the caches yet.
    pub(super) out_far: bool,
    /// A value for each row, or null.
    pub(super) bias: *const T,
    pub(super) add: bool,
    pub(super) columns: usize,
}

impl<T: Real> Block<T> {
    /// Rows `rows`, counted from the first tile, by all columns. `ROW` and `INNER`: elements of the left operand between the rows of a
    /// tile and along the inner dimension.
    ///
    /// # Safety
    /// The operands and the output can be read and written to the extent described.
    #[inline(always)]
    pub(super) unsafe fn cover<V: Vectors<T>, const R: usize, const ROW: usize, const INNER: usize>(
        self,
        v: V,
        rows: Range<usize>,
    ) {
        // So many columns as stay in a cache are read again for every few rows: what is written of those rows then lies
        // together, and their left operand stays in the first-level cache. Two short strips stay there themselves, and then
        // it pays only for where the results go, if all columns are so many.
        let again = self.inner > SHORT || self.out_far && self.inner * self.columns <= CACHED;
        if self.runs > 1 || !again {
            // SAFETY: the caller's rows and columns.
            return unsafe { self.rows::<V, R, ROW, INNER>(v, rows) };
        }
        let most = (CACHED / self.inner.max(1)).next_multiple_of(2 * STRIP);
        for column in (0..self.columns).step_by(most) {
            let mut row = rows.start;
            while row < rows.end {
                let end = ((row / FEW_ROWS + 1) * FEW_ROWS).min(rows.end);
                let done = row - rows.start;
                let some = Self {
                    right: self.right.wrapping_add(column / STRIP * self.right_pitch),
                    out: self.out.wrapping_add(done * self.out_pitch + column),
                    bias: if self.bias.is_null() { self.bias } else { self.bias.wrapping_add(done) },
                    columns: most.min(self.columns - column),
                    ..self
                };
                // SAFETY: some of the caller's rows and columns.
                unsafe { some.rows::<V, R, ROW, INNER>(v, row..end) };
                row = end;
            }
        }
    }

    /// The same, a strip of columns or two after another.
    #[inline(always)]
    unsafe fn rows<V: Vectors<T>, const R: usize, const ROW: usize, const INNER: usize>(
        self,
        v: V,
        rows: Range<usize>,
    ) {
        let mut column = 0;
        while column < self.columns {
            let from = Self {
                right: self.right.wrapping_add(column / STRIP * self.right_pitch),
                out: self.out.wrapping_add(column),
                columns: self.columns - column,
                ..self
            };
            // SAFETY: rows and columns are those of the caller.
            unsafe {
                if R == 1 && V::REGISTERS >= 32 && from.columns > STRIP {
                    from.column_of_blocks::<V, 1, 2, 2, ROW, INNER>(v, rows.clone());
                    column += 2 * STRIP;
                } else {
                    from.column_of_blocks::<V, R, 1, R, ROW, INNER>(v, rows.clone());
                    column += STRIP;
                }
            }
        }
    }

    /// `STRIPS` strips of columns (`C` registers), from the first row to the last.
    #[inline(always)]
    unsafe fn column_of_blocks<
        V: Vectors<T>,
        const R: usize,
        const STRIPS: usize,
        const C: usize,
        const ROW: usize,
        const INNER: usize,
    >(
        self,
        v: V,
        rows: Range<usize>,
    ) {
        let mut row = rows.start;
        // While this strip is in use by many rows the next one comes nearer, a part of it with each block.
        let strip = self.runs * self.inner * STRIP;
        let next = self.right.wrapping_add(STRIPS * self.right_pitch);
        let many = rows.len() > FEW_ROWS && self.columns > STRIPS * STRIP;
        let share = if many { strip.div_ceil(rows.len().div_ceil(TILE)) } else { 0 };
        while row < rows.end {
            let from = (row - rows.start) / TILE * share;
            for at in (from..(from + share).min(strip)).step_by(64 / size_of::<T>()) {
                prefetch(next.wrapping_add(at));
            }
            let (tile, in_tile, done) = (row / TILE, row % TILE, row - rows.start);
            // A block may hold several whole tiles, or part of one.
            let ahead = if in_tile == 0 { rows.end - row } else { (rows.end - row).min(TILE - in_tile) };
            let at = Self {
                left: self.left.wrapping_add(tile * self.tile_pitch + in_tile * ROW),
                out: self.out.wrapping_add(done * self.out_pitch),
                bias: if self.bias.is_null() { self.bias } else { self.bias.wrapping_add(done) },
                ..self
            };
            // SAFETY: no block reaches past `rows` or the columns.
            row += unsafe {
                match ahead {
                    // Two registers of columns by twelve rows, the operands' own: 27 of 32.
                    12.. if V::REGISTERS >= 32 && C <= 2 => at.block::<V, R, STRIPS, C, 2, TILE, ROW, INNER>(v),
                    6.. if V::REGISTERS >= 32 || C <= 2 => at.block::<V, R, STRIPS, C, 1, TILE, ROW, INNER>(v),
                    // Four registers of columns: three rows are what sixteen registers hold.
                    3.. if C > 2 => at.block::<V, R, STRIPS, C, 1, 3, ROW, INNER>(v),
                    5 => at.block::<V, R, STRIPS, C, 1, 5, ROW, INNER>(v),
                    4 => at.block::<V, R, STRIPS, C, 1, 4, ROW, INNER>(v),
                    3 => at.block::<V, R, STRIPS, C, 1, 3, ROW, INNER>(v),
                    2 => at.block::<V, R, STRIPS, C, 1, 2, ROW, INNER>(v),
                    _ => at.block::<V, R, STRIPS, C, 1, 1, ROW, INNER>(v),
                }
            };
        }
    }

    /// `TILES · ROWS` rows by `STRIPS` strips, kept in registers; returns how many rows.
    ///
    /// Sums that any loop indexes with a variable live in memory, and each multiply-add then stores its own: a third of
    /// the speed. The compiler unrolls loops over the rows of a tile, but not over twice as many; so tiles are named.
    #[inline(always)]
    unsafe fn block<
        V: Vectors<T>,
        const R: usize,
        const STRIPS: usize,
        const C: usize,
        const TILES: usize,
        const ROWS: usize,
        const ROW: usize,
        const INNER: usize,
    >(
        self,
        v: V,
    ) -> usize {
        const { assert!(TILES == 1 || (TILES == 2 && ROWS == TILE)) }
        let second = self.second_tile();
        let mut sums = self.start::<V, C, ROWS>(v);
        let mut more = if TILES == 2 { second.start::<V, C, ROWS>(v) } else { [[v.splat(T::ZERO); C]; ROWS] };
        let (mut left, mut right) = (self.left, self.right);
        for row in 0..TILES * ROWS {
            prefetch_output(self.out.wrapping_add(row * self.out_pitch));
        }
        // SAFETY: the caller's promise covers every element of the rows, columns and runs.
        unsafe {
            for _ in 0..self.runs {
                for k in 0..self.inner {
                    let columns: [V::V; C] = std::array::from_fn(|c| {
                        v.load(right.add(k * STRIP + c / R * self.right_pitch + c % R * V::LANES))
                    });
                    for row in 0..ROWS {
                        let value = v.splat(*left.add(row * ROW + k * INNER));
                        for c in 0..C {
                            sums[row][c] = v.mul_add(value, columns[c], sums[row][c]);
                        }
                    }
                    if TILES == 2 {
                        for row in 0..ROWS {
                            let value = v.splat(*left.add(self.tile_pitch + row * ROW + k * INNER));
                            for c in 0..C {
                                more[row][c] = v.mul_add(value, columns[c], more[row][c]);
                            }
                        }
                    }
                }
                left = left.wrapping_add(self.left_run);
                right = right.wrapping_add(self.inner * STRIP);
            }
            self.finish::<V, STRIPS, C, ROWS>(v, sums);
            if TILES == 2 {
                second.finish::<V, STRIPS, C, ROWS>(v, more);
            }
        }
        TILES * ROWS
    }

    /// The output and bias of the next tile.
    #[inline(always)]
    fn second_tile(self) -> Self {
        let bias = if self.bias.is_null() { self.bias } else { self.bias.wrapping_add(TILE) };
        Self { out: self.out.wrapping_add(TILE * self.out_pitch), bias, ..self }
    }

    /// What the sums of a tile begin with.
    #[inline(always)]
    fn start<V: Vectors<T>, const C: usize, const ROWS: usize>(self, v: V) -> [[V::V; C]; ROWS] {
        if self.bias.is_null() {
            return [[v.splat(T::ZERO); C]; ROWS];
        }
        // SAFETY: `check` asked for a value for each row.
        std::array::from_fn(|row| [v.splat(unsafe { *self.bias.add(row) }); C])
    }

    /// Writes the sums of a tile, or adds them.
    ///
    /// # Safety
    /// Its rows and columns can be written.
    #[inline(always)]
    unsafe fn finish<V: Vectors<T>, const STRIPS: usize, const C: usize, const ROWS: usize>(
        self,
        v: V,
        sums: [[V::V; C]; ROWS],
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            if self.columns >= STRIPS * STRIP {
                for row in 0..ROWS {
                    let out = self.out.add(row * self.out_pitch);
                    for c in 0..C {
                        let out = out.add(c * V::LANES);
                        let sum = sums[row][c];
                        v.store(out, if self.add { v.add(v.load(out), sum) } else { sum });
                    }
                }
            } else {
                for row in 0..ROWS {
                    let mut values = [[T::ZERO; STRIP]; STRIPS];
                    let values = values.as_flattened_mut();
                    for c in 0..C {
                        v.store(values.as_mut_ptr().add(c * V::LANES), sums[row][c]);
                    }
                    let out = self.out.add(row * self.out_pitch);
                    for (column, &value) in values[..self.columns].iter().enumerate() {
                        let out = out.add(column);
                        out.write(if self.add { *out + value } else { value });
                    }
                }
            }
        }
    }
}

/// Asks for the cache line of an output that the product will write when it has its sums.
#[inline(always)]
fn prefetch_output<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which every x86-64 has and which does not access memory.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
