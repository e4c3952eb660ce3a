//! What the simulation of fleets has found (`tests/fleet`), each as one short story.

use std::time::Duration;

use super::*;
use crate::id::{Attempt, Epoch, RunId, TaskId, WorkerId};
use crate::master::{Effect as MasterEffect, Event as MasterEvent, Master, MasterSettings, Phase};
use crate::settings::{
    BatchSettings, BucketPlace, Destination, Mode, RunSettings, Selection, SourceLocation,
    StopSettings, TransferSettings,
};
use crate::task::Pass;
use crate::unit::{ByteCount, Timestamp};
use crate::wire::{Progress, RunDocument, WorkerStanding, WorkerState};

const NOW: Timestamp = Timestamp(1_000_000);

fn run() -> RunId {
    RunId::new("run").unwrap()
}

/// A run document of epoch 1, as a master writes it.
fn document(revision: u64, phase: Phase) -> Event {
    let settings = RunSettings {
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
        batch: BatchSettings { lease: Duration::from_secs(60), ..BatchSettings::default() },
        stop: StopSettings::default(),
        second_place: None,
    };
    let recovered = crate::ledger::Recovered::default();
    let mut master = Master::new(run(), settings, MasterSettings::default(), recovered);
    master.handle(NOW, MasterEvent::Begin);
    let published = std::iter::from_fn(|| master.poll_effect()).find_map(|effect| {
        if let MasterEffect::Publish(document) = effect { Some(document) } else { None }
    });
    let published = published.expect("a master publishes at its beginning");
    Event::Document(Box::new(RunDocument { revision, phase, ..*published }))
}

fn worker() -> Worker {
    Worker::new(run(), named("self"), WorkerSettings::default())
}

fn named(name: &str) -> WorkerId {
    WorkerId::new(name).unwrap()
}

/// Batch 1, as anybody's.
fn head(pass: Pass) -> TaskHead {
    let (epoch, task, attempt) = (Epoch(1), TaskId(1), Attempt(1));
    TaskHead { run: run(), epoch, pass, task, attempt, content: ByteCount(1), writer: None }
}

fn delivered(pass: Pass, delivery: u64) -> Event {
    Event::Delivered { head: head(pass), delivery }
}

/// The document, with workers of these names at work.
fn with_workers(document: Event, names: &[&str]) -> Event {
    let Event::Document(mut document) = document else { panic!("a document") };
    let standing = |name: &&str| WorkerStanding {
        worker: named(name),
        state: WorkerState::Write,
        silence: Duration::ZERO,
        holding: 0,
        progress: Progress::default(),
    };
    document.standing.workers = names.iter().map(standing).collect();
    Event::Document(document)
}

fn effects(worker: &mut Worker, events: impl IntoIterator<Item = Event>) -> Vec<Effect> {
    for event in events {
        worker.handle(NOW, event);
    }
    std::iter::from_fn(|| worker.poll_effect()).collect()
}

#[test]
fn a_task_of_a_pass_that_is_over_does_not_go_back_to_the_queue() {
    let mut worker = worker();
    effects(&mut worker, [Event::Begin, document(1, Phase::Validate)]);
    let said = effects(&mut worker, [delivered(Pass::Write, 7)]);
    assert_eq!(said, [Effect::Acknowledge { delivery: 7 }]);
}

#[test]
fn a_task_of_a_pass_that_is_to_come_goes_back_to_the_queue() {
    let mut worker = worker();
    effects(&mut worker, [Event::Begin, document(1, Phase::Write)]);
    let said = effects(&mut worker, [delivered(Pass::Validate, 7)]);
    assert_eq!(said, [Effect::Release { delivery: 7 }]);
}

#[test]
fn a_result_of_write_that_is_sent_late_does_not_end_the_batch_in_validate() {
    let (pass, task) = (Pass::Write, TaskId(1));
    let mut worker = worker();
    effects(&mut worker, [Event::Begin, document(1, Phase::Write), delivered(Pass::Write, 1)]);
    effects(&mut worker, [Event::Finished { pass, task }, document(2, Phase::Validate)]);
    effects(&mut worker, [delivered(Pass::Validate, 2)]);
    assert_eq!(effects(&mut worker, [Event::ResultSent { pass, task }]), []);
    let pass = Pass::Validate;
    let said = effects(&mut worker, [Event::Finished { pass, task }]);
    assert_eq!(said, [Effect::SendResult { pass, task }]);
    let said = effects(&mut worker, [Event::ResultSent { pass, task }]);
    assert!(said.contains(&Effect::Acknowledge { delivery: 2 }), "{said:?}");
}

