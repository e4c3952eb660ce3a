//! A broker that is killed and comes back: nothing is lost, nothing hangs, and everybody goes on.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process};
use s3bl_adapters::channel::nats::{NatsChannel, NatsSettings};
use s3bl_port::channel::{Channel as _, ChannelErrorKind};
use s3bl_port::queue::{Queue, QueueError};
use s3bl_testkit::Nats;
use tokio::time::Instant;

use super::NatsBench;
use crate::bench::{
    Bench, LEASE, LONG_LEASE, PATIENCE, Pair, join, receive, receive_one, run, send_many,
    sorted_bodies,
};

/// What a call may take: its own limit, and something for a slow machine.
const CALL_MAX: Duration = Duration::from_secs(15);

#[tokio::test]
async fn a_broker_that_is_killed_and_started_again_has_lost_nothing() {
    let mut server = Nats::start().unwrap();
    let bench = NatsBench::of(&server);
    let Pair { master, worker } = Pair::new(&bench, LEASE).await;
    let sent = send_many(&*master.tasks, 20).await;
    master.control.publish(Bytes::from_static(b"the document")).await.unwrap();
    let held = receive(&*worker.tasks, 5).await;

    server.kill();
    server.start_again().unwrap();

    // What was leased comes again too: its lease ended, or the server forgot it.
    let mut bodies = BTreeSet::new();
    let deadline = Instant::now() + PATIENCE;
    while bodies.len() < sent.len() {
        assert!(Instant::now() < deadline, "{} of {} came", bodies.len(), sent.len());
        for delivery in retried(async || worker.tasks.receive(10, LEASE).await).await {
            retried(async || worker.tasks.acknowledge(&delivery.receipt).await).await;
            bodies.insert(delivery.body);
        }
    }
    assert_eq!(bodies.into_iter().collect::<Vec<_>>(), sent);
    assert!(!held.is_empty());
    let late = join(&bench, LEASE, "worker-2").await;
    assert_eq!(late.control.receive(PATIENCE).await.unwrap().unwrap(), "the document");
    // The owner is on disk as well.
    assert_eq!(bench.open(LEASE).await.owner().await.unwrap(), Some(run("run-a")));
}

#[tokio::test]
async fn without_a_broker_every_call_ends_with_a_transient_error_and_works_again_afterwards() {
    let mut server = Nats::start().unwrap();
    let bench = NatsBench::of(&server);
    let Pair { master, worker } = Pair::new(&bench, LONG_LEASE).await;
    send_many(&*master.tasks, 1).await;
    let held = receive_one(&*worker.tasks).await;
    // Whatever the worker has not heard yet it hears now, so that nothing is left to be received below.
    while worker.control.receive(Duration::from_millis(100)).await.unwrap().is_some() {}

    server.kill();

    let begun = Instant::now();
    let body = Bytes::from_static(b"a batch");
    let second = Duration::from_secs(1);
    let outcomes = tokio::join!(
        master.tasks.send(body.clone()),
        async { worker.tasks.receive(10, Duration::from_secs(20)).await.map(drop) },
        worker.tasks.extend(&held.receipt),
        worker.tasks.acknowledge(&held.receipt),
        worker.tasks.release(&held.receipt),
        master.tasks.purge(),
        master.control.publish(body.clone()),
        async { master.control.receive(second).await.map(drop) },
        async { worker.control.receive(second).await.map(drop) },
    );
    assert!(begun.elapsed() < CALL_MAX, "it took {:?}", begun.elapsed());
    let (a, b, c, d, e, f, g, h, i) = outcomes;
    // A report is not waited for, so only one after the break is noticed fails.
    let reported = worker.control.report(body).await;
    for outcome in [a, b, c, d, e, f, g, h, i, reported] {
        let error = outcome.expect_err("the broker is gone");
        assert!(error.is_transient, "{error:?}");
    }

    server.start_again().unwrap();
    retried(async || master.tasks.send(Bytes::from_static(b"later")).await).await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "what was sent afterwards does not come");
        let deliveries = retried(async || worker.tasks.receive(10, LEASE).await).await;
        if deliveries.iter().any(|delivery| delivery.body == "later") {
            break;
        }
    }
}

#[tokio::test]
async fn a_receive_that_waits_hears_at_once_that_the_connection_broke() {
    let mut server = Nats::start().unwrap();
    let bench = NatsBench::of(&server);
    let Pair { worker, .. } = Pair::new(&bench, LONG_LEASE).await;
    let waiting = worker.tasks.receive(10, Duration::from_secs(60));
    tokio::pin!(waiting);
    // The pull is under way when something that was asked behind it has been answered.
    tokio::select! {
        biased;
        received = &mut waiting => panic!("nothing was sent, but {received:?}"),
        sent = worker.results.send(Bytes::from_static(b"a result")) => sent.unwrap(),
    }

    let begun = Instant::now();
    server.kill();
    let error = waiting.await.expect_err("the broker is gone");

    assert!(error.is_transient);
    assert!(begun.elapsed() < CALL_MAX, "it took {:?}", begun.elapsed());
}

