//! The learned filters of the N-jet layers as pictures.

use super::contents::Trained;
use super::html::{escape, note, section};
use super::picture::{Pixels, data_uri};
use crate::table::grouped;
use njet::NJetConv2d;
use njet_basis::{Taps, jet};
use std::fmt::Write;

/// Filters shown of a layer.
const MOST: usize = 48;

/// Pixels along a side of a picture: a wider filter is shown at every second, third … tap.
const SIDE: usize = 65;

/// How far from its centre a filter is shown, in units of σ: beyond, the weights are too small to be seen.
const SHOWN: f64 = 3.0;

/// Colours of full positive and full negative weights. Zero is transparent, so it is the page's own background.
const POSITIVE: [u8; 3] = [217, 95, 30];
const NEGATIVE: [u8; 3] = [45, 116, 201];

/// The section; absent where no layer is an N-jet.
pub fn html(trained: &Trained) -> Option<String> {
    let layers: Vec<String> = trained.model.njet_layers().map(|(name, layer)| of_layer(name, layer)).collect();
    let text = "The filters that training arrived at, written out: each is the sum of the Gaussian derivatives of its layer with its coefficients α. Orange is positive, blue negative, the background zero; each filter has its own range of colours and is shown out to 3σ.";
    (!layers.is_empty()).then(|| section("filters", "Learned filters", &(note(text) + &layers.concat())))
}

/// One filter of a layer.
struct Filter {
    output: usize,
    input: usize,
    alpha: Vec<f64>,
    energy: f64,
}

fn of_layer(name: &str, layer: &NJetConv2d) -> String {
    let taps = match Taps::new(&layer.settings().taps) {
        Ok(taps) => taps,
        Err(error) => return format!("<h3>{}</h3>\n{}", escape(name), note(&error.to_string())),
    };
    let [outputs, of_group, basis] = layer.alpha.dims();
    let inputs = of_group * layer.groups;
    let alpha: Vec<f64> = layer.alpha.val().into_data().iter::<f64>().collect();
    let gram = gram(&taps);
    let mut filters: Vec<Filter> = alpha
        .chunks_exact(basis)
        .enumerate()
        .map(|(i, alpha)| {
            let output = i / of_group;
            // The first input channel of the group that the output belongs to.
            let first = output * layer.groups / outputs * of_group;
            Filter { output, input: first + i % of_group, alpha: alpha.to_vec(), energy: energy(alpha, &gram) }
        })
        .collect();
    let all = filters.len();
    let what = if all > MOST {
        filters.sort_by(|a, b| b.energy.total_cmp(&a.energy));
        filters.truncate(MOST);
        format!("the {MOST} strongest of {}, strongest first", grouped(all as u64))
    } else {
        format!("all {all}, in the order of their channels")
    };
    let side = taps.side();
    let heading = format!("{name}: σ {:.3} px, {side}×{side} taps", taps.sigma());
    let channels = format!("{inputs} to {outputs} channels, order {}; {what}", layer.order);
    let mut html = format!(
        "<h3>{}</h3>\n{}<ul class=\"filters\" aria-label=\"Filters of {}\">\n",
        escape(&heading),
        note(&channels),
        escape(name)
    );
    for Filter { output, input, alpha, .. } in &filters {
        let (pixels, width) = drawn(alpha, &taps);
        let title = format!("channel {input} to {output}");
        writeln!(
            html,
            "<li><img class=\"pixels\" src=\"{}\" width=\"{width}\" height=\"{width}\" alt=\"{title}\" title=\"{title}\"/></li>",
            data_uri(Pixels::Rgba(&pixels), width)
        )
        .expect("writing to a string");
    }
    html + "</ul>\n"
}

