//! What is written: files, directories, links and special files, each under a temporary name or none until it is whole.

use std::sync::atomic::Ordering;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use s3bl_core::checksum::Crc64Nvme;
use s3bl_core::metadata::Xattr;
use s3bl_core::path::{ObjectKey, RelPath};
use s3bl_core::plan::PartPlan;
use s3bl_core::settings::HardLinkPolicy;
use s3bl_core::task::{Class, WriteProof};
use s3bl_core::toc::{EntryKind, PosixFacts};
use s3bl_core::unit::ByteCount;
use s3bl_port::store::{Body, Original, StoreError, Stored, StoredPart, UploadId, Whole};

use super::inode::{
    dress, dress_link, dress_special, examine, examine_open, facts, keeps_owners, stamp,
};
use super::links::{Held, name_again};
use super::part::{Begun, HOLE_BYTES, Unnamed, make_named, open_named, sum_at, write_at};
use super::place::{Spot, fault, make_directory, trouble};
use super::store::{Entry, Inner};

impl Inner {
    pub(super) fn put(&self, entry: &Entry, body: &Body) -> Result<Stored, StoreError> {
        self.puts.fetch_add(1, Ordering::Relaxed);
        let path = self.target.path(&entry.key)?;
        let fail = |error| trouble("write", error);
        match entry.kind {
            EntryKind::File => self.put_file(&path, entry, body),
            EntryKind::Directory => self.put_directory(&path, entry).map_err(fail),
            EntryKind::Symlink => self.put_link(&path, entry, &body.bytes).map_err(fail),
            EntryKind::Special => self.put_special(&path, entry),
        }
    }

    fn put_file(&self, path: &RelPath, entry: &Entry, body: &Body) -> Result<Stored, StoreError> {
        let fail = |error| trouble("write", error);
        let spot = self.target.reach(path).map_err(fail)?;
        let made = Unnamed::make(&spot).map_err(fail)?;
        let temporary = made.temporary.clone();
        let done = (|| {
            if body.bytes.len() >= HOLE_BYTES {
                // A hole at the end is not written.
                rustix::fs::ftruncate(&made.file, body.bytes.len() as u64).map_err(fail)?;
            }
            write_at(&made.file, 0, &body.bytes).map_err(fail)?;
            let found = sum_at(&made.file, 0, body.bytes.len() as u64).map_err(fail)?;
            check_sum(found == body.crc64nvme)?;
            dress(made.file.as_fd(), &entry.facts, &entry.xattrs).map_err(fail)?;
            self.flush(&made.file)?;
            let file = made.file.try_clone().map_err(|error| fault("write", error.to_string()))?;
            if !self.has_other_names(&entry.facts) {
                made.settle(&spot).map_err(fail)?;
                return stored(&file);
            }
            self.settle_other((made, &spot), &entry.facts, body.crc64nvme).map_err(fail)?;
            placed(&spot).map_err(fail)
        })();
        if let (Err(_), Some(temporary)) = (&done, temporary) {
            // The error that is reported is the first.
            let _ = spot.forget(&temporary);
        }
        done
    }

    /// Puts a file that has other names into its place.
    fn settle_other(
        &self,
        (made, spot): (Unnamed, &Spot),
        shown: &PosixFacts,
        sum: Crc64Nvme,
    ) -> Result<(), Errno> {
        let temporary = made.name(spot)?;
        self.settle_named((spot, &temporary), shown, Held::Sum(sum)).inspect_err(|_| {
            // The error that is reported is the first.
            let _ = spot.forget(&temporary);
        })
    }

    /// Puts what has a temporary name into its place.
    fn settle_named(
        &self,
        (spot, temporary): (&Spot, &str),
        shown: &PosixFacts,
        held: Held<'_>,
    ) -> Result<(), Errno> {
        if self.has_other_names(shown) {
            return self.links.settle(&self.target, (spot, temporary), shown, held);
        }
        spot.settle(temporary)
    }

    fn has_other_names(&self, shown: &PosixFacts) -> bool {
        match self.transfer.hard_links {
            HardLinkPolicy::Copy => shown.link != 0,
            HardLinkPolicy::Each => false,
        }
    }

