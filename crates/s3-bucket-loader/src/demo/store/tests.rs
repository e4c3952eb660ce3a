//! The store as a whole: what a restart finds, and what damage does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;

const BUCKET: &str = "bucket";

/// Bytes of an object that has a file of its own.
const LARGE: usize = writer::PACKED_BYTES_MAX + 1;

fn open(directory: &Path) -> Store {
    let store = Store::open(directory).unwrap();
    match store.create_bucket(BUCKET) {
        Ok(()) | Err(StoreError::BucketExists { .. }) => store,
        Err(error) => panic!("{error}"),
    }
}

fn stored(store: &Store, bytes: &[u8]) -> Stored {
    let mut writer = store.writer(Algorithm::Crc64nvme, None);
    writer.write(bytes).unwrap();
    writer.finish().unwrap()
}

fn put(store: &Store, key: &str, bytes: &[u8]) {
    let object = Object::new(stored(store, bytes), Attributes::default());
    store.put(BUCKET, key, object, &Precondition::Always).unwrap();
}

/// Uploads `bytes` as a single part.
fn put_in_parts(store: &Store, key: &str, bytes: &[u8]) {
    let upload = Upload::new(Attributes::default(), None, None);
    let address = store.create_upload(BUCKET, key, upload).unwrap();
    store.put_part(&address, 1, Part::new(stored(store, b"replaced"))).unwrap();
    let part = Part::new(stored(store, bytes));
    let claim = PartClaim { number: 1, etag: part.etag.clone(), checksum: None };
    store.put_part(&address, 1, part).unwrap();
    store.put_part(&address, 2, Part::new(stored(store, b"left out"))).unwrap();
    let completion = Completion {
        parts: vec![claim],
        checksum: None,
        kind: None,
        size: Some(bytes.len() as u64),
        precondition: Precondition::Always,
    };
    store.complete(&address, &completion).unwrap();
}

fn delete(store: &Store, key: &str) {
    store.delete(BUCKET, key, &Precondition::Always).unwrap();
}

fn read(store: &Store, key: &str) -> Vec<u8> {
    let object = store.object(BUCKET, key).unwrap();
    let size = object.size();
    let mut reader = ObjectReader::new(object, 0..size);
    std::iter::from_fn(|| reader.next_chunk(1_000).unwrap()).flatten().collect()
}

fn contents(store: &Store) -> BTreeMap<String, Vec<u8>> {
    let query = Query { prefix: "", delimiter: None, after: None, limit: 1_000 };
    let page = store.list(BUCKET, &query).unwrap();
    page.entries.iter().map(|entry| (entry.name().to_owned(), read(store, entry.name()))).collect()
}

fn data_files(directory: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(directory.join("data")).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

fn journal(directory: &Path) -> PathBuf {
    directory.join("journal.ndjson")
}

#[derive(Debug, Clone)]
enum Step {
    Put(String, Vec<u8>),
    PutInParts(String, Vec<u8>),
    AbortedUpload(String),
    Delete(String),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = "[ab\n\"é]{1,2}";
    // Small ones share a file, large ones have one each.
    let small = proptest::collection::vec(any::<u8>(), 0..40);
    let large = any::<u8>().prop_map(|byte| vec![byte; LARGE]);
    let bytes = prop_oneof![3 => small, 1 => large];
    let step = prop_oneof![
        4 => (key, bytes.clone()).prop_map(|(key, bytes)| Step::Put(key, bytes)),
        2 => (key, bytes).prop_map(|(key, bytes)| Step::PutInParts(key, bytes)),
        1 => key.prop_map(Step::AbortedUpload),
        2 => key.prop_map(Step::Delete),
        2 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_restart_finds_what_was_there_and_nothing_else_stays_on_the_disk(steps in steps()) {
        let directory = tempfile::tempdir().unwrap();
        let mut store = open(directory.path());
        let mut expected = BTreeMap::new();

        for step in steps {
            match step {
                Step::Put(key, bytes) => {
                    put(&store, &key, &bytes);
                    expected.insert(key, bytes);
                }
                Step::PutInParts(key, bytes) => {
                    put_in_parts(&store, &key, &bytes);
                    expected.insert(key, bytes);
                }
                Step::AbortedUpload(key) => {
                    let upload = Upload::new(Attributes::default(), None, None);
                    let address = store.create_upload(BUCKET, &key, upload).unwrap();
                    store.put_part(&address, 7, Part::new(stored(&store, b"dropped"))).unwrap();
                    store.abort(&address).unwrap();
                }
                Step::Delete(key) => {
                    delete(&store, &key);
                    expected.remove(&key);
                }
                Step::Restart => {
                    drop(store);
                    store = open(directory.path());
                }
            }
            prop_assert_eq!(&contents(&store), &expected);
        }
        expected.keys().for_each(|key| delete(&store, key));
        drop(store);
        prop_assert_eq!(data_files(directory.path()), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_journal_cut_anywhere_in_its_last_line_opens_without_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    put(&store, "first", b"");
    let before = fs::metadata(journal(directory.path())).unwrap().len();
    put(&store, "second", b"");
    drop(store);
    let whole = fs::read(journal(directory.path())).unwrap();

    for length in usize::try_from(before).unwrap()..whole.len() {
        fs::write(journal(directory.path()), &whole[..length]).unwrap();

        let store = open(directory.path());

        assert_eq!(contents(&store).into_keys().collect::<Vec<_>>(), ["first"], "at {length}");
        put(&store, "third", b"");
        drop(store);
        assert_eq!(contents(&open(directory.path())).len(), 2, "at {length}");
    }
}

#[test]
fn a_damaged_line_is_named_and_nothing_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    put(&store, "key", b"bytes");
    put(&store, "other", b"");
    drop(store);
    let text = fs::read_to_string(journal(directory.path())).unwrap();
    fs::write(journal(directory.path()), text.replacen("\"key\"", "\"key", 1)).unwrap();

    let refusal = Store::open(directory.path()).unwrap_err();

    assert!(matches!(refusal, OpenError::Journal { line: 3, .. }), "{refusal:?}");
    fs::write(journal(directory.path()), text).unwrap();
    assert_eq!(read(&open(directory.path()), "key"), b"bytes");
}

#[test]
fn a_journal_of_another_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(journal(directory.path()), "{\"version\":2}\n").unwrap();

    let refusal = Store::open(directory.path()).unwrap_err();

    assert!(matches!(refusal, OpenError::Journal { line: 1, .. }), "{refusal:?}");
}

#[test]
fn bytes_that_are_missing_are_noticed_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    put(&open(directory.path()), "key", b"bytes");
    let file = data_files(directory.path()).pop().unwrap();
    fs::write(&file, b"byte").unwrap();

    let refusal = Store::open(directory.path()).unwrap_err();

    assert!(
        matches!(&refusal, OpenError::DataFile { path, expected: 5, actual: 4 } if *path == file),
        "{refusal:?}"
    );
}

#[test]
fn files_that_nothing_names_go_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    put(&open(directory.path()), "key", b"bytes");
    let left_by_a_killed_process = directory.path().join("data/900");
    fs::write(&left_by_a_killed_process, b"half of an upl").unwrap();

    let store = open(directory.path());

    assert!(!left_by_a_killed_process.exists());
    assert_eq!(read(&store, "key"), b"bytes");
}

