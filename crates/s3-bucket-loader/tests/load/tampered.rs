//! Objects that somebody removed or changed after the load.

use std::collections::BTreeMap;

use s3bl_testkit::proxy::{Fault, Rule};
use s3bl_testkit::{Kind, Tool, Tree};
use serde_json::Value;

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

/// The class of each failure, by path.
fn classes(stage: &Stage) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let failures = stage.failures();
    failures.iter().map(|failure| (text(&failure["path"]), text(&failure["class"]))).collect()
}

/// What must be found after [`tamper`].
fn expected(altered: &str) -> BTreeMap<String, String> {
    [("altered", altered), ("cut", "size-mismatch"), ("removed", "missing")]
        .map(|(path, class)| (path.to_owned(), class.to_owned()))
        .into()
}

#[track_caller]
fn assert_found(kind: Kind, rung: &str) {
    let (stage, tree) = (Stage::new(kind, "tampered"), tree());
    stage.on_tree("load", &tree, &["--validate", "none"]).expect(0);
    tamper(&stage, &tree);

    stage.on_tree("validate", &tree, &["--validate", rung]).expect(4);

    assert_eq!(classes(&stage), expected("content-mismatch"));
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
fn validate_by_reading_names_exactly_what_was_tampered_with() {
    assert_found(Kind::Moto, "read");
}

#[test]
fn what_is_tampered_with_before_validate_is_found_by_listing() {
    let (stage, tree) = (Stage::new(Kind::Moto, "before-validate"), tree());
    let tree = (0..50).fold(tree, |tree, number| tree.file(format!("many/{number}"), b"x"));
    let first_list = Rule::once(Fault::Stall).method("GET").target_contains("list-type=2");
    let (_, _proxy) = stage.load_killed_in_validate(&tree, first_list);
    tamper(&stage, &tree);

    stage.run(["resume", "latest"]).expect(4);

    let report = stage.report();
    assert_eq!(classes(&stage), expected("etag-mismatch"));
    assert_eq!(sum(&report, "validate", &["validated"]), sum(&report, "write", &["written"]) - 3);
}

#[test]
fn a_directory_that_only_a_head_knows_has_no_marker() {
    let (stage, tree) = (Stage::new(Kind::Seaweed, "implicit"), Tree::new().file("d/f", b"f"));
    let tree = (0..50).fold(tree, |tree, number| tree.file(format!("many/{number}"), b"x"));
    let first_list = Rule::once(Fault::Stall).method("GET").target_contains("list-type=2");
    let (_, _proxy) = stage.load_killed_in_validate(&tree, first_list);
    // Without its files the directory goes too, one after the other: a marker above a file would stay. The file alone
    // brings it back, as a directory without a marker.
    let (file, folder) = (tree.path("d/f"), format!("{}/d/", stage.destination()));
    let file = file.to_str().unwrap();
    let on_key = |what: &str, key: &str| {
        Tool::Aws.run(&stage.server, ["s3api", what, "--bucket", &stage.bucket, "--key", key])
    };
    on_key("delete-object", "some/prefix/d/f").unwrap();
    on_key("delete-object", "some/prefix/d/").unwrap();
    on_key("head-object", "some/prefix/d/").unwrap_err();
    Tool::Aws.run(&stage.server, ["s3", "cp", file, &format!("{folder}f")]).unwrap();
    on_key("head-object", "some/prefix/d/").unwrap();

    stage.run(["resume", "latest"]).expect(4);

    assert_eq!(classes(&stage), [("d".to_owned(), "missing".to_owned())].into());
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
