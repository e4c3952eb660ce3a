use std::sync::Arc;
use std::time::Duration;

use console::measure_text_width;
use indicatif::{InMemoryTerm, TermLike as _};
use proptest::prelude::*;
use s3bl_core::master::Phase;
use s3bl_core::unit::ByteCount;
use s3bl_roles::view::{RunView, Snapshot};

use super::super::block::{Canvas, block};
use super::super::limiter::Limiter;
use super::super::line::line;
use super::super::meter::{Eta, Sight};
use super::super::screen::Screen;
use super::super::show::{Lines, Progress, ProgressStyle};
use super::{listing, validating, writing};
use crate::face::style::TextStyle;

fn sight(snapshot: Snapshot, limiter: Limiter) -> Sight {
    let is_counted = match snapshot.phase {
        Some(Phase::Write) => snapshot.is_toc_closed,
        phase => phase == Some(Phase::Validate),
    };
    Sight {
        entries_per_second: 3210.4,
        bytes_per_second: 325_058_560.0,
        share: is_counted.then_some(0.459),
        eta: is_counted.then_some(Eta { soonest: 26.0, latest: 27.0 }),
        limiter,
        snapshot,
    }
}

fn sights() -> Vec<Sight> {
    let store = Limiter::Store { in_flight: 64 };
    let of = |phase| Snapshot { phase: Some(phase), ..validating() };
    vec![
        sight(Snapshot::default(), Limiter::Workers { there: 0, expected: 0 }),
        sight(
            Snapshot { phase: Some(Phase::Initialized), ..Snapshot::default() },
            Limiter::Workers { there: 0, expected: 0 },
        ),
        sight(listing(), Limiter::Listing),
        sight(writing(), store),
        sight(Snapshot { is_stopping: true, ..writing() }, store),
        sight(validating(), store),
        sight(of(Phase::ErrorReport), Limiter::Finishing),
        sight(of(Phase::Shutdown), Limiter::Finishing),
    ]
}

