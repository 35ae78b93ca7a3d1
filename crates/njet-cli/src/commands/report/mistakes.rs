//! The worst mistakes: the images that the model is surest of and wrong.

use super::contents::Tested;
use super::html::{escape, note, number, section};
use super::picture;
use crate::table::grouped;
use anyhow::Result;
use njet::training::{best_class, cross_entropy, probabilities};
use std::fmt::Write;

/// Images shown.
const MOST: usize = 24;

/// The section.
pub fn html(tested: &Tested) -> Result<String> {
    let mut wrong: Vec<(usize, f64)> = tested
        .rows()
        .enumerate()
        .filter(|(_, (logits, truth))| best_class(logits) != *truth)
        .map(|(i, (logits, truth))| (i, cross_entropy(logits, truth)))
        .collect();
    let all = wrong.len();
    if all == 0 {
        let text = "None: every test image was classified as what it is.";
        return Ok(section("mistakes", "Worst mistakes", &note(text)));
    }
    wrong.sort_by(|a, b| b.1.total_cmp(&a.1));
    wrong.truncate(MOST);
    let text = format!(
        "{} of {} test images are misclassified. These have the highest loss.",
        grouped(all as u64),
        grouped(tested.images.len() as u64)
    );
    let mut html = note(&text) + "<ol class=\"mistakes\">\n";
    for (i, loss) in wrong {
        let (logits, truth) = tested.rows().nth(i).expect("an index of a row");
        let predicted = best_class(logits);
        let p = probabilities(logits);
        let (picture, [height, width]) = picture::as_seen(&tested.images, &tested.view, i)?;
        let [truth_name, predicted_name] = [truth, predicted].map(|class| escape(&tested.classes[class]));
        write!(
            html,
            "<li><figure>\n<img class=\"pixels\" src=\"{picture}\" width=\"{width}\" height=\"{height}\" alt=\"Test image {i}, a {truth_name} taken for {predicted_name}\"/>\n\
             <figcaption><b>{truth_name}</b> <span>taken for</span> <b class=\"wrong\">{predicted_name}</b> {} <span>loss {}, image {i}</span></figcaption>\n</figure></li>\n",
            number(p[predicted], &format!("{:.1}\u{202f}%", 100.0 * p[predicted])),
            number(loss, &format!("{loss:.2}")),
        )
        .expect("writing to a string");
    }
    Ok(section("mistakes", "Worst mistakes", &(html + "</ol>\n")))
}
