use std::io::{self, Write};
use std::path::Path;

use s3bl_adapters::ledger::sqlite::SqliteLedger;
use s3bl_core::id::RunId;
use s3bl_core::ledger::{Finding, Record, RunHeader, Verdict};
use s3bl_core::path::RelPath;
use s3bl_core::report::{FailureLine, Report};
use s3bl_core::settings::{
    BatchSettings, BucketPlace, Destination, Mode, RunSettings, Selection, SourceLocation,
    StopSettings, TransferSettings,
};
use s3bl_core::task::{Class, Failure};
use s3bl_core::unit::Timestamp;
use s3bl_port::ledger::Ledger;

use super::super::{RunFilesError, RunPlace, json, top_failures, write_csv, write_run_files};
use super::{clean, failed};

/// A ledger whose walk met so many things of each class.
fn ledger(folder: &Path, findings: &[(Class, usize)]) -> SqliteLedger {
    let header = RunHeader {
        run: RunId::new("sample-1").unwrap(),
        created: Timestamp(1_795_000_000_000),
        program: "0.1.0".to_owned(),
        settings: RunSettings {
            mode: Mode::Load,
            source: SourceLocation::Directory(b"/data".to_vec()),
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
        },
    };
    let mut ledger = SqliteLedger::create(folder.join("run.db"), &header).unwrap();
    let finding = |class: Class, number: usize| {
        Record::WalkFinding(Finding {
            index: 0,
            path: RelPath::new(format!("{}/{number:05},\n", class.as_str()).as_bytes()).unwrap(),
            failure: Failure::new(class, "Permission denied", 1),
            verdict: Verdict::Failed,
        })
    };
    let records: Vec<Record> = findings
        .iter()
        .flat_map(|(class, count)| (0..*count).map(|number| finding(*class, number)))
        .collect();
    ledger.append(&records).unwrap();
    ledger
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with("run.")).collect();
    names.sort();
    names
}

#[test]
fn a_run_leaves_three_whole_files_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path(), &[(Class::Unreadable, 2500), (Class::Vanished, 1)]);
    let report = failed();
    for _ in 0..2 {
        write_run_files(&RunPlace::new(folder.path()), &report, &ledger).unwrap();
    }
    assert_eq!(names(folder.path()), ["failures.ndjson", "report.html", "report.json"]);
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let lines: Vec<FailureLine> =
        read("failures.ndjson").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2501);
    assert_eq!(lines[7].path, "unreadable/00007,\n");
    assert_eq!(serde_json::from_str::<Report>(&read("report.json")).unwrap(), report);
    let page = read("report.html");
    assert!(
        page.contains("unreadable/00999,\\n</td>") && !page.contains("unreadable/01000"),
        "{page}"
    );
}

#[test]
fn a_clean_run_leaves_an_empty_list_of_failures() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path(), &[]);
    write_run_files(&RunPlace::new(folder.path()), &clean(), &ledger).unwrap();
    assert_eq!(std::fs::read(folder.path().join("failures.ndjson")).unwrap(), b"");
}

#[test]
fn files_that_cannot_be_written_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path(), &[]);
    let error = write_run_files(&RunPlace::new(folder.path().join("absent")), &clean(), &ledger)
        .unwrap_err();
    let RunFilesError::Io { name, source } = error else { panic!("{error:?}") };
    assert_eq!((name.as_str(), source.kind()), ("failures.ndjson", io::ErrorKind::NotFound));
}

#[test]
fn an_old_report_stays_whole_when_a_new_one_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path(), &[]);
    write_run_files(&RunPlace::new(folder.path()), &clean(), &ledger).unwrap();
    let before = std::fs::read(folder.path().join("report.json")).unwrap();
    // A folder in the place of a file cannot be replaced by one.
    std::fs::remove_file(folder.path().join("report.html")).unwrap();
    std::fs::create_dir(folder.path().join("report.html")).unwrap();
    let error = write_run_files(&RunPlace::new(folder.path()), &failed(), &ledger).unwrap_err();
    assert_eq!(error.to_string(), "write `report.html`");
    assert_eq!(std::fs::read(folder.path().join("report.json")).unwrap(), before);
    assert_eq!(names(folder.path()), ["failures.ndjson", "report.html", "report.json"]);
}

#[test]
fn csv_has_a_head_and_a_record_for_each_failure() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path(), &[(Class::Unreadable, 2)]);
    let mut csv = Vec::new();
    write_csv(&mut csv, &ledger).unwrap();
    let expected = "path,path_b64,phase,class,verdict,message,attempts,worker\r\n\
        \"unreadable/00000,\n\",,walk,unreadable,failed,Permission denied,1,\r\n\
        \"unreadable/00001,\n\",,walk,unreadable,failed,Permission denied,1,\r\n";
    assert_eq!(String::from_utf8(csv).unwrap(), expected);
}

/// Takes some bytes, then refuses.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        if taken == 0 { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_csv_with_what_the_system_said() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path(), &[(Class::Unreadable, 1000)]);
    for room in [0, 10_000] {
        let error = write_csv(&mut Full(room), &ledger).unwrap_err();
        let RunFilesError::Io { source, .. } = error else { panic!("{error:?}") };
        assert_eq!(source.kind(), io::ErrorKind::BrokenPipe, "{room}");
    }
}

#[test]
fn three_of_each_class_are_picked_to_show() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path(), &[(Class::Unreadable, 5), (Class::Vanished, 2)]);
    let picked = top_failures(&ledger).unwrap();
    let paths: Vec<&str> = picked.iter().map(|line| line.path.as_str()).collect();
    let expected = [
        "unreadable/00000,\n",
        "unreadable/00001,\n",
        "unreadable/00002,\n",
        "vanished/00000,\n",
        "vanished/00001,\n",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn json_is_one_document_that_reads_back() {
    let json = json(&failed());
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), failed());
    assert!(json.ends_with("}\n"), "{json}");
}
