//! The master's side of the socket: does what workers call for, on the queues of this process.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use s3bl_core::id::WorkerId;
use s3bl_port::channel::{Channel as _, WorkerEnd};
use s3bl_port::queue::{Queue, QueueError, Receipt};
use tokio::io::BufReader;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::frame::{self, Answer, BODY_BYTES_MAX, Call, DELIVERIES_MAX, Numbered, PROTOCOL, Which};
use crate::channel::inproc::InprocChannel;

/// Answers that may wait to be written.
const ANSWERS_MAX: usize = 64;
/// Calls of one worker that may be under way; the next are not read before one of them is done.
const CALLS_MAX: usize = 256;
/// The pause after a connection that could not be taken, as when there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers calls, until it is dropped: then every connection ends.
#[derive(Debug)]
pub(super) struct Server(JoinHandle<()>);

impl Server {
    /// Answers whoever connects, for the queues of `channel`.
    pub(super) fn start(listener: UnixListener, channel: Arc<InprocChannel>) -> Self {
        Self(tokio::spawn(accept(listener, channel)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn accept(listener: UnixListener, channel: Arc<InprocChannel>) {
    let mut guests = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = guests.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                guests.spawn(attend(stream, Arc::clone(&channel)));
            }
            Err(error) => {
                tracing::warn!(%error, "a worker's connection could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Does what one worker calls for, until its connection ends; what it holds then is anybody's at once.
async fn attend(stream: UnixStream, channel: Arc<InprocChannel>) {
    let (reading, writing) = stream.into_split();
    let mut reading = BufReader::new(reading);
    let guest = match let_in(&mut reading, &channel).await {
        Ok(Some((number, guest))) => Ok((number, guest)),
        Ok(None) => return,
        Err(refusal) => Err(refusal),
    };
    let (answers, answered) = mpsc::channel(ANSWERS_MAX);
    let writer = write_answers(writing, answered);
    match guest {
        Ok((number, guest)) => {
            let guest = Arc::new(guest);
            // There is room for the first.
            let _ = answers.try_send(Numbered { number, what: Answer::Done });
            tokio::join!(writer, listen(reading, Arc::clone(&guest), answers));
            guest.give_back().await;
        }
        Err((number, why)) => {
            let _ = answers.try_send(Numbered { number, what: Answer::Refused(why) });
            drop(answers);
            writer.await;
        }
    }
}

/// Hears who it is. `None` if nobody speaks; an error is told to whoever it was.
async fn let_in(
    reading: &mut BufReader<OwnedReadHalf>,
    channel: &InprocChannel,
) -> Result<Option<(u64, Guest)>, (u64, String)> {
    let first = match frame::read::<Numbered<Call>>(reading).await {
        Ok(first) => first,
        Err(error) => return Err((0, format!("this is not understood: {error}"))),
    };
    let Some(Numbered { number, what }) = first else {
        return Ok(None);
    };
    let refused = |why: String| Err((number, why));
    let Call::Join { protocol, worker } = what else {
        return refused("nobody has joined yet".to_owned());
    };
    if protocol != PROTOCOL {
        return refused(format!(
            "the worker speaks version {protocol} of this channel, and the master version {PROTOCOL}: start the same program"
        ));
    }
    let worker = match WorkerId::new(worker) {
        Ok(worker) => worker,
        Err(error) => return refused(error.to_string()),
    };
    match channel.join(&worker).await {
        Ok(Some(end)) => Ok(Some((number, Guest { end, held: Mutex::default() }))),
        Ok(None) => refused("the channel is gone".to_owned()),
        Err(error) => refused(error.to_string()),
    }
}

async fn write_answers(
    mut writing: OwnedWriteHalf,
    mut answered: mpsc::Receiver<Numbered<Answer>>,
) {
    while let Some(answer) = answered.recv().await {
        if let Err(error) = frame::write(&mut writing, &answer).await {
            // Its reading end tells the rest.
            tracing::debug!(%error, "a worker cannot be answered");
            return;
        }
    }
}

async fn listen(
    mut reading: BufReader<OwnedReadHalf>,
    guest: Arc<Guest>,
    answers: mpsc::Sender<Numbered<Answer>>,
) {
    // Ended with this: a worker that is gone waits for nothing.
    let mut calls = JoinSet::new();
    loop {
        match frame::read::<Numbered<Call>>(&mut reading).await {
            Ok(Some(Numbered { number, what })) => {
                let (guest, answers) = (Arc::clone(&guest), answers.clone());
                calls.spawn(async move {
                    let done = guest.answer(what).await;
                    let what = done.unwrap_or_else(|error| Answer::Refused(in_words(&error)));
                    // Whoever is gone needs no answer.
                    let _ = answers.send(Numbered { number, what }).await;
                });
            }
            Ok(None) => return,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::warn!(%error, "a worker is not understood");
                return;
            }
            Err(error) => {
                tracing::debug!(%error, "a worker's connection broke");
                return;
            }
        }
        while calls.try_join_next().is_some() {}
        if calls.len() >= CALLS_MAX {
            calls.join_next().await;
        }
    }
}

fn in_words(error: &QueueError) -> String {
    format!("{error}: {}", error.source)
}

/// One worker that is connected.
struct Guest {
    end: WorkerEnd,
    /// What was delivered to it, and neither acknowledged nor released.
    held: Mutex<BTreeSet<(Which, String)>>,
}

impl Guest {
    fn with_held<T>(&self, what: impl FnOnce(&mut BTreeSet<(Which, String)>) -> T) -> T {
        what(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn queue(&self, which: Which) -> &dyn Queue {
        match which {
            Which::Tasks => self.end.tasks.as_ref(),
            Which::Results => self.end.results.as_ref(),
        }
    }

    async fn answer(&self, call: Call) -> Result<Answer, QueueError> {
        match call {
            Call::Join { .. } => return Ok(Answer::Refused("it has joined before".to_owned())),
            Call::Send { body, .. } if body.len() > BODY_BYTES_MAX => {
                return Ok(Answer::Refused(format!("{} bytes are too many", body.len())));
            }
            Call::Send { queue, body } => self.queue(queue).send(body).await?,
            Call::Receive { queue, count, wait_ms } => {
                return self.receive(queue, count as usize, wait_ms).await;
            }
            Call::Extend { queue, receipt } => {
                self.queue(queue).extend(&Receipt(receipt)).await?;
            }
            Call::Acknowledge { queue, receipt } => {
                let receipt = self.let_go(queue, receipt);
                self.queue(queue).acknowledge(&receipt).await?;
            }
            Call::Release { queue, receipt } => {
                let receipt = self.let_go(queue, receipt);
                self.queue(queue).release(&receipt).await?;
            }
            Call::Purge { queue } => self.queue(queue).purge().await?,
            Call::Report { report } => self.end.control.report(report).await?,
            Call::Document { wait_ms } => {
                let document = self.end.control.receive(Duration::from_millis(wait_ms)).await?;
                return Ok(Answer::Document(document));
            }
        }
        Ok(Answer::Done)
    }

    async fn receive(
        &self,
        queue: Which,
        count: usize,
        wait_ms: u64,
    ) -> Result<Answer, QueueError> {
        let wait = Duration::from_millis(wait_ms);
        let received = self.queue(queue).receive(count.min(DELIVERIES_MAX), wait).await?;
        // No pause between: whatever ends this call, what it took is known.
        self.with_held(|held| {
            held.extend(received.iter().map(|delivery| (queue, delivery.receipt.0.clone())));
        });
        let deliveries = received.into_iter().map(|it| (it.receipt.0, it.body)).collect();
        Ok(Answer::Deliveries { queue, deliveries })
    }

    fn let_go(&self, queue: Which, receipt: String) -> Receipt {
        let held = (queue, receipt);
        self.with_held(|all| all.remove(&held));
        Receipt(held.1)
    }

    async fn give_back(&self) {
        for (queue, receipt) in self.with_held(std::mem::take) {
            if let Err(error) = self.queue(queue).release(&Receipt(receipt)).await {
                tracing::warn!(%error, "what a worker held comes back with its lease only");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use s3bl_core::id::RunId;
    use tempfile::TempDir;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    struct Stage {
        folder: TempDir,
        _server: Server,
    }

    impl Stage {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let listener = UnixListener::bind(folder.path().join("channel")).unwrap();
            let channel = Arc::new(InprocChannel::new(Duration::from_mins(1)));
            channel.lead(&RunId::new("run-a").unwrap()).await.unwrap();
            Self { folder, _server: Server::start(listener, channel) }
        }

        async fn connect(&self) -> UnixStream {
            UnixStream::connect(self.folder.path().join("channel")).await.unwrap()
        }
    }

    async fn ask(stream: &mut UnixStream, what: Call) -> Option<Answer> {
        frame::write(stream, &Numbered { number: 7, what }).await.unwrap();
        let answer: Numbered<Answer> = frame::read(stream).await.unwrap()?;
        assert_eq!(answer.number, 7);
        Some(answer.what)
    }

    fn join(protocol: u32) -> Call {
        Call::Join { protocol, worker: "worker-1".to_owned() }
    }

    #[tokio::test]
    async fn a_worker_of_another_version_and_one_that_has_not_joined_are_refused_with_the_reason() {
        let stage = Stage::new().await;
        let refused = async |call| match ask(&mut stage.connect().await, call).await {
            Some(Answer::Refused(why)) => why,
            other => panic!("{other:?}"),
        };
        let why = refused(join(PROTOCOL + 1)).await;
        assert!(why.contains("version 2 of this channel, and the master version 1"), "{why}");
        let call = Call::Purge { queue: Which::Tasks };
        assert_eq!(refused(call).await, "nobody has joined yet");
        let call = Call::Join { protocol: PROTOCOL, worker: "../worker".to_owned() };
        assert!(!refused(call).await.is_empty());
    }

    #[tokio::test]
    async fn nonsense_ends_its_own_connection_and_no_other() {
        let stage = Stage::new().await;
        let (mut good, mut bad) = (stage.connect().await, stage.connect().await);
        assert!(matches!(ask(&mut good, join(PROTOCOL)).await, Some(Answer::Done)));
        assert!(matches!(ask(&mut bad, join(PROTOCOL)).await, Some(Answer::Done)));
        bad.write_all(&[2, 0, 0, 0, 255, 255]).await.unwrap();
        assert!(frame::read::<Numbered<Answer>>(&mut bad).await.unwrap().is_none());
        let purge = Call::Purge { queue: Which::Tasks };
        assert!(matches!(ask(&mut good, purge).await, Some(Answer::Done)));
        let again = ask(&mut good, join(PROTOCOL)).await;
        assert!(matches!(again, Some(Answer::Refused(_))), "{again:?}");
        let body = bytes::Bytes::from(vec![0; BODY_BYTES_MAX + 1]);
        let sent = ask(&mut good, Call::Send { queue: Which::Results, body }).await;
        assert!(matches!(sent, Some(Answer::Refused(_))), "{sent:?}");
    }
}
