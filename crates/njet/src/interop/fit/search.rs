//! The search for σ: a grid, a golden section, Newton's method.
//!
//! A reach in units of σ makes what is left jump where the radius grows by one tap. Between two jumps it is smooth, so the
//! sections are taken there.

use super::axis::Plane;
use super::{FitConfig, Reach, plane};
use njet_basis::BasisError;

/// Places of the grid in an octave. What is left of a filter changes slowly with log σ: twelve miss no valley that
/// sixty find, on random filters and on those of networks.
const PER_OCTAVE: f64 = 12.0;

/// Valleys of the grid that are searched.
const VALLEYS: usize = 3;

/// Where the golden section hands over to Newton, in log σ.
const NARROW: f64 = 2e-3;

/// Where the golden section ends that Newton cannot take over, for want of a neighbourhood.
const NARROWEST: f64 = 1e-7;

/// The neighbourhood of Newton's differences, in log σ: wide enough that the noise is small in the second difference,
/// narrow against the valley.
const STEP: f64 = 1e-3;

/// Differences of energy, relative to it, that rounding makes.
const NOISE: f64 = 1e-13;

/// The grid, for one kind of window.
#[derive(Debug)]
pub(super) struct Search<'a> {
    config: &'a FitConfig,
    window: [usize; 2],
    /// log σ with its basis, ascending.
    grid: Vec<(f64, Plane)>,
}

impl<'a> Search<'a> {
    pub(super) fn new(config: &'a FitConfig, window: [usize; 2], [min, max]: [f64; 2]) -> Result<Self, BasisError> {
        let (low, high) = (min.ln(), max.ln());
        let steps = ((high - low) / std::f64::consts::LN_2 * PER_OCTAVE).ceil().max(0.0) as usize;
        let place = |i: usize| if steps == 0 { low } else { low + (high - low) * i as f64 / steps as f64 };
        let grid = (0..=steps).map(|i| Ok((place(i), plane(config, window, place(i).exp())?)));
        Ok(Self { config, window, grid: grid.collect::<Result<_, _>>()? })
    }

    /// The σ at which the jets leave least of some filters.
    pub(super) fn best(&self, filters: &[&[f64]]) -> Result<f64, BasisError> {
        let condensed = condensed(filters);
        let filters: Vec<&[f64]> = match &condensed {
            Some(rows) => rows.iter().map(Vec::as_slice).collect(),
            None => filters.to_vec(),
        };
        let energy: f64 = filters.iter().flat_map(|filter| filter.iter()).map(|tap| tap * tap).sum();
        let left = |plane: &Plane| energy - filters.iter().map(|filter| plane.explained(filter)).sum::<f64>();
        let values: Vec<f64> = self.grid.iter().map(|(_, plane)| left(plane)).collect();
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);

        // Where several scales do equally well (a window of one tap, filters of zeros, more orders than taps) the least
        // extreme is taken: about a quarter of the window.
        let natural = (self.window[0].max(self.window[1]) as f64 / 4.0).ln();
        let alike = (0..values.len()).filter(|&i| values[i] <= least + NOISE * energy);
        let alike: Vec<usize> = alike.collect();
        if alike.len() > 2 {
            let distance = |i: &usize| (self.grid[*i].0 - natural).abs();
            let nearest = alike.into_iter().min_by(|a, b| distance(a).total_cmp(&distance(b)));
            return Ok(self.grid[nearest.expect("at least three")].0.exp());
        }

        let mut valleys: Vec<usize> = (0..values.len())
            .filter(|&i| {
                (i == 0 || values[i - 1] >= values[i]) && values.get(i + 1).is_none_or(|&after| after >= values[i])
            })
            .collect();
        valleys.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
        let at = |log_sigma: f64| Ok::<_, BasisError>(left(&plane(self.config, self.window, log_sigma.exp())?));
        let mut best = (f64::INFINITY, 0.0);
        for &valley in valleys.iter().take(VALLEYS) {
            let from = self.grid[valley.saturating_sub(1)].0;
            let to = self.grid[(valley + 1).min(values.len() - 1)].0;
            if values[valley] < best.0 {
                best = (values[valley], self.grid[valley].0);
            }
            for piece in self.pieces([from, to]) {
                let found = least_in(&at, piece, NOISE * energy)?;
                if found.0 < best.0 {
                    best = found;
                }
            }
        }
        Ok(best.1.exp())
    }

    /// An interval of log σ, cut where the radius grows.
    fn pieces(&self, [from, to]: [f64; 2]) -> Vec<[f64; 2]> {
        let mut ends = vec![from];
        if let Reach::Extent(extent) = self.config.reach {
            // The radius is ⌈kσ + ½⌉: it grows where kσ is a half more than a whole number.
            let reach = |log_sigma: f64| extent * log_sigma.exp() - 0.5;
            let whole = reach(from).ceil().max(0.0) as usize..=reach(to).floor().max(0.0) as usize;
            let jumps = whole.map(|n| ((n as f64 + 0.5) / extent).ln());
            ends.extend(jumps.filter(|&jump| from < jump && jump < to));
        }
        ends.push(to);
        ends.windows(2).map(|ends| [ends[0], ends[1]]).collect()
    }
}

