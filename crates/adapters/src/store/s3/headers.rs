//! Metadata as headers.

use http::{HeaderName, HeaderValue};
use s3bl_core::limit::USER_METADATA_BYTES_MAX;
use s3bl_core::metadata::{content_type, metadata_bytes, object_metadata};
use s3bl_core::settings::MetadataDialect;
use s3bl_core::task::Class;
use s3bl_core::toc::{EntryKind, PosixFacts};
use s3bl_port::store::{NewObject, StoreError};

/// The headers of one object.
pub(super) struct ObjectHeaders {
    pub(super) content_type: HeaderValue,
    pub(super) metadata: Vec<(HeaderName, HeaderValue)>,
}

impl ObjectHeaders {
    pub(super) fn of(dialect: MetadataDialect, object: &NewObject<'_>) -> Result<Self, StoreError> {
        let content_type = HeaderValue::from_static(content_type(dialect, object.kind));
        let metadata = metadata_headers(dialect, object.kind, object.facts)?;
        Ok(Self { content_type, metadata })
    }
}

fn metadata_headers(
    dialect: MetadataDialect,
    kind: EntryKind,
    facts: &PosixFacts,
) -> Result<Vec<(HeaderName, HeaderValue)>, StoreError> {
    let metadata = object_metadata(dialect, kind, facts);
    let bytes = metadata_bytes(&metadata);
    if bytes > USER_METADATA_BYTES_MAX {
        let message =
            format!("{bytes} bytes of metadata, and an object takes {USER_METADATA_BYTES_MAX}");
        return Err(refused(Class::MetadataTooLarge, message));
    }
    let header = |(name, value): (&'static str, String)| {
        let value = HeaderValue::try_from(value).map_err(|_| {
            refused(Class::Refused, format!("metadata `{name}` holds what no header may carry"))
        })?;
        Ok((header_name(name), value))
    };
    metadata.into_iter().map(header).collect()
}

/// The header of a metadata name; those of the union dialect are made without work.
fn header_name(name: &'static str) -> HeaderName {
    const KNOWN: [(&str, HeaderName); 12] = [
        ("mode", HeaderName::from_static("x-amz-meta-mode")),
        ("uid", HeaderName::from_static("x-amz-meta-uid")),
        ("gid", HeaderName::from_static("x-amz-meta-gid")),
        ("mtime", HeaderName::from_static("x-amz-meta-mtime")),
        ("atime", HeaderName::from_static("x-amz-meta-atime")),
        ("ctime", HeaderName::from_static("x-amz-meta-ctime")),
        ("attr", HeaderName::from_static("x-amz-meta-attr")),
        ("file-permissions", HeaderName::from_static("x-amz-meta-file-permissions")),
        ("file-owner", HeaderName::from_static("x-amz-meta-file-owner")),
        ("file-group", HeaderName::from_static("x-amz-meta-file-group")),
        ("file-mtime", HeaderName::from_static("x-amz-meta-file-mtime")),
        ("file-atime", HeaderName::from_static("x-amz-meta-file-atime")),
    ];
    match KNOWN.iter().find(|(known, _)| *known == name) {
        Some((_, header)) => header.clone(),
        None => HeaderName::try_from(format!("x-amz-meta-{name}"))
            .expect("names of metadata are letters, digits and dashes"),
    }
}

fn refused(class: Class, message: String) -> StoreError {
    StoreError {
        class,
        may_have_applied: false,
        is_fatal: false,
        action: "put",
        message,
        attempts: 1,
    }
}
