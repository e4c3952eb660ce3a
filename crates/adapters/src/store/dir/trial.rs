//! What a directory keeps of what is written to it, found out by trying: in a folder of its own, which is removed again.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fd::{AsFd, AsRawFd as _, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, FallocateFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid,
    XattrFlags,
};
use rustix::io::Errno;
use s3bl_core::id::RunId;

use super::inode::{examine, examine_open, facts, keeps_owners};
use super::place::TEMPORARY;

/// Ids that no file of the trial's has already.
const OTHER: (u32, u32) = (48_001, 48_002);
/// A time with nine digits, and one before 1970.
const TIMES: [(i64, i64); 2] = [(1_400_000_000, 123_456_789), (-86_400, 987_654_321)];
/// What is kept free at least for a trial to be of use.
const FREE_BYTES_MIN: u64 = 1 << 20;

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Its name, in a word.
    pub what: &'static str,
    /// What was found, in words.
    pub found: String,
    /// What is lacking, if something is.
    pub lacks: Option<Lack>,
}

/// What a file system lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// Whether a load fails, or VALIDATE finds differences, in everything that is written.
    pub is_grave: bool,
    /// What to do.
    pub advice: &'static str,
}

/// Tries what a directory keeps. The trials end with the first that makes all others useless.
pub fn try_out(path: &Path, token: &RunId) -> Vec<Trial> {
    let mut trials = Vec::new();
    let root = match open_directory(path) {
        Ok(root) => root,
        Err(error) => {
            let advice = "name a directory that is there and that this user may enter";
            trials.push(grave("directory", format!("{}: {error}", path.display()), advice));
            return trials;
        }
    };
    trials.push(space(&root));
    let before = examine_open(&root).map(|found| facts(&found));
    let name = format!("{TEMPORARY}{token}-doctor");
    match Scratch::make(&root, &name) {
        Ok(scratch) => {
            try_in(&scratch, &mut trials);
            if let Err(error) = scratch.remove() {
                let advice = "remove the folder by hand";
                trials.push(grave("remove", format!("`{name}` is left: {error}"), advice));
            }
        }
        Err(error) => trials.push(grave("write", error.to_string(), advice_to_write(error))),
    }
    if let Ok(before) = before {
        let time = |time: s3bl_core::unit::FileTime| Timespec {
            tv_sec: time.seconds,
            tv_nsec: i64::from(time.nanoseconds),
        };
        let (last_access, last_modification) = (time(before.atime), time(before.mtime));
        let times = Timestamps { last_access, last_modification };
        // Whether the directory keeps times was tried above; this only leaves it as it was.
        let _ = rustix::fs::futimens(&root, &times);
    }
    trials
}

fn good(what: &'static str, found: impl Into<String>) -> Trial {
    Trial { what, found: found.into(), lacks: None }
}

fn grave(what: &'static str, found: impl Into<String>, advice: &'static str) -> Trial {
    Trial { what, found: found.into(), lacks: Some(Lack { is_grave: true, advice }) }
}

fn lacking(what: &'static str, found: impl Into<String>, advice: &'static str) -> Trial {
    Trial { what, found: found.into(), lacks: Some(Lack { is_grave: false, advice }) }
}

fn advice_to_write(error: Errno) -> &'static str {
    match error {
        Errno::ROFS => "mount it so that it can be written",
        Errno::NOSPC | Errno::DQUOT => "make room on it",
        _ => "run as a user who may write there",
    }
}

fn open_directory(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}

/// A folder for the trial alone.
struct Scratch<'a> {
    root: &'a OwnedFd,
    name: &'a str,
    folder: OwnedFd,
}

impl<'a> Scratch<'a> {
    fn make(root: &'a OwnedFd, name: &'a str) -> Result<Self, Errno> {
        rustix::fs::mkdirat(root, name, Mode::RWXU)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(root, name, flags, Mode::empty())?;
        Ok(Self { root, name, folder })
    }

    fn file(&self, name: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        rustix::fs::openat(&self.folder, name, flags, Mode::RUSR | Mode::WUSR)
    }

    fn remove(self) -> Result<(), Errno> {
        let names: Vec<Vec<u8>> = rustix::fs::Dir::read_from(&self.folder)?
            .map(|entry| entry.map(|entry| entry.file_name().to_bytes().to_vec()))
            .collect::<Result<_, _>>()?;
        for name in names.iter().filter(|name| *name != b"." && *name != b"..") {
            rustix::fs::unlinkat(&self.folder, name.as_slice(), AtFlags::empty())?;
        }
        rustix::fs::unlinkat(self.root, self.name, AtFlags::REMOVEDIR)
    }
}

