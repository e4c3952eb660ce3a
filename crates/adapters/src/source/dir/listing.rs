//! The names of a directory, run by run, in the order of their keys.

use rustix::fd::BorrowedFd;
use rustix::fs::{FileType, RawDir};
use rustix::io::Errno;
use s3bl_core::toc::EntryKind;

/// Names of one directory that are held at a time, about: a run ends with the buffer that reaches it. A directory
/// with more is emitted run by run, each in order, so that the memory for it is bounded: 2 MiB for names of 20 bytes.
pub(super) const RUN_NAMES: usize = 64 * 1024;

/// Bytes of names that are held at a time, for directories of very long names.
const RUN_BYTES: usize = 8 * 1024 * 1024;

/// Room for what the kernel tells of a directory in one call: some two thousand names, so that the calls do not count.
const BUFFER_BYTES: usize = 64 * 1024;

/// What a name stands for, as far as the listing says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listed {
    /// An entry of this kind.
    Plain(EntryKind),
    /// A link that is to be followed, and does not lead to a directory; or leads nowhere, which its visit will tell.
    Link,
    /// A link that is to be followed, and leads to a directory.
    LinkToDirectory,
}

impl Listed {
    pub(super) fn is_directory(self) -> bool {
        match self {
            Self::Plain(kind) => kind == EntryKind::Directory,
            Self::Link => false,
            Self::LinkToDirectory => true,
        }
    }
}

/// Sorted names, in two allocations however many they are.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The names one after the other, those of directories with the `/` that their keys have.
    bytes: Vec<u8>,
    places: Vec<Place>,
}

/// Where in the bytes a name lies: 8 bytes a name.
#[derive(Debug, Clone, Copy)]
struct Place {
    offset: u32,
    length: u16,
    listed: Listed,
}

impl Names {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Gives a name, without `/`, and what it stands for.
    pub(super) fn get(&self, index: usize) -> (&[u8], Listed) {
        let place = self.places[index];
        let bytes = self.key(place);
        let length = bytes.len() - usize::from(place.listed.is_directory());
        (&bytes[..length], place.listed)
    }

    fn key(&self, place: Place) -> &[u8] {
        let offset = place.offset as usize;
        &self.bytes[offset..offset + usize::from(place.length)]
    }

    fn push(&mut self, name: &[u8], listed: Listed) {
        // A run has at most RUN_BYTES and one buffer; a name comes out of one buffer.
        let offset = u32::try_from(self.bytes.len()).expect("a run is smaller than 4 GiB");
        self.bytes.extend_from_slice(name);
        if listed.is_directory() {
            self.bytes.push(b'/');
        }
        let length = self.bytes.len() - offset as usize;
        let length = u16::try_from(length).expect("a name is shorter than the buffer of 64 KiB");
        self.places.push(Place { offset, length, listed });
    }

    /// Sorts by key, and drops names that the file system gave twice.
    fn sort(&mut self) {
        let mut places = std::mem::take(&mut self.places);
        places.sort_unstable_by(|left, right| self.key(*left).cmp(self.key(*right)));
        places.dedup_by(|left, right| self.key(*left) == self.key(*right));
        self.places = places;
    }
}

/// Part of a directory.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) names: Names,
    pub(super) rest: Rest,
}

/// What of a directory comes after a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Rest {
    /// Nothing: the directory is at its end.
    #[default]
    None,
    /// More names, from this position on.
    From(u64),
    /// Nobody knows: it could not be listed further.
    Unknown(Errno),
}

/// Lists directories; one a thread, for the sake of its buffer.
#[derive(Debug)]
pub(super) struct Lister {
    buffer: Vec<u8>,
    run_names: usize,
}

impl Lister {
    pub(super) fn new(run_names: usize) -> Self {
        Self { buffer: Vec::with_capacity(BUFFER_BYTES), run_names }
    }

