//! Where one thread's walk stands: the directories on the way down, and the path of the entry at hand.
//!
//! Of the directories only the deepest hold their descriptors. The others are opened again by path when the walk
//! comes back to them, and are then checked to be the same directories as before.

use std::sync::Arc;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use s3bl_core::limit::PATH_BYTES_MAX;
use s3bl_core::path::RelPath;
use s3bl_core::task::Class;
use s3bl_core::toc::filter::Standing;
use s3bl_port::source::SourceError;

use super::confine::{LIST_FLAGS, Root, patiently};
use super::facts::{DIRECTORY_FACTS, Identity, examine, trouble};
use super::listing::{Listed, Names, Rest, Run};
use super::share::Share;

/// Entries without a directory among them that are worth a gift: on a slow file system, a noticeable time.
const GIFT_ENTRIES: usize = 64;

/// The way down from the root, or from where another thread's work was taken over.
pub(super) struct Descent<'a> {
    root: &'a Root,
    /// Most descriptors that are held at a time, but always that of the directory at hand.
    held_max: usize,
    /// Path of the entry at hand; its beginnings are the paths of the directories above.
    path: Vec<u8>,
    frames: Vec<Frame>,
    /// Frames before this one hold no descriptor.
    held_from: usize,
    /// The directories above the first frame, from the root on, if links are followed.
    trail: Vec<Identity>,
}

/// A directory that is being visited.
pub(super) struct Frame {
    pub(super) standing: Standing,
    pub(super) names: Arc<Names>,
    /// The next name to visit, and the one before which to stop.
    pub(super) next: usize,
    pub(super) end: usize,
    pub(super) rest: Rest,
    /// Whether the descriptor was opened anew, so that it does not stand where the listing stopped.
    pub(super) is_regained: bool,
    /// Whether another thread got the names behind `end`.
    pub(super) has_gap: bool,
    identity: Identity,
    path_length: usize,
    directory: Option<OwnedFd>,
}

impl<'a> Descent<'a> {
    pub(super) fn new(root: &'a Root, held_max: usize) -> Self {
        Self {
            root,
            held_max,
            path: Vec::new(),
            frames: Vec::new(),
            held_from: 0,
            trail: Vec::new(),
        }
    }

    /// Path of the entry at hand.
    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    /// Path of the entry at hand, to keep.
    pub(super) fn here(&self) -> RelPath {
        relative(&self.path)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The directory at hand, if any is left.
    pub(super) fn top(&mut self) -> Option<&mut Frame> {
        self.frames.last_mut()
    }

    /// The directory at hand. There is one whenever an entry is visited.
    pub(super) fn frame(&mut self) -> &mut Frame {
        self.frames.last_mut().expect("a directory is being visited")
    }

    /// The descriptor of the directory at hand. [`Descent::regain`] goes before.
    pub(super) fn directory(&self) -> BorrowedFd<'_> {
        let frame = self.frames.last().expect("a directory is being visited");
        frame.directory.as_ref().expect("the descriptor was regained").as_fd()
    }

    /// Name of the entry at hand within its directory.
    pub(super) fn name(&self) -> &[u8] {
        let above = self.frames.last().map_or(0, |frame| frame.path_length);
        &self.path[above + usize::from(above > 0)..]
    }

    /// Makes a name of the directory at hand the entry at hand. An error if its path is too long for any call.
    pub(super) fn point_at(&mut self, index: usize) -> Result<(Listed, Standing), SourceError> {
        let frame = self.frames.last().expect("a directory is being visited");
        let (name, listed) = frame.names.get(index);
        self.path.truncate(frame.path_length);
        // The system takes a path with a zero byte at its end.
        if self.path.len() + 1 + name.len() >= PATH_BYTES_MAX {
            let name = String::from_utf8_lossy(name).escape_debug().to_string();
            let how = format!("`{name}` in it has a path of {PATH_BYTES_MAX} bytes or more");
            let source = std::io::Error::other(how);
            let class = Class::NameNotRepresentable;
            return Err(SourceError { class, action: "examine", path: self.here(), source });
        }
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
        Ok((listed, frame.standing))
    }

    /// Makes the directory at hand the entry at hand.
    pub(super) fn point_at_directory(&mut self) {
        let above = self.frame().path_length;
        self.path.truncate(above);
    }