fn try_in(scratch: &Scratch<'_>, trials: &mut Vec<Trial>) {
    let file = scratch.file("file").and_then(|file| {
        rustix::io::pwrite(&file, b"content", 0)?;
        rustix::fs::renameat(&scratch.folder, "file", &scratch.folder, "renamed")?;
        Ok(file)
    });
    let file = match file {
        Ok(file) => file,
        Err(error) => {
            return trials.push(grave("write", error.to_string(), advice_to_write(error)));
        }
    };
    trials.push(good("write", "files can be written and renamed"));
    trials.push(fsync(&file));
    trials.push(owner(&file));
    trials.push(mode(&file));
    trials.push(times(&file));
    trials.push(xattrs(&file));
    trials.push(names(scratch));
    trials.push(case(scratch));
    trials.push(links(scratch));
    trials.push(specials(scratch));
    trials.push(holes(&file));
    trials.push(unnamed(scratch));
}

fn space(root: &OwnedFd) -> Trial {
    let found = match rustix::fs::fstatvfs(root) {
        Ok(found) => found,
        Err(error) => return lacking("space", error.to_string(), "look at it by `df`"),
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let files = match (found.f_files, found.f_favail) {
        // Some file systems have no such number.
        (0, _) => "as many files as fit".to_owned(),
        (_, free) => format!("{free} files"),
    };
    let words = format!("{} MiB and {files} are free", free >> 20);
    let is_full = free < FREE_BYTES_MIN || (found.f_files > 0 && found.f_favail == 0);
    if is_full { grave("space", words, "make room on it") } else { good("space", words) }
}

fn fsync(file: &OwnedFd) -> Trial {
    let synced = rustix::fs::fsync(file).and_then(|()| rustix::fs::syncfs(file));
    match synced {
        Ok(()) => good("fsync", "what is written can be brought to the disk"),
        Err(error) => grave(
            "fsync",
            format!("what is written cannot be brought to the disk: {error}"),
            "say --fsync none, and what counts as written may be lost with the machine's power",
        ),
    }
}

fn owner(file: &OwnedFd) -> Trial {
    if !keeps_owners() {
        let words = "this user is not root, and only root gives files away: all will be yours";
        return lacking("owner", words, "run as root to keep owners");
    }
    let (uid, gid) = OTHER;
    let changed = rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
        .and_then(|()| examine_open(file));
    let advice = "mount it so that root may change owners (NFS: no_root_squash), or say --chown with whom files get there";
    match changed {
        Ok(found) if (found.stx_uid, found.stx_gid) == OTHER => {
            good("owner", "owner and group can be changed")
        }
        Ok(found) => {
            let words =
                format!("a file of {uid}:{gid} is shown as {}:{}", found.stx_uid, found.stx_gid);
            grave("owner", words, advice)
        }
        Err(error) => grave("owner", format!("the owner cannot be changed: {error}"), advice),
    }
}

fn mode(file: &OwnedFd) -> Trial {
    // Whoever is not root may lose setgid to a group that is not theirs.
    let wanted = if keeps_owners() { 0o6751 } else { 0o4751 };
    let changed =
        rustix::fs::fchmod(file, Mode::from_raw_mode(wanted)).and_then(|()| examine_open(file));
    let advice = "say --chmod with the rights that files get there, or take a file system with rights of Unix";
    match changed {
        Ok(found) if facts(&found).mode & 0o7777 == wanted => {
            good("mode", "rights are kept, setuid too")
        }
        Ok(found) => {
            let words = format!("{wanted:o} is shown as {:o}", facts(&found).mode & 0o7777);
            grave("mode", words, advice)
        }
        Err(error) => grave("mode", format!("rights cannot be changed: {error}"), advice),
    }
}

fn times(file: &OwnedFd) -> Trial {
    let advice =
        "validate by `list` or `read` of content; `head` compares times and will find them other";
    for (tv_sec, tv_nsec) in TIMES {
        let time = Timespec { tv_sec, tv_nsec };
        let times = Timestamps { last_access: time, last_modification: time };
        let kept = rustix::fs::futimens(file, &times).and_then(|()| examine_open(file));
        match kept.map(|found| facts(&found).mtime) {
            Ok(found) if (found.seconds, i64::from(found.nanoseconds)) == (tv_sec, tv_nsec) => {}
            Ok(found) => {
                let words = format!(
                    "{tv_sec}.{tv_nsec:09} is shown as {}.{:09}",
                    found.seconds, found.nanoseconds
                );
                return grave("times", words, advice);
            }
            Err(error) => return grave("times", format!("times cannot be set: {error}"), advice),
        }
    }
    good("times", "times are kept to the nanosecond, before 1970 too")
}

fn xattrs(file: &OwnedFd) -> Trial {
    let (name, value) = ("user.s3bl-doctor", b"\0kept\xff");
    let mut room = [0; 16];
    let kept = rustix::fs::fsetxattr(file, name, value, XattrFlags::empty())
        .and_then(|()| rustix::fs::fgetxattr(file, name, &mut room));
    let advice = "leave --xattrs out";
    match kept {
        Ok(length) if &room[..length.min(room.len())] == value => {
            good("xattrs", "extended attributes are kept")
        }
        Ok(_) => lacking("xattrs", "an extended attribute is read back as another one", advice),
        Err(error) => lacking("xattrs", format!("no extended attributes: {error}"), advice),
    }
}

fn names(scratch: &Scratch<'_>) -> Trial {
    let long = [b'l'; 255];
    let odd: [(&str, &[u8]); 4] = [
        ("of 255 bytes", &long),
        ("that is not UTF-8", b"caf\xe9"),
        ("with a line feed", b"line\nfeed"),
        ("with `:`, `?` or `\\`", b"a:b?c\\d"),
    ];
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let refused: Vec<String> = odd
        .into_iter()
        .filter_map(|(what, name)| {
            let made = rustix::fs::openat(&scratch.folder, name, flags, Mode::RUSR | Mode::WUSR);
            let is_there = made.and_then(|_| is_listed(scratch, name));
            match is_there {
                Ok(true) => None,
                Ok(false) => Some(format!("one {what} becomes another")),
                Err(error) => Some(format!("one {what} is refused ({error})")),
            }
        })
        .collect();
    if refused.is_empty() {
        return good("names", "every name that Linux knows can be given");
    }
    lacking(
        "names",
        refused.join(", "),
        "entries of such names will fail, each by name: rename them",
    )
}

fn is_listed(scratch: &Scratch<'_>, name: &[u8]) -> Result<bool, Errno> {
    for entry in rustix::fs::Dir::read_from(&scratch.folder)? {
        if entry?.file_name().to_bytes() == name {
            return Ok(true);
        }
    }
    Ok(false)
}

fn case(scratch: &Scratch<'_>) -> Trial {
    let composed = "case \u{e9}";
    let made = scratch.file("case").and_then(|_| scratch.file(composed));
    if let Err(error) = made {
        return lacking("case", error.to_string(), "look at the file system's options");
    }
    let is_same = |other: &str| examine(scratch.folder.as_fd(), other.as_bytes()).is_ok();
    let advice = "names that differ in that alone overwrite each other: look for them with `find | sort -f | uniq -Di`";
    match (is_same("CASE"), is_same("case e\u{301}")) {
        (false, false) => good("case", "`a` and `A` are two names"),
        (true, _) => lacking("case", "`a` and `A` are one name", advice),
        (false, true) => lacking("case", "composed and decomposed letters are one name", advice),
    }
}

fn links(scratch: &Scratch<'_>) -> Trial {
    let folder = &scratch.folder;
    let symbolic = rustix::fs::symlinkat("no/such", folder, "symbolic");
    let hard = rustix::fs::linkat(folder, "renamed", folder, "hard", AtFlags::empty())
        .and_then(|()| examine(folder.as_fd(), b"hard"));
    match (symbolic, hard) {
        (Ok(()), Ok(found)) if found.stx_nlink > 1 => {
            good("links", "symbolic and hard links are kept")
        }
        (Err(error), _) => {
            lacking("links", format!("no symbolic links: {error}"), "say --symlinks skip or follow")
        }
        (Ok(()), Ok(_) | Err(_)) => {
            let words = "no hard links: each name becomes a file of its own";
            lacking("links", words, "say --hard-links each, if that is right")
        }
    }
}

fn specials(scratch: &Scratch<'_>) -> Trial {
    let make = |name: &str, kind: FileType, device: u64| {
        rustix::fs::mknodat(&scratch.folder, name, kind, Mode::RUSR, device)
            .and_then(|()| examine(scratch.folder.as_fd(), name.as_bytes()))
            .map(|found| (facts(&found).kind(), facts(&found).rdev))
    };
    let special = s3bl_core::toc::EntryKind::Special;
    let number = rustix::fs::makedev(240, 7);
    let pipe = make("pipe", FileType::Fifo, 0) == Ok((special, 0));
    let socket = make("socket", FileType::Socket, 0) == Ok((special, 0));
    let device = make("device", FileType::CharacterDevice, number) == Ok((special, number));
    let advice = "leave --specials store out, or have such entries named as failed";
    match (pipe && socket, device) {
        (true, true) => good("specials", "FIFOs, sockets and devices can be made"),
        (true, false) => {
            lacking("specials", "FIFOs and sockets can be made, devices cannot", advice)
        }
        (false, _) => lacking("specials", "FIFOs or sockets cannot be made", advice),
    }
}

fn holes(file: &OwnedFd) -> Trial {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match rustix::fs::fallocate(file, flags, 0, 4096) {
        Ok(()) => good("holes", "long zeros take no room"),
        Err(_) => {
            lacking("holes", "long zeros are written as they are", "nothing: it only takes room")
        }
    }
}

fn unnamed(scratch: &Scratch<'_>) -> Trial {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let made = rustix::fs::openat(&scratch.folder, c".", flags, Mode::RUSR).and_then(|file| {
        let magic = format!("/proc/self/fd/{}", file.as_raw_fd());
        rustix::fs::linkat(CWD, magic, &scratch.folder, "named", AtFlags::SYMLINK_FOLLOW)
    });
    match made {
        Ok(()) => {
            good("unnamed", "nobody sees a file before it is whole, not even by another name")
        }
        Err(_) => lacking(
            "unnamed",
            "files have temporary names `.s3bl-*` until they are whole",
            "nothing: what a kill leaves of them is removed by `resume` and `cleanup`",
        ),
    }
}

