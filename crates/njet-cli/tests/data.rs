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
    for form in ["four IDX files", "CIFAR-10", "train/CLASS/*", "multi-size:NAME"] {
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
