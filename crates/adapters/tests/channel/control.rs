//! The control channel: documents downwards, reports upwards, both said again until they are heard.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use s3bl_port::channel::WorkerEnd;
use s3bl_port::control::MasterControl;
use tokio::time::Instant;

use crate::bench::{Bench, LONG_LEASE, PATIENCE, Pair, join};

pub(crate) async fn a_late_worker_gets_the_current_document(bench: &dyn Bench) {
    let Pair { master, .. } = Pair::new(bench, LONG_LEASE).await;
    master.control.publish(Bytes::from_static(b"the document")).await.unwrap();

    let late = join(bench, LONG_LEASE, "worker-2").await;

    // Some transports keep no document for those to come: the master says it again, as it does in a run.
    assert_eq!(hear(&late, &*master.control, "the document").await, "the document");
}

pub(crate) async fn only_the_newest_document_counts(bench: &dyn Bench) {
    let Pair { master, worker } = Pair::new(bench, LONG_LEASE).await;
    for document in ["first", "second", "third"] {
        master.control.publish(Bytes::from_static(document.as_bytes())).await.unwrap();
    }

    let deadline = Instant::now() + PATIENCE;
    let mut newest = Bytes::new();
    while newest != "third" {
        assert!(Instant::now() < deadline, "the newest document was {newest:?}");
        if let Some(document) = worker.control.receive(Duration::from_secs(1)).await.unwrap() {
            newest = document;
        }
    }
}

pub(crate) async fn a_worker_that_listens_hears_each_new_document(bench: &dyn Bench) {
    let Pair { master, worker } = Pair::new(bench, LONG_LEASE).await;
    let other = join(bench, LONG_LEASE, "worker-2").await;
    for document in ["one", "two", "three"] {
        assert_eq!(hear(&worker, &*master.control, document).await, document);
        assert_eq!(hear(&other, &*master.control, document).await, document);
    }
}

pub(crate) async fn without_a_document_nothing_is_received(bench: &dyn Bench) {
    let Pair { worker, .. } = Pair::new(bench, LONG_LEASE).await;
    let begun = Instant::now();
    assert_eq!(worker.control.receive(Duration::from_secs(1)).await.unwrap(), None);
    assert!(begun.elapsed() < PATIENCE);
}

pub(crate) async fn reports_of_every_worker_reach_the_master(bench: &dyn Bench) {
    let Pair { master, worker } = Pair::new(bench, LONG_LEASE).await;
    let other = join(bench, LONG_LEASE, "worker-2").await;
    let expected: BTreeSet<Bytes> =
        [[1, 0, 255].as_slice(), &[2, 0, 255]].map(Bytes::copy_from_slice).into_iter().collect();

    let mut heard = BTreeSet::new();
    let deadline = Instant::now() + PATIENCE;
    while heard != expected {
        assert!(Instant::now() < deadline, "{heard:?}");
        worker.control.report(Bytes::from_static(&[1, 0, 255])).await.unwrap();
        other.control.report(Bytes::from_static(&[2, 0, 255])).await.unwrap();
        heard.extend(master.control.receive(Duration::from_secs(1)).await.unwrap());
    }

    // A report is never taken for a result.
    assert!(master.results.receive(10, Duration::ZERO).await.unwrap().is_empty());
}

pub(crate) async fn a_worker_leaves_and_the_others_stay(bench: &dyn Bench) {
    let Pair { master, worker } = Pair::new(bench, LONG_LEASE).await;
    let other = join(bench, LONG_LEASE, "worker-2").await;

    worker.control.leave().await.unwrap();

    assert_eq!(hear(&other, &*master.control, "go on").await, "go on");
}

/// Publishes `document` until the worker receives it.
async fn hear(worker: &WorkerEnd, master: &dyn MasterControl, document: &'static str) -> Bytes {
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "`{document}` did not come");
        if let Some(heard) = worker.control.receive(Duration::from_millis(500)).await.unwrap()
            && heard == document
        {
            return heard;
        }
        master.publish(Bytes::from_static(document.as_bytes())).await.unwrap();
    }
}
