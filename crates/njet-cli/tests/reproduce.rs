//! `njet reproduce`: every claim in its quick form, interrupted and resumed, to the same numbers.

mod command;

use command::Place;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

/// The claims and the rows of their tables.
const CLAIMS: [(&str, usize); 5] =
    [("architectures", 6), ("sizes", 10), ("starts", 8), ("transfer", 8), ("ablations", 19)];

fn quick(claim: &str) -> String {
    format!("reproduce {claim} --quick --data data --json")
}

/// The results without the times, which are the machine's.
fn numbers(mut results: Value) -> Value {
    for row in results["rows"].as_array_mut().unwrap() {
        let row = row.as_object_mut().unwrap();
        assert!(row.remove("seconds").is_some() && row.remove("seconds_per_epoch").is_some());
    }
    results
}

fn rows(results: &Value) -> &[Value] {
    results["rows"].as_array().unwrap()
}

/// Names of all cells of a table, each once.
fn cells(results: &Value) -> BTreeSet<String> {
    let cells = rows(results).iter().flat_map(|row| row["cells"].as_array().unwrap());
    cells.map(|cell| cell.as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_claim_gives_a_table_and_verdicts() {
    let place = Place::with_data();
    for (claim, count) in CLAIMS {
        let outcome = place.run(&quick(claim)).done();
        let results = outcome.json();
        assert_eq!((&results["claim"], rows(&results).len()), (&Value::from(claim), count));
        let directory = place.path("runs/reproduce-quick").join(claim);
        let written: Value = serde_json::from_slice(&fs::read(directory.join("results.json")).unwrap()).unwrap();
        assert_eq!(written, results);

        let page = fs::read_to_string(directory.join("results.md")).unwrap();
        let table: Vec<Vec<&str>> = page
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
            .map(|line| line.split(" | ").collect())
            .collect();
        assert_eq!(table.len(), 2 + count, "{page}");
        for (row, cells) in rows(&results).iter().zip(&table[2..]) {
            assert_eq!(cells.len(), table[0].len(), "{page}");
            assert!(cells.contains(&row["setting"].as_str().unwrap()), "{page}");
            let accuracy = row["accuracy"]["mean"].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&accuracy) && cells.contains(&format!("{:.2}", 100.0 * accuracy).as_str()));
        }
        let verdicts = results["verdicts"].as_array().unwrap();
        assert!(!verdicts.is_empty());
        for verdict in verdicts {
            assert!(page.contains(verdict["statement"].as_str().unwrap()), "{page}");
            assert!(page.contains(verdict["figures"].as_str().unwrap()), "{page}");
        }
        assert!(page.contains("The figures mean nothing"), "{page}");

        // Each cell is a run that other commands take.
        let cell = place.path("runs/reproduce-quick/cells").join(cells(&results).first().unwrap());
        place.run(&format!("inspect {} --json", cell.display())).done().json();
    }
    place.nothing_half_written();
}

