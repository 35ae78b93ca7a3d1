//! How a run goes, for people: a line that is rewritten on a terminal, plain lines elsewhere.

use crate::table::grouped;
use njet::data::Watch;
use njet::experiments::{Ending, Place, Watcher};
use njet::layer::{Bound, SigmaBounds};
use njet::training::{BoundScale, EpochRecord, Observer, Progress, Start};
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two rewritings of the line.
const REDRAW: Duration = Duration::from_millis(100);

/// Between two plain lines where the output is no terminal: a log, not a flood.
const PLAIN: Duration = Duration::from_secs(10);

/// The most layers whose σ are shown one by one.
const MOST_SCALES: usize = 9;

/// Writes to standard error.
#[derive(Debug)]
pub struct Display {
    terminal: bool,
    last: Instant,
    epochs: usize,
}

impl Display {
    /// For the standard error of this process.
    pub fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), last: Instant::now(), epochs: 0 }
    }

    fn clear(&self) {
        if self.terminal {
            write("\r\x1b[K");
        }
    }
}

fn write(text: &str) {
    // Whoever closed standard error does not want to know.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

impl Observer for Display {
    fn started(&mut self, start: &Start<'_>) {
        self.epochs = start.epochs;
        let [train, validation, test] = start.images.map(|n| grouped(n as u64));
        write(&format!(
            "{} with {} layers, {} parameters, on {}: {train} images to train, {validation} to validate, {test} to test\n",
            start.arch,
            start.layer,
            grouped(start.parameters as u64),
            start.source,
        ));
        if start.done > 0 {
            write(&format!("going on after epoch {} of {}\n", start.done, start.epochs));
        }
    }

    fn stepped(&mut self, progress: &Progress) {
        if self.last.elapsed() < if self.terminal { REDRAW } else { PLAIN } {
            return;
        }
        self.last = Instant::now();
        let line = format!(
            "epoch {}/{}  {:>3.0} %  loss {:.3}  accuracy {:.1} %  {:.0} images/s  {} left",
            progress.epoch,
            progress.epochs,
            100.0 * progress.images as f64 / progress.images_per_epoch as f64,
            progress.loss,
            100.0 * progress.accuracy,
            progress.images_per_second,
            duration(progress.seconds_left),
        );
        self.clear();
        write(&line);
        if !self.terminal {
            write("\n");
        }
    }

    fn epoch_ended(&mut self, record: &EpochRecord, best: bool) {
        self.clear();
        write(&format!(
            "epoch {:>2}/{}  loss {:.3}  train {:.1} %  validation {:.1} %{}{}  {:.1} s{}\n",
            record.epoch,
            self.epochs,
            record.train_loss,
            100.0 * record.train_accuracy,
            100.0 * record.val_accuracy,
            record.val_miou.map_or(String::new(), |miou| format!("  mIoU {miou:.3}")),
            if best { " (best)" } else { "" },
            record.seconds,
            waiting(record.waiting),
        ));
        if !record.sigma.is_empty() {
            write(&format!("    {}\n", scales(record)));
        }
    }

    fn at_bounds(&mut self, _epoch: usize, scales: &[BoundScale]) {
        write(&format!("{}\n", at_bounds(scales)));
    }
}

/// What is said of scales at their bounds: a few by name, and what to do.
fn at_bounds(scales: &[BoundScale]) -> String {
    const NAMED: usize = 3;
    let name = |scale: &BoundScale| {
        let end = if scale.scale.bound == Bound::Upper { "upper" } else { "lower" };
        format!("{} at its {end} bound ({:.3} px)", scale.layer, scale.scale.sigma)
    };
    let mut text: Vec<String> = scales.iter().take(NAMED).map(name).collect();
    if scales.len() > NAMED {
        text.push(format!("and {} more", scales.len() - NAMED));
    }
    let SigmaBounds { min, max } = scales[0].bounds;
    let wider = if scales[0].scale.bound == Bound::Upper {
        format!("{min},{}", 2.0 * max)
    } else {
        format!("{},{max}", 0.5 * min)
    };
    format!(
        "    σ: {}; let it go on with --sigma-bounds {wider}, or hold it back with --sigma-prior 0.01",
        text.join(", ")
    )
}

/// The runs of a table on standard error: one line a run, rewritten on a terminal.
#[derive(Debug)]
pub struct Session {
    terminal: bool,
    start: Instant,
    last: Instant,
    /// What is said of the present run: its place and what it is.
    name: String,
    /// Images times epochs of the runs before the present one in this session.
    before: usize,
    /// Of the present run.
    present: usize,
    /// Of the runs after it.
    after: usize,
    /// Images times epochs that the present run had done before this session.
    skipped: usize,
}

impl Session {
    /// For the standard error of this process.
    pub fn new() -> Self {
        let now = Instant::now();
        let terminal = std::io::stderr().is_terminal();
        Self { terminal, start: now, last: now, name: String::new(), before: 0, present: 0, after: 0, skipped: 0 }
    }

    fn clear(&self) {
        if self.terminal {
            write("\r\x1b[K");
        }
    }
}

impl Watcher for Session {
    fn cell(&mut self, place: &Place<'_>) {
        self.before += self.present.saturating_sub(self.skipped);
        (self.present, self.after, self.skipped) =
            (if place.finished { 0 } else { place.images }, place.images_after, 0);
        self.name = format!("{}/{}  {}", place.number, place.of, place.label);
        if self.terminal {
            write(&format!("\r\x1b[K{}", self.name));
        }
    }

    fn cell_ended(&mut self, place: &Place<'_>, ending: &Ending) {
        let &Ending { what, score, seconds } = ending;
        let time = if place.finished { "is there".to_owned() } else { duration(seconds) };
        self.clear();
        write(&format!("{}  {what} {:.2} %  {time}\n", self.name, 100.0 * score));
    }
}

impl Observer for Session {
    fn started(&mut self, start: &Start<'_>) {
        self.skipped = self.present / start.epochs * start.done;
    }

    fn stepped(&mut self, progress: &Progress) {
        if self.last.elapsed() < if self.terminal { REDRAW } else { PLAIN } {
            return;
        }
        self.last = Instant::now();
        let epochs = progress.epoch as f64 - 1.0 + progress.images as f64 / progress.images_per_epoch as f64;
        let done = self.present as f64 * epochs / progress.epochs as f64;
        let rate = (self.before as f64 + done - self.skipped as f64) / self.start.elapsed().as_secs_f64();
        let left = (self.present as f64 - done + self.after as f64) / rate.max(1e-9);
        let line = format!(
            "{}  epoch {}/{}  loss {:.3}  about {} left",
            self.name,
            progress.epoch,
            progress.epochs,
            progress.loss,
            duration(left)
        );
        self.clear();
        write(&line);
        if !self.terminal {
            write("\n");
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.terminal {
            write("\r\x1b[K");
        }
    }
}

/// How far a list of pieces of work is, on standard error.
#[derive(Debug)]
pub struct Pieces {
    terminal: bool,
    start: Instant,
    last: Option<Instant>,
    done: usize,
    all: usize,
}

impl Pieces {
    /// For `all` pieces, of which none is done.
    pub fn new(all: usize) -> Self {
        Self { terminal: std::io::stderr().is_terminal(), start: Instant::now(), last: None, done: 0, all }
    }

    /// Says which piece begins. The time left is that of pieces as long as those before.
    pub fn begin(&mut self, what: &str) {
        let number = self.done + 1;
        let left = match self.done {
            0 => String::new(),
            done => {
                let each = self.start.elapsed().as_secs_f64() / done as f64;
                format!("  about {} left", duration(each * (self.all - done) as f64))
            }
        };
        self.done += 1;
        if self.terminal {
            write(&format!("\r\x1b[K{number}/{}  {what}{left}", self.all));
        } else if self.last.is_none_or(|last| last.elapsed() >= PLAIN) {
            self.last = Some(Instant::now());
            crate::say(format_args!("{number}/{}  {what}{left}", self.all));
        }
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        if self.terminal {
            write("\r\x1b[K");
        }
    }
}

/// Before work says how far it is: what is done sooner needs no progress.
const PATIENCE: Duration = Duration::from_secs(2);

/// How far a piece of work of known size is, on standard error, once it takes more than two seconds.
#[derive(Debug)]
pub struct Meter {
    terminal: bool,
    start: Instant,
    last: Option<Instant>,
    done: f64,
    all: f64,
}

impl Meter {
    /// For `all` units of work, of which none is done.
    pub fn new(all: f64) -> Self {
        Self { terminal: std::io::stderr().is_terminal(), start: Instant::now(), last: None, done: 0.0, all }
    }

    /// Units that are done.
    pub fn done(&self) -> f64 {
        self.done
    }

    /// So many units are done, the last of them at `what`.
    pub fn reach(&mut self, done: f64, what: &str) {
        self.done = done;
        let elapsed = self.start.elapsed();
        let pause = if self.terminal { REDRAW } else { PLAIN };
        if elapsed < PATIENCE || self.last.is_some_and(|last| last.elapsed() < pause) {
            return;
        }
        self.last = Some(Instant::now());
        let part = (done / self.all).clamp(1e-9, 1.0);
        let left = duration(elapsed.as_secs_f64() * (1.0 - part) / part);
        let line = format!("{:>3.0} %  {what}  about {left} left", 100.0 * part);
        if self.terminal {
            write(&format!("\r\x1b[K{line}"));
        } else {
            crate::say(format_args!("{line}"));
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if self.terminal && self.last.is_some() {
            write("\r\x1b[K");
        }
    }
}

/// Does work whose parts are told as they are done, on any thread; how far it is is said of `what`.
pub fn watched<T>(what: &str, work: impl FnOnce(Watch<'_>) -> T) -> T {
    let meter: Mutex<Option<Meter>> = Mutex::new(None);
    let start = Instant::now();
    work(&|done, all| {
        // A thread that panicked has not harmed the meter.
        let mut meter = meter.lock().unwrap_or_else(PoisonError::into_inner);
        let meter = meter.get_or_insert_with(|| Meter { start, ..Meter::new(all as f64) });
        // Threads may tell of their work in another order than that in which it was done.
        if done as f64 > meter.done() {
            meter.reach(done as f64, what);
        }
    })
}

/// Part of an epoch spent waiting for images that is worth a word.
const LONG_WAIT: f64 = 0.05;

/// What is said of a wait, if anything.
fn waiting(part: f64) -> String {
    if part > LONG_WAIT { format!("  ({:.0} % of it waiting for images)", 100.0 * part) } else { String::new() }
}

/// `σ  layer1 1.21 (11×11)  layer2 …`, or the range where the layers are many.
fn scales(record: &EpochRecord) -> String {
    if record.sigma.len() > MOST_SCALES {
        let mut sigmas: Vec<f64> = record.sigma.values().flatten().copied().collect();
        sigmas.sort_by(f64::total_cmp);
        let (least, most, median) = (sigmas[0], sigmas[sigmas.len() - 1], sigmas[sigmas.len() / 2]);
        return format!("σ  {least:.3} to {most:.3}, median {median:.3}, in {} layers", record.sigma.len());
    }
    let mut line = String::from("σ");
    for (layer, sigmas) in &record.sigma {
        let kernel = record.kernel.get(layer).map_or(String::new(), |[h, w]| format!(" ({h}×{w})"));
        line += &format!("  {layer} {}{kernel}", sigma_range(sigmas));
    }
    line
}

/// A few scales one by one, many by the smallest and the largest.
pub fn sigma_range(sigmas: &[f64]) -> String {
    const FEW: usize = 2;
    if sigmas.len() <= FEW {
        return sigmas.iter().map(|s| format!("{s:.3}")).collect::<Vec<_>>().join(" ");
    }
    let least = sigmas.iter().copied().fold(f64::INFINITY, f64::min);
    let most = sigmas.iter().copied().fold(0.0, f64::max);
    format!("{least:.3} to {most:.3}")
}

/// `45 s`, `3 min 05 s`, `2 h 10 min`.
pub fn duration(seconds: f64) -> String {
    let s = seconds.round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_waits_are_told() {
        assert_eq!([0.0, 0.05, 0.123].map(waiting), ["", "", "  (12 % of it waiting for images)"]);
    }

    #[test]
    fn durations() {
        assert_eq!([0.4, 59.4, 65.0, 7830.0].map(duration), ["0 s", "59 s", "1 min 05 s", "2 h 10 min"]);
    }
}
