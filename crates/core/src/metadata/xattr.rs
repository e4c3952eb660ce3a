//! Extended attributes: each reader has a way of its own, and each has attributes that it cannot carry.
//!
//! | dialect       | keys                    | values                                  |
//! |---------------|-------------------------|-----------------------------------------|
//! | s3fs, union   | `xattr`                 | JSON, values in base64, percent-encoded |
//! | yas3fs        | `xattr`                 | JSON, values as text                    |
//! | rclone        | one each, without `user.` | as they are                           |
//!
//! What cannot be carried is refused and never cut. Sources: s3fs-fuse `metaheader.cpp`, `s3fs_xattr.cpp`; yas3fs
//! `__init__.py`, `getxattr`; rclone `backend/s3/s3.go` (read 2026-11); what s3fs wrote and read, by experiment.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::Value;

use super::found::FoundMetadata;
use super::pairs::{MetadataError, ObjectMetadata};
use crate::limit::NAME_BYTES_MAX;
use crate::path::percent_decoded;
use crate::settings::MetadataDialect;

/// An extended attribute of a file, `user.*` with its prefix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Xattr {
    /// Its name.
    pub name: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

/// What separates names from values where s3fs takes the text apart, without regard to quotes.
const S3FS_SEPARATORS: [char; 6] = ['"', ',', ':', '{', '}', '\\'];

pub(super) fn add(
    metadata: &mut ObjectMetadata,
    dialect: MetadataDialect,
    xattrs: &[Xattr],
) -> Result<(), MetadataError> {
    if xattrs.is_empty() {
        return Ok(());
    }
    match dialect {
        MetadataDialect::Union | MetadataDialect::S3fs => add_s3fs(metadata, xattrs),
        MetadataDialect::Yas3fs => add_yas3fs(metadata, xattrs),
        MetadataDialect::Rclone => add_rclone(metadata, xattrs),
        MetadataDialect::None | MetadataDialect::AwsFiles => Ok(()),
    }
}

fn add_s3fs(metadata: &mut ObjectMetadata, xattrs: &[Xattr]) -> Result<(), MetadataError> {
    let mut json = String::from("{");
    for xattr in xattrs {
        let name = text_of(&xattr.name).filter(|name| !name.contains(S3FS_SEPARATORS));
        let name = name.ok_or_else(|| refused(xattr, "has a name that s3fs cannot read"))?;
        if json.len() > 1 {
            json.push(',');
        }
        json.push_str(&format!("\"{name}\":\"{}\"", BASE64_STANDARD.encode(&xattr.value)));
    }
    json.push('}');
    metadata.add("xattr", |text| {
        for byte in json.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                text.push(char::from(byte));
            } else {
                text.push_str(&format!("%{byte:02X}"));
            }
        }
    });
    Ok(())
}

fn add_yas3fs(metadata: &mut ObjectMetadata, xattrs: &[Xattr]) -> Result<(), MetadataError> {
    let mut json = String::from("{");
    for xattr in xattrs {
        let name = text_of(&xattr.name);
        let name = name.ok_or_else(|| refused(xattr, "has a name that is not UTF-8"))?;
        let value = std::str::from_utf8(&xattr.value)
            .map_err(|_| refused(xattr, "is not text, and yas3fs keeps no other"))?;
        if json.len() > 1 {
            json.push(',');
        }
        push_json(&mut json, name);
        json.push(':');
        push_json(&mut json, value);
    }
    json.push('}');
    metadata.add("xattr", |text| text.push_str(&json));
    Ok(())
}