/// Σ over the taps of g_i · g_j along both axes, for every pair of basis functions, so that a filter's energy needs no
/// filter.
fn gram(taps: &Taps) -> Vec<Vec<f64>> {
    let along = |a: usize, b: usize| -> f64 { taps.order(a).iter().zip(taps.order(b)).map(|(a, b)| a * b).sum() };
    let indices: Vec<_> = jet(taps.max_order()).collect();
    indices.iter().map(|a| indices.iter().map(|b| along(a.y, b.y) * along(a.x, b.x)).collect()).collect()
}

fn energy(alpha: &[f64], gram: &[Vec<f64>]) -> f64 {
    let row = |row: &Vec<f64>| -> f64 { row.iter().zip(alpha).map(|(g, a)| g * a).sum() };
    gram.iter().zip(alpha).map(|(g, a)| a * row(g)).sum()
}

/// Red, green, blue, opacity, and the side in pixels.
fn drawn(alpha: &[f64], taps: &Taps) -> (Vec<u8>, usize) {
    let radius = ((SHOWN * taps.sigma()).ceil() as usize).clamp(1, taps.radius());
    let step = (2 * radius + 1).div_ceil(SIDE);
    // The centre is among the taps that are shown.
    let (centre, out) = (taps.radius(), radius / step);
    let places: Vec<usize> = (0..=2 * out).map(|i| centre + i * step - out * step).collect();
    let indices: Vec<_> = jet(taps.max_order()).collect();
    let weight = |y: usize, x: usize| -> f64 {
        indices.iter().zip(alpha).map(|(index, a)| a * taps.order(index.y)[y] * taps.order(index.x)[x]).sum()
    };
    let weights: Vec<f64> =
        places.iter().flat_map(|&y| places.iter().map(move |&x| (y, x))).map(|(y, x)| weight(y, x)).collect();
    let most = weights.iter().fold(0.0, |most: f64, w| most.max(w.abs()));
    let pixels = weights.iter().flat_map(|&w| {
        let [r, g, b] = if w < 0.0 { NEGATIVE } else { POSITIVE };
        let part = if most > 0.0 { w.abs() / most } else { 0.0 };
        [r, g, b, (255.0 * part).round() as u8]
    });
    (pixels.collect(), places.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use njet_basis::{TapSpec, kernel};

    #[test]
    fn a_drawing_is_the_kernel() {
        let taps = Taps::new(&TapSpec::new(1.3, 4.0, 2)).unwrap();
        let alpha = [0.3, -1.0, 0.4, 0.8, -0.2, 0.1];
        let kernel = kernel(&alpha, &taps, &taps).unwrap();
        let (pixels, side) = drawn(&alpha, &taps);
        assert_eq!((taps.side(), side), (13, 9), "4σ and 3σ");
        let most = kernel.iter().fold(0.0, |most: f64, w| most.max(w.abs()));
        for (i, pixel) in pixels.chunks_exact(4).enumerate() {
            let weight = kernel[(2 + i / side) * 13 + 2 + i % side];
            assert_eq!(f64::from(pixel[3]), (255.0 * weight.abs() / most).round(), "{weight}");
            if pixel[3] > 0 {
                assert_eq!(pixel[..3], if weight < 0.0 { NEGATIVE } else { POSITIVE });
            }
        }
        let squares: f64 = kernel.iter().map(|w| w * w).sum();
        assert!((energy(&alpha, &gram(&taps)) / squares - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_wide_filter_is_thinned_about_its_centre() {
        let taps = Taps::new(&TapSpec::new(50.0, 4.0, 0)).unwrap();
        let (pixels, side) = drawn(&[1.0], &taps);
        assert!(side <= SIDE && side % 2 == 1, "{side}");
        assert_eq!(pixels[4 * (side * side / 2) + 3], 255, "the Gaussian peaks in the middle");
    }

    #[test]
    fn a_filter_of_zeros_is_drawn() {
        let taps = Taps::new(&TapSpec::new(1.0, 4.0, 1)).unwrap();
        assert!(drawn(&[0.0; 3], &taps).0.chunks_exact(4).all(|pixel| pixel[3] == 0));
    }
}
