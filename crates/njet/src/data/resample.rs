//! Images at another size: a separable filter that averages where it reduces and interpolates where it enlarges.
//!
//! Along each axis the filter is a triangle (linear interpolation), or a cubic where the image must not lose sharpness.
//! Where the image gets smaller the filter is widened by the factor, so that it spans the pixels between two results and
//! nothing aliases that it can hold back.
//! Pixels are areas: pixel i covers i … i + 1, so the corners of the image stay where they are. Beyond the border the
//! image goes on as its mirror image; that way the mean is kept, exactly at whole factors and nearly at others.

use std::ops::Range;

/// The weights of one axis.
#[derive(Debug, Clone, PartialEq)]
struct Axis {
    /// For each result, the first pixel it reads and where its weights begin in `weights`.
    starts: Vec<(usize, usize)>,
    /// The weights of all results, those of one result after those of another; they sum to 1.
    weights: Vec<f32>,
    from: usize,
}

/// The filter along an axis, about 0, at a distance in samples of the coarser of the two lattices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kernel {
    Triangle,
    Cubic,
}

impl Kernel {
    /// Beyond this distance it is zero.
    const fn reach(self) -> f64 {
        match self {
            Self::Triangle => 1.0,
            Self::Cubic => 2.0,
        }
    }

    fn at(self, distance: f64) -> f64 {
        let t = distance.abs();
        match self {
            Self::Triangle => (1.0 - t).max(0.0),
            // Keys 1981, with the parameter −1/2 that reproduces parabolas.
            Self::Cubic if t < 1.0 => (1.5 * t - 2.5) * t * t + 1.0,
            Self::Cubic if t < 2.0 => ((-0.5 * t + 2.5) * t - 4.0) * t + 2.0,
            Self::Cubic => 0.0,
        }
    }
}

impl Axis {
    fn new(from: usize, to: usize, kernel: Kernel) -> Self {
        let factor = from as f64 / to as f64;
        // A sample of the coarser lattice in pixels of the source.
        let spacing = factor.max(1.0);
        let reach = kernel.reach() * spacing;
        let (mut starts, mut weights) = (Vec::with_capacity(to), Vec::new());
        let mut row = vec![0.0; from];
        for result in 0..to {
            let centre = (result as f64 + 0.5) * factor - 0.5;
            let (first, last) = ((centre - reach).floor() as isize + 1, (centre + reach).ceil() as isize - 1);
            let mirrored = |i: isize| {
                let i = i.rem_euclid(2 * from as isize) as usize;
                i.min(2 * from - 1 - i)
            };
            let (mut least, mut greatest) = (from, 0);
            for i in first..=last {
                let at = mirrored(i);
                row[at] += kernel.at((i as f64 - centre) / spacing);
                (least, greatest) = (least.min(at), greatest.max(at));
            }
            let used = &mut row[least..=greatest];
            let sum: f64 = used.iter().sum();
            starts.push((least, weights.len()));
            weights.extend(used.iter().map(|w| (w / sum) as f32));
            used.fill(0.0);
        }
        Self { starts, weights, from }
    }

    fn to(&self) -> usize {
        self.starts.len()
    }

    /// The results of a range alone, and the first pixel they read; `from` becomes the number of pixels from there on.
    fn part(&self, results: Range<usize>) -> (usize, Self) {
        let starts = &self.starts[results.clone()];
        let first = starts.iter().map(|&(first, _)| first).min().unwrap_or(0);
        let end = results.clone().map(|result| self.taps(result)).map(|(first, taps)| first + taps.len()).max();
        let begin = starts.first().map_or(0, |&(_, begin)| begin);
        let weights_end = self.starts.get(results.end).map_or(self.weights.len(), |&(_, begin)| begin);
        let part = Self {
            starts: starts.iter().map(|&(pixel, weight)| (pixel - first, weight - begin)).collect(),
            weights: self.weights[begin..weights_end].to_vec(),
            from: end.map_or(0, |end| end - first),
        };
        (first, part)
    }

    /// The first pixel that a result reads, and its weights.
    fn taps(&self, result: usize) -> (usize, &[f32]) {
        let (first, begin) = self.starts[result];
        let end = self.starts.get(result + 1).map_or(self.weights.len(), |&(_, end)| end);
        (first, &self.weights[begin..end])
    }

    /// Filters every row of `source`, `[rows, from]`, to `[rows, to]`.
    fn rows(&self, source: &[f32]) -> Vec<f32> {
        let mut out = Vec::with_capacity(source.len() / self.from * self.to());
        for row in source.chunks_exact(self.from) {
            out.extend((0..self.to()).map(|result| {
                let (first, weights) = self.taps(result);
                row[first..].iter().zip(weights).map(|(v, w)| v * w).sum::<f32>()
            }));
        }
        out
    }

