//! The learned filters of the N-jet layers as pictures.

use super::html::{escape, note, section};
use super::picture::{Pixels, data_uri};
use crate::table::grouped;
use njet::{NJetConv2d, SigmaSharing};
use njet_basis::{BasisError, TapSpec, Taps, jet};
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

/// N-jet layers beyond which each shows fewer filters, folded up.
const DEEP: usize = 8;

/// Filters shown of a layer of a deep network.
const MOST_DEEP: usize = 16;

/// The section; absent where no layer is an N-jet.
pub fn html(layers: &[(&str, &NJetConv2d)]) -> Option<String> {
    let deep = layers.len() > DEEP;
    let layers = layers.iter().map(|&(name, layer)| {
        let (heading, body) = of_layer(name, layer, if deep { MOST_DEEP } else { MOST });
        if deep {
            format!("<details>\n<summary>{heading}</summary>\n{body}</details>\n")
        } else {
            format!("<h3>{heading}</h3>\n{body}")
        }
    });
    let layers: Vec<String> = layers.collect();
    let text = "The filters that training arrived at, written out: each is the sum of the Gaussian derivatives of its layer \
                with its coefficients α. Orange is positive, blue negative, the background zero; each filter has its own \
                range of colours and is shown out to 3σ.";
    (!layers.is_empty()).then(|| section("filters", "Learned filters", &(note(text) + &layers.concat())))
}

/// The taps of one scale along y and x.
struct Pair {
    y: Taps,
    x: Taps,
    gram: Vec<Vec<f64>>,
}

/// One filter of a layer.
struct Filter {
    output: usize,
    input: usize,
    /// Number of its scale.
    scale: usize,
    alpha: Vec<f64>,
    energy: f64,
}

/// Every scale of a layer.
fn pairs(layer: &NJetConv2d) -> Result<Vec<Pair>, BasisError> {
    let taps = |sigma| {
        let spec = TapSpec::new(sigma, layer.extent, layer.order).with_discretisation(layer.discretisation);
        Taps::new(&spec)
    };
    let sigmas = layer.sigmas();
    sigmas
        .chunks(if layer.separate_axes { 2 } else { 1 })
        .map(|axes| {
            let (y, x) = (taps(axes[0])?, taps(axes[axes.len() - 1])?);
            Ok(Pair { gram: gram(&y, &x), y, x })
        })
        .collect()
}

/// Heading and contents.
fn of_layer(name: &str, layer: &NJetConv2d, most: usize) -> (String, String) {
    let pairs = match pairs(layer) {
        Ok(pairs) => pairs,
        Err(error) => return (escape(name), note(&error.to_string())),
    };
    let [outputs, of_group, basis] = layer.alpha.dims();
    let inputs = of_group * layer.groups;
    let alpha: Vec<f64> = layer.alpha.val().into_data().iter::<f64>().collect();
    let mut filters: Vec<Filter> = alpha
        .chunks_exact(basis)
        .enumerate()
        .map(|(i, alpha)| {
            let output = i / of_group;
            let group = output * layer.groups / outputs;
            let input = group * of_group + i % of_group;
            let scale = match layer.sharing {
                SigmaSharing::Layer => 0,
                SigmaSharing::Group => group,
                SigmaSharing::Input => input,
                SigmaSharing::Output => output,
            };
            Filter { output, input, scale, alpha: alpha.to_vec(), energy: energy(alpha, &pairs[scale].gram) }
        })
        .collect();
    let all = filters.len();
    let what = if all > most {
        filters.sort_by(|a, b| b.energy.total_cmp(&a.energy));
        filters.truncate(most);
        format!("the {most} strongest of {}, strongest first", grouped(all as u64))
    } else {
        format!("all {all}, in the order of their channels")
    };
    let [height, width] = layer.kernel_size();
    let heading = format!("{name}: σ {} px, {height}×{width} taps", range(&layer.sigmas()));
    let channels = format!("{inputs} to {outputs} channels, order {}; {what}", layer.order);
    let mut html = note(&channels) + &format!("<ul class=\"filters\" aria-label=\"Filters of {}\">\n", escape(name));
    let radius = pairs.iter().flat_map(|pair| [&pair.y, &pair.x]).map(shown_radius).max().unwrap_or(1);
    for Filter { output, input, scale, alpha, .. } in &filters {
        let (pixels, width) = drawn(alpha, &pairs[*scale], radius);
        let title = format!("channel {input} to {output}");
        writeln!(
            html,
            "<li><img class=\"pixels\" src=\"{}\" width=\"{width}\" height=\"{width}\" alt=\"{title}\" title=\"{title}\"/></li>",
            data_uri(Pixels::Rgba(&pixels), width)
        )
        .expect("writing to a string");
    }
    (escape(&heading), html + "</ul>\n")
}

/// The scale of a layer; of several, the least and the greatest.
fn range(sigmas: &[f64]) -> String {
    let least = sigmas.iter().copied().fold(f64::INFINITY, f64::min);
    let most = sigmas.iter().copied().fold(0.0, f64::max);
    if sigmas.len() == 1 { format!("{least:.3}") } else { format!("{least:.3}…{most:.3}") }
}

/// How far taps are shown, in pixels.
fn shown_radius(taps: &Taps) -> usize {
    ((SHOWN * taps.sigma()).ceil() as usize).clamp(1, taps.radius())
}

