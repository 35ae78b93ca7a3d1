//! `njet predict`: image files of any kind and size.

mod command;

use command::Place;
use image::{DynamicImage, ImageFormat, Luma, Rgb, Rgba};
use serde_json::Value;
use std::fs;

/// A run that tells the three bands apart, and a bright band at each place.
fn place() -> Place {
    let place = Place::with_data();
    place.run("train --data data --epochs 12 --batch-size 8 --shift 0 --out run").done();
    for class in 0..3 {
        save(&place, &format!("{class}.png"), band(class, 8), ImageFormat::Png);
    }
    place
}

/// The image of a class, without noise.
fn band(class: u32, side: u32) -> DynamicImage {
    let grey = |x: u32| if x * 3 / side == class { 200 } else { 80 };
    image::GrayImage::from_fn(side, side, |x, _| Luma([grey(x)])).into()
}

fn save(place: &Place, name: &str, image: DynamicImage, format: ImageFormat) {
    image.save_with_format(place.path(name), format).expect("an image file");
}

fn labels(result: &Value) -> Vec<&str> {
    result["images"].as_array().unwrap().iter().map(|image| image["label"].as_str().unwrap()).collect()
}

#[test]
fn every_image_has_its_label() {
    let place = place();
    let result = place.run("predict run 2.png 0.png 1.png --json").done().json();
    assert_eq!(labels(&result), ["2", "0", "1"]);
    for (image, path) in result["images"].as_array().unwrap().iter().zip(["2.png", "0.png", "1.png"]) {
        assert_eq!(image["path"], path);
        let top = image["top"].as_array().unwrap();
        assert_eq!(top.len(), 3, "as many as there are classes, up to five");
        assert_eq!(top[0], serde_json::json!([image["label"], image["probability"]]));
        let p: Vec<f64> = top.iter().map(|entry| entry[1].as_f64().unwrap()).collect();
        assert!(p.windows(2).all(|pair| pair[0] >= pair[1]) && (p.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{p:?}");
    }
    let text = place.run("predict run 1.png").done().stdout;
    assert!(text.starts_with("1.png: 1 (") && text.contains("then "), "{text}");
}

#[test]
fn formats_and_colours_make_no_difference() {
    let place = place();
    save(&place, "a.bmp", band(1, 8), ImageFormat::Bmp);
    save(&place, "a.gif", band(1, 8).into_rgba8().into(), ImageFormat::Gif);
    save(&place, "a.tiff", band(1, 8), ImageFormat::Tiff);
    save(&place, "a.webp", band(1, 8).into_rgb8().into(), ImageFormat::WebP);
    // The name tells nothing: the first bytes do.
    save(&place, "a.txt", band(1, 8), ImageFormat::Png);
    let colour = image::RgbImage::from_fn(8, 8, |x, _| Rgb([if x * 3 / 8 == 1 { 200 } else { 80 }; 3]));
    save(&place, "colour.png", colour.into(), ImageFormat::Png);
    let deep = DynamicImage::from(band(1, 8).into_luma16());
    save(&place, "deep.png", deep, ImageFormat::Png);
    let names = "1.png a.bmp a.gif a.tiff a.webp a.txt colour.png deep.png";
    let result = place.run(&format!("predict run {names} --json")).done().json();
    let images = result["images"].as_array().unwrap();
    assert_eq!(images.len(), 8);
    for image in images {
        assert_eq!(image["top"], images[0]["top"], "{}", image["path"]);
    }
    save(&place, "a.jpeg", band(1, 64), ImageFormat::Jpeg);
    assert_eq!(labels(&place.run("predict run a.jpeg --json").done().json()), ["1"]);
}

#[test]
fn the_transparent_is_black() {
    let place = place();
    let hidden = |clear: Rgba<u8>| {
        image::RgbaImage::from_fn(8, 8, |x, _| if x * 3 / 8 == 1 { Rgba([200, 200, 200, 255]) } else { clear })
    };
    save(&place, "white.png", hidden(Rgba([255, 255, 255, 0])).into(), ImageFormat::Png);
    save(&place, "black.png", hidden(Rgba([0, 0, 0, 255])).into(), ImageFormat::Png);
    let result = place.run("predict run white.png black.png --json").done().json();
    assert_eq!(result["images"][0]["top"], result["images"][1]["top"]);
}

#[test]
fn images_are_resampled_unless_they_keep_their_size() {
    let place = place();
    save(&place, "large.png", band(1, 48), ImageFormat::Png);
    save(&place, "small.png", band(1, 3), ImageFormat::Png);
    save(&place, "wide.png", image::GrayImage::from_pixel(30, 5, Luma([80])).into(), ImageFormat::Png);
    let result = place.run("predict run large.png small.png wide.png --json").done().json();
    assert_eq!(labels(&result)[..2], ["1", "1"]);
    let native = place.run("predict run large.png --native --json").done().json();
    assert_ne!(native["images"][0]["top"], result["images"][0]["top"], "another size is another answer");
    let same =
        |options: &str| place.run(&format!("predict run 1.png {options} --json")).done().json()["images"].clone();
    assert_eq!(same(""), same("--native"), "an image of the run's own size");

    let outcome = place.run("predict run small.png large.png --native --json");
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert_eq!(outcome.json()["images"][0]["path"], "large.png");
    assert!(
        outcome.stderr.contains("small.png: ") && outcome.stderr.contains("3×3 pixels, too small"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn what_cannot_be_read_is_named_and_the_others_are_predicted() {
    let place = place();
    fs::write(place.path("words.png"), "no image at all").unwrap();
    let whole = fs::read(place.path("1.png")).unwrap();
    fs::write(place.path("half.png"), &whole[..whole.len() / 2]).unwrap();
    fs::write(place.path("empty.png"), "").unwrap();
    fs::create_dir(place.path("folder")).unwrap();
    let outcome = place.run("predict run words.png half.png 1.png empty.png folder nowhere.png 2.png --json");
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    let result = outcome.json();
    assert_eq!(labels(&result), ["1", "2"]);
    let failed: Vec<&str> = result["failed"].as_array().unwrap().iter().map(|f| f["path"].as_str().unwrap()).collect();
    assert_eq!(failed, ["words.png", "half.png", "empty.png", "folder", "nowhere.png"]);
    for name in failed {
        assert_eq!(
            outcome.stderr.lines().filter(|line| line.starts_with(&format!("{name}: "))).count(),
            1,
            "{}",
            outcome.stderr
        );
    }
    assert!(outcome.stderr.contains("error: 5 of 7 images could not be looked at"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
}

#[test]
fn without_the_data_classes_keep_their_names() {
    let place = place();
    fs::rename(place.path("data"), place.path("moved")).unwrap();
    let config = fs::read_to_string(place.path("run/config.toml")).unwrap();
    let names = "classes = [\"0\", \"1\", \"2\"]\n";
    assert!(config.contains(names), "{config}");
    fs::write(place.path("run/config.toml"), config.replace(names, "classes = [\"left\", \"middle\", \"right\"]\n"))
        .unwrap();
    let outcome = place.run("predict run 2.png --json").done();
    assert_eq!(labels(&outcome.json()), ["right"]);
    assert!(!outcome.stderr.contains("note: "), "{}", outcome.stderr);
    // A run from before they were kept.
    fs::write(place.path("run/config.toml"), config.replace(names, "")).unwrap();
    let outcome = place.run("predict run 1.png --json").done();
    assert_eq!(labels(&outcome.json()), ["1"]);
    assert!(outcome.stderr.contains("note: ") && outcome.stderr.contains("numbers"), "{}", outcome.stderr);
}

#[test]
fn nothing_to_predict() {
    let place = Place::with_run();
    place.refuses("predict run", 2, &["IMAGE"]);
    place.refuses("predict nothing a.png", 1, &["nothing is not a run"]);
}
