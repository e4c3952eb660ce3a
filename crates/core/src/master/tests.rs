//! What the simulation of fleets has found (`tests/fleet`), each as one short story.

use std::time::Duration;

use super::*;
use crate::id::{Attempt, Epoch, RunId, TaskId, WorkerId};
use crate::ledger::{Planned, Recovered, WriteTally};
use crate::path::RelPath;
use crate::settings::{
    BatchSettings, BucketPlace, Destination, Mode, RunSettings, Selection, SourceLocation,
    StopSettings, TransferSettings,
};
use crate::task::{Class, Failure, Pass};
use crate::toc::{EntryKind, Packer};
use crate::unit::{ByteCount, FileTime, Timestamp};
use crate::wire::{Progress, ResultBody, WorkerReport, WorkerState};

const START: Timestamp = Timestamp(1_000_000);

fn run() -> RunId {
    RunId::new("run").unwrap()
}

fn worker() -> WorkerId {
    WorkerId::new("w1").unwrap()
}

fn run_settings() -> RunSettings {
    RunSettings {
        mode: Mode::Load,
        source: SourceLocation::Directory(b"/source".to_vec()),
        destination: Destination::Bucket(BucketPlace {
            bucket: "bucket".to_owned(),
            prefix: String::new(),
            endpoint_url: None,
            region: None,
            profile: None,
        }),
        select: Selection::default(),
        transfer: TransferSettings::default(),
        validate: None,
        batch: BatchSettings::default(),
        stop: StopSettings::default(),
        second_place: None,
    }
}

/// A master that resumes a run with batch 1 unwritten, and what it said last.
struct Led {
    master: Master,
    appended: u64,
}

impl Led {
    fn resumed() -> Self {
        let recovered = Recovered {
            epoch: 1,
            phase: Some(Phase::Write),
            planned: 1,
            planned_entries: 1,
            unwritten: vec![TaskId(1)],
            ..Recovered::default()
        };
        let settings = MasterSettings::default();
        let master = Master::new(run(), run_settings(), settings, recovered);
        let mut led = Self { master, appended: 0 };
        led.hear(START, Event::Begin);
        led
    }

    /// One that has begun to write, with batch 1 sent.
    fn writing() -> Self {
        let mut led = Self::resumed();
        led.hear(START, Event::Reported(report()));
        led.sync(START);
        led
    }

    fn hear(&mut self, now: Timestamp, event: Event) -> Vec<Effect> {
        self.master.handle(now, event);
        let mut effects = Vec::new();
        while let Some(effect) = self.master.poll_effect() {
            if let Effect::Append { number, .. } = &effect {
                self.appended = *number;
            }
            effects.push(effect);
        }
        effects
    }

    fn sync(&mut self, now: Timestamp) -> Vec<Effect> {
        self.hear(now, Event::Durable { through: self.appended })
    }
}

fn report() -> WorkerReport {
    WorkerReport {
        run: run(),
        worker: worker(),
        sequence: 1,
        state: WorkerState::Initialized,
        document: (0, 0),
        holding: Vec::new(),
        progress: Progress::default(),
        trouble: None,
        farewell: None,
    }
}

fn delivered(body: ResultBody, receipt: u64) -> Event {
    let (task, attempt) = (TaskId(1), Attempt(1));
    Event::Delivered {
        task,
        attempt,
        worker: worker(),
        body: Box::new(body),
        receipt,
        findings: Vec::new(),
    }
}

fn written() -> ResultBody {
    let tally = WriteTally { tasks: 1, entries: 1, written: 1, ..WriteTally::default() };
    ResultBody::Written { tally, outcomes: bytes::Bytes::new(), findings: Vec::new() }
}

fn unable() -> ResultBody {
    let failure = Failure::new(Class::AccessDenied, "put an object: access denied", 1);
    ResultBody::Unable { pass: Pass::Write, failure }
}

fn acknowledged(effects: &[Effect]) -> Vec<u64> {
    let receipt = |effect: &Effect| match effect {
        Effect::Acknowledge { receipt } => Some(*receipt),
        Effect::Publish(_)
        | Effect::StartCrawl
        | Effect::StopCrawl
        | Effect::Append { .. }
        | Effect::Send { .. }
        | Effect::SendStep { .. }
        | Effect::PurgeTasks
        | Effect::End(_) => None,
    };
    effects.iter().filter_map(receipt).collect()
}

fn after(duration: Duration) -> Timestamp {
    START.after(duration)
}

