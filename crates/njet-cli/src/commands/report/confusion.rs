//! What is taken for what: the confusion matrix.

use super::contents::Tested;
use super::html::{Column, escape, note, number, percent, section, table};
use super::picture::{Pixels, data_uri};
use crate::table::grouped;
use njet::training::best_class;
use std::fmt::Write;

/// Classes up to which counts are written out; beyond, the matrix is a picture.
const WRITTEN: usize = 20;

/// Pairs named below a picture.
const PAIRS: usize = 15;

/// Part of a row from which on the colour of a cell is so strong that its number is written in white.
const STRONG: f64 = 0.7;

/// Images by true class and predicted class.
struct Confusion<'a> {
    classes: &'a [String],
    counts: Vec<u64>,
}

impl Confusion<'_> {
    fn at(&self, truth: usize, predicted: usize) -> u64 {
        self.counts[truth * self.classes.len() + predicted]
    }

    fn of_truth(&self, truth: usize) -> u64 {
        (0..self.classes.len()).map(|predicted| self.at(truth, predicted)).sum()
    }

    fn of_predicted(&self, predicted: usize) -> u64 {
        (0..self.classes.len()).map(|truth| self.at(truth, predicted)).sum()
    }

    /// Part of the images of a class that are predicted so.
    fn part(&self, truth: usize, predicted: usize) -> f64 {
        self.at(truth, predicted) as f64 / self.of_truth(truth).max(1) as f64
    }
}

/// The section.
pub fn html(tested: &Tested) -> String {
    let n = tested.classes.len();
    let mut confusion = Confusion { classes: &tested.classes, counts: vec![0; n * n] };
    for (logits, truth) in tested.rows() {
        confusion.counts[truth * n + best_class(logits)] += 1;
    }
    let text = "Rows are the true classes, columns the predicted ones. Colours are parts of a row. Recall: images of the class that were found; precision: images predicted so that are of the class.";
    let body = note(text) + &if n <= WRITTEN { written(&confusion) } else { drawn(&confusion) };
    section("confusion", "Confusion matrix", &body)
}

fn ratio(part: u64, all: u64) -> String {
    if all == 0 { "–".to_owned() } else { percent(part as f64 / all as f64, 1) }
}

fn written(confusion: &Confusion<'_>) -> String {
    let n = confusion.classes.len();
    let mut html = String::from(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Confusion matrix\">\n<table class=\"confusion\">\n<caption>Number of test images by true and predicted class</caption>\n<thead><tr><th scope=\"col\">true class</th>",
    );
    let put = |html: &mut String, text: std::fmt::Arguments<'_>| html.write_fmt(text).expect("writing to a string");
    for class in confusion.classes {
        put(&mut html, format_args!("<th scope=\"col\" class=\"turned\"><span>{}</span></th>", escape(class)));
    }
    html += "<th scope=\"col\" class=\"number\">recall</th></tr></thead>\n<tbody>\n";
    for (truth, class) in confusion.classes.iter().enumerate() {
        put(&mut html, format_args!("<tr><th scope=\"row\">{}</th>", escape(class)));
        for predicted in 0..n {
            let (count, part) = (confusion.at(truth, predicted), confusion.part(truth, predicted));
            let class = match (count, part) {
                (0, _) => "none",
                (_, part) if part >= STRONG => "strong",
                _ => "some",
            };
            let title = format!("{} predicted {}: {count}", confusion.classes[truth], confusion.classes[predicted]);
            put(
                &mut html,
                format_args!(
                    "<td class=\"{class}\" style=\"--part:{:.0}%\" title=\"{}\">{}</td>",
                    100.0 * part,
                    escape(&title),
                    number(count as f64, &grouped(count))
                ),
            );
        }
        let recall = ratio(confusion.at(truth, truth), confusion.of_truth(truth));
        put(&mut html, format_args!("<td class=\"number\">{recall}</td></tr>\n"));
    }
    html += "</tbody>\n<tfoot><tr><th scope=\"row\">precision</th>";
    for predicted in 0..n {
        let all = confusion.of_predicted(predicted);
        let precision = confusion.at(predicted, predicted) as f64 / all.max(1) as f64;
        let shown =
            if all == 0 { "–".to_owned() } else { number(precision, &format!("{:.0}\u{202f}%", 100.0 * precision)) };
        put(&mut html, format_args!("<td>{shown}</td>"));
    }
    html + "<td></td></tr></tfoot>\n</table>\n</div>\n"
}

fn drawn(confusion: &Confusion<'_>) -> String {
    let n = confusion.classes.len();
    let pixels: Vec<u8> =
        (0..n * n).flat_map(|i| [31, 90, 154, (255.0 * confusion.part(i / n, i % n).sqrt()).round() as u8]).collect();
    let mut html = format!(
        "<figure><img class=\"pixels matrix\" src=\"{}\" width=\"{n}\" height=\"{n}\" alt=\"Confusion matrix of {n} classes as a picture: rows are true classes, columns predicted ones\"/></figure>\n",
        data_uri(Pixels::Rgba(&pixels), n)
    );
    let mut pairs: Vec<(usize, usize)> =
        (0..n * n).map(|i| (i / n, i % n)).filter(|(t, p)| t != p && confusion.at(*t, *p) > 0).collect();
    pairs.sort_by_key(|&(truth, predicted)| std::cmp::Reverse(confusion.at(truth, predicted)));
    pairs.truncate(PAIRS);
    let rows: Vec<Vec<String>> = pairs
        .into_iter()
        .map(|(truth, predicted)| {
            let count = confusion.at(truth, predicted);
            vec![
                escape(&confusion.classes[truth]),
                escape(&confusion.classes[predicted]),
                number(count as f64, &grouped(count)),
                ratio(count, confusion.of_truth(truth)),
            ]
        })
        .collect();
    use Column::{Numbers, Words};
    let header = [("true class", Words), ("predicted", Words), ("images", Numbers), ("of the class", Numbers)];
    html += &table("The pairs most often confused", &header, &rows);
    html
}