    /// Filters every column of `source`, `[from, width]`, to `[to, width]`.
    fn columns(&self, source: &[f32], width: usize) -> Vec<f32> {
        let mut out = vec![0.0; self.to() * width];
        for (result, row) in out.chunks_exact_mut(width).enumerate() {
            let (first, weights) = self.taps(result);
            for (from, &w) in source[first * width..].chunks_exact(width).zip(weights) {
                row.iter_mut().zip(from).for_each(|(sum, v)| *sum += w * v);
            }
        }
        out
    }
}

/// A change of size, ready for any number of planes.
///
/// ```
/// use njet::data::Resampler;
///
/// let halve = Resampler::new([2, 2], [1, 1]);
/// assert_eq!(halve.plane(&[0.0, 2.0, 4.0, 6.0]), [3.0]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Resampler {
    y: Axis,
    x: Axis,
}

impl Resampler {
    /// From `[height, width]` to `[height, width]`, in pixels.
    ///
    /// # Panics
    ///
    /// If an extent is 0.
    pub fn new(from: [usize; 2], to: [usize; 2]) -> Self {
        Self::with(from, to, Kernel::Triangle)
    }

    /// With the cubic of Keys (1981) instead of the triangle.
    ///
    /// A triangle blurs by σ² = 1/6 samples of the coarser lattice; the cubic's second moment is zero, so
    /// what the new lattice can hold keeps its scale.
    ///
    /// # Panics
    ///
    /// If an extent is 0.
    pub fn cubic(from: [usize; 2], to: [usize; 2]) -> Self {
        Self::with(from, to, Kernel::Cubic)
    }

    fn with(from: [usize; 2], to: [usize; 2], kernel: Kernel) -> Self {
        assert!(from.into_iter().chain(to).all(|n| n > 0), "cannot resample {from:?} to {to:?}: an extent is 0");
        Self { y: Axis::new(from[0], to[0], kernel), x: Axis::new(from[1], to[1], kernel) }
    }

    /// `[height, width]` of the source in pixels.
    pub fn from(&self) -> [usize; 2] {
        [self.y.from, self.x.from]
    }

    /// `[height, width]` of the result in pixels.
    pub fn to(&self) -> [usize; 2] {
        [self.y.to(), self.x.to()]
    }

    /// A rectangle of what [`plane`](Self::plane) gives, the same bits, without making the rest.
    ///
    /// # Shapes
    ///
    /// - plane: `from()`, row-major, of numbers or of bytes
    /// - result: `[rows.len(), columns.len()]`, row-major
    ///
    /// # Panics
    ///
    /// If the plane does not hold `from()` samples, or the ranges are empty or go beyond `to()`.
    pub fn window<T: Copy + Into<f32>>(&self, plane: &[T], rows: Range<usize>, columns: Range<usize>) -> Vec<f32> {
        let [height, width] = self.from();
        assert_eq!(plane.len(), height * width, "a plane of {height}×{width} is needed");
        assert!(!rows.is_empty() && !columns.is_empty(), "an empty window");
        let ((top, y), (left, x)) = (self.y.part(rows), self.x.part(columns));
        let rows = plane[top * width..].chunks_exact(width).take(y.from);
        let read: Vec<f32> = rows.flat_map(|row| &row[left..][..x.from]).map(|&v| v.into()).collect();
        if self.from() == self.to() {
            return read;
        }
        // In the order of the whole plane, so that sums round alike.
        if self.y.to() <= height { x.rows(&y.columns(&read, x.from)) } else { y.columns(&x.rows(&read), x.to()) }
    }

    /// One plane at the new size.
    ///
    /// # Shapes
    ///
    /// - plane: `from()`, row-major
    /// - result: `to()`, row-major
    ///
    /// # Panics
    ///
    /// If the plane does not hold `from()` samples.
    pub fn plane(&self, plane: &[f32]) -> Vec<f32> {
        let [height, width] = self.from();
        assert_eq!(plane.len(), height * width, "a plane of {height}×{width} is needed");
        if self.from() == self.to() {
            return plane.to_vec();
        }
        // The axis that shrinks goes first: the other then has less to do.
        if self.y.to() <= height {
            self.x.rows(&self.y.columns(plane, width))
        } else {
            self.y.columns(&self.x.rows(plane), self.x.to())
        }
    }
}

