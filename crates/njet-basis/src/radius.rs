//! How far a filter reaches.

/// How far under an integer a reach may end up without costing one more tap: relative to the reach, and in pixels
/// where that is below one.
///
/// σ is learned as an f32 s = log₂ σ. At σ = 2.75 and k = 2 the reach kσ + ½ is 6 exactly, and the σ that comes back
/// from f32 lies a few 1e-7 above or below: without the slack the same filter would have radius 6 or 7 depending on
/// who computes it. The rounding of s makes a relative error of at most ln 2 · 2⁻²² = 1.7e-7 in σ while |s| < 8.
const SLACK: f64 = 1e-6;

/// The radius R = ceil(kσ + ½) of a filter, in pixels, with a relative slack of 1e-6 under the ceiling.
///
/// `sigma` is σ in pixels and `extent` is k, the reach in units of σ (2 in Pintea et al. 2021). The ½ is the half
/// pixel between the centre of the last tap and its edge. This is the only place where R is computed: whatever builds
/// a filter, bakes it, draws it or imports it asks here. At least 1 for positive arguments.
///
/// ```
/// use njet_basis::radius;
///
/// assert_eq!(radius(2.0, 2.0), 5);
/// let through_f32 = f64::from(2.75_f64.log2() as f32).exp2();
/// assert_eq!(radius(through_f32, 2.0), radius(2.75, 2.0));
/// ```
pub fn radius(sigma: f64, extent: f64) -> usize {
    // The cast saturates: NaN gives 0 and infinity usize::MAX, both of which `Taps` refuses.
    let reach = extent * sigma;
    (reach + 0.5 - SLACK * reach.max(1.0)).ceil() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// σ for which kσ + ½ is an integer, the hard cases, and their neighbourhood.
    fn scales(extent: f64, reach: f64) -> impl Iterator<Item = f64> {
        let edges = (1..).map(move |r| (r as f64 - 0.5) / extent).take_while(move |sigma| sigma * extent <= reach);
        let grid = (1..2000).map(move |i| i as f64 * reach / extent / 2000.0 * (1.0 + 3e-5));
        edges.chain(grid)
    }

    #[test]
    fn f32_sigma_gives_the_radius_of_f64() {
        for extent in [1.0, 2.0, 2.5, 3.0, 4.0, 5.0, 8.0] {
            for sigma in scales(extent, 300.0) {
                let rounded = f64::from(sigma as f32);
                assert_eq!(radius(rounded, extent), radius(sigma, extent), "sigma {sigma}, extent {extent}");
            }
        }
    }

    #[test]
    fn f32_log2_sigma_gives_the_radius_of_f64() {
        for extent in [1.0, 2.0, 2.5, 3.0, 4.0, 5.0, 8.0] {
            for sigma in scales(extent, 300.0) {
                let rounded = f64::from(sigma.log2() as f32).exp2();
                assert_eq!(radius(rounded, extent), radius(sigma, extent), "sigma {sigma}, extent {extent}");
            }
        }
    }

    #[test]
    fn radius_is_the_smallest_that_covers_the_extent() {
        assert_eq!(radius(2.75, 2.0), 6);
        assert_eq!(radius(2.75 + 1e-5, 2.0), 7);
        assert_eq!(radius(1.0, 4.0), 5);
        assert_eq!(radius(1e-9, 1e-9), 1);
    }
}
