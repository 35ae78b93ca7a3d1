//! Golden files that `tools/golden.py` computes independently in extended precision: the kernel built
//! out, σ-gradient by a complex step.

use super::{Case, File, Layer, Results};
use njet_kernels::{AxisConfig, Geometry, GeometryConfig};
use std::path::{Path, PathBuf};

pub fn golden_folder() -> PathBuf {
    // The same from every crate of the workspace.
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../njet-kernels/tests/golden")
}

pub fn golden_layers() -> Vec<Case> {
    let mut cases: Vec<_> = std::fs::read_dir(golden_folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), path))
        .filter(|(name, _)| !name.starts_with("taps_"))
        .map(|(name, path)| case(name, &File::read(&path)))
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(cases.len(), 19, "golden layer files");
    cases
}

fn numbers<const N: usize>(text: &str) -> [usize; N] {
    let numbers: Vec<_> = text.split(',').map(|n| n.trim().parse().expect("a number")).collect();
    numbers.try_into().expect("as many numbers as asked for")
}

fn case(name: String, file: &File) -> Case {
    let meta = |key: &str| file.metadata[key].as_str();
    let input: [usize; 4] = file.shape("x");
    let [batch, channels_in, height, width] = input;
    let [channels_out] = file.shape("bias");
    let stride: [usize; 2] = numbers(meta("stride"));
    let padding: [usize; 4] = numbers(meta("padding"));
    let groups = meta("groups").parse().unwrap();
    let [_, side] = file.shape("taps");
    let axis = |input, stride, before, after| AxisConfig { input, radius: side / 2, stride, padding: (before, after) };
    let geometry = Geometry::new(GeometryConfig {
        batch,
        channels_in,
        channels_out,
        groups,
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
    let expected = Results {
        y: file.values("y"),
        grad_x: file.values("grad_x"),
        grad_alpha: file.values("grad_alpha"),
        grad_bias: file.values("grad_bias"),
        grad_sigma: file.values("grad_sigma")[0],
    };
    let (sigma, extent) = (meta("sigma").parse().unwrap(), meta("extent").parse().unwrap());
    Case { name, sigma, extent, groups, stride, padding, input, layer, expected }
}
