//! How the objects of a run look beside their bytes.

use http::{HeaderName, HeaderValue, header};
use s3bl_core::settings::{Retention, TransferSettings};
use s3bl_s3::{AttributeError, ObjectAttributes};

use super::Checks;

/// How objects of a run look beside their bytes.
#[derive(Debug, Clone)]
pub struct ObjectStyle {
    /// What was asked for: the dialect of their metadata and what replaces it.
    pub(super) transfer: TransferSettings,
    /// The type of all files, if one was asked for.
    pub(super) content_type: Option<HeaderValue>,
    /// What all objects carry: storage class, encryption, tags and the like.
    pub(super) attributes: ObjectAttributes,
    /// What the service checks.
    pub(super) checks: Checks,
}

/// A setting that no header may carry.
#[derive(Debug, thiserror::Error)]
#[error("the {header} holds what no header may carry")]
pub struct StyleError {
    header: String,
}

impl From<AttributeError> for StyleError {
    fn from(error: AttributeError) -> Self {
        Self { header: error.header }
    }
}

impl ObjectStyle {
    /// Makes the headers that all objects of a run share.
    pub fn new(transfer: &TransferSettings, checks: Checks) -> Result<Self, StyleError> {
        let content_type = transfer.object.content_type.as_deref().map(HeaderValue::try_from);
        let content_type = content_type
            .transpose()
            .map_err(|_| StyleError { header: header::CONTENT_TYPE.to_string() })?;
        let attributes = Self::attributes(transfer)?;
        Ok(Self { transfer: transfer.clone(), content_type, attributes, checks })
    }

    /// Makes what all objects carry beside metadata and type.
    pub fn attributes(transfer: &TransferSettings) -> Result<ObjectAttributes, StyleError> {
        let object = &transfer.object;
        let mut attributes = ObjectAttributes::new();
        if let Some(class) = &transfer.storage_class {
            attributes = attributes.storage_class(class)?;
        }
        if let Some(sse) = &transfer.sse {
            attributes = attributes.server_side_encryption(sse)?;
        }
        if let Some(key) = &transfer.sse_kms_key_id {
            attributes = attributes.kms_key_id(key)?;
        }
        if let Some(cache_control) = &object.cache_control {
            attributes = attributes.with(header::CACHE_CONTROL, cache_control)?;
        }
        if let Some(tagging) = &object.tagging {
            attributes = attributes.tagging(tagging)?;
        }
        if let Some(acl) = &object.acl {
            attributes = attributes.acl(acl)?;
        }
        if let Some(retention) = &object.retention {
            attributes = retain(attributes, retention)?;
        }
        if object.has_legal_hold {
            let name = HeaderName::from_static("x-amz-object-lock-legal-hold");
            attributes = attributes.with(name, "ON")?;
        }
        // Whoever locks an object must send a checksum, and moto takes the word for it that names its kind.
        if object.retention.is_some() || object.has_legal_hold {
            let name = HeaderName::from_static("x-amz-sdk-checksum-algorithm");
            attributes = attributes.with(name, "CRC64NVME")?;
        }
        Ok(attributes)
    }
}

fn retain(
    attributes: ObjectAttributes,
    retention: &Retention,
) -> Result<ObjectAttributes, StyleError> {
    let name = HeaderName::from_static("x-amz-object-lock-retain-until-date");
    let until = jiff::Timestamp::from_second(retention.until.seconds)
        .map_err(|_| StyleError { header: name.to_string() })?;
    let mode = HeaderName::from_static("x-amz-object-lock-mode");
    Ok(attributes.with(mode, &retention.mode)?.with(name, &until.to_string())?)
}
