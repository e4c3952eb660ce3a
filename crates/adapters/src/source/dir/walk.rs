//! One thread's walk: depth first, in the order of keys, without recursion.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, OFlags, SeekFrom, Statx, StatxFlags};
use rustix::io::Errno;
use s3bl_core::path::RelPath;
use s3bl_core::task::Class;
use s3bl_core::toc::filter::{Filter, Standing};
use s3bl_core::toc::{EntryKind, WalkTotals};
use s3bl_core::unit::ByteCount;
use s3bl_port::source::SourceError;

use super::confine::{LIST_FLAGS, Root, patiently};
use super::descent::{Descent, relative};
use super::facts::{
    DIRECTORY_FACTS, Device, ENTRY_FACTS, Identity, device_of, examine, examine_name, file_time,
    kind, kind_of_type, trouble,
};
use super::listing::{Listed, Lister, Rest, Run};
use super::share::Exchange;
use crate::source::outbox::Outbox;

/// Least time between two attempts of one thread to give work away, so that batches are not cut to pieces.
const SPLIT_INTERVAL: Duration = Duration::from_millis(5);

/// What all threads of a walk have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tree<'a> {
    pub(super) root: &'a Root,
    pub(super) filter: &'a Filter,
    pub(super) exchange: &'a Exchange,
    /// The file system that is not left, if so.
    pub(super) device: Option<Device>,
}

/// One thread's part of the walk.
pub(super) struct Walker<'a> {
    tree: Tree<'a>,
    lister: Lister,
    outbox: Outbox<'a>,
    descent: Descent<'a>,
    last_split: Option<Instant>,
}

/// A directory that could be opened and listed.
struct Opened {
    directory: OwnedFd,
    found: Statx,
    run: Run,
}

impl<'a> Walker<'a> {
    pub(super) fn new(
        tree: Tree<'a>,
        lister: Lister,
        outbox: Outbox<'a>,
        descent: Descent<'a>,
    ) -> Self {
        Self { tree, lister, outbox, descent, last_split: None }
    }

    /// Begins with the root. This walker then has work.
    pub(super) fn enter_root(&mut self) -> Result<ControlFlow<()>, SourceError> {
        let root = self.tree.root;
        let opened = patiently(|| {
            root.keeping_access_time(LIST_FLAGS, |flags| root.open_beneath(b"", flags))
        });
        let opened = opened.map_err(|error| trouble("open", &RelPath::root(), error))?;
        let opened = self.list(opened)?;
        let mtime = file_time(opened.found.stx_mtime);
        let is_wanted =
            self.tree.filter.admits_version(EntryKind::Directory, ByteCount::ZERO, mtime);
        if !is_wanted {
            self.outbox.exclude();
        } else if self.outbox.emit(b"", EntryKind::Directory, ByteCount::ZERO, mtime).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        Ok(self.descend(opened, self.tree.filter.root()))
    }

    /// Visits all that it has and all that it is given, to the end of the walk.
    pub(super) fn run(mut self) -> WalkTotals {
        if !self.descent.is_empty() {
            self.work();
        }
        while let Some(share) = self.tree.exchange.take() {
            self.descent.adopt(share);
            self.work();
        }
        self.outbox.into_totals()
    }

    fn work(&mut self) {
        if self.visit_all().is_break() {
            self.tree.exchange.stop();
        }
        self.tree.exchange.leave_busy();
    }

    fn visit_all(&mut self) -> ControlFlow<()> {
        while let Some(frame) = self.descent.top() {
            if self.tree.exchange.is_stopped() {
                return ControlFlow::Break(());
            }
            if frame.next < frame.end {
                let index = frame.next;
                frame.next += 1;
                self.visit(index)?;
            } else {
                self.leave()?;
            }
            if self.tree.exchange.is_wanted() {
                self.give();
            }
        }
        // The next work, if any, lies elsewhere.
        self.outbox.close()
    }

    fn visit(&mut self, index: usize) -> ControlFlow<()> {
        let (listed, parent) = match self.descent.point_at(index) {
            Ok(found) => found,
            Err(error) => return self.outbox.fail(&error),
        };
        let is_directory = listed.is_directory();
        let standing = self.tree.filter.standing(parent, self.descent.path(), is_directory);
        if standing == Standing::Excluded {
            self.outbox.exclude();
            return ControlFlow::Continue(());
        }
        if let Err(error) = self.descent.regain() {
            return self.abandon(index, &error);
        }
        if is_directory { self.visit_directory(listed, standing) } else { self.visit_leaf(listed) }
    }

    fn visit_leaf(&mut self, listed: Listed) -> ControlFlow<()> {
        let examined = match listed {
            Listed::Plain(expected) => self.examine_listed(expected),
            Listed::Link | Listed::LinkToDirectory => self.examine_target(),
        };
        let found = match examined {
            Ok(found) => found,
            Err(error) => return self.outbox.fail(&error),
        };
        if self.is_elsewhere(&found) {
            self.outbox.exclude();
            return ControlFlow::Continue(());
        }
        let kind = kind(&found);
        let size = match kind {
            EntryKind::File | EntryKind::Symlink => ByteCount(found.stx_size),
            EntryKind::Directory | EntryKind::Special => ByteCount::ZERO,
        };
        let mtime = file_time(found.stx_mtime);
        if !self.tree.filter.admits_version(kind, size, mtime) {
            self.outbox.exclude();
            return ControlFlow::Continue(());
        }
        self.outbox.emit(self.descent.path(), kind, size, mtime)
    }

