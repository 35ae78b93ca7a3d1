//! `njet fit`: what it reports, what it writes, what it refuses.

mod command;

use command::Place;
use njet::interop::tensors::TensorFile;
use njet_basis::{TapSpec, Taps, kernel};
use std::fs;
use std::path::Path;

/// A file of NumPy.
fn write_npy(path: &Path, shape: &str, values: &[f64]) {
    let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let mut bytes = b"\x93NUMPY\x01\0".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

/// Two filters that are N-jets of the scales 1 and 1.6, on windows of 11×11.
fn jets() -> Vec<f64> {
    let of = |sigma: f64, alpha: [f64; 6]| {
        let taps = Taps::with_radius(&TapSpec::new(sigma, 4.0, 2), 5).unwrap();
        kernel(&alpha, &taps, &taps).unwrap()
    };
    [of(1.0, [0.2, 1.0, -0.4, 0.3, 0.9, -0.7]), of(1.6, [-0.1, 0.4, 0.8, 1.0, -0.2, 0.5])].concat()
}

#[test]
fn jets_are_found_again_and_written() {
    let place = Place::new();
    write_npy(&place.path("jets.npy"), "2, 1, 11, 11", &jets());
    let result = place.run("fit jets.npy --order 2 --json").done().json();
    assert_eq!((&result["order"], &result["tensor"]), (&2.into(), &"jets".into()));
    assert!(result["explained_variance"].as_f64().unwrap() > 1.0 - 1e-9, "{result}");
    let filters = result["filters"].as_array().unwrap();
    for (index, sigma) in [1.0, 1.6].into_iter().enumerate() {
        assert_eq!(filters[index]["index"], index);
        assert!((filters[index]["sigma"].as_f64().unwrap() - sigma).abs() < 1e-3, "{result}");
        assert!(filters[index]["explained_variance"].as_f64().unwrap() > 1.0 - 1e-9, "{result}");
    }

    let layer = TensorFile::open(&place.path("jets-order2.safetensors")).unwrap();
    let values = |name: &str| layer.values_f64(layer.get(name).unwrap()).unwrap();
    assert_eq!(layer.get("alpha").unwrap().shape, [2, 1, 6]);
    assert!((values("alpha")[1] - 1.0).abs() < 1e-3 && (values("sigma")[1] - 1.6).abs() < 1e-3);
    assert_eq!(values("order"), [2.0]);
    let worst = values("kernel").iter().zip(jets()).fold(0.0, |worst: f64, (k, f)| worst.max((k - f).abs()));
    assert!(worst < 1e-6, "{worst}");

    // Two columns of three tiles; the middle tap of the first filter is its largest: blue or red, and its rest is white.
    let picture = image::open(place.path("jets-order2.png")).unwrap().to_rgb8();
    let tile = 3 * 11;
    assert_eq!(picture.dimensions(), (8 + 2 * (tile + 8), 8 + 3 * tile + 2 * 2 + 8));
    let largest = (0..121).max_by(|&a, &b| jets()[a].abs().total_cmp(&jets()[b].abs())).unwrap() as u32;
    let at = |row: u32| picture.get_pixel(8 + largest % 11 * 3 + 1, 8 + row * (tile + 2) + largest / 11 * 3 + 1).0;
    let full = if jets()[largest as usize] > 0.0 { [255, 0, 0] } else { [0, 0, 255] };
    assert_eq!([at(0), at(1), at(2)], [full, full, [255; 3]]);
    place.nothing_half_written();
}

#[test]
fn one_scale_for_all_and_an_extent() {
    let place = Place::new();
    write_npy(&place.path("jets.npy"), "2, 1, 11, 11", &jets());
    let result = place.run("fit jets.npy --order 3 --sigma-per layer --extent 3 --out some/where --json");
    result.refused(1, &["cannot write", "some/where.safetensors", "choose another place with `--out`"]);
    let result = place.run("fit jets.npy --order 3 --sigma-per layer --extent 3 --out where --json").done().json();
    let sigma = |index: usize| result["filters"][index]["sigma"].as_f64().unwrap();
    assert!(sigma(0) == sigma(1) && (1.0..1.6).contains(&sigma(0)), "{result}");
    let (mean, energy) = (result["explained_variance"].as_f64().unwrap(), result["explained_energy"].as_f64().unwrap());
    assert!((0.8..0.999).contains(&mean) && (0.8..0.999).contains(&energy) && mean != energy, "{result}");
    let text = place.run("fit jets.npy --order 3 --sigma-per layer --extent 3").done().stdout;
    assert!(text.contains("jets: 2 × 1 filters of 11×11, order 3, a σ for each layer, out to 3 σ"), "{text}");
    assert!(text.contains(&format!("explained variance {mean:.4}, the mean over the filters; {energy:.4}")), "{text}");
}

#[test]
fn the_largest_windows_are_taken_unless_one_is_named() {
    use safetensors::tensor::{Dtype, TensorView, serialize};
    let place = Place::new();
    let bytes = [0.5f32; 18].map(f32::to_le_bytes).concat();
    let view = |shape: &[usize]| {
        let len = shape.iter().product::<usize>() * 4;
        TensorView::new(Dtype::F32, shape.to_vec(), &bytes[..len]).unwrap()
    };
    let tensors = [
        ("edge", view(&[1, 1, 1, 2])),
        ("mix", view(&[2, 2, 1, 1])),
        ("three", view(&[2, 1, 3, 3])),
        ("two", view(&[1, 1, 2, 2])),
        ("bias", view(&[2])),
    ];
    fs::write(place.path("net.safetensors"), serialize(tensors, None).unwrap()).unwrap();
    let outcome = place.run("fit net.safetensors --order 1 --json").done();
    assert_eq!(outcome.json()["tensor"], "three");
    assert!(
        outcome.stderr.contains("fitting three (`--tensor` chooses another: edge [1, 1, 1, 2], two [1, 1, 2, 2])"),
        "{}",
        outcome.stderr
    );
    let outcome = place.run("fit net.safetensors --tensor mix --order 0 --json").done();
    assert_eq!(
        (&outcome.json()["shape"], outcome.json()["explained_variance"].as_f64()),
        (&serde_json::json!([2, 2, 1, 1]), Some(1.0))
    );
    place.refuses("fit net.safetensors --tensor absent --order 1", 2, &["no tensor \"absent\"", "three [2, 1, 3, 3]"]);
    place.refuses(
        "fit net.safetensors --tensor bias --order 1",
        2,
        &["the shape [2]", "[outputs, inputs, height, width]"],
    );
}

#[test]
fn what_cannot_be_fitted_is_refused() {
    let place = Place::new();
    write_npy(&place.path("broken.npy"), "1, 1, 1, 2", &[1.0, f64::NAN]);
    place.refuses("fit broken.npy --order 2", 1, &["the tensor broken of broken.npy", "the weight NaN at tap 1"]);
    write_npy(&place.path("line.npy"), "4,", &[1.0; 4]);
    place.refuses("fit line.npy --order 2", 1, &["no tensor of filters", "line [4]"]);
    place.refuses("fit absent.npy --order 2", 1, &["cannot read absent.npy"]);
    fs::write(place.path("text.npy"), "no numbers").unwrap();
    place.refuses("fit text.npy --order 2", 1, &["text.npy: no file of tensors that is known"]);
    write_npy(&place.path("one.npy"), "3, 3", &[1.0; 9]);
    place.refuses("fit one.npy --order 2 --extent -1", 2, &["extent = -1 is not a filter extent"]);
    for arguments in ["fit one.npy", "fit one.npy --order 11", "fit one.npy --order 2 --sigma-per row"] {
        let outcome = place.run(arguments);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{arguments}: {}", outcome.stderr);
    }
    // In f64 the file may hold more than the layer's does.
    write_npy(&place.path("strong.npy"), "3, 3", &[1e60; 9]);
    place.refuses("fit strong.npy --order 2", 1, &["single precision does not hold", "smaller"]);
    // Zeros are explained: there is nothing.
    write_npy(&place.path("zeros.npy"), "1, 1, 3, 3", &[0.0; 9]);
    let result = place.run("fit zeros.npy --order 2 --json").done().json();
    assert_eq!(result["explained_variance"], 1.0);
}
