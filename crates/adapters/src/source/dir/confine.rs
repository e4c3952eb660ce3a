//! Opening beneath the root, and nowhere else.
//!
//! `openat2` with `RESOLVE_BENEATH` does it in the kernel, where no swap of a directory for a link comes in between.
//! Systems without it (Linux before 5.6, some sandboxes) are served by a walk from name to name that follows no
//! link at all.
//!
//! An absolute link leaves the root even where its text names something beneath it: another machine may have the
//! same files elsewhere.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;

use super::facts::{Device, device_of, examine};

/// Attempts that follow each other at once, where a concurrent rename made the kernel unsure.
const ATTEMPTS_MAX: usize = 8;

/// Pauses of [`patiently`]: together a second.
const PAUSES_MS: [u64; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/// To open a directory in order to list it.
pub(super) const LIST_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// A source root, held open, so that everything is found beneath it even if its own path changes.
#[derive(Debug)]
pub(crate) struct Root {
    directory: OwnedFd,
    follows_links: bool,
    has_openat2: bool,
    /// The file system of the root, which each machine numbers in its own way.
    device: Option<Device>,
    may_keep_access_time: AtomicBool,
}

impl Root {
    /// Opens the root; a link there is followed, since the user named it.
    pub(crate) fn open(path: &Path, follows_links: bool) -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty())?;
        let probe = rustix::fs::openat2(&directory, c".", flags, Mode::empty(), BENEATH);
        // Older container sandboxes answer EPERM to calls that they do not know.
        let has_openat2 = !matches!(probe, Err(Errno::NOSYS | Errno::PERM));
        // Whoever cannot examine the root will hear of it where that matters.
        let device =
            examine(directory.as_fd(), StatxFlags::TYPE).ok().map(|found| device_of(&found));
        Ok(Self {
            directory,
            follows_links,
            has_openat2,
            device,
            may_keep_access_time: AtomicBool::new(true),
        })
    }

    /// Whether a file system is that of the root.
    pub(super) fn is_own(&self, device: Device) -> bool {
        self.device == Some(device)
    }

    /// Whether links are followed, on the way and at the end.
    pub(crate) fn follows_links(&self) -> bool {
        self.follows_links
    }

    /// Opens what lies at `path`; empty is the root. A link at the end is followed only if links are followed at
    /// all and `flags` do not forbid it.
    pub(crate) fn open_beneath(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { b".".as_slice() } else { path };
        let flags = flags | OFlags::CLOEXEC;
        if !self.has_openat2 {
            return self.open_step_by_step(path, flags);
        }
        let (flags, resolve) = if self.follows_links {
            (flags, BENEATH)
        } else {
            (flags | OFlags::NOFOLLOW, BENEATH | ResolveFlags::NO_SYMLINKS)
        };
        at_once(|| rustix::fs::openat2(&self.directory, path, flags, Mode::empty(), resolve))
    }

    /// Opens one name of a directory that was opened before; a link there is never followed.
    pub(crate) fn open_child(
        &self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        flags: OFlags,
    ) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        at_once(|| rustix::fs::openat(parent, name, flags, Mode::empty()))
    }

    /// Calls `open` with flags for reading that leave the time of access as it is, where the system permits it.
    pub(crate) fn keeping_access_time(
        &self,
        flags: OFlags,
        open: impl Fn(OFlags) -> Result<OwnedFd, Errno>,
    ) -> Result<OwnedFd, Errno> {
        if self.may_keep_access_time.load(Ordering::Relaxed) {
            match open(flags | OFlags::NOATIME) {
                // Only the owner may. One refusal tells enough: asking again costs a call for each file.
                Err(Errno::PERM) => self.may_keep_access_time.store(false, Ordering::Relaxed),
                opened => return opened,
            }
        }
        open(flags)
    }

    fn open_step_by_step(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let step = OFlags::PATH | OFlags::DIRECTORY;
        let mut held: Option<OwnedFd> = None;
        let mut rest = path;
        loop {
            let parent = held.as_ref().map_or_else(|| self.directory.as_fd(), OwnedFd::as_fd);
            let Some(end) = rest.iter().position(|byte| *byte == b'/') else {
                return self.open_child(parent, rest, flags);
            };
            let name = &rest[..end];
            let opened = self.open_child(parent, name, step).map_err(|error| match error {
                Errno::NOTDIR if is_link(parent, name) => Errno::LOOP,
                other => other,
            })?;
            held = Some(opened);
            rest = &rest[end + 1..];
        }
    }
}

const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

fn is_link(parent: BorrowedFd<'_>, name: &[u8]) -> bool {
    rustix::fs::statx(parent, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::TYPE)
        .is_ok_and(|found| FileType::from_raw_mode(u32::from(found.stx_mode)) == FileType::Symlink)
}

/// Repeats what was interrupted or disturbed. Besides a link that leads out, `EXDEV` is what the kernel says of a file
/// that is moved out of the root while it is being opened; asked again, it says what lies there now.
fn at_once<T>(mut attempt: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    for _ in 1..ATTEMPTS_MAX {
        match attempt() {
            Err(Errno::AGAIN | Errno::INTR | Errno::XDEV) => {}
            done => return done,
        }
    }
    attempt()
}