/// A machine that stands still, or a network that swallows everything: the connection stays, and nothing answers.
#[tokio::test]
async fn a_broker_that_hangs_is_not_waited_for_longer_than_the_limit() {
    let server = Nats::start().unwrap();
    let bench = NatsBench::of(&server);
    let Pair { master, worker } = Pair::new(&bench, LONG_LEASE).await;
    let process = Pid::from_raw(server.process_id().unwrap().try_into().unwrap()).unwrap();
    kill_process(process, Signal::STOP).unwrap();

    let begun = Instant::now();
    let (sent, received, asked) = tokio::join!(
        master.tasks.send(Bytes::from_static(b"a batch")),
        async { worker.tasks.receive(10, LEASE).await.map(drop) },
        bench_owner(&bench),
    );

    assert!(begun.elapsed() < CALL_MAX, "it took {:?}", begun.elapsed());
    assert!(sent.expect_err("nothing answers").is_transient);
    assert!(received.expect_err("nothing answers").is_transient);
    assert_eq!(asked, ChannelErrorKind::Unreachable);
    kill_process(process, Signal::CONT).unwrap();
    retried(async || worker.tasks.receive(10, LEASE).await).await;
}

/// How it fails to ask who owns the channel, over a connection that is still to be made.
async fn bench_owner(bench: &NatsBench) -> ChannelErrorKind {
    match NatsChannel::connect(bench.settings(LONG_LEASE)).await {
        Ok(_) => panic!("it connected"),
        Err(error) => error.kind,
    }
}

#[tokio::test]
async fn documents_and_reports_go_on_after_an_outage() {
    let mut server = Nats::start().unwrap();
    let bench = NatsBench::of(&server);
    let Pair { master, worker } = Pair::new(&bench, LONG_LEASE).await;
    master.control.publish(Bytes::from_static(b"before")).await.unwrap();
    assert_eq!(worker.control.receive(PATIENCE).await.unwrap().unwrap(), "before");

    server.kill();
    server.start_again().unwrap();

    // Nothing here runs while another thread publishes, so no client here is connected again: the worker never hears
    // of it, and reads it all the same.
    let settings = bench.settings(LONG_LEASE);
    std::thread::spawn(|| publish_alone(settings, "after")).join().unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "no document came");
        let heard = retried(async || worker.control.receive(LEASE).await).await;
        if heard.is_some_and(|document| document == "after") {
            break;
        }
    }
    loop {
        assert!(Instant::now() < deadline, "no report came");
        retried(async || worker.control.report(Bytes::from_static(b"alive")).await).await;
        let reports = retried(async || master.control.receive(LEASE).await).await;
        if reports.contains(&Bytes::from_static(b"alive")) {
            break;
        }
    }
}

/// Publishes a document on a runtime of its own.
fn publish_alone(settings: NatsSettings, document: &'static str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let channel = NatsChannel::connect(settings).await.unwrap();
        let master = channel.lead(&run("run-a")).await.unwrap();
        master.control.publish(document.into()).await.unwrap();
    });
}

#[tokio::test]
async fn a_master_that_resumes_with_another_lease_gives_it_to_the_queues() {
    let server = Nats::shared().unwrap();
    let bench = NatsBench::of(&server);
    let Pair { master, .. } = Pair::new(&bench, LONG_LEASE).await;
    send_many(&*master.tasks, 3).await;

    bench.open(LEASE).await.lead(&run("run-a")).await.unwrap();

    let worker = join(&bench, LEASE, "worker-2").await;
    let begun = Instant::now();
    let first = receive(&*worker.tasks, 3).await;
    let again = receive(&*worker.tasks, 3).await;
    assert!(begun.elapsed() < LONG_LEASE / 2, "it took {:?}", begun.elapsed());
    assert_eq!(sorted_bodies(&first), sorted_bodies(&again));
}

#[tokio::test]
async fn requests_are_counted_by_kind() {
    let bench = NatsBench::of(&Nats::shared().unwrap());
    let Pair { master, worker } = Pair::new(&bench, LONG_LEASE).await;
    send_many(&*master.tasks, 3).await;
    let held = receive(&*worker.tasks, 3).await;
    worker.tasks.extend(&held[0].receipt).await.unwrap();
    worker.tasks.release(&held[0].receipt).await.unwrap();
    worker.tasks.acknowledge(&held[1].receipt).await.unwrap();

    assert_eq!(count(&*master.tasks, "publish"), 3);
    assert!(count(&*worker.tasks, "pull") >= 2);
    assert_eq!(count(&*worker.tasks, "extend"), 1);
    assert_eq!(count(&*worker.tasks, "release"), 1);
    assert_eq!(count(&*worker.tasks, "acknowledge"), 1);
    assert_eq!(count(&*worker.tasks, "purge"), 0);
}

fn count(queue: &dyn Queue, kind: &str) -> u64 {
    queue.requests().into_iter().find(|(name, _)| *name == kind).unwrap().1
}

/// Calls until it works, as the roles do; only transient errors are taken.
async fn retried<T>(mut call: impl AsyncFnMut() -> Result<T, QueueError>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match call().await {
            Ok(done) => return done,
            Err(error) => assert!(error.is_transient && Instant::now() < deadline, "{error:?}"),
        }
    }
}
