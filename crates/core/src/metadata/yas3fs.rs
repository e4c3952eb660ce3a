//! `attr`: the key of yas3fs, a JSON object.
//!
//! Its times have six digits, cut and never rounded: yas3fs keeps a double, which resolves no more. Before 1970 they
//! have none, since it would count a fraction in the wrong direction. Source: yas3fs `__init__.py`, `get_metadata`
//! (read 2026-11).

use super::pairs::ObjectMetadata;
use super::text::{MODE_MASK, push_decimal, push_time};
use crate::toc::{EntryKind, PosixFacts};

/// The size that yas3fs gives to directories; a file system's own number says nothing to anybody else.
const DIRECTORY_BYTES: u64 = 4096;

/// What lasts comes first: [`ObjectMetadata::lasting`] cuts before `st_atime`.
pub(super) fn add(metadata: &mut ObjectMetadata, kind: EntryKind, facts: &PosixFacts) {
    let size = if kind == EntryKind::Directory { DIRECTORY_BYTES } else { facts.size.0 };
    metadata.add("attr", |text| {
        for (name, value) in [
            ("{\"st_mode\":", u64::from(facts.mode & MODE_MASK)),
            (",\"st_uid\":", u64::from(facts.uid)),
            (",\"st_gid\":", u64::from(facts.gid)),
            (",\"st_size\":", size),
        ] {
            text.push_str(name);
            push_decimal(text, value);
        }
        if facts.rdev != 0 {
            text.push_str(",\"st_rdev\":");
            push_decimal(text, facts.rdev);
        }
        for (name, time) in [
            (",\"st_mtime\":", facts.mtime),
            (",\"st_atime\":", facts.atime),
            (",\"st_ctime\":", facts.ctime),
        ] {
            text.push_str(name);
            push_time(text, time, 6);
        }
        text.push('}');
    });
}