fn planned() -> Planned {
    let mut packer = Packer::default();
    packer.push(b"f", EntryKind::File, ByteCount(1), FileTime::default());
    let path = RelPath::new(b"f".to_vec()).unwrap();
    Planned { entries: packer.finish().unwrap(), first: path.clone(), last: path }
}

#[test]
fn a_result_that_comes_before_the_pass_begins_is_left_to_come_again() {
    let mut led = Led::resumed();
    assert_eq!(acknowledged(&led.hear(START, delivered(written(), 1))), Vec::<u64>::new());
    led.hear(START, Event::Reported(report()));
    led.hear(START, delivered(written(), 2));
    assert_eq!(acknowledged(&led.sync(START)), [2]);
}

#[test]
fn a_result_that_is_delivered_twice_is_kept_until_its_record_is_durable() {
    let mut led = Led::writing();
    led.hear(START, delivered(written(), 1));
    assert_eq!(acknowledged(&led.hear(START, delivered(written(), 2))), Vec::<u64>::new());
    assert_eq!(acknowledged(&led.sync(START)), [1]);
    assert_eq!(acknowledged(&led.hear(START, delivered(written(), 3))), [3]);
}

#[test]
fn a_result_that_comes_after_the_run_stopped_is_kept_for_its_resumption() {
    let mut led = Led::writing();
    led.hear(START, Event::Interrupted);
    led.hear(START, Event::Interrupted);
    led.sync(START);
    assert_eq!(led.master.standing().phase, Phase::Shutdown);
    assert_eq!(acknowledged(&led.hear(START, delivered(written(), 1))), Vec::<u64>::new());
}

#[test]
fn a_batch_that_could_not_be_sent_does_not_hold_up_the_end() {
    let mut led = Led::writing();
    led.hear(START, Event::Interrupted);
    led.hear(START, Event::NotSent { task: TaskId(1) });
    led.hear(START, Event::CrawlEnded(crate::toc::WalkTotals::default()));
    assert_eq!(led.master.standing().phase, Phase::Shutdown);
}

#[test]
fn a_run_that_all_workers_have_left_stops_and_says_so() {
    let mut led = Led::writing();
    let (due, wait) = led.master.poll_timeout().unwrap();
    assert!(wait != Wait::Workers && due < after(Duration::from_mins(10)));
    led.hear(after(Duration::from_mins(9)), Event::TimedOut);
    assert!(!led.master.standing().is_stopping);
    led.hear(after(Duration::from_mins(10)), Event::TimedOut);
    assert!(led.master.standing().is_stopping);
    // The walk that is still on is given a minute to stop.
    led.hear(after(Duration::from_mins(11)), Event::TimedOut);
    let effects = led.sync(after(Duration::from_mins(11)));
    let Some(Effect::End(Ending::Unable(failure))) = effects.last() else {
        panic!("{effects:?}");
    };
    assert_eq!(failure.message, "no worker has spoken for 600 s");
}

#[test]
fn a_batch_waits_in_the_queue_while_workers_are_busy_and_is_sent_again_when_one_is_hungry() {
    let sent = |effects: &[Effect]| {
        effects.iter().any(|effect| matches!(effect, Effect::Send { task: TaskId(1), .. }))
    };
    let said = |sequence: u64, state| Event::Reported(WorkerReport { sequence, state, ..report() });
    let mut led = Led::writing();
    let late = after(Duration::from_mins(9));
    assert!(!sent(&led.hear(late, said(2, WorkerState::Write))));
    assert!(!sent(&led.hear(late, said(3, WorkerState::Idle))));
    let later = late.after(Duration::from_secs(10));
    assert!(sent(&led.hear(later, said(4, WorkerState::Idle))));
}

#[test]
fn no_alarm_rings_while_the_end_waits_for_the_ledger() {
    let mut led = Led::writing();
    led.hear(START, Event::Crawled(planned()));
    led.hear(START, Event::Interrupted);
    let late = after(Duration::from_mins(2));
    led.hear(late, Event::TimedOut);
    let (due, _) = led.master.poll_timeout().unwrap();
    assert!(due > late, "an alarm that is due at once rings until the disk is done");
}

#[test]
fn trouble_that_was_told_to_an_earlier_master_stops_nobody() {
    let mut led = Led::resumed();
    assert_eq!(acknowledged(&led.hear(START, delivered(unable(), 1))), [1]);
    assert!(!led.master.standing().is_stopping);
    let mut led = Led::writing();
    led.hear(START, delivered(unable(), 1));
    assert!(led.master.standing().is_stopping);
}

#[test]
fn a_resumed_master_takes_the_next_epoch() {
    assert_eq!(Led::resumed().master.epoch(), Epoch(2));
}

