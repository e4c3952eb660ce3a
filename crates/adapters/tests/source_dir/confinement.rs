//! Nothing outside of the root is met or read, whoever swaps what for a link meanwhile.

use std::os::unix::fs::symlink;

use s3bl_core::settings::SymlinkPolicy;
use s3bl_core::task::Class;
use s3bl_core::toc::EntryKind;
use s3bl_port::source::Source;

use crate::support::{Place, exchange, plan, rel, until_both, while_disturbed};

const POLICIES: [SymlinkPolicy; 3] =
    [SymlinkPolicy::Store, SymlinkPolicy::Skip, SymlinkPolicy::Follow];

/// `root/swapped/{file,sub/file}`, and outside of the root the same names with a secret in them; and a link to
/// those, ready to be exchanged for `swapped`.
fn trap() -> Place {
    let place = Place::new();
    for inner in ["swapped/file", "swapped/sub/file"] {
        place.file(inner, b"open");
    }
    place.file("a", b"open");
    std::fs::create_dir_all(place.outside("out/sub")).unwrap();
    for outer in ["out/file", "out/sub/file", "out/secret"] {
        std::fs::write(place.outside(outer), "secret").unwrap();
    }
    symlink(place.outside("out"), place.outside("link")).unwrap();
    place
}

#[test]
fn a_directory_that_becomes_a_link_after_it_was_listed_is_not_entered() {
    for policy in POLICIES {
        let place = trap();
        let mut plan = plan(1);
        plan.selection.symlinks = policy;
        let crawled = place.crawl_with(&plan, |batch| {
            if batch[0].path == rel("a") {
                exchange(&place.root().join("swapped"), &place.outside("link"));
            }
        });
        assert_eq!(crawled.paths(), [".", "a"], "{policy:?}");
        assert_eq!(crawled.troubles().len(), 1, "{policy:?}");
        assert_eq!(crawled.troubles()[0].0, "swapped");
    }
}

#[test]
fn a_tree_whose_directories_turn_into_links_all_the_time_lets_no_walk_out() {
    for policy in POLICIES {
        let place = trap();
        let swap = || exchange(&place.root().join("swapped"), &place.outside("link"));
        let mut plan = plan(2);
        plan.selection.symlinks = policy;
        plan.threads = 2;
        let walk = || {
            let crawled = place.crawl(&plan);
            for (path, entry) in &crawled.entries {
                assert!(!path.ends_with(b"secret"), "{entry:?} under {policy:?}");
                assert!(entry.size.0 != 6, "{entry:?} under {policy:?}");
            }
            crawled.kind("swapped") == Some(EntryKind::Directory)
        };
        while_disturbed(swap, || until_both(100, walk));
    }
}

#[test]
fn a_tree_whose_directories_turn_into_links_all_the_time_lets_no_reader_out() {
    for policy in POLICIES {
        let place = trap();
        let source = place.open(policy);
        let swap = || exchange(&place.root().join("swapped"), &place.outside("link"));
        let mut buffer = [0; 16];
        let mut read = |path: &str| match source.read_whole(&rel(path), &mut buffer) {
            Ok(facts) => {
                assert_eq!(facts.unwrap().size.0, 4, "{path} under {policy:?}");
                assert_eq!(&buffer[..4], b"open", "{path} under {policy:?}");
                true
            }
            Err(error) => {
                let is_expected = matches!(error.class, Class::LeavesRoot | Class::SourceChanged);
                assert!(is_expected, "{error:?}");
                false
            }
        };
        while_disturbed(swap, || {
            until_both(1000, || read("swapped/file"));
            until_both(1000, || read("swapped/sub/file"));
        });
    }
}

#[test]
fn a_forged_path_through_a_link_is_refused() {
    let place = trap();
    symlink("../out", place.root().join("escape")).unwrap();
    symlink("../out/secret", place.root().join("escape-file")).unwrap();
    for policy in POLICIES {
        let source = place.open(policy);
        for path in ["escape/secret", "escape-file"] {
            let error = source.read_whole(&rel(path), &mut [0; 16]).unwrap_err();
            assert_eq!(error.class, Class::LeavesRoot, "{path} under {policy:?}");
            let error = source.open(&rel(path)).err().unwrap();
            assert_eq!(error.class, Class::LeavesRoot, "{path} under {policy:?}");
        }
        let error = source.directory_facts(&rel("escape/sub")).unwrap_err();
        assert_eq!(error.class, Class::LeavesRoot);
        let error = source.read_link(&rel("escape/link")).unwrap_err();
        assert_eq!(error.class, Class::LeavesRoot);
    }
}
