//! Settings that make no sense are refused before anything is written.

mod command;

use command::Place;
use command::images::Set;

/// `njet train` on the usual data with these settings is a wrong command line.
#[track_caller]
fn wrong(settings: &str, words: &[&str]) {
    Place::with_data().refuses(&format!("train --data data --out run {settings}"), 2, words);
}

/// `njet train` on the usual data with these settings cannot work.
#[track_caller]
fn impossible(settings: &str, words: &[&str]) {
    Place::with_data().refuses(&format!("train --data data --out run {settings}"), 1, words);
}

macro_rules! wrong {
    ($($name:ident: $settings:literal => [$($word:literal),+];)+) => {
        $(#[test] fn $name() { wrong($settings, &[$($word),+]); })+
    };
}

wrong! {
    order_11: "--order 11" => ["derivative order 11 is too high", "0 to 10"];
    order_negative: "--order -1" => ["--order", "-1"];
    sigma_0: "--sigma 0" => ["sigma = 0 is not a scale", "above 0"];
    sigma_negative: "--sigma -1" => ["sigma = -1 is not a scale", "above 0"];
    sigma_nan: "--sigma NaN" => ["sigma = NaN is not a scale", "above 0"];
    sigma_infinite: "--sigma inf" => ["sigma = inf is not a scale", "at most 4096"];
    sigma_no_number: "--sigma wide" => ["--sigma", "wide"];
    sigma_beyond_the_largest_radius: "--sigma 4000" => ["radius 16001 is out of range", "1 to 4096"];
    extent_0: "--extent 0" => ["extent = 0 is not a filter extent", "above 0"];
    extent_negative: "--extent -2" => ["extent = -2 is not a filter extent", "above 0"];
    extent_nan: "--extent NaN" => ["extent = NaN is not a filter extent", "finite"];
    lr_0: "--lr 0" => ["the learning rate is 0", "above 0 and at most 1"];
    lr_negative: "--lr -0.1" => ["the learning rate is -0.1", "above 0 and at most 1"];
    lr_nan: "--lr NaN" => ["the learning rate is NaN", "above 0 and at most 1"];
    sigma_lr_negative: "--sigma-lr -0.1" => ["the learning rate of sigma is -0.1", "above 0 and at most 1"];
    weight_decay_negative: "--weight-decay -1" => ["the weight decay is -1", "at least 0 and below 1"];
    momentum_1: "--momentum 1" => ["the momentum is 1", "at least 0 and below 1"];
    batch_of_none: "--batch-size 0" => ["the batch size is 0", "at least 1"];
    batch_negative: "--batch-size -1" => ["--batch-size", "-1"];
    no_epochs: "--epochs 0" => ["the number of epochs is 0", "at least 1"];
    // 2^60 epochs of 2^4 steps: the number of steps overflows to 0.
    too_many_epochs: "--epochs 1152921504606846976 --batch-size 6" => ["the number of epochs is", "at most 1000000"];
    step_every_0: "--schedule step --step-every 0" => ["the number of epochs between steps is 0", "at least 1"];
    step_every_overflows: "--schedule step --step-every 1152921504606846976 --batch-size 6" =>
        ["the number of epochs between steps is", "at most 1000000"];
    validation_0: "--validation 0" => ["the validation part is 0", "above 0 and below 1"];
    validation_1: "--validation 1" => ["the validation part is 1", "above 0 and below 1"];
    validation_nan: "--validation NaN" => ["the validation part is NaN", "above 0 and below 1"];
    limit_0: "--limit 0" => ["the limit on the training images is 0", "at least 1"];
    unknown_architecture: "--arch vgg" => ["--arch", "unknown architecture `vgg`", "njet-small, nin, allcnn"];
    unknown_subsampling: "--subsampling pool" => ["--subsampling", "unknown subsampling `pool`", "none, strides"];
    unknown_layer: "--layer pool" => ["--layer", "unknown layer `pool`", "njet, conv"];
    unknown_discretisation: "--discretisation guess" =>
        ["unknown discretisation `guess`", "normalized-sampled, sampled, integrated, discrete-analogue"];
    unknown_optimizer: "--optimizer lion" => ["--optimizer", "lion", "adamw, sgd"];
    unknown_schedule: "--schedule line" => ["--schedule", "line", "cosine, step"];
    unknown_device: "--device tpu" => ["--device", "tpu", "cpu, wgpu, cuda"];
    unknown_task: "--task dream" => ["--task", "dream", "classify"];
    unknown_option: "--depth 3" => ["--depth"];
}

#[test]
#[cfg(not(feature = "wgpu"))]
fn a_device_that_was_not_built_in() {
    wrong("--device wgpu", &["built without wgpu", "cargo build --release --features wgpu"]);
    let place = Place::with_run();
    place.refuses("eval run --device wgpu", 2, &["built without wgpu", "--features wgpu"]);
}

#[test]
fn no_command() {
    let outcome = Place::new().run("");
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.contains("Usage: njet"), "{}", outcome.stderr);
}

