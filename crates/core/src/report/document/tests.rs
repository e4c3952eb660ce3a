use super::*;
use crate::id::Epoch;
use crate::report::sample::{clean, header};

fn visit(epoch: u64, phase: Phase, from: u64, until: u64) -> PhaseVisit {
    let started = 1_795_000_000_000;
    PhaseVisit {
        epoch: Epoch(epoch),
        phase,
        from: Timestamp(started + from),
        until: Timestamp(started + until),
    }
}

fn report(sums: &Recovered, phases: &[PhaseVisit], ending: &Ending) -> Report {
    let header = header();
    let conclusion = Conclusion::of(&header.settings, sums, ending, 0);
    Report::of(&header, sums, phases, ending, &conclusion)
}

#[test]
fn version_1_has_these_keys_in_this_order() {
    let phases = [
        visit(1, Phase::Initialized, 500, 1000),
        visit(1, Phase::Write, 1000, 3000),
        // The second master came an hour later.
        visit(2, Phase::Write, 3_603_000, 3_604_500),
        visit(2, Phase::Validate, 3_604_500, 3_604_750),
        visit(2, Phase::Shutdown, 3_604_750, 3_605_000),
    ];
    let golden = concat!(
        r#"{"schema":1,"run":"sample-1","source":"/data/caf\\xe9","destination":"s3://bucket/a/b","#,
        r#""outcome":"clean","exit_code":0,"#,
        r#""toc":{"entries":3,"files":3,"directories":0,"symlinks":0,"bytes":30,"excluded":0,"unreadable":0,"#,
        r#""specials":0,"complete":true},"#,
        r#""write":{"written":3,"skipped":0,"failed":0,"bytes":30,"seconds":3.5,"retries":0,"refreshed":0,"#,
        r#""unproven":0,"sent_bytes":30},"#,
        r#""validate":{"validated":3,"mismatched":0,"missing":0,"unknown":0,"seconds":0.25,"#,
        r#""evidence":{"list":3},"wanted":"list"},"#,
        r#""workers":[{"id":"w1","written":3,"validated":3,"failed":0}],"#,
        r#""failures":{},"requests":{"head":0,"list":1,"put":3},"reasons":[],"program":"0.1.0","#,
        r#""started":"2026-11-18T11:06:40Z","finished":"2026-11-18T12:06:45Z","seconds":4.5,"#,
        r#""reconciliation":{"holds":true,"pending":0},"channel":{},"drift":null}"#,
    );
    let report = report(&clean(3), &phases, &Ending::Complete);
    assert_eq!(serde_json::to_string(&report).unwrap(), golden);
    assert_eq!(serde_json::from_str::<Report>(golden).unwrap(), report);
}

#[test]
fn findings_of_all_phases_are_counted_by_class() {
    let mut sums = clean(3);
    sums.walk_classes = [(Class::Unreadable, 2)].into();
    sums.write.classes = [(Class::Unreadable, 1), (Class::SpecialFile, 0)].into();
    sums.validate.classes = [(Class::Missing, 4)].into();
    let failures = report(&sums, &[], &Ending::Complete).failures;
    assert_eq!(failures, [("missing".to_owned(), 4), ("unreadable".to_owned(), 3)].into());
}

#[test]
fn a_run_whose_walk_did_not_end_says_how_far_it_came() {
    let mut sums = clean(3);
    sums.toc = None;
    sums.walk_findings = 2;
    let report = report(&sums, &[], &Ending::Interrupted);
    let expected = TocReport { entries: 3, unreadable: 2, ..TocReport::default() };
    assert_eq!(report.toc, expected);
    assert_eq!((report.exit_code, report.finished), (6, report.started));
    assert_eq!(report.seconds.to_bits(), 0.0f64.to_bits());
}
