//! Image folders and multi-size sets on the command line: trained, evaluated, resumed, described, refused.

mod command;

use command::Place;
use image::{DynamicImage, GrayImage, ImageFormat, Luma};
use serde_json::json;
use std::fs;

/// Two classes, dark and light, of images from 5×9 to 14×12 pixels: 20 + 6 of each.
fn with_folder() -> Place {
    let place = Place::new();
    for (part, count) in [("train", 20), ("test", 6)] {
        for (class, grey) in [("dark", 20), ("light", 200)] {
            let directory = place.path(&format!("photos/{part}/{class}"));
            fs::create_dir_all(&directory).unwrap();
            for i in 0..count {
                let (width, height) = (9 + i % 4, 5 + i % 10);
                let picture = GrayImage::from_fn(width, height, |x, y| Luma([grey + (x * y + i) as u8 % 30]));
                let file = directory.join(format!("{i}.picture"));
                DynamicImage::from(picture).save_with_format(file, ImageFormat::Png).unwrap();
            }
        }
    }
    place
}

/// What does not depend on the clock.
fn results(place: &Place, run: &str) -> Vec<serde_json::Value> {
    let mut lines = place.metrics(run);
    for line in &mut lines {
        let line = line.as_object_mut().unwrap();
        assert!(line.remove("seconds").unwrap().as_f64().unwrap() > 0.0);
        assert!((0.0..=1.0).contains(&line.remove("waiting").unwrap().as_f64().unwrap()));
    }
    lines
}

#[test]
fn every_sizing_trains_and_is_evaluated() {
    let place = with_folder();
    for (number, sizing) in ["letterbox", "random-resized-crop", "group"].into_iter().enumerate() {
        let run = format!("run{number}");
        let settings = format!("--sizing {sizing} --size 12 --epochs 4 --batch-size 8 --sigma 0.7");
        let trained = place.run(&format!("train --data photos {settings} --out {run} --json")).done();
        assert!(trained.stderr.contains(&format!("images of mixed sizes: {sizing}, 12×12")), "{}", trained.stderr);
        let config = fs::read_to_string(place.path(&run).join("config.toml")).unwrap();
        assert!(config.contains(&format!("sizing = \"{sizing}\"")) && config.contains("size = [12, 12]"), "{config}");
        let evaluated = place.run(&format!("eval {run} --json")).done().json();
        assert_eq!(evaluated["count"], 12);
        assert_eq!(evaluated["accuracy"], trained.json()["test_accuracy"]);
        assert!(evaluated["accuracy"].as_f64().unwrap() > 0.9, "{sizing}: dark and light look alike: {evaluated}");
    }
    // A model takes images of any size.
    let other = place.run("eval run0 --sizing group --size 64 --json").done().json();
    assert_eq!(other["count"], 12);
}

/// Without the checkpoint of its last epoch, a run goes on from the one before.
#[test]
fn runs_on_files_resume_to_the_same() {
    let place = with_folder();
    for sizing in ["random-resized-crop", "group"] {
        let settings = format!("--data photos --sizing {sizing} --size 10 --epochs 3 --batch-size 8 --flip");
        let (whole, cut) = (format!("whole-{sizing}"), format!("cut-{sizing}"));
        let printed = place.run(&format!("train {settings} --out {whole} --json")).done().json();
        place.run(&format!("train {settings} --out {cut}")).done();
        fs::remove_dir_all(place.path(&cut).join("checkpoints/epoch-0003")).unwrap();
        let outcome = place.run(&format!("train --resume {cut} --json")).done();
        assert!(outcome.stderr.contains("going on after epoch 2 of 3"), "{}", outcome.stderr);
        assert_eq!(outcome.json()["test_accuracy"], printed["test_accuracy"]);
        assert_eq!(results(&place, &cut), results(&place, &whole));
    }
}

#[test]
fn without_a_choice_mixed_sizes_are_letterboxed() {
    let place = with_folder();
    place.run("train --data photos --epochs 1 --out run").done();
    let config = fs::read_to_string(place.path("run/config.toml")).unwrap();
    assert!(config.contains("sizing = \"letterbox\""), "{config}");
}

#[test]
fn what_cannot_be_chosen_is_refused() {
    let place = with_folder();
    let words = ["have sizes from 5×9 to 14×12 pixels", "`--sizing letterbox`", "`--sizing group`"];
    place.refuses("train --data photos --sizing fixed --out run", 1, &words);
    place.refuses("train --size 32 --out run", 2, &["`--size` has no meaning", "`--sizing letterbox`"]);
    place.refuses("train --data photos --size 0 --out run", 2, &["the size of the images is 0×0"]);
    place.refuses("train --data photos --size 2 --out run", 1, &["2×2 pixels", "too small for njet-small"]);
    place.refuses("train --sizing square --out run", 2, &["square", "letterbox"]);
    let place = Place::with_run();
    place.refuses("eval run --size 16", 2, &["`--size` has no meaning"]);
}

