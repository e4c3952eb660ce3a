//! `HeadBucket` and `CreateBucket`.

use http::Method;

use crate::client::{Call, Client};
use crate::error::{Error, Operation};
use crate::reply::text;
use crate::request::Wish;

/// The region whose buckets are created without naming it.
const UNNAMED_REGION: &str = "us-east-1";

/// A `HeadBucket` request.
#[derive(Debug, Clone, Copy)]
pub struct HeadBucket<'a> {
    /// The bucket.
    pub bucket: &'a str,
}

/// What the store answered to a `HeadBucket`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadBucketOutput {
    /// Where the bucket lives, if the store says so. A bucket elsewhere is an error of kind
    /// [`WrongRegion`](crate::ErrorKind::WrongRegion), whatever the status.
    pub region: Option<String>,
}

/// A `CreateBucket` request, for tests and the demonstration.
#[derive(Debug, Clone, Copy)]
pub struct CreateBucket<'a> {
    /// The bucket.
    pub bucket: &'a str,
}

impl Call for HeadBucket<'_> {
    fn wish(&self) -> Wish<'_> {
        Wish::new(Operation::HeadBucket, Method::HEAD, self.bucket, None)
    }
}

impl Call for CreateBucket<'_> {
    fn wish(&self) -> Wish<'_> {
        Wish {
            // The second would find the first one's bucket.
            is_repeatable: false,
            ..Wish::new(Operation::CreateBucket, Method::PUT, self.bucket, None)
        }
    }
}

/// A `CreateBucket` with the region that its body must name.
struct PlacedBucket<'a> {
    bucket: CreateBucket<'a>,
    region: &'a str,
}

impl Call for PlacedBucket<'_> {
    fn wish(&self) -> Wish<'_> {
        let mut wish = self.bucket.wish();
        if self.region != UNNAMED_REGION {
            let mut body = String::from(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>",
            );
            crate::xml::push_text(&mut body, self.region);
            body.push_str("</LocationConstraint></CreateBucketConfiguration>");
            wish.body = body.into();
        }
        wish
    }
}

impl Client {
    /// Asks whether the bucket is there and ours to use.
    pub async fn head_bucket(&self, head: &HeadBucket<'_>) -> Result<HeadBucketOutput, Error> {
        let read = self.send(head).await?.headers_only().await?;
        Ok(HeadBucketOutput { region: text(&read.headers, "x-amz-bucket-region") })
    }

    /// Creates a bucket in the client's region.
    pub async fn create_bucket(&self, create: &CreateBucket<'_>) -> Result<(), Error> {
        let placed = PlacedBucket { bucket: *create, region: &self.config().region };
        self.send(&placed).await?.headers_only().await.map(|_| ())
    }
}
