//! Tasks that listen to the queues, so that the driver's loop never loses a message by looking elsewhere.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use s3bl_core::cause::with_causes;
use s3bl_core::wire::{ResultMessage, WorkerReport, decode};
use s3bl_port::control::MasterControl;
use s3bl_port::queue::{Delivery, Queue, Receipt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::trouble::{Door, Troubles};

/// Messages that wait for the driver before the pumps wait too.
const CHANNEL_MAX: usize = 64;
/// How long one receive waits at most: the longest that SQS allows.
const RECEIVE_WAIT_MAX: Duration = Duration::from_secs(20);
/// Messages of one receive: the most that SQS gives.
const RECEIVE_COUNT: usize = 10;
/// Pause after a receive that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Something that came in.
#[derive(Debug)]
pub(super) enum Incoming {
    Report(WorkerReport),
    Result { message: Box<ResultMessage>, receipt: Receipt },
}

/// Starts the pumps; they end when the set is dropped. A queue that is gone is not always noticed by a receive that waits
/// for it just then, so none waits longer than a part of the run's `patience` with its channel.
pub(super) fn start(
    control: Arc<dyn MasterControl>,
    results: Arc<dyn Queue>,
    troubles: Arc<Troubles>,
    patience: Duration,
) -> (JoinSet<()>, mpsc::Receiver<Incoming>) {
    let (sender, receiver) = mpsc::channel(CHANNEL_MAX);
    let wait = RECEIVE_WAIT_MAX.min(patience / 4);
    let mut tasks = JoinSet::new();
    tasks.spawn(pump_reports(control, wait, sender.clone()));
    tasks.spawn(pump_results(results, troubles, wait, sender));
    (tasks, receiver)
}

async fn pump_reports(
    control: Arc<dyn MasterControl>,
    wait: Duration,
    sender: mpsc::Sender<Incoming>,
) {
    loop {
        match control.receive(wait).await {
            Ok(reports) => {
                for report in reports {
                    if forward_report(&report, &sender).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => {
                tracing::warn!(
                    error = with_causes(&error),
                    "workers' reports cannot be received; trying again"
                );
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn forward_report(bytes: &Bytes, sender: &mpsc::Sender<Incoming>) -> Result<(), ()> {
    match decode::<WorkerReport>(bytes) {
        Ok(report) => sender.send(Incoming::Report(report)).await.map_err(|_| ()),
        Err(error) => {
            tracing::warn!(%error, "a worker's report is refused");
            Ok(())
        }
    }
}

async fn pump_results(
    results: Arc<dyn Queue>,
    troubles: Arc<Troubles>,
    wait: Duration,
    sender: mpsc::Sender<Incoming>,
) {
    loop {
        match results.receive(RECEIVE_COUNT, wait).await {
            Ok(deliveries) => {
                troubles.is_well(Door::Results);
                for delivery in deliveries {
                    if forward_result(&results, delivery, &sender).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => {
                troubles.note(Door::Results, &error);
                tracing::warn!(
                    error = with_causes(&error),
                    "results cannot be received; trying again"
                );
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn forward_result(
    results: &Arc<dyn Queue>,
    delivery: Delivery,
    sender: &mpsc::Sender<Incoming>,
) -> Result<(), ()> {
    let Delivery { body, receipt } = delivery;
    match decode::<ResultMessage>(&body) {
        Ok(message) => {
            let message = Box::new(message);
            sender.send(Incoming::Result { message, receipt }).await.map_err(|_| ())
        }
        Err(error) => {
            // The sweep sends its batch again, so nothing is lost with a message that nobody can read.
            tracing::warn!(%error, "a result is refused");
            if let Err(error) = results.acknowledge(&receipt).await {
                tracing::warn!(%error, "a refused result cannot be removed");
            }
            Ok(())
        }
    }
}
