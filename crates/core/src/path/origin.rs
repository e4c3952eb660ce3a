//! The way from the keys of a bucket that is read to paths, and back.

use super::percent::encoded;
use super::{PathError, RelPath, percent_decoded};
use crate::limit::PATH_BYTES_MAX;
use crate::settings::{MetadataDialect, NamePolicy, SourceBucket};
use crate::toc::EntryKind;

/// What rclone appends to the keys of links.
pub(super) const RCLONE_LINK: &str = ".rclonelink";

/// Keys that readers keep the root of a bucket without prefix at: yas3fs, and s3fs from 1.92.
const ROOT_KEYS: [&str; 2] = [".", "/"];

/// The map from keys beneath a prefix to paths. No two keys have the same path and kind, and what has none is refused by
/// name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    prefix: String,
    names: NamePolicy,
    has_rclone_links: bool,
}

/// Why a key stands for no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPath {
    /// It is not a path: `a//b`, `../x`, `/a`, or it holds a NUL.
    #[error("the key is no path")]
    NotAPath(#[from] PathError),
    /// Names were said to be written by `--names percent`, which never writes this one.
    #[error("`--names percent` writes no such key")]
    NotPercent,
    /// A marker of a directory that has content.
    #[error("the key ends in `/` and holds {bytes} bytes, which no directory does")]
    MarkerWithContent {
        /// Its size.
        bytes: u64,
    },
}

impl Origin {
    /// The map of a bucket that is read.
    pub fn of(bucket: &SourceBucket) -> Self {
        let trimmed = bucket.prefix.trim_matches('/');
        let prefix = if trimmed.is_empty() { String::new() } else { format!("{trimmed}/") };
        let has_rclone_links = bucket.metadata == MetadataDialect::Rclone;
        Self { prefix, names: bucket.names, has_rclone_links }
    }

    /// What all keys begin with: empty, or closed by `/`.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Where an object of this key and size belongs. What is a file by its key may turn out to be a link when its metadata
    /// is read.
    pub fn place(&self, key: &str, size: u64) -> Result<(RelPath, EntryKind), NoPath> {
        let text = key.strip_prefix(&self.prefix).unwrap_or(key);
        if text.is_empty() || self.is_root_key(key) && size == 0 {
            return match size {
                0 => Ok((RelPath::root(), EntryKind::Directory)),
                bytes => Err(NoPath::MarkerWithContent { bytes }),
            };
        }
        let (text, kind) = match (text.strip_suffix('/'), text.strip_suffix(RCLONE_LINK)) {
            (Some(directory), _) => (directory, EntryKind::Directory),
            (None, Some(link)) if self.has_rclone_links => (link, EntryKind::Symlink),
            (None, _) => (text, EntryKind::File),
        };
        if text.is_empty() {
            return Err(PathError::EmptySegment.into());
        }
        let bytes = match self.names {
            NamePolicy::Fail => text.as_bytes().to_vec(),
            NamePolicy::Percent => percent_decoded(text)
                .filter(|bytes| encoded(bytes) == text)
                .ok_or(NoPath::NotPercent)?,
        };
        let path = RelPath::new(bytes)?;
        if kind == EntryKind::Directory && size > 0 {
            return Err(NoPath::MarkerWithContent { bytes: size });
        }
        Ok((path, kind))
    }

    /// The keys that an entry may be read from, the first that is there. `None` for a path that no key of this map has.
    pub fn keys(&self, path: &RelPath, kind: EntryKind) -> Option<Vec<String>> {
        if path.is_root() {
            return Some(match self.prefix.as_str() {
                "" => ROOT_KEYS.map(str::to_owned).to_vec(),
                prefix => vec![prefix.to_owned()],
            });
        }
        let text = match self.names {
            NamePolicy::Fail => path.as_str()?.into(),
            NamePolicy::Percent => encoded(path.as_bytes()),
        };
        let ending = match kind {
            EntryKind::Directory => "/",
            EntryKind::Symlink if self.has_rclone_links => RCLONE_LINK,
            EntryKind::Symlink | EntryKind::File | EntryKind::Special => "",
        };
        Some(vec![format!("{}{text}{ending}", self.prefix)])
    }

    /// A path to show for a key that has none: what no path may hold is percent-encoded. Several keys may show alike.
    pub fn likeness(&self, key: &str) -> RelPath {
        let text = key.strip_prefix(&self.prefix).unwrap_or(key).replace('\0', "%00");
        let marked = text.strip_suffix('/').filter(|text| !text.is_empty());
        if let Some(Ok(path)) = marked.map(RelPath::new) {
            return path;
        }
        let segments = text.split('/').map(|segment| match segment {
            "" => "%2F",
            "." => "%2E",
            ".." => "%2E%2E",
            plain => plain,
        });
        let shown: Vec<&str> = segments.collect();
        let mut bytes = shown.join("/").into_bytes();
        bytes.truncate(PATH_BYTES_MAX - 1);
        while bytes.last() == Some(&b'/') {
            bytes.pop();
        }
        RelPath::new(bytes).unwrap_or_default()
    }

