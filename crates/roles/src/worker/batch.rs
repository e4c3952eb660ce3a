//! One batch in work: its entries, and what has become of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use s3bl_core::id::{Attempt, TaskId};
use s3bl_core::ledger::{ValidateTally, Verdict, WriteTally};
use s3bl_core::task::{Class, Failure, Pass, ValidateOutcome, WriteOutcome, Written};
use s3bl_core::toc::TocEntry;
use s3bl_core::unit::ByteCount;
use s3bl_core::wire::{ResultBody, WireFinding, WriteResults, encode_outcomes};

/// A batch that lanes work on together.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) task: TaskId,
    pub(super) attempt: Attempt,
    pub(super) pass: Pass,
    pub(super) entries: Vec<TocEntry>,
    /// In the pass VALIDATE: what became of the entries in the pass WRITE.
    pub(super) written: WriteResults,
    outcomes: Mutex<Outcomes>,
    is_abandoned: AtomicBool,
}

#[derive(Debug)]
struct Outcomes {
    write: Vec<Option<WriteOutcome>>,
    validate: Vec<Option<ValidateOutcome>>,
    left: usize,
    requests: BTreeMap<String, u64>,
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
        let outcomes = Outcomes { write, validate, left: count, requests: BTreeMap::new() };
        Self {
            task,
            attempt,
            pass,
            entries,
            written,
            outcomes: Mutex::new(outcomes),
            is_abandoned: AtomicBool::new(false),
        }
    }

    /// Stops the work on this batch as soon as a lane looks.
    pub(super) fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.is_abandoned.load(Ordering::Relaxed)
    }

    /// What was written of an entry, in the pass VALIDATE; `None` if it was not.
    pub(super) fn written_of(&self, index: usize) -> Option<&Written> {
        match self.written.get(index) {
            Some(WriteOutcome::Written(written)) => Some(written),
            Some(WriteOutcome::Skipped(_) | WriteOutcome::Failed(_)) | None => None,
        }
    }

    /// Notes what became of an entry in the pass WRITE. True if it was the last.
    pub(super) fn wrote(&self, index: usize, outcome: WriteOutcome) -> bool {
        let mut outcomes = self.outcomes();
        let slot = &mut outcomes.write[index];
        assert!(slot.is_none(), "an entry has one outcome");
        *slot = Some(outcome);
        outcomes.left -= 1;
        outcomes.left == 0
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

    fn outcomes(&self) -> std::sync::MutexGuard<'_, Outcomes> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sums the batch up for the master.
    ///
    /// # Panics
    ///
    /// If an entry has no outcome yet.
    pub(super) fn result(&self) -> ResultBody {
        let mut outcomes = self.outcomes();
        assert_eq!(outcomes.left, 0, "every entry has its outcome before the result is made");
        let requests = std::mem::take(&mut outcomes.requests);
        match self.pass {
            Pass::Write => {
                let write = std::mem::take(&mut outcomes.write);
                self.write_result(write.into_iter().flatten().collect(), requests)
            }
            Pass::Validate => {
                let validate = std::mem::take(&mut outcomes.validate);
                validate_result(validate.into_iter().flatten().collect(), requests)
            }
        }
    }

    fn write_result(&self, outcomes: WriteResults, requests: BTreeMap<String, u64>) -> ResultBody {
        let mut tally = WriteTally { tasks: 1, requests, ..WriteTally::default() };
        let mut findings = Vec::new();
        for (index, (entry, outcome)) in self.entries.iter().zip(&outcomes).enumerate() {
            tally.entries += 1;
            tally.bytes += entry.size;
            match outcome {
                WriteOutcome::Written(written) => {
                    tally.written += 1;
                    tally.written_bytes += entry.size;
                    if written.etag.is_some() {
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
                    findings.push(finding(index, Verdict::Skipped, failure));
                }
                WriteOutcome::Failed(failure) => {
                    tally.failed += 1;
                    tally.failed_bytes += entry.size;
                    tally.retries += u64::from(failure.attempts.saturating_sub(1));
                    count_class(&mut tally.classes, failure.class);
                    findings.push(finding(index, Verdict::Failed, failure));
                }
            }
        }
        ResultBody::Written { tally, outcomes: encode_outcomes(&outcomes).into(), findings }
    }
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
