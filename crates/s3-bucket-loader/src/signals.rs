//! Ctrl-C and SIGTERM: the first drains, the second stops at once, the third does not even say goodbye.

use anyhow::Context as _;
use s3bl_roles::worker::Wish;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::exit::Exit;
use crate::failure::CommandFailure;
use crate::talk;

/// Forwards signals to a run until the returned set is dropped. `last_words` say how to go on with it.
pub(crate) fn forward(
    interrupts: mpsc::Sender<()>,
    last_words: String,
) -> Result<JoinSet<()>, CommandFailure> {
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut count = 0;
        loop {
            tokio::select! {
                Some(()) = interrupt.recv() => {}
                Some(()) = terminate.recv() => {}
                else => return,
            }
            count += 1;
            match count {
                1 => talk::say(
                    "stopping: files in flight are finished; press Ctrl-C again to stop at once",
                ),
                2 => talk::say("stopping at once"),
                _ => {
                    talk::say(&last_words);
                    std::process::exit(i32::from(Exit::Interrupted as u8));
                }
            }
            // A run that does not listen any more is over.
            let _ = interrupts.send(()).await;
        }
    });
    Ok(task)
}

/// Asks a worker to leave at the first signal; the second ends the process at once.
pub(crate) fn leave_on_signal(wishes: watch::Sender<Wish>) -> Result<JoinSet<()>, CommandFailure> {
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut task = JoinSet::new();
    task.spawn(async move {
        loop {
            tokio::select! {
                Some(()) = interrupt.recv() => {}
                Some(()) = terminate.recv() => {}
                else => return,
            }
            let leave = Wish::Leave { why: "a signal asked it to".to_owned() };
            if matches!(wishes.send_replace(leave), Wish::Leave { .. }) {
                std::process::exit(i32::from(Exit::Interrupted as u8));
            }
            talk::say("leaving: what this worker holds goes back to the others");
        }
    });
    Ok(task)
}
