//! Names of files and words of servers are chosen by others.

use std::collections::BTreeMap;
use std::path::PathBuf;

use proptest::prelude::*;
use s3bl_core::report::{
    FailureLine, Outcome, Reason, ReconciliationReport, Report, TocReport, ValidateReport,
    WorkerReport, WriteReport,
};
use s3bl_core::task::Class;

use super::super::{RunPlace, TextStyle, page, render};
use super::{clean, counts, folder, line, place};

const HOSTILE: [&str; 6] = [
    "<img src=x onerror=alert(1)>",
    "</style></title><script>alert(1)</script>",
    "\" onmouseover=\"alert(1)' &amp;",
    "\x1b[2J\x1b]0;owned\x07\u{9b}31m",
    "invoice\u{202e}fdp.exe\u{2066}",
    "two\r\nlines\tand `ticks`",
];

/// A report with the text in every place that others can fill.
fn report_with(text: &str) -> (Report, Vec<FailureLine>) {
    let base = clean();
    let report = Report {
        run: text.to_owned(),
        source: text.to_owned(),
        destination: text.to_owned(),
        outcome: Outcome::Mismatch,
        program: text.to_owned(),
        started: text.to_owned(),
        finished: text.to_owned(),
        validate: ValidateReport {
            mismatched: 1,
            evidence: counts([(text, 1)]),
            wanted: Some(text.to_owned()),
            ..base.validate
        },
        workers: vec![WorkerReport { id: text.to_owned(), written: 1, validated: 1, failed: 1 }],
        failures: counts([(text, 1), ("missing", 2)]),
        requests: counts([(text, 1)]),
        reasons: vec![Reason::Mismatched, Reason::Leftover],
        ..base
    };
    let of_text = FailureLine {
        class: text.to_owned(),
        phase: text.to_owned(),
        verdict: text.to_owned(),
        worker: Some(text.to_owned()),
        ..line(text, Class::Missing, text)
    };
    (report, vec![of_text, line(text, Class::Missing, text)])
}

#[test]
fn no_text_of_others_drives_the_terminal() {
    for text in HOSTILE {
        let (report, lines) = report_with(text);
        let shown = render(&report, &lines, &RunPlace::new(folder().join(text)), TextStyle::Plain);
        let raw = shown.chars().find(|character| character.is_control() && *character != '\n');
        assert_eq!(raw, None, "{shown:?}");
        assert!(!shown.contains(['\u{202e}', '\u{2066}']), "{shown:?}");
    }
    let shown = render(&report_with(HOSTILE[3]).0, &[], &place(), TextStyle::Plain);
    assert!(shown.contains(r"\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m"), "{shown}");
}

#[test]
fn no_text_of_others_becomes_a_part_of_the_page() {
    let (plain, plain_lines) = report_with("plain");
    let tags = |page: &str| page.matches('<').count();
    let expected = tags(&page(&plain, &plain_lines, &RunPlace::new(folder().join("plain"))));
    for text in HOSTILE {
        let (report, lines) = report_with(text);
        let shown = page(&report, &lines, &RunPlace::new(folder().join(text)));
        // Backticks within a run's name make pairs with those of the sentence, but nothing of others' makes a tag.
        let code_tags = shown.matches("<code>").count() + shown.matches("</code>").count();
        let plain_page = page(&plain, &plain_lines, &RunPlace::new(folder().join("plain")));
        let plain_code =
            plain_page.matches("<code>").count() + plain_page.matches("</code>").count();
        assert_eq!(tags(&shown) - code_tags, expected - plain_code, "{text:?}");
        for poison in ["<img", "<script", "onmouseover=\"", "\x1b", "\u{202e}", "\u{9b}"] {
            assert!(!shown.contains(poison), "{poison:?} of {text:?}");
        }
    }
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), proptest::sample::select(&HOSTILE[..]).prop_map(str::to_owned)]
}

fn any_counts() -> impl Strategy<Value = BTreeMap<String, u64>> {
    let name = prop_oneof![
        any_text(),
        proptest::sample::select(&Class::ALL[..]).prop_map(|class| class.as_str().to_owned()),
    ];
    proptest::collection::btree_map(name, any::<u64>(), 0..4)
}

prop_compose! {
    fn any_toc()(counts in proptest::array::uniform8(any::<u64>()), complete: bool) -> TocReport {
        let [entries, files, directories, symlinks, bytes, excluded, unreadable, specials] = counts;
        TocReport { entries, files, directories, symlinks, bytes, excluded, unreadable, specials, complete }
    }
}

prop_compose! {
    fn any_write()(
        counts in proptest::array::uniform8(any::<u64>()),
        seconds in proptest::num::f64::ANY,
    ) -> WriteReport {
        let [written, skipped, failed, bytes, retries, refreshed, unproven, sent_bytes] = counts;
        WriteReport {
            written, skipped, failed, bytes, seconds, retries, refreshed, unproven, sent_bytes,
        }
    }
}

prop_compose! {
    fn any_validate()(
        counts in proptest::array::uniform4(any::<u64>()),
        seconds in proptest::num::f64::ANY,
        evidence in any_counts(),
        wanted in proptest::option::of(any_text()),
    ) -> ValidateReport {
        let [validated, mismatched, missing, unknown] = counts;
        ValidateReport { validated, mismatched, missing, unknown, seconds, evidence, wanted }
    }
}

prop_compose! {
    fn any_report()(
        texts in proptest::array::uniform6(any_text()),
        outcome in proptest::sample::select(&Reason::ALL[..]),
        reasons in proptest::sample::subsequence(&Reason::ALL[..], 0..=Reason::ALL.len()),
        toc in any_toc(),
        write in any_write(),
        validate in any_validate(),
        failures in any_counts(),
        requests in any_counts(),
        seconds in proptest::num::f64::ANY,
        (holds, pending) in any::<(bool, u64)>(),
    ) -> Report {
        let [run, source, destination, program, started, finished] = texts;
        let workers = vec![WorkerReport { id: run.clone(), written: pending, validated: 0, failed: 1 }];
        Report {
            schema: 1,
            run, source, destination, program, started, finished,
            outcome: outcome.outcome(),
            exit_code: outcome.outcome().exit_code(),
            toc, write, validate, workers, failures, requests, reasons, seconds,
            reconciliation: ReconciliationReport { holds, pending },
            channel: BTreeMap::new(),
            drift: None,
        }
    }
}

proptest! {
    #[test]
    fn any_report_can_be_shown(report in any_report(), path in any_text(), message in any_text()) {
        let lines = [line(&path, Class::Refused, &message)];
        let folder = PathBuf::from(&path);
        let text = render(&report, &lines, &RunPlace::new(&folder), TextStyle::Plain);
        prop_assert!(!text.chars().any(|character| character.is_control() && character != '\n'), "{:?}", text);
        let page = page(&report, &lines, &RunPlace::new(&folder));
        let controls = page.chars().any(|character| character.is_control() && character != '\n');
        prop_assert!(!controls && page.ends_with("</html>\n"));
    }
}