/// What a worker says to a batch that it wrote itself and is to check, delivered so many times.
fn said_to_own_batch(names: &[&str], times: u64) -> Vec<Effect> {
    let mut worker = worker();
    let document = with_workers(document(1, Phase::Validate), names);
    effects(&mut worker, [Event::Begin, document]);
    let head = TaskHead { writer: Some(named("self")), ..head(Pass::Validate) };
    let delivered = |delivery| Event::Delivered { head: head.clone(), delivery };
    effects(&mut worker, (1..=times).map(delivered))
}

#[test]
fn a_worker_leaves_what_it_wrote_to_others_to_check() {
    let said = said_to_own_batch(&["self", "other"], 1);
    assert_eq!(said, [Effect::Release { delivery: 1 }]);
}

#[test]
fn a_worker_checks_what_it_wrote_if_it_is_alone_or_the_others_do_not_come_for_it() {
    let executes =
        |said: &[Effect]| said.iter().any(|effect| matches!(effect, Effect::Execute { .. }));
    assert!(executes(&said_to_own_batch(&["self"], 1)));
    assert!(executes(&said_to_own_batch(&["self", "other"], 4)));
}

#[test]
fn a_batch_whose_lease_was_not_made_to_last_is_let_go() {
    let mut worker = worker();
    effects(&mut worker, [Event::Begin, document(1, Phase::Write), delivered(Pass::Write, 1)]);
    let (pass, task) = (Pass::Write, TaskId(1));

    worker.handle(NOW.after(Duration::from_secs(53)), Event::TimedOut);
    let before: Vec<_> = std::iter::from_fn(|| worker.poll_effect()).collect();
    worker.handle(NOW.after(Duration::from_secs(54)), Event::TimedOut);
    let after: Vec<_> = std::iter::from_fn(|| worker.poll_effect()).collect();

    assert!(!before.contains(&Effect::Abandon { pass, task }), "{before:?}");
    assert!(after.contains(&Effect::Abandon { pass, task }), "{after:?}");
    // It is in the queue already, perhaps in other hands: to give it back would take it from those.
    assert!(!after.contains(&Effect::Release { delivery: 1 }), "{after:?}");
}

#[test]
fn a_batch_is_kept_as_long_as_the_queue_says_that_its_lease_lasts() {
    let mut worker = worker();
    effects(&mut worker, [Event::Begin, document(1, Phase::Write), delivered(Pass::Write, 1)]);
    let asked = NOW.after(Duration::from_secs(20));
    worker.handle(asked, Event::Extended { delivery: 1, asked });
    worker.handle(asked.after(Duration::from_secs(53)), Event::TimedOut);
    let said: Vec<_> = std::iter::from_fn(|| worker.poll_effect()).collect();
    let until = asked.after(Duration::from_secs(54));
    assert!(said.contains(&Effect::Hold { pass: Pass::Write, task: TaskId(1), until }), "{said:?}");
    assert!(!said.iter().any(|effect| matches!(effect, Effect::Abandon { .. })), "{said:?}");
}

#[test]
fn a_worker_with_two_full_batches_leaves_the_next_to_others() {
    let mut worker = worker();
    effects(&mut worker, [Event::Begin, document(1, Phase::Write)]);
    let full = |number| TaskHead {
        task: TaskId(number),
        content: BatchSettings::default().content_max,
        ..head(Pass::Write)
    };
    let delivered = |number| Event::Delivered { head: full(number), delivery: number };
    let said = effects(&mut worker, (1..=3).map(delivered));
    assert!(said.contains(&Effect::Release { delivery: 3 }), "{said:?}");
    assert!(!said.contains(&Effect::Release { delivery: 2 }), "{said:?}");
}

/// A worker of the pass WRITE that holds batch 1.
fn busy_worker(settings: WorkerSettings) -> Worker {
    let mut worker = Worker::new(run(), named("self"), settings);
    effects(&mut worker, [Event::Begin, document(1, Phase::Write), delivered(Pass::Write, 1)]);
    worker
}

/// What it says when its batch is done.
fn finishes(worker: &mut Worker) -> Vec<Effect> {
    let (pass, task) = (Pass::Write, TaskId(1));
    effects(worker, [Event::Finished { pass, task }, Event::ResultSent { pass, task }])
}

