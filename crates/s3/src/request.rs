//! From an operation's wish to a signed HTTP request.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use sha2::{Digest, Sha256};

use crate::clock::Stamp;
use crate::config::PayloadHash;
use crate::connection::Payload;
use crate::credentials::Identity;
use crate::error::Operation;
use crate::escape;
use crate::sign::{Signer, Subject, push_hex};

static CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
static DATE: HeaderName = HeaderName::from_static("x-amz-date");
static SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// Room for the headers that are added here and by hyper, so that the map does not grow.
const OWN_HEADERS: usize = 8;

/// One S3 request before it has a host, a date and a signature.
pub(crate) struct Wish<'a> {
    pub(crate) operation: Operation,
    pub(crate) method: Method,
    pub(crate) bucket: &'a str,
    pub(crate) key: Option<&'a str>,
    /// Sorted by name; values not yet encoded.
    pub(crate) query: Vec<(&'static str, Cow<'a, str>)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether sending it twice means the same as sending it once, even if the first one arrives
    /// late.
    pub(crate) is_repeatable: bool,
}

impl<'a> Wish<'a> {
    /// Makes a repeatable wish without query, headers and body.
    pub(crate) fn new(
        operation: Operation,
        method: Method,
        bucket: &'a str,
        key: Option<&'a str>,
    ) -> Self {
        Self {
            operation,
            method,
            bucket,
            key,
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            is_repeatable: true,
        }
    }

    /// Makes room for `count` headers beside our own.
    pub(crate) fn reserve_headers(&mut self, count: usize) {
        self.headers.reserve(count + OWN_HEADERS);
    }
}

/// What all requests of a client have in common.
pub(crate) struct Stationery<'a> {
    pub(crate) signer: &'a Signer,
    pub(crate) identity: Option<&'a Arc<Identity>>,
    pub(crate) stamp: Stamp,
    pub(crate) host: &'a HeaderValue,
    pub(crate) user_agent: &'a HeaderValue,
    pub(crate) base_path: &'a str,
    pub(crate) is_bucket_in_path: bool,
    pub(crate) is_tls: bool,
    pub(crate) payload_hash: PayloadHash,
    pub(crate) expect_continue_above: Option<u64>,
}

/// A request that HTTP cannot carry: a path or query beyond 64 KiB.
#[derive(Debug, thiserror::Error)]
#[error("the request's path and query are too long for HTTP")]
pub(crate) struct TooLong;

impl Stationery<'_> {
    /// Writes and signs the request.
    pub(crate) fn write(&self, wish: Wish<'_>) -> Result<Request<Payload>, TooLong> {
        let (target, path_len) = self.target(&wish);
        let Wish { method, mut headers, body, .. } = wish;
        let body_len = u64::try_from(body.len()).unwrap_or(u64::MAX);
        headers.insert(header::HOST, self.host.clone());
        headers.insert(header::USER_AGENT, self.user_agent.clone());
        let expects = self.expect_continue_above.is_some_and(|above| body_len > above);
        if expects {
            headers.insert(header::EXPECT, HeaderValue::from_static("100-continue"));
        }
        if body_len > 0 || method == Method::PUT || method == Method::POST {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body_len));
        }
        if let Some(identity) = self.identity {
            self.sign(identity, &method, (&target, path_len), &mut headers, &body);
        }
        let path = PathAndQuery::from_maybe_shared(Bytes::from(target)).map_err(|_| TooLong)?;
        let mut request = Request::new(Payload::new(body, expects));
        if expects {
            Payload::arm(&mut request);
        }
        *request.method_mut() = method;
        *request.uri_mut() = Uri::from(path);
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// Returns the encoded path and query, and the length of the path.
    fn target(&self, wish: &Wish<'_>) -> (Vec<u8>, usize) {
        debug_assert!(wish.query.is_sorted_by_key(|(name, _)| *name), "queries are written sorted");
        let key_len = wish.key.map_or(0, str::len);
        let mut target =
            Vec::with_capacity(self.base_path.len() + wish.bucket.len() + key_len + 64);
        target.extend_from_slice(self.base_path.as_bytes());
        if self.is_bucket_in_path {
            target.push(b'/');
            escape::push_path(&mut target, wish.bucket);
        }
        if let Some(key) = wish.key {
            target.push(b'/');
            escape::push_path(&mut target, key);
        } else if !self.is_bucket_in_path {
            target.push(b'/');
        }
        let path_len = target.len();
        for (index, (name, value)) in wish.query.iter().enumerate() {
            target.push(if index == 0 { b'?' } else { b'&' });
            target.extend_from_slice(name.as_bytes());
            target.push(b'=');
            escape::push_query(&mut target, value);
        }
        (target, path_len)
    }

    fn sign(
        &self,
        identity: &Arc<Identity>,
        method: &Method,
        (target, path_len): (&[u8], usize),
        headers: &mut HeaderMap,
        body: &Bytes,
    ) {
        let signs_body = match self.payload_hash {
            PayloadHash::Unsigned => false,
            PayloadHash::SignedOverHttp => !self.is_tls,
            PayloadHash::Signed => true,
        };
        let mut hash = Vec::new();
        if signs_body {
            push_hex(&mut hash, &Sha256::digest(body));
            headers.insert(CONTENT_SHA256.clone(), ascii(hash.clone()));
        } else {
            headers.insert(CONTENT_SHA256.clone(), HeaderValue::from_static(UNSIGNED_PAYLOAD));
        }
        headers.insert(DATE.clone(), ascii(self.stamp.text().as_bytes().to_vec()));
        if let Some(token) = &identity.session_token {
            headers.insert(SECURITY_TOKEN.clone(), token.clone());
        }
        let text = std::str::from_utf8(target).expect("percent-encoding leaves ASCII only");
        let subject = Subject {
            method: method.as_str(),
            path: &text[..path_len],
            query: text.get(path_len + 1..).unwrap_or(""),
            headers,
            payload_hash: if signs_body {
                std::str::from_utf8(&hash).expect("hexadecimal is ASCII")
            } else {
                UNSIGNED_PAYLOAD
            },
        };
        let mut authorization = Vec::with_capacity(512);
        self.signer.authorize(&subject, identity, self.stamp, &mut authorization);
        let mut authorization = ascii(authorization);
        authorization.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, authorization);
    }
}

