//! Rows to columns.

use crate::simd::STRIP;

/// `[rows, columns]` with rows `pitch` apart becomes `[columns, rows]` with rows `pitch_to` apart. What lies between
/// the end of a row and the next in `to` is zero.
#[inline(always)]
pub(super) fn transpose<T: Copy>(
    from: &[T],
    pitch: usize,
    [rows, columns]: [usize; 2],
    to: &mut [T],
    pitch_to: usize,
    zero: T,
) {
    assert!(columns <= pitch && rows <= pitch_to && to.len() >= columns * pitch_to);
    assert!(rows == 0 || from.len() >= (rows - 1) * pitch + columns);
    // Squares whose rows stay in the first-level cache on both sides.
    for top in (0..rows).step_by(STRIP) {
        let height = STRIP.min(rows - top);
        for left in (0..columns).step_by(STRIP) {
            let width = STRIP.min(columns - left);
            if (height, width) == (STRIP, STRIP) {
                square::<T>(&from[top * pitch + left..], pitch, &mut to[left * pitch_to + top..], pitch_to);
            } else {
                for x in left..left + width {
                    for y in top..top + height {
                        to[x * pitch_to + y] = from[y * pitch + x];
                    }
                }
            }
        }
    }
    if rows < pitch_to {
        to.chunks_exact_mut(pitch_to).take(columns).for_each(|row| row[rows..].fill(zero));
    }
}

#[inline(always)]
fn square<T: Copy>(from: &[T], pitch: usize, to: &mut [T], pitch_to: usize) {
    let (from, to) = (&from[..(STRIP - 1) * pitch + STRIP], &mut to[..(STRIP - 1) * pitch_to + STRIP]);
    for x in 0..STRIP {
        let to = &mut to[x * pitch_to..][..STRIP];
        for y in 0..STRIP {
            to[y] = from[y * pitch + x];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_rows() {
        for [rows, columns] in [[1usize, 1usize], [16, 16], [17, 3], [5, 40], [33, 50]] {
            let (pitch, pitch_to) = (columns + 2, rows.next_multiple_of(STRIP));
            let from: Vec<f64> = (0..rows * pitch).map(|i| i as f64).collect();
            let mut to = vec![f64::NAN; columns * pitch_to];
            transpose(&from, pitch, [rows, columns], &mut to, pitch_to, 0.0);
            for (i, value) in to.into_iter().enumerate() {
                let (x, y) = (i / pitch_to, i % pitch_to);
                assert_eq!(value, if y < rows { from[y * pitch + x] } else { 0.0 }, "{rows}×{columns}");
            }
        }
    }
}
