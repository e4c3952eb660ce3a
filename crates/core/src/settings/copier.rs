//! Another program that brings files into a directory.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum CopierKind {
    /// None: this program writes files itself.
    #[default]
    Native,
    /// `rsync`, once for small files of one directory that are in hand together, and once for each other.
    Rsync,
    /// `cp`, once for each file.
    Cp,
}

/// Which program brings files into a directory, and what becomes of its troubles. It never comes from another machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CopierSettings {
    /// The program.
    pub kind: CopierKind,
    /// Its options, in front of source and target.
    pub options: Vec<String>,
    /// How many of them run at once, at least 1.
    pub at_once: u32,
    /// How often a file is tried, at least 1.
    pub attempts: u32,
    /// The pause between two of them.
    pub pause: Duration,
    /// How long one may take.
    pub limit: Duration,
    /// Regular expressions: a program that failed and said what one of them matches is taken at what it did, which is then
    /// looked at as always.
    pub tolerated: Vec<String>,
}

impl Default for CopierSettings {
    fn default() -> Self {
        Self {
            kind: CopierKind::Native,
            options: Vec::new(),
            at_once: 1,
            attempts: 3,
            pause: Duration::from_secs(5),
            limit: Duration::from_secs(3600),
            tolerated: Vec::new(),
        }
    }
}

impl CopierSettings {
    /// Entries that are to be in hand: enough that a program which takes several finds several.
    pub fn entries_in_hand(&self) -> u32 {
        match self.kind {
            CopierKind::Rsync => self.at_once.saturating_mul(FILES_EACH),
            CopierKind::Cp | CopierKind::Native => self.at_once,
        }
    }
}

/// Files for each program that may run.
const FILES_EACH: u32 = 64;

impl CopierKind {
    /// The program's name.
    pub fn program(self) -> Option<&'static str> {
        match self {
            Self::Native => None,
            Self::Rsync => Some("rsync"),
            Self::Cp => Some("cp"),
        }
    }

    /// The options that it gets when none are named. Of rsync those of the loader of 2014 without words and compression:
    /// mounted buckets dislike that a file is renamed when it is whole.
    pub fn default_options(self) -> &'static [&'static str] {
        match self {
            Self::Native => &[],
            Self::Rsync => &["--archive", "--inplace"],
            Self::Cp => &["--preserve=mode,ownership,timestamps", "--no-dereference"],
        }
    }
}
