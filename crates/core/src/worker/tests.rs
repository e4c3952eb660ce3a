//! What the simulation of fleets has found (`tests/fleet`), each as one short story.

use std::time::Duration;

use super::*;
use crate::id::{Attempt, Epoch, RunId, TaskId};
use crate::master::{Effect as MasterEffect, Event as MasterEvent, Master, MasterSettings, Phase};
use crate::settings::{
    BatchSettings, Destination, Mode, RunSettings, Selection, SourceLocation, StopSettings,
    TransferSettings,
};
use crate::task::Pass;
use crate::unit::{ByteCount, Timestamp};
use crate::wire::RunDocument;

const NOW: Timestamp = Timestamp(1_000_000);

fn run() -> RunId {
    RunId::new("run").unwrap()
}

/// A run document of epoch 1, as a master writes it.
fn document(revision: u64, phase: Phase) -> Event {
    let settings = RunSettings {
        mode: Mode::Load,
        source: SourceLocation::Directory(b"/source".to_vec()),
        destination: Destination {
            bucket: "bucket".to_owned(),
            prefix: String::new(),
            endpoint_url: None,
            region: None,
            profile: None,
        },
        select: Selection::default(),
        transfer: TransferSettings::default(),
        validate: None,
        batch: BatchSettings { lease: Duration::from_secs(60), ..BatchSettings::default() },
        stop: StopSettings::default(),
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

fn delivered(pass: Pass, delivery: u64) -> Event {
    let (epoch, task, attempt) = (Epoch(1), TaskId(1), Attempt(1));
    Event::Delivered {
        head: TaskHead { run: run(), epoch, pass, task, attempt, content: ByteCount(1) },
        delivery,
    }
}

fn effects(worker: &mut Worker, events: impl IntoIterator<Item = Event>) -> Vec<Effect> {
    for event in events {
        worker.handle(NOW, event);
    }
    std::iter::from_fn(|| worker.poll_effect()).collect()
}

#[test]
fn a_task_of_a_pass_that_is_over_does_not_go_back_to_the_queue() {
    let mut worker = Worker::new(run(), WorkerSettings::default());
    effects(&mut worker, [Event::Begin, document(1, Phase::Validate)]);
    let said = effects(&mut worker, [delivered(Pass::Write, 7)]);
    assert_eq!(said, [Effect::Acknowledge { delivery: 7 }]);
}

#[test]
fn a_task_of_a_pass_that_is_to_come_goes_back_to_the_queue() {
    let mut worker = Worker::new(run(), WorkerSettings::default());
    effects(&mut worker, [Event::Begin, document(1, Phase::Write)]);
    let said = effects(&mut worker, [delivered(Pass::Validate, 7)]);
    assert_eq!(said, [Effect::Release { delivery: 7 }]);
}

#[test]
fn a_result_of_write_that_is_sent_late_does_not_end_the_batch_in_validate() {
    let (pass, task) = (Pass::Write, TaskId(1));
    let mut worker = Worker::new(run(), WorkerSettings::default());
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
