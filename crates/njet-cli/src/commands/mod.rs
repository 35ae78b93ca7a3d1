//! One module a command.

pub mod data;
pub mod eval;
pub mod inspect;
pub mod train;

use anyhow::{Context, Result};
use serde::Serialize;
use std::io::Write;

/// Prints one JSON object on standard output, or what `text` makes for people.
fn report<T: Serialize>(json: bool, value: &T, text: impl FnOnce(&T) -> String) -> Result<()> {
    let text = if json { serde_json::to_string(value)? + "\n" } else { text(value) };
    std::io::stdout().write_all(text.as_bytes()).context("cannot write the result to standard output")
}
