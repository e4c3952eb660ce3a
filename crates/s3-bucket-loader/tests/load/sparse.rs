//! Files with holes: their zeros arrive, and are not read from the disk.

use std::os::unix::fs::MetadataExt;

use s3bl_testkit::{Kind, Tree};

use crate::stage::Stage;

const MEBIBYTE: u64 = 1 << 20;

/// Holes at the beginning, in the middle and at the end, of whole parts and of pieces of parts.
fn tree() -> Tree {
    let data = vec![0xA5; 100_000];
    Tree::new()
        .sparse_file("small", MEBIBYTE, &[(4096, b"in the middle")])
        .sparse_file("nothing", 3 * MEBIBYTE, &[])
        .sparse_file("end", 20 * MEBIBYTE, &[(20 * MEBIBYTE - 5, b"right")])
        .sparse_file("start", 30 * MEBIBYTE + 1, &[(0, &data)])
        .sparse_file("parts", 64 * MEBIBYTE, &[(8 * MEBIBYTE - 1, &data), (40 * MEBIBYTE, b"x")])
        .sparse_file("ranges", 50 * MEBIBYTE, &[(33 * MEBIBYTE, &data)])
        .sparse_file("empty", 40 * MEBIBYTE, &[])
}

#[track_caller]
fn assert_arrives(kind: Kind, rung: &str) {
    let (stage, tree) = (Stage::new(kind, "sparse"), tree());
    let blocks = std::fs::metadata(tree.path("parts")).unwrap().blocks();
    assert!(blocks * 512 < MEBIBYTE, "the test's file has no holes: {blocks} blocks");

    stage.on_tree("load", &tree, &["--bytes-per-message", "48MiB", "--validate", rung]).expect(0);

    stage.assert_arrived(&tree);
}

#[test]
fn files_with_holes_arrive_in_seaweedfs() {
    assert_arrives(Kind::Seaweed, "reread");
}

#[test]
fn files_with_holes_arrive_in_moto() {
    assert_arrives(Kind::Moto, "read");
}