    /// Examines the entry at hand, which must be what the listing said.
    fn examine_listed(&self, expected: EntryKind) -> Result<Statx, SourceError> {
        let descent = &self.descent;
        let found = examine_name(descent.directory(), descent.name(), ENTRY_FACTS)
            .map_err(|error| trouble("examine", &descent.here(), error))?;
        if kind(&found) == expected { Ok(found) } else { Err(self.replaced()) }
    }

    /// Examines what the link at hand leads to, which is no directory.
    fn examine_target(&mut self) -> Result<Statx, SourceError> {
        let root = self.tree.root;
        let open = |descent: &Descent<'_>| root.open_beneath(descent.path(), OFlags::PATH);
        let found = self
            .descent
            .with_room(open)
            .and_then(|file| examine(file.as_fd(), ENTRY_FACTS))
            .map_err(|error| self.link_trouble(error))?;
        if kind(&found) == EntryKind::Directory { Err(self.replaced()) } else { Ok(found) }
    }

    fn visit_directory(&mut self, listed: Listed, standing: Standing) -> ControlFlow<()> {
        let root = self.tree.root;
        let is_link = listed == Listed::LinkToDirectory;
        let opened = self.descent.with_room(|descent| {
            root.keeping_access_time(LIST_FLAGS, |flags| {
                if is_link {
                    root.open_beneath(descent.path(), flags)
                } else {
                    root.open_child(descent.directory(), descent.name(), flags)
                }
            })
        });
        let opened = match opened {
            Ok(directory) => self.list(directory),
            Err(error) if is_link => Err(self.link_trouble(error)),
            Err(error) => Err(trouble("open", &self.descent.here(), error)),
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => return self.outbox.fail(&error),
        };
        let mtime = file_time(opened.found.stx_mtime);
        let filter = &self.tree.filter;
        let is_wanted = filter.admits_version(EntryKind::Directory, ByteCount::ZERO, mtime);
        if standing == Standing::Admitted && is_wanted {
            let path = self.descent.path();
            self.outbox.emit(path, EntryKind::Directory, ByteCount::ZERO, mtime)?;
        } else {
            self.outbox.exclude();
        }
        // What is mounted here is named, and not looked into.
        if self.is_elsewhere(&opened.found) {
            return ControlFlow::Continue(());
        }
        self.descend(opened, standing)
    }

    /// Whether something lies on another file system than is meant.
    fn is_elsewhere(&self, found: &Statx) -> bool {
        self.tree.device.is_some_and(|device| device != device_of(found))
    }

    /// Examines a directory that was opened at the path at hand, and reads its first names.
    fn list(&mut self, directory: OwnedFd) -> Result<Opened, SourceError> {
        let (root, descent) = (self.tree.root, &self.descent);
        let fail = |action, error| trouble(action, &descent.here(), error);
        let found =
            examine(directory.as_fd(), DIRECTORY_FACTS).map_err(|error| fail("examine", error))?;
        if root.follows_links() && descent.is_above(Identity::of(&found)) {
            return Err(SourceError {
                class: Class::Unreadable,
                action: "follow",
                path: descent.here(),
                source: std::io::Error::other("the link leads back to a directory above it"),
            });
        }
        let run = self.lister.run(directory.as_fd(), |name, file_type| {
            classify(root, &directory, descent.path(), name, file_type)
        });
        match run.rest {
            Rest::Unknown(error) if run.names.len() == 0 => Err(fail("list", error)),
            Rest::Unknown(_) | Rest::None | Rest::From(_) => Ok(Opened { directory, found, run }),
        }
    }

    /// Makes the directory at hand the one whose entries are visited.
    fn descend(&mut self, opened: Opened, standing: Standing) -> ControlFlow<()> {
        let Opened { directory, found, run } = opened;
        self.descent.push(directory, Identity::of(&found), standing, run);
        self.report_unknown_rest()
    }

    /// Goes on with the next names of the directory, or with the directory above.
    fn leave(&mut self) -> ControlFlow<()> {
        let frame = self.descent.frame();
        let rest = frame.rest;
        if frame.has_gap || rest != Rest::None {
            self.outbox.close()?;
        }
        if let Rest::From(position) = rest {
            return self.list_further(position);
        }
        self.descent.pop();
        ControlFlow::Continue(())
    }

