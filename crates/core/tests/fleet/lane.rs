//! A worker's hands: they read files, put objects and check them, entry by entry.

use s3bl_core::checksum::ETag;
use s3bl_core::id::{Attempt, TaskId};
use s3bl_core::path::RelPath;
use s3bl_core::plan::PartMark;
use s3bl_core::task::{Class, Evidence, Failure, Pass, ValidateOutcome, WriteOutcome, Written};
use s3bl_core::toc::{EntryKind, TocEntry};
use s3bl_core::unit::{ByteCount, Timestamp};
use s3bl_core::validate::{HeadFacts, judge_head, judge_listed};
use s3bl_core::wire::{ResultBody, TaskMessage, UploadStep, decode_outcomes, encode};
use s3bl_core::worker::Event;

use super::chance::{DAY, MINUTE, Moment, SECOND};
use super::fault::Fault;
use super::message;
use super::source::Version;
use super::store;
use super::world::{Happening, World};

/// How often a request is tried.
pub(crate) const TRIES_MAX: u32 = 5;

/// A batch in work.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) task: TaskId,
    pub(crate) attempt: Attempt,
    pub(crate) pass: Pass,
    entries: Vec<TocEntry>,
    /// What became of the entries in the pass WRITE, in the pass VALIDATE.
    before: Vec<WriteOutcome>,
    write: Vec<WriteOutcome>,
    validate: Vec<ValidateOutcome>,
    /// What was read of the present entry, and not put yet.
    pub(crate) in_hand: Option<Version>,
    pub(crate) tries: u32,
    /// What is to be done of the upload of the one entry, if this is a step of one.
    pub(crate) step: Option<UploadStep>,
    /// Parts of a step that are sent.
    pub(crate) sent: Vec<PartMark>,
    /// What there is to say instead of outcomes.
    answer: Option<ResultBody>,
    /// When nothing may be written any more.
    pub(crate) until: Timestamp,
    /// When the present entry was read.
    read: Moment,
    /// What was put of the present entry, until somebody has looked whether that was late.
    pub(crate) put: Option<RelPath>,
}

impl Job {
    pub(crate) fn new(message: &TaskMessage, until: Timestamp) -> Self {
        let before = message.outcomes.as_ref().map(|outcomes| decode_outcomes(outcomes).unwrap());
        Self {
            task: message.task,
            attempt: message.attempt,
            pass: message.pass,
            entries: message.entries.unpack().unwrap(),
            before: before.unwrap_or_default(),
            write: Vec::new(),
            validate: Vec::new(),
            in_hand: None,
            tries: 0,
            step: message.step.clone(),
            sent: Vec::new(),
            answer: None,
            until,
            read: 0,
            put: None,
        }
    }

    /// Entries that nobody has begun.
    pub(crate) fn backlog(&self) -> u64 {
        (self.entries.len() - self.write.len() - self.validate.len()) as u64
    }

    pub(crate) fn result(&self) -> ResultBody {
        if let Some(answer) = &self.answer {
            return answer.clone();
        }
        match self.pass {
            Pass::Write => message::write_result(&self.entries, &self.write),
            Pass::Validate => message::validate_result(&self.validate),
        }
    }

    pub(crate) fn entry(&self) -> &TocEntry {
        &self.entries[self.write.len() + self.validate.len()]
    }
}

/// What a step of a job came to.
pub(crate) enum Step {
    Written(WriteOutcome),
    /// There is something else to say of the batch.
    Answered(ResultBody),
    Checked(ValidateOutcome),
    /// There is more to do about this entry, after so long.
    Again(u64),
    /// The store denies everything.
    Denied,
}

impl World {
    /// A job goes on with its next step.
    pub(crate) fn go_on(&mut self, slot: usize, number: u64) {
        let clock = self.slots[slot].clock;
        let Some(mut job) = self.process(slot).jobs.remove(&number) else {
            return;
        };
        // As the real one, it looks at the clock itself: its driver may hear later what time it is.
        let is_lapsed = clock.at(self.now) >= job.until;
        if is_lapsed && job.put.is_none() {
            return;
        }
        let step = match job.pass {
            Pass::Write => match job.step.clone() {
                Some(step) => self.go_on_with_upload(slot, &mut job, &step),
                None => self.write(slot, &mut job),
            },
            Pass::Validate => self.validate(slot, &mut job),
        };
        let (task, attempt, pass) = (job.task, job.attempt, job.pass);
        let span = match step {
            Step::Written(outcome) => {
                job.write.push(outcome);
                (job.in_hand, job.tries, job.put) = (None, 0, None);
                1
            }
            Step::Checked(outcome) => {
                job.validate.push(outcome);
                1 + self.slots[slot].pace / 4
            }
            Step::Answered(answer) => {
                job.answer = Some(answer);
                1
            }
            Step::Again(span) => span,
            Step::Denied => {
                self.process(slot).jobs.insert(number, job);
                self.give_up(slot, (task, attempt), pass);
                return;
            }
        };
        let is_finished = job.backlog() == 0 || job.answer.is_some();
        self.process(slot).jobs.insert(number, job);
        if is_finished {
            self.finish(slot, number);
        } else {
            self.plan_job(slot, number, span);
        }
    }

