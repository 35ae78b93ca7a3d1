//! The layer against golden files that `tools/golden.py` computes independently in extended
//! precision: the kernel built out, σ-gradient by a complex step.

mod layer;

use layer::{File, Implementation, Layer, Results, engines};
use njet_basis::{Discretisation, TapSpec, Taps};
use njet_kernels::{AxisConfig, Geometry, GeometryConfig};
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn layers() -> Vec<(String, File)> {
    let mut files: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), path))
        .filter(|(name, _)| !name.starts_with("taps_"))
        .map(|(name, path)| (name, File::read(&path)))
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(files.len(), 19, "golden layer files");
    files
}

fn numbers<T: std::str::FromStr>(text: &str) -> Vec<T> {
    text.split(',').map(|n| n.trim().parse().ok().expect("a number")).collect()
}

fn layer_of(file: &File) -> (Layer, Results) {
    let meta = |key: &str| file.metadata[key].as_str();
    let [batch, channels_in, height, width] = file.shape("x");
    let [channels_out] = file.shape("bias");
    let stride: Vec<usize> = numbers(meta("stride"));
    let padding: Vec<usize> = numbers(meta("padding"));
    let [_, side] = file.shape("taps");
    let axis = |input, stride, before, after| AxisConfig { input, radius: side / 2, stride, padding: (before, after) };
    let geometry = Geometry::new(GeometryConfig {
        batch,
        channels_in,
        channels_out,
        groups: meta("groups").parse().unwrap(),
        order: meta("order").parse().unwrap(),
        y: axis(height, stride[0], padding[0], padding[2]),
        x: axis(width, stride[1], padding[1], padding[3]),
    })
    .unwrap();
    let layer = Layer {
        geometry,
        taps: file.values("taps"),
        d_taps: file.values("d_taps"),
        alpha: file.values("alpha"),
        bias: file.values("bias"),
        x: file.values("x"),
        grad_y: file.values("gy"),
    };
    let results = Results {
        y: file.values("y"),
        grad_x: file.values("grad_x"),
        grad_alpha: file.values("grad_alpha"),
        grad_bias: file.values("grad_bias"),
        grad_sigma: file.values("grad_sigma")[0],
    };
    (layer, results)
}

fn check<T: njet_kernels::Real>(implementation: Implementation, tolerance: f64) {
    for (name, file) in layers() {
        let (layer, expected) = layer_of(&file);
        for (what, error) in layer.run::<T>(implementation).errors(&expected) {
            assert!(error <= tolerance, "{name}: {what} is off by {error:.2e} with {implementation:?}");
        }
    }
}

#[test]
fn reference_in_f64() {
    check::<f64>(Implementation::Reference, 1e-12);
}

#[test]
fn engine_in_f64() {
    for options in engines() {
        check::<f64>(Implementation::Engine(options), 1e-12);
    }
}

#[test]
fn engine_in_f32() {
    for options in engines() {
        check::<f32>(Implementation::Engine(options), 2e-5);
    }
}

#[test]
fn taps_of_the_layers() {
    for (name, file) in layers() {
        let number = |key: &str| file.metadata[key].parse::<f64>().unwrap();
        let order = file.metadata["order"].parse().unwrap();
        let taps = Taps::new(&TapSpec::new(number("sigma"), number("extent"), order)).unwrap();
        compare(&name, taps.values(), &file.values("taps"));
        compare(&name, taps.d_sigma_values(), &file.values("d_taps"));
    }
}

#[test]
fn taps_of_the_other_discretisations() {
    let file = File::read(&folder().join("taps_discretisations.safetensors"));
    let (order, extent) = (file.metadata["order"].parse().unwrap(), file.metadata["extent"].parse().unwrap());
    let others = [
        (Discretisation::Sampled, "sampled"),
        (Discretisation::Integrated, "integrated"),
        (Discretisation::DiscreteAnalogue, "discrete_analogue"),
    ];
    for sigma in ["0.6", "1.37", "3.1"] {
        for (discretisation, name) in others {
            let spec = TapSpec::new(sigma.parse().unwrap(), extent, order).with_discretisation(discretisation);
            let taps = Taps::new(&spec).unwrap();
            compare(name, taps.values(), &file.values(&format!("{name}.{sigma}.taps")));
            compare(name, taps.d_sigma_values(), &file.values(&format!("{name}.{sigma}.d_taps")));
        }
    }
}

fn compare(name: &str, ours: &[f64], expected: &[f64]) {
    let error = layer::error(ours, expected);
    assert!(error <= 1e-13, "{name}: taps are off by {error:.2e}");
}
