//! Random trees, each made by a seed: they come back from a bucket, and are copied, as they are. `S3BL_TREES` says how many, in
//! forests of up to 1,000, since a run of its own for each tree would cost more than the tree.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;

use s3bl_testkit::seen::differences;
use s3bl_testkit::{Kind, Tree};
use tempfile::TempDir;

use crate::restore::{assert_rsync_finds_nothing, is_root};
use crate::special_links::groups;
use crate::stage::{Ended, Stage};

/// Trees of one run.
const FOREST: u64 = 1000;

/// The seeds that were asked for, in forests.
fn forests(default: u64) -> impl Iterator<Item = Range<u64>> {
    let number = |name: &str| -> Option<u64> {
        std::env::var(name).ok().map(|text| text.parse().expect("a number"))
    };
    let first = number("S3BL_TREES_FROM").unwrap_or(1);
    let end = first + number("S3BL_TREES").unwrap_or(default);
    (first..end).step_by(FOREST as usize).map(move |from| from..end.min(from + FOREST))
}

/// What is made of a name that is there already.
struct Dress {
    path: Vec<u8>,
    mode: u32,
    seconds: i64,
    nanoseconds: i64,
}

/// A tree that a seed makes in a folder of its own: names, kinds, modes, times and links as they come.
fn grow(mut forest: Tree, seed: u64) -> Tree {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut folders = vec![format!("seed-{seed}").into_bytes()];
    forest = forest.directory(&folders[0]);
    let mut files: Vec<Vec<u8>> = Vec::new();
    let mut dressed: Vec<Dress> = Vec::new();
    for number in 0..4 + next(24) {
        let mut path = folders[usize::try_from(next(folders.len() as u64)).unwrap()].clone();
        path.push(b'/');
        // No number goes on where another one ends.
        path.extend(format!("{number}.").bytes());
        for _ in 0..next(6) {
            let byte = u8::try_from(1 + next(255)).unwrap();
            path.push(if byte == b'/' { b'_' } else { byte });
        }
        let length = usize::try_from(next(3000)).unwrap();
        let other = usize::try_from(next(files.len() as u64 + 1)).unwrap();
        forest = match next(7) {
            0 | 1 => {
                folders.push(path.clone());
                forest.directory(&path)
            }
            2 => forest.symlink(&path, vec![b't'; 1 + length % 200]),
            3 if other < files.len() => forest.hard_link(&path, &files[other]),
            4 if length % 3 == 0 => forest.fifo(&path),
            _ => {
                files.push(path.clone());
                forest.file(&path, &vec![b'x'; length])
            }
        };
        let mode = u32::try_from(next(0o10000)).unwrap();
        let seconds = i64::try_from(next(4_000_000_000)).unwrap() - 1_000_000_000;
        let nanoseconds = i64::try_from(next(1_000_000_000)).unwrap();
        dressed.push(Dress { path, mode, seconds, nanoseconds });
    }
    // What is made last comes first: nothing is made in a directory whose times are set.
    dressed.iter().rev().fold(forest, |forest, dress| {
        let Dress { path, mode, seconds, nanoseconds } = dress;
        let full = forest.root().join(OsStr::from_bytes(path));
        let is_link = fs::symlink_metadata(&full).unwrap().is_symlink();
        let forest = forest.owner(path, mode + 7, mode + 9);
        let forest = if is_link { forest } else { forest.mode(path, *mode) };
        forest.modified(path, *seconds, *nanoseconds)
    })
}

#[test]
fn random_trees_come_back() {
    if !is_root() {
        return;
    }
    for seeds in forests(12) {
        let tree = seeds.clone().fold(Tree::new(), grow);
        let (stage, place) = (Stage::new(Kind::Moto, "random"), TempDir::new().unwrap());
        let target = place.path().join("restored");
        let flags = ["--names", "percent", "--specials", "store"];
        stage.on_tree("load", &tree, &[&flags[..], &["--hard-links", "copy"]].concat()).expect(0);

        let mut restore = stage.program();
        restore.args(["restore", &stage.destination()]).arg(&target).args(flags);
        restore.args(["--endpoint-url", &stage.server.endpoint_url()]);
        Ended::from(restore.output().unwrap()).expect(0);

        let found = differences(tree.root(), &target, 0).unwrap();
        assert_eq!(found, BTreeMap::new(), "seeds {seeds:?}");
        assert_eq!(groups(&target), groups(tree.root()), "seeds {seeds:?}");
    }
}

#[test]
fn random_trees_are_copied() {
    if !is_root() {
        return;
    }
    for seeds in forests(100) {
        let tree = seeds.clone().fold(Tree::new(), grow);
        let (stage, place) = (Stage::new(Kind::Moto, "random"), TempDir::new().unwrap());
        let target = place.path().join("copy");
        // Twice: over nothing, and over what is there.
        for entries in ["1000", "40"] {
            let mut load = stage.program();
            load.arg("load").arg(tree.root()).arg(&target).args(["--specials", "store"]);
            load.args(["--entries-per-message", entries, "--workers", "2", "--fsync", "none"]);
            Ended::from(load.output().unwrap()).expect(0);

            let found = differences(tree.root(), &target, 0).unwrap();
            assert_eq!(found, BTreeMap::new(), "seeds {seeds:?}");
            assert_eq!(groups(&target), groups(tree.root()), "seeds {seeds:?}");
            assert_rsync_finds_nothing(tree.root(), &target);
        }
    }
}
