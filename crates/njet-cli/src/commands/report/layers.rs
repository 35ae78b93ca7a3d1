//! The network layer by layer, and how far each layer sees.

use super::contents::{Contents, Tested, Trained};
use super::few::evenly;
use super::html::{Column, escape, note, number, section, table};
use super::picture;
use crate::table::grouped;
use anyhow::Result;
use njet::models::{Convolution, Description, Unit};
use std::fmt::Write;

/// The section.
///
/// # Errors
/// The test image that is drawn cannot be read any more.
pub fn html(contents: &Contents, trained: &Trained) -> Result<String> {
    let mut body = rows(&trained.description, contents.config.data.size);
    if let Some(tested) = &contents.tested {
        body += &fields(trained, tested)?;
    }
    Ok(section("layers", "Layers", &body))
}

/// The table, for images of a size.
pub fn rows(description: &Description, [height, width]: [usize; 2]) -> String {
    use Column::{Numbers, Words};
    let header = [
        ("layer", Words),
        ("kind", Words),
        ("σ (px)", Numbers),
        ("kernel", Numbers),
        ("receptive field", Numbers),
        ("parameters", Numbers),
        ("multiply-adds", Numbers),
    ];
    let count = |n: u64| number(n as f64, &grouped(n));
    let rows: Vec<Vec<String>> = description
        .layers
        .iter()
        .map(|layer| {
            vec![
                escape(&layer.name),
                escape(layer.kind),
                scales(&layer.sigma),
                format!("{}×{}", layer.kernel[0], layer.kernel[1]),
                format!("{0}×{0}", layer.receptive_field),
                count(layer.parameters as u64),
                count(layer.multiply_adds),
            ]
        })
        .collect();
    let caption = format!("Layer by layer, for an image of {height}×{width} pixels");
    table(&caption, &header, &rows)
}

/// The scales of a layer; of many, the least and the greatest.
pub fn scales(sigmas: &[f64]) -> String {
    let shown = |sigma: f64| number(sigma, &format!("{sigma:.3}"));
    match sigmas {
        [] => "–".to_owned(),
        [_, _, _, ..] => {
            let least = sigmas.iter().copied().fold(f64::INFINITY, f64::min);
            let most = sigmas.iter().copied().fold(0.0, f64::max);
            format!("{}…{}", shown(least), shown(most))
        }
        few => few.iter().map(|&sigma| shown(sigma)).collect::<Vec<_>>().join(" "),
    }
}

/// How far one spatial layer sees, in pixels of the image.
#[derive(Debug, Clone, PartialEq)]
struct Reach {
    layer: String,
    /// Side of the square that one output depends on.
    square: usize,
    /// σ of the layer alone.
    own: Option<f64>,
    /// σ of all layers up to it; absent where one of them has none.
    through: Option<f64>,
}

/// Gaussians one after the other add their variances, a mean over a window adds that of the window. Through a residual
/// network the way is that of the branches.
fn reaches(trained: &Trained) -> Vec<Reach> {
    let (mut jump, mut variance) = (1.0, Some(0.0));
    let mut reaches = Vec::new();
    for (unit, blocks) in trained.model.units() {
        let branch = match unit {
            Unit::Plain => blocks,
            Unit::Residual { branch, .. } => &blocks[..branch],
        };
        for block in branch {
            let sigma = match &block.convolution {
                Convolution::Njet(layer) => {
                    let sigmas = layer.sigmas();
                    Some((sigmas.iter().map(|sigma| sigma * sigma).sum::<f64>() / sigmas.len() as f64).sqrt())
                }
                Convolution::Conv(_) => None,
            };
            if block.convolution.kernel_size() != [1, 1] {
                variance = variance.zip(sigma).map(|(variance, sigma)| variance + (sigma * jump).powi(2));
                let layer = trained.description.layers.iter().find(|layer| layer.name == block.name);
                reaches.push(Reach {
                    layer: block.name.clone(),
                    square: layer.map_or(0, |layer| layer.receptive_field),
                    own: sigma.map(|sigma| sigma * jump),
                    through: variance.map(f64::sqrt),
                });
            }
            let stride = block.convolution.stride();
            jump *= stride[0].max(stride[1]);
            if let Some(pool) = block.pool {
                let side = pool.side() as f64;
                variance = variance.map(|variance| variance + jump * jump * (side * side - 1.0) / 12.0);
                jump *= pool.stride() as f64;
            }
        }
    }
    reaches
}

