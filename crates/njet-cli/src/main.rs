//! The `njet` command.

mod allocator;
mod commands;
#[cfg(feature = "dashboard")]
mod dashboard;
mod device;
mod memory;
mod picture;
mod progress;
mod table;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Networks that learn the size of their filters.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a network; with no arguments, at once, on real photographs of clothes
    Train(Box<commands::train::Train>),
    /// Test the best model of a run
    Eval(commands::eval::Eval),
    /// Show a run's network layer by layer: scale, kernel, receptive field, cost
    Inspect(commands::inspect::Inspect),
    /// Write a page about a run: curves, scales, filters, receptive fields, mistakes
    Report(commands::report::Report),
    /// Say what is on images
    Predict(commands::predict::Predict),
    /// Make a run for images of another resolution: every sigma times a factor
    Transfer(commands::transfer::Transfer),
    /// Write a run's model as plain convolutions: ONNX, or weights for PyTorch
    Export(commands::export::Export),
    /// Make a run of a PyTorch checkpoint of an N-jet network
    Import(commands::import::Import),
    /// Make a network of plain convolutions into one of N-jet layers
    Convert(commands::convert::Convert),
    /// Approximate the filters of a convolution by N-jets
    Fit(commands::fit::Fit),
    /// List the known data, or describe one
    Data(commands::data::Data),
    /// Decide a claim of the project by runs: a table with mean and deviation, and a verdict
    Reproduce(commands::reproduce::Reproduce),
    /// Make the derivative maps of an image at given scales, and find its blobs with theirs
    Jet(commands::jet::Jet),
    /// Measure the speed of layers and networks on this machine
    Bench(Box<commands::bench::Bench>),
}

/// The command line was wrong: nothing was tried.
#[derive(Debug)]
struct Usage(anyhow::Error);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&message(&self.0))
    }
}

impl std::error::Error for Usage {}

fn main() -> ExitCode {
    allocator::keep_memory();
    let result = match Cli::parse().command {
        Command::Train(command) => command.run(),
        Command::Eval(command) => command.run(),
        Command::Inspect(command) => command.run(),
        Command::Report(command) => command.run(),
        Command::Predict(command) => command.run(),
        Command::Transfer(command) => command.run(),
        Command::Export(command) => command.run(),
        Command::Import(command) => command.run(),
        Command::Convert(command) => command.run(),
        Command::Fit(command) => command.run(),
        Command::Data(command) => command.run(),
        Command::Reproduce(command) => command.run(),
        Command::Jet(command) => command.run(),
        Command::Bench(command) => command.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // A closed pipe (`njet … | head`) is the reader's choice, not a failure of the work.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {}", message(&error)));
            ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
        }
    }
}

/// Writes a line to standard error. Unlike `eprintln!`, without a panic where nobody can read it.
fn say(line: std::fmt::Arguments<'_>) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The error with its causes, each said once: many errors of the library tell their cause themselves.
fn message(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text += ": ";
            text += &cause;
        }
    }
    text
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_cause_is_said_once() {
        let cause = || std::io::Error::other("disk on fire");
        let told = anyhow::anyhow!("cannot write a: disk on fire");
        assert_eq!(message(&told), "cannot write a: disk on fire");
        let chained = Err::<(), _>(cause()).context("cannot write a").unwrap_err();
        assert_eq!(message(&chained), "cannot write a: disk on fire");
        let both = Err::<(), _>(cause()).context("cannot write a: disk on fire").unwrap_err();
        assert_eq!(message(&both), "cannot write a: disk on fire");
    }
}
