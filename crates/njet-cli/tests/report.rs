//! `njet report`: one page that needs nothing else, and tells the truth about its run.

mod command;
mod page;

use command::{Outcome, Place};
use page::{Tag, tags};
use serde_json::Value;
use std::fs;

fn report(place: &Place, run: &str) -> Vec<Tag> {
    place.run(&format!("report {run}")).done();
    tags(&fs::read_to_string(place.path(run).join("report.html")).expect("the page"))
}

/// The text of the element with this id.
#[track_caller]
fn section<'a>(tags: &'a [Tag], id: &str) -> &'a str {
    &tags.iter().find(|tag| tag.attribute("id") == Some(id)).unwrap_or_else(|| panic!("no section {id}")).text
}

fn has_section(tags: &[Tag], id: &str) -> bool {
    tags.iter().any(|tag| tag.attribute("id") == Some(id))
}

/// Exact values of the numbers on the page.
fn values(tags: &[Tag]) -> Vec<f64> {
    tags.iter().filter(|tag| tag.name == "data").map(|tag| tag.attribute("value").unwrap().parse().unwrap()).collect()
}

#[test]
fn the_page_is_whole() {
    let place = Place::with_run();
    let tags = report(&place, "run");
    for id in ["training", "layers", "filters", "scale", "confusion", "mistakes", "settings"] {
        assert!(!section(&tags, id).is_empty(), "{id}");
    }
    assert!(section(&tags, "settings").contains("batch-size = 16"));
    // Three charts over the epochs, one over the scales, a receptive field for each of three layers.
    assert_eq!(tags.iter().filter(|tag| tag.name == "svg").count(), 7);
    place.nothing_half_written();
}

#[test]
fn the_page_needs_nothing_else() {
    let place = Place::with_run();
    let tags = report(&place, "run");
    for Tag { name, attributes, text } in &tags {
        assert!(!["script", "link", "iframe", "object", "embed", "base", "form"].contains(&name.as_str()), "{name}");
        for (attribute, value) in attributes {
            assert!(!attribute.starts_with("on"), "{attribute}");
            if ["src", "href", "srcset", "poster", "action"].contains(&attribute.as_str()) {
                assert!(value.starts_with("data:image/png;base64,"), "{attribute}={value:.60}");
            }
            assert!(!value.contains("://") && !value.contains("url("), "{attribute}={value:.60}");
        }
        if name == "style" {
            assert!(!text.contains("url(") && !text.contains("@import") && !text.contains("://"), "{text}");
        }
    }
}

#[test]
fn people_who_do_not_see_it_are_told() {
    let place = Place::with_run();
    let tags = report(&place, "run");
    for tag in &tags {
        match tag.name.as_str() {
            "img" => assert!(!tag.attribute("alt").unwrap_or("").is_empty(), "{tag:?}"),
            "svg" => assert!(
                tag.attribute("role") == Some("img") && tag.attribute("aria-label").unwrap().len() > 20,
                "{tag:?}"
            ),
            "html" => assert_eq!(tag.attribute("lang"), Some("en")),
            "th" => assert!(tag.attribute("scope").is_some(), "{tag:?}"),
            "table" => assert!(!tag.text.is_empty()),
            _ => {}
        }
    }
    let count = |name: &str| tags.iter().filter(|tag| tag.name == name).count();
    assert_eq!(count("caption"), count("table"));
    assert_eq!((count("h1"), count("main")), (1, 1));
    assert_eq!(tags.iter().find(|tag| tag.name == "title").unwrap().text, "run: njet report");
    let ids: Vec<&str> = tags.iter().filter_map(|tag| tag.attribute("id")).collect();
    for tag in &tags {
        if let Some(id) = tag.attribute("aria-labelledby") {
            assert_eq!(ids.iter().filter(|known| **known == id).count(), 1, "{id}");
        }
    }
}

#[test]
fn the_numbers_are_those_of_the_run() {
    let place = Place::with_run();
    let values = values(&report(&place, "run"));
    let has = |wanted: &Value| assert!(values.contains(&wanted.as_f64().unwrap()), "{wanted} is not on the page");
    for line in place.metrics("run") {
        for key in ["train_loss", "train_accuracy", "val_loss", "val_accuracy", "seconds"] {
            has(&line[key]);
        }
        line["sigma"].as_object().unwrap().values().for_each(|sigma| has(&sigma[0]));
    }
    let evaluated = place.run("eval run --scales 0.5,2 --rescale --json").done().json();
    has(&evaluated["accuracy"]);
    for row in evaluated["by_scale"].as_array().unwrap() {
        has(&row["accuracy"]);
        has(&row["rescaled_accuracy"]);
    }
    let described = place.run("inspect run --json").done().json();
    has(&described["parameters"]);
    for layer in described["layers"].as_array().unwrap() {
        has(&layer["multiply_adds"]);
    }
}

