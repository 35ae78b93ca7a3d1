//! The modules of a state dict: its keys, grouped.

use crate::interop::tensors::{TensorEntry, TensorFile};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

/// Keys under which programs put a state dict beside other things.
const CONTAINERS: [&str; 5] = ["state_dict", "model_state_dict", "model", "net", "weights"];

/// What a module is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Njet,
    Convolution,
    Norm,
    Linear,
}

impl Kind {
    /// The field whose shape says most.
    pub(super) fn weight(self) -> &'static str {
        if self == Self::Njet { "alphas" } else { "weight" }
    }

    /// Every field that such a module may have.
    fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Njet => &["alphas", "scales", "bias"],
            Self::Convolution | Self::Linear => &["weight", "bias"],
            Self::Norm => &["weight", "bias", "running_mean", "running_var", "num_batches_tracked"],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Njet => "N-jet layers",
            Self::Convolution => "convolutions",
            Self::Norm => "batch normalisations",
            Self::Linear => "linear layers",
        })
    }
}

/// Tensors with a name in common.
#[derive(Debug)]
pub(super) struct Module<'a> {
    pub(super) name: String,
    pub(super) kind: Kind,
    fields: BTreeMap<String, &'a TensorEntry>,
    /// s of σ = 2^s.
    scales: Vec<f64>,
}

impl<'a> Module<'a> {
    pub(super) fn field(&self, field: &str) -> Option<&'a TensorEntry> {
        self.fields.get(field).copied()
    }

    pub(super) fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    pub(super) fn shape(&self, field: &str) -> Option<&'a [usize]> {
        self.field(field).map(|entry| entry.shape.as_slice())
    }

    /// σ in pixels.
    pub(super) fn sigmas(&self) -> Vec<f64> {
        self.scales.iter().map(|s| s.exp2()).collect()
    }
}

/// All modules, in the order of their names.
#[derive(Debug)]
pub(super) struct Modules<'a> {
    all: Vec<Module<'a>>,
    /// Keys that belong to none.
    pub(super) problems: Vec<String>,
}

impl<'a> Modules<'a> {
    pub(super) fn of(file: &'a TensorFile) -> Self {
        let mut by_module: BTreeMap<String, BTreeMap<String, &TensorEntry>> = BTreeMap::new();
        for (name, entry) in state_dict(file) {
            let (module, field) = name.rsplit_once('.').unwrap_or(("", name));
            by_module.entry(module.to_owned()).or_default().insert(field.to_owned(), entry);
        }
        let (mut all, mut problems) = (Vec::new(), Vec::new());
        for (name, fields) in by_module {
            let key = |field: &str| if name.is_empty() { field.to_owned() } else { format!("{name}.{field}") };
            let axes = |field: &str| fields.get(field).map(|entry| entry.shape.len());
            let kind = match (axes("alphas"), axes("running_mean"), axes("weight")) {
                (Some(3), _, _) => Some(Kind::Njet),
                (_, Some(_), _) | (_, None, Some(1)) => Some(Kind::Norm),
                (_, _, Some(4)) => Some(Kind::Convolution),
                (_, _, Some(2)) => Some(Kind::Linear),
                _ => None,
            };
            let known = |field: &str| kind.is_some_and(|kind| kind.fields().contains(&field));
            for (field, entry) in fields.iter().filter(|(field, _)| !known(field)) {
                problems.push(format!("{} {:?} is unknown", key(field), entry.shape));
            }
            if let Some(kind) = kind {
                // More than one scale has the wrong shape, and is told later.
                let scales = fields.get("scales").filter(|entry| entry.len() == 1);
                let scales = scales.and_then(|entry| file.values_f64(entry).ok()).unwrap_or_default();
                all.push(Module { name, kind, fields, scales });
            }
        }
        all.sort_by(|a, b| natural(&a.name, &b.name));
        Self { all, problems }
    }

    pub(super) fn of_kind(&self, kind: Kind) -> Vec<&Module<'a>> {
        self.all.iter().filter(|module| module.kind == kind).collect()
    }
}

/// The tensors of the state dict without what stands before their keys: a container, `module.` of parallel training.
fn state_dict(file: &TensorFile) -> Vec<(&str, &TensorEntry)> {
    let all = || file.tensors().iter().map(|entry| (entry.name.as_str(), entry));
    let inside = |container: &str| -> Vec<(&str, &TensorEntry)> {
        let key = |name| -> Option<&str> { str::strip_prefix(name, container)?.strip_prefix('.') };
        all().filter_map(|(name, entry)| Some((key(name)?, entry))).collect()
    };
    let container = CONTAINERS.into_iter().map(inside).find(|found| !found.is_empty());
    let mut found = container.unwrap_or_else(|| all().collect());
    while !found.is_empty() && found.iter().all(|(name, _)| name.starts_with("module.")) {
        found.iter_mut().for_each(|(name, _)| *name = &name["module.".len()..]);
    }
    found
}

/// Names in the order of people: numbers by their value, and dots before everything, so that a part follows its whole.
fn natural(a: &str, b: &str) -> Ordering {
    let parts = |name: &str| -> Vec<Vec<Result<u64, String>>> { name.split('.').map(pieces).collect() };
    parts(a).cmp(&parts(b))
}

/// Runs of digits as numbers, the rest as text.
fn pieces(part: &str) -> Vec<Result<u64, String>> {
    let mut pieces: Vec<Result<u64, String>> = Vec::new();
    let chunks = part.as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit());
    for chunk in chunks {
        let text = String::from_utf8_lossy(chunk).into_owned();
        pieces.push(text.parse().map_err(|_| text));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_as_numbers() {
        let mut names = [
            "layer10.conv",
            "layer2.0.conv1",
            "conv1",
            "layer2",
            "layer2.0.downsample.0",
            "layer2.0.conv2",
            "layer2.11.a",
        ];
        names.sort_by(|a, b| natural(a, b));
        let sorted = [
            "conv1",
            "layer2",
            "layer2.0.conv1",
            "layer2.0.conv2",
            "layer2.0.downsample.0",
            "layer2.11.a",
            "layer10.conv",
        ];
        assert_eq!(names, sorted);
    }
}
