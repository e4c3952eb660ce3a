//! Queues: at least once, leases, and what ends them.

use std::time::Duration;

use bytes::Bytes;
use s3bl_port::queue::{Delivery, Queue};
use tokio::time::Instant;

use crate::bench::{
    Bench, LEASE, LONG_LEASE, PATIENCE, Pair, join, receive, receive_one, send_many, sorted_bodies,
};

/// How much earlier than it should a wait may end: clocks of two processes tick differently.
const TICK: Duration = Duration::from_millis(50);

pub(crate) async fn what_is_sent_is_received_and_once_acknowledged_never_again(bench: &dyn Bench) {
    let Pair { master, worker } = Pair::new(bench, 2 * LEASE).await;

    master.tasks.send(Bytes::from_static(b"a batch")).await.unwrap();
    let delivery = receive_one(&*worker.tasks).await;
    worker.tasks.acknowledge(&delivery.receipt).await.unwrap();

    assert_eq!(delivery.body, "a batch");
    assert_empty(&*worker.tasks, 3 * LEASE).await;
}

pub(crate) async fn an_unacknowledged_delivery_comes_again_after_its_lease_and_not_before(
    bench: &dyn Bench,
) {
    let Pair { master, worker } = Pair::new(bench, LEASE).await;
    let other = join(bench, LEASE, "worker-2").await;
    master.tasks.send(Bytes::from_static(b"a batch")).await.unwrap();

    // The lease begins at some moment after this one.
    let begun = Instant::now();
    let first = receive_one(&*worker.tasks).await;
    let second = receive_one(&*other.tasks).await;

    assert!(begun.elapsed() + TICK >= LEASE, "it came again after {:?}", begun.elapsed());
    assert_eq!(first.body, second.body);
}

pub(crate) async fn extending_makes_a_lease_last_for_its_full_time_again(bench: &dyn Bench) {
    let lease = 2 * LEASE;
    let Pair { master, worker } = Pair::new(bench, lease).await;
    let other = join(bench, lease, "worker-2").await;
    master.tasks.send(Bytes::from_static(b"a batch")).await.unwrap();

    let mut tries = 0;
    let extended = loop {
        tries += 1;
        assert!(tries <= 5, "this machine is too slow to keep a lease of {lease:?}");
        if let Some(extended) = hold(&*worker.tasks, &*other.tasks, lease).await {
            break extended;
        }
    };

    receive_one(&*other.tasks).await;
    assert!(extended.elapsed() + TICK >= lease, "it came after {:?}", extended.elapsed());
}

/// Holds a message for two leases, while somebody else asks for it, and says when it was extended for the last time.
/// `None` if this machine stood still for so long that the lease ended honestly.
async fn hold(holder: &dyn Queue, other: &dyn Queue, lease: Duration) -> Option<Instant> {
    let begun = Instant::now();
    let held = receive_one(holder).await;
    let mut extended = begun;
    while begun.elapsed() < 2 * lease {
        let extending = Instant::now();
        holder.extend(&held.receipt).await.unwrap();
        let was_late = extended.elapsed() + TICK >= lease;
        extended = extending;
        if let Some(taken) = other.receive(1, lease / 4).await.unwrap().first() {
            let after = extended.elapsed();
            assert!(was_late || after + TICK >= lease, "it came {after:?} after it was extended");
            other.release(&taken.receipt).await.unwrap();
            return None;
        }
    }
    Some(extended)
}

pub(crate) async fn a_released_message_comes_again_at_once(bench: &dyn Bench) {
    let Pair { master, worker } = Pair::new(bench, LONG_LEASE).await;
    let other = join(bench, LONG_LEASE, "worker-2").await;
    master.tasks.send(Bytes::from_static(b"a batch")).await.unwrap();
    let held = receive_one(&*worker.tasks).await;

    let released = Instant::now();
    let (again, done) =
        tokio::join!(receive_one(&*other.tasks), worker.tasks.release(&held.receipt));

    done.unwrap();
    assert!(released.elapsed() < LONG_LEASE / 2, "it came after {:?}", released.elapsed());
    assert_eq!(again.body, "a batch");
}