    /// Reads the next names from where the directory's descriptor stands. `classify` says what a name stands for.
    pub(super) fn run(
        &mut self,
        directory: BorrowedFd<'_>,
        mut classify: impl FnMut(&[u8], FileType) -> Listed,
    ) -> Run {
        let mut run = Run::default();
        let mut position = 0;
        let mut entries = RawDir::new(directory, self.buffer.spare_capacity_mut());
        loop {
            let is_full = run.names.len() >= self.run_names || run.names.bytes.len() >= RUN_BYTES;
            // What is in the buffer was taken from the descriptor, so a run ends only where the buffer does.
            if is_full && entries.is_buffer_empty() {
                run.rest = Rest::From(position);
                break;
            }
            match entries.next() {
                None => break,
                Some(Err(Errno::INTR)) => {}
                Some(Err(error)) => {
                    run.rest = Rest::Unknown(error);
                    break;
                }
                Some(Ok(entry)) => {
                    position = entry.next_entry_cookie();
                    let name = entry.file_name().to_bytes();
                    if !matches!(name, b"." | b"..") {
                        run.names.push(name, classify(name, entry.file_type()));
                    }
                }
            }
        }
        run.names.sort();
        run
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rustix::fd::AsFd;
    use rustix::fs::{Mode, OFlags, SeekFrom};

    use super::*;

    fn plain(_name: &[u8], file_type: FileType) -> Listed {
        Listed::Plain(super::super::facts::kind_of_type(file_type))
    }

    fn open(path: &std::path::Path) -> rustix::fd::OwnedFd {
        rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap()
    }

    fn all(run: &Run) -> Vec<Vec<u8>> {
        (0..run.names.len()).map(|index| run.names.get(index).0.to_vec()).collect()
    }

    #[test]
    fn names_come_in_the_order_of_their_keys() {
        let place = tempfile::tempdir().unwrap();
        for name in ["a-b", "a.b", "a0", "b"] {
            std::fs::write(place.path().join(name), "").unwrap();
        }
        std::fs::create_dir(place.path().join("a")).unwrap();
        let run = Lister::new(RUN_NAMES).run(open(place.path()).as_fd(), plain);
        assert_eq!(all(&run), [&b"a-b"[..], b"a.b", b"a", b"a0", b"b"]);
        assert_eq!(run.names.get(2).1, Listed::Plain(EntryKind::Directory));
        assert_eq!(run.rest, Rest::None);
    }

    #[test]
    fn a_large_directory_comes_in_runs_that_hold_each_name_once() {
        let place = tempfile::tempdir().unwrap();
        let names: BTreeSet<Vec<u8>> =
            (0..6000).map(|number| format!("file-{number}").into_bytes()).collect();
        for name in &names {
            std::fs::write(place.path().join(std::str::from_utf8(name).unwrap()), "").unwrap();
        }
        let mut lister = Lister::new(1000);
        let mut directory = open(place.path());
        let mut met = Vec::new();
        let mut runs = 0;
        loop {
            let run = lister.run(directory.as_fd(), plain);
            runs += 1;
            assert!(all(&run).is_sorted());
            met.extend(all(&run));
            let Rest::From(position) = run.rest else {
                assert_eq!(run.rest, Rest::None);
                break;
            };
            // The position is good for another descriptor too.
            directory = open(place.path());
            rustix::fs::seek(&directory, SeekFrom::Start(position)).unwrap();
        }
        assert!(runs > 2, "{runs} runs");
        assert_eq!(met.len(), names.len());
        assert_eq!(met.into_iter().collect::<BTreeSet<_>>(), names);
    }

    #[test]
    fn a_directory_that_is_gone_is_unknown_and_not_empty() {
        let place = tempfile::tempdir().unwrap();
        let inner = place.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let directory = open(&inner);
        std::fs::remove_dir(&inner).unwrap();
        let run = Lister::new(RUN_NAMES).run(directory.as_fd(), plain);
        assert_eq!(run.rest, Rest::Unknown(Errno::NOENT));
        assert_eq!(run.names.len(), 0);
    }

    #[test]
    fn a_name_that_is_given_twice_is_met_once() {
        let mut names = Names::default();
        for name in [b"b", b"a", b"b"] {
            names.push(name, Listed::Plain(EntryKind::File));
        }
        names.sort();
        assert_eq!((names.get(0).0, names.get(1).0, names.len()), (&b"a"[..], &b"b"[..], 2));
    }
}
