//! One thread's walk: depth first, in the order of keys, without recursion.
//!
//! A directory on the way down is a [`Frame`]; the deepest ones hold their descriptors, the others are opened again
//! by path when the walk comes back to them, and are then checked to be the same directory.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, OFlags, SeekFrom, Statx, StatxFlags};
use rustix::io::Errno;
use s3bl_core::limit::PATH_BYTES_MAX;
use s3bl_core::path::RelPath;
use s3bl_core::task::Class;
use s3bl_core::toc::filter::{Filter, Standing};
use s3bl_core::toc::{EntryKind, WalkTotals};
use s3bl_core::unit::ByteCount;
use s3bl_port::source::SourceError;

use super::confine::{Root, patiently};
use super::facts::{Identity, examine, file_time, kind, kind_of_type, trouble};
use super::listing::{Listed, Lister, Names, Rest, Run};
use super::outbox::Outbox;
use super::share::{Exchange, Share};

/// Least time between two gifts of one thread, so that batches are not cut to pieces by sharing.
const GIFT_INTERVAL: Duration = Duration::from_millis(5);

/// Entries without a directory among them that are worth a gift: on a slow file system, a noticeable time.
const GIFT_ENTRIES: usize = 64;

/// What the walk asks of an entry; the type comes along for free.
const ENTRY_FACTS: StatxFlags = StatxFlags::TYPE.union(StatxFlags::SIZE).union(StatxFlags::MTIME);

/// What the walk asks of a directory.
const DIRECTORY_FACTS: StatxFlags =
    StatxFlags::TYPE.union(StatxFlags::MTIME).union(StatxFlags::INO);

const LIST_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// What all threads of a walk have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tree<'a> {
    pub(super) root: &'a Root,
    pub(super) filter: &'a Filter,
    pub(super) exchange: &'a Exchange,
    /// Descriptors of directories that one thread may hold, at least 1.
    pub(super) held_max: usize,
}

/// One thread's part of the walk.
pub(super) struct Walker<'a> {
    tree: Tree<'a>,
    lister: Lister,
    outbox: Outbox<'a>,
    /// Path of the entry at hand; its beginnings are the paths of the directories above.
    path: Vec<u8>,
    /// The directories on the way down to the entry at hand.
    frames: Vec<Frame>,
    /// Frames before this one hold no descriptor.
    held_from: usize,
    /// The directories above the first frame and that one itself, if links are followed.
    trail: Vec<Identity>,
    last_gift: Option<Instant>,
}

/// A directory that is being visited.
struct Frame {
    path_length: usize,
    directory: Option<OwnedFd>,
    identity: Identity,
    standing: Standing,
    names: Arc<Names>,
    next: usize,
    end: usize,
    rest: Rest,
    /// Whether the descriptor was opened anew, so that it does not stand where the listing stopped.
    is_regained: bool,
    /// Whether another thread got the names behind `end`.
    has_gap: bool,
}

/// A directory that could be opened and listed.
struct Opened {
    directory: OwnedFd,
    found: Statx,
    run: Run,
}

impl<'a> Walker<'a> {
    pub(super) fn new(tree: Tree<'a>, lister: Lister, outbox: Outbox<'a>) -> Self {
        Self {
            tree,
            lister,
            outbox,
            path: Vec::new(),
            frames: Vec::new(),
            held_from: 0,
            trail: Vec::new(),
            last_gift: None,
        }
    }

    /// Begins with the root. This walker is then busy.
    pub(super) fn enter_root(&mut self) -> Result<ControlFlow<()>, SourceError> {
        let root = self.tree.root;
        let opened = patiently(|| {
            root.keeping_access_time(LIST_FLAGS, |flags| root.open_beneath(b"", flags))
        });
        let opened = opened.map_err(|error| trouble("open", &RelPath::root(), error))?;
        let opened = self.list(opened)?;
        let mtime = file_time(opened.found.stx_mtime);
        let emitted = self.outbox.emit(b"", EntryKind::Directory, ByteCount::ZERO, mtime);
        if emitted.is_break() {
            return Ok(emitted);
        }
        Ok(self.descend(opened, self.tree.filter.root()))
    }