#[test]
fn every_layer_is_named() {
    let place = Place::with_data();
    place.run("train --data data --arch nin --limit 20 --epochs 1 --out run").done();
    let tags = report(&place, "run");
    let described = place.run("inspect run --json").done().json();
    for layer in described["layers"].as_array().unwrap() {
        let name = layer["name"].as_str().unwrap();
        assert!(section(&tags, "layers").contains(name), "{name}");
        if layer["kind"] == "njet" {
            assert!(section(&tags, "filters").contains(&format!("{name}: σ ")), "{name}");
            assert!(section(&tags, "training").contains(&format!("σ {name}")), "{name}");
        }
    }
    // At most 48 filters a layer.
    let lists: Vec<&Tag> = tags.iter().filter(|tag| tag.attribute("class") == Some("filters")).collect();
    assert_eq!(lists.len(), 3);
    assert_eq!(
        tags.iter().filter(|tag| tag.name == "img" && tag.attribute("alt").unwrap().starts_with("channel ")).count(),
        3 * 48
    );
}

#[test]
fn the_confusion_counts_every_image() {
    let place = Place::with_run();
    let tags = report(&place, "run");
    let titles = tags.iter().filter(|tag| tag.name == "td").filter_map(|tag| tag.attribute("title"));
    let cells: Vec<(bool, u64)> = titles
        .map(|title| {
            let (classes, count) = title.rsplit_once(": ").unwrap();
            let (truth, predicted) = classes.split_once(" predicted ").unwrap();
            (truth == predicted, count.parse().unwrap())
        })
        .collect();
    assert_eq!(cells.len(), 9);
    assert_eq!(cells.iter().map(|(_, count)| count).sum::<u64>(), 30);
    let right: u64 = cells.iter().filter(|(right, _)| *right).map(|(_, count)| count).sum();
    let evaluated = place.run("eval run --json").done().json();
    assert_eq!(right as f64 / 30.0, evaluated["accuracy"].as_f64().unwrap());
    // As many mistakes as there are, up to 24.
    let shown =
        tags.iter().filter(|tag| tag.name == "img" && tag.attribute("alt").unwrap().contains("taken for")).count();
    assert_eq!(shown as u64, (30 - right).min(24));
}

#[test]
fn the_path_is_told() {
    let place = Place::with_run();
    let Outcome { stdout, .. } = place.run("report run").done();
    assert_eq!(stdout, "run/report.html\n");
    let Outcome { stdout, .. } = place.run("report run -o page.html").done();
    assert_eq!(stdout, "page.html\n");
    assert_eq!(fs::read(place.path("page.html")).unwrap(), fs::read(place.path("run/report.html")).unwrap());
    let told = place.run("report run --out other.html --json").done().json();
    assert_eq!(told["report"], "other.html");
}

#[test]
fn names_are_text_and_not_markup() {
    let place = Place::with_data();
    let name = "<b>&'\"run";
    let train = |out: &str| place.command("train --data data --epochs 1 --out").arg(out).output().unwrap();
    Outcome::of(train(name)).done();
    Outcome::of(place.command("report -o page.html").arg(name).output().unwrap()).done();
    let tags = tags(&fs::read_to_string(place.path("page.html")).unwrap());
    let heading = tags.iter().find(|tag| tag.name == "h1").unwrap();
    assert_eq!(heading.text, name);
    assert!(tags.iter().filter(|tag| tag.name == "b").all(|tag| !tag.text.contains("run")));
}

#[test]
fn a_run_without_a_model_says_so() {
    let place = Place::with_run();
    fs::remove_file(place.path("run/model.safetensors")).unwrap();
    fs::remove_dir_all(place.path("run/checkpoints")).unwrap();
    fs::remove_file(place.path("run/metrics.jsonl")).unwrap();
    let outcome = place.run("report run").done();
    assert!(outcome.stderr.contains("run has no model yet"), "{}", outcome.stderr);
    let tags = tags(&fs::read_to_string(place.path("run/report.html")).unwrap());
    let body = &tags.iter().find(|tag| tag.name == "body").unwrap().text;
    assert!(body.contains("run has no model yet") && body.contains("No epoch has ended yet"), "{body}");
    assert!(has_section(&tags, "settings") && !has_section(&tags, "layers") && !has_section(&tags, "training"));
}

#[test]
fn a_run_of_one_epoch_and_of_plain_convolutions() {
    let place = Place::with_data();
    place.run("train --data data --layer conv --epochs 1 --out run").done();
    let tags = report(&place, "run");
    assert!(has_section(&tags, "training") && has_section(&tags, "confusion"));
    assert!(!has_section(&tags, "filters"), "there is no N-jet");
    assert!(section(&tags, "scale").contains("no σ that could be rescaled"));
}