    /// Goes down into the entry at hand, a directory.
    pub(super) fn push(
        &mut self,
        directory: OwnedFd,
        identity: Identity,
        standing: Standing,
        run: Run,
    ) {
        self.frames.push(Frame {
            standing,
            next: 0,
            end: run.names.len(),
            names: Arc::new(run.names),
            rest: run.rest,
            is_regained: false,
            has_gap: false,
            identity,
            path_length: self.path.len(),
            directory: Some(directory),
        });
        if self.frames.len() - self.held_from > self.held_max {
            self.frames[self.held_from].directory = None;
            self.held_from += 1;
        }
    }

    /// Goes up.
    pub(super) fn pop(&mut self) {
        self.frames.pop();
        self.held_from = self.held_from.min(self.frames.len());
    }

    /// Whether a directory is one of those above the entry at hand. Known only while links are followed.
    pub(super) fn is_above(&self, identity: Identity) -> bool {
        self.trail.contains(&identity) || self.frames.iter().any(|frame| frame.identity == identity)
    }

    /// Sees to it that the directory at hand has its descriptor.
    pub(super) fn regain(&mut self) -> Result<(), SourceError> {
        let frame = self.frames.last().expect("a directory is being visited");
        if frame.directory.is_some() {
            return Ok(());
        }
        let (above, identity, root) = (frame.path_length, frame.identity, self.root);
        let fail = |path: &[u8], error| trouble("open again", &relative(path), error);
        let opened = self.with_room(|descent| {
            root.keeping_access_time(LIST_FLAGS, |flags| {
                root.open_beneath(&descent.path[..above], flags)
            })
        });
        let directory = opened.map_err(|error| fail(&self.path[..above], error))?;
        let found = examine(directory.as_fd(), DIRECTORY_FACTS)
            .map_err(|error| fail(&self.path[..above], error))?;
        if Identity::of(&found) != identity {
            return Err(SourceError {
                class: Class::Vanished,
                action: "open again",
                path: relative(&self.path[..above]),
                source: std::io::Error::other("another directory has taken its place"),
            });
        }
        self.held_from = self.frames.len() - 1;
        let frame = self.frame();
        frame.directory = Some(directory);
        frame.is_regained = true;
        Ok(())
    }

    /// Opens something; if descriptors are short, lets those of the directories above go first.
    pub(super) fn with_room(
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

    /// Cuts off the far half of what is left in the highest directory that has enough, for another thread.
    pub(super) fn split(&mut self) -> Option<Share> {
        let top = self.frames.len().checked_sub(1)?;
        let (depth, begin) = self.frames.iter().enumerate().find_map(|(depth, frame)| {
            // At the top the next entry stays here; elsewhere one is being visited already.
            frame.spare(usize::from(depth == top)).map(|begin| (depth, begin))
        })?;
        let mut trail = Vec::new();
        if self.root.follows_links() {
            trail.extend_from_slice(&self.trail);
            trail.extend(self.frames[..depth].iter().map(|frame| frame.identity));
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
        Some(share)
    }

    /// Takes over what another thread cut off. Nothing is left to do here.
    pub(super) fn adopt(&mut self, share: Share) {
        debug_assert!(self.frames.is_empty(), "work is taken over by those who have none");
        self.path = share.path;
        self.trail = share.trail;
        self.frames.push(Frame {
            standing: share.standing,
            names: share.names,
            next: share.begin,
            end: share.end,
            rest: Rest::None,
            is_regained: false,
            has_gap: false,
            identity: share.identity,
            path_length: self.path.len(),
            directory: None,
        });
        self.held_from = 1;
    }
}

impl Frame {
    /// Goes on with the next names.
    pub(super) fn renew(&mut self, run: Run) {
        (self.next, self.end) = (0, run.names.len());
        self.names = Arc::new(run.names);
        self.rest = run.rest;
        self.has_gap = false;
    }

    /// Where the part of the names begins that may be given away, if that is worth the trouble: the far half, or
    /// else all but `kept`.
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

/// A path that the walk made of names that directories listed.
pub(super) fn relative(path: &[u8]) -> RelPath {
    RelPath::new(path).expect("names have no slash and no zero byte, and the length was checked")
}
