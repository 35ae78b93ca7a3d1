//! Which taps of which strip of outputs meet samples: found once for a layer, not for each plane.

use crate::simd::STRIP;

/// Where a line of samples stands and which outputs are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    /// Elements between the samples of neighbouring taps: 1 along x, the row pitch along y. Along y a whole plane
    /// is one long line, so narrow images lose nothing to ragged row ends.
    pub(super) step: usize,
    /// Samples; each stands for the `step` elements from it on.
    pub(super) samples: usize,
    /// The sample under the centre tap of output 0; output `o` is over sample `centre + o / step`.
    pub(super) centre: isize,
    /// Outputs, in neighbouring elements.
    pub(super) len: usize,
}

/// The same line several times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Rows {
    pub(super) count: usize,
    /// Elements between the outputs of neighbouring lines,
    pub(super) outputs: usize,
    /// and between their samples.
    pub(super) samples: usize,
}

impl Rows {
    /// A single line.
    pub(super) const ONE: Self = Self { count: 1, outputs: 0, samples: 0 };
}

/// The taps of a strip that meet samples, from the first to the last. Those that would read before the
/// first or after the last sample are left out; a strip whose outputs lie in several rows leaves out only what
/// no row needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) low: isize,
    pub(super) high: isize,
    /// Distances 1 … `both` meet samples on both sides of the centre.
    pub(super) both: usize,
    pub(super) centre: bool,
    /// Distances `one.0` … `one.1 − 1` on one side only, at borders:
    pub(super) one: (usize, usize),
    /// after the centre, or before it.
    pub(super) after: bool,
    /// R where all taps −R … R meet samples; else 0.
    pub(super) whole: usize,
}

impl Span {
    /// Of a strip over the samples from `first` to `last`.
    fn new(first: isize, last: isize, samples: usize, radius: usize) -> Self {
        let radius = radius as isize;
        // The last output reads the farthest before, the first output the farthest after.
        let (low, high) = ((-radius).max(-last), radius.min(samples as isize - 1 - first));
        let both = (-low).min(high).max(0);
        let after = high > -low;
        let (near, far) = if after { (low, high) } else { (-high, -low) };
        let one = if far > both { (near.max(both + 1) as usize, far as usize + 1) } else { (0, 0) };
        let whole = if (low, high) == (-radius, radius) { radius as usize } else { 0 };
        Self { low, high, both: both as usize, centre: low <= 0 && high >= 0, one, after, whole }
    }
}

/// Strips with the same span.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) span: Span,
    /// First output of the first strip,
    pub(super) output: usize,
    /// and the element under its centre tap, relative to sample 0.
    pub(super) element: isize,
    pub(super) strips: usize,
}

/// How the strips of a plan go in pairs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pairs {
    /// Rows that are done at a time.
    pub(super) rows: usize,
    /// Outputs, and elements, from one strip of a pair to the other.
    pub(super) beside: [usize; 2],
    /// Outputs, and elements, from pair to pair of a run.
    pub(super) jump: usize,
    /// 1 where both strips of a pair are from the run, so that one may be left; else 0.
    pub(super) single: usize,
}

/// The strips of a line, or of several.
#[derive(Debug, Default)]
pub(super) struct Plan {
    of: Option<(Line, Rows, usize)>,
    runs: Vec<Run>,
    /// Outputs, and elements, from strip to strip of a run.
    advance: usize,
    rows: Rows,
    /// The elements that are read, from the first to one past the last.
    read: (isize, isize),
    /// First output of the last strip.
    last: usize,
    step: usize,
}

/// Plans that are kept at a time: channels with filters of their own have few different radii.
const KEPT: usize = 16;

/// The plans of a half of a pass; one, unless channels have filters of their own.
#[derive(Debug, Default)]
pub(super) struct Plans {
    kept: Vec<Plan>,
    /// The one to make anew when there are [`KEPT`].
    oldest: usize,
}

impl Plans {
    /// The plan of `line` under taps of `radius`, `rows` times.
    #[inline(always)]
    pub(super) fn of(&mut self, line: Line, rows: Rows, radius: usize) -> &Plan {
        let wanted = Some((line, rows, radius));
        let place = match self.kept.iter().position(|plan| plan.of == wanted) {
            Some(place) => place,
            None => self.make(line, rows, radius),
        };
        &self.kept[place]
    }

    #[inline(never)]
    fn make(&mut self, line: Line, rows: Rows, radius: usize) -> usize {
        let place = if self.kept.len() < KEPT { self.kept.len() } else { self.oldest };
        if place == self.kept.len() {
            self.kept.push(Plan::default());
        }
        self.kept[place].make(line, rows, radius);
        self.oldest = (place + 1) % KEPT;
        place
    }
}

