//! The walk on threads of its own, and the narrow channel through which it feeds the driver.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use s3bl_core::ledger::{Finding, Planned};
use s3bl_core::task::{Class, Failure};
use s3bl_core::toc::WalkTotals;
use s3bl_port::ledger::PlannedSet;
use s3bl_port::source::{CrawlPlan, CrawlSink, Source};
use tokio::sync::mpsc;

use crate::view::RunView;

/// Batches that may wait for the driver before the walk waits too.
const CHANNEL_MAX: usize = 16;

/// What a walk tells the driver.
#[derive(Debug)]
pub(super) enum CrawlMessage {
    Batch(Planned),
    Finding(Finding),
    Ended(Result<WalkTotals, Failure>),
}

/// What the driver tells a walk.
#[derive(Debug, Default)]
pub(super) struct CrawlSwitches {
    /// Small batches that are welcome.
    pub(super) hunger: AtomicI64,
    pub(super) is_stopped: AtomicBool,
}

struct Sink {
    messages: mpsc::Sender<CrawlMessage>,
    switches: Arc<CrawlSwitches>,
    view: Arc<RunView>,
    /// What earlier crawls of the run planned, when this one starts over.
    planned: Option<Box<dyn PlannedSet>>,
}

impl Sink {
    fn send(&self, message: CrawlMessage) -> ControlFlow<()> {
        let is_stopped = self.switches.is_stopped.load(Ordering::Relaxed);
        if is_stopped || self.messages.blocking_send(message).is_err() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

impl CrawlSink for Sink {
    fn batch(&self, planned: Planned) -> ControlFlow<()> {
        self.switches.hunger.fetch_sub(1, Ordering::Relaxed);
        let Some(earlier) = &self.planned else {
            return self.send(CrawlMessage::Batch(planned));
        };
        match earlier.sift(planned) {
            Ok(Some(planned)) => self.send(CrawlMessage::Batch(planned)),
            Ok(None) => ControlFlow::Continue(()),
            Err(error) => {
                let failure = Failure::new(Class::WorkerFault, error.to_string(), 1);
                // Whether this reaches the driver or not, the walk is over.
                let _ = self.send(CrawlMessage::Ended(Err(failure)));
                ControlFlow::Break(())
            }
        }
    }

    fn finding(&self, finding: Finding) -> ControlFlow<()> {
        self.send(CrawlMessage::Finding(finding))
    }

    fn progress(&self, met: &WalkTotals) {
        self.view.count_walk(met);
    }

    fn is_hungry(&self) -> bool {
        self.switches.hunger.load(Ordering::Relaxed) > 0
    }
}

/// Starts the walk; its last message is `Ended`.
pub(super) fn start(
    source: Arc<dyn Source>,
    plan: CrawlPlan,
    switches: Arc<CrawlSwitches>,
    view: Arc<RunView>,
    planned: Option<Box<dyn PlannedSet>>,
) -> std::io::Result<mpsc::Receiver<CrawlMessage>> {
    let (messages, receiver) = mpsc::channel(CHANNEL_MAX);
    std::thread::Builder::new().name("crawl".to_owned()).spawn(move || {
        let sink = Sink { messages, switches, view, planned };
        let ended = match source.crawl(&plan, &sink) {
            Ok(walk) => {
                Ok(sink.planned.as_ref().map_or(walk, |planned| planned.joined_totals(&walk)))
            }
            Err(error) => {
                tracing::error!(%error, "the source cannot be listed");
                Err(error.failure(1))
            }
        };
        // A driver that is gone has ended the run without the rest of the walk.
        let _ = sink.messages.blocking_send(CrawlMessage::Ended(ended));
    })?;
    Ok(receiver)
}
