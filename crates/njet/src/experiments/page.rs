//! A table with its verdicts as a page.

use super::error::ExperimentError;
use super::verdict::Verdict;
use crate::training::{TrainingError, write_file};
use serde::Serialize;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// What people are told of a claim.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<'a> {
    /// The claim in a line.
    pub title: &'a str,
    /// The command that makes it.
    pub command: &'a str,
    /// Whether it was only tried.
    pub quick: bool,
    /// How it was measured, in a sentence.
    pub method: String,
    /// The names of the columns, each with whether it holds words.
    pub header: Vec<(String, bool)>,
    /// The cells of each row, as wide as the header.
    pub rows: Vec<Vec<String>>,
    /// How the parts of the claim came out.
    pub verdicts: &'a [Verdict],
    /// What to know when reading it.
    pub notes: &'a [&'static str],
}

impl Page<'_> {
    /// As Markdown.
    pub fn markdown(&self) -> String {
        let line = |cells: &mut dyn Iterator<Item = &str>| format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "));
        let mut page = format!("# {}\n\n`{}`\n\n", self.title, self.command);
        if self.quick {
            page += "**Only tried** (`--quick`): a few small images, one epoch. The figures mean nothing.\n\n";
        }
        let _ = write!(page, "{}\n\n", self.method);
        page += &line(&mut self.header.iter().map(|(name, _)| name.as_str()));
        page += &line(&mut self.header.iter().map(|(_, words)| if *words { "---" } else { "---:" }));
        for row in &self.rows {
            page += &line(&mut row.iter().map(String::as_str));
        }
        page += "\n## Verdict\n\n";
        for verdict in self.verdicts {
            let _ = writeln!(page, "- {}: **{}** ({})", verdict.statement, verdict.word(), verdict.figures);
        }
        page += "\n## Notes\n\n";
        for note in self.notes {
            let _ = writeln!(page, "- {note}");
        }
        page
    }

    /// Writes `results.md`, and the results as `results.json`, into `directory`, each whole or not at all.
    pub(super) fn write(&self, results: &impl Serialize, directory: &Path) -> Result<(), ExperimentError> {
        let json = serde_json::to_string_pretty(results).expect("plain values") + "\n";
        let write = || {
            fs::create_dir_all(directory).map_err(TrainingError::file("create", directory))?;
            write_file(&directory.join("results.json"), json.as_bytes())?;
            write_file(&directory.join("results.md"), self.markdown().as_bytes())
        };
        write().map_err(ExperimentError::file)
    }
}
