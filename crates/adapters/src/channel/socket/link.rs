//! A worker's connection to its master: many calls at a time, and another connection when one broke.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use s3bl_core::id::WorkerId;
use s3bl_port::channel::ChannelErrorKind;
use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::door::Door;
use super::frame::{self, Answer, Call, Numbered, PROTOCOL, Which};

/// Calls that may wait to be written.
const CALLS_MAX: usize = 64;
/// How much longer than it may wait a call may take: a master that stands still for so long is no master.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// Nobody listens at the socket.
    #[error("nobody listens at the socket")]
    NobodyThere,
    /// The connection ended before the answer came.
    #[error("the master's end of the socket was closed")]
    Closed,
    /// No answer in time.
    #[error("the master did not answer within {} s", .0.as_secs())]
    Late(Duration),
    /// The socket cannot be used.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The master says no.
    #[error("{0}")]
    Refused(String),
}

impl Fault {
    pub(super) fn kind(&self) -> ChannelErrorKind {
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                ChannelErrorKind::Denied
            }
            Self::NobodyThere | Self::Closed | Self::Late(_) => ChannelErrorKind::Unreachable,
            Self::Io(_) | Self::Refused(_) => ChannelErrorKind::Other,
        }
    }

    pub(super) fn is_transient(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

/// What came of a first call.
pub(super) enum Dial {
    /// A worker of the channel.
    Joined(Link),
    /// No master has taken the channel.
    NobodyThere,
}

/// A worker's way to its master.
pub(super) struct Link {
    door: Door,
    worker: WorkerId,
    line: tokio::sync::Mutex<Arc<Line>>,
}

impl Link {
    /// Joins the channel.
    pub(super) async fn dial(door: &Door, worker: &WorkerId) -> Result<Dial, Fault> {
        let line = match Line::open(door, worker, 0).await {
            Ok(line) => tokio::sync::Mutex::new(Arc::new(line)),
            Err(Fault::NobodyThere) => return Ok(Dial::NobodyThere),
            Err(fault) => return Err(fault),
        };
        Ok(Dial::Joined(Self { door: door.clone(), worker: worker.clone(), line }))
    }

    /// The connection that there is, or another if that broke: the run may have another master.
    pub(super) async fn line(&self) -> Result<Arc<Line>, Fault> {
        let mut line = self.line.lock().await;
        if line.is_closed() {
            *line = Arc::new(Line::open(&self.door, &self.worker, line.number + 1).await?);
        }
        Ok(Arc::clone(&line))
    }

    /// Says something that waits for nothing.
    pub(super) async fn say(&self, call: Call) -> Result<(), Fault> {
        self.line().await?.call(call, Duration::ZERO).await.map(drop)
    }

    /// Ends the connection: what this worker holds is anybody's.
    pub(super) async fn close(&self) {
        self.line.lock().await.close();
    }
}

/// One connection.
pub(super) struct Line {
    /// The how-manieth of its worker: a receipt is good for the connection on which it came.
    pub number: u64,
    calls: mpsc::Sender<Numbered<Call>>,
    waiting: Arc<Waiting>,
    tasks: [JoinHandle<()>; 2],
}

impl Line {
    async fn open(door: &Door, worker: &WorkerId, number: u64) -> Result<Self, Fault> {
        let stream = door.connect().await?.ok_or(Fault::NobodyThere)?;
        let line = Self::over(stream, number);
        let join = Call::Join { protocol: PROTOCOL, worker: worker.as_str().to_owned() };
        line.call(join, Duration::ZERO).await.map(|_| line)
    }

    fn over(stream: UnixStream, number: u64) -> Self {
        let (reading, mut writing) = stream.into_split();
        let (calls, mut called) = mpsc::channel::<Numbered<Call>>(CALLS_MAX);
        let waiting: Arc<Waiting> = Arc::default();
        let write = {
            let waiting = Arc::clone(&waiting);
            async move {
                while let Some(call) = called.recv().await {
                    if let Err(error) = frame::write(&mut writing, &call).await {
                        tracing::debug!(%error, "the master cannot be spoken to");
                        waiting.end();
                        return;
                    }
                }
            }
        };
        let read = hear(BufReader::new(reading), Arc::clone(&waiting), calls.downgrade());
        Self { number, calls, waiting, tasks: [tokio::spawn(write), tokio::spawn(read)] }
    }

    /// Calls the master, and waits for the answer `wait` longer than for that of a call which waits for nothing.
    pub(super) async fn call(&self, call: Call, wait: Duration) -> Result<Answer, Fault> {
        let (number, answer) = self.waiting.begin().ok_or(Fault::Closed)?;
        let asked = self.calls.send(Numbered { number, what: call });
        asked.await.map_err(|_| Fault::Closed)?;
        match timeout(wait + ANSWER_MAX, answer).await {
            Ok(Ok(Answer::Refused(why))) => Err(Fault::Refused(why)),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Fault::Closed),
            Err(_) => {
                // It may be there again some day; this worker does not wait for that.
                self.close();
                Err(Fault::Late(ANSWER_MAX))
            }
        }
    }

    fn is_closed(&self) -> bool {
        self.waiting.is_over()
    }

    fn close(&self) {
        self.waiting.end();
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.close();
    }
}

