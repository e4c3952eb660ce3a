//! What the walk emits, and in which batches.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use s3bl_adapters::source::dir::DirectorySource;
use s3bl_core::settings::SymlinkPolicy;
use s3bl_core::task::Class;
use s3bl_core::toc::EntryKind;
use s3bl_core::unit::{ByteCount, FileTime};

use crate::support::{Place, crawl, key, plan};

#[test]
fn an_empty_root_is_one_entry() {
    let crawled = Place::new().crawl(&plan(1000));
    assert_eq!(crawled.paths(), ["."]);
    assert_eq!((crawled.totals.seen, crawled.totals.directories), (1, 1));
}

#[test]
fn every_kind_of_entry_is_emitted_with_its_size_and_time() {
    let place = Place::new();
    place.file("a/file", b"12345");
    std::fs::create_dir(place.root().join("empty")).unwrap();
    symlink("a/file", place.root().join("link")).unwrap();
    symlink("nowhere", place.root().join("dangling")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(place.root().join("fifo")).status();
    assert!(made.unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(place.root().join("socket")).unwrap();
    let time = std::time::UNIX_EPOCH - std::time::Duration::from_millis(1500);
    let file = std::fs::File::options().write(true).open(place.root().join("a/file")).unwrap();
    file.set_modified(time).unwrap();

    let crawled = place.crawl(&plan(1000));

    assert_eq!(
        crawled.paths(),
        [".", "a", "a/file", "dangling", "empty", "fifo", "link", "socket"]
    );
    let sizes = ["a", "a/file", "dangling", "empty", "fifo", "link", "socket"].map(|path| {
        let entry = &crawled.entries[path.as_bytes()];
        (entry.kind, entry.size.0)
    });
    use EntryKind::{Directory, File, Special, Symlink};
    assert_eq!(
        sizes,
        [
            (Directory, 0),
            (File, 5),
            (Symlink, 7),
            (Directory, 0),
            (Special, 0),
            (Symlink, 6),
            (Special, 0)
        ]
    );
    let before_1970 = FileTime { seconds: -2, nanoseconds: 500_000_000 };
    assert_eq!(crawled.entries[&b"a/file"[..]].mtime, before_1970);
    assert_eq!((crawled.totals.specials, crawled.totals.symlinks), (2, 2));
    assert_eq!(crawled.totals.bytes, ByteCount(18));
}

#[test]
fn links_that_are_to_be_skipped_are_named_all_the_same() {
    let place = Place::new();
    symlink("x", place.root().join("link")).unwrap();
    let mut plan = plan(1000);
    plan.selection.symlinks = SymlinkPolicy::Skip;
    assert_eq!(place.crawl(&plan).kind("link"), Some(EntryKind::Symlink));
}

#[test]
fn names_are_bytes() {
    let place = Place::new();
    let names: [&[u8]; 12] = [
        b"caf\xe9",
        b"\xff\xfe",
        b"line\nfeed",
        b" ",
        b".hidden",
        b"...",
        b"..a",
        b"-rf",
        b"\x1b[2J",
        b"\\",
        "\u{202e}x".as_bytes(),
        &[b'n'; 255],
    ];
    for name in names {
        std::fs::write(place.root().join(OsStr::from_bytes(name)), name).unwrap();
    }
    let crawled = place.crawl(&plan(1000));
    for name in names {
        assert_eq!(crawled.entries[name].size.0, name.len() as u64);
    }
    assert_eq!(crawled.totals.files, names.len() as u64);
}

#[test]
fn entries_come_in_the_order_of_their_keys() {
    let place = Place::new();
    for path in ["a-b", "a.b", "a/x", "a/y/z", "a0", "a/y.z", "b"] {
        place.file(path, b"");
    }
    let crawled = place.crawl(&plan(1000));
    let keys: Vec<_> = crawled.batches[0].iter().map(key).collect();
    let expected = ["", "a-b", "a.b", "a/", "a/x", "a/y.z", "a/y/", "a/y/z", "a0", "b"];
    assert_eq!(keys, expected.map(|key| key.as_bytes().to_vec()));
}

#[test]
fn the_root_may_be_named_by_a_link() {
    let place = Place::new();
    place.file("a", b"");
    symlink("root", place.outside("alias")).unwrap();
    let source = DirectorySource::open(&place.outside("alias"), SymlinkPolicy::Store).unwrap();
    assert_eq!(crawl(&source, &plan(1000), |_| {}).paths(), [".", "a"]);
}

#[test]
fn a_root_that_is_missing_or_a_file_is_an_error() {
    let place = Place::new();
    place.file("file", b"");
    for path in [place.root().join("none"), place.root().join("file")] {
        let error = DirectorySource::open(&path, SymlinkPolicy::Store).unwrap_err();
        assert_eq!(error.class, Class::Unreadable);
        assert!(error.path.is_root());
    }
    assert!(DirectorySource::open(Path::new("/"), SymlinkPolicy::Store).is_ok());
}

#[test]
fn filters_count_what_they_keep_out() {
    let place = Place::new();
    for path in ["a.jpg", "a.tmp", "cache/x", "cache/y", "deep/b.jpg", "deep/c.png"] {
        place.file(path, b"123");
    }
    let mut plan = plan(1000);
    plan.selection.exclude = vec!["*.tmp".to_owned(), "cache/".to_owned()];
    let crawled = place.crawl(&plan);
    assert_eq!(crawled.paths(), [".", "a.jpg", "deep", "deep/b.jpg", "deep/c.png"]);
    assert_eq!((crawled.totals.seen, crawled.totals.excluded), (7, 2));

    plan.selection.include = vec!["*.jpg".to_owned()];
    let crawled = place.crawl(&plan);
    assert_eq!(crawled.paths(), [".", "a.jpg", "deep/b.jpg"]);
    assert_eq!((crawled.totals.seen, crawled.totals.excluded), (7, 4));

    plan.selection.size_min = Some(ByteCount(4));
    let crawled = place.crawl(&plan);
    assert_eq!(crawled.paths(), ["."]);
    assert_eq!((crawled.totals.seen, crawled.totals.excluded), (7, 6));
}

#[test]
fn directories_that_are_left_out_are_walked_and_counted_as_excluded() {
    let place = Place::new();
    place.file("a/b/file", b"");
    let mut plan = plan(1000);
    plan.selection.leaves_out_directories = true;
    let crawled = place.crawl(&plan);
    assert_eq!(crawled.paths(), ["a/b/file"]);
    assert_eq!((crawled.totals.seen, crawled.totals.excluded), (4, 3));
}

#[test]
fn a_glob_that_is_none_is_an_error_of_the_crawl() {
    let place = Place::new();
    let mut plan = plan(1000);
    plan.selection.exclude = vec!["[".to_owned()];
    let source = place.open(SymlinkPolicy::Store);
    let error = s3bl_port::source::Source::crawl(&source, &plan, &Refusing).unwrap_err();
    assert!(error.source.to_string().contains("--exclude `[`"), "{}", error.source);
}

#[test]
fn batches_end_at_the_number_of_entries() {
    let place = Place::new();
    (0..25).for_each(|number| place.file(&format!("f{number:02}"), b""));
    let crawled = place.crawl(&plan(10));
    let counts: Vec<_> = crawled.batches.iter().map(Vec::len).collect();
    assert_eq!(counts, [10, 10, 6]);
}

#[test]
fn batches_end_at_the_bytes_of_content_and_large_files_go_alone() {
    let place = Place::new();
    for (name, size) in [("a", 1), ("b", 60), ("c", 60), ("d", 1), ("e", 100), ("f", 1)] {
        place.file(name, &vec![0; size]);
    }
    let mut plan = plan(1000);
    plan.batch.content_max = ByteCount(100);
    let crawled = place.crawl(&plan);
    let batches: Vec<Vec<String>> = crawled
        .batches
        .iter()
        .map(|batch| batch.iter().map(|entry| entry.path.to_string()).collect())
        .collect();
    assert_eq!(batches, [vec![".", "a", "b", "c"], vec!["d"], vec!["e"], vec!["f"]]);
}

#[test]
fn batches_of_long_random_names_fit_a_message() {
    let place = Place::new();
    let mut seed = 1u64;
    for _ in 0..900 {
        let name: String = (0..250)
            .map(|_| {
                // A linear congruential generator (Knuth's MMIX): names that do not compress.
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                char::from(b"0123456789abcdefghijklmnopqrstuv"[(seed >> 59) as usize])
            })
            .collect();
        place.file(&name, b"");
    }
    let largest = AtomicU64::new(0);
    let crawled = place.crawl_with(&plan(10_000), |batch| {
        let bytes: usize = batch.iter().map(|entry| entry.path.as_bytes().len()).sum();
        largest.fetch_max(bytes as u64, Ordering::Relaxed);
    });
    assert_eq!(crawled.totals.files, 900);
    assert_eq!(crawled.batches.len(), 2);
    assert!(largest.into_inner() < 155_000);
}

#[test]
fn a_hungry_fleet_gets_small_batches() {
    let place = Place::new();
    (0..99).for_each(|number| place.file(&format!("f{number:02}"), b""));
    let source = place.open(SymlinkPolicy::Store);
    let hungry = Hungry::default();
    s3bl_port::source::Source::crawl(&source, &plan(1000), &hungry).unwrap();
    let counts = hungry.counts.into_inner().unwrap();
    assert_eq!(counts.iter().sum::<u32>(), 100);
    assert!(counts.iter().all(|count| *count <= 16), "{counts:?}");
}

#[test]
fn a_sink_that_breaks_off_ends_the_walk() {
    let place = Place::new();
    (0..200).for_each(|number| place.file(&format!("d{}/f{number}", number % 10), b""));
    let mut plan = plan(1);
    plan.threads = 4;
    let source = place.open(SymlinkPolicy::Store);
    let totals = s3bl_port::source::Source::crawl(&source, &plan, &Refusing).unwrap();
    assert!(totals.reconciles());
    assert!(totals.seen < 20, "{totals:?}");
}

#[test]
fn a_sink_that_panics_lets_no_thread_wait_for_ever() {
    let place = Place::new();
    (0..200).for_each(|number| place.file(&format!("d{}/f{number}", number % 10), b""));
    let source = place.open(SymlinkPolicy::Store);
    let mut plan = plan(1);
    plan.threads = 4;
    let walk = || s3bl_port::source::Source::crawl(&source, &plan, &Panicking);
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(walk)).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"no room"));
}

