//! Loads the kinds of files, and looks by boto3 what became of each.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;

use s3bl_testkit::compare::{self, Object};
use s3bl_testkit::tree::without_root_override;
use s3bl_testkit::{Kind, Tree};
use sha2::{Digest as _, Sha256};

use super::kinds::{KINDS, MOUNTED, Outcome, Row};
use crate::stage::{Ended, Stage, within_mounts};

const PREFIX: &str = "some/prefix/";

/// Everything in one tree, and one directory more with many entries.
fn tree() -> Tree {
    let tree = KINDS.iter().fold(Tree::new(), |tree, Row(path, make, _)| make(tree, path));
    (0..1100).fold(tree, |tree, number| tree.file(format!("many/{number}"), b""))
}

/// Asserts that an object shows owner, mode and mtime of its entry, by the keys of s3fs.
#[track_caller]
fn assert_shows(tree: &Tree, path: &str, object: &Object) {
    let entry = fs::symlink_metadata(tree.path(path)).unwrap();
    let shown = |name: &str| object.metadata.get(name).map_or("", String::as_str);
    assert_eq!(shown("mode"), format!("{:07o}", entry.mode()), "{path}");
    let owner = [shown("uid"), shown("gid")];
    assert_eq!(owner, [entry.uid().to_string(), entry.gid().to_string()], "{path}");
    let nanoseconds = i128::from(entry.mtime()) * 1_000_000_000 + i128::from(entry.mtime_nsec());
    assert_eq!(shown("file-mtime"), format!("{nanoseconds}ns"), "{path}");
}

#[track_caller]
fn assert_outcomes(kind: Kind) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (stage, tree) = (Stage::new(kind, "kinds"), tree());
    let mut load = stage.command_at(&stage.server.endpoint_url(), "load", &tree);
    load.args(["--part-size", "5MiB", "--multipart-threshold", "5MiB", "--xattrs"]);
    load.args(["--validate", "head"]);

    let ended = Ended::from(without_root_override(&load).output().unwrap());

    ended.expect(3);
    let mut found = compare::objects(&stage.server, &stage.bucket, PREFIX).unwrap();
    let mut take = |path: &str| found.remove(format!("{PREFIX}{path}").as_bytes());
    let mut expected: BTreeMap<String, String> = BTreeMap::new();
    for Row(path, _, outcome) in KINDS {
        let (file, marker) = (take(path), take(&format!("{path}/")));
        let full = tree.path(path);
        match outcome {
            Outcome::File => {
                let object = file.unwrap_or_else(|| panic!("no `{path}`"));
                assert_eq!(object.sha256, *Sha256::digest(fs::read(full).unwrap()), "{path}");
                assert_shows(&tree, path, &object);
            }
            Outcome::Link => {
                let object = file.unwrap_or_else(|| panic!("no `{path}`"));
                let target = fs::read_link(full).unwrap();
                assert_eq!(object.body.as_deref(), Some(target.as_os_str().as_bytes()), "{path}");
                assert_shows(&tree, path, &object);
            }
            Outcome::Marker | Outcome::Closed(_) => {
                let object = marker.unwrap_or_else(|| panic!("no `{path}/`"));
                assert_eq!(object.size_bytes, 0, "{path}");
                // SeaweedFS drops the metadata of markers.
                if kind != Kind::Seaweed {
                    assert_shows(&tree, path, &object);
                }
            }
            Outcome::Skipped(_) | Outcome::Failed(_) => {
                assert_eq!((file, marker), (None, None), "{path}");
            }
        }
        match outcome {
            Outcome::File | Outcome::Link | Outcome::Marker => {}
            Outcome::Skipped(class) | Outcome::Failed(class) => {
                expected.insert((*path).to_owned(), (*class).to_owned());
            }
            Outcome::Closed(class) => {
                expected.insert(format!("{path}/unseen"), (*class).to_owned());
            }
        }
    }
    assert_eq!(findings(&stage), expected);
    let many = found.keys().filter(|key| key.starts_with(b"some/prefix/many/")).count();
    // The directory's own marker, and those of the root and of the directory in which one lies.
    assert_eq!((many, found.len()), (1101, 1103));
}

#[test]
fn each_kind_of_file_that_a_mount_brings_has_its_outcome() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (stage, tree) = (Stage::new(Kind::Moto, "mounted"), Tree::new());
    let load = stage.command_at(&stage.server.endpoint_url(), "load", &tree);
    let script: Vec<&str> = MOUNTED.iter().map(|(_, script, _)| *script).collect();

    Ended::from(within_mounts(&load, &tree, &script.join(" && ")).output().unwrap()).expect(3);

    let found = compare::objects(&stage.server, &stage.bucket, PREFIX).unwrap();
    let told = findings(&stage);
    for (path, _, outcome) in MOUNTED {
        let has = |key: &str| found.contains_key(format!("{PREFIX}{key}").as_bytes());
        let outcome_found = match told.get(*path) {
            Some(class) => Outcome::Failed(class.clone().leak()),
            None if has(path) => Outcome::File,
            None if has(&format!("{path}/")) => Outcome::Marker,
            None => panic!("nothing became of `{path}`"),
        };
        assert_eq!(outcome_found, *outcome, "{path}");
    }
    assert_eq!(told.len(), 2, "{told:?}");
    let over = &found[format!("{PREFIX}mounted-over").as_bytes()];
    assert_eq!(over.body.as_deref(), Some(&b"inside\n"[..]));
}

/// The classes of the findings, by path.
fn findings(stage: &Stage) -> BTreeMap<String, String> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    stage.failures().iter().map(|it| (text(&it["path"]), text(&it["class"]))).collect()
}

#[test]
fn the_catalogue_has_40_kinds_of_files() {
    assert!(KINDS.len() >= 40, "{} kinds", KINDS.len());
}

#[test]
fn each_kind_of_file_has_its_outcome_in_seaweedfs() {
    assert_outcomes(Kind::Seaweed);
}

#[test]
fn each_kind_of_file_has_its_outcome_in_moto() {
    assert_outcomes(Kind::Moto);
}
