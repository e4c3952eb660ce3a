//! Any tree, any number of threads: each path once, in batches that are ranges.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use proptest::prelude::*;
use s3bl_core::toc::EntryKind;

use crate::support::{Place, plan};

#[derive(Debug, Clone)]
enum Node {
    File(usize),
    Link,
    Directory(BTreeMap<String, Self>),
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![4 => (0usize..50).prop_map(Node::File), 1 => Just(Node::Link)];
    leaf.prop_recursive(6, 200, 12, |inner| {
        prop::collection::btree_map("[ab.\\-0é]{1,4}", inner, 0..12)
            .prop_map(|names| Node::Directory(without_dots(names)))
    })
}

fn without_dots(mut names: BTreeMap<String, Node>) -> BTreeMap<String, Node> {
    names.retain(|name, _| name != "." && name != "..");
    names
}

fn tree() -> impl Strategy<Value = BTreeMap<String, Node>> {
    prop::collection::btree_map("[ab.\\-0]{1,4}", node(), 0..12).prop_map(without_dots)
}

fn build(path: &Path, names: &BTreeMap<String, Node>) {
    for (name, node) in names {
        let path = path.join(name);
        match node {
            Node::File(size) => std::fs::write(path, vec![0; *size]).unwrap(),
            Node::Link => symlink("a", path).unwrap(),
            Node::Directory(names) => {
                std::fs::create_dir(&path).unwrap();
                build(&path, names);
            }
        }
    }
}

/// What the standard library finds: paths with kind and size.
fn find(root: &Path, directory: &Path, found: &mut BTreeSet<(Vec<u8>, EntryKind, u64)>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let facts = std::fs::symlink_metadata(&path).unwrap();
        let relative = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
        if facts.is_dir() {
            found.insert((relative, EntryKind::Directory, 0));
            find(root, &path, found);
        } else if facts.is_symlink() {
            found.insert((relative, EntryKind::Symlink, facts.len()));
        } else {
            found.insert((relative, EntryKind::File, facts.len()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn each_path_is_met_once_whoever_walks_it(
        tree in tree(), threads in 1usize..9, entries_max in 1u32..40, content_max in 1u64..200,
    ) {
        let place = Place::in_memory();
        build(&place.root(), &tree);
        let mut expected = BTreeSet::from([(Vec::new(), EntryKind::Directory, 0)]);
        find(&place.root(), &place.root(), &mut expected);
        let mut plan = plan(entries_max);
        plan.threads = threads;
        plan.batch.content_max = s3bl_core::unit::ByteCount(content_max);

        let crawled = place.crawl(&plan);

        let met: BTreeSet<_> = crawled
            .entries
            .values()
            .map(|entry| (entry.path.as_bytes().to_vec(), entry.kind, entry.size.0))
            .collect();
        prop_assert_eq!(met, expected);
        prop_assert_eq!(crawled.totals.seen, crawled.totals.emitted);
        crawled.assert_batches_are_ranges();
    }
}

#[test]
fn many_threads_share_one_tree() {
    let place = Place::in_memory();
    for directory in 0..40 {
        for file in 0..100 {
            place.file(&format!("{directory:02}/{}/f{file:03}", file % 3), b"");
        }
    }
    let mut plan = plan(50);
    plan.threads = 16;
    let met_by = std::sync::Mutex::new(BTreeSet::new());
    let crawled = place.crawl_with(&plan, |_| {
        met_by.lock().unwrap().insert(format!("{:?}", std::thread::current().id()));
    });
    assert_eq!((crawled.totals.files, crawled.totals.directories), (4000, 1 + 40 * 4));
    assert!(met_by.into_inner().unwrap().len() > 1, "only one thread walked");
    crawled.assert_batches_are_ranges();
}
