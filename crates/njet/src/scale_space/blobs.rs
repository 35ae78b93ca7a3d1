//! Blobs and their scales, by extrema over position and scale (Lindeberg, "Feature detection with automatic scale
//! selection", IJCV 30, 1998).
//!
//! A Gaussian blob of variance t₀ and height c has at its centre, seen at the variance t = σ²,
//!
//! ```text
//! −(Lxx + Lyy) = 2c · t t₀/(t + t₀)²          Lxx Lyy − Lxy² = (c · t t₀/(t + t₀)²)²
//! ```
//!
//! scale-normalised with γ = 1. Both are greatest at t = t₀, where they are c/2 and c²/16: so an extremum over the scales
//! tells the size of a blob, and its value the contrast that a Gaussian blob of that value would have.

use super::error::ScaleSpaceError;
use super::invariant::Invariant;
use super::space::ScaleSpace;

/// Whose extrema are blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BlobRule {
    /// The determinant of the Hessian, where it is positive: curved the same way along both axes.
    #[default]
    HessianDeterminant,
    /// The Laplacian. It also answers to the ends and thick places of ridges, and to the dark ring about a bright blob, which
    /// has up to a seventh of its contrast.
    Laplacian,
}

impl BlobRule {
    fn invariant(self) -> Invariant {
        match self {
            Self::Laplacian => Invariant::Laplacian,
            Self::HessianDeterminant => Invariant::HessianDeterminant,
        }
    }
}

/// What to look for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlobConfig {
    /// Whose extrema.
    pub rule: BlobRule,
    /// The least and the greatest σ to choose from, in pixels. One scale beyond each end is looked at.
    pub sigmas: [f64; 2],
    /// Scales looked at in a factor of two; the σ of a blob is interpolated between them.
    pub per_octave: usize,
    /// The weakest blob, as the height of a Gaussian blob of its value, in units of the image.
    pub contrast: f64,
    /// At most so many, the strongest.
    pub most: usize,
}

impl BlobConfig {
    /// The determinant of the Hessian, four scales an octave, contrasts of a tenth, the hundred strongest.
    pub fn new(sigmas: [f64; 2]) -> Self {
        Self { rule: BlobRule::default(), sigmas, per_octave: 4, contrast: 0.1, most: 100 }
    }

    /// Every σ that is looked at, ascending, the ends included.
    ///
    /// # Errors
    /// A range, number of scales or contrast that makes no sense.
    pub fn levels(&self) -> Result<Vec<f64>, ScaleSpaceError> {
        let [least, greatest] = self.sigmas;
        if !(least > 0.0 && greatest >= least && greatest.is_finite()) {
            return Err(ScaleSpaceError::Range { least, greatest });
        }
        if !(1..=32).contains(&self.per_octave) {
            return Err(ScaleSpaceError::PerOctave(self.per_octave));
        }
        if self.contrast.is_nan() || self.contrast <= 0.0 {
            return Err(ScaleSpaceError::Contrast(self.contrast));
        }
        let step = 1.0 / self.per_octave as f64;
        // A range of whole steps is not made longer by rounding.
        // Their ratio may be beyond the numbers.
        let steps = ((greatest.log2() - least.log2()) / step - 1e-9).ceil().max(0.0) as i32;
        Ok((-1..=steps + 1).map(|k| least * (f64::from(k) * step).exp2()).collect())
    }

    /// The [`levels`](Self::levels), if an image has filters for all of them.
    ///
    /// # Errors
    /// As there, and a scale whose filters are too large.
    pub fn check(&self, space: &ScaleSpace<'_>) -> Result<Vec<f64>, ScaleSpaceError> {
        let (sigmas, space) = (self.levels()?, space.with_gamma(1.0));
        sigmas.iter().try_for_each(|&sigma| space.check(sigma, 2))?;
        Ok(sigmas)
    }
}

/// Whether a blob is brighter or darker than what is around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Polarity {
    /// Brighter.
    Bright,
    /// Darker.
    Dark,
}

/// A point that stands out, and the scale at which it does most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Blob {
    /// Column in pixels, from the centre of the first.
    pub x: f64,
    /// Row in pixels, from the centre of the first.
    pub y: f64,
    /// The scale in pixels: of a Gaussian blob its own σ. A disc of radius √2·σ has the same.
    pub sigma: f64,
    /// Brighter or darker than its surroundings.
    pub polarity: Polarity,
    /// Height of a Gaussian blob that would stand out as much, in units of the image.
    pub contrast: f64,
}

