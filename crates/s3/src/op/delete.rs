//! `DeleteObject`: for objects that a probe wrote, and nothing else; the product deletes nothing.

use http::Method;

use crate::client::{Call, Client};
use crate::error::{Error, Operation};
use crate::request::Wish;

/// A `DeleteObject` request.
#[derive(Debug, Clone, Copy)]
pub struct DeleteObject<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The key.
    pub key: &'a str,
}

impl Call for DeleteObject<'_> {
    fn wish(&self) -> Wish<'_> {
        Wish {
            // Late, it would delete what was written since.
            is_repeatable: false,
            ..Wish::new(Operation::DeleteObject, Method::DELETE, self.bucket, Some(self.key))
        }
    }
}

impl Client {
    /// Deletes an object. An absent one is a success, as in S3.
    pub async fn delete_object(&self, delete: &DeleteObject<'_>) -> Result<(), Error> {
        self.send(delete).await?.headers_only().await.map(|_| ())
    }
}
