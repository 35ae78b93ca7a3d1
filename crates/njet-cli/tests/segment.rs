//! Segmentation from the command line: train, eval, predict, inspect, report, reproduce; and what is refused.

mod command;
mod page;

use command::{Place, scenes, truncate};
use image::{GrayImage, Luma, RgbImage};
use page::tags;
use serde_json::Value;
use std::fs;
use std::path::Path;

const SMALL: &str =
    "train --task segment --data data --widths 4,8 --convolutions 2,2 --crop 16 --batch-size 2 --scale-jitter 1";

fn place() -> Place {
    let place = Place::new();
    scenes::write(&place.path("data"));
    place
}

fn with_run() -> Place {
    let place = place();
    place.run(&format!("{SMALL} --epochs 2 --out run")).done();
    place
}

#[test]
fn a_network_learns_to_find_discs_and_squares() {
    let place = place();
    let result = place.run(&format!("{SMALL} --epochs 150 --lr 0.03 --out run --json")).done().json();
    assert_eq!(
        (&result["task"], &result["arch"], &result["layer"]),
        (&"segment".into(), &"unet".into(), &"njet".into())
    );
    let miou = result["val_miou"].as_f64().unwrap();
    assert!(miou > 0.9, "{miou}");
    // A directory without test scenes is tested on those of val.
    assert_eq!(result["test_miou"], result["val_miou"]);
    assert!(result["sigma"]["down0.conv1"][0].as_f64().unwrap() > 0.0);

    let metrics = place.metrics("run");
    let best = result["best_epoch"].as_u64().unwrap() as usize;
    assert_eq!((metrics.len(), &metrics[best - 1]["val_miou"]), (150, &result["val_miou"]));
    assert!(metrics.iter().all(|line| line["val_miou"].as_f64().unwrap() <= miou));

    let eval = place.run("eval run --json").done().json();
    assert_eq!((&eval["count"], &eval["miou"]), (&2.into(), &result["test_miou"]));
    let names: Vec<&String> = eval["iou"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["disc", "ground", "square"]);
    assert_eq!(eval["dice"].as_object().unwrap().len(), 3);
    place.nothing_half_written();
}

#[test]
fn the_twin_and_safe_subsampling_are_trained_too() {
    let place = place();
    for (run, flags) in [("conv", "--layer conv"), ("safe", "--subsampling safe --loss focal --class-weights balanced")]
    {
        let result = place.run(&format!("{SMALL} --epochs 1 {flags} --out {run} --json")).done().json();
        assert_eq!(result["sigma"].as_object().unwrap().is_empty(), run == "conv");
        place.run(&format!("eval {run} --json")).done().json();
    }
}

#[test]
fn an_interrupted_run_comes_to_the_same_numbers() {
    let place = place();
    let numbers = |run: &str| {
        let mut lines = place.metrics(run);
        for line in &mut lines {
            ["seconds", "waiting"].into_iter().for_each(|key| drop(line.as_object_mut().unwrap().remove(key)));
        }
        (lines, fs::read(place.path(run).join("model.safetensors")).unwrap())
    };
    for layer in ["njet", "conv"] {
        let [whole, again] = ["whole", "again"].map(|run| format!("{layer}-{run}"));
        for run in [&whole, &again] {
            place.run(&format!("{SMALL} --layer {layer} --epochs 3 --out {run}")).done();
        }
        // As after a kill in the last epoch.
        fs::remove_dir_all(place.path(&again).join("checkpoints/epoch-0003")).unwrap();
        place.run(&format!("train --resume {again}")).done();
        assert!(numbers(&whole) == numbers(&again), "{layer}");
    }
}

#[test]
fn masks_and_overlays_are_written() {
    let place = with_run();
    RgbImage::from_fn(31, 9, |x, y| image::Rgb([(8 * x) as u8, (20 * y) as u8, 90]))
        .save(place.path("photo.png"))
        .unwrap();
    GrayImage::from_pixel(1, 1, Luma([7])).save(place.path("dot.png")).unwrap();
    let result = place.run("predict run photo.png dot.png --out here --json").done().json();
    let images = result["images"].as_array().unwrap();
    for (image, [width, height]) in images.iter().zip([[31, 9], [1, 1]]) {
        let mask = image::open(place.path(image["mask"].as_str().unwrap())).unwrap();
        let overlay = image::open(place.path(image["overlay"].as_str().unwrap())).unwrap();
        assert_eq!(([mask.width(), mask.height()], overlay.width()), ([width, height], width));
    }
    // What is written is a mask that can be trained on.
    let mask = fs::read(place.path("here/photo.mask.png")).unwrap();
    let reader = png::Decoder::new(std::io::Cursor::new(mask)).read_info().unwrap();
    assert_eq!(reader.info().color_type, png::ColorType::Indexed);

    fs::write(place.path("broken.png"), b"no image").unwrap();
    let outcome = place.run("predict run photo.png broken.png --out here --json");
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("broken.png"), "{}", outcome.stderr);
    assert_eq!(outcome.json()["images"].as_array().unwrap().len(), 1);
}

