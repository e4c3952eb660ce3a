//! How a master leads.

use std::time::Duration;

use crate::toc::RootPrint;
use crate::wire::Limits;

/// How a master leads.
#[derive(Debug, Clone, PartialEq)]
pub struct MasterSettings {
    /// Workers that the start waits for. Default 1.
    pub workers_expected: usize,
    /// Workers with which the run starts all the same when the wait is over. Default 1.
    pub workers_min: usize,
    /// Workers that may be launched in place of others. Default 0.
    pub workers_replaced_max: usize,
    /// How long the start waits for workers. Default 10 minutes.
    pub worker_wait: Duration,
    /// How often the run document is said again. Default 5 s.
    pub publish_every: Duration,
    /// How often workers report. Default 5 s; a worker that is silent for four times that long is counted as gone.
    pub summary_every: Duration,
    /// How long a batch may go unmentioned before it is sent again, once a worker has nothing else to do. Default three
    /// leases.
    pub sweep_after: Duration,
    /// Batches that may be out at once. Default 8 for each expected worker.
    pub window: usize,
    /// How long an interrupted run waits for the batches that workers hold. Default 60 s.
    pub drain_max: Duration,
    /// How long the end waits for the workers' last words. Default 10 s.
    pub farewell_max: Duration,
    /// How the root of the source looks, where workers open it by themselves.
    pub root: Option<RootPrint>,
    /// What all workers together may do, where each has a pace of its own; `None` where they share one.
    pub shared: Option<Limits>,
}

impl Default for MasterSettings {
    fn default() -> Self {
        Self {
            workers_expected: 1,
            workers_min: 1,
            workers_replaced_max: 0,
            worker_wait: Duration::from_mins(10),
            publish_every: Duration::from_secs(5),
            summary_every: Duration::from_secs(5),
            sweep_after: Duration::from_mins(3),
            window: 8,
            drain_max: Duration::from_mins(1),
            farewell_max: Duration::from_secs(10),
            root: None,
            shared: None,
        }
    }
}