#[test]
fn what_is_there_is_not_trained_again() {
    let place = Place::with_data();
    let sizes = place.run(&quick("sizes")).done();
    let before = place.files();
    let again = place.run(&quick("sizes")).done();
    assert_eq!(again.stdout, sizes.stdout);
    assert_eq!(again.stderr.matches("  is there\n").count(), 10, "{}", again.stderr);
    assert!(place.files() == before, "files have changed");

    // The cells of another claim are the same ones.
    let starts = place.run(&quick("starts")).done();
    assert_eq!(starts.stderr.matches("  is there\n").count(), 8, "{}", starts.stderr);
    assert!(cells(&starts.json()).is_subset(&cells(&sizes.json())));

    // With another seed the first one is there.
    let two = place.run(&(quick("starts") + " --seeds 2")).done();
    assert_eq!(two.stderr.matches("  is there\n").count(), 8, "{}", two.stderr);
    for (row, first) in rows(&two.json()).iter().zip(rows(&starts.json())) {
        let values: Vec<f64> =
            row["accuracy"]["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        assert_eq!(first["accuracy"]["values"][0], values[0]);
        let deviation = (values[0] - values[1]).abs() / 2f64.sqrt();
        assert!((row["accuracy"]["deviation"].as_f64().unwrap() - deviation).abs() < 1e-12, "{row}");
    }
    let page = fs::read_to_string(place.path("runs/reproduce-quick/starts/results.md")).unwrap();
    assert!(page.contains(" ± ") && page.contains("over 2 seeds"), "{page}");
}

#[test]
fn lost_results_come_again() {
    let place = Place::with_data();
    let whole = place.run(&quick("transfer")).done().json();
    let directory = place.path("runs/reproduce-quick/cells");
    let paths: Vec<_> = cells(&whole).iter().map(|cell| directory.join(cell)).collect();
    let [conv, njet, _] = paths.as_slice() else { panic!("{paths:?}") };
    // Of one run the results, of the other everything after its settings.
    fs::remove_file(njet.join("result.json")).unwrap();
    fs::remove_file(njet.join("transfer.json")).unwrap();
    fs::remove_dir_all(conv.join("checkpoints")).unwrap();
    ["result.json", "transfer.json", "metrics.jsonl", "model.safetensors"]
        .iter()
        .for_each(|name| fs::remove_file(conv.join(name)).unwrap());
    assert_eq!(numbers(place.run(&quick("transfer")).done().json()), numbers(whole.clone()));
    fs::remove_dir_all(conv).unwrap();
    assert_eq!(numbers(place.run(&quick("transfer")).done().json()), numbers(whole));
}

#[test]
fn killed_again_and_again_it_comes_to_the_same() {
    let place = Place::with_data();
    let whole = place.run(&(quick("ablations") + " --out whole")).done().json();
    let mut patience = Duration::from_millis(60);
    let mut killed = 0;
    let outcome = loop {
        let mut command = place.command(&(quick("ablations") + " --out interrupted"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(patience);
        let over = child.try_wait().unwrap().is_some();
        if !over {
            child.kill().unwrap();
        }
        let outcome = command::Outcome::of(child.wait_with_output().unwrap());
        if over {
            break outcome.done();
        }
        killed += 1;
        patience = patience * 5 / 4;
        assert!(patience < Duration::from_secs(30), "it does not get on: {}", outcome.stderr);
    };
    assert!(killed >= 3, "killed only {killed} times");
    assert!(outcome.stderr.contains("  is there\n"), "nothing was kept: {}", outcome.stderr);
    assert_eq!(numbers(outcome.json()), numbers(whole));
    place.nothing_half_written();
}

/// The built-in images, at the size that the quick form has for people.
#[test]
fn without_data_the_built_in_images_are_used() {
    let place = Place::new();
    let outcome = place.run("reproduce starts --quick").done();
    assert!(outcome.stdout.contains("multi-size:fashion-mnist-subset?"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("200 training images of 28×28"), "{}", outcome.stdout);
    let lines = outcome.stdout.lines().filter(|line| line.starts_with("σ learned from")).count();
    assert_eq!(lines, 4, "{}", outcome.stdout);
    assert!(outcome.stdout.contains(": learned from any start, the ends are within 1 point\n"), "{}", outcome.stdout);
    assert!(outcome.stderr.contains("8/8  σ learned from 4, seed 1  accuracy "), "{}", outcome.stderr);
}

#[test]
fn a_cell_with_other_settings_is_refused() {
    let place = Place::with_data();
    let results = place.run(&quick("transfer")).done().json();
    let name = cells(&results).first().unwrap().clone();
    let file = place.path("runs/reproduce-quick/cells").join(&name).join("config.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("batch-size = 64", "batch-size = 32")).unwrap();
    let words = [name.as_str(), "other settings", "batch-size = 32 instead of batch-size = 64", "--out"];
    place.refuses(&quick("transfer"), 1, &words);
    // A line that is not there at all.
    fs::write(&file, text.replace("limit = 200\n", "")).unwrap();
    place.refuses(&quick("transfer"), 1, &[name.as_str(), "instead of limit = 200", "--out"]);
    place.run(&(quick("transfer") + " --out elsewhere")).done();
}

#[test]
fn damaged_results_are_named() {
    let place = Place::with_data();
    let results = place.run(&quick("transfer")).done().json();
    let cell = place.path("runs/reproduce-quick/cells").join(cells(&results).first().unwrap());
    fs::write(cell.join("result.json"), "{\"parameters\":").unwrap();
    place.refuses(&quick("transfer"), 1, &["result.json is damaged", "remove it"]);
}

#[test]
fn what_cannot_be_done_is_said_in_words() {
    let place = Place::with_data();
    place.refuses("reproduce fame --quick", 2, &["unknown claim `fame`", "architectures, sizes, starts"]);
    place.refuses(&(quick("sizes") + " --seeds 0"), 2, &["at least one seed", "not 0"]);
    place.refuses(&(quick("sizes") + " --seeds 100000"), 2, &["at most 1000"]);
    place.refuses("reproduce sizes --quick --data nowhere", 2, &["nowhere", "fashion-mnist-subset"]);
    place.refuses("reproduce sizes --quick --data multi-size:data", 2, &["multi-size", "name a plain set"]);
    fs::write(place.path("notes"), "mine").unwrap();
    place.refuses(&(quick("transfer") + " --out notes"), 1, &["notes", "cannot create"]);
}

#[test]
fn transfer_needs_images_of_one_size() {
    let place = Place::new();
    for (part, class, side) in [("train", "a", 8), ("train", "b", 9), ("test", "a", 8), ("test", "b", 8)] {
        let directory = place.path("photos").join(part).join(class);
        fs::create_dir_all(&directory).unwrap();
        image::GrayImage::new(side, 8).save(directory.join("1.png")).unwrap();
    }
    place.refuses("reproduce transfer --quick --data photos", 1, &["photos", "several sizes", "are alike"]);
}

#[test]
fn windows_of_plain_convolutions() {
    let place = Place::with_data();
    place.refuses("train --data data --layer conv --conv-side 4 --out run", 2, &["4×4", "odd"]);
    place.refuses("train --data data --layer conv --conv-side 65 --out run", 2, &["65×65", "at most 63"]);
    place.refuses("train --data data --conv-side 5 --out run", 2, &["side of 5", "sigma and the extent"]);
    place.run("train --data data --layer conv --conv-side 7 --epochs 1 --out run").done();
    let described = place.run("inspect run --json").done().json();
    assert_eq!(described["layers"][1]["kernel"], serde_json::json!([7, 7]));
    // Weights of the window, and two values a channel of the normalisation.
    assert_eq!(described["layers"][1]["parameters"], 49 * 32 * 64 + 2 * 64);
    place.run("eval run").done();
}