#[test]
fn an_answer_may_be_averaged_over_sizes() {
    let place = with_run();
    let [alone, averaged] =
        ["", " --also-at 0.5,0.01"].map(|also| place.run(&format!("eval run --json{also}")).done().json());
    assert_ne!(alone["loss"], averaged["loss"]);
    assert_eq!(alone["count"], averaged["count"]);
    place.run("predict run data/val/images/0.png --also-at 0.5 --out here").done();
    for (factor, reason) in [("1", "less than 1"), ("0", "0.001"), ("-0.5", "0.001"), ("half", "no number")] {
        place.refuses(&format!("eval run --also-at {factor}"), 2, &["invalid value", "--also-at", reason]);
        place.refuses(&format!("predict run a.png --also-at 0.5,{factor}"), 2, &["invalid value", "--also-at", reason]);
    }
}

#[test]
fn the_network_is_described_layer_by_layer() {
    let place = with_run();
    let result = place.run("inspect run --json").done().json();
    let layers = result["layers"].as_array().unwrap();
    let names: Vec<&str> = layers.iter().map(|layer| layer["name"].as_str().unwrap()).collect();
    let expected = ["down0.conv1", "down0.conv2", "down1.conv1", "down1.conv2", "up0.step", "up0.conv1", "head"];
    assert_eq!(names, expected);
    let sum: u64 = layers.iter().map(|layer| layer["parameters"].as_u64().unwrap()).sum();
    assert_eq!(result["parameters"].as_u64(), Some(sum));
    assert_eq!(layers[4]["sigma"].as_array().unwrap().len(), 1);
}

#[test]
fn the_report_shows_images_and_figures() {
    let place = with_run();
    place.run("report run").done();
    let tags = tags(&fs::read_to_string(place.path("run/report.html")).unwrap());
    for id in ["training", "examples", "classes", "sizes", "layers", "filters", "settings"] {
        assert!(tags.iter().any(|tag| tag.attribute("id") == Some(id)), "{id}");
    }
    // Image, truth, prediction and errors of both.
    let examples = tags.iter().filter(|tag| tag.attribute("alt").is_some_and(|alt| alt.starts_with("Test image ")));
    assert_eq!(examples.count(), 8);
    let values: Vec<f64> = tags
        .iter()
        .filter(|tag| tag.name == "data")
        .map(|tag| tag.attribute("value").unwrap().parse().unwrap())
        .collect();
    let eval = place.run("eval run --json").done().json();
    for figure in [&eval["miou"], &eval["iou"]["ground"], &place.metrics("run")[1]["val_miou"]] {
        assert!(values.contains(&figure.as_f64().unwrap()), "{figure}");
    }
}

#[test]
fn the_claim_about_segmentation_is_tried() {
    let place = Place::new();
    let result = place.run("reproduce segmentation --quick --json").done().json();
    assert_eq!(result["rows"].as_array().unwrap().len(), 4);
    assert!(result["verdicts"].as_array().unwrap().len() >= 2);
    let page = fs::read_to_string(place.path("runs/reproduce-quick/segmentation/results.md")).unwrap();
    assert!(page.contains("| σ learned from 1 |") && page.contains("The figures mean nothing"), "{page}");
    // The same command finds everything there.
    let again = place.run("reproduce segmentation --quick --json").done().json();
    assert_eq!(again, result);
}

/// A directory of their name does not stand for the composed scenes: it is given as ./scenes.
#[test]
fn composed_scenes_are_meant_whatever_directory_has_their_name() {
    let place = Place::new();
    scenes::write(&place.path("scenes"));
    let train = "train --task segment --widths 2,4 --crop 16 --epochs 1 --limit 2";
    let sources = ["--data scenes?canvas=32&largest=1&train=4&val=2&test=2", "--data ./scenes"];
    let [composed, directory] = [0, 1].map(|i| {
        place.run(&format!("{train} {} --out run{i}", sources[i])).done();
        fs::read_to_string(place.path(&format!("run{i}/config.toml"))).unwrap()
    });
    assert!(composed.contains("source = \"scenes?canvas=32&") && composed.contains("classes = 11"), "{composed}");
    assert!(directory.contains("classes = 3"), "{directory}");
    place.run(&format!("eval run0 {}", sources[0])).done();
    // The default of --data is they, too.
    place.refuses(&format!("{} --out run2", train.replace("--crop 16", "--crop 0")), 2, &["size of the images is 0×0"]);
    place.refuses("eval run1 --data scenes", 1, &["3 classes", "11"]);
}

