//! ONNX files in an engine that is not ours: `tools/onnx-engine`, which is built on first use.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The program. It has a workspace of its own, so cargo builds it here.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/onnx-engine/Cargo.toml");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("onnx-engine");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--release", "--locked", "--quiet", "--manifest-path"])
            .arg(&manifest)
            .arg("--target-dir")
            .arg(&target)
            .output()
            .expect("cargo starts");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        target.join("release").join("onnx-engine").with_extension(std::env::consts::EXE_EXTENSION)
    })
}

/// What the model of a file makes of images `[batch, channels, height, width]`, or what the engine said.
pub fn run(onnx: &[u8], images: &[f32], shape: [usize; 4]) -> Result<Vec<f32>, String> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(onnx).expect("written");
    let mut engine = Command::new(program())
        .arg(file.path())
        .args(shape.map(|length| length.to_string()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the engine starts");
    let input: Vec<u8> = images.iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut stdin = engine.stdin.take().expect("a pipe");
    // An engine that refuses the model does not read on; what it says comes below.
    let _ = stdin.write_all(&input);
    drop(stdin);
    let output = engine.wait_with_output().expect("the engine ends");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(output.stdout.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
}