/// The kind of file system that a path lies on, and where it is mounted, as `/proc/self/mountinfo` has it.
pub fn mounted_as(path: &Path, mounts: &[u8]) -> Option<(String, String)> {
    let path = path.as_os_str().as_bytes();
    let mut best: Option<(Vec<u8>, String)> = None;
    for line in mounts.split(|byte| *byte == b'\n') {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let Some(dash) = fields.iter().position(|field| *field == b"-") else { continue };
        let (Some(place), Some(kind)) = (fields.get(4), fields.get(dash + 1)) else { continue };
        let place = unescaped(place);
        let is_above = path
            .strip_prefix(place.as_slice())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/") || place == b"/");
        // Of two at one place the later one covers the earlier.
        if is_above && best.as_ref().is_none_or(|(known, _)| known.len() <= place.len()) {
            best = Some((place, String::from_utf8_lossy(kind).into_owned()));
        }
    }
    best.map(|(place, kind)| (kind, String::from_utf8_lossy(&place).into_owned()))
}

/// Blanks and the like stand there as `\040`.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        text.push(digits.unwrap_or(*first));
        rest = if digits.is_some() { &after[3..] } else { after };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_above_a_path_is_its_own_and_the_latest_of_a_place() {
        let mounts = b"22 1 8:1 / / rw - ext4 /dev/root rw\n\
            30 22 0:50 / /mnt rw shared:1 - tmpfs a rw\n\
            31 22 0:51 / /mnt rw shared:1 - nfs4 server:/a rw\n\
            32 22 0:52 / /mnt/with\\040blank rw - fuse.s3fs s3fs rw\n\
            33 22 0:53 / /mn rw - xfs b rw\n";
        let found = |path: &str| mounted_as(Path::new(path), mounts);
        let is = |kind: &str, place: &str| Some((kind.to_owned(), place.to_owned()));
        assert_eq!(found("/srv/x"), is("ext4", "/"));
        assert_eq!(found("/mnt/below"), is("nfs4", "/mnt"));
        assert_eq!(found("/mnt/with blank"), is("fuse.s3fs", "/mnt/with blank"));
        assert_eq!(found("/mnt/with blank and more"), is("nfs4", "/mnt"));
        assert_eq!(mounted_as(Path::new("/x"), b"nonsense"), None);
    }
}