#[derive(Default)]
struct Hungry {
    counts: std::sync::Mutex<Vec<u32>>,
}

impl s3bl_port::source::CrawlSink for Hungry {
    fn batch(&self, planned: s3bl_core::ledger::Planned) -> std::ops::ControlFlow<()> {
        self.counts.lock().unwrap().push(planned.entries.count);
        std::ops::ControlFlow::Continue(())
    }
    fn finding(&self, finding: s3bl_core::ledger::Finding) -> std::ops::ControlFlow<()> {
        panic!("{finding:?}")
    }
    fn progress(&self, _met: &s3bl_core::toc::WalkTotals) {}
    fn is_hungry(&self) -> bool {
        true
    }
}

/// Breaks off at the first batch.
struct Refusing;

impl s3bl_port::source::CrawlSink for Refusing {
    fn batch(&self, _planned: s3bl_core::ledger::Planned) -> std::ops::ControlFlow<()> {
        std::ops::ControlFlow::Break(())
    }
    fn finding(&self, finding: s3bl_core::ledger::Finding) -> std::ops::ControlFlow<()> {
        panic!("{finding:?}")
    }
    fn progress(&self, _met: &s3bl_core::toc::WalkTotals) {}
    fn is_hungry(&self) -> bool {
        false
    }
}

struct Panicking;

impl s3bl_port::source::CrawlSink for Panicking {
    fn batch(&self, _planned: s3bl_core::ledger::Planned) -> std::ops::ControlFlow<()> {
        panic!("no room")
    }
    fn finding(&self, finding: s3bl_core::ledger::Finding) -> std::ops::ControlFlow<()> {
        panic!("{finding:?}")
    }
    fn progress(&self, _met: &s3bl_core::toc::WalkTotals) {}
    fn is_hungry(&self) -> bool {
        false
    }
}