pub(crate) async fn two_receivers_share_the_messages(bench: &dyn Bench) {
    let Pair { master, worker } = Pair::new(bench, LONG_LEASE).await;
    let other = join(bench, LONG_LEASE, "worker-2").await;
    let sent = send_many(&*master.tasks, 20).await;

    let mut taken: [Vec<Delivery>; 2] = [Vec::new(), Vec::new()];
    let deadline = Instant::now() + PATIENCE;
    while taken.iter().map(Vec::len).sum::<usize>() < sent.len() {
        assert!(Instant::now() < deadline, "{taken:?}");
        for (end, taken) in [&worker, &other].into_iter().zip(&mut taken) {
            taken.extend(end.tasks.receive(4, LEASE).await.unwrap());
        }
    }

    assert!(taken.iter().all(|part| !part.is_empty()), "{taken:?}");
    assert_eq!(sorted_bodies(&taken.concat()), sent);
    for (end, taken) in [&worker, &other].into_iter().zip(&taken) {
        for delivery in taken {
            end.tasks.acknowledge(&delivery.receipt).await.unwrap();
        }
    }
}

pub(crate) async fn purge_removes_what_nobody_has_leased(bench: &dyn Bench) {
    let Pair { master, worker } = Pair::new(bench, LONG_LEASE).await;
    send_many(&*master.tasks, 10).await;
    let held = receive_one(&*worker.tasks).await;

    master.tasks.purge().await.unwrap();

    assert_empty(&*worker.tasks, LEASE).await;
    worker.tasks.acknowledge(&held.receipt).await.unwrap();
    master.tasks.send(Bytes::from_static(b"later")).await.unwrap();
    assert_eq!(receive_one(&*worker.tasks).await.body, "later");
}

pub(crate) async fn an_empty_receive_returns_after_its_wait(bench: &dyn Bench) {
    let Pair { worker, .. } = Pair::new(bench, LONG_LEASE).await;
    for wait in [Duration::ZERO, Duration::from_secs(1)] {
        let begun = Instant::now();
        assert_empty(&*worker.tasks, wait).await;
        let took = begun.elapsed();
        assert!(took + TICK >= wait && took < wait + PATIENCE / 2, "{wait:?} took {took:?}");
    }
}

pub(crate) async fn a_message_ends_the_wait_for_it(bench: &dyn Bench) {
    let Pair { master, worker } = Pair::new(bench, LONG_LEASE).await;

    let begun = Instant::now();
    let (received, sent) = tokio::join!(
        worker.tasks.receive(10, PATIENCE),
        master.tasks.send(Bytes::from_static(b"a batch")),
    );

    sent.unwrap();
    assert_eq!(received.unwrap().len(), 1);
    assert!(begun.elapsed() < PATIENCE / 2, "it took {:?}", begun.elapsed());
}

pub(crate) async fn no_more_messages_come_than_were_asked_for(bench: &dyn Bench) {
    let Pair { master, worker } = Pair::new(bench, LONG_LEASE).await;
    let sent = send_many(&*worker.results, 7).await;

    let mut taken = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while taken.len() < sent.len() {
        assert!(Instant::now() < deadline, "{taken:?}");
        let part = master.results.receive(3, LEASE).await.unwrap();
        assert!(part.len() <= 3, "{part:?}");
        taken.extend(part);
    }

    assert_eq!(sorted_bodies(&taken), sent);
}

pub(crate) async fn the_largest_message_passes_and_so_do_arbitrary_bytes(bench: &dyn Bench) {
    let Pair { master, worker } = Pair::new(bench, LONG_LEASE).await;
    // A queue without a limit of its own shows enough with this.
    let length_max = master.tasks.body_max().min(4 << 20);
    assert!(length_max >= 150_000, "{length_max} bytes are less than a batch may have");
    for length in [1, 257, length_max] {
        let body: Bytes = (0..length).map(|index| (index % 251 + index / 251) as u8).collect();
        master.tasks.send(body.clone()).await.unwrap();
        let delivery = receive_one(&*worker.tasks).await;
        assert!(delivery.body == body, "{length} bytes came as {} others", delivery.body.len());
        worker.tasks.acknowledge(&delivery.receipt).await.unwrap();
    }
}

pub(crate) async fn acknowledging_twice_is_no_error(bench: &dyn Bench) {
    let Pair { master, worker } = Pair::new(bench, 2 * LEASE).await;
    send_many(&*master.tasks, 2).await;
    let held = receive(&*worker.tasks, 2).await;

    for delivery in held.iter().chain(&held) {
        worker.tasks.acknowledge(&delivery.receipt).await.unwrap();
    }

    assert_empty(&*worker.tasks, 3 * LEASE).await;
}

async fn assert_empty(queue: &dyn Queue, wait: Duration) {
    let received = queue.receive(10, wait).await.unwrap();
    assert!(received.is_empty(), "{received:?}");
}
