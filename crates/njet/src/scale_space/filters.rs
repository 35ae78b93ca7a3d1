//! The filters of a scale in the form that the engine takes, whatever their size against the image.
//!
//! Where they are not much larger than the image, the image is continued by a radius and filtered. Where they are, most of
//! what they read is border: its taps are then added to those of the pixels that it repeats, which leaves each output a
//! filter of its own on the pixels of the image. Both are the same sum. Of an image that is long and thin it is done along
//! the short axis alone: along the long one, filters that reach around it would take the square of its length.

use crate::layer::PaddingMode;
use njet_basis::Taps;
use njet_kernels::{AxisConfig, Border, CentredAxis, CentredConfig, Geometry, GeometryConfig, KernelError};

/// How many times as many pixels as the image has may be filtered for the sake of its border.
const MOST_BORDER: usize = 4;

/// A call of the engine for one image, all but the image.
#[derive(Debug)]
pub(super) struct Filtering {
    pub(super) geometry: Geometry,
    /// Along y, along x.
    pub(super) taps: [Vec<f32>; 2],
    /// What the image is to be continued with, and by how much.
    pub(super) extended: Option<(Border, [(usize, usize); 2])>,
}

/// The call that makes `outputs` maps of an image of `size`.
pub(super) fn filtering(
    taps: &Taps,
    size: [usize; 2],
    padding_mode: PaddingMode,
    outputs: usize,
) -> Result<Filtering, KernelError> {
    let (radius, border) = (taps.radius(), padding_mode.border());
    let (batch, channels_in, channels_out, groups, order) = (1, 1, outputs, 1, taps.max_order());
    let extended = size.map(|pixels| pixels + 2 * radius);
    let small = extended[0].saturating_mul(extended[1]) <= (size[0] * size[1]).saturating_mul(MOST_BORDER);
    if border.is_none() || small {
        let rounded = taps.values_as();
        let axis = |pixels: usize, padding| AxisConfig { input: pixels, radius, stride: 1, padding };
        let [y, x] = match border {
            None => size.map(|pixels| axis(pixels, (radius, radius))),
            Some(_) => extended.map(|pixels| axis(pixels, (0, 0))),
        };
        let geometry = Geometry::new(GeometryConfig { batch, channels_in, channels_out, groups, order, y, x })?;
        let extended = border.map(|border| (border, [(radius, radius); 2]));
        return Ok(Filtering { geometry, taps: [rounded.clone(), rounded], extended });
    }
    let border = border.expect("zeros are the engine's own");
    // One axis at least is short, or the image would not grow so much.
    let short = |pixels: usize| 2 * radius > pixels;
    let reach = |pixels: usize| match border {
        _ if !short(pixels) => radius,
        // What is repeated is nearer than the place where it is repeated.
        Border::Replicate | Border::Reflect => radius.min(pixels - 1),
        Border::Circular => pixels - 1,
    };
    let margin = |pixels: usize| if short(pixels) { 0 } else { radius };
    let axis = |pixels: usize| {
        let input = pixels + 2 * margin(pixels);
        CentredAxis { input, output: pixels, radius: reach(pixels), factor: 1.0 }
    };
    let [y, x] = size.map(axis);
    let geometry = Geometry::centred(CentredConfig { batch, channels_in, channels_out, groups, order, y, x })?;
    let of_outputs = |pixels: usize| match short(pixels) {
        true => folded(taps, border, pixels, reach(pixels)),
        false => (0..=order).flat_map(|n| vec![taps.order(n); pixels]).flatten().map(|&tap| tap as f32).collect(),
    };
    let margins = size.map(|pixels| (margin(pixels), margin(pixels)));
    let extended = (margins != [(0, 0); 2]).then_some((border, margins));
    Ok(Filtering { geometry, taps: size.map(of_outputs), extended })
}

/// Taps of every output, the border's added to those of the pixels that it repeats: `[order + 1, pixels, 2·reach + 1]`.
fn folded(taps: &Taps, border: Border, pixels: usize, reach: usize) -> Vec<f32> {
    let (radius, side) = (taps.radius() as isize, 2 * reach + 1);
    let mut all = Vec::with_capacity((taps.max_order() + 1) * pixels * side);
    for order in 0..=taps.max_order() {
        for output in 0..pixels {
            let mut row = vec![0.0; side];
            for (at, tap) in (output as isize - radius..).zip(taps.order(order)) {
                row[border.pixel(at, pixels) + reach - output] += tap;
            }
            all.extend(row.into_iter().map(|tap: f64| tap as f32));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use njet_basis::TapSpec;
    use njet_kernels::engine::{self, Options};
    use njet_kernels::{Forward, Taps as TapSlices};

    /// Filters that are larger than the image give what they give on the image continued by hand.
    #[test]
    fn folding_the_border_is_continuing_the_image() {
        for (mode, border) in [
            (PaddingMode::Replicate, Border::Replicate),
            (PaddingMode::Reflect, Border::Reflect),
            (PaddingMode::Circular, Border::Circular),
        ] {
            // Beyond the columns, not beyond the rows; and a thin image, long enough along one axis to be continued.
            for size in [[7, 4], [2, 13], [13, 2]] {
                compare(size, mode, border);
            }
        }
    }

    fn compare(size: [usize; 2], mode: PaddingMode, border: Border) {
        let image: Vec<f32> = (0..size[0] * size[1]).map(|i| ((5 * i * i + 3 * i) % 17) as f32).collect();
        let taps = Taps::new(&TapSpec::new(1.1, 4.0, 2)).unwrap();
        let radius = taps.radius();
        assert_eq!(radius, 5);
        let Filtering { geometry, taps: folded, extended } = filtering(&taps, size, mode, 1).unwrap();
        let margins = size.map(|pixels| if pixels == 13 { (radius, radius) } else { (0, 0) });
        assert_eq!(extended, size.contains(&13).then_some((border, margins)));
        let input = match extended {
            Some((border, margins)) => border.extend(&image, size, margins),
            None => image.clone(),
        };
        // Lx and Lyy, added.
        let alpha = [0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
        let run = |geometry: &Geometry, y: &[f32], x: &[f32], image: &[f32]| {
            let call = Forward { taps: TapSlices { y, x }, alpha: &alpha, bias: None, x: image };
            engine::forward(geometry, &call, Options::default()).unwrap()
        };
        let got = run(&geometry, &folded[0], &folded[1], &input);
        let axis = |pixels| AxisConfig { input: pixels + 2 * radius, radius, stride: 1, padding: (0, 0) };
        let config = GeometryConfig {
            batch: 1,
            channels_in: 1,
            channels_out: 1,
            groups: 1,
            order: 2,
            y: axis(size[0]),
            x: axis(size[1]),
        };
        let rounded: Vec<f32> = taps.values_as();
        let continued = border.extend(&image, size, [(radius, radius); 2]);
        let expected = run(&Geometry::new(config).unwrap(), &rounded, &rounded, &continued);
        for (i, (a, b)) in got.iter().zip(&expected).enumerate() {
            assert!((a - b).abs() < 2e-5, "{mode:?}, {size:?}, pixel {i}: {a} against {b}");
        }
    }
}
