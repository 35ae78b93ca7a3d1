//! The layer against the oracle files of another implementation, where they are at hand: in
//! `$NJET_ORACLE`, or in `shared/oracle` beside the checkout. Elsewhere the test says that it was
//! skipped; `golden.rs` always runs.

mod layer;

use layer::{File, Implementation, Layer, Results, engines};
use njet_basis::{TapSpec, Taps, jet};
use njet_kernels::{AxisConfig, Geometry, GeometryConfig, Real};
use std::path::PathBuf;

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("NJET_ORACLE")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/oracle"), PathBuf::from);
    if folder.join("layers.json").is_file() {
        return Some(folder);
    }
    println!("SKIPPED: no oracle files in {} (set NJET_ORACLE to their folder)", folder.display());
    None
}

/// Place of our basis function `b` in the files' order: i rising along rows, then j falling.
fn places(order: usize) -> Vec<usize> {
    let theirs: Vec<_> = (0..=order).flat_map(|i| (0..=order - i).rev().map(move |j| (i, j))).collect();
    jet(order).map(|d| theirs.iter().position(|&ij| ij == (d.y, d.x)).unwrap()).collect()
}

/// Their `[B, Cin/groups, Cout]` as our `[Cout, Cin/groups, B]`.
fn alpha_of(file: &File, name: &str, order: usize) -> Vec<f64> {
    let [_, inputs, outputs] = file.shape(name);
    let values = file.values(name);
    let places = places(order);
    let mut alpha = Vec::with_capacity(values.len());
    for o in 0..outputs {
        for c in 0..inputs {
            alpha.extend(places.iter().map(|b| values[(b * inputs + c) * outputs + o]));
        }
    }
    alpha
}

fn layer_of(folder: &std::path::Path, entry: &serde_json::Value) -> (String, Layer, Results) {
    let name = entry["file"].as_str().unwrap().to_owned();
    let file = File::read(&folder.join(&name));
    let number = |key: &str| entry[key].as_u64().unwrap() as usize;
    let order = number("order");
    // The file's own s: σ = 2^s.
    let sigma = file.values("scale")[0].exp2();
    let taps = Taps::new(&TapSpec::new(sigma, entry["k"].as_f64().unwrap(), order)).unwrap();
    let [batch, channels_in, height, width] = file.shape("x");
    let [_, channels_out, ..] = file.shape::<4>("y");
    let radius = taps.radius();
    assert_eq!(radius, number("radius"), "{name}");
    let axis = |input| AxisConfig { input, radius, stride: 1, padding: (radius, radius) };
    let geometry = Geometry::new(GeometryConfig {
        batch,
        channels_in,
        channels_out,
        groups: number("groups"),
        order,
        y: axis(height),
        x: axis(width),
    })
    .unwrap();
    assert!(layer::error(taps.order(0), &file.values("gauss")) <= 1e-12, "{name}: gauss");
    let basis = file.values("basis");
    let side = taps.side() * taps.side();
    let ours = njet_basis::basis_2d(&taps, &taps).unwrap();
    for (b, place) in places(order).into_iter().enumerate() {
        let error = layer::error(&ours[b * side..][..side], &basis[place * side..][..side]);
        assert!(error <= 1e-12, "{name}: basis function {b} is off by {error:.2e}");
    }
    let layer = Layer {
        geometry,
        taps: taps.values().to_vec(),
        d_taps: taps.d_sigma_values().to_vec(),
        alpha: alpha_of(&file, "alphas", order),
        bias: vec![0.0; channels_out],
        x: file.values("x"),
        grad_y: file.values("gy"),
    };
    let pixels = height * width;
    let grad_bias = (0..channels_out)
        .map(|o| (0..batch).flat_map(|n| &layer.grad_y[(n * channels_out + o) * pixels..][..pixels]).sum())
        .collect();
    let results = Results {
        y: file.values("y"),
        grad_x: file.values("grad_x"),
        grad_alpha: alpha_of(&file, "grad_alphas", order),
        grad_bias,
        // Theirs is by s: ∂σ/∂s = σ ln 2.
        grad_sigma: file.values("grad_scale")[0] / (sigma * std::f64::consts::LN_2),
    };
    (name, layer, results)
}

fn check<T: Real>(implementation: Implementation, tolerance: f64) {
    let Some(folder) = folder() else { return };
    let index = std::fs::read_to_string(folder.join("layers.json")).unwrap();
    let index: Vec<serde_json::Value> = serde_json::from_str(&index).unwrap();
    let mut count = 0;
    let mut worst = (0.0, String::new());
    for entry in &index {
        let (name, layer, expected) = layer_of(&folder, entry);
        for (what, error) in layer.run::<T>(implementation).errors(&expected) {
            assert!(error <= tolerance, "{name}: {what} is off by {error:.2e} with {implementation:?}");
            if error > worst.0 {
                worst = (error, format!("{what} of {name}"));
            }
        }
        count += 1;
    }
    println!("{count} oracle files, worst {:.1e} ({}), {implementation:?}", worst.0, worst.1);
    assert_eq!(count, 69);
}

#[test]
fn reference_in_f64() {
    check::<f64>(Implementation::Reference, 1e-12);
}

#[test]
fn engine_in_f64() {
    for options in engines() {
        check::<f64>(Implementation::Engine(options), 1e-10);
    }
}

#[test]
fn engine_in_f32() {
    for options in engines() {
        check::<f32>(Implementation::Engine(options), 2e-5);
    }
}
