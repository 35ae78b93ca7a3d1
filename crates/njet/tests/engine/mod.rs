//! ONNX files in an engine that is not ours: the program of `tools/onnx-engine`, which `make onnx-engine` builds.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The program: where `NJET_ONNX_ENGINE` says, else where `make onnx-engine` puts it. `None`: it is not built, and that was
/// said.
fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        if let Some(named) = std::env::var_os("NJET_ONNX_ENGINE") {
            let named = PathBuf::from(named);
            assert!(named.is_file(), "NJET_ONNX_ENGINE names no file: {}", named.display());
            return Some(named);
        }
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/onnx-engine/release/onnx-engine");
        let built = built.with_extension(std::env::consts::EXE_EXTENSION);
        if !built.is_file() {
            println!("SKIPPED: ONNX files in another engine: not built; `make onnx-engine` does it");
            return None;
        }
        Some(built)
    };
    PROGRAM.get_or_init(find).as_deref()
}

/// What the model of a file makes of images `[batch, channels, height, width]`, or what the engine said; `None` where there
/// is no engine.
pub fn run(onnx: &[u8], images: &[f32], shape: [usize; 4]) -> Option<Result<Vec<f32>, String>> {
    let program = program()?;
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(onnx).expect("written");
    let mut engine = Command::new(program)
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
        return Some(Err(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Some(Ok(output.stdout.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()))
}
