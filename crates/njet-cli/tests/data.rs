//! `njet data`

mod command;

use command::{Outcome, Place};
use serde_json::json;

#[test]
fn list_as_text() {
    let text = Place::new().run("data list").done().stdout;
    let header: Vec<&str> = text.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["name", "available", "where", "what"]);
    assert!(text.contains("\nfashion-mnist-subset  yes"), "{text}");
    assert!(text.contains("\nfashion-mnist "), "{text}");
    for form in ["four IDX files", "CIFAR-10", "train/CLASS/*", "multi-size:NAME", "scenes?canvas=", "train/masks/*"] {
        assert!(text.contains(form), "no {form} in {text}");
    }
}

#[test]
fn list_as_json() {
    let listed = Place::new().run("data list --json").done().json();
    let sources = listed["sources"].as_array().unwrap();
    assert_eq!(sources[0]["name"], "fashion-mnist-subset");
    assert_eq!(sources[0]["available"], true);
    assert_eq!(sources[1]["name"], "fashion-mnist");
    for source in sources {
        assert!(source["description"].is_string() && source["location"].is_string(), "{source}");
        assert_eq!(source["advice"].is_null(), source["available"] == true, "{source}");
    }
}

#[test]
fn list_says_how_to_get_what_is_absent() {
    let place = Place::new();
    let list = |arguments: &str| {
        let output = place.command(arguments).env("NJET_FASHION_MNIST", place.path("absent")).output().unwrap();
        Outcome::of(output).done()
    };
    let absent = &list("data list --json").json()["sources"][1];
    assert_eq!(absent["available"], false);
    let advice = absent["advice"].as_str().unwrap();
    assert!(advice.contains("dataset-fashion-mnist") && advice.contains("NJET_FASHION_MNIST"), "{advice}");
    let text = list("data list").stdout;
    assert!(text.contains(&format!("\nfashion-mnist: {advice}\n")), "{text}");
}

#[test]
fn info_on_a_directory() {
    let place = Place::with_data();
    let info = place.run("data info data --json").done().json();
    assert_eq!(info["name"], "data");
    assert_eq!(info["classes"], json!(["0", "1", "2"]));
    assert_eq!(info["shape"], json!([1, 8, 8]));
    assert_eq!(info["train"]["count"], 90);
    assert_eq!(info["train"]["per_class"], json!([30, 30, 30]));
    assert_eq!(info["test"]["per_class"], json!([10, 10, 10]));
    for key in ["mean", "std"] {
        let number = info["train"][key].as_f64().unwrap();
        assert!(number > 0.0 && number < 1.0, "{key} = {number}");
    }
    let text = place.run("data info data").done().stdout;
    assert!(text.starts_with("data: 90 training and 30 test images of 8×8 pixels, 1 channel, "), "{text}");
    assert!(text.contains("\n    1  1            30    10\n"), "{text}");
}

#[test]
fn info_on_the_default() {
    let place = Place::new();
    let info = place.run("data info fashion-mnist-subset --json").done().json();
    assert_eq!(info["shape"], json!([1, 28, 28]));
    assert_eq!([&info["train"]["count"], &info["test"]["count"]], [12_000, 2_000]);
    let text = place.run("data info fashion-mnist-subset").done().stdout;
    assert!(text.contains("12 000 training and 2 000 test images of 28×28"), "{text}");
    assert!(text.contains("Ankle boot"), "{text}");
}

/// The files under another name, with the classes of Fashion-MNIST.
#[test]
fn info_on_a_directory_named_by_the_environment() {
    let place = Place::with_data();
    let mut command = place.command("data info fashion-mnist --json");
    let output = command.env("NJET_FASHION_MNIST", place.path("data")).output().unwrap();
    let info = Outcome::of(output).done().json();
    assert_eq!(info["name"], "fashion-mnist");
    assert_eq!(info["classes"].as_array().unwrap().len(), 10);
}

#[test]
fn info_on_composed_scenes() {
    let place = Place::new();
    let source = "scenes?train=12&val=3&test=2";
    let info = place.run(&format!("data info {source} --json --picture scenes.png")).done().json();
    let name = info["name"].as_str().unwrap();
    assert!(name.starts_with("scenes?canvas=128&") && name.contains("&train=12&val=3&test=2&"), "{name}");
    assert_eq!([&info["classes"][0], &info["classes"][1]], ["background", "T-shirt/top"]);
    assert_eq!([&info["train"]["count"], &info["val"]["count"], &info["test"]["count"]], [12, 3, 2]);
    let shares = info["train"]["pixels"].as_array().unwrap();
    let sum: f64 = shares.iter().map(|share| share.as_f64().unwrap()).sum();
    assert!(shares.len() == 11 && (sum - 1.0).abs() < 1e-12, "{shares:?}");
    let picture = image::open(place.path("scenes.png")).unwrap().into_rgb8();
    assert_eq!((picture.width(), picture.height()), (6 * 164 + 4, 4 * 164 + 4));
    // The first scene in grey, beside it in colours.
    let coloured = |left: u32| {
        (0..128).any(|i| {
            (0..128).any(|j| {
                let [r, g, b] = picture.get_pixel(left + i, 4 + j).0;
                r != g || g != b
            })
        })
    };
    assert!(!coloured(4) && coloured(168));
    place.nothing_half_written();
    let text = place.run(&format!("data info {source}")).done().stdout;
    assert!(text.contains("training: 12 images of 128×128 pixels\n"), "{text}");
    assert!(text.contains("\n   10  Ankle boot "), "{text}");
}

#[test]
fn info_on_a_folder_of_masks() {
    let place = Place::new();
    for part in ["train", "val"] {
        for kind in ["images", "masks"] {
            std::fs::create_dir_all(place.path(&format!("cells/{part}/{kind}"))).unwrap();
            let picture = image::GrayImage::from_fn(4, 2, |x, _| image::Luma([(x / 2) as u8]));
            picture.save(place.path(&format!("cells/{part}/{kind}/one.png"))).unwrap();
        }
    }
    let info = place.run("data info cells --json").done().json();
    assert_eq!((&info["name"], &info["classes"]), (&json!("cells"), &json!(["0", "1"])));
    assert_eq!(info["val"]["pixels"], json!([0.5, 0.5]));
    let text = place.run("data info cells").done().stdout;
    assert!(
        text.starts_with("cells: images with masks of 2 classes, 1 channel\ntraining: 1 image of 2×4 pixels\n"),
        "{text}"
    );
    std::fs::remove_file(place.path("cells/val/masks/one.png")).unwrap();
    place.refuses("data info cells", 1, &["cells/val/images/one.png", "no mask of the name one"]);
}

#[test]
fn what_masks_cannot_be_is_refused() {
    let place = Place::with_data();
    place.refuses("data info scenes?canvas=20", 2, &["canvas=112 or more", "largest=0.71 or less"]);
    place.refuses("data info scenes?colour=1", 2, &["\"colour\" is not an option"]);
    place.refuses("data info data --picture p.png", 2, &["`--picture` is for images with masks"]);
    place.refuses(
        "data info scenes?train=1&val=1&test=1 --picture nowhere/p.png",
        1,
        &["nowhere/p.png", "`--picture`"],
    );
}
