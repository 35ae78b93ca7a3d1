//! How the parts of a claim came out.

use super::claim::Claim;
use super::figures::percent;
use super::results::Row;
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
    pub(super) fn new(statement: impl Into<String>, holds: Option<bool>, figures: String) -> Self {
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
    let mut verdicts = Vec::new();
    for scale in SCALES {
        let mut judge = |group: &str, treatment, what: &str, bound: f64, small: bool| {
            let found = rows.iter().find(|row| row.group == group && row.treatment == Some(treatment));
            let Some(row) = found else { return };
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
        judge("njet", Treatment::Rescaled, "σ rescaled", SMALL_LOSS, true);
        judge("njet, integrated", Treatment::Rescaled, "σ rescaled, filters integrated,", SMALL_LOSS, true);
        judge("njet", Treatment::LeftAlone, "σ left alone", LARGE_LOSS, false);
        judge("conv", Treatment::LeftAlone, "the twin of plain convolutions", LARGE_LOSS, false);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::AtScale;
    use crate::models::{Architecture, ModelConfig};
    use std::collections::BTreeMap;

    fn row(layer: LayerKind, sigma: f64, learn_sigma: bool, accuracy: &[f64]) -> Row {
        let model = ModelConfig { layer, sigma, learn_sigma, ..ModelConfig::new(Architecture::Small, 1, 10) };
        let group = if layer == LayerKind::Conv { "conv" } else { "njet" };
        Row {
            group: group.to_owned(),
            setting: format!("{group} {sigma} {learn_sigma}"),
            treatment: None,
            model,
            cells: Vec::new(),
            parameters: 1,
            accuracy: Sample::new(accuracy.iter().copied()),
            sigma: BTreeMap::new(),
            seconds: Sample::new([1.0]),
            seconds_per_epoch: Sample::new([1.0]),
            largest_activation: 1,
            at_scale: Vec::new(),
        }
    }

    fn fixed(sigma: f64, accuracy: &[f64]) -> Row {
        row(LayerKind::Njet, sigma, false, accuracy)
    }

    fn learned(sigma: f64, accuracy: &[f64]) -> Row {
        row(LayerKind::Njet, sigma, true, accuracy)
    }

    fn holds(verdicts: &[Verdict]) -> Vec<Option<bool>> {
        verdicts.iter().map(|verdict| verdict.holds).collect()
    }

    #[test]
    fn sizes_compare_with_a_pooled_deviation() {
        // Within a setting the values are ±0.01 from their mean: a deviation of √2 points, pooled too.
        let conv = row(LayerKind::Conv, 1.0, true, &[0.79, 0.81]);
        let rows = |learned_mean: f64| {
            let both = [learned_mean - 0.01, learned_mean + 0.01];
            [
                fixed(1.0, &[0.79, 0.81]),
                fixed(2.0, &[0.84, 0.86]),
                learned(1.0, &both),
                learned(2.0, &both),
                conv.clone(),
            ]
        };
        assert_eq!(holds(&sizes(&rows(0.84))), [Some(true), Some(true), Some(true)]);
        assert_eq!(holds(&sizes(&rows(0.81))), [Some(false), Some(false), Some(false)]);
        let verdicts = sizes(&rows(0.84));
        assert!(
            verdicts[0]
                .figures
                .contains("84.00 against 85.00 ± 1.41 (njet 2 false): -1.00 points, pooled deviation 1.41")
        );
        // One seed says nothing about chance.
        let single = [fixed(1.0, &[0.8]), learned(1.0, &[0.9]), learned(2.0, &[0.7])];
        assert_eq!(holds(&sizes(&single)), [None, None]);
    }

    #[test]
    fn starts_compare_the_ends() {
        let rows = |end: f64| [fixed(1.0, &[0.8]), fixed(2.0, &[0.85]), learned(1.0, &[0.9]), learned(2.0, &[end])];
        assert_eq!(holds(&starts(&rows(0.895))), [Some(true), Some(true)]);
        assert_eq!(holds(&starts(&rows(0.885))), [Some(false), Some(true)]);
        assert_eq!(starts(&rows(0.885))[1].figures, "from 80.00 to 85.00: 5.00 points");
        let alike = [fixed(1.0, &[0.8]), fixed(2.0, &[0.805]), learned(1.0, &[0.9])];
        assert_eq!(holds(&starts(&alike)), [Some(true), Some(false)]);
    }

    #[test]
    fn architectures_compare_twins() {
        let rows =
            |njet| [learned(1.0, &[njet]), Row { group: "njet".to_owned(), ..row(LayerKind::Conv, 1.0, true, &[0.9]) }];
        assert_eq!(holds(&architectures(&rows(0.895))), [Some(true)]);
        assert_eq!(holds(&architectures(&rows(0.885))), [Some(false)]);
    }

    #[test]
    fn transfer_counts_losses() {
        let treated = |layer, treatment, at: f64| Row {
            treatment: Some(treatment),
            at_scale: SCALES.map(|scale| AtScale { scale, accuracy: Sample::new([at]) }).into(),
            ..row(layer, 1.0, true, &[0.9])
        };
        let rows = |rescaled, alone, conv| {
            [
                treated(LayerKind::Njet, Treatment::Rescaled, rescaled),
                treated(LayerKind::Njet, Treatment::LeftAlone, alone),
                treated(LayerKind::Conv, Treatment::LeftAlone, conv),
            ]
        };
        assert_eq!(holds(&transfer(&rows(0.86, 0.6, 0.65))), [Some(true); 6]);
        assert_eq!(holds(&transfer(&rows(0.84, 0.75, 0.8))), [Some(false); 6]);
        let verdict = &transfer(&rows(0.86, 0.6, 0.65))[4];
        assert_eq!(verdict.statement, "at 2×, σ left alone loses at least 20 points");
        assert_eq!(verdict.figures, "90.00 at 1×, 60.00 at 2×: -30.00 points");
    }

    #[test]
    fn ablations_compare_the_extremes() {
        let rows =
            |low: f64| [fixed(1.0, &[0.89, 0.91]), fixed(2.0, &[low - 0.01, low + 0.01]), fixed(3.0, &[0.9, 0.9])];
        // Pooled: squares 2e-4 twice, over three degrees of freedom: 1.15 points.
        assert_eq!(holds(&ablations(&rows(0.87))), [Some(true)]);
        assert_eq!(holds(&ablations(&rows(0.88))), [Some(false)]);
    }
}
