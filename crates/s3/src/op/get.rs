//! `GetObject`: the bytes, as they come.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::head::{HeadObjectOutput, ask_for_checksum, describe, write_selection};
use super::put::take_etag;
use crate::client::{About, Call, Client};
use crate::connection::{Exchange, Failure, Host, next_chunk};
use crate::error::{Applied, Error, ErrorKind, Operation};
use crate::reply::text;
use crate::request::Wish;

/// A `GetObject` request.
#[derive(Debug, Clone)]
pub struct GetObject<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The key.
    pub key: &'a str,
    /// The version; the newest by default.
    pub version_id: Option<&'a str>,
    /// Only these bytes; not empty. Past the object's end there are none.
    pub range: Option<Range<u64>>,
    /// Only if the object still has this ETag (without quotes).
    pub if_match: Option<&'a str>,
    /// Whether to ask for the stored checksum.
    pub with_checksum: bool,
}

impl<'a> GetObject<'a> {
    /// Asks for all bytes of the newest version.
    pub const fn new(bucket: &'a str, key: &'a str) -> Self {
        Self { bucket, key, version_id: None, range: None, if_match: None, with_checksum: true }
    }
}

/// What the store answered to a `GetObject`: the head is there, the bytes are on their way.
#[derive(Debug)]
pub struct GetObjectOutput {
    /// The object, as HEAD describes it; with a range, `size` is the range's.
    pub head: HeadObjectOutput,
    /// The bytes.
    pub body: ObjectBody,
}

impl Call for GetObject<'_> {
    fn wish(&self) -> Wish<'_> {
        let mut wish = Wish::new(Operation::GetObject, Method::GET, self.bucket, Some(self.key));
        write_selection(&mut wish, None, self.version_id);
        if let Some(range) = &self.range {
            let text = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
            if let Ok(value) = HeaderValue::try_from(text) {
                wish.headers.insert(header::RANGE, value);
            }
        }
        if let Some(etag) = self.if_match
            && let Ok(value) = HeaderValue::try_from(format!("\"{etag}\""))
        {
            wish.headers.insert(header::IF_MATCH, value);
        }
        if self.with_checksum {
            ask_for_checksum(&mut wish.headers);
        }
        wish
    }
}

impl GetObject<'_> {
    /// A store that knows no ranges answers with the whole object, whose first bytes would be taken
    /// for the range's.
    fn is_answered_by(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let Some(range) = &self.range else { return status == StatusCode::OK };
        let answered = text(headers, "content-range").unwrap_or_default();
        status == StatusCode::PARTIAL_CONTENT
            && answered.starts_with(&format!("bytes {}-", range.start))
    }
}

impl Client {
    /// Begins to read an object.
    pub async fn get_object(&self, get: &GetObject<'_>) -> Result<GetObjectOutput, Error> {
        if get.range.as_ref().is_some_and(Range::is_empty) {
            let about =
                About { operation: Operation::GetObject, bucket: get.bucket, key: Some(get.key) };
            let message = "the range is empty, which HTTP cannot say";
            return Err(self.fail(about, ErrorKind::InvalidRequest, Applied::No, message));
        }
        let (reply, etag) = take_etag(self.send(get).await?, get.key).await?;
        if !get.is_answered_by(reply.status(), reply.headers()) {
            return Err(reply.malformed("the reply holds another range than was asked for"));
        }
        let Some(head) = describe(reply.headers(), etag) else {
            return Err(reply.malformed("the reply names no size"));
        };
        let (host, exchange) = reply.into_stream();
        let body = ObjectBody {
            client: self.clone(),
            bucket: get.bucket.to_owned(),
            key: get.key.to_owned(),
            left: head.size,
            open: Some((host, exchange)),
        };
        Ok(GetObjectOutput { head, body })
    }
}

/// The bytes of an object while they arrive. Dropped early, it closes its connection.
pub struct ObjectBody {
    client: Client,
    bucket: String,
    key: String,
    left: u64,
    /// `None` when all was read or an error ended it.
    open: Option<(Arc<Host>, Exchange)>,
}

impl ObjectBody {
    /// Returns the next bytes; `None` when all have come. A body that ends early is an error.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let Some((host, mut exchange)) = self.open.take() else { return Ok(None) };
        match next_chunk(&mut exchange, self.idle()).await {
            Ok(Some(bytes)) => {
                self.left =
                    self.left.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                self.open = Some((host, exchange));
                Ok(Some(bytes))
            }
            Ok(None) if self.left > 0 => Err(self.broken(Failure::truncated())),
            Ok(None) => {
                host.put_back(exchange.connection);
                Ok(None)
            }
            Err(failure) => Err(self.broken(failure)),
        }
    }

    /// Reads the rest into one piece of memory.
    pub async fn collect(mut self) -> Result<Bytes, Error> {
        let mut whole = BytesMut::new();
        while let Some(bytes) = self.chunk().await? {
            whole.extend_from_slice(&bytes);
        }
        Ok(whole.freeze())
    }

    fn idle(&self) -> Duration {
        self.client.config().timeouts.idle
    }

    fn broken(&self, failure: Failure) -> Error {
        let about =
            About { operation: Operation::GetObject, bucket: &self.bucket, key: Some(&self.key) };
        self.client.broken(about, failure)
    }
}

impl std::fmt::Debug for ObjectBody {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ObjectBody").field("left", &self.left).finish_non_exhaustive()
    }
}
