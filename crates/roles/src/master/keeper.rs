//! The thread that owns the ledger: appends in groups, one transaction each, and reads in between.

use std::thread::JoinHandle;

use bytes::Bytes;
use s3bl_core::id::{TaskId, WorkerId};
use s3bl_core::ledger::Record;
use s3bl_core::task::Pass;
use s3bl_core::toc::PackedEntries;
use s3bl_port::ledger::{Ledger, LedgerError};
use tokio::sync::{mpsc, oneshot, watch};

/// Records that wait for the disk before the driver has to wait too.
const QUEUE_MAX: usize = 1024;
/// Most records of one transaction.
const GROUP_MAX: usize = 256;

/// The driver's handle of the thread.
#[derive(Debug)]
pub(super) struct Keeper {
    commands: mpsc::Sender<Command>,
    durable: watch::Receiver<u64>,
    thread: JoinHandle<Result<Box<dyn Ledger>, LedgerError>>,
}

/// A batch as it rests in the ledger.
#[derive(Debug)]
pub(super) struct Rested {
    pub(super) entries: PackedEntries,
    pub(super) outcomes: Option<Bytes>,
    /// In the pass VALIDATE, who wrote it.
    pub(super) writer: Option<WorkerId>,
}

/// Something that is asked of the ledger on its thread; it sends its answer by itself.
type Question = Box<dyn FnOnce(&dyn Ledger) + Send>;

enum Command {
    Append { number: u64, record: Box<Record> },
    Read(Question),
}

impl Rested {
    pub(super) fn of(ledger: &dyn Ledger, pass: Pass, task: TaskId) -> Result<Self, LedgerError> {
        let entries = ledger.entries(task)?;
        let (outcomes, writer) = match pass {
            Pass::Write => (None, None),
            Pass::Validate => (Some(ledger.write_outcomes(task)?), ledger.writer(task)?),
        };
        Ok(Self { entries, outcomes, writer })
    }
}

/// The thread has ended, because of an error that [`Keeper::close`] returns.
#[derive(Debug)]
pub(super) struct Gone;

impl Keeper {
    pub(super) fn start(ledger: Box<dyn Ledger>) -> std::io::Result<Self> {
        let (commands, receiver) = mpsc::channel(QUEUE_MAX);
        let (announce, durable) = watch::channel(0);
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || keep(ledger, receiver, &announce))?;
        Ok(Self { commands, durable, thread })
    }

    pub(super) async fn append(&self, number: u64, record: Box<Record>) -> Result<(), Gone> {
        self.commands.send(Command::Append { number, record }).await.map_err(|_| Gone)
    }

    /// Asks the ledger something, once everything that was appended before is in it.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Ledger) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        let ask = Box::new(move |ledger: &dyn Ledger| {
            // A driver that is gone needs no answer.
            let _ = reply.send(question(ledger));
        });
        self.commands.send(Command::Read(ask)).await.map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }

    /// Waits until more records are durable, and names the last.
    pub(super) async fn durable(&mut self) -> Result<u64, Gone> {
        self.durable.changed().await.map_err(|_| Gone)?;
        Ok(*self.durable.borrow_and_update())
    }

    /// Ends the thread and gives the ledger back, or the error that ended it.
    pub(super) async fn close(self) -> Result<Box<dyn Ledger>, LedgerError> {
        drop(self.commands);
        let thread = self.thread;
        tokio::task::spawn_blocking(move || thread.join())
            .await
            .expect("joining a thread neither panics nor is cancelled")
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn keep(
    mut ledger: Box<dyn Ledger>,
    mut commands: mpsc::Receiver<Command>,
    announce: &watch::Sender<u64>,
) -> Result<Box<dyn Ledger>, LedgerError> {
    let mut records = Vec::new();
    while let Some(first) = commands.blocking_recv() {
        let mut next = Some(first);
        let mut last_number = None;
        let mut question = None;
        while let Some(command) = next.take() {
            match command {
                Command::Append { number, record } => {
                    records.push(*record);
                    last_number = Some(number);
                }
                Command::Read(asked) => {
                    question = Some(asked);
                    break;
                }
            }
            if records.len() < GROUP_MAX {
                next = commands.try_recv().ok();
            }
        }
        if let Some(number) = last_number {
            ledger.append(&records)?;
            records.clear();
            announce.send_replace(number);
        }
        if let Some(question) = question {
            question(ledger.as_ref());
        }
    }
    Ok(ledger)
}
