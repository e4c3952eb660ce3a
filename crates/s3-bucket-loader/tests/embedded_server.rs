//! The embedded S3 server under clients that are not ours: boto3, driven by `embedded_server/drive.py`, the AWS CLI and
//! s5cmd.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use s3_bucket_loader::demo::{
    EmbeddedServer, ServerError, ServerOptions, StoreLocation, write_sample,
};
use s3bl_testkit::Tool;
use tokio::process::Command;

/// Runs a scenario of `drive.py` against a server.
async fn drive(server: &EmbeddedServer, scenario: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/embedded_server/drive.py");
    run(server, Tool::Python, &[script, scenario]).await;
}

/// Runs a client to its end; it must succeed.
async fn run(server: &EmbeddedServer, tool: Tool, arguments: &[&str]) {
    let (access_key, secret_key) = server.credentials();
    let mut command = tool.command(&server.endpoint_url()).unwrap();
    command.env("AWS_ACCESS_KEY_ID", access_key).env("AWS_SECRET_ACCESS_KEY", secret_key);
    let command = Command::from(command).args(arguments).kill_on_drop(true).output();
    let output = command.await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool:?} {arguments:?}: {said}");
}

async fn start(location: StoreLocation) -> EmbeddedServer {
    let buckets = vec!["drive".to_owned()];
    EmbeddedServer::start(ServerOptions { location, buckets, ..ServerOptions::default() })
        .await
        .unwrap()
}

/// Runs a scenario over memory and over a directory.
async fn drive_both(scenario: &str) {
    let directory = tempfile::tempdir().unwrap();
    for location in [StoreLocation::Memory, StoreLocation::Directory(directory.path().to_owned())] {
        let server = start(location).await;
        drive(&server, scenario).await;
        server.stop().await;
    }
}

macro_rules! scenarios {
    ($($name:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                drive_both(stringify!($name)).await;
            }
        )*
    };
}

scenarios! {
    bytes_come_back_whole_and_in_ranges
    odd_keys_are_kept_byte_for_byte
    listings_page_fold_and_go_on
    attributes_are_kept_also_on_a_directory_key
    wrong_checksums_are_refused_and_right_ones_returned
    trailers_and_payload_hashes_are_verified
    multipart_uploads_are_checked_and_joined
    composite_checksums_and_aborts_follow_the_rules
    conditions_guard_writes_and_reads
    copies_keep_or_replace_what_is_said
    buckets_and_batches_of_keys_come_and_go
    strangers_are_refused
    a_refused_request_is_read_to_its_end
    an_object_is_never_seen_half_written
    files_go_up_and_down_by_the_transfer_manager
}

/// All files beneath `data` of a store.
fn data_files(store: &Path) -> usize {
    std::fs::read_dir(store.join("data")).unwrap().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_finds_everything_and_deleted_bytes_leave_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let location = StoreLocation::Directory(directory.path().to_owned());
    let server = start(location.clone()).await;
    drive(&server, "leave_something_behind").await;
    server.stop().await;

    let server = start(location.clone()).await;
    drive(&server, "find_it_again").await;
    server.stop().await;
    assert_eq!(data_files(directory.path()), 0, "files of deleted objects are left");

    start(location).await.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sample_goes_up_by_one_client_and_comes_back_by_another() {
    let scratch = tempfile::tempdir().unwrap();
    let [sample, back] = ["sample", "back"].map(|name| scratch.path().join(name));
    write_sample(&sample, 7).unwrap();
    let server = start(StoreLocation::Directory(scratch.path().join("store"))).await;
    let [from, to] =
        [sample.join("documents"), back.clone()].map(|path| format!("{}/", path.display()));

    run(&server, Tool::Aws, &["s3", "sync", "--only-show-errors", &from, "s3://drive/up/"]).await;
    run(&server, Tool::S5cmd, &["cp", "s3://drive/up/*", &to]).await;

    let sent = files(&sample.join("documents"));
    assert!(sent.len() > 400, "{} files", sent.len());
    assert!(files(&back) == sent, "a file differs");
    server.stop().await;
}

/// All files beneath a directory, by their path in it.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                let content = std::fs::read(&path).unwrap();
                found.insert(path.strip_prefix(root).unwrap().to_owned(), content);
            }
        }
    }
    found
}

#[tokio::test]
async fn two_servers_never_share_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let location = StoreLocation::Directory(directory.path().to_owned());
    let first = start(location.clone()).await;

    let second =
        EmbeddedServer::start(ServerOptions { location, ..ServerOptions::default() }).await;

    assert!(matches!(second, Err(ServerError::Store(_))), "{second:?}");
    first.stop().await;
}

#[tokio::test]
async fn a_bucket_name_that_s3_refuses_is_refused_at_the_start() {
    let buckets = vec!["Not_A_Bucket".to_owned()];

    let server = EmbeddedServer::start(ServerOptions { buckets, ..ServerOptions::default() }).await;

    assert!(matches!(server, Err(ServerError::Bucket { .. })), "{server:?}");
}
