//! An odd tree on each server: key for key and byte for byte, as boto3 finds it.

use s3bl_testkit::{Kind, Tree};

use crate::stage::{Stage, sum};

const MULTIPART_BYTES: usize = (17 << 20) + 3;

fn odd_tree(names: &[&str]) -> Tree {
    let tree = names
        .iter()
        .fold(Tree::new(), |tree, name| tree.file(format!("odd/{name}"), name.as_bytes()))
        .file(".hidden/.file", b"leading dots")
        .file("empty", b"")
        .directory("empty directory")
        .symlink("link", "empty")
        .symlink("link to nothing", "no/such/file")
        .random_file("large.bin", MULTIPART_BYTES, 7);
    (0..40).fold(tree, |tree, number| {
        tree.file(format!("n/{}/{}/f{number}", number % 2, number % 5), &[b'x'; 100])
    })
}

#[track_caller]
fn assert_arrives(kind: Kind, tree: &Tree) {
    let stage = Stage::new(kind, "arrives");

    stage.on_tree("load", tree, &[]).expect(0);

    stage.assert_arrived(tree);
    let report = stage.report();
    assert_eq!(sum(&report, "toc", &["symlinks"]), 2);
    assert_eq!(sum(&report, "write", &["skipped", "failed"]), 0);
    assert_eq!(report["validate"]["evidence"]["list"], report["toc"]["entries"]);
}

#[test]
fn an_odd_tree_arrives_whole_on_seaweedfs() {
    assert_arrives(Kind::Seaweed, &odd_tree(&s3bl_testkit::tree::ODD_NAMES));
}

#[test]
fn an_odd_tree_arrives_whole_on_moto() {
    assert_arrives(Kind::Moto, &odd_tree(&s3bl_testkit::tree::ODD_NAMES));
}

#[test]
fn an_odd_tree_arrives_whole_on_juicefs() {
    assert_arrives(Kind::Juicefs, &odd_tree(&s3bl_testkit::tree::ODD_NAMES));
}

#[test]
fn a_second_load_over_the_first_leaves_the_same_bucket() {
    let (stage, tree) = (Stage::new(Kind::Moto, "twice"), Tree::sampler(1 << 20));

    stage.on_tree("load", &tree, &[]).expect(0);
    stage.on_tree("load", &tree, &["--validate", "read"]).expect(0);

    stage.assert_arrived(&tree);
}
