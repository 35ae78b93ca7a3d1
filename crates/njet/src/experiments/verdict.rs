//! How the parts of a claim came out.

use super::claim::Claim;
use super::results::{Row, percent};
use super::statistics::{Sample, pooled_deviation};
use super::transfer::{SCALES, Treatment};
use crate::models::LayerKind;
use serde::Serialize;

/// A part of a claim and how it came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// The part, so that it can be right or wrong.
    pub statement: String,
    /// Whether it is right; `null` where the runs do not say.
    pub holds: Option<bool>,
    /// What it follows from.
    pub figures: String,
}

impl Verdict {
    fn new(statement: impl Into<String>, holds: Option<bool>, figures: String) -> Self {
        Self { statement: statement.into(), holds, figures }
    }

    /// `holds`, `does not hold`, or that it cannot be said.
    pub const fn word(&self) -> &'static str {
        match self.holds {
            Some(true) => "holds",
            Some(false) => "does not hold",
            None => "not decided: one seed has no deviation",
        }
    }
}

/// Points of accuracy within which two settings count as alike.
const ALIKE: f64 = 0.01;

/// Points that a model that goes to another resolution may lose.
const SMALL_LOSS: f64 = 0.05;

/// Points that one loses that does not.
const LARGE_LOSS: f64 = 0.20;

/// Pooled deviations by which the best and the worst of some settings differ where the choice matters. Of four settings that
/// do not differ at all the extremes of the means are likely to be one apart.
const MATTERS: f64 = 2.0;

/// The verdicts on a claim.
pub(super) fn verdicts(claim: Claim, rows: &[Row]) -> Vec<Verdict> {
    match claim {
        Claim::Architectures => architectures(rows),
        Claim::Sizes => sizes(rows),
        Claim::Starts => starts(rows),
        Claim::Transfer => transfer(rows),
        Claim::Ablations => ablations(rows),
    }
}

fn points(difference: f64) -> String {
    format!("{:+.2} points", 100.0 * difference)
}

fn best<'a>(rows: &[&'a Row]) -> Option<&'a Row> {
    rows.iter().copied().max_by(|a, b| a.accuracy.mean().total_cmp(&b.accuracy.mean()))
}

fn architectures(rows: &[Row]) -> Vec<Verdict> {
    let conv = |group: &str| rows.iter().find(|row| row.group == group && row.model.layer == LayerKind::Conv);
    let pairs = rows.iter().filter(|row| row.model.layer == LayerKind::Njet);
    let verdict = |(njet, conv): (&Row, &Row)| {
        let difference = njet.accuracy.mean() - conv.accuracy.mean();
        Verdict::new(
            format!("{}: N-jet layers are at most 1 point below plain convolutions", njet.group),
            Some(difference >= -ALIKE),
            format!(
                "{} against {}, {} with {:.2} times the parameters",
                percent(&njet.accuracy),
                percent(&conv.accuracy),
                points(difference),
                njet.parameters as f64 / conv.parameters as f64
            ),
        )
    };
    pairs.filter_map(|row| Some((row, conv(&row.group)?))).map(verdict).collect()
}