    fn is_root_key(&self, key: &str) -> bool {
        self.prefix.is_empty() && ROOT_KEYS.contains(&key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origin(prefix: &str, names: NamePolicy, metadata: MetadataDialect) -> Origin {
        let prefix = prefix.to_owned();
        Origin::of(&SourceBucket { prefix, names, metadata, ..SourceBucket::default() })
    }

    fn plain() -> Origin {
        origin("p", NamePolicy::Fail, MetadataDialect::Union)
    }

    #[test]
    fn keys_that_no_path_can_be_are_refused_and_still_shown() {
        for (key, shown) in [
            ("p/a//b", "a/%2F/b"),
            ("p//a", "%2F/a"),
            ("p/../../etc/shadow", "%2E%2E/%2E%2E/etc/shadow"),
            ("p/a/..", "a/%2E%2E"),
            ("p/.", "%2E"),
            ("p/./", "%2E/%2F"),
            ("p/a/./b", "a/%2E/b"),
            ("p/a\0b", "a%00b"),
            ("p//", "%2F/%2F"),
        ] {
            assert!(plain().place(key, 0).is_err(), "{key:?}");
            assert_eq!(plain().likeness(key).as_bytes(), shown.as_bytes());
        }
        let content = NoPath::MarkerWithContent { bytes: 3 };
        assert_eq!(plain().place("p/a/", 3), Err(content.clone()));
        assert_eq!(plain().place("p/", 3), Err(content));
    }

    #[test]
    fn the_root_is_found_where_readers_keep_it() {
        let root = Ok((RelPath::root(), EntryKind::Directory));
        assert_eq!(plain().place("p/", 0), root);
        let bare = origin("", NamePolicy::Fail, MetadataDialect::Union);
        assert_eq!(bare.place(".", 0), root);
        assert_eq!(bare.place("/", 0), root);
        assert!(bare.place(".", 1).is_err());
        assert!(bare.place("/a", 0).is_err());
        assert_eq!(bare.keys(&RelPath::root(), EntryKind::Directory).unwrap(), [".", "/"]);
    }

    #[test]
    fn links_of_rclone_have_their_own_name_where_they_are_asked_for() {
        let rclone = origin("p", NamePolicy::Fail, MetadataDialect::Rclone);
        let path = RelPath::new(b"a".to_vec()).unwrap();
        assert_eq!(rclone.place("p/a.rclonelink", 1), Ok((path.clone(), EntryKind::Symlink)));
        assert_eq!(rclone.keys(&path, EntryKind::Symlink).unwrap(), ["p/a.rclonelink"]);
        assert_eq!(plain().place("p/a.rclonelink", 1).unwrap().1, EntryKind::File);
        assert!(rclone.place("p/.rclonelink", 1).is_err());
    }

    proptest! {
        #[test]
        fn a_key_with_a_path_is_the_key_of_that_path(
            key in prop_oneof!["[a%/0-9E.\u{1}\u{e9}]{1,12}", ".{1,20}"], prefix in "[a-z/]{0,4}",
            is_percent: bool, is_rclone: bool, size in 0u64..2,
        ) {
            let names = if is_percent { NamePolicy::Percent } else { NamePolicy::Fail };
            let dialect = if is_rclone { MetadataDialect::Rclone } else { MetadataDialect::Union };
            let origin = origin(&prefix, names, dialect);
            let key = format!("{}{key}", origin.prefix());
            if let Ok((path, kind)) = origin.place(&key, size) {
                prop_assert!(path.as_bytes().split(|it| *it == b'/').all(|it| it != b"." && it != b".."));
                prop_assert!(origin.keys(&path, kind).unwrap().contains(&key));
            }
            prop_assert!(!origin.likeness(&key).as_bytes().starts_with(b"/"));
        }

        #[test]
        fn what_was_loaded_is_found_at_its_path(
            name in prop::collection::vec(any::<u8>(), 1..12), is_percent: bool, is_directory: bool,
        ) {
            use crate::path::KeyMap;
            let names = if is_percent { NamePolicy::Percent } else { NamePolicy::Fail };
            let kind = if is_directory { EntryKind::Directory } else { EntryKind::File };
            let map = KeyMap::with("p", names, MetadataDialect::Union);
            let Ok(path) = RelPath::new(name) else { return Ok(()) };
            if let Ok(Some(key)) = map.key(&path, kind) {
                let origin = origin("p", names, MetadataDialect::Union);
                prop_assert_eq!(origin.place(key.as_str(), 0).unwrap(), (path, kind));
            }
        }
    }
}
