//! Links that are followed.

use std::os::unix::fs::symlink;

use s3bl_core::settings::SymlinkPolicy;
use s3bl_core::task::Class;
use s3bl_core::toc::EntryKind;
use s3bl_port::source::Source;

use crate::support::{Place, following, rel};

#[test]
fn a_link_is_emitted_as_what_it_points_at() {
    let place = Place::new();
    place.file("a/file", b"12345");
    place.file("a/sub/deep", b"1");
    symlink("a/file", place.root().join("to-file")).unwrap();
    symlink("a", place.root().join("to-directory")).unwrap();
    symlink("to-file", place.root().join("chain")).unwrap();
    symlink("../../a/file", place.root().join("a/sub/up")).unwrap();

    let crawled = place.crawl(&following());

    assert_eq!(
        crawled.paths(),
        [
            ".",
            "a",
            "a/file",
            "a/sub",
            "a/sub/deep",
            "a/sub/up",
            "chain",
            "to-directory",
            "to-directory/file",
            "to-directory/sub",
            "to-directory/sub/deep",
            "to-directory/sub/up",
            "to-file"
        ]
    );
    assert_eq!(crawled.kind("to-directory"), Some(EntryKind::Directory));
    for path in ["to-file", "chain", "a/sub/up", "to-directory/file"] {
        let entry = &crawled.entries[path.as_bytes()];
        assert_eq!((entry.kind, entry.size.0), (EntryKind::File, 5), "{path}");
    }
    crawled.assert_batches_are_ranges();
}

#[test]
fn what_was_walked_through_links_can_be_read() {
    let place = Place::new();
    place.file("a/file", b"12345");
    symlink("a", place.root().join("to-directory")).unwrap();
    symlink("a/file", place.root().join("to-file")).unwrap();
    let source = place.open(SymlinkPolicy::Follow);
    let mut buffer = [0; 10];
    for path in ["to-directory/file", "to-file"] {
        let facts = source.read_whole(&rel(path), &mut buffer).unwrap().unwrap();
        assert_eq!((facts.size.0, &buffer[..5]), (5, &b"12345"[..]));
    }
    assert_eq!(source.directory_facts(&rel("to-directory")).unwrap().mode >> 12, 0o04);
}

#[test]
fn links_that_leave_the_root_or_lead_nowhere_are_findings() {
    let place = Place::new();
    place.file("in/file", b"");
    std::fs::create_dir(place.outside("out")).unwrap();
    std::fs::write(place.outside("out/secret"), "secret").unwrap();
    let root = place.root();
    symlink("../out", root.join("away")).unwrap();
    symlink("../out/secret", root.join("away-file")).unwrap();
    symlink(place.outside("out/secret"), root.join("absolute")).unwrap();
    symlink("/etc/hostname", root.join("etc")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    symlink("self", root.join("self")).unwrap();
    symlink("ping", root.join("pong")).unwrap();
    symlink("pong", root.join("ping")).unwrap();
    symlink(".", root.join("in/here")).unwrap();
    symlink("..", root.join("in/up")).unwrap();

    let crawled = place.crawl(&following());

    assert_eq!(crawled.paths(), [".", "in", "in/file"]);
    let expected = [
        ("absolute", Class::LeavesRoot),
        ("away", Class::LeavesRoot),
        ("away-file", Class::LeavesRoot),
        ("dangling", Class::Unreadable),
        ("etc", Class::LeavesRoot),
        ("in/here", Class::Unreadable),
        ("in/up", Class::Unreadable),
        ("ping", Class::Unreadable),
        ("pong", Class::Unreadable),
        ("self", Class::Unreadable),
    ]
    .map(|(path, class)| (path.to_owned(), class));
    assert_eq!(crawled.troubles(), expected);
    let message = |path| {
        let finding = crawled.findings.iter().find(|finding| finding.path == rel(path)).unwrap();
        finding.failure.message.clone()
    };
    assert_eq!(message("in/up"), "follow: the link leads back to a directory above it");
    assert!(message("dangling").contains("No such file"), "{}", message("dangling"));
}

#[test]
fn two_links_that_lead_into_each_other_end() {
    let place = Place::new();
    for name in ["a", "b"] {
        place.file(&format!("{name}/file"), b"");
    }
    symlink("../b", place.root().join("a/to-b")).unwrap();
    symlink("../a", place.root().join("b/to-a")).unwrap();
    for threads in [1, 4] {
        let mut plan = following();
        plan.threads = threads;
        let crawled = place.crawl(&plan);
        assert_eq!(
            crawled.paths(),
            [".", "a", "a/file", "a/to-b", "a/to-b/file", "b", "b/file", "b/to-a", "b/to-a/file"]
        );
        let loops = ["a/to-b/to-a", "b/to-a/to-b"];
        assert_eq!(crawled.troubles(), loops.map(|path| (path.to_owned(), Class::Unreadable)));
    }
}
