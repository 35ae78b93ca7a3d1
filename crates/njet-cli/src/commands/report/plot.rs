//! Line charts as inline SVG: axes, lines with their names at the right end, values on hover.

use super::html::escape;
use std::fmt::Write;

/// Units of the drawing. The page shows it between 350 and 420 pixels wide, so text stays readable.
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 270.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 46.0;
const LEFT: f64 = 64.0;

/// Width of a character of a name, in bold.
const CHARACTER: f64 = 8.8;

/// Between the baselines of two names.
const LINE: f64 = 15.0;

/// Colours in the style sheet.
const COLOURS: usize = 8;

/// Points beyond which only the line is drawn; the values still show on hover.
const DOTS: usize = 40;

/// How a number becomes a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spacing {
    /// Equal differences.
    Linear,
    /// Equal ratios.
    Log2,
}

/// One axis.
#[derive(Debug)]
pub struct Axis<'a> {
    /// What it counts.
    pub label: &'a str,
    /// How its numbers are written.
    pub format: fn(f64) -> String,
    /// How they are placed.
    pub spacing: Spacing,
    /// Numbers that are marked; `None`: round ones.
    pub ticks: Option<Vec<f64>>,
}

/// One line.
#[derive(Debug)]
pub struct Series {
    /// Name beside its end, in the line's colour; empty: the line is grey and one of many.
    pub name: String,
    /// (x, y), ascending in x.
    pub points: Vec<(f64, f64)>,
    /// What is said of a point on hover; empty: of none.
    pub titles: Vec<String>,
}

/// A chart.
#[derive(Debug)]
pub struct Chart<'a> {
    /// Over it.
    pub title: &'a str,
    /// For those who do not see it.
    pub description: String,
    /// Across.
    pub x: Axis<'a>,
    /// Up.
    pub y: Axis<'a>,
    /// The lines.
    pub series: Vec<Series>,
}

/// From numbers to places.
struct Place {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    spacing: Spacing,
}

impl Place {
    fn of(&self, value: f64) -> f64 {
        let bend = |v: f64| if self.spacing == Spacing::Log2 { v.log2() } else { v };
        let part = (bend(value) - bend(self.low)) / (bend(self.high) - bend(self.low));
        self.from + part * (self.to - self.from)
    }
}

impl Chart<'_> {
    /// A figure with the drawing. The caller sees to it that there is a point.
    pub fn figure(&self) -> String {
        let longest = self.series.iter().map(|s| s.name.chars().count()).max().unwrap_or(0);
        let right = WIDTH - 14.0 - CHARACTER * longest as f64;
        let values = |pick: fn(&(f64, f64)) -> f64| self.series.iter().flat_map(move |s| s.points.iter().map(pick));
        let (x_ticks, x) = axis(&self.x, values(|p| p.0), [LEFT, right], 7);
        let (y_ticks, y) = axis(&self.y, values(|p| p.1), [HEIGHT - BOTTOM, TOP], 5);
        let mut svg = format!(
            "<figure class=\"chart\">\n<figcaption>{}</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
            escape(self.title),
            escape(&self.description)
        );
        let out = &mut svg;
        let (floor, middle) = (HEIGHT - BOTTOM, (LEFT + right) / 2.0);
        for &tick in &y_ticks {
            let at = y.of(tick);
            put(
                out,
                format_args!("<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>"),
            );
            let text = escape(&(self.y.format)(tick));
            put(
                out,
                format_args!(
                    "<text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                    LEFT - 7.0,
                    at + 4.0
                ),
            );
        }
        for &tick in &x_ticks {
            let at = x.of(tick);
            put(
                out,
                format_args!(
                    "<line class=\"axis\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{floor}\" y2=\"{}\"/>",
                    floor + 5.0
                ),
            );
            let text = escape(&(self.x.format)(tick));
            put(
                out,
                format_args!(
                    "<text class=\"tick\" x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>",
                    floor + 18.0
                ),
            );
        }
        put(out, format_args!("<line class=\"axis\" x1=\"{LEFT}\" x2=\"{right:.1}\" y1=\"{floor}\" y2=\"{floor}\"/>"));
        put(
            out,
            format_args!(
                "<text class=\"label\" x=\"{middle:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                HEIGHT - 9.0,
                escape(self.x.label)
            ),
        );
        put(
            out,
            format_args!(
                "<text class=\"label\" transform=\"translate(12 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
                (TOP + floor) / 2.0,
                escape(self.y.label)
            ),
        );
        self.lines(out, &x, &y);
        svg + "</svg>\n</figure>\n"
    }

    fn lines(&self, out: &mut String, x: &Place, y: &Place) {
        let named = |series: &&Series| !series.name.is_empty();
        for series in self.series.iter().filter(|series| !named(series)) {
            line(out, "many", series, x, y);
        }
        for (i, series) in self.series.iter().filter(named).enumerate() {
            line(out, &format!("s{}", i % COLOURS), series, x, y);
        }
        let series: Vec<&Series> = self.series.iter().filter(named).collect();
        let ends: Vec<f64> = series.iter().map(|s| s.points.last().map_or(TOP, |p| y.of(p.1))).collect();
        let at = x.to + 8.0;
        for ((i, series), place) in series.iter().enumerate().zip(apart(&ends)) {
            let (colour, name) = (i % COLOURS, escape(&series.name));
            put(
                out,
                format_args!("<text class=\"name s{colour}\" x=\"{at:.1}\" y=\"{:.1}\">{name}</text>", place + 4.0),
            );
        }
    }
}

