//! Filters, fits and what is left, as one picture.

use crate::picture::{Pixels, png};
use njet::interop::fit::{Filters, Fit};

/// Filters shown: the first of more.
const MOST: usize = 256;

/// Pixels along the longer side of a window, about.
const SIDE: usize = 42;

/// Pixels between the three tiles of a filter, and between filters.
const GAP: usize = 2;
const MARGIN: usize = 8;

const BACKGROUND: [u8; 3] = [236, 236, 236];

/// A PNG: for each filter a column of three tiles, the filter, its N-jet, the difference. Red is positive, blue negative,
/// white zero; the three tiles of a filter have one scale, from −m to m with m its largest weight.
pub fn draw(filters: &Filters<'_>, fit: &Fit) -> Vec<u8> {
    let [.., height, width] = filters.shape();
    let shown = filters.len().min(MOST);
    // At least one pixel a tap: a large window makes a large tile.
    let zoom = (SIDE / height.max(width)).max(1);
    let tile = [height * zoom, width * zoom];
    let cell = [3 * tile[0] + 2 * GAP + MARGIN, tile[1] + MARGIN];
    // About as wide as high.
    let columns = ((shown * cell[0]) as f64 / cell[1] as f64).sqrt().round().clamp(1.0, shown as f64) as usize;
    let rows = shown.div_ceil(columns);
    let size = [rows * cell[0] + MARGIN, columns * cell[1] + MARGIN];
    let mut pixels = BACKGROUND.repeat(size[0] * size[1]);
    for number in 0..shown {
        let original = filters.filter(number);
        let fitted = fit.kernel(number);
        let rest: Vec<f64> = original.iter().zip(&fitted).map(|(original, fitted)| original - fitted).collect();
        let most = original.iter().fold(0.0, |most: f64, weight| most.max(weight.abs()));
        let at = [MARGIN + number / columns * cell[0], MARGIN + number % columns * cell[1]];
        for (row, weights) in [original, &fitted, &rest].into_iter().enumerate() {
            let top = at[0] + row * (tile[0] + GAP);
            for y in 0..tile[0] {
                for x in 0..tile[1] {
                    let weight = weights[y / zoom * width + x / zoom];
                    let place = 3 * ((top + y) * size[1] + at[1] + x);
                    pixels[place..place + 3].copy_from_slice(&colour(weight, most));
                }
            }
        }
    }
    png(Pixels::Rgb(&pixels), size[1])
}

/// Blue at −most, white at 0, red at most.
fn colour(weight: f64, most: f64) -> [u8; 3] {
    let part = if most > 0.0 { (weight / most).clamp(-1.0, 1.0) } else { 0.0 };
    let faded = (255.0 * (1.0 - part.abs())).round() as u8;
    if part < 0.0 { [faded, faded, 255] } else { [255, faded, faded] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_symmetric() {
        assert_eq!(
            [-2.0, -1.0, 0.0, 1.0].map(|weight| colour(weight, 1.0)),
            [[0, 0, 255], [0, 0, 255], [255; 3], [255, 0, 0]]
        );
        assert_eq!((colour(0.25, 0.5), colour(-0.25, 0.5)), ([255, 128, 128], [128, 128, 255]));
        assert_eq!(colour(0.0, 0.0), [255; 3]);
    }
}