/// A plane of `[height, width]` at another size: a triangle filter along each axis, widened where the image gets smaller.
///
/// Constants stay as they are. The mean is kept, exactly where the factors are whole numbers or their inverses, and to a
/// percent of the range elsewhere. For many planes of one size, keep a [`Resampler`].
///
/// ```
/// use njet::data::resample;
///
/// let ramp = [0.0, 1.0, 2.0, 3.0];
/// assert_eq!(resample(&ramp, [1, 4], [1, 4]), ramp);
/// assert_eq!(resample(&ramp, [1, 4], [1, 2]), [0.625, 2.375]); // weights 1 3 3 1, mirrored at the border
/// ```
///
/// # Panics
///
/// If an extent is 0, or the plane does not hold `from[0] × from[1]` samples.
pub fn resample(plane: &[f32], from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    Resampler::new(from, to).plane(plane)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Random, Stream};

    fn noise(len: usize) -> Vec<f32> {
        let mut random = Random::for_stream(5, Stream::Other(0), len as u64);
        (0..len).map(|_| random.uniform()).collect()
    }

    fn mean(plane: &[f32]) -> f64 {
        plane.iter().map(|&v| f64::from(v)).sum::<f64>() / plane.len() as f64
    }

    const SIZES: [usize; 8] = [1, 2, 3, 7, 12, 28, 29, 56];

    /// A constant is the sum of the weights, which f32 rounds: at most 113 of them.
    #[test]
    fn constants_are_kept() {
        for from in SIZES {
            for to in SIZES {
                for make in [Resampler::new, Resampler::cubic] {
                    let out = make([from, 5], [to, 4]).plane(&vec![0.7; from * 5]);
                    assert_eq!(out.len(), to * 4);
                    assert!(out.iter().all(|v| (v - 0.7).abs() < 2e-6), "{from} to {to}: {out:?}");
                }
            }
        }
    }

    /// Whole factors and their inverses keep the mean exactly (rounding: sums of at most 3136 numbers below 1).
    #[test]
    fn the_mean_is_kept() {
        for [a, b] in [[28, 14], [28, 7], [28, 56], [28, 84], [12, 1], [1, 12], [9, 3], [2, 2]] {
            let (plane, to) = (noise(a * a), [b, b]);
            let out = resample(&plane, [a, a], to);
            assert!((mean(&plane) - mean(&out)).abs() < 1e-6, "{a} to {b}: {} and {}", mean(&plane), mean(&out));
        }
        for [a, b] in [[28, 20], [28, 27], [28, 40], [29, 9], [64, 45]] {
            let plane = noise(a * a);
            let out = resample(&plane, [a, a], [b, b]);
            assert!((mean(&plane) - mean(&out)).abs() < 0.01, "{a} to {b}: {} and {}", mean(&plane), mean(&out));
        }
    }

    /// The energy of what the new lattice can hold is kept: one period of a cosine over the image.
    #[test]
    fn the_energy_of_what_is_smooth_is_kept() {
        let wave = |n: usize| -> Vec<f32> {
            (0..n * n).map(|i| ((i % n) as f32 + 0.5) * std::f32::consts::TAU / n as f32).map(f32::cos).collect()
        };
        let energy = |plane: &[f32]| mean(&plane.iter().map(|v| v * v).collect::<Vec<_>>());
        for [a, b] in [[64, 32], [64, 45], [64, 100], [32, 64]] {
            let kept = energy(&resample(&wave(a), [a, a], [b, b])) / energy(&wave(b));
            // The response of the triangle at one period in n = min(a, b) samples, sinc²(1/n) = 0.9968 for 32, squared.
            assert!((0.99..=1.0001).contains(&kept), "{a} to {b}: {kept}");
        }
    }

    /// What the new lattice cannot hold is averaged away instead of turning up as something else.
    #[test]
    fn nothing_aliases() {
        let stripes: Vec<f32> = (0..64 * 64).map(|i| (i % 2) as f32).collect();
        for to in [32, 16, 21, 13] {
            let out = resample(&stripes, [64, 64], [to, to]);
            // At the border the mirror image makes one stripe twice as wide.
            let inner = out.chunks_exact(to).flat_map(|row| &row[1..to - 1]);
            let off = inner.map(|v| (v - 0.5).abs()).fold(0.0, f32::max);
            // The response of a triangle of reach f to stripes one pixel wide is at most (2/πf)²: 0.045 at f = 64/21, the
            // only factor here below 4 that is no whole number. Interpolation alone is off by up to 0.5.
            assert!(off < 0.05, "{to}: off by {off}");
        }
    }

    #[test]
    fn the_same_size_changes_no_bit() {
        let plane = noise(7 * 5);
        assert_eq!(resample(&plane, [7, 5], [7, 5]), plane);
        // One axis alone at its own size: the weight is exactly 1.
        let columns = resample(&plane, [7, 5], [14, 5]);
        let by_column: Vec<f32> = (0..5).map(|x| resample(&plane[x..=x], [1, 1], [1, 1])[0]).collect();
        assert_eq!(by_column, plane[..5]);
        assert_eq!(resample(&columns, [14, 5], [14, 5]), columns);
        assert_eq!(columns[..5], plane[..5], "beyond the border the image is its mirror");
    }

    #[test]
    fn halving_is_one_three_three_one() {
        let mut plane = vec![0.0; 8];
        plane[3] = 8.0;
        assert_eq!(resample(&plane, [1, 8], [1, 4]), [0.0, 3.0, 1.0, 0.0]);
        assert_eq!(resample(&plane, [8, 1], [4, 1]), [0.0, 3.0, 1.0, 0.0]);
        plane = vec![8.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(resample(&plane, [1, 8], [1, 4]), [4.0, 0.0, 0.0, 0.0]);
    }

    /// The second moment of the filter, in samples of the coarser lattice: what resampling blurs.
    #[test]
    fn the_cubic_does_not_blur_and_the_triangle_does() {
        for (kernel, expected) in [(Kernel::Triangle, 0.1875), (Kernel::Cubic, 0.0)] {
            let halve = Axis::new(32, 16, kernel);
            let (first, weights) = halve.taps(8);
            let moment = |power: i32| -> f64 {
                let offset = |i: usize| ((first + i) as f64 - 16.5) / 2.0;
                weights.iter().enumerate().map(|(i, &w)| f64::from(w) * offset(i).powi(power)).sum()
            };
            assert!((moment(0) - 1.0).abs() < 1e-6, "{kernel:?}");
            assert!(moment(1).abs() < 1e-6, "{kernel:?}");
            assert!((moment(2) - expected).abs() < 1e-6, "{kernel:?}: {}", moment(2));
        }
    }

    /// A parabola is interpolated exactly, away from the mirror at the border.
    #[test]
    fn the_cubic_reproduces_parabolas() {
        let parabola = |n: usize| (0..n).map(|i| ((i as f32 + 0.5) / n as f32).powi(2)).collect::<Vec<_>>();
        let larger = Resampler::cubic([1, 20], [1, 50]).plane(&parabola(20));
        let off = larger.iter().zip(parabola(50)).skip(5).take(40).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-6, "off by {off}");
    }

    #[test]
    fn doubling_interpolates() {
        assert_eq!(resample(&[0.0, 4.0], [1, 2], [1, 4]), [0.0, 1.0, 3.0, 4.0]);
    }

    /// The definition, sum by sum, against both orders of the axes.
    #[test]
    fn axes_are_separable_in_either_order() {
        let ([h, w], plane) = ([9, 14], noise(9 * 14));
        for to in [[4, 5], [20, 5], [4, 30], [20, 30]] {
            let (y, x) = (Axis::new(h, to[0], Kernel::Triangle), Axis::new(w, to[1], Kernel::Triangle));
            let mut expected = Vec::new();
            for oy in 0..to[0] {
                for ox in 0..to[1] {
                    let ((y0, wy), (x0, wx)) = (y.taps(oy), x.taps(ox));
                    let at = |j: usize, i: usize| plane[(y0 + j) * w + x0 + i] * wy[j] * wx[i];
                    expected.push((0..wy.len()).flat_map(|j| (0..wx.len()).map(move |i| at(j, i))).sum::<f32>());
                }
            }
            let out = resample(&plane, [h, w], to);
            assert!(out.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{to:?}");
        }
    }

    /// Every window of a small plane, bit for bit, and one of a plane that keeps its size.
    #[test]
    fn a_window_is_cut_from_the_whole() {
        let ([h, w], plane) = ([9, 14], noise(9 * 14));
        for to in [[4, 5], [13, 5], [4, 20], [13, 20], [9, 14], [1, 1]] {
            let resampler = Resampler::new([h, w], to);
            let whole = resampler.plane(&plane);
            for top in 0..to[0] {
                for bottom in top + 1..=to[0] {
                    for (left, right) in [(0, to[1]), (to[1] / 3, to[1] / 3 + 1), (to[1] / 2, to[1])] {
                        let cut: Vec<f32> =
                            (top..bottom).flat_map(|y| &whole[y * to[1] + left..y * to[1] + right]).copied().collect();
                        assert_eq!(resampler.window(&plane, top..bottom, left..right), cut, "{to:?} {top}..{bottom}");
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "an extent is 0")]
    fn no_pixels() {
        resample(&[], [0, 3], [2, 2]);
    }

    #[test]
    #[should_panic(expected = "a plane of 2×3 is needed")]
    fn too_few_samples() {
        resample(&[1.0; 5], [2, 3], [2, 2]);
    }
}
