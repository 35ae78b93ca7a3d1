//! `njet export`: files that others can read, and what is refused. That the networks in them are the models is tested in the
//! library; here the samples say so once more.

mod command;

use command::Place;
use njet::interop::onnx::read_tensors;
use njet::interop::tensors::TensorFile;
use safetensors::SafeTensors;
use serde_json::Value;
use std::fs;

fn names(file: &TensorFile) -> Vec<&str> {
    file.tensors().iter().map(|tensor| tensor.name.as_str()).collect()
}

#[test]
fn onnx_with_metadata_and_samples() {
    let place = Place::with_run();
    let result = place.run("export run --format onnx -o model.onnx --samples 12 --json").done().json();
    assert_eq!((&result["form"], &result["size"]), (&"dense".into(), &Value::Null));
    assert!(result["difference"].as_f64().unwrap() < 1e-5, "{result}");
    let bytes = fs::read(place.path("model.onnx")).unwrap();
    assert_eq!(result["bytes"], bytes.len());
    let tensors = read_tensors(&bytes).unwrap();
    assert_eq!(tensors.iter().map(|tensor| tensor.values.len()).sum::<usize>(), result["values"]);
    assert_eq!(tensors[0].name, "layer1.conv.weight");
    let cheaper = place.run("export run --format onnx -o cheaper.onnx --form cheaper --json").done().json();
    assert_eq!(cheaper["values"], result["values_cheaper"]);
    // Metadata are strings in the file as they are.
    let text = String::from_utf8_lossy(&bytes);
    let sigma = place.run("inspect run --json").done().json()["layers"][0]["sigma"].to_string();
    let sigma = format!("\"layer1\":{sigma}");
    for entry in ["classes", "preprocessing", "\"sizing\":\"fixed\"", "\"size\":[8,8]", sigma.as_str(), "njet-small"] {
        assert!(text.contains(entry), "no {entry}");
    }
    let samples = fs::read(place.path("model.onnx.samples.safetensors")).unwrap();
    let samples = SafeTensors::deserialize(&samples).unwrap();
    assert_eq!(samples.tensor("images").unwrap().shape()[0], 12);
    assert_eq!(samples.tensor("logits").unwrap().shape(), [12, 3]);
    assert_eq!(samples.tensor("labels").unwrap().shape(), [12]);
    let hint = place.run("export run --format onnx -o model.onnx").done().stdout;
    assert!(hint.contains("with `--form cheaper` it would be"), "{hint}");
    place.nothing_half_written();
}

#[test]
fn normalisation_inside_and_sizes() {
    let place = Place::with_run();
    let arguments =
        "export run --format onnx -o model.onnx --normalise --form separable --size 8x8 --samples 30 --json";
    let result = place.run(arguments).done().json();
    assert_eq!((&result["form"], &result["size"][1]), (&"separable".into(), &8.into()));
    assert!(result["difference"].as_f64().unwrap() < 1e-5, "{result}");
    let samples = fs::read(place.path("model.onnx.samples.safetensors")).unwrap();
    let samples = SafeTensors::deserialize(&samples).unwrap();
    let images = samples.tensor("images").unwrap().data().to_vec();
    let pixels = images.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
    assert!(pixels.into_iter().all(|pixel| (-1e-5..1.0 + 1e-5).contains(&pixel)), "pixels from 0 to 1");
    place.refuses("export run --format onnx -o new.onnx --size 12 --samples 3", 1, &["are 8×8", "another size"]);
    place.refuses("export run --format onnx -o new.onnx --size 1", 2, &["1×1 pixels are too small"]);
    place.refuses("export run --format onnx -o new.onnx --size big", 2, &["free, a side, or HEIGHTxWIDTH"]);
}