/// Masks and images that do not go together are named.
#[test]
fn bad_masks_are_named() {
    let train = format!("{SMALL} --epochs 1 --out run");
    let broken = |change: &dyn Fn(&Path), words: &[&str]| {
        let place = place();
        change(&place.path("data"));
        place.refuses(&train, 1, words);
    };
    broken(&|data| fs::remove_file(data.join("train/masks/3.png")).unwrap(), &["3.png", "mask"]);
    broken(
        &|data| GrayImage::from_pixel(23, 19, Luma([0])).save(data.join("train/masks/2.png")).unwrap(),
        &["2.png", "23", "20", "19"],
    );
    broken(
        &|data| GrayImage::from_pixel(23, 20, Luma([9])).save(data.join("val/masks/1.png")).unwrap(),
        &["1.png", "9"],
    );
    broken(&|data| truncate(&data.join("train/masks/0.png"), 40), &["0.png"]);
    broken(&|data| fs::write(data.join("train/masks/0.png"), b"").unwrap(), &["0.png"]);
    broken(&|data| fs::remove_dir_all(data.join("val")).unwrap(), &["val"]);
}

/// A mask that says nothing, and an image of one pixel, are odd but no mistakes.
#[test]
fn an_ignored_mask_and_a_single_pixel_are_no_trouble() {
    let place = place();
    GrayImage::from_pixel(23, 20, Luma([255])).save(place.path("data/train/masks/0.png")).unwrap();
    GrayImage::from_pixel(23, 20, Luma([255])).save(place.path("data/val/masks/0.png")).unwrap();
    GrayImage::from_pixel(1, 1, Luma([50])).save(place.path("data/train/images/1.png")).unwrap();
    GrayImage::from_pixel(1, 1, Luma([1])).save(place.path("data/train/masks/1.png")).unwrap();
    let result = place.run(&format!("{SMALL} --epochs 1 --out run --json")).done().json();
    assert!(result["val_miou"].as_f64().unwrap() >= 0.0);
    assert!(place.metrics("run")[0]["train_loss"].as_f64().unwrap().is_finite());
}

#[test]
fn flags_of_the_other_task_are_refused() {
    let place = with_run();
    for (flags, words) in [
        ("--arch resnet20", ["--arch other than unet", "classify"]),
        ("--sizing letterbox", ["--sizing", "classify"]),
        ("--conv-side 5", ["--conv-side", "classify"]),
        ("--subsampling none", ["several resolutions", "not none"]),
        ("--subsampling safe --layer conv", ["safe subsampling", "plain convolutions"]),
        ("--widths 4", ["the number of steps of a U-Net is 0", "from 1 to 8"]),
        ("--widths 4,4 --convolutions 1,1 --up 1,1", ["for 2 steps", "give one number"]),
        ("--deep-supervision -1", ["the losses at lower resolutions is -1", "at least 0"]),
        ("--sigma-images 0", ["the number of images that sigma learns from is 0", "at most the batch size"]),
        ("--parts 0", ["the number of parts of a batch is 0", "at least 1"]),
        ("--precision f16", ["unknown precision `f16`", "f32 and bf16"]),
        ("--widths 4,4 --convolutions 1", ["for 2 resolutions and its convolutions for 1", "one number of each"]),
        ("--loss hinge", ["unknown loss `hinge`", "dice"]),
        ("--class-weights 1,2", ["2 class weights for 3 classes", "one for each"]),
        ("--crop 0", ["size of the images is 0×0", "at least 1×1"]),
        ("--scale-jitter 0.5", ["the largest random scale is 0.5", "at least 1"]),
        ("--data nowhere", ["nowhere", "scenes"]),
    ] {
        let train = match flags.starts_with("--data") {
            true => format!("train --task segment {flags} --out new"),
            false => format!("train --task segment --data data {flags} --out new"),
        };
        place.run(&train).refused(2, &words);
        assert!(!place.path("new").exists());
    }
    place.refuses("train --widths 3,3", 2, &["--widths", "--task segment"]);
    place.refuses("train --arch unet", 2, &["unet segments", "--task segment"]);
    place.refuses("train --resume run --widths 3,3", 2, &["--widths"]);
    place.refuses("eval run --scales 1,2", 2, &["--scales", "segments"]);
    place.refuses("predict run data/val/images/0.png --native", 2, &["--native", "segments"]);
    place.refuses("transfer run --scale 2 --out other", 1, &["run", "segment"]);
    let settings = fs::read_to_string(place.path("run/config.toml")).unwrap();
    let with = |from: &str, to: &str| {
        assert!(settings.contains(from), "{settings}");
        fs::write(place.path("run/config.toml"), settings.replace(from, to)).unwrap();
    };
    with("[loss]\n", "[loss]\nclass-weights = [1.0, 2.0]\n");
    place.run("eval run").refused(1, &["2 class weights for 3 classes"]);
    with("convolutions = [2, 2]", "convolutions = [2, 3]");
    place.run("eval run").refused(1, &["model.safetensors"]);
}

