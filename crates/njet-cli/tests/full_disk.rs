//! A disk that refuses to take more: what is there stays whole, nothing is half-written, and the run can go on.
//!
//! The disk is played by a limit on the size of a file. With its signal ignored, a write beyond it fails
//! with an error, as on a full disk.
#![cfg(unix)]

mod command;

use command::{Outcome, Place};
use std::fs;
use std::process::Command;

const TRAIN: &str = "train --data data --epochs 2 --batch-size 16 --out run --json";

/// Runs the command where no file can grow beyond `limit` blocks of 512 bytes.
fn confined(place: &Place, limit: u32, arguments: &str) -> Outcome {
    let inner = place.command(arguments);
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" \"$@\""));
    shell.arg(inner.get_program()).args(inner.get_args());
    shell.current_dir(inner.get_current_dir().unwrap());
    Outcome::of(shell.output().unwrap())
}

/// Trains under the limit, which breaks at `file`; then goes on without it, to what it would have come to.
#[track_caller]
fn breaks_at(limit: u32, file: &str, epochs: usize) {
    let place = Place::with_data();
    let words = [&format!("cannot write run/{file}: "), "go on with `njet train --resume run`"];
    confined(&place, limit, TRAIN).refused(1, &words);
    place.nothing_half_written();
    assert_eq!(place.metrics("run").len(), epochs);
    let config = fs::read_to_string(place.path("run/config.toml")).unwrap();

    let resumed = place.run("train --resume run --json").done().json();
    let whole = place.run(&TRAIN.replace("--out run", "--out whole")).done().json();
    for key in ["parameters", "best_epoch", "val_accuracy", "test_accuracy", "sigma"] {
        assert_eq!(resumed[key], whole[key], "{key}");
    }
    assert_eq!(config, fs::read_to_string(place.path("whole/config.toml")).unwrap());
}

#[test]
fn no_room_for_the_settings() {
    let place = Place::with_data();
    let before = place.files();
    confined(&place, 0, TRAIN).refused(1, &["cannot write run/config.toml: ", "another directory with `--out`"]);
    assert_eq!(place.files(), before);
}

#[test]
fn no_room_for_the_model() {
    breaks_at(8, "model.safetensors", 0);
}

#[test]
fn no_room_for_a_checkpoint() {
    // model.safetensors and model.bpk take 0.2 MB, the optimiser's moments twice that.
    breaks_at(600, "checkpoints/unfinished/optimizer.bpk", 0);
}

#[test]
fn no_room_for_the_metrics() {
    let place = Place::with_run();
    let before = place.files();
    // The run is finished: all that is written on going on is metrics.jsonl, which is longer than a block.
    let outcome = confined(&place, 1, "train --resume run");
    outcome.refused(1, &["cannot write run/metrics.jsonl: ", "go on with `njet train --resume run`"]);
    assert_eq!(place.files(), before);
}