impl Plan {
    fn make(&mut self, line: Line, rows: Rows, radius: usize) {
        let Line { step, samples, centre, len } = line;
        self.of = Some((line, rows, radius));
        (self.step, self.advance, self.rows) = (step, STRIP, rows);
        self.runs.clear();
        let element = |o: usize| centre * step as isize + o as isize;
        // The samples under the first and the last output of a strip.
        let over = |o: usize| (centre + (o / step) as isize, centre + ((o + STRIP - 1) / step) as isize);
        let mut firsts = 0..len;
        if step.is_multiple_of(STRIP) && rows.count == 1 && len > 0 {
            // Down one column of strips and then down the next: the rows that a strip reads are those that the
            // strip above has read, and stay in the first-level cache.
            self.advance = step;
            self.rows = Rows { count: step.min(len) / STRIP, outputs: STRIP, samples: STRIP };
            firsts = 0..len - step.min(len) + 1;
        }
        for output in firsts.step_by(self.advance) {
            let (first, last) = over(output);
            let span = Span::new(first, last, samples, radius);
            match self.runs.last_mut() {
                Some(run) if run.span == span => run.strips += 1,
                _ => self.runs.push(Run { span, output, element: element(output), strips: 1 }),
            }
        }
        let rows = self.rows;
        self.read = (0, 0);
        self.last = 0;
        for run in &self.runs {
            let further = (run.strips - 1) * self.advance;
            let all = (rows.count - 1) * rows.samples + further + STRIP;
            if run.span.low <= run.span.high {
                let (low, high) = (run.span.low * step as isize, run.span.high * step as isize);
                self.read.0 = self.read.0.min(run.element + low);
                self.read.1 = self.read.1.max(run.element + high + all as isize);
            }
            self.last = self.last.max(run.output + further + (rows.count - 1) * rows.outputs);
        }
    }

    /// Elements between the samples of neighbouring taps.
    #[inline(always)]
    pub(super) fn step(&self) -> usize {
        self.step
    }

    /// How strips are filtered two at a time. Those of neighbouring rows have the same taps everywhere, those of a run only
    /// where it has two; but what is written past a row's end must not be a row that is written already.
    #[inline(always)]
    pub(super) fn pairs(&self) -> Pairs {
        let Rows { count, outputs, samples } = self.rows;
        match count.is_multiple_of(2) && outputs.is_multiple_of(STRIP) {
            true => Pairs { rows: 2, beside: [outputs, samples], jump: self.advance, single: 0 },
            false => Pairs { rows: 1, beside: [self.advance; 2], jump: 2 * self.advance, single: 1 },
        }
    }

    /// First output of the last strip, or nothing where there are no outputs.
    #[inline(always)]
    pub(super) fn last(&self) -> Option<usize> {
        (!self.runs.is_empty()).then_some(self.last)
    }

    /// Checks that every element that a filter reads is inside a slice of `available` elements, where
    /// sample 0 stands at `origin`.
    #[inline(always)]
    pub(super) fn check(&self, origin: usize, available: usize) {
        let (from, to) = self.read;
        assert!(
            origin as isize + from >= 0 && origin as isize + to <= available as isize,
            "a line without its margins"
        );
    }

    /// For [`for_strips`].
    #[inline(always)]
    pub(super) fn parts(&self) -> (Rows, &[Run], usize) {
        (self.rows, &self.runs, self.advance)
    }
}

