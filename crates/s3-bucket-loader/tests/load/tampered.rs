//! Objects that somebody removed or changed after the load.

use std::collections::BTreeMap;

use s3bl_testkit::{Kind, Tool, Tree};

use crate::stage::{Stage, sum};

/// Removes one object, cuts one, and changes one without changing its size.
fn tamper(stage: &Stage, tree: &Tree) {
    let key = |name: &str| format!("{}/{name}", stage.destination());
    let other = Tree::new().file("short", b"sho").file("other", b"contenT of other\n");
    let (short, changed) = (other.path("short"), other.path("other"));
    assert!(tree.path("removed").exists());
    Tool::Aws.run(&stage.server, ["s3", "rm", &key("removed")]).unwrap();
    for (file, name) in [(short, "cut"), (changed, "altered")] {
        let file = file.to_str().unwrap().to_owned();
        Tool::Aws.run(&stage.server, ["s3", "cp", &file, &key(name)]).unwrap();
    }
}

fn tree() -> Tree {
    Tree::new()
        .file("removed", b"content of removed\n")
        .file("cut", b"content of cut\n")
        .file("altered", b"content of other\n")
        .file("sub/untouched", b"content of untouched\n")
}

#[track_caller]
fn assert_found(kind: Kind, rung: &str) {
    let (stage, tree) = (Stage::new(kind, "tampered"), tree());
    stage.on_tree("load", &tree, &["--validate", "none"]).expect(0);
    tamper(&stage, &tree);

    stage.on_tree("validate", &tree, &["--validate", rung]).expect(4);

    let found: BTreeMap<_, _> = stage
        .failures()
        .iter()
        .map(|failure| (failure["path"].to_string(), failure["class"].to_string()))
        .collect();
    let expected = [
        ("\"altered\"", "\"content-mismatch\""),
        ("\"cut\"", "\"size-mismatch\""),
        ("\"removed\"", "\"missing\""),
    ];
    assert_eq!(found, expected.map(|(path, class)| (path.to_owned(), class.to_owned())).into());
    let report = stage.report();
    assert_eq!(sum(&report, "validate", &["mismatched"]), 2);
    assert_eq!(sum(&report, "validate", &["missing"]), 1);
}

#[test]
fn validate_names_exactly_what_was_tampered_with_on_seaweedfs() {
    assert_found(Kind::Seaweed, "reread");
}

#[test]
fn validate_names_exactly_what_was_tampered_with_on_moto() {
    assert_found(Kind::Moto, "reread");
}

#[test]
fn an_object_altered_in_its_size_is_never_called_validated_by_size() {
    let (stage, tree) = (Stage::new(Kind::Moto, "by-size"), tree());
    stage.on_tree("load", &tree, &[]).expect(0);

    stage.on_tree("validate", &tree, &["--validate", "size"]).expect(5);
    tamper(&stage, &tree);
    stage.on_tree("validate", &tree, &["--validate", "size"]).expect(4);

    let failures = stage.failures();
    assert!(failures.iter().any(|failure| failure["path"] == "cut"), "{failures:?}");
    assert!(failures.iter().any(|failure| failure["path"] == "removed"), "{failures:?}");
}
