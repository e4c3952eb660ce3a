//! What readers get: the bytes of one version, or an error.

use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};

use s3bl_adapters::source::dir::DirectorySource;
use s3bl_core::settings::SymlinkPolicy;
use s3bl_core::task::Class;
use s3bl_port::source::{Source, SourceError};

use crate::support::{Place, exchange, rel, until_both, while_disturbed, without_privileges};

fn store(place: &Place) -> DirectorySource {
    place.open(SymlinkPolicy::Store)
}

fn assert_changed(result: Result<(), SourceError>, message: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.class, Class::SourceChanged, "{error:?}");
    assert!(error.source.to_string().contains(message), "{}", error.source);
}

#[test]
fn a_file_is_read_into_the_front_of_the_buffer_with_its_facts() {
    let place = Place::new();
    for size in [0, 1, 4095, 4096, 100_000] {
        let bytes: Vec<u8> = (0..size).map(|index: u32| (index % 251) as u8).collect();
        place.file("d/file", &bytes);
        let mut buffer = vec![0xFF; 100_001];
        let facts = store(&place).read_whole(&rel("d/file"), &mut buffer).unwrap().unwrap();
        let expected = std::fs::metadata(place.root().join("d/file")).unwrap();
        assert_eq!(&buffer[..bytes.len()], bytes);
        assert_eq!((facts.size.0, facts.mode), (expected.size(), expected.mode()));
        assert_eq!((facts.uid, facts.gid), (expected.uid(), expected.gid()));
        assert_eq!((facts.inode, facts.links), (expected.ino(), expected.nlink()));
        let times = [facts.mtime, facts.ctime].map(|time| (time.seconds, time.nanoseconds));
        let parts = |seconds, nanoseconds: i64| (seconds, u32::try_from(nanoseconds).unwrap());
        assert_eq!(times[0], parts(expected.mtime(), expected.mtime_nsec()));
        assert_eq!(times[1], parts(expected.ctime(), expected.ctime_nsec()));
    }
}

#[test]
fn a_file_that_leaves_no_byte_of_the_buffer_free_is_left_to_open() {
    let place = Place::new();
    place.file("file", b"12345");
    let source = store(&place);
    for (room, is_read) in [(4, false), (5, false), (6, true)] {
        let read = source.read_whole(&rel("file"), &mut vec![0; room]).unwrap();
        assert_eq!(read.is_some(), is_read, "{room} bytes of room");
    }
    let file = source.open(&rel("file")).unwrap();
    let mut buffer = [0; 3];
    file.read_at(1, &mut buffer).unwrap();
    assert_eq!((&buffer, file.facts().size.0), (b"234", 5));
    file.verify_unchanged().unwrap();
}

/// Bytes that this thread got from `read` and `pread` so far.
fn bytes_read() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap();
    line.parse().unwrap()
}

#[test]
fn the_holes_of_a_large_file_are_not_read_and_are_zeros() {
    const SIZE: u64 = 1 << 40;
    let place = Place::new();
    let path = place.root().join("sparse");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(SIZE).unwrap();
    file.write_all_at(b"data", SIZE / 2).unwrap();
    let source = store(&place);
    let opened = source.open(&rel("sparse")).unwrap();
    let mut buffer = vec![0xFF; 8 << 20];
    let before = bytes_read();

    for offset in [0, SIZE / 4, SIZE / 2 - (4 << 20), SIZE - (8 << 20)] {
        opened.read_at(offset, &mut buffer).unwrap();
        let data = usize::try_from((SIZE / 2).wrapping_sub(offset)).unwrap();
        let has_data = data < buffer.len();
        let expected = |index: usize| match index.checked_sub(data) {
            Some(at @ 0..4) if has_data => b"data"[at],
            _ => 0,
        };
        let wrong = (0..buffer.len()).find(|index| buffer[*index] != expected(*index));
        assert_eq!(wrong, None, "at {offset}");
        assert_eq!(opened.is_hole(offset, buffer.len() as u64), !has_data, "at {offset}");
        buffer.fill(0xFF);
    }

    opened.verify_unchanged().unwrap();
    // No more than the block with the data, and this test's own looks at the counter.
    assert!(bytes_read() - before < (1 << 20), "{}", bytes_read() - before);
    assert!(!opened.is_hole(SIZE / 2 + 3, 1));
    assert!(opened.is_hole(SIZE / 2 - (1 << 20), 1 << 19));
}

