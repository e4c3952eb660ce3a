//! A lane: one thread with a runtime of its own, its own connections, and its share of the work.
//!
//! A request that ends wakes its neighbour on the same thread. Reading blocks, so it is done on other threads, many
//! small files a hop. `read` is that hop, `write` a file that fits a request, `upload` one that is sent in parts, `step`
//! the share of one that other workers send too, `late` what is done about a file that changed meanwhile, `linked` one that has several names, `verify` the
//! pass VALIDATE, `marker` what it asks of directories, `compare` its checks against a fresh read, `facts` those of owner,
//! mode and times.

mod compare;
mod facts;
mod late;
mod linked;
mod marker;
mod read;
mod step;
mod upload;
mod verify;
mod write;

use std::ops::{AddAssign, Range, SubAssign};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use s3bl_core::id::{Attempt, TaskId};
use s3bl_core::metadata::Xattr;
use s3bl_core::path::{KeyMap, RelPath};
use s3bl_core::plan::UploadMark;
use s3bl_core::settings::{CheckAt, Mode, SpecialPolicy, SymlinkPolicy, TransferSettings};
use s3bl_core::task::{Evidence, Failure, Pass};
use s3bl_core::toc::PosixFacts;
use s3bl_core::unit::ByteCount;
use s3bl_port::pacer::Pacer;
use s3bl_port::source::{Source, SourceError};
use s3bl_port::store::Store;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::agenda::{Agenda, Grouping, Job};
use super::batch::{Batch, content_of};
use super::buffer::BufferPool;
use super::gate::Gate;
use super::links::Links;
use super::meter::Meter;
use crate::pacing::Pace;

pub(super) use upload::Upload;

/// Opens the store for one lane; each lane has connections of its own.
#[async_trait]
pub trait OpenStore: Send + Sync {
    /// Opens the store. Every request goes through `pacer`.
    fn open(&self, pacer: Arc<dyn Pacer>) -> Arc<dyn Store>;
}

/// What lanes need to know of a run.
#[derive(Debug, Clone)]
pub struct LaneSettings {
    /// Whether objects are written, or only checked.
    pub mode: Mode,
    /// The map from paths to keys.
    pub keys: KeyMap,
    /// How objects are written.
    pub transfer: TransferSettings,
    /// What becomes of symbolic links.
    pub symlinks: SymlinkPolicy,
    /// What becomes of FIFOs, sockets and devices.
    pub specials: SpecialPolicy,
    /// How objects are checked.
    pub validate: Option<Evidence>,
    /// Size from which a file that is a batch of its own is sent by several workers, and of what one of them sends.
    pub range_size: ByteCount,
}

/// What a lane tells the driver.
#[derive(Debug)]
pub(super) enum LaneEvent {
    /// Every entry of a batch has its outcome.
    Finished(Arc<Batch>),
    /// An upload was begun, or ended.
    Mark { task: TaskId, attempt: Attempt, mark: UploadMark, is_begun: bool },
    /// No batch can come to anything.
    Unable { task: TaskId, attempt: Attempt, pass: Pass, failure: Failure },
}

/// Everything that the jobs of one lane share.
pub(super) struct Context {
    pub(super) settings: LaneSettings,
    pub(super) source: Arc<dyn Source>,
    pub(super) store: Arc<dyn Store>,
    pub(super) agenda: Arc<Agenda>,
    pub(super) buffers: Arc<BufferPool>,
    pub(super) meter: Arc<Meter>,
    pub(super) links: Arc<Links>,
    pub(super) before_validate: Arc<Gate>,
    /// Where else entries are looked for, and when.
    pub(super) second: Option<(CheckAt, Arc<Self>)>,
    pub(super) events: mpsc::Sender<LaneEvent>,
}

/// Everything that the lanes of one worker share.
pub(super) struct Shared {
    pub(super) settings: LaneSettings,
    pub(super) source: Arc<dyn Source>,
    pub(super) agenda: Arc<Agenda>,
    pub(super) buffers: Arc<BufferPool>,
    pub(super) meter: Arc<Meter>,
    pub(super) pace: Arc<Pace>,
    pub(super) links: Arc<Links>,
    pub(super) before_validate: Arc<Gate>,
    pub(super) second: Option<Second>,
    pub(super) events: mpsc::Sender<LaneEvent>,
}

