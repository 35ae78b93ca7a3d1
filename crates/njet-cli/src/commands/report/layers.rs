//! The network layer by layer, and how far each layer sees.

use super::contents::{Contents, Tested, Trained};
use super::html::{Column, escape, note, number, section, table};
use super::picture;
use crate::table::grouped;
use njet::models::{After, Convolution};
use std::fmt::Write;

/// The section.
pub fn html(contents: &Contents, trained: &Trained) -> String {
    let mut body = rows(contents, trained);
    if let Some(tested) = &contents.tested {
        body += &fields(contents, trained, tested);
    }
    section("layers", "Layers", &body)
}

fn rows(contents: &Contents, trained: &Trained) -> String {
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
    let rows: Vec<Vec<String>> = trained
        .description
        .layers
        .iter()
        .map(|layer| {
            let sigmas: Vec<String> = layer.sigma.iter().map(|&s| number(s, &format!("{s:.3}"))).collect();
            vec![
                escape(&layer.name),
                escape(layer.kind),
                if sigmas.is_empty() { "–".to_owned() } else { sigmas.join(" ") },
                format!("{}×{}", layer.kernel[0], layer.kernel[1]),
                format!("{0}×{0}", layer.receptive_field),
                count(layer.parameters as u64),
                count(layer.multiply_adds),
            ]
        })
        .collect();
    let [height, width] = contents.config.data.size;
    let caption = format!("Layer by layer, for an image of {height}×{width} pixels");
    table(&caption, &header, &rows)
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

/// Gaussians one after the other add their variances. A mean over 2 pixels has the variance ¼ of their distance squared.
fn reaches(contents: &Contents, trained: &Trained) -> Vec<Reach> {
    let specs = contents.config.model.arch.blocks();
    let (mut jump, mut variance) = (1.0, Some(0.0));
    let mut reaches = Vec::new();
    for (((name, block), spec), layer) in trained.model.named_blocks().zip(&specs).zip(&trained.description.layers) {
        let (sigma, stride) = match &block.convolution {
            Convolution::Njet(njet) => (Some(njet.sigma()), njet.stride),
            Convolution::Conv(conv) => (None, conv.stride),
        };
        let spatial = layer.kernel != [1, 1];
        if spatial {
            variance = variance.zip(sigma).map(|(variance, sigma)| variance + (sigma * jump).powi(2));
            reaches.push(Reach {
                layer: name.to_owned(),
                square: layer.receptive_field,
                own: sigma.map(|sigma| sigma * jump),
                through: variance.map(f64::sqrt),
            });
        }
        jump *= stride[0] as f64;
        if spec.after == After::AveragePool {
            variance = variance.map(|variance| variance + jump * jump / 4.0);
            jump *= 2.0;
        }
    }
    reaches
}

/// The receptive fields over a test image.
fn fields(contents: &Contents, trained: &Trained, tested: &Tested) -> String {
    let reaches = reaches(contents, trained);
    let [height, width] = contents.config.data.size.map(|side| side as f64);
    let side = height.max(width);
    let picture = picture::of_set(&tested.images, 0);
    let class = &tested.classes[usize::from(tested.images.label(0))];
    let mut html = format!(
        "<h3>Receptive fields</h3>\n{}<ul class=\"fields\">\n",
        note(&format!(
            "How far an output in the middle sees, over a test image ({class}), each picture as wide as it takes. Dashed square: the pixels that the output depends on at all. Filled circle: σ of the layer alone. Ring: σ of all layers up to it together; most of the weight lies within twice its radius."
        ))
    );
    for reach in &reaches {
        // The picture is as wide as the field, and never so wide that the image in it is a speck.
        let square = reach.square as f64;
        let view = (1.1 * square.max(side)).min(4.0 * side);
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
    html + "</ul>\n"
}