    /// Visits all that it has and all that it is given, to the end of the walk.
    pub(super) fn run(mut self) -> WalkTotals {
        if !self.frames.is_empty() {
            self.work();
        }
        while let Some(share) = self.tree.exchange.take() {
            self.adopt(share);
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
        while let Some(frame) = self.frames.last_mut() {
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
        let frame = self.frames.last().expect("an entry is visited in a frame");
        let (name, listed) = frame.names.get(index);
        let above = frame.path_length;
        let start = above + usize::from(above > 0);
        // The system takes a path with the zero byte at its end.
        if start + name.len() >= PATH_BYTES_MAX {
            let error = self.too_long(index);
            return self.outbox.fail(&error);
        }
        self.path.truncate(above);
        if above > 0 {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
        let standing = self.tree.filter.standing(frame.standing, &self.path, listed.is_directory());
        if standing == Standing::Excluded {
            self.outbox.exclude();
            return ControlFlow::Continue(());
        }
        if let Err(error) = self.regain() {
            return self.abandon(index, &error);
        }
        if listed.is_directory() {
            self.visit_directory(listed, start, standing)
        } else {
            self.visit_leaf(listed, start)
        }
    }

    fn visit_leaf(&mut self, listed: Listed, start: usize) -> ControlFlow<()> {
        let expected = match listed {
            Listed::Plain(kind) => Some(kind),
            Listed::Link | Listed::LinkToDirectory => None,
        };
        let found = if expected.is_some() {
            let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::STATX_DONT_SYNC;
            rustix::fs::statx(self.held(), &self.path[start..], flags, ENTRY_FACTS)
                .map_err(|error| trouble("examine", &self.here(), error))
        } else {
            let root = self.tree.root;
            self.with_room(|walker| root.open_beneath(&walker.path, OFlags::PATH))
                .and_then(|file| examine(file.as_fd(), ENTRY_FACTS))
                .map_err(|error| self.link_trouble(error))
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => return self.outbox.fail(&error),
        };
        let kind = kind(&found);
        if expected.unwrap_or(kind) != kind || kind == EntryKind::Directory {
            let error = self.replaced();
            return self.outbox.fail(&error);
        }
        let size = match kind {
            EntryKind::File | EntryKind::Symlink => ByteCount(found.stx_size),
            EntryKind::Directory | EntryKind::Special => ByteCount::ZERO,
        };
        let mtime = file_time(found.stx_mtime);
        if !self.tree.filter.admits_version(kind, size, mtime) {
            self.outbox.exclude();
            return ControlFlow::Continue(());
        }
        self.outbox.emit(&self.path, kind, size, mtime)
    }

    fn visit_directory(
        &mut self,
        listed: Listed,
        start: usize,
        standing: Standing,
    ) -> ControlFlow<()> {
        let root = self.tree.root;
        let is_link = listed == Listed::LinkToDirectory;
        let opened = self.with_room(|walker| {
            root.keeping_access_time(LIST_FLAGS, |flags| {
                if is_link {
                    root.open_beneath(&walker.path, flags)
                } else {
                    root.open_child(walker.held(), &walker.path[start..], flags)
                }
            })
        });
        let opened = match opened {
            Ok(directory) => self.list(directory),
            Err(error) if is_link => Err(self.link_trouble(error)),
            Err(error) => Err(trouble("open", &self.here(), error)),
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => return self.outbox.fail(&error),
        };
        if standing == Standing::Admitted {
            let mtime = file_time(opened.found.stx_mtime);
            self.outbox.emit(&self.path, EntryKind::Directory, ByteCount::ZERO, mtime)?;
        } else {
            self.outbox.exclude();
        }
        self.descend(opened, standing)
    }

    /// Examines a directory that was opened at the path at hand, and reads its first names.
    fn list(&mut self, directory: OwnedFd) -> Result<Opened, SourceError> {
        let fail = |action, error| trouble(action, &relative(&self.path), error);
        let found = examine(directory.as_fd(), DIRECTORY_FACTS);
        let found = found.map_err(|error| fail("examine", error))?;
        if self.tree.root.follows_links() && self.is_above(Identity::of(&found)) {
            return Err(SourceError {
                class: Class::Unreadable,
                action: "follow",
                path: self.here(),
                source: std::io::Error::other("the link leads back to a directory above it"),
            });
        }
        let root = self.tree.root;
        let run = self.lister.run(directory.as_fd(), |name, file_type| {
            classify(root, directory.as_fd(), &self.path, name, file_type)
        });
        match run.rest {
            Rest::Unknown(error) if run.names.len() == 0 => Err(fail("list", error)),
            Rest::Unknown(_) | Rest::None | Rest::From(_) => Ok(Opened { directory, found, run }),
        }
    }

    /// Makes the directory at hand the one that is visited.
    fn descend(&mut self, opened: Opened, standing: Standing) -> ControlFlow<()> {
        let Opened { directory, found, run } = opened;
        self.frames.push(Frame {
            path_length: self.path.len(),
            directory: Some(directory),
            identity: Identity::of(&found),
            standing,
            next: 0,
            end: run.names.len(),
            names: Arc::new(run.names),
            rest: run.rest,
            is_regained: false,
            has_gap: false,
        });
        if self.frames.len() - self.held_from > self.tree.held_max {
            self.frames[self.held_from].directory = None;
            self.held_from += 1;
        }
        self.report_unknown_rest()
    }

    /// Goes on with the next names of the directory, or with the directory above.
    fn leave(&mut self) -> ControlFlow<()> {
        let frame = self.frames.last_mut().expect("a frame is left that was entered");
        if frame.has_gap || frame.rest != Rest::None {
            self.outbox.close()?;
        }
        if let Rest::From(position) = frame.rest {
            self.path.truncate(frame.path_length);
            return self.list_further(position);
        }
        self.frames.pop();
        self.held_from = self.held_from.min(self.frames.len());
        ControlFlow::Continue(())
    }

    fn list_further(&mut self, position: u64) -> ControlFlow<()> {
        if let Err(error) = self.regain() {
            let end = self.frames.last().expect("a frame is listed further").end;
            return self.abandon(end, &error);
        }
        let frame = self.frames.last_mut().expect("a frame is listed further");
        let directory = frame.directory.as_ref().expect("its descriptor was regained").as_fd();
        let sought = if frame.is_regained {
            rustix::fs::seek(directory, SeekFrom::Start(position)).map(drop)
        } else {
            Ok(())
        };
        let root = self.tree.root;
        let run = match sought {
            Ok(()) => self.lister.run(directory, |name, file_type| {
                classify(root, directory, &self.path, name, file_type)
            }),
            Err(error) => Run { rest: Rest::Unknown(error), ..Run::default() },
        };
        (frame.next, frame.end) = (0, run.names.len());
        frame.rest = run.rest;
        frame.names = Arc::new(run.names);
        frame.is_regained = false;
        self.report_unknown_rest()
    }

    /// Counts what a directory did not tell as one entry that could not be examined.
    fn report_unknown_rest(&mut self) -> ControlFlow<()> {
        let frame = self.frames.last_mut().expect("a frame was listed");
        let Rest::Unknown(error) = frame.rest else { return ControlFlow::Continue(()) };
        frame.rest = Rest::None;
        let error = trouble("list further", &relative(&self.path[..frame.path_length]), error);
        self.outbox.fail(&error)
    }

    /// Gives up on a directory that cannot be opened again, with all of it from the name at `index` on.
    fn abandon(&mut self, index: usize, error: &SourceError) -> ControlFlow<()> {
        let frame = self.frames.last_mut().expect("a frame is abandoned that was entered");
        let (names, end, above) = (Arc::clone(&frame.names), frame.end, frame.path_length);
        let (standing, rest) = (frame.standing, std::mem::take(&mut frame.rest));
        frame.next = end;
        let fail = |path: &[u8]| SourceError {
            class: error.class,
            action: "reach",
            path: relative(path),
            source: std::io::Error::other(error.source.to_string()),
        };
        for index in index..end {
            let (name, listed) = names.get(index);
            self.path.truncate(above);
            if above > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name);
            let is_directory = listed.is_directory();
            let standing = self.tree.filter.standing(standing, &self.path, is_directory);
            if standing == Standing::Excluded {
                self.outbox.exclude();
            } else {
                self.outbox.fail(&fail(&self.path))?;
            }
        }
        if rest == Rest::None {
            return ControlFlow::Continue(());
        }
        self.outbox.fail(&fail(&self.path[..above]))
    }

    /// Sees to it that the directory at hand has its descriptor.
    fn regain(&mut self) -> Result<(), SourceError> {
        let frame = self.frames.last().expect("a frame is regained that was entered");
        if frame.directory.is_some() {
            return Ok(());
        }
        let (above, identity) = (frame.path_length, frame.identity);
        let root = self.tree.root;
        let fail = |error| move |path: &[u8]| trouble("open again", &relative(path), error);
        let opened = self.with_room(|walker| {
            root.keeping_access_time(LIST_FLAGS, |flags| {
                root.open_beneath(&walker.path[..above], flags)
            })
        });
        let directory = opened.map_err(|error| fail(error)(&self.path[..above]))?;
        let found = examine(directory.as_fd(), DIRECTORY_FACTS);
        let found = found.map_err(|error| fail(error)(&self.path[..above]))?;
        if Identity::of(&found) != identity {
            return Err(SourceError {
                class: Class::Vanished,
                action: "open again",
                path: relative(&self.path[..above]),
                source: std::io::Error::other("another directory has taken its place"),
            });
        }
        let index = self.frames.len() - 1;
        self.frames[index].directory = Some(directory);
        self.frames[index].is_regained = true;
        self.held_from = index;
        Ok(())
    }

    /// Opens something; if descriptors are short, lets those of the directories above go first.
    fn with_room(
        &mut self,
        open: impl Fn(&Self) -> Result<OwnedFd, Errno>,
    ) -> Result<OwnedFd, Errno> {
        match open(self) {
            Err(Errno::MFILE | Errno::NFILE | Errno::AGAIN) => {
                let top = self.frames.len().saturating_sub(1);
                for frame in &mut self.frames[self.held_from.min(top)..top] {
                    frame.directory = None;
                }
                self.held_from = self.held_from.max(top);
                patiently(|| open(self))
            }
            done => done,
        }
    }

    /// Gives the far half of what is left in the highest directory that has enough.
    fn give(&mut self) {
        let now = Instant::now();
        if self.last_gift.is_some_and(|last| now.duration_since(last) < GIFT_INTERVAL) {
            return;
        }
        let top = self.frames.len().saturating_sub(1);
        let gift = self.frames.iter().enumerate().find_map(|(depth, frame)| {
            // At the top the next entry stays here, elsewhere one is being visited already.
            frame.spare(usize::from(depth == top)).map(|begin| (depth, begin))
        });
        let Some((depth, begin)) = gift else { return };
        let mut trail = Vec::new();
        if self.tree.root.follows_links() {
            trail.extend_from_slice(&self.trail);
            trail.extend(self.frames[..=depth].iter().map(|frame| frame.identity));
        }
        let frame = &mut self.frames[depth];
        let share = Share {
            path: self.path[..frame.path_length].to_vec(),
            identity: frame.identity,
            standing: frame.standing,
            trail,
            names: Arc::clone(&frame.names),
            begin,
            end: frame.end,
        };
        frame.end = begin;
        frame.has_gap = true;
        self.last_gift = Some(now);
        self.tree.exchange.give(share);
    }

    fn adopt(&mut self, share: Share) {
        self.path = share.path;
        self.trail = share.trail;
        self.frames.push(Frame {
            path_length: self.path.len(),
            directory: None,
            identity: share.identity,
            standing: share.standing,
            names: share.names,
            next: share.begin,
            end: share.end,
            rest: Rest::None,
            is_regained: false,
            has_gap: false,
        });
        self.held_from = self.frames.len();
    }

    fn held(&self) -> BorrowedFd<'_> {
        let frame = self.frames.last().expect("an entry is visited in a frame");
        frame.directory.as_ref().expect("the top frame was regained").as_fd()
    }

    fn is_above(&self, identity: Identity) -> bool {
        self.trail.contains(&identity) || self.frames.iter().any(|frame| frame.identity == identity)
    }

    fn here(&self) -> RelPath {
        relative(&self.path)
    }

    fn link_trouble(&self, error: Errno) -> SourceError {
        let class = if error == Errno::XDEV { Class::LeavesRoot } else { Class::Unreadable };
        SourceError { class, action: "follow", path: self.here(), source: error.into() }
    }

    fn replaced(&self) -> SourceError {
        let source = std::io::Error::other("something of another kind has taken its place");
        SourceError { class: Class::Vanished, action: "examine", path: self.here(), source }
    }

    fn too_long(&self, index: usize) -> SourceError {
        let frame = self.frames.last().expect("an entry is visited in a frame");
        let name = String::from_utf8_lossy(frame.names.get(index).0).escape_debug().to_string();
        SourceError {
            class: Class::NameNotRepresentable,
            action: "examine",
            path: relative(&self.path[..frame.path_length]),
            source: std::io::Error::other(format!(
                "`{name}` in it has a path of {PATH_BYTES_MAX} bytes or more"
            )),
        }
    }
}

impl Frame {
    /// Where the part of the names begins that may be given away, if that is worth the trouble: the far half, or
    /// all but `kept`.
    fn spare(&self, kept: usize) -> Option<usize> {
        let left = self.end - self.next;
        let half = self.end - left.div_ceil(2).min(left.saturating_sub(kept));
        [half, self.next + kept].into_iter().find(|begin| {
            let range = *begin..self.end;
            range.len() >= GIFT_ENTRIES
                || range.into_iter().any(|index| self.names.get(index).1.is_directory())
        })
    }
}

/// Says what a name in a listing stands for.
fn classify(
    root: &Root,
    directory: BorrowedFd<'_>,
    above: &[u8],
    name: &[u8],
    file_type: FileType,
) -> Listed {
    let mut kind = kind_of_type(file_type);
    if file_type == FileType::Unknown {
        let found = rustix::fs::statx(directory, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::TYPE);
        // What cannot be examined now is examined again when it is visited, and reported then.
        kind = found.map_or(EntryKind::File, |found| super::facts::kind(&found));
    }
    if kind != EntryKind::Symlink || !root.follows_links() {
        return Listed::Plain(kind);
    }
    let mut path = above.to_vec();
    if !above.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    let found = patiently(|| root.open_beneath(&path, OFlags::PATH))
        .and_then(|file| examine(file.as_fd(), StatxFlags::TYPE));
    match found {
        Ok(found) if super::facts::kind(&found) == EntryKind::Directory => Listed::LinkToDirectory,
        Ok(_) | Err(_) => Listed::Link,
    }
}

/// A path that the walk made of names that directories listed.
fn relative(path: &[u8]) -> RelPath {
    RelPath::new(path).expect("names have no slash and no zero byte, and the length was checked")
}