/// A line, and its points with what they say on hover.
fn line(out: &mut String, colour: &str, series: &Series, x: &Place, y: &Place) {
    let places: Vec<(f64, f64)> = series.points.iter().map(|&(px, py)| (x.of(px), y.of(py))).collect();
    let path: Vec<String> = places.iter().map(|(px, py)| format!("{px:.1},{py:.1}")).collect();
    put(out, format_args!("<polyline class=\"line {colour}\" points=\"{}\"/>", path.join(" ")));
    let class = if places.len() > DOTS { "hover" } else { "dot" };
    for ((px, py), title) in places.iter().zip(&series.titles) {
        let place = format!("cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"3\"");
        put(out, format_args!("<circle class=\"{class} {colour}\" {place}><title>{}</title></circle>", escape(title)));
    }
}

fn put(out: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(out, "{line}").expect("writing to a string");
}

/// The marks of an axis and its places, with room for all values.
fn axis(axis: &Axis<'_>, values: impl Iterator<Item = f64>, [from, to]: [f64; 2], most: usize) -> (Vec<f64>, Place) {
    let (mut low, mut high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high {
        (low, high) = (0.0, 1.0);
    }
    let ticks = match &axis.ticks {
        Some(ticks) => {
            low = ticks.iter().copied().fold(low, f64::min);
            high = ticks.iter().copied().fold(high, f64::max);
            ticks.clone()
        }
        None => {
            let ticks = round_ticks(low, high, most);
            low = low.min(ticks[0]);
            high = high.max(ticks[ticks.len() - 1]);
            ticks
        }
    };
    if low == high {
        // A single value stands in the middle.
        (low, high) = if axis.spacing == Spacing::Log2 { (low / 2.0, high * 2.0) } else { (low - 0.5, high + 0.5) };
    }
    (ticks, Place { low, high, from, to, spacing: axis.spacing })
}

/// Round numbers, at most about `most`, from at most `low` to at least `high`.
fn round_ticks(low: f64, high: f64, most: usize) -> Vec<f64> {
    let span = if high > low { high - low } else { low.abs().max(1e-3) * 0.1 };
    let rough = span / (most.max(2) - 1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|&s| s >= rough * 0.999).unwrap_or(10.0 * power);
    // In whole steps, so that no error adds up.
    let (first, last) = ((low / step + 1e-9).floor() as i64, (high / step - 1e-9).ceil() as i64);
    (first..=last.max(first + 1)).map(|i| i as f64 * step).collect()
}

/// Whole numbers from `low` to `high`, at most about `most`, both ends among them.
pub fn whole_ticks(low: usize, high: usize, most: usize) -> Vec<f64> {
    let step = (high - low).div_ceil(most.max(1)).max(1);
    let mut ticks: Vec<usize> = (low..=high).step_by(step).collect();
    if let Some(&last) = ticks.last()
        && last != high
    {
        // The end takes the place of a mark that would stand in its way.
        if high - last <= step / 2 {
            ticks.pop();
        }
        ticks.push(high);
    }
    ticks.into_iter().map(|tick| tick as f64).collect()
}

/// Places of names, moved as little as it takes for none to cover another.
fn apart(places: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by(|&a, &b| places[a].total_cmp(&places[b]));
    let mut moved = places.to_vec();
    // Enough rounds for a push to go from one end to the other.
    for _ in 0..=places.len() {
        for pair in order.windows(2) {
            let short = LINE - (moved[pair[1]] - moved[pair[0]]);
            if short > 0.0 {
                moved[pair[0]] -= short / 2.0;
                moved[pair[1]] += short / 2.0;
            }
        }
    }
    // Neither above the drawing nor into the axis.
    let (mut low, mut high) = (TOP, HEIGHT - BOTTOM);
    for &i in &order {
        moved[i] = moved[i].max(low);
        low = moved[i] + LINE;
    }
    for &i in order.iter().rev() {
        moved[i] = moved[i].min(high);
        high = moved[i] - LINE;
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_the_values() {
        assert_eq!(round_ticks(0.13, 0.87, 5), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        for (low, high) in [(0.0, 1.0), (0.901, 0.902), (5.0, 5.0), (0.0, 0.0), (-3.0, 1e6), (1e-9, 2e-9)] {
            let ticks = round_ticks(low, high, 5);
            assert!((2..=8).contains(&ticks.len()), "{low} {high}: {ticks:?}");
            assert!(
                ticks[0] <= low + 1e-9 * low.abs() && ticks[ticks.len() - 1] >= high * (1.0 - 1e-9),
                "{low} {high}: {ticks:?}"
            );
        }
    }

    #[test]
    fn whole_ticks_have_both_ends() {
        assert_eq!(whole_ticks(1, 3, 7), [1.0, 2.0, 3.0]);
        assert_eq!(whole_ticks(1, 1, 7), [1.0]);
        assert_eq!(whole_ticks(1, 16, 7), [1.0, 4.0, 7.0, 10.0, 13.0, 16.0]);
        assert_eq!(whole_ticks(1, 8, 4), [1.0, 3.0, 5.0, 8.0]);
    }

    #[test]
    fn names_do_not_cover_each_other() {
        for places in [vec![100.0, 101.0, 99.0], vec![TOP; 7], vec![HEIGHT - BOTTOM; 7], vec![50.0]] {
            let mut moved = apart(&places);
            moved.sort_by(f64::total_cmp);
            assert!(moved.windows(2).all(|pair| pair[1] - pair[0] > LINE - 0.5), "{places:?}: {moved:?}");
            assert!(moved[0] >= TOP - 1e-9 && moved[moved.len() - 1] <= HEIGHT - BOTTOM + 1e-9, "{moved:?}");
        }
    }
}
