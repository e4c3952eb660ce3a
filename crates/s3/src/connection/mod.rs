//! HTTP/1.1 connections: opened, kept, and polled by the very task that waits for the reply.
//!
//! There is no driver task: [`exchange`] polls hyper's connection future and the request together,
//! so a reply wakes the task that wants it and nothing else. An idle connection is polled by
//! nobody; what happened to it meanwhile is found when it is taken from the pool.

mod exchange;
mod failure;
mod host;
mod open;
mod payload;
mod resolve;
mod stream;
mod tls;

pub(crate) use exchange::{Exchange, exchange, next_chunk};
pub(crate) use failure::Failure;
pub(crate) use host::Host;
pub(crate) use payload::Payload;
pub(crate) use tls::connector;
