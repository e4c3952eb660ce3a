//! The embedded S3 server under a client that is not ours: boto3, driven by `embedded_server/drive.py`.

use std::path::{Path, PathBuf};

use s3_bucket_loader::demo::{EmbeddedServer, ServerError, ServerOptions, StoreLocation};
use tokio::process::Command;

/// Runs a scenario of `drive.py` against a server.
async fn drive(server: &EmbeddedServer, scenario: &str) {
    let (access_key, secret_key) = server.credentials();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(python())
        .arg(here.join("tests/embedded_server/drive.py"))
        .arg(scenario)
        .env("ENDPOINT", server.endpoint_url())
        .env("ACCESS_KEY", access_key)
        .env("SECRET_KEY", secret_key)
        .kill_on_drop(true)
        .output()
        .await
        .expect("python3 runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{scenario}: {said}");
}

/// The project's virtual environment has boto3; so may the system's Python.
fn python() -> PathBuf {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/python");
    if ours.exists() { ours } else { "python3".into() }
}

async fn start(location: StoreLocation) -> EmbeddedServer {
    let buckets = vec!["drive".to_owned()];
    EmbeddedServer::start(ServerOptions { location, buckets, ..ServerOptions::default() })
        .await
        .unwrap()
}

/// Runs a scenario over memory and over a directory; afterwards the directory holds no data that nothing names.
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
    an_object_is_never_seen_half_written
    files_go_up_and_down_by_the_transfer_manager
}

/// All files beneath `data` of a store.
fn data_files(store: &Path) -> usize {
    let groups = std::fs::read_dir(store.join("data")).unwrap();
    groups.map(|group| std::fs::read_dir(group.unwrap().path()).unwrap().count()).sum()
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

#[tokio::test]
async fn two_servers_never_share_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let location = StoreLocation::Directory(directory.path().to_owned());
    let first = start(location.clone()).await;

    let second = EmbeddedServer::start(ServerOptions { location, ..ServerOptions::default() }).await;

    assert!(matches!(second, Err(ServerError::Store(_))), "{second:?}");
    first.stop().await;
}

#[tokio::test]
async fn a_bucket_name_that_s3_refuses_is_refused_at_the_start() {
    let buckets = vec!["Not_A_Bucket".to_owned()];

    let server = EmbeddedServer::start(ServerOptions { buckets, ..ServerOptions::default() }).await;

    assert!(matches!(server, Err(ServerError::Bucket { .. })), "{server:?}");
}