/// The blobs of an image, the strongest first. `progress` is told after each scale how many of how many are done.
///
/// γ is 1 whatever the settings of the image say: with another the scale found would not be the blob's.
///
/// ```
/// use njet::scale_space::{BlobConfig, ScaleSpace, ScaleSpaceConfig, blobs};
///
/// // A bright Gaussian blob of σ = 3 pixels.
/// let pixel = |i: usize| (-(((i / 41) as f32 - 20.0).powi(2) + ((i % 41) as f32 - 16.0).powi(2)) / 18.0).exp();
/// let image: Vec<f32> = (0..41 * 41).map(pixel).collect();
/// let space = ScaleSpace::new(&image, [41, 41], ScaleSpaceConfig::default())?;
/// let found = blobs(&space, &BlobConfig::new([1.0, 8.0]), &mut |_, _| {})?;
/// assert_eq!(found.len(), 1);
/// assert!((found[0].sigma - 3.0).abs() < 0.1 && (found[0].x - 16.0).abs() < 0.1);
/// # Ok::<(), njet::scale_space::ScaleSpaceError>(())
/// ```
///
/// # Errors
/// A range of scales that is none or whose filters are too large; a contrast that is no threshold.
pub fn blobs(
    space: &ScaleSpace<'_>,
    config: &BlobConfig,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Blob>, ScaleSpaceError> {
    let sigmas = config.check(space)?;
    let space = space.with_gamma(1.0);
    let mut found = Vec::new();
    // The last three scales, the newest at the end.
    let mut levels: Vec<Vec<f32>> = Vec::new();
    for (k, &sigma) in sigmas.iter().enumerate() {
        levels.push(salience(&space, sigma, config.rule)?);
        if let [below, here, above] = levels.as_slice() {
            let neighbourhood = Neighbourhood { levels: [below, here, above], size: space.size() };
            let [before, at] = [sigmas[k - 2], sigmas[k - 1]];
            neighbourhood.extrema(config.contrast as f32, |blob| {
                let sigma = at * (at / before).powf(blob.sigma);
                found.push(Blob { sigma, ..blob });
            });
            levels.remove(0);
        }
        progress(k + 1, sigmas.len());
    }
    // Equal ones stay in the order of scale and place.
    found.sort_by(|a, b| b.contrast.total_cmp(&a.contrast));
    found.truncate(config.most);
    Ok(found)
}

/// How much each pixel stands out, as the contrast of a Gaussian blob: bright positive, dark negative.
fn salience(space: &ScaleSpace<'_>, sigma: f64, rule: BlobRule) -> Result<Vec<f32>, ScaleSpaceError> {
    let maps = space.derivatives(sigma, rule.invariant().derivatives())?;
    Ok(match rule {
        BlobRule::Laplacian => rule.invariant().of(&maps).into_iter().map(|laplacian| -2.0 * laplacian).collect(),
        BlobRule::HessianDeterminant => {
            let pixels = rule.invariant().of(&maps).into_iter().zip(&maps[0]);
            pixels.map(|(determinant, lxx)| (4.0 * determinant.max(0.0).sqrt()).copysign(-lxx)).collect()
        }
    })
}

/// Three neighbouring scales.
struct Neighbourhood<'a> {
    levels: [&'a [f32]; 3],
    size: [usize; 2],
}

impl Neighbourhood<'_> {
    /// Extrema of the middle scale among their 26 neighbours; what lies beyond the border is no neighbour. Their `sigma`
    /// is the offset from the middle scale, in scales.
    fn extrema(&self, threshold: f32, mut add: impl FnMut(Blob)) {
        for (i, &value) in self.levels[1].iter().enumerate() {
            let polarity = if value > 0.0 { Polarity::Bright } else { Polarity::Dark };
            if value.abs() >= threshold && self.is_extremum(i, value, polarity) {
                add(self.refined(i, f64::from(value), polarity));
            }
        }
    }

    fn is_extremum(&self, i: usize, value: f32, polarity: Polarity) -> bool {
        let [height, width] = self.size;
        let (y, x) = (i / width, i % width);
        let sign = if polarity == Polarity::Bright { 1.0 } else { -1.0 };
        for (level, plane) in self.levels.iter().enumerate() {
            for row in y.saturating_sub(1)..=(y + 1).min(height - 1) {
                for column in x.saturating_sub(1)..=(x + 1).min(width - 1) {
                    let neighbour = (level, row * width + column);
                    let difference = sign * (value - plane[neighbour.1]);
                    // Of equal neighbours, as between the pixels of an even blob, the first counts.
                    let beaten = if neighbour < (1, i) { difference <= 0.0 } else { difference < 0.0 };
                    if beaten {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// The extremum of the quadratic function through the neighbours. At the border of the image the place stays that of the
    /// pixel.
    fn refined(&self, i: usize, value: f64, polarity: Polarity) -> Blob {
        let [height, width] = self.size;
        let place = [i % width, i / width];
        let inner = [place[0] > 0 && place[0] + 1 < width, place[1] > 0 && place[1] + 1 < height];
        // Offsets along x, y and scale.
        let at = |offset: [isize; 3]| {
            let [dx, dy, scale] = offset;
            f64::from(self.levels[(1 + scale) as usize][(i as isize + dy * width as isize + dx) as usize])
        };
        let unit = |axis: usize, by: isize| std::array::from_fn(|a| if a == axis { by } else { 0 });
        let used = |axis: usize| inner.get(axis).copied().unwrap_or(true);
        let mut gradient = [0.0; 3];
        // An axis that is not used has a curvature and no slope: nothing moves along it.
        let mut hessian = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        for a in (0..3).filter(|&a| used(a)) {
            let (before, after) = (at(unit(a, -1)), at(unit(a, 1)));
            gradient[a] = 0.5 * (after - before);
            hessian[a][a] = before - 2.0 * value + after;
            for b in (0..a).filter(|&b| used(b)) {
                let corner = |sign_a: isize, sign_b: isize| {
                    at(std::array::from_fn(|axis| if axis == a { sign_a } else { sign_b * unit(b, 1)[axis] }))
                };
                let mixed = 0.25 * (corner(1, 1) - corner(1, -1) - corner(-1, 1) + corner(-1, -1));
                (hessian[a][b], hessian[b][a]) = (mixed, mixed);
            }
        }
        let offset = newton_step(gradient, hessian).unwrap_or_default();
        let beyond: f64 = 0.5 * offset.iter().zip(gradient).map(|(step, slope)| step * slope).sum::<f64>();
        let [x, y] = [0, 1].map(|a| place[a] as f64 + offset[a]);
        Blob { x, y, sigma: offset[2], polarity, contrast: (value + beyond).abs() }
    }
}

/// −H⁻¹g by Cramer's rule; `None` where it leaves the neighbourhood, and the function is no quadratic one.
fn newton_step(gradient: [f64; 3], hessian: [[f64; 3]; 3]) -> Option<[f64; 3]> {
    let determinant = |m: &[[f64; 3]; 3]| {
        let minor = |a: usize, b: usize| m[1][a] * m[2][b] - m[1][b] * m[2][a];
        m[0][0] * minor(1, 2) - m[0][1] * minor(0, 2) + m[0][2] * minor(0, 1)
    };
    let all = determinant(&hessian);
    let step = [0, 1, 2].map(|column| {
        // H is symmetric, so a row may stand for a column.
        let mut replaced = hessian;
        replaced[column] = gradient;
        -determinant(&replaced) / all
    });
    step.iter().all(|step| step.abs() <= 1.0).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Between the pixels and scales: of a quadratic function the place and the value are exact.
    #[test]
    fn the_extremum_of_a_quadratic_function_is_found() {
        let (size, centre) = ([3, 3], [1.3, 0.8, 0.25]);
        let value = |x: f64, y: f64, scale: f64| {
            let [x, y, scale] = [x - centre[0], y - centre[1], scale - centre[2]];
            7.0 - x * x - 2.0 * y * y - 0.5 * scale * scale + 0.6 * x * y - 0.3 * y * scale
        };
        let level =
            |scale: f64| -> Vec<f32> { (0..9).map(|i| value((i % 3) as f64, (i / 3) as f64, scale) as f32).collect() };
        let levels = [-1.0, 0.0, 1.0].map(level);
        let [below, here, above] = &levels;
        let neighbourhood = Neighbourhood { levels: [below, here, above], size };
        let blob = neighbourhood.refined(4, f64::from(here[4]), Polarity::Bright);
        for (found, expected) in
            [(blob.x, centre[0]), (blob.y, centre[1]), (blob.sigma, centre[2]), (blob.contrast, 7.0)]
        {
            assert!((found - expected).abs() < 1e-4, "{blob:?}");
        }
        // What would lie beyond the neighbours is no extremum of a function like that: the pixel stays.
        assert_eq!(newton_step([3.0, 0.0, 0.0], [[-2.0, 0.0, 0.0], [0.0, -2.0, 0.0], [0.0, 0.0, -2.0]]), None);
    }
}
