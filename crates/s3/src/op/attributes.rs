//! What an object gets beside its bytes and metadata: class, encryption, access, tags.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Headers that every new object of a run carries, checked once and cloned cheaply.
#[derive(Debug, Clone, Default)]
pub struct ObjectAttributes {
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A value that no HTTP header may carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{header}` has a character that an HTTP header may not carry")]
pub struct AttributeError {
    /// The header.
    pub header: String,
}

impl ObjectAttributes {
    /// Returns no attributes: the bucket's defaults.
    pub const fn new() -> Self {
        Self { headers: Vec::new() }
    }

    /// Adds the storage class (`STANDARD_IA`, `GLACIER_IR`, ...).
    pub fn storage_class(self, class: &str) -> Result<Self, AttributeError> {
        self.with(HeaderName::from_static("x-amz-storage-class"), class)
    }

    /// Adds the kind of server-side encryption (`AES256`, `aws:kms`, `aws:kms:dsse`).
    pub fn server_side_encryption(self, kind: &str) -> Result<Self, AttributeError> {
        self.with(HeaderName::from_static("x-amz-server-side-encryption"), kind)
    }

    /// Adds the KMS key that encrypts the object.
    pub fn kms_key_id(self, key: &str) -> Result<Self, AttributeError> {
        self.with(HeaderName::from_static("x-amz-server-side-encryption-aws-kms-key-id"), key)
    }

    /// Adds the canned ACL (`bucket-owner-full-control`, ...).
    pub fn acl(self, acl: &str) -> Result<Self, AttributeError> {
        self.with(HeaderName::from_static("x-amz-acl"), acl)
    }

    /// Adds tags, already in the form of a URL query (`a=1&b=2`).
    pub fn tagging(self, tags: &str) -> Result<Self, AttributeError> {
        self.with(HeaderName::from_static("x-amz-tagging"), tags)
    }

    /// Adds any other header that S3 knows for new objects (`cache-control`,
    /// `x-amz-website-redirect-location`, ...).
    pub fn with(mut self, name: HeaderName, value: &str) -> Result<Self, AttributeError> {
        let value = HeaderValue::from_str(value)
            .map_err(|_| AttributeError { header: name.as_str().to_owned() })?;
        self.headers.push((name, value));
        Ok(self)
    }

    pub(crate) fn len(&self) -> usize {
        self.headers.len()
    }

    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
    }
}