    fn put_special(&self, path: &RelPath, entry: &Entry) -> Result<Stored, StoreError> {
        let fail = |error| trouble("write", error);
        let spot = self.target.reach(path).map_err(fail)?;
        let temporary = spot.temporary();
        let facts = &entry.facts;
        let file_type = FileType::from_raw_mode(facts.mode);
        let device = if facts.is_device() { facts.rdev } else { 0 };
        let private = Mode::RUSR | Mode::WUSR;
        match rustix::fs::mknodat(&spot.parent, &temporary, file_type, private, device) {
            Ok(()) => {}
            Err(Errno::PERM) if facts.is_device() => {
                let message = "only root of the machine makes devices".to_owned();
                return Err(StoreError { class: Class::AccessDenied, ..fault("write", message) });
            }
            Err(error) => return Err(fail(error)),
        }
        let done = dress_special(spot.parent.as_fd(), &temporary, facts)
            .and_then(|()| self.settle_named((&spot, &temporary), facts, Held::Nothing))
            .and_then(|()| placed(&spot));
        done.map_err(|error| {
            // The error that is reported is the first.
            let _ = spot.forget(&temporary);
            fail(error)
        })
    }

    fn put_directory(&self, path: &RelPath, entry: &Entry) -> Result<Stored, Errno> {
        if !path.is_root() {
            let spot = self.target.reach(path)?;
            make_directory(spot.parent.as_fd(), &spot.name, Mode::RWXU)?;
        }
        // Whoever is not root still has to write what lies in it.
        let owner = if keeps_owners() { 0 } else { Mode::RWXU.bits() };
        let facts = PosixFacts { mode: entry.facts.mode | owner, ..entry.facts };
        self.dress_directory(path, &facts, &entry.xattrs)?;
        Ok(Stored { etag: None, proof: WriteProof::Crc64Nvme, retries: 0 })
    }

    pub(super) fn dress_directory(
        &self,
        path: &RelPath,
        facts: &PosixFacts,
        xattrs: &[Xattr],
    ) -> Result<(), Errno> {
        let found = self.target.open_directory(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = rustix::fs::openat(&found, c".", flags, Mode::empty())?;
        match dress(open.as_fd(), facts, xattrs) {
            // What a bucket is mounted at has no owner, mode and times of its own: s3fs says `EIO`. VALIDATE finds that they
            // differ, where it compares them.
            Err(error) if path.is_root() && is_refusal(error) => {
                tracing::warn!(%error, "the root of the destination keeps its owner, mode and times");
                Ok(())
            }
            dressed => dressed,
        }
    }

    fn put_link(&self, path: &RelPath, entry: &Entry, target: &[u8]) -> Result<Stored, Errno> {
        let spot = self.target.reach(path)?;
        let temporary = spot.temporary();
        rustix::fs::symlinkat(target, &spot.parent, &temporary)?;
        let done = dress_link(spot.parent.as_fd(), &temporary, &entry.facts)
            .and_then(|()| {
                let held = Held::Target(target);
                self.settle_named((&spot, &temporary), &entry.facts, held)
            })
            .and_then(|()| placed(&spot));
        done.inspect_err(|_| {
            // The error that is reported is the first.
            let _ = spot.forget(&temporary);
        })
    }

    pub(super) fn begin(&self, entry: &Entry) -> Result<UploadId, StoreError> {
        let fail = |error| trouble("begin", error);
        let spot = self.target.reach(&self.target.path(&entry.key)?).map_err(fail)?;
        let temporary = spot.temporary();
        let file = make_named(&spot, &temporary).map_err(fail)?;
        rustix::fs::ftruncate(&file, entry.facts.size.0).map_err(fail)?;
        for xattr in &entry.xattrs {
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::fsetxattr(&file, xattr.name.as_slice(), &xattr.value, flags)
                .map_err(fail)?;
        }
        let (facts, xattrs) = (entry.facts, Vec::new());
        Ok(UploadId(Begun { temporary, facts, xattrs }.to_text()))
    }

    pub(super) fn put_part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: u32,
        body: &Body,
    ) -> Result<StoredPart, StoreError> {
        let fail = |error| trouble("write part", error);
        let begun = begun(upload)?;
        let plan = PartPlan::new(begun.facts.size, self.transfer.part_size)
            .map_err(|error| fault("write part", error.to_string()))?;
        let (offset, length) = plan.range(number);
        if length != body.bytes.len() as u64 {
            return Err(fault("write part", format!("part {number} is to have {length} bytes")));
        }
        let spot = self.target.find(&self.target.path(key)?).map_err(fail)?;
        let file = open_named(&spot, &begun.temporary).map_err(fail)?;
        write_at(&file, offset, &body.bytes).map_err(fail)?;
        check_sum(sum_at(&file, offset, length).map_err(fail)? == body.crc64nvme)?;
        Ok(StoredPart {
            number,
            etag: format!("{:016x}", body.crc64nvme.0),
            crc64nvme: body.crc64nvme,
            md5: None,
            size: ByteCount(length),
            retries: 0,
        })
    }