fn expect(workers: usize) -> Event {
    Event::Expect { workers, trouble: Some("no capacity".to_owned()) }
}

#[test]
fn a_start_waits_for_no_more_workers_than_can_come() {
    let mut led = Led::resumed();
    led.master.settings.workers_expected = 3;
    led.hear(START, Event::Reported(report()));
    assert_eq!(led.master.standing().phase, Phase::Initialized);
    led.hear(START, expect(1));
    assert_eq!(led.master.standing().phase, Phase::Write);
}

#[test]
fn a_start_for_which_too_few_can_come_says_why() {
    let mut led = Led::resumed();
    (led.master.settings.workers_expected, led.master.settings.workers_min) = (3, 2);
    led.hear(START, expect(1));
    let effects = led.sync(START);
    let words = "1 workers can come, and 2 are needed: no capacity";
    let said = effects.iter().find_map(|effect| {
        let Effect::End(Ending::Unable(failure)) = effect else { return None };
        Some(failure.message.as_str())
    });
    assert_eq!(said, Some(words), "{effects:?}");
}

#[test]
fn a_run_whose_last_worker_is_gone_for_good_does_not_wait_for_another() {
    let mut led = Led::writing();
    led.hear(START, expect(0));
    assert!(!led.master.standing().is_stopping, "its last worker was heard just now");
    let later = START.after(led.master.silence_max());
    led.hear(later, Event::TimedOut);
    assert!(led.master.standing().is_stopping);
}

#[test]
fn a_stop_does_not_wait_for_what_a_dead_worker_held() {
    let mut led = Led::writing();
    let holding = WorkerReport { sequence: 2, holding: vec![TaskId(1)], ..report() };
    led.hear(START, Event::Reported(holding));
    led.hear(START, Event::Interrupted);
    led.sync(START);
    let document = (led.master.epoch.0, led.master.revision);
    let knows = WorkerReport { sequence: 3, holding: vec![TaskId(1)], document, ..report() };
    led.hear(START, Event::Reported(knows));
    assert_eq!(led.master.standing().out, 1, "its worker finishes the batch");
    let later = START.after(led.master.silence_max());
    led.hear(later, Event::TimedOut);
    assert_eq!(led.master.standing().out, 0);
    assert!(later < START.after(MasterSettings::default().drain_max));
}

#[test]
fn what_a_worker_did_for_an_earlier_master_is_told_apart() {
    let done = |written| Progress { written, ..Progress::default() };
    let says = |sequence, written| WorkerReport { sequence, progress: done(written), ..report() };
    let mut led = Led::resumed();
    led.hear(START, Event::Reported(says(7, 500)));
    led.hear(START, Event::Reported(says(8, 520)));
    let standing = led.master.standing();
    let member = standing.fleet.members().next().expect("it was heard").1;
    assert_eq!((member.progress.written, member.earlier.written), (520, 500));
}

fn named(worker: &str, sequence: u64, state: WorkerState, holding: &[u64]) -> WorkerReport {
    let holding = holding.iter().map(|task| TaskId(*task)).collect();
    let worker = WorkerId::new(worker).unwrap();
    WorkerReport { worker, sequence, state, holding, ..report() }
}

fn refusal(worker: &str) -> Event {
    let trouble = Some(format!("no source at {worker}"));
    let report = named(worker, 1, WorkerState::Shutdown, &[]);
    Event::Reported(WorkerReport { trouble, ..report })
}

/// Why the run cannot go on, as its end says it.
fn unable_words(effects: &[Effect]) -> Option<String> {
    effects.iter().find_map(|effect| match effect {
        Effect::End(Ending::Unable(failure)) => Some(failure.message.clone()),
        Effect::Publish(_)
        | Effect::StartCrawl
        | Effect::StopCrawl
        | Effect::Append { .. }
        | Effect::Send { .. }
        | Effect::SendStep { .. }
        | Effect::Acknowledge { .. }
        | Effect::PurgeTasks
        | Effect::End(_) => None,
    })
}

/// A master that waits for so many workers, of which so many may be replaced.
fn waiting_for(workers: usize, replaced_max: usize) -> Led {
    let recovered =
        Recovered { epoch: 1, planned: 1, unwritten: vec![TaskId(1)], ..Recovered::default() };
    let settings = MasterSettings {
        workers_expected: workers,
        workers_replaced_max: replaced_max,
        ..MasterSettings::default()
    };
    let master = Master::new(run(), run_settings(), settings, recovered);
    let mut led = Led { master, appended: 0 };
    led.hear(START, Event::Begin);
    led.sync(START);
    led
}