/// Σ over the taps of g_i · g_j along both axes, for every pair of basis functions, so that a filter's energy needs no
/// filter.
fn gram(y: &Taps, x: &Taps) -> Vec<Vec<f64>> {
    let along =
        |taps: &Taps, a: usize, b: usize| -> f64 { taps.order(a).iter().zip(taps.order(b)).map(|(a, b)| a * b).sum() };
    let indices: Vec<_> = jet(y.max_order()).collect();
    indices.iter().map(|a| indices.iter().map(|b| along(y, a.y, b.y) * along(x, a.x, b.x)).collect()).collect()
}

fn energy(alpha: &[f64], gram: &[Vec<f64>]) -> f64 {
    let row = |row: &Vec<f64>| -> f64 { row.iter().zip(alpha).map(|(g, a)| g * a).sum() };
    gram.iter().zip(alpha).map(|(g, a)| a * row(g)).sum()
}

/// Red, green, blue, opacity, out to `radius` pixels, and the side of the picture.
fn drawn(alpha: &[f64], Pair { y, x, .. }: &Pair, radius: usize) -> (Vec<u8>, usize) {
    // The centre is among the places that are shown.
    let step = (2 * radius + 1).div_ceil(SIDE);
    let out = (radius / step) as isize;
    let indices: Vec<_> = jet(y.max_order()).collect();
    let tap = |taps: &Taps, order: usize, place: isize| {
        let place = taps.radius().checked_add_signed(place * step as isize);
        place.and_then(|place| taps.order(order).get(place)).copied().unwrap_or(0.0)
    };
    let weight = |py: isize, px: isize| -> f64 {
        indices.iter().zip(alpha).map(|(index, a)| a * tap(y, index.y, py) * tap(x, index.x, px)).sum()
    };
    let weights: Vec<f64> =
        (-out..=out).flat_map(|py| (-out..=out).map(move |px| (py, px))).map(|(py, px)| weight(py, px)).collect();
    let most = weights.iter().fold(0.0, |most: f64, w| most.max(w.abs()));
    let pixels = weights.iter().flat_map(|&w| {
        let [r, g, b] = if w < 0.0 { NEGATIVE } else { POSITIVE };
        let part = if most > 0.0 { w.abs() / most } else { 0.0 };
        [r, g, b, (255.0 * part).round() as u8]
    });
    (pixels.collect(), 2 * out as usize + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use njet::NJetConv2dConfig;
    use njet_basis::kernel;

    fn pair(sigma: f64, order: usize) -> Pair {
        let taps = Taps::new(&TapSpec::new(sigma, 4.0, order)).unwrap();
        Pair { gram: gram(&taps, &taps), y: taps.clone(), x: taps }
    }

    #[test]
    fn a_drawing_is_the_kernel() {
        let pair = pair(1.3, 2);
        let alpha = [0.3, -1.0, 0.4, 0.8, -0.2, 0.1];
        let kernel = kernel(&alpha, &pair.y, &pair.x).unwrap();
        let (pixels, side) = drawn(&alpha, &pair, shown_radius(&pair.y));
        assert_eq!((pair.y.side(), side), (13, 9), "4σ and 3σ");
        let most = kernel.iter().fold(0.0, |most: f64, w| most.max(w.abs()));
        for (i, pixel) in pixels.chunks_exact(4).enumerate() {
            let weight = kernel[(2 + i / side) * 13 + 2 + i % side];
            assert_eq!(f64::from(pixel[3]), (255.0 * weight.abs() / most).round(), "{weight}");
            if pixel[3] > 0 {
                assert_eq!(pixel[..3], if weight < 0.0 { NEGATIVE } else { POSITIVE });
            }
        }
        let squares: f64 = kernel.iter().map(|w| w * w).sum();
        assert!((energy(&alpha, &pair.gram) / squares - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_wide_filter_is_thinned_about_its_centre() {
        let pair = pair(50.0, 0);
        let (pixels, side) = drawn(&[1.0], &pair, shown_radius(&pair.y));
        assert!(side <= SIDE && side % 2 == 1, "{side}");
        assert_eq!(pixels[4 * (side * side / 2) + 3], 255, "the Gaussian peaks in the middle");
    }

    #[test]
    fn a_filter_of_zeros_is_drawn() {
        assert!(drawn(&[0.0; 3], &pair(1.0, 1), 3).0.chunks_exact(4).all(|pixel| pixel[3] == 0));
    }

    /// Each filter is drawn at the scale of its channel, along each axis.
    #[test]
    fn scales_of_their_own() {
        let config =
            NJetConv2dConfig::new([1, 2]).with_order(0).with_sharing(SigmaSharing::Output).with_separate_axes(true);
        let mut layer = config.init(&burn::tensor::Device::flex());
        layer.log2_sigma = burn::module::Param::from_tensor(burn::tensor::Tensor::from_floats(
            [0.0, 1.0, 1.0, 0.0],
            &burn::tensor::Device::flex(),
        ));
        let pairs = pairs(&layer).unwrap();
        let sigmas: Vec<[f64; 2]> = pairs.iter().map(|pair| [pair.y.sigma(), pair.x.sigma()]).collect();
        assert_eq!(sigmas, [[1.0, 2.0], [2.0, 1.0]]);
        let wide = |pixels: &[u8], along: [usize; 2]| pixels[4 * ((6 + along[0]) * 13 + 6 + along[1]) + 3];
        let (pixels, side) = drawn(&[1.0], &pairs[0], 6);
        assert_eq!(side, 13);
        assert!(wide(&pixels, [0, 3]) > wide(&pixels, [3, 0]));
        let (_, html) = of_layer("layer1", &layer, 48);
        assert_eq!(html.matches("<img").count(), 2);
    }
}