    pub(super) fn complete(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        whole: Whole,
    ) -> Result<Stored, StoreError> {
        let fail = |error| trouble("complete", error);
        let begun = begun(upload)?;
        let spot = self.target.find(&self.target.path(key)?).map_err(fail)?;
        let file = open_named(&spot, &begun.temporary).map_err(fail)?;
        let found = facts(&examine_open(&file).map_err(fail)?).size;
        check_sum(found == whole.size)?;
        dress(file.as_fd(), &begun.facts, &begun.xattrs).map_err(fail)?;
        self.flush(&file)?;
        let held = Held::Sum(whole.crc64nvme);
        self.settle_named((&spot, &begun.temporary), &begun.facts, held).map_err(fail)?;
        placed(&spot).map_err(fail)
    }

    /// Makes one name more of what was put before, if it is still what it was then. `None` if that cannot be.
    pub(super) fn name_again(
        &self,
        entry: &Entry,
        original: &Original,
    ) -> Result<Option<Stored>, StoreError> {
        self.puts.fetch_add(1, Ordering::Relaxed);
        let fail = |error| trouble("write", error);
        let before = self.target.find(&self.target.path(&original.key)?).map_err(fail)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&before.parent, before.name.as_slice(), flags, Mode::empty())
            .map_err(fail)?;
        let found = examine_open(&file).map_err(fail)?;
        let (wanted, has) = (entry.facts, facts(&found));
        let shown = |it: &PosixFacts| (it.mode, it.uid, it.gid, it.size, it.mtime);
        if stamp(&found).as_ref() != Some(&original.etag) || shown(&has) != shown(&wanted) {
            return Ok(None);
        }
        let spot = self.target.reach(&self.target.path(&entry.key)?).map_err(fail)?;
        if let Err(error) = name_again(&file, &spot) {
            tracing::debug!(%error, "a file gets no other name");
            return Ok(None);
        }
        placed(&spot).map(Some).map_err(fail)
    }
}

/// Whether an error says that something cannot be changed here at all.
fn is_refusal(error: Errno) -> bool {
    matches!(error, Errno::IO | Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP | Errno::NOSYS)
}

pub(super) fn stored(file: &OwnedFd) -> Result<Stored, StoreError> {
    let found = examine_open(file).map_err(|error| trouble("write", error))?;
    Ok(Stored { etag: stamp(&found), proof: WriteProof::Crc64Nvme, retries: 0 })
}

/// What is in a place now.
fn placed(spot: &Spot) -> Result<Stored, Errno> {
    let found = examine(spot.parent.as_fd(), &spot.name)?;
    Ok(Stored { etag: stamp(&found), proof: WriteProof::Crc64Nvme, retries: 0 })
}

pub(super) fn check_sum(is_same: bool) -> Result<(), StoreError> {
    if is_same {
        return Ok(());
    }
    let message = "what was written is read back as something else".to_owned();
    Err(StoreError { class: Class::ChecksumRefused, ..fault("write", message) })
}

pub(super) fn begun(upload: &UploadId) -> Result<Begun, StoreError> {
    Begun::parse(&upload.0).ok_or_else(|| fault("find upload", "it was not begun here".to_owned()))
}