/// Another place where what was written is looked for: the bucket behind a directory.
#[derive(Clone)]
pub struct Second {
    /// When it is looked at.
    pub check_at: CheckAt,
    /// What is known of it: its keys, and how objects are checked.
    pub settings: LaneSettings,
    /// The way to it.
    pub open_store: Arc<dyn OpenStore>,
}

/// Most entries that are read ahead of the requests, and about how many bytes these may have: what waits long for its
/// request has left the cores' caches.
const AHEAD_ENTRIES_MAX: usize = 64;
const AHEAD_BYTES: u64 = 2 << 20;
/// Parts that one lane has in hand at once: each fills a large buffer, and large transfers need few.
const PARTS_MIN: usize = 3;
const PARTS_MAX: usize = 32;

/// How long the end waits for requests that are on their way.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// Starts lane `index`. It ends when `stop` turns true, without beginning anything more.
pub(super) fn start(
    index: u32,
    shared: &Arc<Shared>,
    open_store: &Arc<dyn OpenStore>,
    stop: watch::Receiver<bool>,
) -> std::io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    let open_store = Arc::clone(open_store);
    std::thread::Builder::new().name(format!("lane-{index}")).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(shared.source.habits().threads)
            .thread_name(format!("reader-{index}"))
            .build()
            .expect(
                "a current-thread runtime needs an epoll handle, and the process has room for one",
            );
        let context = |settings: &LaneSettings, store, second| {
            Arc::new(Context {
                settings: settings.clone(),
                source: Arc::clone(&shared.source),
                store,
                agenda: Arc::clone(&shared.agenda),
                buffers: Arc::clone(&shared.buffers),
                meter: Arc::clone(&shared.meter),
                links: Arc::clone(&shared.links),
                before_validate: Arc::clone(&shared.before_validate),
                second,
                events: shared.events.clone(),
            })
        };
        let second = shared.second.as_ref().map(|second| {
            let store = second.open_store.open(shared.pace.lane());
            (second.check_at, context(&second.settings, store, None))
        });
        let store = open_store.open(shared.pace.lane());
        let context = context(&shared.settings, store, second);
        runtime.block_on(Lane::new(context, Arc::clone(&shared.pace)).run(stop));
        // Readers may hang on a dead mount; they hold nothing that anyone waits for.
        runtime.shutdown_background();
    })
}

/// Entries in hand, and the bytes of their contents as the TOC has them.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    entries: usize,
    bytes: u64,
}

impl Load {
    fn of(batch: &Batch, range: &Range<usize>) -> Self {
        Self { entries: range.len(), bytes: content_of(&batch.entries[range.clone()]).0 }
    }

    /// Entries that may be read ahead of the requests.
    fn ahead(self) -> usize {
        let mean = self.bytes / self.entries.max(1) as u64;
        let count = AHEAD_BYTES.checked_div(mean).unwrap_or(u64::MAX);
        usize::try_from(count).unwrap_or(usize::MAX).clamp(1, AHEAD_ENTRIES_MAX)
    }
}

impl AddAssign for Load {
    fn add_assign(&mut self, other: Self) {
        self.entries += other.entries;
        self.bytes += other.bytes;
    }
}

impl SubAssign for Load {
    fn sub_assign(&mut self, other: Self) {
        self.entries -= other.entries;
        self.bytes -= other.bytes;
    }
}

/// What a job comes to.
enum Step {
    /// So much is done with.
    Done(Load),
    /// Of so much, these entries were read, and each is now to be written.
    Write(Vec<write::Readied>, Arc<Batch>, Load),
    /// A part is done with.
    PartDone,
}

struct Lane {
    context: Arc<Context>,
    pace: Arc<Pace>,
    jobs: JoinSet<Step>,
    in_hand: Load,
    /// Parts in hand.
    parts: usize,
}

