//! The walk on threads of its own, and the narrow channel through which it feeds the driver.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use s3bl_core::ledger::{Finding, Planned};
use s3bl_core::task::Failure;
use s3bl_core::toc::WalkTotals;
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
    pub(super) is_hungry: AtomicBool,
    pub(super) is_stopped: AtomicBool,
}

struct Sink {
    messages: mpsc::Sender<CrawlMessage>,
    switches: Arc<CrawlSwitches>,
    view: Arc<RunView>,
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
        self.send(CrawlMessage::Batch(planned))
    }

    fn finding(&self, finding: Finding) -> ControlFlow<()> {
        self.send(CrawlMessage::Finding(finding))
    }

    fn progress(&self, met: &WalkTotals) {
        self.view.count_walk(met);
    }

    fn is_hungry(&self) -> bool {
        self.switches.is_hungry.load(Ordering::Relaxed)
    }
}

/// Starts the walk; its last message is `Ended`.
pub(super) fn start(
    source: Arc<dyn Source>,
    plan: CrawlPlan,
    switches: Arc<CrawlSwitches>,
    view: Arc<RunView>,
) -> std::io::Result<mpsc::Receiver<CrawlMessage>> {
    let (messages, receiver) = mpsc::channel(CHANNEL_MAX);
    std::thread::Builder::new().name("crawl".to_owned()).spawn(move || {
        let sink = Sink { messages, switches, view };
        let ended = source.crawl(&plan, &sink).map_err(|error| {
            tracing::error!(%error, "the source cannot be listed");
            error.failure(1)
        });
        // A driver that is gone has ended the run without the rest of the walk.
        let _ = sink.messages.blocking_send(CrawlMessage::Ended(ended));
    })?;
    Ok(receiver)
}
