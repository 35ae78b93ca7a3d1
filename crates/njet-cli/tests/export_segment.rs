//! `njet export` of runs that segment. That the networks in the files are the models is tested in the library; here the
//! samples say so once more.

mod command;

use command::{Place, scenes};
use image::{GrayImage, Luma};
use njet::interop::tensors::TensorFile;
use safetensors::SafeTensors;
use serde_json::Value;
use std::fs;

const SMALL: &str =
    "train --task segment --data data --widths 4,8 --convolutions 2,2 --crop 16 --batch-size 2 --epochs 1 --out run";

fn with_run(flags: &str) -> Place {
    let place = Place::new();
    scenes::write(&place.path("data"));
    place.run(&format!("{SMALL} {flags}")).done();
    place
}

/// One more test scene, of another size than the others.
fn another_size(place: &Place) {
    let [image, mask] = ["images", "masks"].map(|kind| place.path("data/val").join(kind).join("larger.png"));
    GrayImage::from_pixel(31, 25, Luma([90])).save(image).unwrap();
    GrayImage::from_pixel(31, 25, Luma([1])).save(mask).unwrap();
}

/// Odd sizes: the poolings need more columns than the images have.
#[test]
fn onnx_with_metadata_and_samples() {
    let place = with_run("");
    let result = place.run("export run --format onnx -o model.onnx --samples 12 --json").done().json();
    assert_eq!((&result["task"], &result["form"], &result["size"]), (&"segment".into(), &"dense".into(), &Value::Null));
    assert!(result["difference"].as_f64().unwrap() < 1e-5, "{result}");
    let bytes = fs::read(place.path("model.onnx")).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let sigma = place.run("inspect run --json").done().json();
    let sigma = sigma["layers"].as_array().unwrap().iter().find(|layer| layer["name"] == "up0.step").unwrap();
    let sigma = format!("\"up0.step\":{}", sigma["sigma"]);
    for entry in [r#"["ground","disc","square"]"#, r#""sizing":"own""#, r#""size":[16,16]"#, "unet", "segment", &sigma]
    {
        assert!(text.contains(entry), "no {entry}");
    }
    let samples = fs::read(place.path("model.onnx.samples.safetensors")).unwrap();
    let samples = SafeTensors::deserialize(&samples).unwrap();
    let shape = |name: &str| samples.tensor(name).unwrap().shape().to_vec();
    assert_eq!([shape("images"), shape("logits")], [[2, 1, 20, 23], [2, 3, 20, 23]]);
    assert_eq!(shape("labels"), [2, 20, 23]);
    let floats = |name: &str| -> Vec<f32> {
        let bytes = samples.tensor(name).unwrap().data().to_vec();
        bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
    };
    let mut classes = floats("labels");
    classes.sort_by(f32::total_cmp);
    classes.dedup();
    assert_eq!(classes, [0.0, 1.0, 2.0]);
    let said = place.run("export run --format onnx -o model.onnx --form separable --size 21x30").done().stdout;
    assert!(
        said.contains("[batch, 1, 21, 30]") && said.contains("[batch, 3, 21, 30]: logits of every pixel"),
        "{said}"
    );
    place.nothing_half_written();
}

#[test]
fn state_dicts_for_torch() {
    let place = with_run("--layer conv");
    let arguments = "export run --format pytorch -o model.pth --keep-norm --normalise --samples 2 --json";
    let result = place.run(arguments).done().json();
    assert_eq!((&result["loader"], &result["input"]), (&"model.py".into(), &"pixel / 255".into()));
    assert!(result["difference"].as_f64().unwrap() < 1e-5, "{result}");
    let file = TensorFile::open(&place.path("model.pth")).unwrap();
    let shape = |name: &str| file.get(name).unwrap_or_else(|| panic!("no {name}")).shape.clone();
    assert_eq!(shape("down0.conv1.conv.weight"), [4, 1, 3, 3]);
    assert_eq!(shape("down0.conv1.norm.running_mean"), [4]);
    // A transposed convolution of 2×2: input channels first.
    assert_eq!(shape("up0.step.weight"), [8, 4, 2, 2]);
    assert_eq!((shape("head.weight"), shape("head.bias")), (vec![3, 4, 1, 1], vec![3]));
    let samples = fs::read(place.path("model.pth.samples.safetensors")).unwrap();
    let images = SafeTensors::deserialize(&samples).unwrap().tensor("images").unwrap().data().to_vec();
    let pixels = images.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
    assert!(pixels.into_iter().all(|pixel| (0.0..=1.0).contains(&pixel)), "pixels from 0 to 1");
}

#[test]
fn a_stride_that_follows_sigma_needs_a_size() {
    let place = with_run("--subsampling safe --sigma 1.1");
    let words = ["images of any size cannot be exported: down1.conv1 has a stride of", "use `--size 20x23`"];
    place.refuses("export run --format onnx -o model.onnx --size free", 1, &words);
    let outcome = place.run("export run --format onnx -o model.onnx --samples 5 --json").done();
    assert!(outcome.stderr.contains("note: exported for images of 20×23 pixels alone"), "{}", outcome.stderr);
    let result = outcome.json();
    assert_eq!(result["size"], Value::from(vec![20, 23]));
    assert!(result["difference"].as_f64().unwrap() < 1e-5, "{result}");

    another_size(&place);
    let words =
        ["the test scenes have sizes of their own, from 20x23 to 25x31", "choose one with `--size HEIGHTxWIDTH`"];
    place.refuses("export run --format onnx -o new.onnx", 1, &words);
    place.refuses("export run --format onnx -o new.onnx --size free", 1, &["use `--size HEIGHTxWIDTH`"]);
    let result = place.run("export run --format onnx -o new.onnx --size 25x31 --samples 9 --json").done().json();
    assert!(result["difference"].as_f64().unwrap() < 1e-5, "{result}");
    fs::remove_dir_all(place.path("data")).unwrap();
    place.refuses("export run --format onnx -o other.onnx", 1, &["the data of the run cannot be read", "`--size"]);
}

#[test]
fn samples_have_one_size() {
    let place = with_run("");
    another_size(&place);
    let outcome = place.run("export run --format onnx -o model.onnx --samples 9 --json").done();
    assert!(outcome.stderr.contains("they are test scenes of 20x23 pixels"), "{}", outcome.stderr);
    let words = ["no test scene has 9x9 pixels", "`--size 20x23`", "`--samples`"];
    place.refuses("export run --format onnx -o new.onnx --size 9 --samples 2", 1, &words);
    // The names of the classes are kept with the run, in older ones they are those of the data.
    fs::remove_dir_all(place.path("data")).unwrap();
    let outcome = place.run("export run --format onnx -o model.onnx").done();
    assert!(!outcome.stderr.contains("note"), "{}", outcome.stderr);
    let words = ["the samples are test scenes of the run's data"];
    place.refuses("export run --format onnx -o new.onnx --samples 2", 1, &words);
    let config = fs::read_to_string(place.path("run/config.toml")).unwrap();
    let kept: Vec<&str> = config.lines().filter(|line| !line.starts_with("classes = [")).collect();
    fs::write(place.path("run/config.toml"), kept.join("\n")).unwrap();
    let outcome = place.run("export run --format onnx -o model.onnx").done();
    assert!(outcome.stderr.contains("the file has no names of classes"), "{}", outcome.stderr);
}