/// Every flag reaches the settings of the run.
#[test]
fn flags_become_settings() {
    let place = place();
    let settings = |flags: &str, run: &str| {
        let train = SMALL.replace(" --scale-jitter 1", "");
        place.run(&format!("{train} --epochs 1 {flags} --out {run}")).done();
        fs::read_to_string(place.path(run).join("config.toml")).unwrap()
    };
    let has = |settings: String, lines: &[&str]| {
        for line in lines {
            assert!(settings.contains(&format!("\n{line}\n")), "no {line:?} in {settings}");
        }
    };
    let usual =
        "--limit 4 --no-augment --fixed-sigma --padding-mode reflect --loss focal --seed 7 --class-weights 1,2,3";
    let lines =
        ["limit = 4", "flip = false", "quarter-turns = false", "scale = 1.0", "colour = 0.0", "learn-sigma = false"];
    let text = settings(usual, "one");
    assert!(text.contains("\nseed = 7\n"), "{text}");
    has(text.clone(), &lines);
    has(text.clone(), &["padding-mode = \"reflect\"", "cross-entropy = 0.0", "dice = 0.0", "focal = 1.0"]);
    has(
        text.clone(),
        &["class-weights = [1.0, 2.0, 3.0]", "crop = [16, 16]", "widths = [4, 8]", "convolutions = [2, 2]"],
    );
    // The usual rates are those of segmentation, which are not those of classification.
    has(text, &["lr = 0.03", "weight-decay = 0.1", "up = [1]", "deep-supervision = 0.3", "extent = 2.0"]);
    has(settings("", "small"), &["parts = 1", "precision = \"f32\""]);
    let large = SMALL.replace("--batch-size 2", "--batch-size 16");
    place.run(&format!("{large} --epochs 1 --out large")).done();
    has(fs::read_to_string(place.path("large/config.toml")).unwrap(), &["parts = 2", "sigma-images = 4"]);
    has(
        settings("--parts 3 --sigma-images 1 --precision bf16", "bf16"),
        &["parts = 3", "sigma-images = 1", "precision = \"bf16\""],
    );
    let text = settings("--lr 0.005 --weight-decay 0.02 --up 3 --deep-supervision 0.1 --extent 3", "other-rates");
    has(text, &["lr = 0.005", "weight-decay = 0.02", "up = [3]", "deep-supervision = 0.1", "extent = 3.0"]);
    // Strides that follow σ need a Gaussian that is not cut.
    has(settings("--subsampling safe", "safe"), &["extent = 4.0"]);
    let text = settings("--quarter-turns --scale-jitter 1.5 --colour-jitter 0.4 --loss dice+cross-entropy", "two");
    has(text.clone(), &["flip = true", "quarter-turns = true", "scale = 1.5", "colour = 0.4", "learn-sigma = true"]);
    has(text, &["padding-mode = \"zeros\"", "cross-entropy = 1.0", "dice = 1.0", "focal = 0.0", "seed = 1"]);
}

/// Of other classes than the network was trained for.
#[test]
fn other_classes_are_refused() {
    let place = with_run();
    scenes::write(&place.path("other"));
    fs::write(place.path("other/classes.txt"), "ground\ndisc\nsquare\nstar\n").unwrap();
    place.refuses("eval run --data other", 1, &["3 classes", "4"]);
    let eval: Value = place.run("eval run --data data --json").done().json();
    assert_eq!(eval["count"], 2);
}