/// For every strip of `$plan`: the first output `$output`, the element `$element` under its centre tap, and its
/// taps `$span`. A macro, because the body must become part of the function that carries the target
/// features, which a closure need not.
///
/// With `$pairs`, two strips with the same taps at a time where there are two, of neighbouring rows or of a run, with
/// `$beside[0]` outputs and `$beside[1]` elements from one to the other; `$STRIPS` is 2 then and 1 for what is left, a constant.
macro_rules! for_strips {
    ($plan:expr, $pairs:expr, |$output:ident, $element:ident, $span:ident, $STRIPS:ident, $beside:ident| $body:expr) => {{
        let (rows, runs, advance) = $plan.parts();
        let pairs = $plan.pairs();
        let $beside = pairs.beside;
        for row in (0..rows.count).step_by(if $pairs { pairs.rows } else { 1 }) {
            for run in runs {
                let mut $output = run.output + row * rows.outputs;
                let mut $element = run.element + (row * rows.samples) as isize;
                let $span = &run.span;
                let mut left = run.strips;
                if $pairs {
                    for _ in 0..left >> pairs.single {
                        {
                            const $STRIPS: usize = 2;
                            $body;
                        }
                        $output += pairs.jump;
                        $element += pairs.jump as isize;
                    }
                    left &= pairs.single;
                }
                for _ in 0..left {
                    {
                        const $STRIPS: usize = 1;
                        $body;
                    }
                    $output += advance;
                    $element += advance as isize;
                }
            }
        }
    }};
}
pub(super) use for_strips;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The taps within `radius` that meet a sample of `line` for some output of the strip at `output`.
    fn met(line: Line, radius: isize, output: usize) -> Vec<isize> {
        let over = |o: usize| line.centre + (o / line.step) as isize;
        let inside = |t: isize, o: usize| (0..line.samples as isize).contains(&(over(o) + t));
        (-radius..=radius).filter(|&t| (output..output + STRIP).any(|o| inside(t, o))).collect()
    }

    proptest! {
        /// Every output once, every tap that meets a sample, none twice, and nothing read but what `check` admits.
        #[test]
        fn strips_cover_a_line(
            step in prop::sample::select(vec![1usize, 2, 7, 16, 28, 32, 64]),
            samples in 1usize..40,
            centre in -20isize..40,
            rows in 1usize..40,
            radius in 0usize..20,
        ) {
            let line = Line { step, samples, centre, len: rows * step };
            let mut plans = Plans::default();
            let plan = plans.of(line, Rows::ONE, radius);
            let mut outputs = Vec::new();
            let (mut from, mut to) = (0, 0);
            for_strips!(plan, false, |output, element, span, STRIPS, _beside| {
                assert_eq!(STRIPS, 1);
                outputs.push(output);
                assert_eq!(element, centre * step as isize + output as isize);
                let mut taps: Vec<isize> = if span.centre { vec![0] } else { Vec::new() };
                taps.extend((1..=span.both as isize).flat_map(|t| [-t, t]));
                taps.extend((span.one.0..span.one.1).map(|t| if span.after { t as isize } else { -(t as isize) }));
                taps.sort_unstable();
                let expected = met(line, radius as isize, output);
                assert!(expected.iter().all(|t| taps.contains(t)), "{taps:?} {expected:?} {span:?}");
                assert_eq!(&taps, &(span.low..=span.high).collect::<Vec<_>>());
                if let (Some(first), Some(last)) = (taps.first(), taps.last()) {
                    from = from.min(element + first * step as isize);
                    to = to.max(element + last * step as isize + STRIP as isize);
                }
            });
            outputs.sort_unstable();
            assert_eq!(outputs, (0..line.len).step_by(STRIP).collect::<Vec<_>>());
            assert_eq!(plan.read, (from, to));
            assert_eq!(plan.last(), outputs.last().copied());
            // No strip reads further than this beyond the samples.
            assert!(from >= -(STRIP as isize) && to <= (samples * step + STRIP) as isize);
        }

        /// By pairs the same strips as one by one, with the same taps; and no row is begun before the one above it is done,
        /// unless rows end where strips do.
        #[test]
        fn pairs_are_the_same_strips(
            (step, samples) in prop_oneof![(Just(1usize), 1usize..80), (prop::sample::select(vec![7usize, 16, 32, 48]), 1usize..20)],
            rows in 1usize..7,
            pitch in prop::sample::select(vec![80usize, 84, 96]),
            radius in 0usize..20,
        ) {
            let line = Line { step, samples, centre: 0, len: samples * step };
            let rows = if step == 1 { Rows { count: rows, outputs: pitch, samples: 112 } } else { Rows::ONE };
            let mut plans = Plans::default();
            let plan = plans.of(line, rows, radius);
            let (mut singles, mut strips) = (Vec::new(), Vec::new());
            for_strips!(plan, false, |o, element, span, _STRIPS, _beside| singles.push((o, element, *span)));
            for_strips!(plan, true, |o, element, span, STRIPS, beside| {
                strips.extend((0..STRIPS).map(|s| (o + s * beside[0], element + (s * beside[1]) as isize, *span)));
            });
            if step == 1 && !pitch.is_multiple_of(STRIP) {
                assert!(strips.windows(2).all(|pair| pair[0].0 < pair[1].0));
            }
            singles.sort_unstable_by_key(|strip| strip.0);
            strips.sort_unstable_by_key(|strip| strip.0);
            assert_eq!(strips, singles);
        }

        #[test]
        fn rows_repeat_a_line(samples in 1usize..40, rows in 1usize..5, radius in 0usize..20) {
            let line = Line { step: 1, samples, centre: 0, len: samples };
            let mut plans = Plans::default();
            let repeated = Rows { count: rows, outputs: 100, samples: 50 };
            let mut outputs = Vec::new();
            let plan = plans.of(line, repeated, radius);
            for_strips!(plan, false, |output, element, _span, _STRIPS, _beside| outputs.push((output, element)));
            let one = (0..samples).step_by(STRIP);
            let expected = (0..rows).flat_map(|r| one.clone().map(move |o| (r * 100 + o, (r * 50 + o) as isize)));
            assert_eq!(outputs, expected.collect::<Vec<_>>());
        }
    }
}
