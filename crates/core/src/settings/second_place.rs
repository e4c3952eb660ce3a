//! A bucket behind a directory: what is written through a mounted path is looked for in the bucket.

use serde::{Deserialize, Serialize};

use super::BucketPlace;

/// The bucket, and what it has a say in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondPlace {
    /// Where the objects are that whoever serves the directory makes of its files.
    pub bucket: BucketPlace,
    /// Where an entry is looked for.
    pub check_at: CheckAt,
}

/// Where an entry is looked for in the pass VALIDATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckAt {
    /// In the bucket alone.
    Bucket,
    /// In both; it must be right in both.
    Both,
    /// In the directory, and in the bucket what is not right there; it must be right in one.
    DestinationThenBucket,
}
