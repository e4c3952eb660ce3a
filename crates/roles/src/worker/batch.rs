//! One batch in work: its entries, and what has become of them.
//!
//! In the pass WRITE the markers of directories come last, children before parents: SeaweedFS makes a directory when it
//! takes the first object below it, and a marker that is written at the same moment can get lost in that.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use s3bl_core::id::{Attempt, TaskId};
use s3bl_core::ledger::{ValidateTally, Verdict, WriteTally};
use s3bl_core::task::{Class, Failure, Pass, ValidateOutcome, WriteOutcome, Written};
use s3bl_core::toc::{EntryKind, TocEntry};
use s3bl_core::unit::{ByteCount, Timestamp};
use s3bl_core::wire::{ResultBody, UploadStep, WireFinding, WriteResults, encode_outcomes};

use super::links::Claim;
use crate::clock::Clock;

/// A batch that lanes work on together.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) task: TaskId,
    pub(super) attempt: Attempt,
    pub(super) pass: Pass,
    /// The entries, in the order in which they are worked on.
    pub(super) entries: Vec<TocEntry>,
    /// Where each entry was in the message, so that the outcomes go back in that order.
    places: Vec<usize>,
    /// How many entries come before the markers.
    content_count: usize,
    /// In the pass VALIDATE: what became of the entries in the pass WRITE.
    pub(super) written: WriteResults,
    /// What is to be done of the upload of the one entry, if this is a step of one.
    pub(super) step: Option<UploadStep>,
    outcomes: Mutex<Outcomes>,
    is_abandoned: AtomicBool,
    /// When the lease may be over, as the clock shows it.
    until: AtomicU64,
    clock: Clock,
    /// Entries whose file others wait for, since they are to be copied from it.
    claims: Mutex<BTreeMap<usize, Claim>>,
}

#[derive(Debug)]
struct Outcomes {
    write: Vec<Option<WriteOutcome>>,
    validate: Vec<Option<ValidateOutcome>>,
    left: usize,
    /// Of those left, the entries before the markers.
    content_left: usize,
    requests: BTreeMap<String, u64>,
    /// Entries whose object the store copied.
    copied: BTreeSet<usize>,
    /// What there is to say of the batch instead of outcomes: it is a large file, and others go on with it.
    answer: Option<ResultBody>,
}

/// What an outcome leaves to do of its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// Other entries that lanes may take, or have taken.
    Others,
    /// The markers, which nobody could take before.
    Markers,
    /// Nothing.
    Nothing,
}

impl Batch {
    pub(super) fn new(
        (task, attempt, pass): (TaskId, Attempt, Pass),
        entries: Vec<TocEntry>,
        written: WriteResults,
    ) -> Self {
        let count = entries.len();
        let (write, validate) = match pass {
            Pass::Write => (vec![None; count], Vec::new()),
            Pass::Validate => (Vec::new(), vec![None; count]),
        };
        let (places, entries) = match pass {
            Pass::Write => in_work_order(entries),
            Pass::Validate => ((0..count).collect(), entries),
        };
        let is_content =
            |entry: &&TocEntry| pass == Pass::Validate || entry.kind != EntryKind::Directory;
        let content_count = entries.iter().take_while(is_content).count();
        let outcomes = Outcomes {
            write,
            validate,
            left: count,
            content_left: content_count,
            requests: BTreeMap::new(),
            copied: BTreeSet::new(),
            answer: None,
        };
        Self {
            task,
            attempt,
            pass,
            entries,
            places,
            content_count,
            written,
            step: None,
            outcomes: Mutex::new(outcomes),
            is_abandoned: AtomicBool::new(false),
            until: AtomicU64::new(u64::MAX),
            clock: Clock::start(),
            claims: Mutex::default(),
        }
    }

    /// Lets nobody work on it from a moment on, as `clock` shows it, unless [`Batch::hold`] puts that off.
    pub(super) fn with_lease(self, clock: Clock, until: Timestamp) -> Self {
        Self { until: AtomicU64::new(until.0), clock, ..self }
    }

    /// Puts the end of the lease off.
    pub(super) fn hold(&self, until: Timestamp) {
        self.until.store(until.0, Ordering::Relaxed);
    }

