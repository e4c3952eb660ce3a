//! Stores: `s3` speaks to any service with the S3 protocol, `dir` writes a directory.

pub mod dir;
pub mod s3;
