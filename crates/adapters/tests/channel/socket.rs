//! The channel over a Unix socket.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use s3bl_adapters::channel::socket::SocketChannel;
use s3bl_core::id::WorkerId;
use s3bl_port::channel::{Channel, ChannelErrorKind, WorkerEnd};
use tempfile::TempDir;

use crate::bench::{Bench, LEASE, LONG_LEASE, PATIENCE, join, receive_one, run};

struct SocketBench {
    folder: TempDir,
    /// Leads where a case leads, so that its queues outlive a master's end that is dropped. Workers come by the socket.
    channel: OnceLock<Arc<SocketChannel>>,
}

impl SocketBench {
    fn other(&self, lease: Duration) -> SocketChannel {
        SocketChannel::new(self.folder.path().join("channel"), lease).unwrap()
    }
}

async fn bench() -> SocketBench {
    SocketBench { folder: tempfile::tempdir().unwrap(), channel: OnceLock::new() }
}

#[async_trait]
impl Bench for SocketBench {
    async fn open(&self, lease: Duration) -> Arc<dyn Channel> {
        Arc::clone(self.channel.get_or_init(|| Arc::new(self.other(lease)))) as _
    }
}

mod suite {
    conformance!(super::bench);
}

async fn join_by(channel: &SocketChannel, name: &str) -> WorkerEnd {
    channel.join(&WorkerId::new(name).unwrap()).await.unwrap().expect("somebody leads")
}

#[tokio::test]
async fn what_a_worker_held_is_anothers_as_soon_as_its_connection_ends() {
    let bench = bench().await;
    let master = bench.open(LONG_LEASE).await.lead(&run("run-a")).await.unwrap();
    let first = join(&bench, LONG_LEASE, "worker-1").await;
    let second = join(&bench, LONG_LEASE, "worker-2").await;
    master.tasks.send(Bytes::from_static(b"a batch")).await.unwrap();
    assert_eq!(receive_one(&*first.tasks).await.body, "a batch");

    drop(first);

    assert_eq!(receive_one(&*second.tasks).await.body, "a batch");
}

#[tokio::test]
async fn what_comes_for_a_worker_that_asks_no_more_is_anothers_at_once() {
    let bench = bench().await;
    let master = bench.open(LONG_LEASE).await.lead(&run("run-a")).await.unwrap();
    let first = join(&bench, LONG_LEASE, "worker-1").await;
    let second = join(&bench, LONG_LEASE, "worker-2").await;
    // Polled until the call is under way, which a report after it shows.
    let mut asking = first.tasks.receive(1, PATIENCE);
    let reported = async {
        first.control.report(Bytes::from_static(b"I asked")).await.unwrap();
        while master.control.receive(LEASE).await.unwrap().is_empty() {}
    };
    tokio::select! {
        biased;
        early = &mut asking => panic!("{early:?}"),
        () = reported => {}
    }
    drop(asking);

    master.tasks.send(Bytes::from_static(b"a batch")).await.unwrap();

    assert_eq!(receive_one(&*second.tasks).await.body, "a batch");
}

#[tokio::test]
async fn another_process_is_refused_while_a_master_lives_and_takes_over_when_it_is_gone() {
    let bench = bench().await;
    let (first, second) = (bench.other(LEASE), bench.other(LEASE));
    let master = first.lead(&run("run-a")).await.unwrap();
    let worker = join_by(&second, "worker-1").await;
    master.tasks.send(Bytes::from_static(b"of run-a")).await.unwrap();
    let old = receive_one(&*worker.tasks).await;

    let Err(error) = second.lead(&run("run-b")).await else { panic!("two masters lead") };
    assert_eq!(error.kind, ChannelErrorKind::Occupied);
    assert!(error.message.contains("run-a"), "{error}");
    let error = second.remove(&run("run-a")).await.unwrap_err();
    assert_eq!(error.kind, ChannelErrorKind::Occupied);

    // As a kill would end it: nothing is removed.
    drop((master, first));
    assert_eq!(second.owner().await.unwrap(), Some(run("run-a")));
    assert!(worker.tasks.receive(1, LEASE).await.unwrap_err().is_transient);
    let master = second.lead(&run("run-b")).await.unwrap();
    assert_eq!(second.owner().await.unwrap(), Some(run("run-b")));

    // The worker finds the new master by itself, and its old receipts remove nothing there.
    master.tasks.send(Bytes::from_static(b"of run-b")).await.unwrap();
    let held = receive_one(&*worker.tasks).await;
    assert_eq!(held.body, "of run-b");
    worker.tasks.acknowledge(&old.receipt).await.unwrap();
    let other = join_by(&second, "worker-2").await;
    assert_eq!(receive_one(&*other.tasks).await.body, "of run-b", "it comes again after its lease");
}

#[tokio::test]
async fn what_a_killed_master_left_is_removed_by_the_name_of_its_run_only() {
    let bench = bench().await;
    let (first, second) = (bench.other(LEASE), bench.other(LEASE));
    drop(first.lead(&run("run-a")).await.unwrap());
    drop(first);
    assert!(second.remove(&run("run-b")).await.unwrap().is_empty());
    assert_eq!(second.remove(&run("run-a")).await.unwrap().len(), 1);
    assert_eq!(second.owner().await.unwrap(), None);
    assert_eq!(std::fs::read_dir(bench.folder.path()).unwrap().count(), 0);
}
