//! A thin S3 client over hyper: the upload path, measured and kept fast.
//!
//! Each method of [`Client`] is one HTTP request and one typed answer. There is no retry policy here: the caller
//! reads [`Error::kind`] and [`Error::applied`] and decides. The single exception is a kept-alive
//! connection that the server had closed before the request reached it: such a request goes out once more,
//! on a fresh connection, when that cannot change its meaning.
//!
//! What deliberately does not live here: retries, concurrency, part planning, checksum computation,
//! and anything that this project means by a file. The S3 protocol and its sharp edges do: 200 replies
//! that carry an error, HEAD replies without a reason, pages escaped in two dialects, redirects that
//! must not be followed.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use s3bl_s3::{Client, Config, Credentials, PayloadCheck, PutObject};
//!
//! let client = Client::new(Config::new("eu-central-1", Credentials::fixed("AKIA...", "secret", None)))?;
//! let put = PutObject::new("bucket", "a/key", "hello".into());
//! let answer = client.put_object(&put).await?;
//! assert!(!answer.etag.is_empty());
//! # Ok(()) }
//! ```

mod client;
mod clock;
mod config;
mod connection;
mod counters;
mod credentials;
mod endpoint;
mod error;
mod error_code;
mod escape;
mod op;
mod reply;
mod request;
mod sign;
mod xml;

pub use client::Client;
pub use config::{Addressing, Config, ConfigError, PayloadHash, Timeouts};
pub use counters::{Counters, OperationCounters};
pub use credentials::Credentials;
pub use endpoint::{Endpoint, EndpointError};
pub use error::{Applied, Error, ErrorKind, Operation};
pub use op::attributes::{AttributeError, ObjectAttributes};
pub use op::bucket::{CreateBucket, HeadBucket, HeadBucketOutput};
pub use op::check::PayloadCheck;
pub use op::copy::{CopyObject, CopyObjectOutput};
pub use op::delete::DeleteObject;
pub use op::get::{GetObject, GetObjectOutput, ObjectBody};
pub use op::head::{ChecksumType, HeadObject, HeadObjectOutput};
pub use op::list::{ListEntry, ListObjectsV2, ListObjectsV2Output};
pub use op::multipart::{
    AbortMultipartUpload, CompleteMultipartUpload, CompleteMultipartUploadOutput, CompletedPart,
    CreateMultipartUpload, CreateMultipartUploadOutput, UploadPart, UploadPartOutput,
};
pub use op::multipart_list::{
    ListMultipartUploads, ListMultipartUploadsOutput, ListParts, ListPartsOutput, ListedPart,
    ListedUpload,
};
pub use op::put::{PutObject, PutObjectOutput};
