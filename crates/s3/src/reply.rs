//! From a reply to its meaning: success with headers, with a document, or the error it says.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::client::{About, Client};
use crate::clock;
use crate::connection::{Exchange, Failure, Host, next_chunk};
use crate::credentials::Identity;
use crate::error::{Applied, Error, ErrorKind, Operation};
use crate::error_code;
use crate::xml::{self, Fault, Step};

/// A thousand keys of 1,024 bytes, each byte percent-encoded, with their dress, are 4 MiB; no
/// honest document is longer.
const DOCUMENT_BYTES_MAX: usize = 16 << 20;
/// The part of a refusal that is read.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// A reply whose head is there.
pub(crate) struct Reply<'a> {
    client: &'a Client,
    about: About<'a>,
    host: Arc<Host>,
    identity: Option<Arc<Identity>>,
    exchange: Exchange,
}

impl<'a> Reply<'a> {
    pub(crate) const fn new(
        client: &'a Client,
        about: About<'a>,
        host: Arc<Host>,
        identity: Option<Arc<Identity>>,
        exchange: Exchange,
    ) -> Self {
        Self { client, about, host, identity, exchange }
    }

    /// Returns the reply if its status says success and it comes from an S3 service.
    pub(crate) async fn checked(self) -> Result<Self, Error> {
        if !self.exchange.reply.status().is_success() {
            return Err(Box::pin(self.refusal()).await);
        }
        // An object may be a page; then it has an ETag, and who has none is told by that.
        let may_be_page =
            matches!(self.about.operation, Operation::GetObject | Operation::HeadObject);
        if !may_be_page && self.is_html() && !self.is_s3() {
            return Err(self.not_s3());
        }
        Ok(self)
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.exchange.reply.status()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.exchange.reply.headers()
    }

