//! An S3 server that checks each checksum and forgets the object: the measuring stick of the benchmark.
//!
//! It answers what loaders send and nothing more: no signature is checked, no byte is kept. What a
//! loader costs against it is what the loader itself costs. It shares no code with the loader.

mod args;
mod body;
mod checksum;
mod chunked;
mod connection;
mod fault;
mod head;
mod limit;
mod operation;
mod reply;
mod server;
mod service;
mod store;
mod tally;
mod upload;
mod xml;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let args = args::Args::parse();
    match server::run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the last word of a program that cannot go on")]
fn report(error: &dyn std::error::Error) {
    eprint!("null-server: {error}");
    let mut cause = error.source();
    while let Some(next) = cause {
        eprint!(": {next}");
        cause = next.source();
    }
    eprintln!();
}