/// Both files hold the same tensors, by the names of `torch.nn`.
#[test]
fn state_dicts() {
    let place = Place::with_run();
    let result = place.run("export run --format safetensors --keep-norm -o a.safetensors --json").done().json();
    assert_eq!(result["loader"], "a.py");
    place.run("export run --format pytorch --keep-norm -o b.pth").done();
    assert_eq!(fs::read(place.path("a.py")).unwrap(), fs::read(place.path("b.py")).unwrap());
    let (a, b) = ["a.safetensors", "b.pth"].map(|name| TensorFile::open(&place.path(name)).unwrap()).into();
    let kept = ["conv.weight", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"];
    let mut found = names(&a);
    found.sort_unstable();
    let mut expected: Vec<String> = (1..=3).flat_map(|layer| kept.map(|name| format!("layer{layer}.{name}"))).collect();
    expected.extend(["linear.bias", "linear.weight"].map(str::to_owned));
    expected.sort_unstable();
    assert_eq!(found, expected);
    for tensor in a.tensors() {
        let other = b.get(&tensor.name).unwrap_or_else(|| panic!("{} is in one file alone", tensor.name));
        assert_eq!(tensor.shape, other.shape, "{}", tensor.name);
        assert_eq!(a.values(tensor).unwrap(), b.values(other).unwrap(), "{}", tensor.name);
    }
    // The same run gives the same bytes.
    let before = fs::read(place.path("a.safetensors")).unwrap();
    place.run("export run --format safetensors --keep-norm -o a.safetensors").done();
    assert_eq!(fs::read(place.path("a.safetensors")).unwrap(), before);
    place.nothing_half_written();
}

#[test]
fn a_stride_that_follows_sigma_needs_a_size() {
    let place = Place::with_data();
    place.run("train --data data --epochs 1 --subsampling safe --sigma 1.3 --batch-size 16 --out run").done();
    let words = ["images of any size cannot be exported: layer1 has a stride of", "--size 8x8"];
    place.refuses("export run --format onnx -o model.onnx --size free", 1, &words);
    let outcome = place.run("export run --format onnx -o model.onnx --samples 5 --json").done();
    assert!(outcome.stderr.contains("note: exported for images of 8×8 pixels alone: layer1"), "{}", outcome.stderr);
    let result = outcome.json();
    assert_eq!(result["size"], Value::from(vec![8, 8]));
    assert!(result["difference"].as_f64().unwrap() < 1e-5, "{result}");
}

#[test]
fn what_cannot_be_written_is_refused() {
    let place = Place::with_run();
    place.refuses("export nowhere --format onnx -o a.onnx", 1, &["nowhere is not a run"]);
    place.refuses("export run --format caffe -o a", 2, &["onnx, safetensors, pytorch"]);
    place.refuses("export run --format onnx -o a --form thick", 2, &["dense, separable, cheaper"]);
    place.refuses("export run --format onnx -o none/a.onnx", 1, &["cannot write none/a.onnx", "`--out`"]);
    place.refuses("export run --format onnx -o a.onnx --samples 0", 2, &["--samples"]);
    place.refuses("export run --format pytorch -o a.py", 2, &["name the file otherwise"]);
    fs::write(place.path("mine.py"), "print('mine')\n").unwrap();
    place.refuses("export run --format pytorch -o mine.pth", 1, &["mine.py is not a file of njet's"]);
    fs::remove_dir_all(place.path("data")).unwrap();
    let names = |place: &Place| {
        let outcome = place.run("export run --format onnx -o a.onnx").done();
        let bytes = fs::read(place.path("a.onnx")).unwrap();
        (String::from_utf8_lossy(&bytes).contains("classes"), outcome.stderr.contains("has no names of classes"))
    };
    assert_eq!(names(&place), (true, false), "kept with the run");
    let config = fs::read_to_string(place.path("run/config.toml")).unwrap();
    let lines: Vec<&str> = config.lines().filter(|line| !line.starts_with("classes = [")).collect();
    fs::write(place.path("run/config.toml"), lines.join("\n")).unwrap();
    assert_eq!(names(&place), (false, true));
    place.refuses(
        "export run --format onnx -o b.onnx --samples 2",
        1,
        &["the samples are test images of the run's data"],
    );
}
