//! Stores: `s3` speaks to any service with the S3 protocol.

pub mod s3;
