//! What a worker hangs on that its master started as a process: when the master is gone, its end of the worker's standard
//! input is closed.

use std::io::{self, Read as _};
use std::path::Path;

use anyhow::Context as _;
use s3bl_roles::worker::Wish;
use tokio::sync::watch;

use super::key::INPUT;
use crate::failure::CommandFailure;
use crate::talk;

/// Asks a worker to leave when its standard input ends, if it had its join key from there.
pub(crate) fn leave_with_input(
    key_file: Option<&Path>,
    wishes: watch::Sender<Wish>,
) -> Result<(), CommandFailure> {
    if key_file != Some(Path::new(INPUT)) {
        return Ok(());
    }
    let listen = move || {
        // Whatever comes is nothing to this worker; an input that cannot be read has ended too.
        if let Err(error) = io::copy(&mut io::stdin().lock().by_ref(), &mut io::sink()) {
            tracing::warn!(%error, "standard input cannot be read");
        }
        talk::say("leaving: the master has closed this worker's standard input");
        Wish::Leave { why: "its standard input ended".to_owned() }.ask(&wishes);
    };
    let thread = std::thread::Builder::new().name("lifeline".to_owned()).spawn(listen);
    thread.context("listen to standard input").map(drop).map_err(CommandFailure::could_not_run)
}
