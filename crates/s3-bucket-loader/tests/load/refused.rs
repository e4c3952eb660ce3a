//! Entries that cannot be stored: named one by one, and the rest arrives.

use s3bl_testkit::{Kind, Tree};

use crate::stage::{Stage, sum};

#[test]
fn a_name_that_no_key_carries_fails_alone() {
    let stage = Stage::new(Kind::Moto, "latin");
    let good = Tree::new().file("good", b"good").file("sub/also", b"also");
    let bad = Tree::new().file("good", b"good").file("sub/also", b"also").file(b"caf\xe9", b"bad");

    stage.on_tree("load", &bad, &[]).expect(3);

    assert_eq!(stage.differences(&good), []);
    let failures = stage.failures();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0]["class"], "name-not-representable");
    assert_eq!(failures[0]["verdict"], "failed");
    assert_eq!(sum(&stage.report(), "write", &["failed"]), 1);
}

#[test]
fn special_files_are_skipped_one_line_each() {
    let stage = Stage::new(Kind::Seaweed, "special");
    let good = Tree::new().file("good", b"good").directory("sub");
    let all = Tree::new().file("good", b"good").fifo("sub/pipe").socket("sub/socket");

    stage.on_tree("load", &all, &[]).expect(5);

    assert_eq!(stage.differences(&good), []);
    let mut paths: Vec<_> = stage.failures().iter().map(|f| f["path"].clone()).collect();
    paths.sort_by_key(ToString::to_string);
    assert_eq!(paths, ["sub/pipe", "sub/socket"]);
    assert!(stage.failures().iter().all(|failure| failure["class"] == "special-file"));
}

#[test]
fn a_failure_outweighs_a_skipped_entry_in_the_exit_code() {
    let stage = Stage::new(Kind::Moto, "both");
    let tree = Tree::new().file(b"\xff", b"").fifo("pipe").file("good", b"good");

    stage.on_tree("load", &tree, &[]).expect(3);

    let report = stage.report();
    assert_eq!(report["failures"]["special-file"], 1, "{report:#}");
    assert_eq!(report["failures"]["name-not-representable"], 1, "{report:#}");
}
