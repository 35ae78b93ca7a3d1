//! The `njet` command.

mod allocator;
mod commands;
mod device;
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
    /// List the known data, or describe one
    Data(commands::data::Data),
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
        Command::Data(command) => command.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // A closed pipe (`njet … | head`) is the reader's choice, not a failure of the work.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", message(&error));
            ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
        }
    }
}

/// An error and its causes in one line; a cause that the error already tells is not told twice.
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