/// The least value in an interval where the value is smooth, and its place.
fn least_in(at: Value<'_>, piece: [f64; 2], noise: f64) -> Result<(f64, f64), BasisError> {
    let found = golden(at, piece, NARROW)?;
    let [low, high] = piece;
    if low + STEP <= found.1 && found.1 + STEP <= high {
        return newton(at, found, piece, noise);
    }
    let near = golden(at, [low.max(found.1 - NARROW), high.min(found.1 + NARROW)], NARROWEST)?;
    Ok(if near.0 < found.0 { near } else { found })
}

type Value<'a> = &'a dyn Fn(f64) -> Result<f64, BasisError>;

/// The least value in an interval, and its place.
fn golden(at: Value<'_>, [mut low, mut high]: [f64; 2], narrow: f64) -> Result<(f64, f64), BasisError> {
    let part = (5f64.sqrt() - 1.0) / 2.0;
    let (mut a, mut b) = (high - part * (high - low), low + part * (high - low));
    let (mut at_a, mut at_b) = (at(a)?, at(b)?);
    while high - low > narrow {
        if at_a <= at_b {
            (high, b, at_b) = (b, a, at_a);
            a = high - part * (high - low);
            at_a = at(a)?;
        } else {
            (low, a, at_a) = (a, b, at_b);
            b = low + part * (high - low);
            at_b = at(b)?;
        }
    }
    Ok(if at_a <= at_b { (at_a, a) } else { (at_b, b) })
}

/// Newton's method from a place near the least, inside an interval: slope and curvature by differences. Goes on while
/// there is less, by more than the noise.
fn newton(
    at: Value<'_>,
    (mut value, mut place): (f64, f64),
    [low, high]: [f64; 2],
    noise: f64,
) -> Result<(f64, f64), BasisError> {
    let step = STEP;
    for _ in 0..6 {
        if place - step < low || place + step > high {
            break;
        }
        let (before, after) = (at(place - step)?, at(place + step)?);
        let (slope, curvature) = ((after - before) / (2.0 * step), (after - 2.0 * value + before) / (step * step));
        if curvature.is_nan() || curvature <= 0.0 {
            break;
        }
        let to = (place - slope / curvature).clamp(low, high);
        let there = at(to)?;
        if there >= value + noise || (to - place).abs() < 1e-9 {
            break;
        }
        (value, place) = (there, to);
    }
    Ok((value, place))
}

/// Filters that leave, at every scale, what the given ones leave, where those are more than they have taps: the rows of
/// a square root of Σ f fᵀ.
pub(super) fn condensed(filters: &[&[f64]]) -> Option<Vec<Vec<f64>>> {
    let taps = filters.first()?.len();
    if filters.len() <= taps {
        return None;
    }
    let mut scatter = vec![0.0; taps * taps];
    for filter in filters {
        for (i, &a) in filter.iter().enumerate() {
            scatter[i * taps..][..=i].iter_mut().zip(filter.iter()).for_each(|(sum, b)| *sum += a * b);
        }
    }
    // Cholesky with pivots, so that what is rounding alone is left out.
    let at = |i: usize, j: usize| if i >= j { i * taps + j } else { j * taps + i };
    let mut rows = Vec::new();
    let total: f64 = (0..taps).map(|i| scatter[at(i, i)]).sum();
    for _ in 0..taps {
        let pivot = (0..taps).max_by(|&a, &b| scatter[at(a, a)].total_cmp(&scatter[at(b, b)]))?;
        let largest = scatter[at(pivot, pivot)];
        if largest <= 1e-15 * total {
            break;
        }
        let root = largest.sqrt();
        let row: Vec<f64> = (0..taps).map(|i| scatter[at(i, pivot)] / root).collect();
        for i in 0..taps {
            for j in 0..=i {
                scatter[i * taps + j] -= row[i] * row[j];
            }
        }
        rows.push(row);
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use super::condensed;

    /// Σ f fᵀ stays as it is, down to directions that have little of it.
    #[test]
    fn condensed_filters_have_the_same_scatter() {
        let weight = |filter: usize, tap: usize| {
            let noise = ((filter * 7919 + tap * 104_729) % 1009) as f64 / 504.5 - 1.0;
            noise * 10f64.powi(-(tap as i32) / 2)
        };
        let filters: Vec<Vec<f64>> = (0..30).map(|filter| (0..9).map(|tap| weight(filter, tap)).collect()).collect();
        let scatter = |rows: &[Vec<f64>], i: usize, j: usize| rows.iter().map(|row| row[i] * row[j]).sum::<f64>();
        let rows = condensed(&filters.iter().map(Vec::as_slice).collect::<Vec<_>>()).expect("more filters than taps");
        assert!(rows.len() <= 9, "{}", rows.len());
        for (i, j) in (0..9).flat_map(|i| (0..9).map(move |j| (i, j))) {
            let (before, after) = (scatter(&filters, i, j), scatter(&rows, i, j));
            assert!((before - after).abs() < 1e-13 * scatter(&filters, 0, 0), "{i} {j}: {after} instead of {before}");
        }
        assert!(condensed(&[filters[0].as_slice()]).is_none());
    }
}
