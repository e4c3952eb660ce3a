//! Queues: `inproc` within one process.

pub mod inproc;
