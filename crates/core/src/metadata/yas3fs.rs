//! `attr`: the key of yas3fs, a JSON object.
//!
//! Its times have six digits, cut and never rounded: yas3fs keeps a double, which resolves no more. Before 1970 they
//! have none, since it would count a fraction in the wrong direction. Source: yas3fs `__init__.py`, `get_metadata`
//! (read 2026-11).

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::found::{FoundFacts, FoundMetadata, is_mode};
use super::pairs::ObjectMetadata;
use super::parse;
use super::text::{MODE_MASK, push_decimal, push_time};
use crate::toc::{EntryKind, PosixFacts, RDEV_UNKNOWN};

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
        if facts.is_device() && facts.rdev != RDEV_UNKNOWN {
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

/// Reads `attr`, or its older form `st_mode=33188;st_uid=0`.
///
/// Numbers only: yas3fs itself fails on a number in quotes. Digits are read as they stand, without a double in between.
pub(super) fn read(found: FoundMetadata<'_>) -> FoundFacts {
    let Some(text) = found.text("attr") else { return FoundFacts::default() };
    let json = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(text).ok();
    let value = |name: &str| match &json {
        Some(json) => Some(json.get(name)?.get().to_owned()),
        None => {
            let mut pairs = text.split(';').filter_map(|pair| pair.split_once('='));
            pairs.find(|(found, _)| found.trim() == name).map(|(_, value)| value.trim().to_owned())
        }
    };
    // Python may write a whole number as `33188.0`.
    let whole = |name| {
        let text = value(name)?;
        parse::radix(text.strip_suffix(".0").unwrap_or(&text), 10)
    };
    let id = |name| u32::try_from(whole(name)?).ok();
    let time = |name| parse::seconds(&value(name)?);
    FoundFacts {
        mode: whole("st_mode").filter(|mode| is_mode(*mode)).and_then(|it| u32::try_from(it).ok()),
        uid: id("st_uid"),
        gid: id("st_gid"),
        mtime: time("st_mtime"),
        atime: time("st_atime"),
        ctime: time("st_ctime"),
        rdev: whole("st_rdev"),
    }
}
