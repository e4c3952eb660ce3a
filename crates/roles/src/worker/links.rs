//! Files that have several names: which of them this worker has uploaded, so that the store can copy them to the others.
//!
//! Of the names that a worker meets, the first is uploaded, and whoever comes with another waits for that. What is
//! remembered lives as long as the worker: one that begins anew, or another one, uploads such a file once more, which is as
//! right and only slower.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use s3bl_core::path::ObjectKey;
use s3bl_core::task::Written;
use s3bl_core::toc::PosixFacts;
use s3bl_core::unit::{ByteCount, FileTime};
use s3bl_port::source::LinkedFile;
use s3bl_port::store::{Original, Whole};
use tokio::sync::Notify;

/// Files that are remembered at most: some 20 MiB. Of one that was forgotten, the next name is uploaded.
const FILES_MAX: usize = 64 * 1024;

/// Which file of a source it is, and in which version. Two names with equal versions have the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    size: ByteCount,
    mtime: FileTime,
    ctime: FileTime,
}

impl Version {
    fn of(facts: &PosixFacts) -> Self {
        Self { size: facts.size, mtime: facts.mtime, ctime: facts.ctime }
    }
}

/// Device and inode.
type Identity = (u64, u64);

/// What one worker knows of files with several names.
#[derive(Debug, Default)]
pub(super) struct Links {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<Identity, Known>,
    /// Those that were uploaded, the oldest first.
    uploaded: VecDeque<Identity>,
}

#[derive(Debug)]
enum Known {
    UnderWay,
    Uploaded(Version, Arc<Original>),
}

/// What is to be done of a name.
#[derive(Debug)]
pub(super) enum Turn {
    /// Upload it, and settle the claim.
    Upload(Claim),
    /// Have this object copied.
    Copy(Arc<Original>),
}

/// The right to upload a file, which others wait for. They go on when it is settled or dropped.
#[derive(Debug)]
pub(super) struct Claim {
    links: Arc<Links>,
    identity: Identity,
    version: Version,
    key: ObjectKey,
    is_settled: bool,
}

impl Links {
    /// Says what is to be done of a name, once nobody else uploads its file.
    pub(super) async fn turn(self: &Arc<Self>, file: &LinkedFile, key: &ObjectKey) -> Turn {
        let identity = (file.device, file.facts.inode);
        let version = Version::of(&file.facts);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            let is_under_way = {
                let mut state = self.state();
                match state.files.get(&identity) {
                    Some(Known::UnderWay) => true,
                    Some(Known::Uploaded(known, original)) if *known == version => {
                        return Turn::Copy(Arc::clone(original));
                    }
                    Some(Known::Uploaded(..)) | None => {
                        state.files.insert(identity, Known::UnderWay);
                        false
                    }
                }
            };
            if !is_under_way {
                let (links, key) = (Arc::clone(self), key.clone());
                return Turn::Upload(Claim { links, identity, version, key, is_settled: false });
            }
            changed.await;
        }
    }

    /// Whether a name stands for the very version that an object was made of.
    pub(super) fn is_still(&self, file: &LinkedFile, original: &Original) -> bool {
        let state = self.state();
        let known = state.files.get(&(file.device, file.facts.inode));
        matches!(known, Some(Known::Uploaded(version, known))
            if *version == Version::of(&file.facts) && **known == *original)
    }

    fn conclude(&self, identity: Identity, uploaded: Option<(Version, Original)>) {
        {
            let mut state = self.state();
            match uploaded {
                Some((version, original)) => {
                    let known = Known::Uploaded(version, Arc::new(original));
                    state.files.insert(identity, known);
                    state.remember(identity);
                }
                None => {
                    state.files.remove(&identity);
                }
            }
        }
        self.changed.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remember(&mut self, identity: Identity) {
        self.uploaded.push_back(identity);
        if self.uploaded.len() <= FILES_MAX {
            return;
        }
        let oldest = self.uploaded.pop_front().expect("it is longer than its limit");
        // It may have been uploaded again since, and stand further back, too; or be under way.
        if matches!(self.files.get(&oldest), Some(Known::Uploaded(..)))
            && !self.uploaded.contains(&oldest)
        {
            self.files.remove(&oldest);
        }
    }
}

