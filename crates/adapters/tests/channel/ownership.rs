//! Whose a channel is: taken, taken again, refused, removed.

use bytes::Bytes;
use s3bl_core::id::WorkerId;
use s3bl_port::channel::ChannelErrorKind;

use crate::bench::{Bench, LONG_LEASE, join, receive_one, run};

pub(crate) async fn nobody_joins_before_somebody_leads(bench: &dyn Bench) {
    let (master, worker) = (bench.open(LONG_LEASE).await, bench.open(LONG_LEASE).await);
    let id = WorkerId::new("worker-1").unwrap();

    assert!(worker.join(&id).await.unwrap().is_none());
    assert_eq!(worker.owner().await.unwrap(), None);
    master.lead(&run("run-a")).await.unwrap();

    assert!(worker.join(&id).await.unwrap().is_some());
    assert_eq!(worker.owner().await.unwrap(), Some(run("run-a")));
}

pub(crate) async fn a_second_run_is_refused_by_the_name_of_the_first(bench: &dyn Bench) {
    bench.open(LONG_LEASE).await.lead(&run("run-a")).await.unwrap();
    let second = bench.open(LONG_LEASE).await;

    let Err(error) = second.lead(&run("run-b")).await else { panic!("two runs lead one channel") };

    assert_eq!(error.kind, ChannelErrorKind::Occupied);
    assert!(error.message.contains("run-a"), "{error}");
    assert_eq!(second.owner().await.unwrap(), Some(run("run-a")));
}

pub(crate) async fn a_run_that_takes_its_channel_again_finds_its_messages(bench: &dyn Bench) {
    let first = bench.open(LONG_LEASE).await.lead(&run("run-a")).await.unwrap();
    first.tasks.send(Bytes::from_static(b"a batch")).await.unwrap();
    drop(first);

    let second = bench.open(LONG_LEASE).await.lead(&run("run-a")).await.unwrap();

    let worker = join(bench, LONG_LEASE, "worker-1").await;
    let task = receive_one(&*worker.tasks).await;
    assert_eq!(task.body, "a batch");
    worker.results.send(Bytes::from_static(b"a result")).await.unwrap();
    assert_eq!(receive_one(&*second.results).await.body, "a result");
}

pub(crate) async fn remove_removes_what_carries_the_run_and_nothing_else(bench: &dyn Bench) {
    let channel = bench.open(LONG_LEASE).await;
    let master = channel.lead(&run("run-a")).await.unwrap();
    let worker = join(bench, LONG_LEASE, "worker-1").await;

    let removed = channel.remove(&run("run-b")).await.unwrap();
    assert!(removed.is_empty(), "{removed:?}");
    master.tasks.send(Bytes::from_static(b"a batch")).await.unwrap();
    assert_eq!(receive_one(&*worker.tasks).await.body, "a batch");

    let removed = channel.remove(&run("run-a")).await.unwrap();
    assert!(!removed.is_empty());
    assert_eq!(channel.owner().await.unwrap(), None);
    assert!(channel.join(&WorkerId::new("worker-2").unwrap()).await.unwrap().is_none());
}

pub(crate) async fn removing_twice_is_no_error_and_makes_room_for_another_run(bench: &dyn Bench) {
    let channel = bench.open(LONG_LEASE).await;
    let first = channel.lead(&run("run-a")).await.unwrap();
    first.tasks.send(Bytes::from_static(b"of run-a")).await.unwrap();
    channel.remove(&run("run-a")).await.unwrap();

    let removed = channel.remove(&run("run-a")).await.unwrap();
    assert!(removed.is_empty(), "{removed:?}");

    let second = bench.open(LONG_LEASE).await.lead(&run("run-b")).await.unwrap();
    second.tasks.send(Bytes::from_static(b"of run-b")).await.unwrap();
    let worker = join(bench, LONG_LEASE, "worker-1").await;
    assert_eq!(receive_one(&*worker.tasks).await.body, "of run-b");
}
