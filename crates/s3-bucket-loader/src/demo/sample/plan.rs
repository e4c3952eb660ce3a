//! What the sample tree holds, before anything is written. A pure function of the seed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fastrand::Rng;

use super::content::Content;

/// 2020-01-01T00:00:00Z: most times lie in the five years that follow.
const FIRST_SECOND: u64 = 1_577_836_800;

const FIVE_YEARS_SECONDS: u64 = 5 * 365 * 24 * 3_600;

/// An entry of the tree. Paths are relative to its root; parents come before what they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) modified: SystemTime,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File { content: Content, seed: u64, size: u64 },
    Symlink { target: String },
}

/// Lists the sample tree of a seed.
pub(super) fn plan(seed: u64) -> Vec<Entry> {
    let mut planner = Planner { rng: Rng::with_seed(seed), entries: Vec::new() };
    planner.photos();
    planner.logs();
    planner.documents();
    planner.oddities();
    planner.entries
}

struct Planner {
    rng: Rng,
    entries: Vec<Entry>,
}

impl Planner {
    fn photos(&mut self) {
        const EVENTS: [&str; 8] = [
            "Birthday \"30\"",
            "Été à la plage",
            "Garden",
            "Hochzeit Jörg & Käthe",
            "Müller's farm",
            "New Year 🎆",
            "Wochenende",
            "東京",
        ];
        self.directory("photos", 0o755);
        for year in 2020..2025 {
            self.directory(&format!("photos/{year}"), 0o755);
            for event in EVENTS {
                let directory = format!("photos/{year}/{event}");
                self.directory(&directory, 0o755);
                for number in 1..=20 {
                    let size = self.size(2_000, 28_000);
                    let path = format!("{directory}/IMG_{:04}.jpg", year % 100 * 100 + number);
                    self.file(&path, Content::Noise, size, 0o644);
                }
            }
        }
        self.file("photos/2024/film of the year.mp4", Content::Noise, 21 * 1024 * 1024 + 17, 0o644);
    }

    fn logs(&mut self) {
        self.directory("logs", 0o750);
        for service in ["api", "billing", "worker-α"] {
            self.directory(&format!("logs/{service}"), 0o750);
            for month in 1..=12 {
                let directory = format!("logs/{service}/2024-{month:02}");
                self.directory(&directory, 0o750);
                for day in 1..=20 {
                    // A quiet day writes nothing.
                    let size = if day % 7 == 0 { 0 } else { self.size(500, 9_000) };
                    self.file(&format!("{directory}/{day:02}.log"), Content::Lines, size, 0o640);
                }
            }
        }
    }

    fn documents(&mut self) {
        self.directory("documents", 0o755);
        for project in ["Apollo", "Budget 2024 (final)", "c++ notes", "100% done"] {
            self.directory(&format!("documents/{project}"), 0o755);
            for folder in ["drafts", "minutes/2024/spring", "minutes/2024/autumn", "published"] {
                let mut directory = format!("documents/{project}");
                for name in folder.split('/') {
                    directory = format!("{directory}/{name}");
                    if !self.entries.iter().any(|entry| entry.path == directory) {
                        self.directory(&directory, 0o755);
                    }
                }
                for number in 1..=26 {
                    let (extension, mode) = self.choice(&[
                        ("txt", 0o644),
                        ("md", 0o664),
                        ("csv", 0o444),
                        ("tex", 0o600),
                    ]);
                    let size = self.size(100, 20_000);
                    let path = format!("{directory}/note {number:02}.{extension}");
                    self.file(&path, Content::Lines, size, mode);
                }
            }
        }
    }

    /// One of each thing that loaders have lost.
    fn oddities(&mut self) {
        for directory in ["odd", "odd/empty directory", "odd/private", "odd/nothing/within/nothing"]
        {
            let mut path = String::new();
            for name in directory.split('/') {
                path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
                if !self.entries.iter().any(|entry| entry.path == path) {
                    let mode = if path == "odd/private" { 0o700 } else { 0o755 };
                    self.directory(&path, mode);
                }
            }
        }
        let names = [
            "a+b=c&d?e#f%20g.txt",
            "back\\slash",
            "e\u{301} decomposed and é composed",
            "it's a \"quoted\" <name>",
            "line\nbreak",
            "semi;colon, comma",
            "trailing space ",
            "~tilde",
            "👩‍👩‍👧‍👦 family.txt",
            "שלום",
        ];
        for name in names {
            self.file(&format!("odd/{name}"), Content::Lines, 64, 0o644);
        }
        self.file(&format!("odd/{}", "long-name-".repeat(24)), Content::Lines, 240, 0o644);
        self.file("odd/.hidden", Content::Lines, 33, 0o600);
        self.file("odd/empty", Content::Lines, 0, 0o644);
        self.file("odd/private/run.sh", Content::Lines, 512, 0o755);
        self.file("odd/one byte", Content::Noise, 1, 0o644);
        self.symlink("odd/latest log", "../logs/api/2024-12/20.log");
        let old = UNIX_EPOCH + Duration::new(915_148_799, 999_999_999);
        self.file("odd/last second of 1998", Content::Lines, 100, 0o644);
        if let Some(entry) = self.entries.last_mut() {
            entry.modified = old;
        }
    }

    fn directory(&mut self, path: &str, mode: u32) {
        self.push(path, Kind::Directory, mode);
    }

    fn file(&mut self, path: &str, content: Content, size: u64, mode: u32) {
        let seed = self.rng.u64(..);
        self.push(path, Kind::File { content, seed, size }, mode);
    }

    fn symlink(&mut self, path: &str, target: &str) {
        self.push(path, Kind::Symlink { target: target.to_owned() }, 0o777);
    }

    fn push(&mut self, path: &str, kind: Kind, mode: u32) {
        let seconds = FIRST_SECOND + self.rng.u64(..FIVE_YEARS_SECONDS);
        let modified = UNIX_EPOCH + Duration::new(seconds, self.rng.u32(..1_000_000_000));
        self.entries.push(Entry { path: path.to_owned(), kind, mode, modified });
    }

    fn size(&mut self, least: u64, most: u64) -> u64 {
        self.rng.u64(least..=most)
    }

    fn choice<T: Copy>(&mut self, options: &[T]) -> T {
        options[self.rng.usize(..options.len())]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_tree_and_another_seed_another() {
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }

    #[test]
    fn every_path_is_new_and_its_parent_comes_before_it() {
        let mut directories = BTreeSet::from([""]);
        let mut seen = BTreeSet::new();
        let entries = plan(1);
        for entry in &entries {
            let parent = entry.path.rsplit_once('/').map_or("", |(parent, _)| parent);
            assert!(directories.contains(parent), "{} has no parent", entry.path);
            assert!(seen.insert(&entry.path), "{} comes twice", entry.path);
            if entry.kind == Kind::Directory {
                directories.insert(&entry.path);
            }
        }
    }

    #[test]
    fn the_tree_is_as_large_as_promised() {
        let sizes: Vec<u64> = plan(1)
            .iter()
            .filter_map(|entry| match entry.kind {
                Kind::File { size, .. } => Some(size),
                Kind::Directory | Kind::Symlink { .. } => None,
            })
            .collect();

        assert!((1_900..=2_100).contains(&sizes.len()), "{} files", sizes.len());
        let mebibytes = sizes.iter().sum::<u64>() >> 20;
        assert!((36..=44).contains(&mebibytes), "{mebibytes} MiB");
        assert!(sizes.iter().any(|size| *size > 20 << 20), "nothing needs a multipart upload");
        assert!(sizes.contains(&0), "no file is empty");
    }
}
