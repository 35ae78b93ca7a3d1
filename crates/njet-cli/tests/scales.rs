//! `njet eval --scales` and `njet transfer`: images and filters made larger and smaller together.

mod command;

use command::{Outcome, Place};
use serde_json::{Value, json};
use std::fs;

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn every_scale_has_its_accuracy() {
    let place = Place::with_run();
    let result = place.run("eval run --scales 0.5,1,2 --json").done().json();
    let rows = result["by_scale"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| &row["scale"]).collect::<Vec<_>>(), [0.5, 1.0, 2.0]);
    assert_eq!(json!([rows[0]["size"], rows[1]["size"], rows[2]["size"]]), json!([[4, 4], [8, 8], [16, 16]]));
    assert_eq!(rows[1]["accuracy"], result["accuracy"]);
    assert_eq!(keys(&rows[0]), ["accuracy", "loss", "scale", "size"]);
    // Without the option the result is what it was.
    assert_eq!(keys(&place.run("eval run --json").done().json()), ["accuracy", "count", "loss"]);
    let text = place.run("eval run --scales 2").done().stdout;
    assert!(text.contains("30 test images") && text.contains("16×16"), "{text}");
}

#[test]
fn rescaled_and_as_it_is_stand_side_by_side() {
    let place = Place::with_run();
    let result = place.run("eval run --scales 1,2 --rescale --json").done().json();
    let rows = result["by_scale"].as_array().unwrap();
    assert_eq!(rows[0]["rescaled_accuracy"], rows[0]["accuracy"], "at scale 1 both are the same model");
    assert_ne!(rows[1]["rescaled_loss"], rows[1]["loss"]);
    let text = place.run("eval run --scales 2 --rescale").done().stdout;
    assert!(text.contains("accuracy, σ rescaled"), "{text}");
}

#[test]
fn scales_of_no_sense() {
    let place = Place::with_run();
    for scale in ["0", "-1", "nan", "inf", "1,0", "1e-4", "2000", "1,,2", "big"] {
        place.refuses(&format!("eval run --scales {scale}"), 2, &["invalid value", "--scales"]);
    }
    place.refuses("eval run --rescale", 2, &["--scales"]);
    place.refuses("eval run --also-at 0.5", 2, &["--also-at", "classifies"]);
    place.refuses("predict run image.png --also-at 0.5", 2, &["--also-at", "classifies"]);
    place.refuses("eval run --scales 1,0.3", 1, &["at scale 0.3", "2×2", "too small for njet-small", "4×4"]);
    place.refuses("eval run --scales 1,1000", 1, &["at scale 1000", "8000×8000", "smaller scale"]);
}

fn sigma(place: &Place, run: &str) -> Vec<f64> {
    let described = place.run(&format!("inspect {run} --json")).done().json();
    let layers = described["layers"].as_array().unwrap();
    layers.iter().filter_map(|layer| layer["sigma"][0].as_f64()).collect()
}

#[test]
fn a_transferred_run_is_the_rescaled_model() {
    let place = Place::with_run();
    let result = place.run("transfer run --scale 2 --out deep/double --json").done().json();
    assert_eq!(json!([result["run"], result["from"], result["size"]]), json!(["deep/double", "run", [16, 16]]));
    for (before, after) in sigma(&place, "run").iter().zip(sigma(&place, "deep/double")) {
        assert!((after / before - 2.0).abs() < 1e-6, "{before} {after}");
    }
    let rescaled = place.run("eval run --scales 2 --rescale --json").done().json();
    let transferred = place.run("eval deep/double --scales 2 --json").done().json();
    assert_eq!(transferred["by_scale"][0]["accuracy"], rescaled["by_scale"][0]["rescaled_accuracy"]);
    assert_eq!(transferred["by_scale"][0]["loss"], rescaled["by_scale"][0]["rescaled_loss"]);
    place.nothing_half_written();
    // At the images as they are it says what it was made for.
    let Outcome { stderr, .. } = place.run("eval deep/double").done();
    assert!(stderr.contains("16×16") && stderr.contains("`--scales 2`"), "{stderr}");
}

#[test]
fn a_transfer_says_where_it_comes_from_and_what_stays() {
    let place = Place::with_run();
    let text = place.run("transfer run --scale 2 --out double").done().stdout;
    assert!(
        text.contains("not rescaled") && text.contains("the pooling of 2×2 pixels at every 2 after layer2"),
        "{text}"
    );
    let config = fs::read_to_string(place.path("double/config.toml")).unwrap();
    assert!(config.contains("[origin]\nrun = \"run\"\nscale = 2.0\n"), "{config}");
    // A chain is told as one step from the run that was trained.
    place.run("transfer double --scale 0.25 --out half").done();
    let config = fs::read_to_string(place.path("half/config.toml")).unwrap();
    assert!(config.contains("[origin]\nrun = \"run\"\nscale = 0.5\n") && config.contains("size = [4, 4]"), "{config}");
}

