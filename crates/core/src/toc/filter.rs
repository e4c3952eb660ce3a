//! Which entries the user wants.

use std::borrow::Cow;

use globset::{Candidate, Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use super::EntryKind;
use crate::settings::Selection;
use crate::unit::{ByteCount, FileTime};

/// Why a pattern cannot be used. `flag` is the one that gave it: `--include` or `--exclude`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Its brackets, braces or escapes are not closed, or it is too large.
    #[error("{flag} `{pattern}` is no glob")]
    Syntax {
        /// The flag.
        flag: &'static str,
        /// The pattern as it was given.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: globset::Error,
    },
    /// It is empty, or has a segment that no path has: an empty one, `.` or `..`.
    #[error("{flag} `{pattern}` matches nothing: write paths as they are beneath the source root")]
    MatchesNothing {
        /// The flag.
        flag: &'static str,
        /// The pattern as it was given.
        pattern: String,
    },
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
/// - The patterns are about what lies beneath the root; the root itself is always admitted.
/// - Exclusion wins over inclusion, whatever their order. An excluded directory is not even looked into.
/// - With inclusions, every directory that is not excluded is looked into, but gets an entry of its own only if it
///   matches, or lies beneath one that matches. `--include '*.jpg'` alone gives no directory markers.
/// - Size and age are asked of regular files alone.
/// - Where the selection leaves out hidden names, a name that begins with a dot is excluded, a directory with all beneath it.
/// - Where the selection leaves out directories, none has an entry, the root neither; all are looked into as before.
#[derive(Debug, Clone)]
pub struct Filter {
    include: Option<Globs>,
    exclude: Option<Globs>,
    size_min: ByteCount,
    size_max: ByteCount,
    newer_than: Option<FileTime>,
    leaves_out_directories: bool,
    leaves_out_hidden: bool,
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
            leaves_out_directories: selection.leaves_out_directories,
            leaves_out_hidden: selection.leaves_out_hidden,
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
        let is_hidden = self.leaves_out_hidden && is_hidden(path);
        if parent == Standing::Excluded || is_hidden || matches(&self.exclude) {
            Standing::Excluded
        } else if parent == Standing::Admitted || matches(&self.include) {
            Standing::Admitted
        } else if is_directory {
            Standing::Open
        } else {
            Standing::Excluded
        }
    }

    /// Whether size and age are as wanted, which only regular files can fail, and directories are wanted at all.
    pub fn admits_version(&self, kind: EntryKind, size: ByteCount, mtime: FileTime) -> bool {
        if kind == EntryKind::Directory {
            return !self.leaves_out_directories;
        }
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
        if self.include.is_none() && self.exclude.is_none() && !self.leaves_out_hidden {
            return standing;
        }
        for (end, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            standing = self.standing(standing, &path[..end], true);
        }
        self.standing(standing, path, is_directory)
    }
}

/// Whether the last name of a path begins with a dot.
fn is_hidden(path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next();
    name.is_some_and(|name| name.starts_with(b"."))
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
        for pattern in patterns {
            let is_directory = pattern.len() > 1 && pattern.ends_with('/');
            let glob = glob(flag, pattern)?;
            if is_directory {
                directories.add(glob)
            } else {
                any.add(glob)
            };
        }
        let build = |set: GlobSetBuilder| {
            let pattern = patterns.join("` `");
            set.build().map_err(|source| FilterError::Syntax { flag, pattern, source })
        };
        Ok(Some(Self { any: build(any)?, directories: build(directories)? }))
    }

    fn matches(&self, path: &[u8], is_directory: bool) -> bool {
        let candidate = Candidate::from_bytes(path);
        self.any.is_match_candidate(&candidate)
            || is_directory && self.directories.is_match_candidate(&candidate)
    }
}

