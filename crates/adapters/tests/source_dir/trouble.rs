//! What cannot be examined is reported and counted, and the walk goes on.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use s3bl_core::task::Class;
use s3bl_core::toc::TocEntry;

use crate::support::{Crawled, Place, exchange, plan, without_privileges};

fn permit(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn expect_troubles(crawled: &Crawled, expected: &[(&str, Class)]) {
    let expected: Vec<_> =
        expected.iter().map(|(path, class)| ((*path).to_owned(), *class)).collect();
    assert_eq!(crawled.troubles(), expected);
}

/// Whether a batch holds the entry at `path`.
fn holds(batch: &[TocEntry], path: &str) -> bool {
    batch.iter().any(|entry| entry.path.as_bytes() == path.as_bytes())
}

#[test]
fn a_directory_that_may_not_be_opened_is_counted_and_its_neighbours_are_walked() {
    let place = Place::new();
    for path in ["a/x", "closed/x", "z/x"] {
        place.file(path, b"");
    }
    permit(&place.root().join("closed"), 0o000);
    let crawled = without_privileges(|| place.crawl(&plan(1000)));
    permit(&place.root().join("closed"), 0o755);
    assert_eq!(crawled.paths(), [".", "a", "a/x", "z", "z/x"]);
    expect_troubles(&crawled, &[("closed", Class::Unreadable)]);
    assert_eq!((crawled.totals.seen, crawled.totals.unreadable), (6, 1));
    let message = &crawled.findings[0].failure.message;
    assert!(message.starts_with("open: Permission denied"), "{message}");
}

#[test]
fn a_directory_that_may_be_listed_and_not_searched_has_a_finding_for_each_name() {
    let place = Place::new();
    for path in ["listed/x", "listed/y", "listed/sub/z"] {
        place.file(path, b"");
    }
    permit(&place.root().join("listed"), 0o444);
    let crawled = without_privileges(|| place.crawl(&plan(1000)));
    permit(&place.root().join("listed"), 0o755);
    assert_eq!(crawled.paths(), [".", "listed"]);
    let names = ["listed/sub", "listed/x", "listed/y"];
    expect_troubles(&crawled, &names.map(|path| (path, Class::Unreadable)));
}

#[test]
fn a_root_that_may_not_be_listed_is_an_error() {
    let place = Place::new();
    permit(&place.root(), 0o111);
    let error = without_privileges(|| {
        let source = place.open(s3bl_core::settings::SymlinkPolicy::Store);
        let sink = Panicking;
        s3bl_port::source::Source::crawl(&source, &plan(1000), &sink).unwrap_err()
    });
    assert_eq!(error.class, Class::Unreadable);
    assert_eq!(error.source.kind(), std::io::ErrorKind::PermissionDenied);
}

#[test]
fn what_goes_between_listing_and_visit_has_vanished() {
    let place = Place::new();
    for path in ["a", "file", "directory/x", "kept"] {
        place.file(path, b"");
    }
    let crawled = place.crawl_with(&plan(1), |batch| {
        if holds(batch, "a") {
            std::fs::remove_file(place.root().join("file")).unwrap();
            std::fs::remove_dir_all(place.root().join("directory")).unwrap();
        }
    });
    assert_eq!(crawled.paths(), [".", "a", "kept"]);
    expect_troubles(&crawled, &[("directory", Class::Vanished), ("file", Class::Vanished)]);
}

#[test]
fn what_becomes_something_else_between_listing_and_visit_has_vanished() {
    let place = Place::new();
    for path in ["a", "file", "directory/x", "kept"] {
        place.file(path, b"");
    }
    let crawled = place.crawl_with(&plan(1), |batch| {
        if holds(batch, "a") {
            exchange(&place.root().join("file"), &place.root().join("directory"));
        }
    });
    assert_eq!(crawled.paths(), [".", "a", "kept"]);
    expect_troubles(&crawled, &[("directory", Class::Vanished), ("file", Class::Vanished)]);
}

#[test]
fn a_listing_that_fails_midway_counts_its_unknown_rest_as_one() {
    let place = Place::in_memory();
    let wide = place.root().join("wide");
    std::fs::create_dir(&wide).unwrap();
    let count = 70_000;
    (0..count).for_each(|number| std::fs::write(wide.join(format!("{number:06}")), "").unwrap());
    place.file("z", b"");

    let crawled = place.crawl_with(&plan(1000), |batch| {
        if holds(batch, "wide") {
            std::fs::remove_dir_all(&wide).unwrap();
        }
    });

    let rest: Vec<_> = crawled.troubles().into_iter().filter(|(path, _)| path == "wide").collect();
    assert_eq!(rest, [("wide".to_owned(), Class::Vanished)]);
    let emitted = crawled.totals.files - 1;
    assert!(emitted >= 998, "{emitted} were emitted before");
    assert!(crawled.totals.unreadable > 60_000, "{:?}", crawled.totals);
    assert!(crawled.totals.seen < count + 4, "{:?}", crawled.totals);
    assert!(crawled.entries.contains_key(&b"z"[..]), "the walk goes on");
}

#[test]
fn a_directory_above_that_was_replaced_is_not_mistaken_for_the_old_one() {
    let place = Place::new();
    // Deeper than the descriptors that one thread holds, so that `0/` must be opened again by path.
    let depth = 100;
    let deep = (0..depth).map(|_| "0/").collect::<String>();
    place.file(&format!("{deep}x"), b"");
    place.file("0/late", b"");
    place.file("0/later/x", b"");
    std::fs::create_dir(place.outside("other")).unwrap();
    std::fs::write(place.outside("other/late"), "other").unwrap();

    let crawled = place.crawl_with(&plan(1), |batch| {
        if batch[0].path.as_bytes().ends_with(b"/x") {
            exchange(&place.root().join("0"), &place.outside("other"));
        }
    });

    assert_eq!(crawled.totals.directories, depth + 1);
    expect_troubles(&crawled, &[("0/late", Class::Vanished), ("0/later", Class::Vanished)]);
    let message = &crawled.findings[0].failure.message;
    assert_eq!(message, "reach: another directory has taken its place");
}

#[test]
fn a_directory_above_that_became_a_link_is_not_entered_again() {
    let place = Place::new();
    let deep = (0..100).map(|_| "0/").collect::<String>();
    place.file(&format!("{deep}x"), b"");
    place.file("0/late", b"");
    std::fs::create_dir(place.outside("out")).unwrap();
    std::fs::write(place.outside("out/late"), "secret").unwrap();
    symlink("../out", place.outside("link")).unwrap();

    let crawled = place.crawl_with(&plan(1), |batch| {
        if batch[0].path.as_bytes().ends_with(b"/x") {
            exchange(&place.root().join("0"), &place.outside("link"));
        }
    });

    expect_troubles(&crawled, &[("0/late", Class::Vanished)]);
}

#[test]
fn a_path_that_is_longer_than_the_system_takes_is_reported_with_its_directory() {
    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
    let place = Place::new();
    let name = "n".repeat(250);
    let mut directory =
        openat(CWD, place.root(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    // 20 names with their slashes: 5,019 bytes.
    for _ in 0..20 {
        mkdirat(&directory, &name, Mode::from(0o755)).unwrap();
        directory = openat(&directory, &name, OFlags::PATH, Mode::empty()).unwrap();
    }
    let crawled = place.crawl(&plan(1000));
    // 16 names have 4,015 bytes, 17 have 4,266.
    assert_eq!(crawled.totals.directories, 1 + 16);
    let directory = vec![name.as_str(); 16].join("/");
    expect_troubles(&crawled, &[(&directory, Class::NameNotRepresentable)]);
    assert!(crawled.findings[0].failure.message.contains(&name));
}

struct Panicking;

impl s3bl_port::source::CrawlSink for Panicking {
    fn batch(&self, planned: s3bl_core::ledger::Planned) -> std::ops::ControlFlow<()> {
        panic!("{planned:?}")
    }
    fn finding(&self, finding: s3bl_core::ledger::Finding) -> std::ops::ControlFlow<()> {
        panic!("{finding:?}")
    }
    fn progress(&self, met: &s3bl_core::toc::WalkTotals) {
        panic!("{met:?}")
    }
    fn is_hungry(&self) -> bool {
        false
    }
}