#[test]
fn a_start_ends_at_once_when_every_worker_has_refused_and_says_why_each_did() {
    let mut led = waiting_for(2, 0);
    assert_eq!(unable_words(&led.hear(START, refusal("one"))), None);
    // The same one once more is no other.
    assert_eq!(unable_words(&led.hear(START, refusal("one"))), None);
    let words =
        "no worker takes part: 2 of 2 have refused; one: no source at one; two: no source at two";
    assert_eq!(unable_words(&led.hear(START, refusal("two"))).as_deref(), Some(words));
}

#[test]
fn a_start_waits_on_while_a_worker_is_there_or_may_come_in_the_place_of_another() {
    let mut led = waiting_for(2, 0);
    led.hear(START, Event::Reported(named("well", 1, WorkerState::Initialized, &[])));
    led.hear(START, refusal("one"));
    led.hear(START, refusal("two"));
    assert!(!led.master.standing().is_stopping);
    let late = after(MasterSettings::default().worker_wait);
    led.hear(late, Event::Reported(named("well", 2, WorkerState::Initialized, &[])));
    assert_eq!(led.master.standing().phase, Phase::Write, "it starts with those that are there");

    let mut led = waiting_for(1, 1);
    led.hear(START, refusal("first"));
    assert!(!led.master.standing().is_stopping, "the launcher may replace it");
    led.hear(START, refusal("second"));
    assert!(led.master.standing().is_stopping);
}

#[test]
fn a_worker_that_refused_and_comes_again_mended_is_one_like_others() {
    let mut led = waiting_for(2, 0);
    led.hear(START, refusal("one"));
    led.hear(START, Event::Reported(named("one", 2, WorkerState::Initialized, &[])));
    led.hear(START, refusal("two"));
    assert!(!led.master.standing().is_stopping);
    let troubles: Vec<&str> = led.master.standing().fleet.troubles().map(|it| it.1).collect();
    assert_eq!(troubles, ["no source at two"]);
}

/// A run at its end: `dead` held the only batch and said no more, `quick` has done it.
fn at_the_end(taken_over: bool) -> (Led, Timestamp) {
    let mut led = waiting_for(2, 0);
    led.hear(START, Event::Reported(named("dead", 1, WorkerState::Initialized, &[])));
    led.hear(START, Event::Reported(named("quick", 1, WorkerState::Initialized, &[])));
    led.hear(START, Event::CrawlEnded(crate::toc::WalkTotals::default()));
    led.sync(START);
    led.hear(START, Event::Reported(named("dead", 2, WorkerState::Write, &[1])));
    let holding: &[u64] = if taken_over { &[1] } else { &[] };
    let later = after(MasterSettings::default().summary_every * 2);
    led.hear(later, Event::Reported(named("quick", 2, WorkerState::Write, holding)));
    let worker = WorkerId::new(if taken_over { "quick" } else { "dead" }).unwrap();
    let body = Box::new(written());
    let (task, attempt, findings) = (TaskId(1), Attempt(1), Vec::new());
    led.hear(later, Event::Delivered { task, attempt, worker, body, receipt: 1, findings });
    led.sync(later);
    assert_eq!(led.master.standing().phase, Phase::Shutdown);
    (led, later)
}

fn is_over(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::End(Ending::Complete)))
}

#[test]
fn the_end_does_not_wait_for_a_worker_whose_batch_another_has_had_since() {
    let (mut led, later) = at_the_end(true);
    led.sync(later);
    let left = Event::Reported(named("quick", 3, WorkerState::Shutdown, &[]));
    assert!(is_over(&led.hear(later, left)));
}

#[test]
fn the_end_waits_for_a_silent_worker_that_lost_nothing() {
    let (mut led, later) = at_the_end(false);
    led.sync(later);
    let left = Event::Reported(named("quick", 3, WorkerState::Shutdown, &[]));
    assert!(!is_over(&led.hear(later, left)));
    let farewell_max = MasterSettings::default().farewell_max;
    assert!(is_over(&led.hear(later.after(farewell_max), Event::TimedOut)));
}

#[test]
fn the_end_waits_for_a_worker_that_lost_a_batch_and_spoke_since() {
    let (mut led, later) = at_the_end(true);
    led.sync(later);
    led.hear(later, Event::Reported(named("dead", 3, WorkerState::Idle, &[])));
    let left = Event::Reported(named("quick", 3, WorkerState::Shutdown, &[]));
    assert!(!is_over(&led.hear(later, left)));
    let left = Event::Reported(named("dead", 4, WorkerState::Shutdown, &[]));
    assert!(is_over(&led.hear(later, left)));
}