fn sizes(rows: &[Row]) -> Vec<Verdict> {
    let of = |layer: LayerKind, learn: bool| -> Vec<&Row> {
        rows.iter().filter(|row| row.model.layer == layer && row.model.learn_sigma == learn).collect()
    };
    let learned = of(LayerKind::Njet, true);
    let fixed = of(LayerKind::Njet, false);
    let conv: Vec<&Row> = rows.iter().filter(|row| row.model.layer == LayerKind::Conv).collect();
    let all = Sample::together(learned.iter().map(|row| &row.accuracy)).mean();
    let against = |statement: &str, other: &Row, holds: fn(f64, f64) -> bool| {
        let difference = all - other.accuracy.mean();
        let pooled = pooled_deviation(learned.iter().map(|row| &row.accuracy).chain([&other.accuracy]));
        let deviation = pooled.map_or("none".to_owned(), |pooled| format!("{:.2}", 100.0 * pooled));
        Verdict::new(
            format!("learned σ, averaged over its starts, {statement}"),
            pooled.map(|pooled| holds(difference, pooled)),
            format!(
                "{:.2} against {} ({}): {}, pooled deviation {deviation}",
                100.0 * all,
                percent(&other.accuracy),
                other.setting,
                points(difference)
            ),
        )
    };
    let one = fixed.iter().find(|row| row.model.sigma == 1.0).copied();
    let above = |difference, pooled| difference > pooled;
    [
        best(&fixed).map(|row| {
            let statement = "is not below the best fixed σ by more than a pooled deviation";
            against(statement, row, |difference, pooled| difference >= -pooled)
        }),
        one.map(|row| against("is above σ fixed at 1 by more than a pooled deviation", row, above)),
        best(&conv)
            .map(|row| against("is above the better plain convolution by more than a pooled deviation", row, above)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn starts(rows: &[Row]) -> Vec<Verdict> {
    let spread = |learn: bool| {
        let means: Vec<f64> =
            rows.iter().filter(|row| row.model.learn_sigma == learn).map(|row| row.accuracy.mean()).collect();
        let (least, most) =
            means.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &mean| (a.min(mean), b.max(mean)));
        let figures = format!("from {:.2} to {:.2}: {:.2} points", 100.0 * least, 100.0 * most, 100.0 * (most - least));
        (most - least, figures)
    };
    let ((learned, of_learned), (fixed, of_fixed)) = (spread(true), spread(false));
    vec![
        Verdict::new("learned from any start, the ends are within 1 point", Some(learned <= ALIKE), of_learned),
        Verdict::new("fixed at the same values, they are not", Some(fixed > ALIKE), of_fixed),
    ]
}

fn transfer(rows: &[Row]) -> Vec<Verdict> {
    let find = |layer, treatment| rows.iter().find(|row| row.model.layer == layer && row.treatment == Some(treatment));
    let mut verdicts = Vec::new();
    for scale in SCALES {
        let mut judge = |layer, treatment, what: &str, bound: f64, small: bool| {
            let Some(row) = find(layer, treatment) else { return };
            let Some(at) = row.at_scale.iter().find(|at| at.scale == scale) else { return };
            let loss = row.accuracy.mean() - at.accuracy.mean();
            let holds = if small { loss <= bound } else { loss >= bound };
            let how = if small { "at most" } else { "at least" };
            verdicts.push(Verdict::new(
                format!("at {scale}×, {what} loses {how} {:.0} points", 100.0 * bound),
                Some(holds),
                format!("{} at 1×, {} at {scale}×: {}", percent(&row.accuracy), percent(&at.accuracy), points(-loss)),
            ));
        };
        judge(LayerKind::Njet, Treatment::Rescaled, "σ rescaled", SMALL_LOSS, true);
        judge(LayerKind::Njet, Treatment::LeftAlone, "σ left alone", LARGE_LOSS, false);
        judge(LayerKind::Conv, Treatment::LeftAlone, "the twin of plain convolutions", LARGE_LOSS, false);
    }
    verdicts
}

fn ablations(rows: &[Row]) -> Vec<Verdict> {
    let mut groups: Vec<&str> = rows.iter().map(|row| row.group.as_str()).collect();
    groups.dedup();
    let verdict = |group: &str| {
        let of_group: Vec<&Row> = rows.iter().filter(|row| row.group == group).collect();
        let best = best(&of_group).expect("a group has a row");
        let worst = of_group.iter().min_by(|a, b| a.accuracy.mean().total_cmp(&b.accuracy.mean()));
        let worst = worst.expect("a group has a row");
        let range = best.accuracy.mean() - worst.accuracy.mean();
        let pooled = pooled_deviation(of_group.iter().map(|row| &row.accuracy));
        let deviation = pooled.map_or("none".to_owned(), |pooled| format!("{:.2}", 100.0 * pooled));
        Verdict::new(
            format!("{group}: the choice matters, best and worst differ by more than {MATTERS} pooled deviations"),
            pooled.map(|pooled| range > MATTERS * pooled),
            format!(
                "{} with {}, {} with {}: {:.2} points, pooled deviation {deviation}",
                percent(&best.accuracy),
                best.setting,
                percent(&worst.accuracy),
                worst.setting,
                100.0 * range
            ),
        )
    };
    groups.into_iter().map(verdict).collect()
}