    /// Makes it a step of the upload of its one entry.
    pub(super) fn with_step(self, step: Option<UploadStep>) -> Self {
        Self { step, ..self }
    }

    /// Notes what there is to say of the batch, which has no outcome yet.
    pub(super) fn answer(&self, answer: ResultBody) {
        self.outcomes().answer = Some(answer);
    }

    /// Stops the work on this batch as soon as a lane looks.
    pub(super) fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::Relaxed);
    }

    /// Whether nothing may be written for it any more: it was given back, or its lease is over.
    ///
    /// Looks at the clock itself: a process that slept may be here before its driver hears what time it is.
    pub(super) fn is_abandoned(&self) -> bool {
        self.is_abandoned.load(Ordering::Relaxed)
            || self.clock.now() >= Timestamp(self.until.load(Ordering::Relaxed))
    }

    /// The entries that may be worked on from the start.
    pub(super) fn contents(&self) -> Range<usize> {
        0..self.content_count
    }

    /// The entries that wait until all others are done.
    pub(super) fn markers(&self) -> Range<usize> {
        self.content_count..self.entries.len()
    }

    /// What was written of an entry, in the pass VALIDATE; `None` if it was not.
    pub(super) fn written_of(&self, index: usize) -> Option<&Written> {
        match self.written.get(index) {
            Some(WriteOutcome::Written(written)) => Some(written),
            Some(WriteOutcome::Skipped(_) | WriteOutcome::Failed(_)) | None => None,
        }
    }

    /// Notes what became of an entry in the pass WRITE.
    pub(super) fn wrote(&self, index: usize, outcome: WriteOutcome) -> Left {
        let mut outcomes = self.outcomes();
        let slot = &mut outcomes.write[index];
        assert!(slot.is_none(), "an entry has one outcome");
        *slot = Some(outcome);
        outcomes.left -= 1;
        if outcomes.left == 0 {
            return Left::Nothing;
        }
        if index >= self.content_count {
            return Left::Others;
        }
        outcomes.content_left -= 1;
        if outcomes.content_left == 0 { Left::Markers } else { Left::Others }
    }

    /// Notes what became of an entry in the pass VALIDATE. True if it was the last.
    pub(super) fn validated(&self, index: usize, outcome: ValidateOutcome) -> bool {
        let mut outcomes = self.outcomes();
        let slot = &mut outcomes.validate[index];
        assert!(slot.is_none(), "an entry has one outcome");
        *slot = Some(outcome);
        outcomes.left -= 1;
        outcomes.left == 0
    }

    /// Counts requests that were sent for this batch.
    pub(super) fn count_requests(&self, kind: &'static str, count: u64) {
        let mut outcomes = self.outcomes();
        match outcomes.requests.get_mut(kind) {
            Some(sum) => *sum += count,
            None => {
                outcomes.requests.insert(kind.to_owned(), count);
            }
        }
    }

    /// Keeps what others wait for until the entry has its outcome.
    pub(super) fn put_claim(&self, index: usize, claim: Claim) {
        self.claims().insert(index, claim);
    }

    /// Takes what others wait for, if the entry is such a one.
    pub(super) fn take_claim(&self, index: usize) -> Option<Claim> {
        self.claims().remove(&index)
    }

    /// Whether others wait for an entry.
    pub(super) fn has_claim(&self, index: usize) -> bool {
        self.claims().contains_key(&index)
    }

    /// Notes that the store copied the object of an entry: its bytes were not sent.
    pub(super) fn note_copied(&self, index: usize) {
        self.outcomes().copied.insert(self.places[index]);
        self.count_requests("copy", 1);
    }

    fn claims(&self) -> std::sync::MutexGuard<'_, BTreeMap<usize, Claim>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outcomes(&self) -> std::sync::MutexGuard<'_, Outcomes> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sums the batch up for the master.
    ///
    /// # Panics
    ///
    /// If an entry has no outcome yet, and nothing else is to be said.
    pub(super) fn result(&self) -> ResultBody {
        let mut outcomes = self.outcomes();
        if let Some(answer) = outcomes.answer.take() {
            return answer;
        }
        assert_eq!(outcomes.left, 0, "every entry has its outcome before the result is made");
        let requests = std::mem::take(&mut outcomes.requests);
        match self.pass {
            Pass::Write => {
                let write = std::mem::take(&mut outcomes.write);
                let copied = std::mem::take(&mut outcomes.copied);
                self.write_result(write.into_iter().flatten(), requests, &copied)
            }
            Pass::Validate => {
                let validate = std::mem::take(&mut outcomes.validate);
                validate_result(validate.into_iter().flatten().collect(), requests)
            }
        }
    }

    fn write_result(
        &self,
        outcomes: impl Iterator<Item = WriteOutcome>,
        requests: BTreeMap<String, u64>,
        copied: &BTreeSet<usize>,
    ) -> ResultBody {
        let mut tally = WriteTally { tasks: 1, requests, ..WriteTally::default() };
        let mut findings = Vec::new();
        let mut in_place: Vec<_> = self.places.iter().zip(outcomes).zip(&self.entries).collect();
        in_place.sort_unstable_by_key(|((place, _), _)| *place);
        for ((index, outcome), entry) in &in_place {
            tally.entries += 1;
            tally.bytes += entry.size;
            match outcome {
                WriteOutcome::Written(written) => {
                    tally.written += 1;
                    tally.written_bytes += entry.size;
                    if written.etag.is_some() && !copied.contains(*index) {
                        tally.sent_bytes += written.size;
                        count_write_requests(&mut tally.requests, written);
                    }
                    tally.refreshed += u64::from(written.is_newer_than_toc);
                    tally.retries += u64::from(written.retries);
                    tally.count_proof(written.proof);
                }
                WriteOutcome::Skipped(failure) => {
                    tally.skipped += 1;
                    tally.skipped_bytes += entry.size;
                    count_class(&mut tally.classes, failure.class);
                    findings.push(finding(**index, Verdict::Skipped, failure));
                }
                WriteOutcome::Failed(failure) => {
                    tally.failed += 1;
                    tally.failed_bytes += entry.size;
                    tally.retries += u64::from(failure.attempts.saturating_sub(1));
                    count_class(&mut tally.classes, failure.class);
                    findings.push(finding(**index, Verdict::Failed, failure));
                }
            }
        }
        let outcomes: WriteResults =
            in_place.into_iter().map(|((_, outcome), _)| outcome).collect();
        ResultBody::Written { tally, outcomes: encode_outcomes(&outcomes).into(), findings }
    }
}

