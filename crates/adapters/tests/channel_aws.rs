//! The channel over SQS and SNS, in what only it can be asked: what is made and removed, how requests are saved, and
//! what refusals mean. The server is moto, with the kit's proxy before it where a service has to say what moto never
//! does.

#![cfg(feature = "aws")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "channel_aws/batches.rs"]
mod batches;
#[path = "channel_aws/environment.rs"]
mod environment;
#[path = "channel_aws/parts.rs"]
mod parts;
#[path = "channel_aws/refusals.rs"]
mod refusals;
#[path = "channel_aws/removal.rs"]
mod removal;
#[path = "channel_aws/support.rs"]
mod support;
