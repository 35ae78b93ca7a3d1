//! How far each pixel is from the nearest of some.

/// Farther than anything: added to a square it does not overflow.
const FAR: u64 = u64::MAX / 4;

/// The square of the Euclidean distance in pixels from each pixel of `[height, width]` to the nearest that is marked;
/// at least [`FAR`] where none is. Exact: along columns by two sweeps, then along each row by the lower envelope of
/// parabolas (Felzenszwalb & Huttenlocher, Theory of Computing 8, 2012).
pub(super) fn squared_distances(marked: &[bool], [height, width]: [usize; 2]) -> Vec<u64> {
    let mut distances = vec![FAR; height * width];
    let mut column = vec![None; height];
    for x in 0..width {
        let mut last = None;
        for y in 0..height {
            last = if marked[y * width + x] { Some(0u64) } else { last.map(|d| d + 1) };
            column[y] = last;
        }
        last = None;
        for y in (0..height).rev() {
            last = if marked[y * width + x] { Some(0) } else { last.map(|d: u64| d + 1) };
            let nearest = [column[y], last].into_iter().flatten().min();
            distances[y * width + x] = nearest.map_or(FAR, |d| d * d);
        }
    }
    let mut hull: Vec<(usize, i64)> = Vec::new();
    for row in distances.chunks_exact_mut(width) {
        envelope(row, &mut hull);
    }
    distances
}

/// min over q of (x − q)² + row[q], for every x. `hull` is memory to use: parabolas from left to right, each with the
/// first x where it is the lowest.
fn envelope(row: &mut [u64], hull: &mut Vec<(usize, i64)>) {
    hull.clear();
    for q in (0..row.len()).filter(|&q| row[q] < FAR) {
        // The first whole x where the parabola at q lies below that at p < q.
        let overtakes = |p: usize| {
            let value = |at: usize| row[at] as i64 + (at * at) as i64;
            (value(q) - value(p)).div_euclid(2 * (q - p) as i64) + 1
        };
        while hull.last().is_some_and(|&(p, from)| overtakes(p) <= from) {
            hull.pop();
        }
        let from = hull.last().map_or(i64::MIN, |&(p, _)| overtakes(p));
        hull.push((q, from));
    }
    if hull.is_empty() {
        return;
    }
    let values: Vec<u64> = hull.iter().map(|&(q, _)| row[q]).collect();
    let mut at = 0;
    for (x, distance) in row.iter_mut().enumerate() {
        while hull.get(at + 1).is_some_and(|&(_, from)| from <= x as i64) {
            at += 1;
        }
        let along = x.abs_diff(hull[at].0) as u64;
        *distance = along * along + values[at];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_pair_says_the_same(height in 1usize..9, width in 1usize..12, bits: [u64; 2], dense: bool) {
            let bit = |i: usize| bits[i / 64 % 2] >> (i % 64) & 1 == 1;
            let marked: Vec<bool> = (0..height * width).map(|i| bit(i) && (dense || bit(i + 17) && bit(i + 31))).collect();
            let found = squared_distances(&marked, [height, width]);
            for (i, &distance) in found.iter().enumerate() {
                let square = |j: usize| {
                    let (dy, dx) = ((i / width).abs_diff(j / width), (i % width).abs_diff(j % width));
                    (dy * dy + dx * dx) as u64
                };
                let expected = (0..marked.len()).filter(|&j| marked[j]).map(square).min();
                prop_assert_eq!(Some(distance).filter(|d| *d < FAR), expected);
            }
        }
    }
}