#[test]
fn a_small_file_with_holes_is_read_whole() {
    let place = Place::new();
    let file = std::fs::File::create(place.root().join("sparse")).unwrap();
    file.set_len(1 << 20).unwrap();
    file.write_all_at(b"data", 1 << 19).unwrap();
    let mut buffer = vec![0xFF; (1 << 20) + 1];

    let facts = store(&place).read_whole(&rel("sparse"), &mut buffer).unwrap().unwrap();

    let mut expected = vec![0; 1 << 20];
    expected[1 << 19..(1 << 19) + 4].copy_from_slice(b"data");
    assert_eq!((facts.size.0, &buffer[..1 << 20]), (1 << 20, &expected[..]));
}

#[test]
fn a_file_with_holes_that_becomes_shorter_has_changed() {
    let place = Place::new();
    let file = std::fs::File::create(place.root().join("sparse")).unwrap();
    file.set_len(1 << 30).unwrap();
    let source = store(&place);
    let opened = source.open(&rel("sparse")).unwrap();
    file.set_len(1 << 20).unwrap();
    let mut buffer = vec![0; 4096];

    let read = opened.read_at(1 << 29, &mut buffer).and_then(|()| opened.verify_unchanged());

    assert_changed(read, "its size went from");
}

#[test]
fn what_is_no_regular_file_any_more_has_changed() {
    let place = Place::new();
    std::fs::create_dir(place.root().join("directory")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(place.root().join("fifo")).status();
    assert!(made.unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(place.root().join("socket")).unwrap();
    let source = store(&place);
    for path in ["directory", "fifo", "socket"] {
        let error = source.read_whole(&rel(path), &mut [0; 9]).unwrap_err();
        assert_eq!(error.class, Class::SourceChanged, "{path}: {error:?}");
        let error = source.open(&rel(path)).err().unwrap();
        assert_eq!(error.class, Class::SourceChanged, "{path}: {error:?}");
    }
}

#[test]
fn what_is_gone_has_vanished() {
    let place = Place::new();
    place.file("file", b"");
    let source = store(&place);
    for path in ["none", "none/deeper", "file/beneath"] {
        let error = source.read_whole(&rel(path), &mut [0; 9]).unwrap_err();
        assert_eq!((error.class, error.action), (Class::Vanished, "open"), "{path}");
        assert_eq!(error.path, rel(path));
    }
    assert_eq!(source.read_link(&rel("none")).unwrap_err().class, Class::Vanished);
    assert_eq!(source.directory_facts(&rel("none")).unwrap_err().class, Class::Vanished);
}

#[test]
fn a_file_that_may_not_be_read_is_unreadable() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.file("file", b"x");
    let none = std::fs::Permissions::from_mode(0o000);
    std::fs::set_permissions(place.root().join("file"), none).unwrap();
    let error =
        without_privileges(|| store(&place).read_whole(&rel("file"), &mut [0; 9]).unwrap_err());
    assert_eq!(error.class, Class::Unreadable);
    assert_eq!(error.failure(2).message, "open: Permission denied (os error 13)");
}

#[test]
fn a_file_of_another_owner_is_read_although_its_access_time_cannot_be_kept() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let place = Place::new();
    place.file("file", b"x");
    if std::os::unix::fs::chown(place.root().join("file"), Some(65_534), None).is_err() {
        // Only root can give files away; anybody else owns all that a test makes.
        assert!(!rustix::process::geteuid().is_root());
        return;
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut sets = capabilities(None).unwrap();
            sets.effective &= !CapabilitySet::FOWNER;
            set_capabilities(None, sets).unwrap();
            let source = store(&place);
            for _ in 0..2 {
                let facts = source.read_whole(&rel("file"), &mut [0; 9]).unwrap().unwrap();
                assert_eq!(facts.uid, 65_534);
            }
        });
    });
}

#[test]
fn a_file_that_grows_shrinks_or_is_touched_after_it_was_opened_has_changed() {
    let place = Place::new();
    let path = place.root().join("file");
    let source = store(&place);
    let open = || {
        place.file("file", b"12345");
        source.open(&rel("file")).unwrap()
    };

    let file = open();
    std::fs::File::options().append(true).open(&path).unwrap().write_all(b"6").unwrap();
    assert_changed(file.verify_unchanged(), "more bytes follow than its size of 5 says");

    let file = open();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(3).unwrap();
    assert_changed(file.read_at(0, &mut [0; 5]), "it ends at byte 3, and its size was 5");
    assert_changed(file.verify_unchanged(), "its size went from 5 to 3 bytes");
}