/// What it says at a moment.
fn at(worker: &mut Worker, moment: Timestamp) -> Vec<Effect> {
    worker.handle(moment, Event::TimedOut);
    std::iter::from_fn(|| worker.poll_effect()).collect()
}

#[test]
fn a_worker_that_is_to_leave_when_it_is_done_finishes_its_batch_and_takes_no_other() {
    let mut worker = busy_worker(WorkerSettings::default());
    let said = effects(&mut worker, [Event::Drain { until: None }, Event::Received]);
    let gives_up = |effect: &Effect| {
        matches!(effect, Effect::Abandon { .. } | Effect::Release { .. } | Effect::Receive { .. })
    };
    assert!(!said.iter().any(gives_up) && !said.contains(&Effect::Exit), "{said:?}");

    let other = TaskHead { task: TaskId(2), ..head(Pass::Write) };
    let said = effects(&mut worker, [Event::Delivered { head: other, delivery: 2 }]);
    assert_eq!(said, [Effect::Release { delivery: 2 }]);

    let said = finishes(&mut worker);
    assert!(said.contains(&Effect::Acknowledge { delivery: 1 }), "{said:?}");
    assert_eq!(said.last(), Some(&Effect::Exit));
    assert_eq!(worker.departure(), Some(Departure::Asked));
}

#[test]
fn what_is_not_finished_in_the_time_that_is_left_goes_back() {
    let mut worker = busy_worker(WorkerSettings::default());
    let end = NOW.after(Duration::from_secs(30));
    effects(&mut worker, [Event::Drain { until: None }, Event::Drain { until: Some(end) }]);
    let before = at(&mut worker, NOW.after(Duration::from_secs(29)));
    assert!(!before.contains(&Effect::Exit), "{before:?}");
    assert!(worker.poll_timeout().is_some_and(|due| due <= end));

    let after = at(&mut worker, end);

    assert!(after.contains(&Effect::Release { delivery: 1 }), "{after:?}");
    assert_eq!(after.last(), Some(&Effect::Exit));
}

#[test]
fn a_worker_without_a_master_finishes_what_it_holds_if_it_has_the_time() {
    let (silence_max, silent_drain_max) = (Duration::from_secs(10), Duration::from_secs(20));
    let settings = WorkerSettings { silence_max, silent_drain_max, ..WorkerSettings::default() };
    let mut worker = busy_worker(settings);
    let said = at(&mut worker, NOW.after(silence_max));
    assert!(!said.contains(&Effect::Exit), "{said:?}");

    let (pass, task) = (Pass::Write, TaskId(1));
    let later = NOW.after(Duration::from_secs(15));
    worker.handle(later, Event::Finished { pass, task });
    worker.handle(later, Event::ResultSent { pass, task });
    let said: Vec<_> = std::iter::from_fn(|| worker.poll_effect()).collect();
    assert!(said.contains(&Effect::Acknowledge { delivery: 1 }), "{said:?}");
    assert_eq!(said.last(), Some(&Effect::Exit));
    assert_eq!(worker.departure(), Some(Departure::MasterSilent));

    // Without that time it goes back at once.
    let mut worker = busy_worker(WorkerSettings { silence_max, ..WorkerSettings::default() });
    let said = at(&mut worker, NOW.after(silence_max));
    assert!(said.contains(&Effect::Release { delivery: 1 }), "{said:?}");
    assert_eq!(said.last(), Some(&Effect::Exit));
}

#[test]
fn a_worker_that_leaves_in_no_hurry_does_not_wait_for_a_master_that_is_gone() {
    let mut worker = worker();
    let held = [Event::Begin, document(1, Phase::Write), delivered(Pass::Write, 7)];
    effects(&mut worker, held);
    // Its result cannot be sent any more.
    let finished = Event::Finished { pass: Pass::Write, task: TaskId(1) };
    effects(&mut worker, [Event::Drain { until: None }, finished]);
    let gone = NOW.after(WorkerSettings::default().silence_max);
    assert!(worker.poll_timeout().is_some_and(|due| due <= gone));

    worker.handle(gone, Event::TimedOut);

    let said: Vec<Effect> = std::iter::from_fn(|| worker.poll_effect()).collect();
    assert!(said.contains(&Effect::Release { delivery: 7 }), "{said:?}");
    assert_eq!(said.last(), Some(&Effect::Exit));
}
