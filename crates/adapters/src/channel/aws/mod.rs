//! A channel over Amazon SQS and SNS.
//!
//! It consists of two queues, a topic, and a queue for each worker that is subscribed to the topic:
//!
//! | Name | What travels |
//! | --- | --- |
//! | `s3bl-<channel>-toc` | batches, from the master to any worker |
//! | `s3bl-<channel>-results` | results and reports, from the workers to the master |
//! | `s3bl-<channel>-control` | run documents, from the master to the topic |
//! | `s3bl-<channel>-ctl-<worker>` | run documents, from the topic to one worker |
//!
//! All of them carry the tag `s3bl-run` with the name of their run, and nothing without it is ever touched. Who holds
//! the topic holds the channel.
//!
//! What is paid here is requests, so messages are sent and removed in batches (`batcher`), results and reports share a
//! queue and a poll (`inbox`), and what is spent is removed when ten have come together or time presses (`spent`).
//! What the services answer gets its meaning in `fault`, and nowhere else.

mod body;
mod call;
mod fault;
mod name;
mod sns;
mod sqs;

mod batcher;
mod spent;

mod control;
mod inbox;
mod queue;

mod ownership;
mod removal;

mod connect;

pub use connect::{AwsChannel, AwsSettings};