fn add_rclone(metadata: &mut ObjectMetadata, xattrs: &[Xattr]) -> Result<(), MetadataError> {
    let is_header =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    for xattr in xattrs {
        let name = text_of(&xattr.name).and_then(|name| name.strip_prefix("user."));
        let name = name
            .filter(|name| !name.is_empty() && name.bytes().all(is_header))
            .ok_or_else(|| refused(xattr, "has a name that no header keeps: write it a-z0-9-_."))?;
        // Its own keys, and those that it only reads.
        if metadata.has(name) || ["btime", "rdev", "tier", "md5chksum"].contains(&name) {
            return Err(refused(xattr, "has the name of one of rclone's own keys"));
        }
        let value = std::str::from_utf8(&xattr.value)
            .ok()
            .filter(|value| value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()))
            .filter(|value| value.trim() == *value)
            .ok_or_else(|| refused(xattr, "is no plain ASCII text, and rclone keeps no other"))?;
        metadata.add(name.to_owned(), |text| text.push_str(value));
    }
    Ok(())
}

/// Pushes JSON text in plain ASCII, and without `%`: yas3fs's client takes `%41` for `A`.
fn push_json(json: &mut String, value: &str) {
    json.push('"');
    for unit in value.encode_utf16() {
        match char::from_u32(u32::from(unit)) {
            Some(plain) if (' '..='~').contains(&plain) && !"\"\\%".contains(plain) => {
                json.push(plain);
            }
            _ => json.push_str(&format!("\\u{unit:04x}")),
        }
    }
    json.push('"');
}

fn text_of(name: &[u8]) -> Option<&str> {
    std::str::from_utf8(name).ok()
}

fn refused(xattr: &Xattr, reason: &'static str) -> MetadataError {
    let name = String::from_utf8_lossy(&xattr.name).escape_default().to_string();
    MetadataError::Xattr { name, reason }
}

/// The name space of attributes that belong to users. Others may carry rights, and are nobody's to give by an object.
const USER: &str = "user.";

/// Keys that are no attributes in the dialect of rclone, which has no way to tell.
const RCLONE_OWN: [&str; 9] =
    ["mode", "uid", "gid", "mtime", "atime", "btime", "rdev", "tier", "md5chksum"];

/// Reads attributes back. The two forms of the key `xattr` differ at their first character: s3fs percent-encodes its `{`.
pub(super) fn read(found: FoundMetadata<'_>, dialect: MetadataDialect) -> Vec<Xattr> {
    let mut xattrs = match dialect {
        MetadataDialect::None | MetadataDialect::AwsFiles => Vec::new(),
        MetadataDialect::Rclone => read_rclone(found),
        MetadataDialect::Union | MetadataDialect::S3fs | MetadataDialect::Yas3fs => {
            found.text("xattr").map(read_json).unwrap_or_default()
        }
    };
    xattrs.retain(|xattr| {
        let name = &xattr.name;
        name.starts_with(USER.as_bytes())
            && (USER.len() + 1..=NAME_BYTES_MAX).contains(&name.len())
            && !name.contains(&0)
    });
    xattrs.sort();
    xattrs.dedup_by(|later, earlier| later.name == earlier.name);
    xattrs
}

fn read_json(text: &str) -> Vec<Xattr> {
    let is_plain = text.starts_with('{');
    let json = if is_plain { Some(text.as_bytes().to_vec()) } else { percent_decoded(text) };
    let json = json.and_then(|json| serde_json::from_slice::<serde_json::Map<_, _>>(&json).ok());
    let value = |value: Value| {
        let Value::String(text) = value else { return None };
        if is_plain { Some(text.into_bytes()) } else { BASE64_STANDARD.decode(text).ok() }
    };
    let pairs = json.unwrap_or_default().into_iter();
    pairs
        .filter_map(|(name, it)| Some(Xattr { name: name.into_bytes(), value: value(it)? }))
        .collect()
}

fn read_rclone(found: FoundMetadata<'_>) -> Vec<Xattr> {
    let pairs = found.0.iter().filter(|(name, _)| !RCLONE_OWN.contains(&name.as_str()));
    let xattr = |(name, value): &(String, Vec<u8>)| Xattr {
        name: format!("{USER}{name}").into_bytes(),
        value: value.clone(),
    };
    pairs.map(xattr).collect()
}