    fn give_up(&mut self, slot: usize, (task, attempt): (TaskId, Attempt), pass: Pass) {
        let process = self.process(slot);
        if process.is_unable {
            return;
        }
        process.is_unable = true;
        let message = message::result((task, attempt), &process.worker, message::unable(pass));
        self.tell(slot, None, encode(&message));
        self.feed_worker(slot, Event::Leave);
    }

    fn write(&mut self, slot: usize, job: &mut Job) -> Step {
        let entry = job.entry().clone();
        if entry.kind == EntryKind::Special {
            let failure = Failure::new(Class::SpecialFile, "a FIFO has no object", 1);
            return Step::Written(WriteOutcome::Skipped(failure));
        }
        if job.put.is_some() {
            return self.look_again(job, &entry);
        }
        let Some(version) = job.in_hand.clone() else {
            let Some(version) = self.source.file(&entry.path).present() else {
                return Step::Written(message::failed(Class::Vanished));
            };
            (job.in_hand, job.read) = (Some(version.clone()), self.now);
            let pace = self.slots[slot].pace;
            return Step::Again(pace + self.chance.below(pace));
        };
        if self.now < self.store.denied_until {
            self.faults.count(Fault::StoreDenied);
            return Step::Denied;
        }
        if self.strikes(Fault::StoreFailed) || job.tries >= TRIES_MAX {
            return Step::Written(message::failed(Class::StoreFault));
        }
        if self.strikes(Fault::StoreThrottled) {
            job.tries += 1;
            return Step::Again(SECOND << job.tries);
        }
        if job.entries.len() == 1
            && entry.size >= message::LARGE
            && version.content.len() as u64 >= message::LARGE.0
        {
            return self.begin_upload(&entry, &version);
        }
        if self.strikes(Fault::PutLate) {
            job.tries += 1;
            let span = self.chance.span(DAY);
            let late = Happening::LatePut(entry.path, version.content);
            self.plan_in(span, late);
            return Step::Again(MINUTE);
        }
        // A reply that is lost leaves two worlds; asking for the object tells which one this is.
        if self.strikes(Fault::PutDoubtful) && self.chance.happens(500) {
            job.tries += 1;
            return Step::Again(SECOND);
        }
        self.history.note(self.now, "put", &[slot as u64, job.task.0, job.write.len() as u64]);
        self.store.put(&entry.path, version.content.clone());
        job.put = Some(entry.path.clone());
        Step::Again(1)
    }

    /// Looks whether the file has changed, if it was put late; then it is put once more.
    fn look_again(&mut self, job: &mut Job, entry: &TocEntry) -> Step {
        let version = job.in_hand.clone().expect("it was read and put");
        let present = self.source.file(&entry.path).present();
        let is_late = self.now - job.read > SECOND;
        if is_late && present.is_some_and(|present| *present != version) {
            (job.in_hand, job.put) = (present.cloned(), None);
            job.read = self.now;
            self.history.note(self.now, "put again", &[]);
            return Step::Again(1);
        }
        Step::Written(message::written(entry, &version, job.tries))
    }

    fn validate(&mut self, slot: usize, job: &mut Job) -> Step {
        let index = job.validate.len();
        let WriteOutcome::Written(written) = &job.before[index] else {
            return Step::Checked(ValidateOutcome::NotWritten);
        };
        if self.strikes(Fault::CheckFailed) {
            let failure = Failure::new(Class::Unverifiable, "ask for an object: 503", 5);
            return Step::Checked(ValidateOutcome::Unknown(failure));
        }
        let path = &job.entries[index].path;
        let wanted = self.plan.validate.expect("there is a pass VALIDATE");
        let (verdict, is_sound) = match self.store.get(path) {
            None => {
                let failure = Failure::new(Class::Missing, "there is no such object", 1);
                (ValidateOutcome::Missing(failure), false)
            }
            Some(content) => {
                let is_sound = self.source.ever_had(path, content);
                (judge(written, content, wanted), is_sound)
            }
        };
        let worker = &self.slots[slot].process.as_ref().expect("the worker lives").worker;
        self.model.checked((worker.clone(), job.task, job.attempt, index), is_sound);
        self.history.note(self.now, "check", &[job.task.0, index as u64, u64::from(is_sound)]);
        Step::Checked(verdict)
    }
}

fn judge(written: &Written, content: &bytes::Bytes, wanted: Evidence) -> ValidateOutcome {
    let size = ByteCount(content.len() as u64);
    let etag: Option<ETag> = Some(store::etag(content));
    if wanted != Evidence::Head {
        return judge_listed(written, size, etag.as_ref(), wanted);
    }
    let crc64nvme = Some(store::checksum(content));
    judge_head(written, &HeadFacts { size, etag: etag.as_ref(), crc64nvme })
}