#[test]
fn the_number_of_a_deleted_file_is_not_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    put(&store, "deleted", b"old");
    delete(&store, "deleted");
    drop(store);
    put(&open(directory.path()), "key", b"new");

    // Replaying the deletion must not touch the file of the new object.
    assert_eq!(read(&open(directory.path()), "key"), b"new");
}

#[test]
fn the_bytes_of_a_completed_upload_are_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    put_in_parts(&open(directory.path()), "key", b"bytes");

    assert_eq!(read(&open(directory.path()), "key"), b"bytes");
}

#[test]
fn a_long_journal_is_rewritten_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    put(&store, "kept", b"bytes");
    for _ in 0..10_010 {
        put(&store, "often", b"");
    }
    drop(store);

    let store = open(directory.path());

    let lines = fs::read_to_string(journal(directory.path())).unwrap().lines().count();
    assert_eq!(lines, 4, "version, bucket and two objects");
    assert_eq!(read(&store, "kept"), b"bytes");
    put(&store, "after", b"");
    drop(store);
    assert_eq!(contents(&open(directory.path())).len(), 3);
}

#[test]
fn of_many_that_want_a_free_key_one_gets_it() {
    let store = Arc::new(Store::in_memory());
    store.create_bucket(BUCKET).unwrap();

    let winners: usize = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|number| {
                let store = &store;
                scope.spawn(move || {
                    let object = Object::new(stored(store, &[number]), Attributes::default());
                    store.put(BUCKET, "key", object, &Precondition::Absent).is_ok()
                })
            })
            .collect();
        writers.into_iter().map(|writer| usize::from(writer.join().unwrap())).sum()
    });

    assert_eq!(winners, 1);
}

#[test]
fn a_reader_keeps_the_object_that_it_began_with() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    put(&store, "key", &[1; LARGE]);
    let object = store.object(BUCKET, "key").unwrap();
    let mut reader = ObjectReader::new(object, 4..13);

    put(&store, "key", &[2; LARGE]);

    assert_eq!(reader.next_chunk(100).unwrap().unwrap(), [1; 9].as_slice());
    drop(reader);
    assert_eq!(data_files(directory.path()).len(), 1);
}

#[test]
fn a_damaged_journal_costs_no_bytes_that_its_end_names() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    put(&store, "first in the pack", b"one");
    delete(&store, "first in the pack");
    put(&store, "second in the pack", b"two");
    drop(store);
    let text = fs::read_to_string(journal(directory.path())).unwrap();
    fs::write(journal(directory.path()), text.replacen("\"second", "second", 1)).unwrap();
    Store::open(directory.path()).unwrap_err();

    fs::write(journal(directory.path()), text).unwrap();

    assert_eq!(read(&open(directory.path()), "second in the pack"), b"two");
}

proptest! {
    #[test]
    fn ranges_are_read_across_parts(
        sizes in proptest::collection::vec(0_usize..5, 1..8),
        ends in (any::<proptest::sample::Index>(), any::<proptest::sample::Index>()),
        limit in 1_usize..6,
    ) {
        let store = Store::in_memory();
        let whole: Vec<u8> = (0..=255).take(sizes.iter().sum()).collect();
        let mut rest = whole.as_slice();
        let mut object = Object::new(stored(&store, b""), Attributes::default());
        object.segments = sizes
            .iter()
            .map(|&size| {
                let (part, after) = rest.split_at(size);
                rest = after;
                stored(&store, part).segment
            })
            .collect();
        let (one, other) = (ends.0.index(whole.len() + 1), ends.1.index(whole.len() + 1));
        let range = one.min(other)..one.max(other);

        let mut reader =
            ObjectReader::new(Arc::new(object), range.start as u64..range.end as u64);
        let chunks: Vec<_> = std::iter::from_fn(|| reader.next_chunk(limit).unwrap()).collect();

        prop_assert!(chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= limit));
        prop_assert_eq!(chunks.concat(), &whole[range]);
    }
}
