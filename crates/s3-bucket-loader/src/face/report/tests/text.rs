use std::collections::BTreeMap;

use s3bl_core::report::{
    Outcome, Reason, ReconciliationReport, Report, TocReport, ValidateReport, WriteReport,
};
use s3bl_core::task::Class;

use super::super::{TextStyle, render};
use super::{clean, counts, failed, failed_lines, interrupted, line, mismatch, place};

fn rendered(report: &Report) -> String {
    render(report, &failed_lines(), &place(), TextStyle::Plain)
}

#[test]
fn a_clean_run_says_so_first() {
    insta::assert_snapshot!(rendered(&clean()));
}

#[test]
fn a_failed_run_shows_what_failed_by_class() {
    insta::assert_snapshot!(rendered(&failed()));
}

#[test]
fn a_mismatch_shows_each_verdict() {
    let lines = [
        line(
            "a/b",
            Class::EtagMismatch,
            "the entity tag is \"1\", the store gave \"2\" when it was written",
        ),
        line("a/c", Class::Missing, "the listing does not show it"),
        line("a/d", Class::Unverifiable, "LIST: 500 InternalError"),
    ];
    insta::assert_snapshot!(render(&mismatch(), &lines, &place(), TextStyle::Plain));
}

#[test]
fn an_interrupted_run_says_how_to_go_on() {
    insta::assert_snapshot!(rendered(&interrupted()));
}

#[test]
fn a_run_at_its_limit_shows_what_it_met() {
    let base = interrupted();
    let report = Report {
        outcome: Outcome::Limit,
        exit_code: 7,
        write: WriteReport { written: 11_990, failed: 10, ..base.write },
        failures: counts([("access-denied", 10)]),
        reasons: vec![Reason::LimitReached, Reason::Failed],
        ..base
    };
    let lines = [line("x", Class::AccessDenied, "PUT: 403 AccessDenied")];
    insta::assert_snapshot!(render(&report, &lines, &place(), TextStyle::Plain));
}

#[test]
fn skipped_entries_and_weak_evidence_are_named() {
    let base = clean();
    let report = Report {
        outcome: Outcome::Skipped,
        exit_code: 5,
        write: WriteReport { written: 34_999, skipped: 1, ..base.write },
        validate: ValidateReport {
            validated: 34_999,
            evidence: counts([("list", 30_000), ("size", 4_999)]),
            ..base.validate
        },
        failures: counts([("special-file", 1)]),
        reasons: vec![Reason::Skipped, Reason::WeakEvidence],
        ..base
    };
    insta::assert_snapshot!(rendered(&report));
}

#[test]
fn a_run_that_could_not_begin_shows_what_is_known() {
    let base = interrupted();
    let report = Report {
        outcome: Outcome::Unable,
        exit_code: 1,
        toc: TocReport::default(),
        write: WriteReport::default(),
        workers: Vec::new(),
        requests: counts([("head", 0), ("list", 0), ("put", 0)]),
        reasons: vec![Reason::CouldNotGoOn],
        seconds: 0.3,
        reconciliation: ReconciliationReport { holds: true, pending: 0 },
        ..base
    };
    insta::assert_snapshot!(rendered(&report));
}

fn headline(report: &Report) -> String {
    rendered(report).lines().next().unwrap_or("").to_owned()
}

#[test]
fn every_other_end_has_its_headline() {
    let base = clean;
    let empty = Report {
        toc: TocReport { complete: true, ..TocReport::default() },
        write: WriteReport::default(),
        validate: ValidateReport { wanted: Some("list".to_owned()), ..ValidateReport::default() },
        ..base()
    };
    let unvalidated = Report { validate: ValidateReport::default(), ..base() };
    let weak = Report {
        outcome: Outcome::Skipped,
        validate: ValidateReport { evidence: counts([("size", 35_000)]), ..base().validate },
        reasons: vec![Reason::WeakEvidence],
        ..base()
    };
    let unproven = Report {
        outcome: Outcome::Skipped,
        write: WriteReport { unproven: 35_000, ..base().write },
        validate: ValidateReport::default(),
        reasons: vec![Reason::WeakEvidence],
        ..base()
    };
    let leftover = Report { outcome: Outcome::Leftover, reasons: vec![Reason::Leftover], ..base() };
    let contradiction = Report {
        outcome: Outcome::Mismatch,
        reasons: vec![Reason::NotReconciled],
        reconciliation: ReconciliationReport { holds: false, pending: 0 },
        ..base()
    };
    let check_only = Report {
        write: WriteReport { sent_bytes: 0, ..base().write },
        requests: counts([("head", 0), ("list", 36), ("put", 0)]),
        ..base()
    };
    let late = Report {
        toc: TocReport { complete: true, ..base().toc },
        validate: ValidateReport { validated: 12, ..base().validate },
        ..interrupted()
    };
    let headlines: BTreeMap<&str, String> = [
        ("empty", empty),
        ("not validated", unvalidated),
        ("weak", weak),
        ("unproven", unproven),
        ("leftover", leftover),
        ("contradiction", contradiction),
        ("check only", check_only),
        ("interrupted in VALIDATE", late),
    ]
    .map(|(name, report)| (name, headline(&report)))
    .into();
    insta::assert_debug_snapshot!(headlines);
}

#[test]
fn sums_that_do_not_add_up_are_not_shown_as_if_they_did() {
    let base = clean();
    let write = WriteReport { written: 34_999, ..base.write };
    let reconciliation = ReconciliationReport { holds: false, pending: 0 };
    let text = rendered(&Report { write, reconciliation, ..base });
    assert!(text.contains("toc 35,000 != written 34,999\n"), "{text}");
    assert!(text.contains("the sums do not add up"), "{text}");
}

#[test]
fn colour_adds_nothing_to_the_words() {
    for report in [clean(), failed(), interrupted()] {
        let colored = render(&report, &failed_lines(), &place(), TextStyle::Color);
        assert!(colored.contains('\x1b'), "{colored}");
        assert_eq!(console::strip_ansi_codes(&colored), rendered(&report));
    }
}