#[test]
fn without_its_data_the_rest_is_there() {
    let place = Place::with_run();
    fs::rename(place.path("data"), place.path("moved")).unwrap();
    let told = place.run("report run --json").done().json();
    assert_eq!(told["missing"].as_array().unwrap().len(), 1);
    let tags = tags(&fs::read_to_string(place.path("run/report.html")).unwrap());
    let body = &tags.iter().find(|tag| tag.name == "body").unwrap().text;
    assert!(body.contains("Nothing could be tested"), "{body}");
    assert!(has_section(&tags, "training") && has_section(&tags, "filters") && !has_section(&tags, "confusion"));
}

#[test]
fn a_transferred_run_is_tested_at_its_own_size() {
    let place = Place::with_run();
    place.run("transfer run --scale 2 --out double").done();
    let tags = report(&place, "double");
    let body = &tags.iter().find(|tag| tag.name == "body").unwrap().text;
    assert!(body.contains("took them from run and multiplied every σ by 2"), "{body}");
    let evaluated = place.run("eval double --scales 2 --json").done().json();
    let headline = tags.iter().find(|tag| tag.name == "dl").unwrap();
    let accuracy = 100.0 * evaluated["by_scale"][0]["accuracy"].as_f64().unwrap();
    assert!(headline.text.contains(&format!("{accuracy:.2}\u{202f}%")), "{}", headline.text);
}

#[test]
fn pages_that_cannot_be_written() {
    let place = Place::with_run();
    place.refuses("report nothing", 1, &["nothing is not a run"]);
    place.refuses("report run -o nowhere/page.html", 1, &["cannot write nowhere/page.html", "`--out`"]);
    place.refuses("report run -o data", 1, &["cannot write data", "`--out`"]);
    fs::write(place.path("run/metrics.jsonl"), "{\"epoch\":1}\n").unwrap();
    place.refuses(
        "report run",
        1,
        &["run/metrics.jsonl is damaged: line 1", "`njet train --resume run` writes it anew"],
    );
}

/// Many layers: some of them are named and drawn, all of them are there.
#[test]
fn a_deep_network() {
    let place = Place::with_data();
    place.run("train --data data --arch resnet20 --limit 20 --epochs 1 --out run").done();
    let tags = report(&place, "run");
    let described = place.run("inspect run --json").done().json();
    let layers = described["layers"].as_array().unwrap();
    for layer in layers {
        assert!(section(&tags, "layers").contains(layer["name"].as_str().unwrap()), "{layer}");
    }
    let njets = layers.iter().filter(|layer| layer["kind"] == "njet").count();
    let lists = tags.iter().filter(|tag| tag.attribute("class") == Some("filters"));
    assert_eq!((lists.count(), njets), (19, 19));
    let charts = tags.iter().filter(|tag| tag.name == "svg").count();
    // Loss, accuracy, σ and scale, and eight of the receptive fields.
    assert_eq!(charts, 4 + 8);
    let lines = tags.iter().filter(|tag| tag.name == "polyline").count();
    assert_eq!(lines, 2 + 2 + 19 + 2);
}

/// Image files of several sizes are shown as the model sees them.
#[test]
fn images_of_mixed_sizes() {
    let place = Place::new();
    for (part, count) in [("train", 6), ("test", 3)] {
        for (class, red) in [("cat", 200), ("dog", 40)] {
            fs::create_dir_all(place.path(&format!("pets/{part}/{class}"))).unwrap();
            for i in 0..count {
                let image = image::RgbImage::from_fn(9 + i, 14 - i, |x, _| image::Rgb([red, 10 * x as u8, 90]));
                image.save(place.path(&format!("pets/{part}/{class}/{i}.png"))).unwrap();
            }
        }
    }
    place.run("train --data pets --epochs 2 --batch-size 4 --out run").done();
    let tags = report(&place, "run");
    assert!(section(&tags, "confusion").contains("cat") && section(&tags, "confusion").contains("dog"));
    let evaluated = place.run("eval run --scales 2 --rescale --json").done().json();
    let values = values(&tags);
    for value in [&evaluated["accuracy"], &evaluated["by_scale"][0]["rescaled_accuracy"]] {
        assert!(values.contains(&value.as_f64().unwrap()), "{value}");
    }
    let predicted = place.run("predict run pets/test/cat/0.png pets/test/dog/2.png --json").done().json();
    for image in predicted["images"].as_array().unwrap() {
        assert!(["cat", "dog"].contains(&image["label"].as_str().unwrap()), "{image}");
    }
}