/// Hands answers to those who wait for them. What nobody waits for any more is given back.
async fn hear(
    mut reading: BufReader<OwnedReadHalf>,
    waiting: Arc<Waiting>,
    calls: mpsc::WeakSender<Numbered<Call>>,
) {
    loop {
        match frame::read::<Numbered<Answer>>(&mut reading).await {
            Ok(Some(Numbered { number, what })) => {
                if let Some(Answer::Deliveries { queue, deliveries }) = waiting.tell(number, what) {
                    give_back(&waiting, &calls, queue, deliveries.into_iter().map(|it| it.0)).await;
                }
            }
            Ok(None) => break,
            Err(error) => {
                tracing::debug!(%error, "the master cannot be heard");
                break;
            }
        }
    }
    waiting.end();
}

/// Whoever asked went away before the answer came: others are to have it, and not only when the lease ends.
async fn give_back(
    waiting: &Waiting,
    calls: &mpsc::WeakSender<Numbered<Call>>,
    queue: Which,
    receipts: impl Iterator<Item = String>,
) {
    for receipt in receipts {
        // Nobody needs the answer; without a connection the other side gives all of it back.
        if let (Some(calls), Some((number, _))) = (calls.upgrade(), waiting.begin()) {
            let _ = calls.send(Numbered { number, what: Call::Release { queue, receipt } }).await;
        }
    }
}

/// Who waits for which answer; nobody any more when the connection has ended.
#[derive(Debug, Default)]
struct Waiting(Mutex<Waits>);

#[derive(Debug, Default)]
struct Waits {
    last: u64,
    by_number: BTreeMap<u64, oneshot::Sender<Answer>>,
    is_over: bool,
}

impl Waiting {
    fn with<T>(&self, what: impl FnOnce(&mut Waits) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn begin(&self) -> Option<(u64, oneshot::Receiver<Answer>)> {
        let (tell, told) = oneshot::channel();
        self.with(|waits| {
            if waits.is_over {
                return None;
            }
            waits.last += 1;
            waits.by_number.insert(waits.last, tell);
            Some((waits.last, told))
        })
    }

    /// Gives the answer back if nobody waits for it any more.
    fn tell(&self, number: u64, answer: Answer) -> Option<Answer> {
        let waits = self.with(|waits| waits.by_number.remove(&number));
        match waits {
            Some(tell) => tell.send(answer).err(),
            None => Some(answer),
        }
    }

    fn end(&self) {
        self.with(|waits| {
            waits.is_over = true;
            waits.by_number.clear();
        });
    }

    fn is_over(&self) -> bool {
        self.with(|waits| waits.is_over)
    }
}