    /// Reads a body that should say nothing, and returns the headers.
    ///
    /// A store that puts an `<Error>` there all the same is believed.
    pub(crate) async fn headers_only(mut self) -> Result<Read<'a>, Error> {
        let body = match self.collect(REFUSAL_BYTES_MAX).await {
            Ok(body) => body,
            Err(failure) => return Err(self.client.broken(self.about, failure)),
        };
        if let Some(refusal) = Refusal::parse(&body) {
            return Err(self.refused(refusal));
        }
        if starts_like_html(&body) && !self.is_s3() {
            return Err(self.not_s3());
        }
        Ok(self.release())
    }

    /// Reads a document whose root is one of `roots`, showing its elements to `visit`.
    pub(crate) async fn document(
        mut self,
        roots: &[&str],
        visit: impl FnMut(&Step<'_>),
    ) -> Result<Read<'a>, Error> {
        let body = match self.collect(DOCUMENT_BYTES_MAX).await {
            Ok(body) => body,
            Err(failure) => return Err(self.client.broken(self.about, failure)),
        };
        match xml::walk(&body, roots, visit) {
            Ok(()) => Ok(self.release()),
            Err(fault) => Err(self.faulty(&body, fault)),
        }
    }

    /// Hands over the exchange for its body to be streamed.
    pub(crate) fn into_stream(self) -> (Arc<Host>, Exchange) {
        (self.host, self.exchange)
    }

    /// Makes the error of a success without the ETag that every object has: broken S3, or no S3 at
    /// all.
    pub(crate) async fn without_etag(mut self) -> Error {
        let body = self.collect(REFUSAL_BYTES_MAX).await.unwrap_or_default();
        if let Some(refusal) = Refusal::parse(&body) {
            return self.refused(refusal);
        }
        if self.is_s3() {
            self.error(ErrorKind::Malformed, "the reply has no ETag")
        } else {
            self.not_s3()
        }
    }

    /// Makes the error of a reply that breaks S3's own rules.
    pub(crate) fn malformed(&self, message: &str) -> Error {
        self.error(ErrorKind::Malformed, message)
    }

    fn not_s3(&self) -> Error {
        self.error(ErrorKind::NotS3, "the reply does not come from an S3 service")
    }

    fn error(&self, kind: ErrorKind, message: &str) -> Error {
        broken_success(self.client, self.about, kind, message, self.status(), self.headers())
    }

    fn faulty(&self, body: &[u8], fault: Fault) -> Error {
        if let Fault::OtherRoot(root) = &fault {
            if root == "Error" {
                return self.refused(Refusal::parse(body).unwrap_or_default());
            }
            if root.eq_ignore_ascii_case("html") {
                return self.not_s3();
            }
        }
        let kind = match &fault {
            Fault::NotXml if !self.is_s3() && !body.trim_ascii().is_empty() => ErrorKind::NotS3,
            Fault::NotXml | Fault::OtherRoot(_) | Fault::Broken(_) | Fault::NotUtf8 => {
                ErrorKind::Malformed
            }
        };
        self.error(kind, &fault.to_string()).with_source(fault)
    }

    /// Reads what a refusal says.
    async fn refusal(mut self) -> Error {
        let body = self.collect(REFUSAL_BYTES_MAX).await;
        // A refusal that breaks off is judged by its status.
        let is_whole = body.is_ok();
        let body = body.unwrap_or_default();
        let is_page = self.is_html() || starts_like_html(&body);
        if is_page
            && !self.is_s3()
            && self.status().as_u16() != 429
            && !self.status().is_server_error()
        {
            return self.not_s3();
        }
        let error = self.refused(Refusal::parse(&body).unwrap_or_default());
        if is_whole {
            self.release();
        }
        error
    }

    /// Makes the error of `refusal`, and learns from it about clock and credentials.
    fn refused(&self, refusal: Refusal) -> Error {
        let (status, operation) = (self.status(), self.about.operation);
        let region = self.foreign_region(&refusal);
        let (kind, applied) =
            error_code::classify(operation, status, refusal.code.as_deref(), region.clone());
        let kind = self.seen_through(kind, &refusal, region);
        if kind == ErrorKind::ClockSkewed
            && let Some(date) = self.date()
        {
            self.client.shared.clock.learn(date);
        }
        if kind == ErrorKind::CredentialsExpired
            && let Some(identity) = &self.identity
        {
            self.client.shared.config.credentials.reject(identity);
        }
        let fallback = || format!("the store answered {status}");
        let message = refusal.message.unwrap_or_else(fallback);
        let request_id = refusal.request_id.or_else(|| text(self.headers(), "x-amz-request-id"));
        let retry_after = self.headers().get(header::RETRY_AFTER).and_then(seconds);
        let error = self.client.fail(self.about, kind, applied, &message);
        error.with_reply(status, refusal.code, request_id, retry_after)
    }

    /// Corrects what a bare status says: replies to HEAD have no body, and S3 answers several
    /// mistakes with 400 or 403.
    fn seen_through(
        &self,
        kind: ErrorKind,
        refusal: &Refusal,
        region: Option<String>,
    ) -> ErrorKind {
        if refusal.code.is_some() {
            return kind;
        }
        let is_skewed = || self.date().is_some_and(|date| self.client.shared.clock.is_skewed(date));
        let is_temporary = || self.identity.as_ref().is_some_and(|who| who.session_token.is_some());
        match (self.status().as_u16(), kind) {
            (400 | 403, _) if region.is_some() => ErrorKind::WrongRegion { region },
            (403, ErrorKind::AccessDenied) if is_skewed() => ErrorKind::ClockSkewed,
            // A HEAD with expired temporary credentials is answered 400 and no reason.
            (400, ErrorKind::InvalidRequest) if self.is_head() && is_temporary() => {
                ErrorKind::CredentialsExpired
            }
            (300..=399, ErrorKind::WrongRegion { region: None }) if !self.is_s3() => {
                ErrorKind::NotS3
            }
            (_, kind) => kind,
        }
    }

    /// Returns the region that the store names, unless it is ours.
    fn foreign_region(&self, refusal: &Refusal) -> Option<String> {
        let named = text(self.headers(), "x-amz-bucket-region").or_else(|| refusal.region.clone());
        named.filter(|region| *region != self.client.shared.config.region)
    }

    fn is_head(&self) -> bool {
        matches!(self.about.operation, Operation::HeadObject | Operation::HeadBucket)
    }

    fn date(&self) -> Option<std::time::SystemTime> {
        clock::parse_http_date(self.headers().get(header::DATE)?.to_str().ok()?)
    }

    fn is_html(&self) -> bool {
        let kind = self.headers().get(header::CONTENT_TYPE);
        kind.is_some_and(|kind| kind.as_bytes().to_ascii_lowercase().starts_with(b"text/html"))
    }

    /// Returns whether the reply carries an identifier as S3 services give one to each request.
    pub(crate) fn is_s3(&self) -> bool {
        let names = ["x-amz-request-id", "x-amz-id-2", "x-amzn-requestid"];
        names.iter().any(|name| self.headers().contains_key(*name))
    }

    /// Reads the whole body, of at most `limit` bytes.
    async fn collect(&mut self, limit: usize) -> Result<Bytes, Failure> {
        let idle = self.client.shared.config.timeouts.idle;
        let Some(first) = next_chunk(&mut self.exchange, idle).await? else {
            return Ok(Bytes::new());
        };
        let Some(second) = next_chunk(&mut self.exchange, idle).await? else { return Ok(first) };
        let mut whole = BytesMut::from(first);
        whole.extend_from_slice(&second);
        while let Some(piece) = next_chunk(&mut self.exchange, idle).await? {
            if whole.len() + piece.len() > limit {
                return Err(Failure::too_long());
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    fn release(mut self) -> Read<'a> {
        let Self { client, about, .. } = self;
        let (status, headers) = (self.status(), std::mem::take(self.exchange.reply.headers_mut()));
        self.host.put_back(self.exchange.connection);
        Read { client, about, status, headers }
    }
}

/// A reply that was read whole, and whose connection is free again.
pub(crate) struct Read<'a> {
    client: &'a Client,
    about: About<'a>,
    status: StatusCode,
    pub(crate) headers: HeaderMap,
}