#[test]
fn a_limit_that_leaves_nothing_to_validate() {
    impossible("--limit 3", &["3 training images leave 3 to train and 0 to validate", "--limit", "--validation"]);
}

#[test]
fn images_too_small_for_the_pooling() {
    let place = Place::new();
    Set { side: 3, ..Set::default() }.write(&place.path("small"));
    let words = ["small", "3×3", "too small for njet-small", "at least 4×4 are needed"];
    place.refuses("train --data small --out run", 1, &words);
}

#[test]
fn a_single_class() {
    let place = Place::new();
    Set { classes: 1, ..Set::default() }.write(&place.path("alone"));
    place.refuses("train --data alone --out run", 1, &["alone", "two classes", "two or more classes"]);
}

/// σ leaves the range that filters can be built for, or the loss ceases to be a number: an error, no panic.
#[test]
fn rates_at_which_the_run_diverges() {
    let place = Place::with_data();
    // With this extent σ can grow to 8 pixels only. Whether a seed gets there is for the last bits to say.
    let settings = "--order 10 --extent 500 --optimizer sgd --lr 1 --sigma-lr 1 --limit 30 --batch-size 10";
    let diverged = (1..=8).find(|seed| {
        let outcome = place.run(&format!("train --data data --out run{seed} {settings} --seed {seed}"));
        if outcome.code != Some(0) {
            outcome.refused(1, &["the run diverged", "--lr", "--sigma-lr"]);
        }
        outcome.code != Some(0)
    });
    assert!(diverged.is_some(), "no seed diverges");
    place.nothing_half_written();
}

#[test]
fn out_holds_a_run() {
    let place = Place::with_run();
    let words = ["run already holds a run", "--resume run", "--out"];
    place.refuses("train --data data --epochs 1 --out run", 1, &words);
}

#[test]
fn out_holds_other_things() {
    let place = Place::with_data();
    place.refuses("train --data data --out data", 1, &["data is not empty", "--out"]);
}

#[test]
fn out_is_a_file() {
    let place = Place::with_data();
    std::fs::write(place.path("notes"), "mine").unwrap();
    place.refuses("train --data data --out notes", 1, &["cannot create notes", "another directory with `--out`"]);
    place.refuses(
        "train --data data --out notes/run",
        1,
        &["cannot create notes/run", "another directory with `--out`"],
    );
}

#[test]
fn out_is_an_empty_directory() {
    let place = Place::with_data();
    std::fs::create_dir(place.path("run")).unwrap();
    place.run("train --data data --epochs 1 --out run").done();
}

/// A pipe that nobody reads is no reason to panic; the result that cannot be printed is one to fail.
#[test]
#[cfg(target_os = "linux")]
fn output_that_cannot_be_written() {
    use std::fs::File;
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let place = Place::with_data();
    let status = place.command("train --data data --epochs 0").stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(2));
    let status =
        place.command("train --data data --epochs 1 --out run").stderr(full()).stdout(full()).status().unwrap();
    assert_eq!(status.code(), Some(1));
    let output = place.command("data list").stdout(full()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("error: cannot write the result to standard output: "), "{stderr}");
    assert_eq!(output.status.code(), Some(1));
}
