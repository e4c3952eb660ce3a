//! A reply and its bytes on the wire.

use std::io::Write as _;

/// An HTTP reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Header lines, each ending in CRLF.
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
    /// What `Content-Length` says when it is not the body's: for HEAD.
    pub(crate) claimed_length: Option<u64>,
    /// Whether the connection ends with this reply.
    pub(crate) closes: bool,
}

impl Reply {
    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: String::new(),
            body: Vec::new(),
            claimed_length: None,
            closes: false,
        }
    }

    pub(crate) fn xml(status: u16, body: String) -> Self {
        Self::empty(status).with("Content-Type", "application/xml").with_body(body)
    }

    pub(crate) fn json(body: String) -> Self {
        Self::empty(200).with("Content-Type", "application/json").with_body(body)
    }

    /// The page of a proxy that answers for the server.
    pub(crate) fn html() -> Self {
        let page = "<!DOCTYPE html><html><body><h1>Please sign in</h1></body></html>\n";
        Self::empty(200).with("Content-Type", "text/html").with_body(page.to_owned())
    }

    /// An error as S3 words it.
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
             <Message>{message}</Message><RequestId>NULL</RequestId></Error>"
        );
        Self::xml(status, body)
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(name);
        self.headers.push_str(": ");
        self.headers.push_str(value);
        self.headers.push_str("\r\n");
        self
    }

    pub(crate) fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// The reply to a HEAD: the same lines and no body.
    pub(crate) fn without_body(mut self) -> Self {
        // A body's length fits u64.
        self.claimed_length.get_or_insert(self.body.len() as u64);
        self.body.clear();
        self
    }

    /// Appends the reply to `out`; `number` becomes the request id.
    pub(crate) fn write_to(&self, out: &mut Vec<u8>, number: u64) {
        let length = self.claimed_length.unwrap_or(self.body.len() as u64);
        let connection = if self.closes { "Connection: close\r\n" } else { "" };
        let reason = reason(self.status);
        write!(
            out,
            "HTTP/1.1 {} {reason}\r\n{}x-amz-request-id: {number:016X}\r\n{connection}",
            self.status, self.headers
        )
        .and_then(|()| match self.status {
            // RFC 9110, 8.6: no Content-Length with 204.
            204 => write!(out, "\r\n"),
            _ => write!(out, "Content-Length: {length}\r\n\r\n"),
        })
        .expect("a Vec takes every write");
        out.extend_from_slice(&self.body);
    }

    fn with_body(mut self, body: String) -> Self {
        self.body = body.into_bytes();
        self
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        404 => "Not Found",
        412 => "Precondition Failed",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Slow Down",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write_to(&mut out, 255);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_reply_is_framed_by_its_length() {
        let reply = Reply::xml(200, "<a/>".to_owned());
        assert_eq!(
            text(&reply),
            "HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\n\
             x-amz-request-id: 00000000000000FF\r\nContent-Length: 4\r\n\r\n<a/>"
        );
    }

    #[test]
    fn a_head_claims_a_length_that_it_does_not_send() {
        let shown = text(&Reply::error(404, "NoSuchKey", "no").without_body());
        assert!(shown.ends_with("\r\n\r\n"), "{shown}");
        assert!(!shown.contains("Content-Length: 0"), "{shown}");
    }

    #[test]
    fn no_content_has_no_length() {
        assert!(!text(&Reply::empty(204)).contains("Content-Length"));
    }
}
