//! The conditions under which a write may replace what a key holds.

use super::error::StoreError;
use super::object::Object;

/// What must hold, at the moment of the write, of the object that a key has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::demo) enum Precondition {
    /// Nothing is asked.
    Always,
    /// `If-None-Match: *`: the key must be free.
    Absent,
    /// `If-Match: *`: the key must hold an object.
    Present,
    /// `If-Match: "etag"`: the key must hold the object with this entity tag, without quotes.
    Matches(String),
}

impl Precondition {
    /// Judges `current`, the object that the key holds.
    ///
    /// # Errors
    ///
    /// [`StoreError::PreconditionFailed`], or [`StoreError::NoSuchKey`] when a match was asked of a free key.
    pub(super) fn check(&self, key: &str, current: Option<&Object>) -> Result<(), StoreError> {
        let held = match (self, current) {
            (Self::Always, _) => true,
            (Self::Absent, current) => current.is_none(),
            (Self::Present, Some(_)) => true,
            (Self::Matches(etag), Some(object)) => object.etag == *etag,
            (Self::Present | Self::Matches(_), None) => {
                return Err(StoreError::NoSuchKey { key: key.to_owned() });
            }
        };
        if held { Ok(()) } else { Err(StoreError::PreconditionFailed { key: key.to_owned() }) }
    }
}