    fn list_further(&mut self, position: u64) -> ControlFlow<()> {
        self.descent.point_at_directory();
        if let Err(error) = self.descent.regain() {
            let end = self.descent.frame().end;
            return self.abandon(end, &error);
        }
        let is_regained = std::mem::take(&mut self.descent.frame().is_regained);
        let (root, descent) = (self.tree.root, &self.descent);
        let directory = descent.directory();
        let sought = if is_regained {
            rustix::fs::seek(directory, SeekFrom::Start(position)).map(drop)
        } else {
            Ok(())
        };
        let run = match sought {
            Ok(()) => self.lister.run(directory, |name, file_type| {
                classify(root, directory, descent.path(), name, file_type)
            }),
            Err(error) => Run { rest: Rest::Unknown(error), ..Run::default() },
        };
        self.descent.frame().renew(run);
        self.report_unknown_rest()
    }

    /// Counts what a directory did not tell as one entry that could not be examined. The directory is the entry at
    /// hand.
    fn report_unknown_rest(&mut self) -> ControlFlow<()> {
        let frame = self.descent.frame();
        let Rest::Unknown(error) = frame.rest else { return ControlFlow::Continue(()) };
        frame.rest = Rest::None;
        self.outbox.fail(&trouble("list further", &self.descent.here(), error))
    }

    /// Gives up on a directory that cannot be opened again, with all of it from the name at `index` on.
    fn abandon(&mut self, index: usize, error: &SourceError) -> ControlFlow<()> {
        let frame = self.descent.frame();
        let end = frame.end;
        frame.next = end;
        let rest = std::mem::take(&mut frame.rest);
        let fail = |path: &[u8]| SourceError {
            class: error.class,
            action: "reach",
            path: relative(path),
            source: std::io::Error::other(error.source.to_string()),
        };
        for index in index..end {
            match self.descent.point_at(index) {
                Ok((listed, parent)) => {
                    let (path, filter) = (self.descent.path(), self.tree.filter);
                    if filter.standing(parent, path, listed.is_directory()) == Standing::Excluded {
                        self.outbox.exclude();
                    } else {
                        self.outbox.fail(&fail(path))?;
                    }
                }
                Err(too_long) => self.outbox.fail(&too_long)?,
            }
        }
        if rest == Rest::None {
            return ControlFlow::Continue(());
        }
        self.descent.point_at_directory();
        self.outbox.fail(&fail(self.descent.path()))
    }

    /// Gives work to a thread that waits for some.
    fn give(&mut self) {
        let now = Instant::now();
        if self.last_split.is_some_and(|last| now.duration_since(last) < SPLIT_INTERVAL) {
            return;
        }
        self.last_split = Some(now);
        if let Some(share) = self.descent.split() {
            self.tree.exchange.give(share);
        }
    }

    fn link_trouble(&self, error: Errno) -> SourceError {
        let class = if error == Errno::XDEV { Class::LeavesRoot } else { Class::Unreadable };
        SourceError { class, action: "follow", path: self.descent.here(), source: error.into() }
    }

    fn replaced(&self) -> SourceError {
        let source = std::io::Error::other("something of another kind has taken its place");
        let path = self.descent.here();
        SourceError { class: Class::Vanished, action: "examine", path, source }
    }
}

/// Says what a name in a listing stands for.
fn classify(
    root: &Root,
    directory: impl AsFd,
    above: &[u8],
    name: &[u8],
    file_type: FileType,
) -> Listed {
    let kind = if file_type == FileType::Unknown {
        // What cannot be examined now is examined again when it is visited, and reported then.
        examine_name(directory.as_fd(), name, StatxFlags::TYPE)
            .map_or(EntryKind::File, |found| kind(&found))
    } else {
        kind_of_type(file_type)
    };
    if kind != EntryKind::Symlink || !root.follows_links() {
        return Listed::Plain(kind);
    }
    let mut path = above.to_vec();
    if !above.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    let target = patiently(|| root.open_beneath(&path, OFlags::PATH))
        .and_then(|file| examine(file.as_fd(), StatxFlags::TYPE));
    match target {
        Ok(found) if self::kind(&found) == EntryKind::Directory => Listed::LinkToDirectory,
        Ok(_) | Err(_) => Listed::Link,
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::Mode;

    use super::*;

    #[test]
    fn a_file_system_that_tells_no_types_is_asked_for_them() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("file"), "").unwrap();
        std::fs::create_dir(place.path().join("directory")).unwrap();
        std::os::unix::fs::symlink("directory", place.path().join("link")).unwrap();
        let directory = rustix::fs::open(place.path(), LIST_FLAGS, Mode::empty()).unwrap();
        for follows_links in [false, true] {
            let root = Root::open(place.path(), follows_links).unwrap();
            let of =
                |name: &str| classify(&root, &directory, b"", name.as_bytes(), FileType::Unknown);
            assert_eq!(of("file"), Listed::Plain(EntryKind::File));
            assert_eq!(of("directory"), Listed::Plain(EntryKind::Directory));
            // Its visit says that it is gone.
            assert_eq!(of("none"), Listed::Plain(EntryKind::File));
            let link = match follows_links {
                true => Listed::LinkToDirectory,
                false => Listed::Plain(EntryKind::Symlink),
            };
            assert_eq!(of("link"), link);
        }
    }
}