impl Read<'_> {
    /// Makes the error of a reply that breaks S3's own rules.
    pub(crate) fn malformed(&self, message: &str) -> Error {
        let kind = ErrorKind::Malformed;
        broken_success(self.client, self.about, kind, message, self.status, &self.headers)
    }
}

/// Makes the error of a success that cannot be believed: a write may have been applied.
fn broken_success(
    client: &Client,
    about: About<'_>,
    kind: ErrorKind,
    message: &str,
    status: StatusCode,
    headers: &HeaderMap,
) -> Error {
    let applied = if about.operation.is_write() { Applied::Unknown } else { Applied::No };
    let error = client.fail(about, kind, applied, message);
    error.with_reply(status, None, text(headers, "x-amz-request-id"), None)
}

/// The `<Error>` document.
#[derive(Debug, Default)]
struct Refusal {
    code: Option<String>,
    message: Option<String>,
    request_id: Option<String>,
    region: Option<String>,
}

impl Refusal {
    /// Reads an `<Error>`; `None` if it is another document. What stands before a break is kept.
    fn parse(body: &[u8]) -> Option<Self> {
        let mut refusal = Self::default();
        let walked = xml::walk(body, &["Error"], |step| {
            let Step::Leave { depth: 1, name, text } = step else { return };
            let place = match *name {
                "Code" => &mut refusal.code,
                "Message" => &mut refusal.message,
                "RequestId" => &mut refusal.request_id,
                "Region" => &mut refusal.region,
                _ => return,
            };
            *place = Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        });
        (walked.is_ok() || refusal.code.is_some()).then_some(refusal)
    }
}

fn starts_like_html(body: &[u8]) -> bool {
    let start = body.trim_ascii_start();
    let start = start[..start.len().min(14)].to_ascii_lowercase();
    start.starts_with(b"<!doctype html") || start.starts_with(b"<html")
}

fn seconds(value: &HeaderValue) -> Option<Duration> {
    Some(Duration::from_secs(value.to_str().ok()?.trim().parse().ok()?))
}

/// Returns the header `name` if it is ASCII text.
pub(crate) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}
