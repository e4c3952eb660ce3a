use std::time::Duration;

use s3bl_core::master::Phase;
use s3bl_core::unit::{ByteCount, Rate};
use s3bl_roles::view::Snapshot;

use super::super::limiter::Limiter;
use super::super::line::eta_words;
use super::super::meter::{Eta, Meter, Sight, checked};
use super::{GIB, KIB, listing, validating, writing};

/// Looks every `step_ms` at a run that has done `per_second` entries of `size` bytes; the counts move only every
/// `report_ms`, as those of workers do.
struct Course {
    meter: Meter,
    per_second: u64,
    size: u64,
    report_ms: u64,
}

impl Course {
    fn new(per_second: u64, size: u64, report_ms: u64) -> Self {
        Self { meter: Meter::new(None, 2), per_second, size, report_ms }
    }

    fn at(&self, ms: u64) -> Snapshot {
        let done = self.per_second * (ms / self.report_ms * self.report_ms) / 1000;
        Snapshot {
            written: done,
            write_done: done,
            write_done_bytes: ByteCount(done * self.size),
            sent_bytes: ByteCount(done * self.size),
            found_bytes: ByteCount(100_000 * self.size),
            ..writing()
        }
    }

    fn look(&mut self, ms: u64) -> Sight {
        let snapshot = self.at(ms);
        self.meter.look(Duration::from_millis(ms), Duration::ZERO, snapshot)
    }

    fn run(&mut self, until_ms: u64) -> Vec<Sight> {
        (0..=until_ms).step_by(125).map(|ms| self.look(ms)).collect()
    }
}

fn is_near(value: f64, expected: f64) -> bool {
    (value - expected).abs() <= expected * 0.15
}

#[test]
fn an_even_run_shows_an_even_rate_and_the_true_time_to_go() {
    let mut course = Course::new(1000, KIB, 200);
    let sights = course.run(20_000);
    for sight in &sights[40..] {
        assert!(is_near(sight.entries_per_second, 1000.0), "{}", sight.entries_per_second);
        assert!(is_near(sight.bytes_per_second, 1000.0 * 1024.0), "{}", sight.bytes_per_second);
    }
    let eta = sights.last().and_then(|sight| sight.eta).unwrap();
    assert!(is_near(eta.soonest, 80.0) && is_near(eta.latest, 80.0), "{eta:?}");
}

#[test]
fn rates_do_not_sag_between_the_rare_reports_of_a_fleet() {
    let mut course = Course::new(1000, KIB, 5000);
    for sight in &course.run(60_000)[80..] {
        assert!(is_near(sight.entries_per_second, 1000.0), "{}", sight.entries_per_second);
    }
}

#[test]
fn a_run_that_stands_still_shows_so() {
    let mut course = Course::new(1000, KIB, 200);
    course.run(10_000);
    let stopped = course.at(10_000);
    let rates: Vec<f64> = (10_125..30_000)
        .step_by(125)
        .map(|ms| course.meter.look(Duration::from_millis(ms), Duration::ZERO, stopped.clone()))
        .map(|sight| sight.entries_per_second)
        .collect();
    // The first second may still be the time between two reports.
    assert!(rates[8..].windows(2).all(|pair| pair[1] <= pair[0]), "{rates:?}");
    assert_eq!(rates.last(), Some(&0.0));
}

#[test]
fn what_was_done_before_a_phase_or_a_process_is_no_pace() {
    let mut meter = Meter::new(None, 2);
    let mut look = |ms, snapshot| meter.look(Duration::from_millis(ms), Duration::ZERO, snapshot);
    look(0, Snapshot::default());
    let resumed = look(125, writing());
    assert_eq!((resumed.entries_per_second, resumed.eta), (0.0, None));
    look(5000, Snapshot { write_done: 46_000, ..writing() });
    let validating = look(5125, validating());
    assert_eq!((validating.entries_per_second, validating.eta), (0.0, None));
}

#[test]
fn the_share_moves_by_entries_and_within_a_huge_file() {
    let mut meter = Meter::new(None, 2);
    let mut share = |snapshot| {
        let sight = meter.look(Duration::ZERO, Duration::ZERO, snapshot);
        sight.share.map(|share| (share * 100.0).round())
    };
    let huge = |sent| Snapshot {
        found: 2,
        found_bytes: ByteCount(100 * GIB),
        write_done: 0,
        write_done_bytes: ByteCount::ZERO,
        sent_bytes: ByteCount(sent),
        ..writing()
    };
    let small = |done| Snapshot {
        found: 1_000_000,
        found_bytes: ByteCount(1_000_000 * KIB),
        write_done: done,
        write_done_bytes: ByteCount(done * KIB),
        sent_bytes: ByteCount(done * KIB),
        ..writing()
    };
    assert_eq!([0, 25, 50].map(|gib| share(huge(gib * GIB))), [0.0, 25.0, 50.0].map(Some));
    assert_eq!([0, 250_000, 500_000].map(|done| share(small(done))), [0.0, 25.0, 50.0].map(Some));
    assert_eq!(share(listing()), None);
    assert_eq!(share(validating()), Some(60.0));
}

#[test]
fn the_share_is_whole_only_when_every_entry_has_its_outcome() {
    let mut meter = Meter::new(None, 2);
    let mut share = |done| {
        let sent_bytes = ByteCount(11 * GIB);
        let snapshot = Snapshot { write_done: done, sent_bytes, ..writing() };
        meter.look(Duration::ZERO, Duration::ZERO, snapshot).share.unwrap()
    };
    assert!(share(99_999) < 1.0);
    assert_eq!(share(100_000), 1.0);
}

#[test]
fn an_empty_source_is_done_at_once() {
    let empty = Snapshot { phase: Some(Phase::Write), is_toc_closed: true, ..Snapshot::default() };
    let sight = Meter::new(None, 2).look(Duration::ZERO, Duration::ZERO, empty);
    assert_eq!((sight.share, sight.limiter), (Some(1.0), Limiter::Finishing));
}

#[test]
fn verdicts_are_told_from_failures_of_writing() {
    assert_eq!(checked(&validating()), 60_003);
    assert_eq!(checked(&writing()), 0);
}

#[test]
fn processors_and_bandwidth_are_measured() {
    let mut meter = Meter::new(Some(Rate(1e9)), 2);
    let mut look = |ms: u64, cpu_ms: u64| {
        let sent_bytes = ByteCount(ms * 990_000);
        let snapshot = Snapshot { sent_bytes, ..writing() };
        meter.look(Duration::from_millis(ms), Duration::from_millis(cpu_ms), snapshot).limiter
    };
    look(0, 0);
    assert_eq!(look(1000, 1900), Limiter::Bandwidth(Rate(1e9)));
    let mut meter = Meter::new(None, 2);
    let mut look = |ms: u64, cpu_ms: u64| {
        meter.look(Duration::from_millis(ms), Duration::from_millis(cpu_ms), writing()).limiter
    };
    look(0, 0);
    assert_eq!(look(1000, 1900), Limiter::Cpu);
}

#[test]
fn a_time_to_go_is_a_range_where_the_paces_differ() {
    let said = |soonest, latest| eta_words(Eta { soonest, latest });
    assert_eq!(said(26.2, 27.0), "~27 s");
    assert_eq!(said(0.0, 0.2), "~1 s");
    assert_eq!(said(20.0, 40.0), "20-40 s");
    assert_eq!(said(60.0, 400.0), "60 s to 7 min");
    assert_eq!(said(9_000.0, 20_000.0), "3-6 h");
    assert_eq!(said(200_000.0, 500_000.0), "3-6 d");
}
