//! `njet bench`: the form of what it prints. How fast anything is, is not for a test.

mod command;

use command::Place;
use serde_json::Value;

/// The one object that is printed.
fn report(arguments: &str) -> Value {
    let stdout = Place::new().run(arguments).done().stdout;
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stdout:?}"))
}

/// One of the two lists of a report.
fn list<'a>(report: &'a Value, key: &str) -> &'a [Value] {
    report[key].as_array().unwrap_or_else(|| panic!("no list of {key} in {report}"))
}

#[test]
fn quick_as_text() {
    let text = Place::new().run("bench --quick").done().stdout;
    let cells = |start: &str| -> Vec<String> {
        let line = text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start} in {text}"));
        line.split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(cells("3x16x16")[1..6], ["2", "2", "1", "7×7", "filter"]);
    assert_eq!(cells("16x16x16/16")[1..6], ["2", "2", "1", "7×7", "filter"]);
    assert_eq!(cells("njet-small")[1..6], ["njet", "2", "2", "1", "4x1x28x28"]);
    assert!(text.contains("the machine's peak is "), "{text}");
}

#[test]
fn quick_as_json() {
    let report = report("bench --quick --json");
    assert!(report["threads"].as_u64().unwrap() >= 1 && report["peak_gflops"].as_f64().unwrap() > 0.0, "{report}");
    let (rows, networks) = (list(&report, "rows"), list(&report, "networks"));
    assert_eq!([rows.len(), networks.len()], [2, 1], "{report}");
    for row in rows {
        assert_eq!(row["what"], "njet");
        for key in ["c_in", "c_out", "side", "groups", "batch", "order", "extent", "sigma", "kernel_side", "threads"] {
            assert!(row[key].as_f64().unwrap() >= 1.0, "{key}: {row}");
        }
        let times = ["forward_ms", "forward_backward_ms", "gflops", "forward_backward_gflops", "peak_gflops"];
        for key in times.into_iter().chain(["of_peak", "forward_backward_of_peak"]) {
            assert!(row[key].as_f64().unwrap() > 0.0, "{key}: {row}");
        }
        assert_eq!(row["loop_order"], "filter-then-mix");
    }
    let network = &networks[0];
    assert_eq!(network["what"], "njet-small-njet");
    assert_eq!(network["parameters"], 50_701);
    for key in ["train_step_ms", "train_images_per_second", "inference_ms", "inference_images_per_second"] {
        assert!(network[key].as_f64().unwrap() > 0.0, "{key}: {network}");
    }
    assert!(network["peak_memory_bytes"].is_null() || network["peak_memory_bytes"].as_f64().unwrap() > 1e6);
}

#[test]
fn lists_are_combined() {
    let settings =
        "--quick --json --shapes 4x6x8/2,2x2x5 --orders 0,3 --extents 2,4 --sigmas 0.5,1 --batch 1 --threads 1";
    let report = report(&format!("bench layers {settings}"));
    assert!(list(&report, "networks").is_empty());
    let rows = list(&report, "rows");
    assert_eq!(rows.len(), 2 * 2 * 2 * 2);
    let [first, last] = [&rows[0], &rows[15]];
    assert_eq!([&first["groups"], &first["order"], &first["kernel_side"]], [2, 0, 5]);
    assert_eq!([&last["c_in"], &last["order"], &last["kernel_side"]], [2, 3, 11]);
    assert!(rows.iter().all(|row| row["threads"] == 1 && row["batch"] == 1));
}

#[test]
fn a_band_limit_is_taken() {
    let settings = "--quick --json --shapes 4x4x64 --sigmas 8";
    let steps = |more: &str| {
        let report = report(&format!("bench layers {settings} {more}"));
        let row = &list(&report, "rows")[0];
        ["band_step", "band_step_backward"].map(|key| row[key][0].as_u64().unwrap())
    };
    assert!(steps("--extents 5 --band-limit 1e-5").iter().all(|&step| step > 1));
    assert_eq!(steps("--extents 5"), [1, 1]);
    assert_eq!(steps("--extents 2 --band-limit 1e-5"), [1, 1]);
}

/// The twin has no σ, so it is measured once; memory is that of a fresh process, so only the first has it.
#[test]
fn networks_of_either_kind() {
    let report = report("bench networks --quick --json --layer njet,conv --sigmas 1,2");
    assert!(list(&report, "rows").is_empty());
    let rows = list(&report, "networks");
    let names: Vec<_> = rows.iter().map(|row| (row["what"].as_str().unwrap(), row["sigma"].as_f64())).collect();
    assert_eq!(names, [("njet-small-njet", Some(1.0)), ("njet-small-njet", Some(2.0)), ("njet-small-conv", None)]);
    assert!(rows[1]["peak_memory_bytes"].is_null() && rows[2]["peak_memory_bytes"].is_null());
}

#[track_caller]
fn wrong(settings: &str, words: &[&str]) {
    Place::new().refuses(&format!("bench {settings} --quick"), 2, words);
}

macro_rules! wrong {
    ($($name:ident: $settings:literal => [$($word:literal),+];)+) => {
        $(#[test] fn $name() { wrong($settings, &[$($word),+]); })+
    };
}

wrong! {
    what_it_does_not_know: "images" => ["images", "layers, networks, all"];
    shape_of_two_numbers: "--shapes 3x4" => ["--shapes", "3x4", "96x192x32, 64x64x64/64"];
    shape_of_nothing: "--shapes 3x0x4" => ["--shapes", "3x0x4", "positive"];
    groups_that_do_not_divide: "--shapes 8x8x8/3" => ["shape 8x8x8/3", "cannot be divided into 3 groups"];
    shape_too_large: "--shapes 4096x4096x4096" => ["shape 4096x4096x4096", "more than the 67 108 864", "smaller shape"];
    shape_beyond_memory: "--shapes 18446744073709551615x2x2" => ["the input would have more elements than memory"];
    batch_too_large: "networks --arch nin --batch 60000" => ["nin, batch 60000", "choose a smaller", "--batch"];
    batch_of_none: "--batch 0" => ["--batch", "0"];
    no_runs: "--runs 0" => ["--runs", "0"];
    runs_negative: "--runs -1" => ["--runs", "-1"];
    no_threads: "--threads 0" => ["--threads", "0"];
    order_11: "--orders 2,11" => ["derivative order 11 is too high", "0 to 10"];
    sigma_0: "--sigmas 1,0" => ["sigma = 0 is not a scale", "above 0"];
    sigma_of_networks: "networks --sigmas -1" => ["sigma = -1 is not a scale", "above 0"];
    sigma_no_number: "--sigmas wide" => ["--sigmas", "wide"];
    extent_0: "--extents 0" => ["extent = 0 is not a filter extent", "above 0"];
    beyond_the_largest_radius: "--sigmas 4000" => ["radius 8001 is out of range"];
    unknown_architecture: "--arch vgg" => ["--arch", "unknown architecture `vgg`"];
    unknown_layer: "--layer pool" => ["--layer", "unknown layer `pool`"];
    networks_where_only_layers: "layers --arch nin" => ["--arch is for networks", "`njet bench layers`"];
    band_limit_of_nothing: "layers --band-limit 0" => ["--band-limit 0", "above 0", "1e-5"];
    band_limit_where_only_networks: "networks --band-limit 1e-5" => ["--band-limit is for layers"];
    shapes_where_only_networks: "networks --shapes 3x4x5" => ["--shapes is for layers", "`njet bench networks`"];
}
