//! Files of another implementation, where they are at hand: in `$NJET_ORACLE`, or in `shared/oracle`
//! beside the checkout.

use super::{Case, File, Layer, Results, error};
use njet_basis::{TapSpec, Taps, jet};
use njet_kernels::{AxisConfig, Geometry, GeometryConfig};
use std::path::{Path, PathBuf};

/// `None`, and a line that says so, where there are no files.
pub fn oracle_layers() -> Option<Vec<Case>> {
    let folder = std::env::var_os("NJET_ORACLE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/oracle"), PathBuf::from);
    let Ok(index) = std::fs::read_to_string(folder.join("layers.json")) else {
        println!("SKIPPED: no oracle files in {} (set NJET_ORACLE to their folder)", folder.display());
        return None;
    };
    let index: Vec<serde_json::Value> = serde_json::from_str(&index).unwrap();
    assert_eq!(index.len(), 69, "oracle files");
    Some(index.iter().map(|entry| case(&folder, entry)).collect())
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

fn case(folder: &Path, entry: &serde_json::Value) -> Case {
    let name = entry["file"].as_str().unwrap().to_owned();
    let file = File::read(&folder.join(&name));
    let number = |key: &str| entry[key].as_u64().unwrap() as usize;
    let order = number("order");
    // The file's own s: σ = 2^s.
    let sigma = file.values("scale")[0].exp2();
    let extent = entry["k"].as_f64().unwrap();
    let input: [usize; 4] = file.shape("x");
    let [batch, channels_in, height, width] = input;
    let taps = Taps::new(&TapSpec::new(sigma, extent, order)).unwrap();
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
    assert!(error(taps.order(0), &file.values("gauss")) <= 1e-12, "{name}: gauss");
    let basis = file.values("basis");
    let side = taps.side() * taps.side();
    let ours = njet_basis::basis_2d(&taps, &taps).unwrap();
    for (b, place) in places(order).into_iter().enumerate() {
        let error = error(&ours[b * side..][..side], &basis[place * side..][..side]);
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
    let expected = Results {
        y: file.values("y"),
        grad_x: file.values("grad_x"),
        grad_alpha: alpha_of(&file, "grad_alphas", order),
        grad_bias,
        // Theirs is by s: ∂σ/∂s = σ ln 2.
        grad_sigma: file.values("grad_scale")[0] / (sigma * std::f64::consts::LN_2),
    };
    let groups = number("groups");
    Case { name, sigma, extent, groups, stride: [1, 1], padding: [radius; 4], input, layer, expected }
}