impl Lane {
    fn new(context: Arc<Context>, pace: Arc<Pace>) -> Self {
        Self { context, pace, jobs: JoinSet::new(), in_hand: Load::default(), parts: 0 }
    }

    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut changes = self.context.agenda.changes();
        loop {
            changes.mark_unchanged();
            while let Some(job) = self.next_job() {
                self.begin(job);
            }
            tokio::select! {
                biased;
                Some(step) = self.jobs.join_next() => match step {
                    Ok(step) => self.follow(step),
                    Err(error) if error.is_panic() => {
                        tracing::error!(%error, "a job broke down; its batch will be handed out again");
                    }
                    Err(_) => {}
                },
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                stopped = stop.wait_for(|is_stopped| *is_stopped) => {
                    drop(stopped);
                    self.finish().await;
                    return;
                }
            }
        }
    }

    /// Lets requests come to their end that are on their way: cut off, they might still be carried out, and nobody would
    /// look at what they left. What is not on its way was abandoned before.
    async fn finish(&mut self) {
        let all = async { while self.jobs.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_REQUESTS, all).await.is_err() {
            self.jobs.shutdown().await;
        }
    }

    /// Takes a job, if the lane has room for more than its share of requests keeps busy.
    fn next_job(&self) -> Option<Job> {
        let share = self.pace.share() as usize;
        let has_room = self.in_hand.entries < share + share / 4 + self.in_hand.ahead();
        let parts_max = (share / 4).clamp(PARTS_MIN, PARTS_MAX);
        let may_take_part = self.parts < parts_max;
        if !has_room && !may_take_part {
            return None;
        }
        let transfer = &self.context.settings.transfer;
        let grouping = Grouping {
            is_sweep: verify::is_sweep(&self.context.settings),
            multipart_threshold: transfer.multipart_threshold.0,
            entries_max: self.context.source.habits().chunk_entries_max,
        };
        self.context.agenda.take(may_take_part, has_room, grouping)
    }

    fn begin(&mut self, job: Job) {
        let context = Arc::clone(&self.context);
        match job {
            Job::Part { upload, number } => {
                self.parts += 1;
                self.jobs.spawn(async move {
                    upload.send_part(&context, number).await;
                    Step::PartDone
                });
            }
            Job::Entries { batch, range } => {
                let load = Load::of(&batch, &range);
                self.in_hand += load;
                self.jobs.spawn(async move {
                    match batch.pass {
                        Pass::Write => {
                            let readied = write::ready(&context, &batch, range).await;
                            Step::Write(readied, batch, load)
                        }
                        Pass::Validate => {
                            verify::check(&context, &batch, range).await;
                            Step::Done(load)
                        }
                    }
                });
            }
        }
    }

    fn follow(&mut self, step: Step) {
        match step {
            Step::Done(load) => self.in_hand -= load,
            Step::PartDone => self.parts -= 1,
            Step::Write(readied, batch, load) => {
                self.in_hand -= load;
                for entry in readied {
                    let index = entry.index();
                    let load = Load::of(&batch, &(index..index + 1));
                    self.in_hand += load;
                    let (context, batch) = (Arc::clone(&self.context), Arc::clone(&batch));
                    self.jobs.spawn(async move {
                        write::write(&context, &batch, entry).await;
                        Step::Done(load)
                    });
                }
            }
        }
    }
}

impl Context {
    /// Reads the extended attributes of a file or directory, if they were asked for.
    pub(super) fn xattrs(
        &self,
        path: &RelPath,
        facts: &PosixFacts,
    ) -> Result<Vec<Xattr>, SourceError> {
        if !self.settings.transfer.object.takes_xattrs {
            return Ok(Vec::new());
        }
        self.source.xattrs(path, facts)
    }

    /// Tells the driver that every entry of a batch has its outcome: of what is written, once that survives a crash of the
    /// machine.
    pub(super) async fn finished(&self, batch: &Arc<Batch>) {
        if batch.pass == Pass::Write
            && let Err(error) = self.store.persist().await
        {
            return self.cannot_go_on(batch, error.failure()).await;
        }
        self.tell(LaneEvent::Finished(Arc::clone(batch))).await;
    }

    /// Tells the driver that no batch can come to anything.
    pub(super) async fn cannot_go_on(&self, batch: &Batch, failure: Failure) {
        let (task, attempt, pass) = (batch.task, batch.attempt, batch.pass);
        self.tell(LaneEvent::Unable { task, attempt, pass, failure }).await;
    }

    /// Tells the driver; a driver that is gone needs no telling.
    pub(super) async fn tell(&self, event: LaneEvent) {
        let _ = self.events.send(event).await;
    }

    /// As [`Self::block`], for a read of an entry, which is named if it does not come back.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        batch: &Arc<Batch>,
        index: usize,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> T {
        let batch = Arc::clone(batch);
        self.block(move |context| {
            let _reading = context.meter.reads.begin(&batch, index);
            work(context)
        })
        .await
    }

    /// Runs something that blocks on a thread that may wait.
    pub(super) async fn block<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> T {
        let context = Arc::clone(self);
        match tokio::task::spawn_blocking(move || work(&context)).await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}