/// Makes a header value of bytes that are visible ASCII by construction, without copying them.
pub(crate) fn ascii(text: Vec<u8>) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(text))
        .expect("the text is visible ASCII by construction")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(base_path: &str, is_bucket_in_path: bool, wish: Wish<'_>) -> Result<Uri, TooLong> {
        let stationery = Stationery {
            signer: &Signer::new("us-east-1"),
            identity: None,
            stamp: Stamp::of(0),
            host: &HeaderValue::from_static("host"),
            user_agent: &HeaderValue::from_static("agent"),
            base_path,
            is_bucket_in_path,
            is_tls: false,
            payload_hash: PayloadHash::default(),
            expect_continue_above: None,
        };
        stationery.write(wish).map(|request| request.uri().clone())
    }

    fn target(
        base_path: &str,
        is_bucket_in_path: bool,
        key: Option<&str>,
        query: &[(&'static str, &str)],
    ) -> String {
        let mut wish = Wish::new(Operation::GetObject, Method::GET, "bucket", key);
        wish.query = query.iter().map(|(name, value)| (*name, Cow::Borrowed(*value))).collect();
        write(base_path, is_bucket_in_path, wish).unwrap().to_string()
    }

    #[test]
    fn a_key_stands_in_the_path_exactly_as_it_is() {
        for (key, path) in [
            ("a//b", "/bucket/a//b"),
            ("/a", "/bucket//a"),
            ("./x", "/bucket/./x"),
            ("..", "/bucket/.."),
            ("a/../b/", "/bucket/a/../b/"),
            ("a?b#c", "/bucket/a%3Fb%23c"),
            ("é +", "/bucket/%C3%A9%20%2B"),
        ] {
            assert_eq!(target("", true, Some(key), &[]), path);
            assert_eq!(target("", false, Some(key), &[]), path.strip_prefix("/bucket").unwrap());
            assert_eq!(target("/base/s3", true, Some(key), &[]), format!("/base/s3{path}"));
        }
    }

    #[test]
    fn a_bucket_s_own_requests_have_a_path_too() {
        let query = [("list-type", "2"), ("prefix", "a/b c")];
        assert_eq!(target("", true, None, &query), "/bucket?list-type=2&prefix=a%2Fb%20c");
        assert_eq!(target("", false, None, &query), "/?list-type=2&prefix=a%2Fb%20c");
        assert_eq!(target("", false, None, &[("uploads", "")]), "/?uploads=");
    }

    #[test]
    fn what_http_cannot_carry_is_refused() {
        let key = "é".repeat(20_000);
        let wish = Wish::new(Operation::GetObject, Method::GET, "bucket", Some(&key));
        assert!(write("", true, wish).is_err());
    }
}
