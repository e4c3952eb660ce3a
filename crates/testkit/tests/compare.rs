//! The comparison agrees with what the AWS CLI uploaded, and tells every difference.

use std::process::Command;

use s3bl_testkit::compare::{self, Difference, Expect, Symlinks};
use s3bl_testkit::tree::without_root_override;
use s3bl_testkit::{Kind, Server, Tool, Tree};

/// What `aws s3 sync` makes of a tree.
fn as_aws_syncs(prefix: &str) -> Expect {
    Expect { prefix: prefix.to_owned(), directory_markers: false, symlinks: Symlinks::Follow }
}

#[test]
fn a_tree_that_aws_synced_compares_equal() {
    let tree = Tree::sampler(5 << 20);
    let server = Server::shared(Kind::Seaweed).unwrap();
    let bucket = server.fresh_bucket("same").unwrap();
    let target = format!("s3://{bucket}/some/prefix/");
    // It warns of the link to nothing, and ends with 2 for that.
    let root = tree.root().to_str().unwrap();
    let mut sync = Tool::Aws.command(&server.endpoint_url()).unwrap();
    let status = sync.args(["s3", "sync", "--quiet", root, &target]).output().unwrap().status;
    assert_eq!(status.code(), Some(2));

    let expect = as_aws_syncs("some/prefix/");
    let differences = compare::tree_with_bucket(tree.root(), &server, &bucket, &expect).unwrap();
    assert_eq!(differences, []);
}

#[test]
fn every_difference_is_told() {
    let tree = Tree::new().file("same", b"1").file("other", b"2").file("gone", b"3");
    let server = Server::shared(Kind::Moto).unwrap();
    let bucket = server.fresh_bucket("differs").unwrap();
    let root = tree.root().to_str().unwrap();
    Tool::Aws.run(&server, ["s3", "sync", root, &format!("s3://{bucket}/")]).unwrap();
    Tool::S5cmd.run(&server, ["rm", &format!("s3://{bucket}/gone")]).unwrap();
    let tree = tree.file("other", b"4").directory("new");

    let differences =
        compare::tree_with_bucket(tree.root(), &server, &bucket, &Expect::default()).unwrap();

    let body = Difference::Body { expected_bytes: 1, found_bytes: 1 };
    let expected = [("gone", Difference::Missing), ("new/", Difference::Missing), ("other", body)];
    assert_eq!(differences, expected.map(|(key, difference)| (key.to_owned(), difference)));
    let unexpected = Tree::new().file("other", b"2");
    let differences =
        compare::tree_with_bucket(unexpected.root(), &server, &bucket, &Expect::default()).unwrap();
    assert_eq!(differences, [("same".to_owned(), Difference::Unexpected)]);
}

#[test]
fn metadata_and_small_bodies_are_read_back() {
    let tree = Tree::new().file("file", b"body");
    let server = Server::shared(Kind::Seaweed).unwrap();
    let bucket = server.fresh_bucket("metadata").unwrap();
    let (file, target) = (tree.path("file"), format!("s3://{bucket}/key"));
    let arguments = ["s3", "cp", file.to_str().unwrap(), &target, "--metadata", "Mode=0100644"];
    Tool::Aws.run(&server, arguments).unwrap();

    let objects = compare::objects(&server, &bucket, "").unwrap();

    let object = &objects[b"key".as_slice()];
    assert_eq!(object.body.as_deref(), Some(b"body".as_slice()));
    assert_eq!(object.metadata["mode"], "0100644");
    assert_eq!(object.etag, "841a2d689ad86bd1611447453c22c6fc");
}

#[test]
fn an_unreadable_file_is_unreadable_even_for_root() {
    let tree = Tree::new().unreadable_file("secret", b"x");
    let mut cat = Command::new("cat");
    cat.arg(tree.path("secret"));
    let output = without_root_override(&cat).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("Permission denied"));
}

#[test]
fn special_files_and_names_that_are_no_text_are_made() {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let tree = Tree::new()
        .fifo("pipe")
        .socket("socket")
        .file(b"caf\xe9", b"latin-1")
        .modified(b"caf\xe9", -5, 7)
        .hard_link("second", b"caf\xe9");
    let file_type = |name| std::fs::symlink_metadata(tree.path(name)).unwrap().file_type();
    assert!(file_type("pipe").is_fifo());
    assert!(file_type("socket").is_socket());
    let metadata = std::fs::metadata(tree.path("second")).unwrap();
    assert_eq!((metadata.nlink(), metadata.mtime(), metadata.mtime_nsec()), (2, -5, 7));
}