#[test]
fn test_images_of_a_class_that_was_not_trained() {
    let place = with_folder();
    place.run("train --data photos --epochs 1 --out run").done();
    fs::rename(place.path("photos/train/light"), place.path("photos/train/bright")).unwrap();
    place.refuses("eval run", 1, &["test/light: no class of this name"]);
}

#[test]
fn info_on_a_folder() {
    let place = with_folder();
    (0..12).for_each(|i| fs::write(place.path(&format!("photos/train/dark/x{i:02}")), b"").unwrap());
    fs::write(place.path("photos/test/light/notes.txt"), b"not a picture").unwrap();
    let info = place.run("data info photos --json").done().json();
    assert_eq!(info["shape"], json!(null));
    assert_eq!(info["channels"], 1);
    assert_eq!(info["classes"], json!(["dark", "light"]));
    assert_eq!(info["train"]["sizes"], json!({"least": [5, 9], "median": [9, 10], "greatest": [14, 12]}));
    assert_eq!(info["train"]["skipped"].as_array().unwrap().len(), 12);
    assert_eq!(info["test"]["skipped"][0]["reason"], "not an image in PNG, JPEG, BMP, GIF, WebP or TIFF");
    let text = place.run("data info photos").done().stdout;
    assert!(text.starts_with("photos: 40 training and 12 test images of mixed sizes, 1 channel, "), "{text}");
    assert!(text.contains("\ntraining sizes: 5×9 at least, 9×10 in the median, 14×12 at most\n"), "{text}");
    assert!(text.contains("\ntraining: 12 files skipped\n  photos/train/dark/x00: the file is empty\n"), "{text}");
    assert!(text.contains("\n  … and 2 files, which --json names\n"), "{text}");
    assert!(text.contains("notes.txt: not an image"), "{text}");
    let trained = place.run("train --data photos --epochs 1 --out run").done();
    assert!(trained.stderr.contains("13 files were skipped: `njet data info "), "{}", trained.stderr);
}

#[test]
fn a_multi_size_set_is_trained_on_and_found_again() {
    let place = Place::with_data();
    let source = "multi-size:data?form=unseen-sizes&canvas=16&largest=2";
    let info = place.run(&format!("data info {source} --json")).done().json();
    assert_eq!(info["shape"], json!([1, 16, 16]));
    assert_eq!(info["name"], "multi-size:data?form=unseen-sizes&canvas=16&smallest=0.5&largest=2&seed=1");
    assert_eq!(info["train"]["per_class"], json!([30, 30, 30]));
    let trained = place.run(&format!("train --data {source} --epochs 2 --out run --json")).done().json();
    // The settings name the base set by its full path.
    let config = fs::read_to_string(place.path("run/config.toml")).unwrap();
    let base = fs::canonicalize(place.path("data")).unwrap();
    assert!(config.contains(&format!("multi-size:{}?form=unseen-sizes&canvas=16", base.display())), "{config}");
    fs::create_dir(place.path("elsewhere")).unwrap();
    let evaluated = place.command("eval ../run --json").current_dir(place.path("elsewhere")).output().unwrap();
    let evaluated = command::Outcome::of(evaluated).done().json();
    assert_eq!(evaluated["accuracy"], trained["test_accuracy"]);
    // The same objects at other sizes.
    let other = place.run("eval run --data multi-size:data?form=one-size&canvas=16 --json").done().json();
    assert_eq!(other["count"], 30);
}

#[test]
fn a_multi_size_set_of_a_folder() {
    let place = with_folder();
    let info = place.run("data info multi-size:photos?largest=2 --json").done().json();
    assert_eq!(info["shape"], json!([1, 28, 28]));
}

#[test]
fn a_multi_size_set_that_cannot_be_is_refused() {
    let place = Place::with_data();
    for (source, words) in [
        ("multi-size:", ["no base set is named", "as in multi-size:"]),
        ("multi-size:data?sizes=3", ["\"sizes\" is not an option", "as in multi-size:"]),
        ("multi-size:data?canvas=9&largest=4", ["do not fit on a canvas of 9", "give canvas=32 or more"]),
        ("multi-size:nowhere", ["\"nowhere\" is neither", "multi-size:NAME"]),
    ] {
        for arguments in [format!("train --out run --data {source}"), format!("data info {source}")] {
            place.refuses(&arguments, 2, &words);
        }
    }
}
