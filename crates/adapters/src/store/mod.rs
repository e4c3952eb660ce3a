//! Stores: `s3` speaks to any service with the S3 protocol, `dir` writes a directory, `copier` has
//! another program do that, `monitor` follows one that brings a directory's files to a bucket.

pub mod copier;
pub mod dir;
pub mod monitor;
pub mod s3;
