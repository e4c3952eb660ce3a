//! What the source holds now that a run did not take, or took in another version.

use serde::{Deserialize, Serialize};

use super::line::path_texts;
use crate::path::RelPath;
use crate::toc::EntryKind;

/// How an entry of the source differs from what a run took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Drift {
    /// It is there now, and the run never met it.
    Appeared,
    /// A file or link of another size or time of change than the one that was taken.
    Changed,
    /// The run met it, and it is gone now, or of another kind.
    Vanished,
}

/// An entry that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drifted {
    /// Where it lies beneath the source root.
    pub path: RelPath,
    /// What it is; of what vanished, what it was.
    pub kind: EntryKind,
    /// How it differs.
    pub how: Drift,
}

/// How many entries differ.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct DriftReport {
    /// Entries that are there now and were not met by the run.
    pub appeared: u64,
    /// Files and links of another version than the one that was taken.
    pub changed: u64,
    /// Entries that are gone.
    pub vanished: u64,
    /// What could not be examined now; what lies beneath such a directory counts as vanished.
    pub unreadable: u64,
    /// How long it took to look.
    pub seconds: f64,
}

impl DriftReport {
    /// Counts an entry.
    pub fn count(&mut self, how: Drift) {
        match how {
            Drift::Appeared => self.appeared += 1,
            Drift::Changed => self.changed += 1,
            Drift::Vanished => self.vanished += 1,
        }
    }

    /// Whether the source is what the run took, as far as can be told.
    pub fn is_none(&self) -> bool {
        self.appeared + self.changed + self.vanished + self.unreadable == 0
    }
}

/// A line of `drift.ndjson`: one JSON object, the keys in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftLine {
    /// Where the entry lies beneath the source root, which is `.`. Of a name that is not UTF-8 a likeness to look at.
    pub path: String,
    /// The name's bytes in base64, where they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub path_b64: Option<String>,
    /// `file`, `directory`, `symlink` or `special`.
    pub kind: String,
    /// How it differs.
    pub drift: Drift,
}

impl DriftLine {
    /// Makes the line of an entry.
    pub fn new(drifted: &Drifted) -> Self {
        let (path, path_b64) = path_texts(&drifted.path);
        let kind = match drifted.kind {
            EntryKind::File => "file",
            EntryKind::Directory => "directory",
            EntryKind::Symlink => "symlink",
            EntryKind::Special => "special",
        };
        Self { path, path_b64, kind: kind.to_owned(), drift: drifted.how }
    }

    /// The line as JSON, with its line feed.
    pub fn to_json(&self) -> String {
        let mut line = serde_json::to_string(self).expect("texts have a JSON form");
        line.push('\n');
        line
    }
}
