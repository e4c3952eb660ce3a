//! Channels between a master and its workers: `aws` over SQS and SNS, `nats` over JetStream.
//!
//! `sealed` and `pieces` wrap either: every message carries a MAC, and a result of any size fits.

pub mod inproc;