/// The entries with their former places: markers last, and of those each before the one of its parent.
fn in_work_order(entries: Vec<TocEntry>) -> (Vec<usize>, Vec<TocEntry>) {
    let (mut markers, mut ordered): (Vec<_>, Vec<_>) =
        entries.into_iter().enumerate().partition(|(_, entry)| entry.kind == EntryKind::Directory);
    markers.sort_by(|(_, left), (_, right)| right.path.as_bytes().cmp(left.path.as_bytes()));
    ordered.append(&mut markers);
    ordered.into_iter().unzip()
}

fn validate_result(outcomes: Vec<ValidateOutcome>, requests: BTreeMap<String, u64>) -> ResultBody {
    let mut tally = ValidateTally { tasks: 1, requests, ..ValidateTally::default() };
    let mut findings = Vec::new();
    for (index, outcome) in outcomes.iter().enumerate() {
        let (verdict, failure) = match outcome {
            ValidateOutcome::NotWritten => continue,
            ValidateOutcome::Validated(evidence) => {
                tally.written += 1;
                tally.validated += 1;
                *tally.evidence.entry(*evidence).or_default() += 1;
                continue;
            }
            ValidateOutcome::Mismatched(failure) => {
                tally.mismatched += 1;
                (Verdict::Mismatched, failure)
            }
            ValidateOutcome::Missing(failure) => {
                tally.missing += 1;
                (Verdict::Missing, failure)
            }
            ValidateOutcome::Unknown(failure) => {
                tally.unknown += 1;
                (Verdict::Unknown, failure)
            }
        };
        tally.written += 1;
        count_class(&mut tally.classes, failure.class);
        findings.push(finding(index, verdict, failure));
    }
    ResultBody::Validated { tally, findings }
}

