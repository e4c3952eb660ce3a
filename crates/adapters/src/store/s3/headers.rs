//! Metadata and type as headers.

use http::{HeaderName, HeaderValue};
use s3bl_core::metadata::{MetadataError, content_type, object_metadata};
use s3bl_core::settings::TransferSettings;
use s3bl_core::task::Class;
use s3bl_port::store::{NewObject, StoreError};

use super::style::ObjectStyle;

/// The type of files whose ending says nothing.
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The headers of one object.
pub(super) struct ObjectHeaders {
    pub(super) content_type: HeaderValue,
    pub(super) metadata: Vec<(HeaderName, HeaderValue)>,
}

impl ObjectHeaders {
    pub(super) fn of(style: &ObjectStyle, object: &NewObject<'_>) -> Result<Self, StoreError> {
        let content_type = match content_type(style.transfer.metadata, object.kind) {
            Some(fixed) => HeaderValue::from_static(fixed),
            None => style.content_type.clone().unwrap_or_else(|| guessed(object.key.as_str())),
        };
        let metadata = metadata_headers(&style.transfer, object)?;
        Ok(Self { content_type, metadata })
    }
}

/// The type that a name's ending stands for.
fn guessed(key: &str) -> HeaderValue {
    mime_guess::from_path(key).first_raw().map_or(BYTES, HeaderValue::from_static)
}

fn metadata_headers(
    transfer: &TransferSettings,
    object: &NewObject<'_>,
) -> Result<Vec<(HeaderName, HeaderValue)>, StoreError> {
    let metadata =
        object_metadata(transfer, object.kind, object.facts, object.xattrs).map_err(|error| {
            let class = match &error {
                MetadataError::TooLarge { .. } => Class::MetadataTooLarge,
                MetadataError::Xattr { .. } => Class::XattrNotRepresentable,
                MetadataError::Special { .. } => Class::SpecialNotRepresentable,
            };
            refused(class, error.to_string())
        })?;
    let mut headers = Vec::with_capacity(metadata.iter().count());
    for (name, value) in metadata.into_values() {
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| {
            refused(Class::Refused, format!("metadata `{name}` holds what no header may carry"))
        })?;
        headers.push((header_name(&name)?, value));
    }
    Ok(headers)
}

/// The header of a metadata name; those of the dialects are made without work.
fn header_name(name: &str) -> Result<HeaderName, StoreError> {
    Ok(match name {
        "mode" => const { HeaderName::from_static("x-amz-meta-mode") },
        "uid" => const { HeaderName::from_static("x-amz-meta-uid") },
        "gid" => const { HeaderName::from_static("x-amz-meta-gid") },
        "mtime" => const { HeaderName::from_static("x-amz-meta-mtime") },
        "atime" => const { HeaderName::from_static("x-amz-meta-atime") },
        "ctime" => const { HeaderName::from_static("x-amz-meta-ctime") },
        "attr" => const { HeaderName::from_static("x-amz-meta-attr") },
        "file-permissions" => const { HeaderName::from_static("x-amz-meta-file-permissions") },
        "file-owner" => const { HeaderName::from_static("x-amz-meta-file-owner") },
        "file-group" => const { HeaderName::from_static("x-amz-meta-file-group") },
        "file-mtime" => const { HeaderName::from_static("x-amz-meta-file-mtime") },
        "file-atime" => const { HeaderName::from_static("x-amz-meta-file-atime") },
        _ => HeaderName::try_from(format!("x-amz-meta-{name}")).map_err(|_| {
            refused(Class::Refused, format!("metadata `{name}` has a name that no header may have"))
        })?,
    })
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
