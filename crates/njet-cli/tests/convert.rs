//! `njet convert` and `njet import`: what they report, what they write, what they refuse.

mod command;

use command::Place;
use serde_json::Value;
use std::fs;

/// Data, and a run of plain convolutions in `plain`.
fn plain() -> Place {
    let place = Place::with_data();
    place.run("train --data data --layer conv --epochs 4 --batch-size 16 --out plain").done();
    place
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_plain_network_becomes_one_of_njets() {
    let place = plain();
    let result = place.run("convert plain --out start --no-training --json").done().json();
    let before = number(&place.run("eval plain --json").done().json()["accuracy"]);
    let after = number(&place.run("eval start --json").done().json()["accuracy"]);
    assert_eq!([number(&result["accuracy"]["before"]), number(&result["accuracy"]["after"])], [before, after]);
    assert_eq!(result["accuracy"]["after_one_epoch"], Value::Null);
    // What is lost of the filters is little: it costs one of 30 images at most. A converted network may be the better one.
    assert!(before - after < 0.05, "{result}");
    let layers = result["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 3);
    let inspected = place.run("inspect start --json").done().json();
    for (number_of, layer) in layers.iter().enumerate() {
        assert!(
            number(&layer["error"]) <= 0.01
                && layer["order"].as_u64().unwrap() <= 4
                && number(&layer["sigma"][0]) > 0.5,
            "{layer}"
        );
        assert_eq!(layer["window"], serde_json::json!([3, 3]));
        let shown = &inspected["layers"][number_of];
        assert_eq!((&shown["name"], &shown["kind"]), (&layer["name"], &"njet".into()));
        assert!((number(&shown["sigma"][0]) / number(&layer["sigma"][0]) - 1.0).abs() < 1e-5, "{shown} {layer}");
    }
    assert_eq!(inspected["parameters"], result["parameters"][1]);
    let config = fs::read_to_string(place.path("start/config.toml")).unwrap();
    assert!(
        config.contains("[origin]\nrun = \"plain\"\nby = \"convert\"\n") && config.contains("layer = \"njet\""),
        "{config}"
    );
    // A tenth of the learning rates.
    assert!(config.contains("\nlr = 0.001\nsigma-lr = 0.001\n"), "{config}");

    // The lower the error, the higher the orders; training goes on from the weights, not from the start.
    let coarse = place.run("convert plain --out coarse --no-training --max-error 0.6 --json").done().json();
    let order = |result: &Value| -> u64 {
        result["layers"].as_array().unwrap().iter().map(|l| l["order"].as_u64().unwrap()).sum()
    };
    assert!(order(&coarse) < order(&result), "{coarse}");
    place.nothing_half_written();
}

#[test]
fn training_goes_on_from_there() {
    let place = plain();
    let result = place.run("convert plain --out next --json").done().json();
    let trained = number(&result["accuracy"]["after_one_epoch"]);
    assert_eq!(number(&place.run("eval next --json").done().json()["accuracy"]), trained);
    let metrics = place.metrics("next");
    assert_eq!(metrics.len(), 1);
    // The first epoch of the plain run began with random weights, this one with those of its last.
    let (first, last) = (place.metrics("plain")[0].clone(), place.metrics("plain")[3].clone());
    let loss = |record: &Value| number(&record["train_loss"]);
    assert!(loss(&metrics[0]) < 0.5 * (loss(&first) + loss(&last)), "{metrics:?} after {first} and {last}");

    // Interrupted before its first checkpoint it begins with the same weights, and so comes to the same numbers.
    let again = place.run("convert plain --out again --no-training --json").done().json();
    assert_eq!(again["accuracy"]["after"], result["accuracy"]["after"]);
    let ended = place.run("train --resume again --json").done().json();
    assert_eq!(ended["epochs"], 4);
    let same = |a: &Value, b: &Value| {
        assert_eq!((&a["train_loss"], &a["val_loss"], &a["sigma"]), (&b["train_loss"], &b["val_loss"], &b["sigma"]))
    };
    same(&place.metrics("again")[0], &metrics[0]);
    place.run("train --resume next").done();
    same(&place.metrics("next")[3], &place.metrics("again")[3]);
    place.run("report next").done();
}

#[test]
fn what_cannot_be_converted_is_refused() {
    let place = Place::with_run();
    place.refuses("convert run --out other", 1, &["spatial layers are N-jets already", "--layer conv"]);
    place.refuses("convert absent --out other", 1, &["absent is not a run"]);
    let place = plain();
    place.refuses("convert plain --out plain --no-training", 1, &["plain already holds a run", "--out"]);
    place.refuses("convert plain --out other --max-error 2", 2, &["the error is 2: it must be a part from 0 to 1"]);
    place.refuses("convert plain --out other --order 11", 2, &["the highest order is 11: it must be at most 10"]);
    place.refuses("convert plain --out other --extent -1", 2, &["extent = -1 is not a filter extent"]);
    place.refuses("convert plain --out other --sigma-sharing input", 2, &["layer or output"]);
    place.refuses("convert plain --out other --lr 7", 2, &["the learning rate is 7"]);
}

/// The model of a run as the state dict of another program.
fn write_state_dict(place: &Place, run: &str, to: &str) {
    use njet::interop::tensors::TensorFile;
    use safetensors::tensor::{Dtype, TensorView, serialize};
    let file = TensorFile::open(&place.path(run).join("model.safetensors")).unwrap();
    let mut tensors = Vec::new();
    let index_of = |name: &str| name.split('.').nth(1).unwrap().parse::<usize>().unwrap();
    for entry in file.tensors() {
        let values = file.values(entry).unwrap();
        let field = entry.name.rsplit('.').next().unwrap();
        let (name, shape, values) = match field {
            "weight" if entry.name.starts_with("linear") => {
                let [inputs, outputs] = entry.shape[..] else { panic!("{entry:?}") };
                let turned = (0..outputs).flat_map(|o| (0..inputs).map(move |i| (i, o)));
                ("fc.weight".to_owned(), vec![outputs, inputs], turned.map(|(i, o)| values[i * outputs + o]).collect())
            }
            "bias" => ("fc.bias".to_owned(), entry.shape.clone(), values),
            "weight" => (format!("features.{}.weight", 2 * index_of(&entry.name)), entry.shape.clone(), values),
            other => {
                let name = match other {
                    "gamma" => "weight",
                    "beta" => "bias",
                    other => other,
                };
                (format!("features.{}.{name}", 2 * index_of(&entry.name) + 1), entry.shape.clone(), values)
            }
        };
        tensors.push((name, shape, values.into_iter().flat_map(f32::to_le_bytes).collect::<Vec<u8>>()));
    }
    let views =
        tensors.iter().map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    fs::write(place.path(to), serialize(views, None).unwrap()).unwrap();
}

#[test]
fn a_checkpoint_becomes_a_run_and_is_converted() {
    let place = plain();
    write_state_dict(&place, "plain", "net.safetensors");
    let result = place.run("import net.safetensors --arch njet-small --data data --out imported --json").done().json();
    assert_eq!((&result["layer"], &result["classes"], &result["order"]), (&"conv".into(), &3.into(), &Value::Null));
    let accuracy = |run: &str| place.run(&format!("eval {run} --json")).done().json();
    assert_eq!(accuracy("imported"), accuracy("plain"));
    assert_eq!(place.run("inspect imported --json").done().json(), place.run("inspect plain --json").done().json());
    place.refuses("train --resume imported", 1, &["made from net.safetensors by `njet import`"]);
    place.run("convert imported --out start --no-training").done();

    place.refuses(
        "import net.safetensors --arch njet-small --data fashion-mnist-subset --out other",
        1,
        &["3 classes", "10"],
    );
    place.refuses(
        "import net.safetensors --arch njet-small --subsampling safe --out other",
        2,
        &["no safe subsampling"],
    );
    place.run("import net.safetensors --arch njet-small --subsampling none --mean 0.25 --std 0.5 --out plainer").done();
    let settings = fs::read_to_string(place.path("plainer/config.toml")).unwrap();
    for line in ["subsampling = \"none\"\n", "mean = 0.25\n", "std = 0.5\n", "sizing = \"letterbox\"\n"] {
        assert!(settings.contains(line), "no {line:?} in {settings}");
    }

    // Without data it can be tested and looked with as soon as there are some.
    let text = place.run("import net.safetensors --arch njet-small --size 8 --out bare").done().stdout;
    assert!(text.contains("net.safetensors: njet-small with conv layers, 1 channels, 3 classes"), "{text}");
    place.refuses("eval bare", 2, &["was made without data", "--data"]);
    place.refuses("convert bare --out other", 1, &["bare was made without data", "--data"]);
    place.refuses("train --resume bare", 1, &["bare was made without data", "--data"]);
    place.run("eval bare --data data").done();
    place.run("report bare").done();

    place.refuses(
        "import net.safetensors --arch nin --out other",
        1,
        &["net.safetensors does not fit nin: ", "linear layers (fc)"],
    );
    place.refuses(
        "import net.safetensors --arch efficientnet-b0 --out other",
        2,
        &["checkpoints of efficientnet-b0 are not known"],
    );
    place.refuses("import net.safetensors --arch vgg --out other", 2, &["unknown architecture"]);
    place.refuses("import absent.pth --arch nin --out other", 1, &["cannot read absent.pth"]);
    place.refuses("import net.safetensors --arch njet-small --out plain", 1, &["plain already holds a run"]);
    place.refuses("import net.safetensors --arch njet-small --std 0 --out other", 2, &["--std a number above 0"]);
    let mut bytes = fs::read(place.path("net.safetensors")).unwrap();
    bytes.truncate(bytes.len() - 4);
    fs::write(place.path("cut.safetensors"), bytes).unwrap();
    place.refuses("import cut.safetensors --arch njet-small --out other", 1, &["the safetensors file is damaged"]);
    fs::write(place.path("hostile.pth"), b"\x80\x02cposix\nsystem\nX\x04\0\0\0true\x85R.").unwrap();
    place.refuses(
        "import hostile.pth --arch nin --out other",
        1,
        &["asks for \"posix.system\"", "nothing is executed"],
    );
}