/// Compiles one pattern to a glob over whole paths, without the `/` at its end.
fn glob(flag: &'static str, pattern: &str) -> Result<Glob, FilterError> {
    let body = pattern.strip_suffix('/').unwrap_or(pattern);
    let body = if body.contains('/') {
        Cow::Borrowed(body.strip_prefix('/').unwrap_or(body))
    } else {
        Cow::Owned(format!("**/{body}"))
    };
    if body.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(FilterError::MatchesNothing { flag, pattern: pattern.to_owned() });
    }
    GlobBuilder::new(&body)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map_err(|source| FilterError::Syntax { flag, pattern: pattern.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use proptest::prelude::*;

    use super::*;

    fn filter(include: &[&str], exclude: &[&str]) -> Filter {
        let owned = |patterns: &[&str]| patterns.iter().map(|text| (*text).to_owned()).collect();
        let (include, exclude) = (owned(include), owned(exclude));
        Filter::new(&Selection { include, exclude, ..Selection::default() }).unwrap()
    }

    fn admits(filter: &Filter, path: &[u8], kind: EntryKind) -> bool {
        filter.admits(path, kind, ByteCount(1), FileTime::default())
    }

    fn admits_file(filter: &Filter, path: &str) -> bool {
        admits(filter, path.as_bytes(), EntryKind::File)
    }

    #[test]
    fn without_patterns_everything_is_admitted() {
        let all = Filter::new(&Selection::default()).unwrap();
        for kind in [EntryKind::File, EntryKind::Directory, EntryKind::Symlink, EntryKind::Special]
        {
            assert!(admits(&all, b"a/\xff\n", kind));
        }
        assert!(all.admits_directory(b"a") && all.admits_directory(b""));
    }

    #[test]
    fn a_pattern_without_a_slash_matches_names_at_any_depth() {
        let filter = filter(&[], &["*.tmp", ".git"]);
        assert!(!admits_file(&filter, "x.tmp"));
        assert!(!admits_file(&filter, "a/b/x.tmp"));
        assert!(!filter.admits_directory(b"a/.git"));
        assert!(admits_file(&filter, "x.tmp2"));
        assert!(admits_file(&filter, "a/git"));
    }

    #[test]
    fn a_pattern_with_a_slash_matches_the_whole_path() {
        let filter = filter(&[], &["logs/*.gz", "/build", "**/cache/*.bin"]);
        assert!(!admits_file(&filter, "logs/a.gz"));
        assert!(admits_file(&filter, "logs/old/a.gz"));
        assert!(admits_file(&filter, "x/logs/a.gz"));
        assert!(!filter.admits_directory(b"build"));
        assert!(filter.admits_directory(b"src/build"));
        assert!(!admits_file(&filter, "cache/a.bin"));
        assert!(!admits_file(&filter, "x/y/cache/a.bin"));
        assert!(admits_file(&filter, "x/cache/y/a.bin"));
    }

    #[test]
    fn a_pattern_that_ends_in_a_slash_matches_directories_alone() {
        let filter = filter(&[], &["out/"]);
        assert!(!filter.admits_directory(b"a/out"));
        assert!(admits_file(&filter, "a/out"));
        assert!(admits(&filter, b"out", EntryKind::Symlink));
        assert!(!admits_file(&filter, "out/x"));
    }

    #[test]
    fn an_excluded_directory_takes_all_beneath_along() {
        let filter = filter(&["*.jpg"], &["a/b"]);
        assert!(!filter.admits_directory(b"a/b"));
        assert!(!filter.admits_directory(b"a/b/c"));
        assert!(!admits_file(&filter, "a/b/c/x.jpg"));
        assert!(admits_file(&filter, "a/x.jpg"));
    }

    #[test]
    fn exclusion_wins_over_inclusion() {
        let filter = filter(&["*.jpg"], &["secret*"]);
        assert!(admits_file(&filter, "a.jpg"));
        assert!(!admits_file(&filter, "secret.jpg"));
    }

    #[test]
    fn with_inclusions_directories_are_looked_into_but_have_no_entries() {
        let filter = filter(&["*.jpg"], &[]);
        assert!(filter.admits_directory(b"a"));
        assert!(!admits(&filter, b"a", EntryKind::Directory));
        assert!(admits_file(&filter, "a/x.jpg"));
        assert!(!admits_file(&filter, "a/x.png"));
    }

    #[test]
    fn an_included_directory_stands_for_all_beneath() {
        let filter = filter(&["2024"], &["*.tmp"]);
        assert!(admits(&filter, b"x/2024", EntryKind::Directory));
        assert!(admits(&filter, b"x/2024/sub", EntryKind::Directory));
        assert!(admits_file(&filter, "x/2024/sub/file"));
        assert!(!admits_file(&filter, "x/2024/sub/file.tmp"));
        assert!(!admits_file(&filter, "x/2025/file"));
    }

    #[test]
    fn the_root_is_always_admitted() {
        for filter in [filter(&["*.jpg"], &[]), filter(&[], &["**"]), filter(&[], &["*"])] {
            assert!(filter.admits_directory(b""));
            assert!(admits(&filter, b"", EntryKind::Directory));
            assert!(!admits_file(&filter, "x.png"));
        }
    }

    #[test]
    fn wildcards_match_any_byte_of_a_name() {
        let filter = filter(&[], &["a*z", "b?", "[!c-e]x", "{f,g}.h", "\\*i"]);
        assert!(!admits(&filter, b"a\xff\xfe\nz", EntryKind::File));
        assert!(!admits(&filter, b"b\xff", EntryKind::File));
        assert!(!admits_file(&filter, "fx") && admits_file(&filter, "dx"));
        assert!(!admits_file(&filter, "g.h") && admits_file(&filter, "h.h"));
        assert!(!admits_file(&filter, "*i") && admits_file(&filter, "ai"));
        assert!(admits_file(&filter, "a/z"));
    }

    #[test]
    fn size_and_age_are_asked_of_regular_files_alone() {
        let at = |seconds| FileTime { seconds, nanoseconds: 5 };
        let filter = Filter::new(&Selection {
            size_min: Some(ByteCount(10)),
            size_max: Some(ByteCount(20)),
            newer_than: Some(at(100)),
            ..Selection::default()
        })
        .unwrap();
        let file = |size, mtime| filter.admits(b"a", EntryKind::File, ByteCount(size), mtime);
        assert!(file(10, at(100)) && file(20, at(101)));
        assert!(!file(9, at(100)) && !file(21, at(100)) && !file(15, at(99)));
        for kind in [EntryKind::Directory, EntryKind::Symlink, EntryKind::Special] {
            assert!(filter.admits(b"a", kind, ByteCount(0), at(0)));
        }
    }

    #[test]
    fn hidden_names_are_left_out_with_all_beneath_them() {
        let selection = Selection { leaves_out_hidden: true, ..Selection::default() };
        let filter = Filter::new(&selection).unwrap();
        for path in [".a", "b/.a", ".git/config", "a/.b/c/d", "...", ".a/b.c"] {
            assert!(!admits_file(&filter, path), "{path}");
        }
        assert!(!filter.admits_directory(b"a/.b"));
        assert!(admits_file(&filter, "a.b/c.") && filter.admits_directory(b""));
        assert!(admits(&filter, b"", EntryKind::Directory));
    }

    #[test]
    fn directories_that_are_left_out_are_looked_into() {
        let selection = Selection { leaves_out_directories: true, ..Selection::default() };
        let filter = Filter::new(&selection).unwrap();
        for path in [&b""[..], b"a"] {
            assert!(filter.admits_directory(path));
            assert!(!admits(&filter, path, EntryKind::Directory));
        }
        assert!(admits_file(&filter, "a/b"));
    }

    #[test]
    fn a_pattern_that_cannot_be_used_is_named_with_its_flag() {
        let refused = |include: &[&str], exclude: &[&str]| {
            let owned =
                |patterns: &[&str]| patterns.iter().map(|text| (*text).to_owned()).collect();
            let (include, exclude) = (owned(include), owned(exclude));
            Filter::new(&Selection { include, exclude, ..Selection::default() }).unwrap_err()
        };
        let error = refused(&["*.jpg", "[a"], &[]);
        assert_eq!(error.to_string(), "--include `[a` is no glob");
        assert!(error.source().is_some());
        for pattern in ["", "/", "./a", "../a", "a//b", ".", "a/./b", "//"] {
            let error = refused(&[], &[pattern]);
            let found = matches!(error, FilterError::MatchesNothing { flag: "--exclude", .. });
            assert!(found, "{pattern:?} gave {error}");
        }
    }

    proptest! {
        #[test]
        fn asking_name_by_name_is_asking_for_the_whole_path(
            segments in prop::collection::vec("[abc.]{1,2}", 1..5)
                .prop_filter("legal", |names| names.iter().all(|name| name != "." && name != "..")),
            include in prop::collection::vec("(\\*\\*/)?[abc*]{1,2}(/[abc*])?/?", 0..3),
            exclude in prop::collection::vec("(\\*\\*/)?[abc*]{1,2}(/[abc*])?/?", 0..3),
        ) {
            let filter =
                Filter::new(&Selection { include, exclude, ..Selection::default() }).unwrap();
            let path = segments.join("/");
            let mut standing = filter.root();
            let mut end = 0;
            for (index, segment) in segments.iter().enumerate() {
                end += segment.len() + usize::from(index > 0);
                let is_directory = end < path.len();
                standing = filter.standing(standing, &path.as_bytes()[..end], is_directory);
            }
            prop_assert_eq!(standing == Standing::Admitted, admits_file(&filter, &path));
        }
    }
}
