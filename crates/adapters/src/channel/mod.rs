//! Channels between a master and its workers: `aws` over SQS and SNS, `nats` over JetStream, `socket` between
//! processes of one machine, `inproc` within one.
//!
//! `sealed` and `pieces` wrap any: every message carries a MAC, and a result of any size fits.

#[cfg(feature = "aws")]
pub mod aws;
pub mod inproc;
mod name;
pub mod nats;
pub mod pieces;
pub mod sealed;
pub mod socket;

use std::sync::Arc;

use s3bl_core::id::RunId;
use s3bl_core::wire::SealKey;
use s3bl_port::channel::{MasterEnd, WorkerEnd};

use pieces::PiecedQueue;
use sealed::{Refusals, SealedMaster, SealedQueue, SealedWorker};

/// Seals a master's end for its run; results of any size fit.
pub fn secure_master(end: MasterEnd, key: &SealKey, run: &RunId) -> MasterEnd {
    let refusals: Arc<Refusals> = Arc::default();
    let run_key = key.of_run(run);
    let seal = |queue, what| SealedQueue::new(queue, run_key.clone(), what, Arc::clone(&refusals));
    MasterEnd {
        tasks: Arc::new(seal(end.tasks, "task")),
        results: Arc::new(PiecedQueue::new(Arc::new(seal(end.results, "result")))),
        control: Arc::new(SealedMaster::new(end.control, key.clone(), refusals)),
    }
}

/// Seals the control channel of a worker, which learns from it what run there is.
pub fn secure_control(end: WorkerEnd, key: &SealKey, refusals: &Arc<Refusals>) -> WorkerEnd {
    let control = SealedWorker::new(end.control, key.clone(), Arc::clone(refusals));
    WorkerEnd { control: Arc::new(control), ..end }
}

/// Seals the queues of a worker for the run that it works for; results of any size fit.
pub fn secure_queues(
    end: WorkerEnd,
    key: &SealKey,
    run: &RunId,
    refusals: &Arc<Refusals>,
) -> WorkerEnd {
    let run_key = key.of_run(run);
    let seal = |queue, what| SealedQueue::new(queue, run_key.clone(), what, Arc::clone(refusals));
    WorkerEnd {
        tasks: Arc::new(seal(end.tasks, "task")),
        results: Arc::new(PiecedQueue::new(Arc::new(seal(end.results, "result")))),
        control: end.control,
    }
}