#[test]
fn lines_say_it_all() {
    let lines: Vec<String> = sights().iter().map(line).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_line_comes_at_each_change_of_phase_and_every_ten_seconds() {
    let mut out = Vec::new();
    let mut lines = Lines::new(&mut out);
    let moments =
        [(0, writing()), (1, writing()), (9, writing()), (10, writing()), (11, validating())];
    for (seconds, snapshot) in moments {
        lines.show(Duration::from_secs(seconds), &sight(snapshot, Limiter::Cpu));
    }
    let text = String::from_utf8(out).unwrap();
    let phases: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(phases, ["WRITE", "WRITE", "VALIDATE"]);
}

fn drawn(width: u16) -> String {
    let mut drawn = Vec::new();
    for sight in sights() {
        let terminal = InMemoryTerm::new(20, width);
        let screen = Screen::on(terminal.clone());
        screen.show(&sight);
        drawn.push(terminal.contents());
    }
    drawn.join("\n\n")
}

#[test]
fn the_block_fits_eighty_columns() {
    insta::assert_snapshot!(drawn(80));
}

#[test]
fn the_block_fits_forty_columns() {
    insta::assert_snapshot!(drawn(40));
}

#[test]
fn the_block_is_redrawn_in_place_and_leaves_no_trace() {
    let terminal = InMemoryTerm::new(20, 80);
    let screen = Screen::on(terminal.clone());
    let store = Limiter::Store { in_flight: 64 };
    screen.show(&sight(Snapshot { found: 1, ..writing() }, store));
    let once = terminal.contents().lines().count();
    screen.show(&sight(writing(), store));
    let twice = terminal.contents();
    drop(screen);
    assert_eq!(twice.lines().count(), once);
    assert!(twice.contains("100,000 entries"), "{twice}");
    assert_eq!(terminal.contents(), "");
}

#[test]
fn what_is_said_meanwhile_stays_above_the_block() {
    let terminal = InMemoryTerm::new(20, 80);
    let screen = Screen::on(terminal.clone());
    let writing = sight(writing(), Limiter::Cpu);
    screen.show(&writing);
    let block = terminal.contents();
    screen.above(|| terminal.write_line("stopping: files in flight are finished")).unwrap();
    let both = terminal.contents();
    drop(screen);
    assert_eq!(both, format!("stopping: files in flight are finished\n{block}"));
    assert_eq!(terminal.contents(), "stopping: files in flight are finished");
}

#[test]
fn colour_adds_nothing_to_the_words() {
    for sight in sights() {
        let draw = |style| block(&sight, Canvas { width: 80, style, is_unicode: false });
        let plain = draw(TextStyle::Plain);
        let colored = draw(TextStyle::Color);
        assert!(plain.iter().all(|line| line.is_ascii()), "{plain:?}");
        assert!(colored.iter().any(|line| line.contains('\x1b')), "{colored:?}");
        let stripped: Vec<String> =
            colored.iter().map(|line| console::strip_ansi_codes(line).into_owned()).collect();
        assert_eq!(stripped, plain);
    }
}

#[test]
fn progress_is_live_on_a_terminal_lines_elsewhere_and_silent_on_request() {
    let table = [
        ((false, false, true), ProgressStyle::Live),
        ((false, false, false), ProgressStyle::Lines),
        ((true, false, true), ProgressStyle::Silent),
        ((false, true, false), ProgressStyle::Silent),
    ];
    for ((is_quiet, is_unwanted, is_terminal), expected) in table {
        let chosen = ProgressStyle::choose(is_quiet, is_unwanted, is_terminal);
        assert_eq!(chosen, expected, "{is_quiet} {is_unwanted} {is_terminal}");
    }
}

#[tokio::test]
async fn progress_ends_when_it_is_told_to() {
    for style in [ProgressStyle::Live, ProgressStyle::Lines, ProgressStyle::Silent] {
        let view = Arc::new(RunView::default());
        let progress = Progress::start(Arc::clone(&view), style);
        progress.finish().await;
        assert_eq!(Arc::strong_count(&view), 1, "{style:?} still looks");
    }
}

fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let phase = proptest::option::of(prop_oneof![
        Just(Phase::Initialized),
        Just(Phase::Write),
        Just(Phase::Validate),
        Just(Phase::ErrorReport),
        Just(Phase::Shutdown),
    ]);
    (phase, proptest::array::uniform10(any::<u64>()), any::<bool>(), any::<bool>()).prop_map(
        |(phase, counts, is_toc_closed, is_stopping)| {
            let [
                seen,
                found,
                found_bytes,
                written,
                done,
                done_bytes,
                sent,
                validated,
                failed,
                skipped,
            ] = counts;
            Snapshot {
                phase,
                seen,
                found,
                found_bytes: ByteCount(found_bytes),
                is_toc_closed,
                written,
                write_done: done,
                write_done_bytes: ByteCount(done_bytes),
                sent_bytes: ByteCount(sent),
                validated,
                failed,
                skipped,
                is_stopping,
                ..writing()
            }
        },
    )
}

proptest! {
    #[test]
    fn no_run_breaks_the_display_and_no_line_is_too_wide(
        snapshots in proptest::collection::vec((any_snapshot(), 0_u64..100_000), 1..12),
        width in 1_usize..200,
    ) {
        let mut meter = super::super::meter::Meter::new(None, 2);
        let mut now = Duration::ZERO;
        for (snapshot, step) in snapshots {
            now += Duration::from_millis(step);
            let sight = meter.look(now, now, snapshot);
            prop_assert!(!line(&sight).contains('\n'));
            let canvas = Canvas { width, style: TextStyle::Color, is_unicode: true };
            for line in block(&sight, canvas) {
                prop_assert!(measure_text_width(&line) <= width, "{}", line);
            }
        }
    }
}