/// Receptive fields that are drawn, of the first and the last layer and some between.
const FIELDS: usize = 8;

/// The receptive fields over a test image.
fn fields(trained: &Trained, tested: &Tested) -> Result<String> {
    let reaches = reaches(trained);
    let (picture, size) = picture::as_seen(&tested.images, &tested.view, 0)?;
    let [height, width] = size.map(|side| side as f64 * tested.view.scale);
    let side = height.max(width);
    let class = &tested.classes[usize::from(tested.images.label(0))];
    let mut text = format!(
        "How far an output in the middle sees, over a test image ({class}), each picture as wide as it takes. Dashed \
         square: the pixels that the output depends on at all. Filled circle: σ of the layer alone. Ring: σ of all layers \
         up to it together; most of the weight lies within twice its radius."
    );
    let shown = evenly(reaches.len(), FIELDS);
    if shown.len() < reaches.len() {
        text += &format!(" {} of the {} spatial layers.", shown.len(), reaches.len());
    }
    let mut html = format!("<h3>Receptive fields</h3>\n{}<ul class=\"fields\">\n", note(&text));
    for reach in shown.into_iter().map(|i| &reaches[i]) {
        // As wide as the field, unless the image in it would be a speck: then the field is left to the words.
        let square = reach.square as f64;
        let wide = 1.1 * square.max(side);
        let view = if wide > 4.0 * side { 1.3 * side } else { wide };
        let own = reach.own.map_or(String::new(), |own| format!("σ alone {own:.1} px, "));
        let through = reach.through.map_or(String::new(), |through| format!("together {through:.1} px, "));
        let beyond = if square > view { " (beyond this picture)" } else { "" };
        let text = format!("{own}{through}{0}×{0} px at most{beyond}", reach.square);
        let half = view / 2.0;
        // Widths of lines and dashes that look the same whatever the view.
        let unit = view / 200.0;
        write!(
            html,
            "<li><figure>\n<svg viewBox=\"{:.2} {:.2} {view:.2} {view:.2}\" role=\"img\" aria-label=\"Receptive field of {}: {}\">\n",
            -half,
            -half,
            escape(&reach.layer),
            escape(&text)
        )
        .expect("writing to a string");
        let mut put = |line: String| {
            html += &line;
            html.push('\n');
        };
        put(format!(
            "<image class=\"pixels\" href=\"{picture}\" x=\"{:.2}\" y=\"{:.2}\" width=\"{width}\" height=\"{height}\" preserveAspectRatio=\"none\"/>",
            -width / 2.0,
            -height / 2.0
        ));
        let place = format!("x=\"{0:.2}\" y=\"{0:.2}\" width=\"{square}\" height=\"{square}\"", -square / 2.0);
        let dashes =
            format!("stroke-width=\"{:.2}\" stroke-dasharray=\"{:.2} {:.2}\"", 1.8 * unit, 6.0 * unit, 4.0 * unit);
        put(format!("<rect class=\"square\" {place} {dashes}/>"));
        if let Some(own) = reach.own {
            put(format!("<circle class=\"own\" r=\"{own:.2}\"/>"));
        }
        if let Some(through) = reach.through {
            put(format!("<circle class=\"halo\" r=\"{through:.2}\" stroke-width=\"{:.2}\"/>", 4.0 * unit));
            put(format!("<circle class=\"ring\" r=\"{through:.2}\" stroke-width=\"{:.2}\"/>", 2.0 * unit));
        }
        put("</svg>".to_owned());
        put(format!("<figcaption><b>{}</b> {}</figcaption>\n</figure></li>", escape(&reach.layer), escape(&text)));
    }
    Ok(html + "</ul>\n")
}
