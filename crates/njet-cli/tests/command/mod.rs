//! The built command in a directory of its own, and data small enough to train on in a moment.

#![allow(dead_code)] // each test file uses a part

pub mod images;
pub mod scenes;

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// What the command left behind.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// Text of another program's output, the command's usually.
    pub fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the command prints UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Asserts that the work was done.
    #[track_caller]
    pub fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// The one JSON object on standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        let value: Value = serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {:?}", self.stdout));
        assert!(value.is_object(), "{value}");
        value
    }

    /// Asserts a refusal: this exit code, nothing on standard output, and on standard error one message
    /// with all of `words` in it.
    #[track_caller]
    pub fn refused(&self, code: i32, words: &[&str]) {
        let Self { stdout, stderr, .. } = self;
        assert_eq!(self.code, Some(code), "stdout: {stdout}\nstderr: {stderr}");
        assert_eq!(stdout, "", "stderr: {stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        let messages: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error:")).collect();
        assert_eq!(messages.len(), 1, "{stderr}");
        // A cause that the library and the command both tell shows up as a message that stutters.
        for part in messages[0].split(": ").filter(|part| part.len() > 20) {
            assert_eq!(messages[0].matches(part).count(), 1, "{part:?} is said twice: {stderr}");
        }
        for word in words {
            assert!(stderr.contains(word), "no {word:?} in: {stderr}");
        }
    }
}

/// An empty directory, where the command runs; it goes away with this.
#[derive(Debug)]
pub struct Place {
    directory: TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { directory: TempDir::new().expect("a temporary directory") }
    }

    /// With the usual data in `data`: 90 training and 30 test images of 8×8 pixels, three classes.
    pub fn with_data() -> Self {
        let place = Self::new();
        images::Set::default().write(&place.path("data"));
        place
    }

    /// With the data, and a run of two epochs on it in `run`.
    pub fn with_run() -> Self {
        let place = Self::with_data();
        place.run("train --data data --epochs 2 --batch-size 16 --out run").done();
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The command with arguments that are separated by spaces, ready to start here.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_njet"));
        command.args(arguments.split_whitespace()).current_dir(self.directory.path());
        // The machine's own settings are not the tests' business.
        command.env_remove("NJET_FASHION_MNIST");
        command
    }

    pub fn run(&self, arguments: &str) -> Outcome {
        Outcome::of(self.command(arguments).output().expect("the command starts"))
    }

    /// Runs the command and asserts that it is refused and leaves everything as it was.
    #[track_caller]
    pub fn refuses(&self, arguments: &str, code: i32, words: &[&str]) {
        let before = self.files();
        self.run(arguments).refused(code, words);
        assert_eq!(self.files(), before, "`{arguments}` changed files");
    }

    /// Every file and directory below, with the contents of the files, ascending.
    pub fn files(&self) -> Vec<(PathBuf, Option<Vec<u8>>)> {
        let mut found = Vec::new();
        let mut open = vec![self.directory.path().to_owned()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).expect("a directory") {
                let path = entry.expect("an entry").path();
                let contents = (!path.is_dir()).then(|| fs::read(&path).expect("a file"));
                if contents.is_none() {
                    open.push(path.clone());
                }
                found.push((path, contents));
            }
        }
        found.sort();
        found
    }

    /// Asserts that no file is half-written: none that waits to be renamed, no unfinished checkpoint.
    #[track_caller]
    pub fn nothing_half_written(&self) {
        for (path, _) in self.files() {
            let name = path.file_name().expect("a name").to_string_lossy();
            assert!(!name.ends_with(".tmp") && name != "unfinished", "{} was left", path.display());
        }
    }

    /// The lines of a run's `metrics.jsonl`.
    pub fn metrics(&self, run: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(run).join("metrics.jsonl")).expect("metrics");
        text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
    }
}

/// Cuts a file off after `length` bytes.
pub fn truncate(path: &Path, length: u64) {
    let file = fs::OpenOptions::new().write(true).open(path).expect("a file");
    assert!(file.metadata().expect("its length").len() > length, "{} is shorter", path.display());
    file.set_len(length).expect("a shorter file");
}