/// Repeats, with pauses, what failed for want of descriptors, or because another process holds a lease.
pub(crate) fn patiently<T>(mut attempt: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    for pause in PAUSES_MS {
        match attempt() {
            Err(Errno::AGAIN | Errno::MFILE | Errno::NFILE) => {
                std::thread::sleep(Duration::from_millis(pause));
            }
            done => return done,
        }
    }
    attempt()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A root with `in/file`, links that stay and links that leave; each of the two ways to open it.
    fn roots(follows_links: bool) -> (tempfile::TempDir, Vec<Root>) {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        std::fs::create_dir_all(root.join("in")).unwrap();
        std::fs::create_dir(place.path().join("out")).unwrap();
        std::fs::write(place.path().join("out/file"), "secret").unwrap();
        std::fs::write(root.join("in/file"), "open").unwrap();
        symlink("file", root.join("in/near")).unwrap();
        symlink("in", root.join("there")).unwrap();
        symlink("../out", root.join("away")).unwrap();
        symlink(place.path().join("out"), root.join("absolute")).unwrap();
        symlink(root.join("in"), root.join("absolute-in")).unwrap();
        let opened = Root::open(&root, follows_links).unwrap();
        assert!(opened.has_openat2, "these tests need Linux 5.6 or later");
        let fallback = Root { has_openat2: false, ..Root::open(&root, follows_links).unwrap() };
        (place, vec![opened, fallback])
    }

    fn errno(root: &Root, path: &str) -> Option<Errno> {
        root.open_beneath(path.as_bytes(), OFlags::RDONLY).err()
    }

    #[test]
    fn without_following_no_link_is_passed() {
        let (_place, roots) = roots(false);
        for root in &roots {
            assert_eq!(errno(root, "in/file"), None);
            assert_eq!(errno(root, ""), None);
            for path in ["in/near", "there/file", "away/file", "absolute/file", "absolute-in/file"]
            {
                assert_eq!(errno(root, path), Some(Errno::LOOP), "{path} in {root:?}");
            }
            assert_eq!(errno(root, "in/none"), Some(Errno::NOENT));
            assert_eq!(errno(root, "in/file/x"), Some(Errno::NOTDIR));
        }
    }

    #[test]
    fn a_link_can_be_held_without_being_followed() {
        for follows_links in [false, true] {
            let (_place, roots) = roots(follows_links);
            for root in &roots {
                let flags = OFlags::PATH | OFlags::NOFOLLOW;
                let link = root.open_beneath(b"away", flags).unwrap();
                let target = rustix::fs::readlinkat(&link, c"", Vec::new()).unwrap();
                assert_eq!(target.as_bytes(), b"../out");
            }
        }
    }

    #[test]
    fn following_stays_beneath_the_root() {
        let (_place, roots) = roots(true);
        let [root, fallback] = roots.as_slice() else { panic!("two roots") };
        for path in ["in/near", "there/file"] {
            assert_eq!(errno(root, path), None, "{path}");
        }
        for path in ["away/file", "absolute/file", "absolute-in/file"] {
            assert_eq!(errno(root, path), Some(Errno::XDEV), "{path}");
            assert_eq!(errno(fallback, path), Some(Errno::LOOP), "{path}");
        }
    }

    #[test]
    fn a_root_that_moves_is_still_the_root() {
        let (place, roots) = roots(false);
        std::fs::rename(place.path().join("root"), place.path().join("moved")).unwrap();
        symlink("out", place.path().join("root")).unwrap();
        let file = roots[0].open_beneath(b"in/file", OFlags::RDONLY).unwrap();
        let mut bytes = [0; 8];
        let length = rustix::io::read(&file, &mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"open");
    }

    #[test]
    fn a_file_that_is_moved_out_while_it_is_opened_is_looked_for_again() {
        let mut answers = vec![Err(Errno::NOENT), Err(Errno::XDEV), Err(Errno::AGAIN)];
        let opened: Result<(), Errno> = at_once(|| answers.pop().unwrap());
        assert_eq!(opened, Err(Errno::NOENT));
        let mut attempts = 0;
        let refused: Result<(), Errno> = at_once(|| {
            attempts += 1;
            Err(Errno::XDEV)
        });
        assert_eq!((refused, attempts), (Err(Errno::XDEV), ATTEMPTS_MAX));
    }

    #[test]
    fn want_of_descriptors_is_waited_for_and_other_trouble_is_not() {
        let mut left = 3;
        let opened = patiently(|| {
            left -= 1;
            if left > 0 { Err(Errno::MFILE) } else { Ok(left) }
        });
        assert_eq!(opened, Ok(0));
        let mut attempts = 0;
        let refused: Result<(), Errno> = patiently(|| {
            attempts += 1;
            Err(Errno::ACCESS)
        });
        assert_eq!((refused, attempts), (Err(Errno::ACCESS), 1));
    }
}
