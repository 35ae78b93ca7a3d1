//! The same run again, and the same run with interruptions, come to the same bits.

mod command;

use command::{Place, truncate};
use safetensors::SafeTensors;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

/// What must not depend on how often a run was interrupted.
#[derive(Debug, PartialEq)]
struct Ending {
    metrics: Vec<Value>,
    result: Value,
    /// Bytes of every tensor of the best model.
    tensors: BTreeMap<String, Vec<u8>>,
}

/// The times are the machine's, and the names of the directories the tests'.
fn without(mut value: Value, keys: &[&str]) -> Value {
    keys.iter().for_each(|key| drop(value.as_object_mut().unwrap().remove(*key)));
    value
}

fn ending(place: &Place, run: &str, printed: Value) -> Ending {
    let file = fs::read(place.path(run).join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&file).unwrap();
    Ending {
        metrics: place.metrics(run).into_iter().map(|line| without(line, &["seconds", "waiting"])).collect(),
        result: without(printed, &["seconds", "run"]),
        tensors: tensors.iter().map(|(name, tensor)| (name.to_owned(), tensor.data().to_vec())).collect(),
    }
}

fn train(place: &Place, run: &str, settings: &str) -> Ending {
    let printed = place.run(&format!("train --data data --out {run} {settings} --json")).done().json();
    ending(place, run, printed)
}

const SMALL: &str = "--epochs 8 --batch-size 4";
/// Has dropout, whose draws must come again as well.
const NIN: &str = "--arch nin --limit 24 --epochs 5 --batch-size 4";

#[test]
fn a_seed_decides_a_run() {
    let place = Place::with_data();
    let settings = "--epochs 3 --batch-size 16";
    let first = train(&place, "first", settings);
    assert_eq!(first, train(&place, "second", settings));
    let model = |run: &str| fs::read(place.path(run).join("model.safetensors")).unwrap();
    assert!(model("first") == model("second"), "the files of the models differ");

    let other = train(&place, "other", &format!("{settings} --seed 2"));
    assert_ne!(first.metrics, other.metrics);
    assert_ne!(first.tensors, other.tensors);
}

#[test]
fn sgd_repeats_too() {
    let place = Place::with_data();
    let settings = "--arch nin --limit 24 --epochs 2 --batch-size 8 --optimizer sgd";
    assert_eq!(train(&place, "first", settings), train(&place, "second", settings));
}

/// Kills a run again and again, later each time, until it has time to end; returns how often it was
/// killed and how often a finished epoch was there to go on from.
fn killed_until_it_ends(place: &Place, run: &str, settings: &str) -> (Ending, usize, usize) {
    let (mut killed, mut resumed) = (0, 0);
    let mut patience = Duration::from_millis(40);
    loop {
        let start = if place.path(run).join("config.toml").exists() {
            format!("train --resume {run} --json")
        } else {
            format!("train --data data --out {run} {settings} --json")
        };
        let mut command = place.command(&start);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(patience);
        let over = child.try_wait().unwrap().is_some();
        if !over {
            child.kill().unwrap();
        }
        let outcome = command::Outcome::of(child.wait_with_output().unwrap());
        resumed += usize::from(outcome.stderr.contains("going on after epoch"));
        if over {
            return (ending(place, run, outcome.done().json()), killed, resumed);
        }
        killed += 1;
        patience = patience * 5 / 4;
        assert!(patience < Duration::from_secs(30), "the run does not get on: {}", outcome.stderr);
    }
}

#[track_caller]
fn survives_kills(settings: &str) {
    let place = Place::with_data();
    let whole = train(&place, "whole", settings);
    let (interrupted, killed, resumed) = killed_until_it_ends(&place, "interrupted", settings);
    assert!(killed >= 3, "killed only {killed} times: the run is too short");
    assert!(resumed >= 1, "never resumed from a checkpoint");
    assert_eq!(interrupted, whole);
    place.nothing_half_written();
}

#[test]
fn killed_runs_come_to_the_same() {
    survives_kills(SMALL);
}

#[test]
fn killed_runs_with_dropout_come_to_the_same() {
    survives_kills(NIN);
}

/// What a kill in the middle of saving leaves behind, made by hand.
#[test]
fn leftovers_are_passed_over() {
    let place = Place::with_data();
    let settings = "--epochs 3 --batch-size 16";
    let whole = train(&place, "whole", settings);
    train(&place, "run", settings);
    let checkpoints = place.path("run/checkpoints");
    fs::rename(checkpoints.join("epoch-0003"), checkpoints.join("unfinished")).unwrap();
    truncate(&checkpoints.join("unfinished/optimizer.bpk"), 1000);
    fs::remove_file(checkpoints.join("unfinished/state.json")).unwrap();
    fs::write(place.path("run/metrics.jsonl.tmp"), "{\"epoch\":1,").unwrap();
    fs::write(place.path("run/model.safetensors.tmp"), "half").unwrap();
    let outcome = place.run("train --resume run --json").done();
    assert!(outcome.stderr.contains("going on after epoch 2 of 3"), "{}", outcome.stderr);
    assert_eq!(ending(&place, "run", outcome.json()), whole);
}

/// Killed while the settings were written: nothing is there yet to resume, and the name is free.
#[test]
fn settings_cut_off() {
    let place = Place::with_data();
    fs::create_dir(place.path("run")).unwrap();
    fs::write(place.path("run/config.toml.tmp"), "task = ").unwrap();
    place.run("train --data data --epochs 1 --out run").done();
    place.nothing_half_written();
}

#[test]
fn a_finished_run_tells_its_result_again() {
    let place = Place::with_data();
    let settings = "--data data --epochs 12 --batch-size 32 --out run --json";
    let first = place.run(&format!("train {settings}")).done();
    let before = place.files();
    let second = place.run("train --resume run --json").done();
    assert_eq!(first.stdout, second.stdout);
    // The metrics are written anew, to the last digit as they were.
    assert_eq!(place.files(), before);
}

/// The settings name the data by its full path.
#[test]
fn a_run_is_resumed_from_anywhere() {
    let place = Place::with_run();
    fs::create_dir(place.path("elsewhere")).unwrap();
    let mut command = place.command("train --resume ../run --json");
    let output = command.current_dir(place.path("elsewhere")).output().unwrap();
    command::Outcome::of(output).done();
}
