//! A run from end to end: what it prints, what it writes, what the other commands make of it.

mod command;

use command::{Outcome, Place};
use serde_json::{Value, json};
use std::fs;

/// Names of what a directory holds, ascending.
fn names(place: &Place, directory: &str) -> Vec<String> {
    let entries = fs::read_dir(place.path(directory)).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[track_caller]
fn has_keys(value: &Value, wanted: &[&str]) {
    for key in wanted {
        assert!(keys(value).contains(key), "no {key} in {value}");
    }
}

#[track_caller]
fn is_fraction(value: &Value) {
    let number = value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    assert!((0.0..=1.0).contains(&number), "{number}");
}

#[test]
fn a_run_has_its_files() {
    let place = Place::with_data();
    place.run("train --data data --epochs 3 --batch-size 16 --out deep/down/run").done();
    assert_eq!(names(&place, "deep/down/run"), ["checkpoints", "config.toml", "metrics.jsonl", "model.safetensors"]);
    assert_eq!(names(&place, "deep/down/run/checkpoints"), ["epoch-0002", "epoch-0003"]);
    assert_eq!(names(&place, "deep/down/run/checkpoints/epoch-0003"), ["model.bpk", "optimizer.bpk", "state.json"]);
    place.nothing_half_written();
}

#[test]
fn metrics_have_a_line_for_each_epoch() {
    let place = Place::with_data();
    place.run("train --data data --epochs 3 --batch-size 16 --out run").done();
    let metrics = place.metrics("run");
    assert_eq!(metrics.len(), 3);
    for (line, epoch) in metrics.iter().zip(1..) {
        assert_eq!(line["epoch"], epoch);
        has_keys(line, &["train_loss", "train_accuracy", "val_loss", "val_accuracy", "sigma", "kernel", "seconds"]);
        is_fraction(&line["waiting"]);
        is_fraction(&line["train_accuracy"]);
        is_fraction(&line["val_accuracy"]);
        assert!(line["seconds"].as_f64().unwrap() > 0.0);
        assert_eq!(keys(&line["sigma"]), ["layer1", "layer2", "layer3"]);
        for layer in keys(&line["sigma"]) {
            // R = ceil(4σ + ½), written out again.
            let radius = (4.0 * line["sigma"][layer][0].as_f64().unwrap() + 0.5).ceil();
            assert_eq!(line["kernel"][layer][0].as_f64().unwrap(), 2.0 * radius + 1.0, "{line}");
        }
    }
    let losses: Vec<f64> = metrics.iter().map(|line| line["train_loss"].as_f64().unwrap()).collect();
    assert!(losses[2] < losses[0], "nothing was learned: {losses:?}");
}

#[test]
fn the_result_is_one_json_object() {
    let place = Place::with_data();
    let outcome = place.run("train --data data --epochs 3 --batch-size 16 --out run --json").done();
    assert_eq!(outcome.stdout.lines().count(), 1, "{}", outcome.stdout);
    let result = outcome.json();
    has_keys(
        &result,
        &[
            "run",
            "task",
            "arch",
            "layer",
            "parameters",
            "epochs",
            "best_epoch",
            "val_accuracy",
            "test_accuracy",
            "sigma",
            "seconds",
        ],
    );
    let wanted = json!(["run", "classify", "njet-small", "njet", 3]);
    assert_eq!(json!([result["run"], result["task"], result["arch"], result["layer"], result["epochs"]]), wanted);
    is_fraction(&result["test_accuracy"]);

    // The best epoch is the first with the best validation accuracy, and its model is the one that is kept.
    let metrics = place.metrics("run");
    let accuracy = |line: &Value| line["val_accuracy"].as_f64().unwrap();
    let best = metrics.iter().rev().max_by(|a, b| accuracy(a).total_cmp(&accuracy(b))).unwrap();
    assert_eq!(result["best_epoch"], best["epoch"]);
    assert_eq!(result["val_accuracy"], best["val_accuracy"]);
    assert_eq!(result["sigma"], best["sigma"]);
}

#[test]
fn eval_agrees_with_train() {
    let place = Place::with_data();
    let trained = place.run("train --data data --epochs 4 --batch-size 16 --out run --json").done().json();
    let evaluated = place.run("eval run --json").done().json();
    has_keys(&evaluated, &["count", "loss", "accuracy"]);
    assert_eq!(evaluated["count"], 30);
    assert_eq!(evaluated["accuracy"], trained["test_accuracy"]);
    let text = place.run("eval run").done().stdout;
    assert!(text.contains("accuracy") && text.contains("30 test images"), "{text}");
}

#[test]
fn inspect_describes_the_model() {
    let place = Place::with_data();
    let trained = place.run("train --data data --epochs 2 --batch-size 16 --out run --json").done().json();
    let described = place.run("inspect run --json").done().json();
    has_keys(&described, &["parameters", "multiply_adds", "layers"]);
    assert_eq!(described["parameters"], trained["parameters"]);
    let layers = described["layers"].as_array().unwrap();
    for layer in layers {
        has_keys(layer, &["name", "kind", "sigma", "kernel", "receptive_field", "parameters"]);
    }
    for layer in &layers[..3] {
        assert_eq!(layer["kind"], "njet");
        assert_eq!(layer["sigma"], trained["sigma"][layer["name"].as_str().unwrap()]);
    }
    let sum: u64 = layers.iter().map(|layer| layer["parameters"].as_u64().unwrap()).sum();
    assert_eq!(described["parameters"], sum);
    let text = place.run("inspect run").done().stdout;
    assert!(text.contains("layer3") && text.contains("receptive field"), "{text}");
}

#[test]
fn every_architecture_with_both_layers() {
    let place = Place::with_data();
    for (arch, layer, njets) in [
        ("njet-small", "conv", 0),
        ("nin", "njet", 3),
        ("nin", "conv", 0),
        ("allcnn", "njet", 7),
        ("resnet20", "njet", 19),
    ] {
        let run = format!("{arch}-{layer}");
        let settings = format!("--arch {arch} --layer {layer} --limit 20 --epochs 1 --batch-size 8 --out {run}");
        let result = place.run(&format!("train --data data {settings} --json")).done().json();
        assert_eq!(json!([result["arch"], result["layer"]]), json!([arch, layer]));
        assert_eq!(result["sigma"].as_object().unwrap().len(), njets);
        let evaluated = place.run(&format!("eval {run} --json")).done().json();
        assert_eq!(evaluated["accuracy"], result["test_accuracy"]);
        let described = place.run(&format!("inspect {run} --json")).done().json();
        assert_eq!(described["parameters"], result["parameters"]);
    }
}

#[test]
fn subsampling_is_chosen() {
    let place = Place::with_data();
    let describe = |settings: &str, run: &str| {
        let settings = format!("{settings} --layer conv --limit 20 --epochs 1 --batch-size 8 --out {run}");
        place.run(&format!("train --data data --arch allcnn {settings}")).done();
        place.run(&format!("inspect {run} --json")).done().json()
    };
    let (usual, strided) = (describe("", "usual"), describe("--subsampling strides", "strided"));
    assert_eq!(usual["parameters"], strided["parameters"]);
    // 3×3 seven times; with strides the fourth to sixth see twice as far, the seventh four times.
    assert_eq!([&usual, &strided].map(|run| run["layers"][6]["receptive_field"].as_u64()), [Some(15), Some(27)]);
    let config = fs::read_to_string(place.path("usual/config.toml")).unwrap();
    assert!(config.contains("subsampling = \"none\""), "{config}");
}

/// The line of scales stays a line.
#[test]
fn scales_of_many_layers_are_summed_up() {
    let place = Place::with_data();
    let settings = "--arch resnet20 --limit 20 --epochs 1 --batch-size 8 --out run";
    let stderr = place.run(&format!("train --data data {settings}")).done().stderr;
    let line = stderr.lines().find(|line| line.contains('σ')).unwrap();
    assert!(line.contains(" to ") && line.contains(", median ") && line.contains("in 19 layers"), "{line}");
}

#[test]
fn a_limit_is_kept() {
    let place = Place::with_data();
    let stderr = place.run("train --data data --limit 20 --epochs 1 --out run").done().stderr;
    assert!(stderr.contains("18 images to train, 2 to validate, 30 to test"), "{stderr}");
}

#[test]
fn sigma_is_learned_unless_it_is_fixed() {
    let place = Place::with_data();
    // A power of two: σ = 2^s is exact.
    let settings = "--data data --sigma 2 --epochs 2 --batch-size 16 --json";
    let learned = place.run(&format!("train {settings} --out learned")).done().json();
    let fixed = place.run(&format!("train {settings} --fixed-sigma --out fixed")).done().json();
    for layer in ["layer1", "layer2", "layer3"] {
        assert_eq!(fixed["sigma"][layer], json!([2.0]));
        assert_ne!(learned["sigma"][layer], json!([2.0]));
    }
    for line in place.metrics("fixed") {
        assert_eq!(line["sigma"], json!({"layer1": [2.0], "layer2": [2.0], "layer3": [2.0]}));
        assert_eq!(line["kernel"]["layer1"], json!([19, 19]));
    }
    let losses = |run| place.metrics(run).last().unwrap()["train_loss"].clone();
    assert_ne!(losses("fixed"), losses("learned"));
}

#[test]
fn sgd_with_steps() {
    let place = Place::with_data();
    // A factor so small that nothing moves any more after the first epoch.
    let settings = "--optimizer sgd --schedule step --step-every 1 --step-factor 1e-12 --momentum 0 --epochs 3";
    place.run(&format!("train --data data --batch-size 16 --out run {settings}")).done();
    let metrics = place.metrics("run");
    assert_ne!(metrics[0]["sigma"]["layer1"], json!([1.0]));
    assert_eq!(metrics[1]["sigma"], metrics[0]["sigma"]);
    assert_eq!(metrics[2]["sigma"], metrics[0]["sigma"]);
    let config = fs::read_to_string(place.path("run/config.toml")).unwrap();
    for line in [
        "kind = \"sgd\"",
        "kind = \"step\"",
        "every = 1",
        "gamma = 0.000000000001",
        "lr = 0.05",
        "weight-decay = 0.0005",
    ] {
        assert!(config.contains(line), "no {line} in {config}");
    }
}

#[test]
fn order_extent_and_discretisation_count() {
    let place = Place::with_data();
    let settings = "--order 3 --extent 2 --discretisation integrated --shift 0 --flip --epochs 1";
    place.run(&format!("train --data data --out run {settings}")).done();
    let described = place.run("inspect run --json").done().json();
    // Ten coefficients for each of 32 channels, σ, and two values a channel of the normalisation.
    assert_eq!(described["layers"][0]["parameters"], 10 * 32 + 1 + 2 * 32);
    assert_eq!(described["layers"][0]["kernel"], json!([7, 7]));
    place.run("eval run").done();
}

#[test]
fn runs_without_a_name_are_numbered() {
    let place = Place::with_data();
    let train = "train --data data --epochs 1 --json";
    for n in 1..=2 {
        assert_eq!(place.run(train).done().json()["run"], format!("runs/njet-small-njet-{n}"));
    }
    assert_eq!(place.run(&format!("{train} --layer conv")).done().json()["run"], "runs/njet-small-conv-1");
    assert_eq!(names(&place, "runs"), ["njet-small-conv-1", "njet-small-njet-1", "njet-small-njet-2"]);
}

/// A log is not the place for lines that rewrite themselves.
#[test]
fn progress_is_plain_where_there_is_no_terminal() {
    let place = Place::with_data();
    let Outcome { stdout, stderr, .. } = place.run("train --data data --epochs 3 --out run").done();
    for text in [&stdout, &stderr] {
        assert!(!text.contains('\r') && !text.contains('\x1b'), "{text:?}");
    }
    let epochs = stderr.lines().filter(|line| line.starts_with("epoch ")).count();
    assert_eq!(epochs, 3, "{stderr}");
    assert!(stderr.contains("run run\n") && stderr.contains("σ  layer1 "), "{stderr}");
    assert!(stdout.contains("test accuracy") && stdout.contains("`njet inspect run`"), "{stdout}");
}

#[test]
#[cfg(unix)]
fn progress_rewrites_its_line_on_a_terminal() {
    use std::process::Command;
    let version = Command::new("script").arg("--version").output();
    if !version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("util-linux")) {
        eprintln!("skipped: without util-linux's `script` there is no terminal to play");
        return;
    }
    let place = Place::with_data();
    let njet = format!("'{}' train --data data --epochs 20 --batch-size 4 --out run", env!("CARGO_BIN_EXE_njet"));
    let output = Command::new("script").args(["-qec", &njet, "/dev/null"]).current_dir(place.path("")).output();
    let outcome = Outcome::of(output.unwrap()).done();
    assert!(outcome.stdout.contains("\r\x1b[Kepoch "), "{:?}", outcome.stdout);
    assert!(outcome.stdout.contains(" images/s  "), "{:?}", outcome.stdout);
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let place = Place::with_run();
    let mut child = place.command("inspect run").stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}