impl Claim {
    /// Tells what became of the upload. Only an object that was proven in some way, and of the version that was claimed, is
    /// copied.
    pub(super) fn settle(mut self, written: Option<&Written>) {
        let of_version = written.filter(|written| {
            (written.size, written.mtime) == (self.version.size, self.version.mtime)
        });
        let original = of_version.and_then(|written| {
            let whole = Whole { size: written.size, crc64nvme: written.crc64nvme? };
            let (key, etag) = (self.key.clone(), written.etag.clone()?);
            Some(Original { key, whole, etag, proof: written.proof })
        });
        self.is_settled = true;
        self.links.conclude(self.identity, original.map(|original| (self.version, original)));
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.is_settled {
            self.links.conclude(self.identity, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use s3bl_core::checksum::{Crc64Nvme, ETag};
    use s3bl_core::path::{KeyMap, RelPath};
    use s3bl_core::task::WriteProof;
    use s3bl_core::toc::EntryKind;

    use super::*;

    fn key(name: &str) -> ObjectKey {
        let keys = KeyMap::new("prefix");
        keys.key(&RelPath::new(name).unwrap(), EntryKind::File).unwrap().unwrap()
    }

    fn file(inode: u64, seconds: i64) -> LinkedFile {
        let time = FileTime { seconds, nanoseconds: 0 };
        let (mtime, atime, ctime) = (time, time, time);
        let size = ByteCount(5);
        let (uid, gid, links, rdev, link) = (0, 0, 2, 0, 7);
        let mode = 0o100_644;
        let facts =
            PosixFacts { mode, uid, gid, size, mtime, atime, ctime, inode, links, rdev, link };
        LinkedFile { device: 1, facts }
    }

    fn written(seconds: i64) -> Written {
        Written {
            size: ByteCount(5),
            mtime: FileTime { seconds, nanoseconds: 0 },
            etag: Some(ETag::parse("tag")),
            crc64nvme: Some(Crc64Nvme(7)),
            proof: WriteProof::Crc64Nvme,
            parts: 0,
            is_newer_than_toc: false,
            retries: 0,
        }
    }

    async fn claim(links: &Arc<Links>, file: &LinkedFile, name: &str) -> Claim {
        match links.turn(file, &key(name)).await {
            Turn::Upload(claim) => claim,
            Turn::Copy(original) => panic!("{original:?} is to be copied"),
        }
    }

    #[tokio::test]
    async fn whoever_waits_copies_what_was_uploaded() {
        let links = Arc::new(Links::default());
        let claim = claim(&links, &file(1, 9), "first").await;
        let (waiter, of) = (Arc::clone(&links), file(1, 9));
        let waiting = tokio::spawn(async move { waiter.turn(&of, &key("second")).await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());

        claim.settle(Some(&written(9)));

        let Turn::Copy(original) = waiting.await.unwrap() else { panic!("nothing to copy") };
        assert_eq!(original.key, key("first"));
        assert!(links.is_still(&file(1, 9), &original));
        assert!(!links.is_still(&file(1, 10), &original));
    }

    #[tokio::test]
    async fn an_upload_that_came_to_nothing_is_for_the_next_name() {
        let links = Arc::new(Links::default());
        drop(claim(&links, &file(1, 9), "dropped").await);
        claim(&links, &file(1, 9), "failed").await.settle(None);
        // It was written, but is another version than the one that was claimed.
        claim(&links, &file(1, 9), "changed").await.settle(Some(&written(10)));
        claim(&links, &file(1, 9), "next").await.settle(Some(&written(9)));
        assert!(matches!(links.turn(&file(1, 9), &key("last")).await, Turn::Copy(_)));
    }

    #[tokio::test]
    async fn another_file_and_another_version_are_uploaded() {
        let links = Arc::new(Links::default());
        claim(&links, &file(1, 9), "a").await.settle(Some(&written(9)));
        claim(&links, &file(2, 9), "b").await.settle(Some(&written(9)));
        let elsewhere = LinkedFile { device: 2, ..file(1, 9) };
        claim(&links, &elsewhere, "c").await.settle(Some(&written(9)));
        claim(&links, &file(1, 10), "d").await.settle(Some(&written(10)));
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let links = Arc::new(Links::default());
        let count = FILES_MAX as u64 + 10;
        for inode in 0..count {
            claim(&links, &file(inode, 9), "a").await.settle(Some(&written(9)));
        }
        assert_eq!(links.state().files.len(), FILES_MAX);
        assert!(matches!(links.turn(&file(count - 1, 9), &key("b")).await, Turn::Copy(_)));
        drop(claim(&links, &file(0, 9), "b").await);
    }
}
