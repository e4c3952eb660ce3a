//! What a vendor brings to the suite, and what the cases share.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use s3bl_core::id::{RunId, WorkerId};
use s3bl_port::channel::{Channel, MasterEnd, WorkerEnd};
use s3bl_port::queue::{Delivery, Queue};
use tokio::time::Instant;

/// A lease for cases that see it end. Whole seconds, because SQS knows no others.
pub(crate) const LEASE: Duration = Duration::from_secs(1);
/// A lease for cases in which none may end.
pub(crate) const LONG_LEASE: Duration = Duration::from_secs(60);
/// How long a case waits for what must come. Only a failing test waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One channel of one vendor, with a name that no other test has.
///
/// To join the suite: implement this in `channel/VENDOR.rs`, with a function `async fn bench() -> YourBench`, and write
/// `conformance!(super::bench);` in a module of that file.
#[async_trait]
pub(crate) trait Bench: Send + Sync {
    /// The same channel, as one more process would open it. Deliveries come again after `lease`, which is the same in
    /// all calls of a case.
    async fn open(&self, lease: Duration) -> Arc<dyn Channel>;
}

/// Makes a test of each case of the suite; `$bench` is a path to an async function that makes a fresh bench.
macro_rules! conformance {
    ($bench:path) => {
        conformance! { $bench;
            queue::what_is_sent_is_received_and_once_acknowledged_never_again
            queue::an_unacknowledged_delivery_comes_again_after_its_lease_and_not_before
            queue::extending_makes_a_lease_last_for_its_full_time_again
            queue::a_released_message_comes_again_at_once
            queue::two_receivers_share_the_messages
            queue::purge_removes_what_nobody_has_leased
            queue::an_empty_receive_returns_after_its_wait
            queue::a_message_ends_the_wait_for_it
            queue::no_more_messages_come_than_were_asked_for
            queue::the_largest_message_passes_and_so_do_arbitrary_bytes
            queue::acknowledging_twice_is_no_error
            control::a_late_worker_gets_the_current_document
            control::only_the_newest_document_counts
            control::a_worker_that_listens_hears_each_new_document
            control::without_a_document_nothing_is_received
            control::reports_of_every_worker_reach_the_master
            control::a_worker_leaves_and_the_others_stay
            ownership::nobody_joins_before_somebody_leads
            ownership::a_second_run_is_refused_by_the_name_of_the_first
            ownership::a_run_that_takes_its_channel_again_finds_its_messages
            ownership::remove_removes_what_carries_the_run_and_nothing_else
            ownership::removing_twice_is_no_error_and_makes_room_for_another_run
        }
    };
    ($bench:path; $($group:ident :: $case:ident)*) => {$(
        #[tokio::test]
        async fn $case() {
            crate::$group::$case(&$bench().await).await;
        }
    )*};
}

/// A channel that run `run-a` leads and worker `worker-1` has joined, over connections of their own.
pub(crate) struct Pair {
    pub(crate) master: MasterEnd,
    pub(crate) worker: WorkerEnd,
}

impl Pair {
    pub(crate) async fn new(bench: &dyn Bench, lease: Duration) -> Self {
        let master = bench.open(lease).await.lead(&run("run-a")).await.unwrap();
        Self { master, worker: join(bench, lease, "worker-1").await }
    }
}

pub(crate) async fn join(bench: &dyn Bench, lease: Duration, name: &str) -> WorkerEnd {
    let worker = WorkerId::new(name).unwrap();
    bench.open(lease).await.join(&worker).await.unwrap().expect("the channel is led")
}

pub(crate) fn run(name: &str) -> RunId {
    RunId::new(name).unwrap()
}

/// Receives until there are `count` messages, or until patience ends.
pub(crate) async fn receive(queue: &dyn Queue, count: usize) -> Vec<Delivery> {
    let deadline = Instant::now() + PATIENCE;
    let mut deliveries = Vec::new();
    while deliveries.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} messages came", deliveries.len());
        let wanted = count - deliveries.len();
        deliveries.extend(queue.receive(wanted, Duration::from_secs(1)).await.unwrap());
    }
    deliveries
}

pub(crate) async fn receive_one(queue: &dyn Queue) -> Delivery {
    receive(queue, 1).await.remove(0)
}

/// Puts `count` different messages on the queue and returns them.
pub(crate) async fn send_many(queue: &dyn Queue, count: usize) -> Vec<Bytes> {
    let bodies: Vec<Bytes> =
        (0..count).map(|number| format!("message {number:04}").into()).collect();
    for body in &bodies {
        queue.send(body.clone()).await.unwrap();
    }
    bodies
}

pub(crate) fn sorted_bodies(deliveries: &[Delivery]) -> Vec<Bytes> {
    let mut bodies: Vec<Bytes> = deliveries.iter().map(|delivery| delivery.body.clone()).collect();
    bodies.sort();
    bodies
}
