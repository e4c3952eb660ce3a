use s3bl_core::master::Phase;
use s3bl_core::unit::Rate;
use s3bl_core::wire::Activity;
use s3bl_roles::view::Snapshot;

use super::super::limiter::{Circumstances, Limiter, limiter};
use super::{listing, validating, writing};

const IDLE: Activity =
    Activity { in_flight: 3, limit: 64, rate: None, has_backlog: false, hanging_reads: 0 };
const HANGING: Activity = Activity { hanging_reads: 2, ..PACED };
const BACKLOG: Activity = Activity { has_backlog: true, ..IDLE };
const PACED: Activity = Activity { rate: Some(120.0), ..IDLE };

fn with(activity: Activity, snapshot: Snapshot) -> Snapshot {
    Snapshot { activity, ..snapshot }
}

const NOBODY: Limiter = Limiter::Workers { there: 0, expected: 0 };

#[test]
fn the_first_thing_that_is_short_is_named() {
    let calm = Circumstances::default();
    let busy = Circumstances { cpu_share: 0.9, ..calm };
    let bandwidth = Some(Rate(1000.0));
    let full_line = Circumstances { bytes_per_second: 950.0, bandwidth, ..busy };
    let free_line = Circumstances { bytes_per_second: 500.0, bandwidth, ..calm };
    let begun = Snapshot { phase: Some(Phase::Initialized), ..Snapshot::default() };
    let over = Snapshot { phase: Some(Phase::Shutdown), ..writing() };
    let written = Snapshot { write_done: 100_000, ..writing() };
    let nearly = Snapshot { write_done: 95_000, ..writing() };
    let checked = Snapshot { validated: 99_994, ..validating() };
    let in_flight = |in_flight| Limiter::Store { in_flight };
    let table = [
        ("not up", Snapshot::default(), calm, NOBODY),
        ("waiting for workers", begun, calm, NOBODY),
        ("all workers lost", Snapshot { workers: 0, ..writing() }, busy, NOBODY),
        ("over", over, busy, Limiter::Finishing),
        ("a dead mount", with(HANGING, writing()), busy, Limiter::HangingReads { count: 2 }),
        ("told to stop", Snapshot { is_stopping: true, ..writing() }, busy, Limiter::Finishing),
        ("all written", written, busy, Limiter::Finishing),
        ("all checked", checked, busy, Limiter::Finishing),
        (
            "503 beats all",
            with(PACED, listing()),
            full_line,
            Limiter::SlowDown { per_second: 120.0 },
        ),
        ("bandwidth beats CPU", writing(), full_line, Limiter::Bandwidth(Rate(1000.0))),
        ("bandwidth to spare", writing(), free_line, in_flight(64)),
        ("CPU beats the store", writing(), busy, Limiter::Cpu),
        ("requests all in flight", writing(), calm, in_flight(64)),
        ("files wait to be read", with(BACKLOG, writing()), calm, Limiter::SourceReads),
        ("files wait while listing", with(BACKLOG, listing()), calm, Limiter::SourceReads),
        ("nothing waits while listing", with(IDLE, listing()), calm, Limiter::Listing),
        ("nothing waits, much to do", with(IDLE, writing()), calm, Limiter::SourceReads),
        ("nothing waits, little to do", with(IDLE, nearly), calm, Limiter::Finishing),
        ("checks by LIST", validating(), calm, in_flight(2)),
    ];
    for (name, snapshot, around, expected) in table {
        assert_eq!(limiter(&snapshot, &around), expected, "{name}");
    }
}

#[test]
fn limiters_are_said_in_words() {
    let said = [
        NOBODY,
        Limiter::Workers { there: 1, expected: 3 },
        Limiter::Listing,
        Limiter::SourceReads,
        Limiter::Store { in_flight: 1 },
        Limiter::Store { in_flight: 0 },
        Limiter::SlowDown { per_second: 1234.5 },
        Limiter::Bandwidth(Rate(10_485_760.0)),
        Limiter::Cpu,
        Limiter::Finishing,
    ];
    let expected = [
        "waiting for workers",
        "waiting for workers: 1 of 3 are there",
        "limited by listing the source",
        "limited by reading the source",
        "limited by the store's latency (1 request in flight)",
        "limited by the store's latency",
        "the store says slow down: paced at 1,235/s",
        "limited by --bwlimit (10.0 MiB/s)",
        "limited by the CPU",
        "finishing",
    ];
    assert_eq!(said.map(|limiter| limiter.to_string()), expected.map(str::to_owned));
}
