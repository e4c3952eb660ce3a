//! What objects are called and carry beside their bytes.

use serde::{Deserialize, Serialize};

use crate::toc::{EntryKind, PosixFacts};
use crate::unit::FileTime;

/// Which metadata dialect objects carry: the reader that they are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum MetadataDialect {
    /// The keys of s3fs, yas3fs and the AWS services together.
    #[default]
    Union,
    /// No metadata.
    None,
    /// The keys of yas3fs alone.
    Yas3fs,
    /// The keys of s3fs alone, as it writes them itself.
    S3fs,
    /// The keys of FSx for Lustre, S3 Files and DataSync alone.
    AwsFiles,
    /// The keys of rclone (`--metadata`), and its keys of links (`--links`).
    Rclone,
}

impl MetadataDialect {
    /// The name that flags and messages carry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Union => "union",
            Self::None => "none",
            Self::Yas3fs => "yas3fs",
            Self::S3fs => "s3fs",
            Self::AwsFiles => "aws-files",
            Self::Rclone => "rclone",
        }
    }

    /// Whether the dialect has a place for extended attributes.
    pub fn has_xattrs(self) -> bool {
        match self {
            Self::Union | Self::Yas3fs | Self::S3fs | Self::Rclone => true,
            Self::None | Self::AwsFiles => false,
        }
    }
}

/// What becomes of names that no key can carry as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum NamePolicy {
    /// They fail, with a finding.
    #[default]
    Fail,
    /// What a key cannot carry is written as `%` and two hexadecimal digits for each byte, and so is `%` itself.
    Percent,
}

/// What objects are called and carry beside their bytes; the dialect stands beside it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectSettings {
    /// What becomes of names that no key can carry.
    pub names: NamePolicy,
    /// What replaces the owner of the source; later ones win.
    pub owner: Vec<OwnerChange>,
    /// What changes the permissions of the source, in this order.
    pub mode: Vec<ModeChange>,
    /// Whether extended attributes (`user.*`) go along: three more calls for each file.
    pub takes_xattrs: bool,
    /// `Content-Type` of files; `None` goes by the name's ending.
    pub content_type: Option<String>,
    /// `Cache-Control` of every object.
    pub cache_control: Option<String>,
    /// Tags of every object, as the query of a URL.
    pub tagging: Option<String>,
    /// Canned access control list of every object.
    pub acl: Option<String>,
    /// How long every object cannot be removed, and by whom not.
    pub retention: Option<Retention>,
    /// Whether every object is put under a legal hold.
    pub has_legal_hold: bool,
    /// Whether the store was seen to drop the metadata of directory markers; found at the start of a load.
    pub drops_marker_metadata: bool,
}

/// How long an object cannot be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// `GOVERNANCE` or `COMPLIANCE`.
    pub mode: String,
    /// Until when.
    pub until: FileTime,
}

/// Which entries a change is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Scope {
    /// All.
    #[default]
    All,
    /// Directories.
    Directories,
    /// All but directories.
    Files,
}

impl Scope {
    fn holds(self, kind: EntryKind) -> bool {
        match self {
            Self::All => true,
            Self::Directories => kind == EntryKind::Directory,
            Self::Files => kind != EntryKind::Directory,
        }
    }
}

/// Another owner, group or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerChange {
    /// Whose.
    pub scope: Scope,
    /// The owner; `None` leaves the source's.
    pub uid: Option<u32>,
    /// The group; `None` leaves the source's.
    pub gid: Option<u32>,
}

/// Other permissions: `mode & keep | set`, of the twelve bits of permissions. Links have none that could be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModeChange {
    /// Whose.
    pub scope: Scope,
    /// The bits that stay as they are.
    pub keep: u32,
    /// The bits that are set.
    pub set: u32,
}

/// The bits of `st_mode` that `chmod` changes.
pub const PERMISSION_BITS: u32 = 0o7777;

impl ObjectSettings {
    /// The facts that an entry's object shows: those of the source, with what replaces them.
    #[must_use]
    pub fn shown(&self, kind: EntryKind, facts: &PosixFacts) -> PosixFacts {
        let mut shown = *facts;
        for change in self.owner.iter().filter(|change| change.scope.holds(kind)) {
            shown.uid = change.uid.unwrap_or(shown.uid);
            shown.gid = change.gid.unwrap_or(shown.gid);
        }
        if kind != EntryKind::Symlink {
            for change in self.mode.iter().filter(|change| change.scope.holds(kind)) {
                let keep = change.keep | !PERMISSION_BITS;
                shown.mode = shown.mode & keep | change.set & PERMISSION_BITS;
            }
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unit::ByteCount;

    fn facts(mode: u32) -> PosixFacts {
        let time = FileTime::default();
        PosixFacts {
            mode,
            uid: 1,
            gid: 2,
            size: ByteCount(0),
            mtime: time,
            atime: time,
            ctime: time,
            inode: 3,
            links: 1,
            rdev: 0,
            link: 0,
        }
    }

    #[test]
    fn changes_hold_for_their_kind_and_never_touch_the_type() {
        let change = |scope, set| ModeChange { scope, keep: 0, set };
        let settings = ObjectSettings {
            owner: vec![
                OwnerChange { scope: Scope::All, uid: Some(7), gid: None },
                OwnerChange { scope: Scope::Directories, uid: None, gid: Some(8) },
            ],
            mode: vec![change(Scope::Directories, 0o2755), change(Scope::Files, 0o640)],
            ..ObjectSettings::default()
        };
        let shown = |kind, mode| {
            let shown = settings.shown(kind, &facts(mode));
            (shown.mode, shown.uid, shown.gid)
        };
        assert_eq!(shown(EntryKind::File, 0o104_777), (0o100_640, 7, 2));
        assert_eq!(shown(EntryKind::Directory, 0o040_700), (0o042_755, 7, 8));
        assert_eq!(shown(EntryKind::Symlink, 0o120_777), (0o120_777, 7, 2));
    }

    #[test]
    fn without_changes_the_facts_are_those_of_the_source() {
        let shown = ObjectSettings::default().shown(EntryKind::File, &facts(0o100_600));
        assert_eq!(shown, facts(0o100_600));
    }
}
