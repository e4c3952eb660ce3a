//! Which entries the user wants.

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};

use super::EntryKind;
use crate::settings::Selection;
use crate::unit::{ByteCount, FileTime};

/// A glob that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{flag} `{pattern}` is no glob")]
pub struct FilterError {
    /// The flag that gave it: `--include` or `--exclude`.
    pub flag: &'static str,
    /// The glob as it was given.
    pub pattern: String,
    /// What is wrong with it.
    #[source]
    pub source: globset::Error,
}

/// The patterns and limits of a [`Selection`], ready to be asked.
///
/// # Patterns
///
/// - `*` and `?` stay within one name; `**` crosses directories; `[a-z]`, `{jpg,png}` and a backslash before a
///   special character work as in a shell. Names are bytes: `?` stands for one byte, and case matters.
/// - A pattern without `/` is matched against the last name of a path, wherever that lies: `*.tmp`, `.git`.
/// - A pattern with `/` is matched against the whole path beneath the source root: `logs/*.gz`, `/build`,
///   `**/cache/*.bin`. A leading `/` only says that, and is not part of the path.
/// - A pattern that ends in `/` matches directories alone: `node_modules/`.
/// - A pattern that matches a directory stands for all that lies beneath it.
///
/// # Rules
///
/// - The root itself is always admitted.
/// - Exclusion wins over inclusion, whatever their order. An excluded directory is not even looked into.
/// - With inclusions, every directory that is not excluded is looked into, but gets an entry of its own only if it
///   matches, or lies beneath one that matches. `--include '*.jpg'` alone gives no directory markers.
/// - Size and age are asked of regular files alone.
#[derive(Debug, Clone)]
pub struct Filter {
    include: Option<Globs>,
    exclude: Option<Globs>,
    size_min: ByteCount,
    size_max: ByteCount,
    newer_than: Option<FileTime>,
}

/// What the patterns say of an entry and, of a directory, of what lies beneath it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Wanted, and so is all beneath that is not excluded.
    Admitted,
    /// Not wanted itself, but what lies beneath may be.
    Open,
    /// Not wanted, and nothing beneath.
    Excluded,
}

impl Filter {
    /// Compiles the patterns. Names the first that is no glob.
    pub fn new(selection: &Selection) -> Result<Self, FilterError> {
        Ok(Self {
            include: Globs::new("--include", &selection.include)?,
            exclude: Globs::new("--exclude", &selection.exclude)?,
            size_min: selection.size_min.unwrap_or(ByteCount::ZERO),
            size_max: selection.size_max.unwrap_or(ByteCount(u64::MAX)),
            newer_than: selection.newer_than,
        })
    }

    /// Whether to look into a directory. The path is that beneath the root; empty is the root itself.
    pub fn admits_directory(&self, path: &[u8]) -> bool {
        self.standing_of(path, true) != Standing::Excluded
    }

    /// Whether an entry belongs into the TOC, by its path and all directories above it.
    pub fn admits(&self, path: &[u8], kind: EntryKind, size: ByteCount, mtime: FileTime) -> bool {
        self.standing_of(path, kind == EntryKind::Directory) == Standing::Admitted
            && self.admits_version(kind, size, mtime)
    }

    /// How the root stands: where a walk begins that asks [`Filter::standing`] name by name.
    pub fn root(&self) -> Standing {
        if self.include.is_none() { Standing::Admitted } else { Standing::Open }
    }

    /// How an entry stands whose directory stands as `parent`.
    pub fn standing(&self, parent: Standing, path: &[u8], is_directory: bool) -> Standing {
        let matches = |globs: &Option<Globs>| {
            globs.as_ref().is_some_and(|globs| globs.matches(path, is_directory))
        };
        if parent == Standing::Excluded || matches(&self.exclude) {
            Standing::Excluded
        } else if parent == Standing::Admitted || matches(&self.include) {
            Standing::Admitted
        } else if is_directory {
            Standing::Open
        } else {
            Standing::Excluded
        }
    }

    /// Whether size and age are as wanted. Only regular files can fail it.
    pub fn admits_version(&self, kind: EntryKind, size: ByteCount, mtime: FileTime) -> bool {
        kind != EntryKind::File
            || ((self.size_min..=self.size_max).contains(&size)
                && self.newer_than.is_none_or(|moment| mtime >= moment))
    }

    /// Follows a path from the root to its end.
    fn standing_of(&self, path: &[u8], is_directory: bool) -> Standing {
        if path.is_empty() {
            return Standing::Admitted;
        }
        let mut standing = self.root();
        if self.include.is_none() && self.exclude.is_none() {
            return standing;
        }
        for (end, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            standing = self.standing(standing, &path[..end], true);
        }
        self.standing(standing, path, is_directory)
    }
}

#[derive(Debug, Clone)]
struct Globs {
    any: GlobSet,
    directories: GlobSet,
}

impl Globs {
    /// `None` for no patterns at all.
    fn new(flag: &'static str, patterns: &[String]) -> Result<Option<Self>, FilterError> {
        if patterns.is_empty() {
            return Ok(None);
        }
        let mut any = GlobSetBuilder::new();
        let mut directories = GlobSetBuilder::new();
        let error = |pattern: &str, source| FilterError { flag, pattern: pattern.to_owned(), source };
        for pattern in patterns {
            let body = pattern.strip_suffix('/').unwrap_or(pattern);
            let anchored = if body.contains('/') {
                body.strip_prefix('/').unwrap_or(body).to_owned()
            } else {
                format!("**/{body}")
            };
            let glob = GlobBuilder::new(&anchored)
                .literal_separator(true)
                .backslash_escape(true)
                .build()
                .map_err(|source| error(pattern, source))?;
            if body.len() < pattern.len() { directories.add(glob) } else { any.add(glob) };
        }
        let whole = |source| error(&patterns.join("`, `"), source);
        Ok(Some(Self {
            any: any.build().map_err(whole)?,
            directories: directories.build().map_err(whole)?,
        }))
    }

    fn matches(&self, path: &[u8], is_directory: bool) -> bool {
        let candidate = Candidate::from_bytes(path);
        self.any.is_match_candidate(&candidate)
            || is_directory && self.directories.is_match_candidate(&candidate)
    }
}