#[test]
fn a_network_without_pooling_follows_whole() {
    let place = Place::with_data();
    place.run("train --data data --arch nin --limit 20 --epochs 1 --out nin").done();
    let result = place.run("transfer nin --scale 2 --out double --json").done().json();
    assert_eq!(result["fixed"], json!([]));
}

#[test]
fn transfers_that_cannot_be() {
    let place = Place::with_run();
    place.run("train --data data --layer conv --epochs 1 --out conv").done();
    for scale in ["0", "-2", "nan", "1e9"] {
        place.refuses(&format!("transfer run --scale={scale} --out new"), 2, &["invalid value", "--scale"]);
    }
    place.refuses("transfer run --out new", 2, &["--scale"]);
    place.refuses("transfer run --scale 2", 2, &["--out"]);
    place.refuses("transfer run --scale 0.1 --out new", 1, &["at scale 0.1", "too small"]);
    place.refuses("transfer conv --scale 2 --out new", 1, &["conv has no N-jet layers"]);
    place.refuses("transfer nothing --scale 2 --out new", 1, &["nothing is not a run"]);
    place.refuses(
        "transfer run --scale 2 --out conv",
        1,
        &["conv already holds a run", "another directory with `--out`"],
    );
    place.refuses("transfer run --scale 2 --out data", 1, &["data is not empty"]);
    fs::write(place.path("file"), "mine").unwrap();
    place.refuses("transfer run --scale 2 --out file/new", 1, &["cannot create file/new", "--out"]);
}

/// Training would begin from random weights and write over the model that was brought here.
#[test]
fn a_transferred_run_cannot_be_resumed() {
    let place = Place::with_run();
    place.run("transfer run --scale 2 --out double").done();
    place.refuses("train --resume double", 1, &["made from run by `njet transfer`", "no training to go on with"]);
}

/// Which filters a transfer integrates is kept in the new run.
#[test]
fn a_narrow_transfer_is_the_rescaled_model() {
    let place = Place::with_run();
    let result = place.run("transfer run --scale 0.5 --out half --json").done().json();
    let warnings = result["warnings"].to_string();
    assert!(
        warnings.contains("layer1: at sigma = 0.") && warnings.contains("integrated over each pixel"),
        "{warnings}"
    );
    let config = fs::read_to_string(place.path("half/config.toml")).unwrap();
    assert!(config.contains("[model.discretisations]\nlayer1 = \"integrated\"\n"), "{config}");
    let rescaled = place.run("eval run --scales 0.5 --rescale --json").done().json();
    let transferred = place.run("eval half --scales 0.5 --json").done().json();
    assert_eq!(transferred["by_scale"][0]["loss"], rescaled["by_scale"][0]["rescaled_loss"]);
}

/// Rescaled beyond the bounds of the run, σ is what was asked for all the same: the bounds give way, for all layers alike.
#[test]
fn bounds_give_way_to_a_transfer() {
    let place = Place::with_data();
    place.run("train --data data --sigma-bounds 0.5,2 --epochs 1 --out run").done();
    let outcome = place.run("transfer run --scale 4 --out large --json").done();
    assert!(outcome.stderr.contains("warning: layer1: sigma = "), "{}", outcome.stderr);
    for (before, after) in sigma(&place, "run").iter().zip(sigma(&place, "large")) {
        assert!((after / before - 4.0).abs() < 1e-5, "{before} {after}");
    }
    let config = fs::read_to_string(place.path("large/config.toml")).unwrap();
    assert!(!config.contains("max = 2.0"), "{config}");
}

/// One σ for each channel and axis: all of them are multiplied, and the report draws what there is.
#[test]
fn many_scales_in_a_layer() {
    let place = Place::with_data();
    let settings = "--sigma-sharing output --separate-axes --epochs 1 --out run";
    place.run(&format!("train --data data {settings}")).done();
    let result = place.run("transfer run --scale 2 --out double --json").done().json();
    assert_eq!(result["sigma"]["layer1"].as_array().unwrap().len(), 2 * 32);
    place.run("report double").done();
    let text = place.run("transfer run --scale 0.5 --out half").done().stdout;
    assert!(text.contains('…') && text.contains(" → "), "{text}");
}