#[test]
fn a_rewrite_of_the_same_size_with_its_time_restored_is_noticed() {
    let place = Place::new();
    place.file("file", b"12345");
    let path = place.root().join("file");
    let file = store(&place).open(&rel("file")).unwrap();
    let before = std::fs::metadata(&path).unwrap();
    // Old kernels stamp with the clock of the last tick: rewrite until the tick has passed.
    loop {
        std::fs::write(&path, b"54321").unwrap();
        let handle = std::fs::File::options().write(true).open(&path).unwrap();
        handle.set_modified(before.modified().unwrap()).unwrap();
        let after = std::fs::metadata(&path).unwrap();
        if (after.ctime(), after.ctime_nsec()) != (before.ctime(), before.ctime_nsec()) {
            assert_eq!(after.modified().unwrap(), before.modified().unwrap());
            break;
        }
    }
    assert_changed(file.verify_unchanged(), "written or replaced while it was read");
}

#[test]
fn a_file_that_is_replaced_by_a_rename_keeps_its_bytes_and_has_changed() {
    let place = Place::new();
    place.file("file", b"old");
    place.file("new", b"new");
    let file = store(&place).open(&rel("file")).unwrap();
    std::fs::rename(place.root().join("new"), place.root().join("file")).unwrap();
    let mut buffer = [0; 3];
    file.read_at(0, &mut buffer).unwrap();
    assert_eq!(&buffer, b"old");
    assert_changed(file.verify_unchanged(), "written or replaced while it was read");
}

#[test]
fn a_file_with_more_bytes_than_its_size_says_is_not_taken_for_empty() {
    let source = DirectorySource::open("/proc/self".as_ref(), SymlinkPolicy::Store).unwrap();
    let read = source.read_whole(&rel("status"), &mut [0; 100]).map(drop);
    assert_changed(read, "more bytes follow than its size of 0 says");
    let file = source.open(&rel("status")).unwrap();
    assert_changed(file.verify_unchanged(), "more bytes follow than its size of 0 says");
}

#[test]
fn a_reader_never_gets_a_mixture_of_two_versions() {
    let place = Place::new();
    let versions = [vec![b'a'; 50_000], vec![b'b'; 70_000]];
    place.file("file", &versions[0]);
    std::fs::write(place.outside("other"), &versions[1]).unwrap();
    let source = store(&place);
    let path = place.root().join("file");
    let mut turn = 0;
    let disturb = || {
        match turn % 3 {
            0 => exchange(&path, &place.outside("other")),
            1 => std::fs::write(&path, &versions[1]).unwrap(),
            _ => std::fs::write(&path, &versions[0]).unwrap(),
        }
        turn += 1;
    };
    let mut buffer = vec![0; 100_000];
    let read = || match source.read_whole(&rel("file"), &mut buffer) {
        Ok(facts) => {
            let size = usize::try_from(facts.unwrap().size.0).unwrap();
            // While it is truncated and rewritten, a version may be cut short; it is never mixed.
            let is_pure = buffer[..size].windows(2).all(|pair| pair[0] == pair[1]);
            assert!(is_pure, "{size} bytes of two versions");
            true
        }
        Err(error) => {
            assert_eq!(error.class, Class::SourceChanged, "{error:?}");
            false
        }
    };
    while_disturbed(disturb, || until_both(100, read));
}

#[test]
fn a_link_is_read_with_its_own_facts() {
    let place = Place::new();
    std::fs::create_dir(place.root().join("d")).unwrap();
    symlink("../tgt with space \u{e9}", place.root().join("d/link")).unwrap();
    for policy in [SymlinkPolicy::Store, SymlinkPolicy::Follow] {
        let (facts, target) = place.open(policy).read_link(&rel("d/link")).unwrap();
        assert_eq!(target, "../tgt with space \u{e9}".as_bytes());
        assert_eq!((facts.mode, facts.size.0), (0o120_777, target.len() as u64));
    }
    place.file("file", b"");
    assert_changed(store(&place).read_link(&rel("file")).map(drop), "no symbolic link");
}

#[test]
fn directories_are_examined_with_the_root_among_them() {
    let place = Place::new();
    std::fs::create_dir(place.root().join("d")).unwrap();
    let source = store(&place);
    for (path, real) in [("d", place.root().join("d")), ("", place.root())] {
        let facts = source.directory_facts(&rel(path)).unwrap();
        let expected = std::fs::metadata(real).unwrap();
        assert_eq!((facts.mode, facts.inode), (expected.mode(), expected.ino()));
    }
    place.file("file", b"");
    symlink("d", place.root().join("link")).unwrap();
    for path in ["file", "link"] {
        assert_changed(source.directory_facts(&rel(path)).map(drop), "no directory");
    }
}