/// Requests of an object that was sent: a single PUT, or the beginning, parts and completion of an upload; repeated requests are mostly the large ones.
fn count_write_requests(requests: &mut BTreeMap<String, u64>, written: &Written) {
    let retries = u64::from(written.retries);
    if written.parts == 0 {
        *requests.entry("put".to_owned()).or_default() += 1 + retries;
        return;
    }
    *requests.entry("create_upload".to_owned()).or_default() += 1;
    *requests.entry("part".to_owned()).or_default() += u64::from(written.parts) + retries;
    *requests.entry("complete_upload".to_owned()).or_default() += 1;
}

fn count_class(classes: &mut BTreeMap<Class, u64>, class: Class) {
    *classes.entry(class).or_default() += 1;
}

fn finding(index: usize, verdict: Verdict, failure: &Failure) -> WireFinding {
    let index = u32::try_from(index).expect("a batch has at most 10,000 entries");
    WireFinding { index, verdict, failure: failure.clone() }
}

/// Sum of the sizes of some entries.
pub(super) fn content_of(entries: &[TocEntry]) -> ByteCount {
    entries.iter().map(|entry| entry.size).sum()
}

#[cfg(test)]
mod tests {
    use s3bl_core::path::RelPath;
    use s3bl_core::unit::FileTime;
    use s3bl_core::wire::decode_outcomes;

    use super::*;

    fn entry(path: &str) -> TocEntry {
        let kind = if path.ends_with('/') { EntryKind::Directory } else { EntryKind::File };
        let path = RelPath::new(path.trim_end_matches('/').as_bytes()).unwrap();
        TocEntry { path, kind, size: ByteCount(1), mtime: FileTime::default() }
    }

    fn batch(paths: &[&str]) -> Batch {
        let entries = paths.iter().map(|path| entry(path)).collect();
        Batch::new((TaskId(1), Attempt(1), Pass::Write), entries, Vec::new())
    }

    fn failed(message: &str) -> WriteOutcome {
        WriteOutcome::Failed(Failure::new(Class::AccessDenied, message, 1))
    }

    #[test]
    fn markers_wait_for_all_others_and_come_children_first() {
        let batch = batch(&["a/", "a/b/", "a/b/f", "a/g"]);
        let paths = |range: Range<usize>| -> Vec<String> {
            batch.entries[range].iter().map(|entry| entry.path.to_string()).collect()
        };
        assert_eq!(paths(batch.contents()), ["a/b/f", "a/g"]);
        assert_eq!(paths(batch.markers()), ["a/b", "a"]);
        assert_eq!(batch.wrote(1, failed("")), Left::Others);
        assert_eq!(batch.wrote(0, failed("")), Left::Markers);
        assert_eq!(batch.wrote(3, failed("")), Left::Others);
        assert_eq!(batch.wrote(2, failed("")), Left::Nothing);
    }

    #[test]
    fn outcomes_go_back_in_the_order_of_the_message() {
        let paths = ["a/", "a/b/", "a/b/f", "a/g"];
        let batch = batch(&paths);
        for index in 0..paths.len() {
            let path = batch.entries[index].path.to_string();
            batch.wrote(index, failed(&path));
        }
        let ResultBody::Written { outcomes, findings, .. } = batch.result() else {
            panic!("a pass WRITE has another result");
        };
        let messages = |outcome: &WriteOutcome| match outcome {
            WriteOutcome::Failed(failure) => failure.message.clone(),
            WriteOutcome::Written(_) | WriteOutcome::Skipped(_) => panic!("{outcome:?}"),
        };
        let outcomes: Vec<_> = decode_outcomes(&outcomes).unwrap().iter().map(messages).collect();
        assert_eq!(outcomes, ["a", "a/b", "a/b/f", "a/g"]);
        let findings: Vec<_> =
            findings.iter().map(|found| (found.index, found.failure.message.as_str())).collect();
        assert_eq!(findings, [(0, "a"), (1, "a/b"), (2, "a/b/f"), (3, "a/g")]);
    }
}
