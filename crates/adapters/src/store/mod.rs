//! Stores: `s3` speaks to any service with the S3 protocol, `dir` writes a directory, `copier` has
//! another program do that.

pub mod copier;
pub mod dir;
pub mod s3;
