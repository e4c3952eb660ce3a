//! Control channels: `inproc` within one process.

pub mod inproc;
