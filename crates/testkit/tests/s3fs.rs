//! A bucket mounted with s3fs shows what others wrote, and is unmounted at the end.

use std::fs;
use std::os::unix::fs::MetadataExt;

use s3bl_testkit::{Kind, S3fs, Server, Tool, Tree};

#[test]
fn a_mounted_bucket_shows_bytes_and_modes_and_is_unmounted() {
    let server = Server::shared(Kind::Seaweed).unwrap();
    let bucket = server.fresh_bucket("mounted").unwrap();
    let tree = Tree::new().file("file", b"through s3fs");
    let (file, target) = (tree.path("file"), format!("s3://{bucket}/file"));
    let metadata = ["--metadata", "mode=0100640,uid=7,gid=8,mtime=1000000000"];
    let arguments = ["s3", "cp", file.to_str().unwrap(), &target].into_iter().chain(metadata);
    Tool::Aws.run(&server, arguments).unwrap();

    let mount = S3fs::mount(&server, &bucket).unwrap();
    let root = mount.root().to_owned();
    let seen = fs::metadata(root.join("file")).unwrap();
    assert_eq!(fs::read(root.join("file")).unwrap(), b"through s3fs");
    assert_eq!((seen.mode(), seen.uid(), seen.gid()), (0o100_640, 7, 8));
    assert_eq!(seen.mtime(), 1_000_000_000);
    drop(mount);

    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(root.to_str().unwrap()));
    assert!(!root.exists());
}

#[test]
fn a_bucket_that_is_not_there_is_told() {
    let server = Server::shared(Kind::Seaweed).unwrap();
    let error = S3fs::mount(&server, "no-such-bucket").err().expect("it cannot be mounted");
    assert!(error.to_string().contains("no-such-bucket"), "{error}");
}
