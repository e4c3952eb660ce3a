//! Which requests are broken, and how.

use std::fmt;
use std::time::Duration;

use super::http::{Change, Head};
use super::query;

/// What is done to a request. Offsets count bytes of a body, from 0, framing excluded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is reset when the request's head has been read. The server sees nothing.
    Reset,
    /// The request is cut after so many bytes of its body; the client's connection is reset.
    CutRequest {
        /// How much of the body the server gets.
        after_bytes: u64,
    },
    /// The server gets the whole request and answers; the client's connection is closed instead of the answer.
    DropReply,
    /// The client gets the head of the reply and so many bytes of its body; then the connection is closed.
    CutReply {
        /// How much of the body the client gets.
        after_bytes: u64,
    },
    /// One bit of the request's body is flipped on its way to the server.
    FlipRequestBit {
        /// In which byte.
        at_byte: u64,
    },
    /// One bit of the reply's body is flipped on its way to the client.
    FlipReplyBit {
        /// In which byte.
        at_byte: u64,
    },
    /// The request is passed on after a pause.
    DelayRequest(Duration),
    /// The reply is passed on after a pause.
    DelayReply(Duration),
    /// The request is read and never answered, until the client gives up or the proxy goes away.
    Stall,
    /// The request is read, not passed on, and answered with this.
    Answer(Reply),
    /// This is answered at once, before the body has been read, and the connection is closed.
    AnswerEarly(Reply),
    /// The server gets the whole request and does it; the client gets this instead of the server's answer.
    AnswerAfterForward(Reply),
    /// The client gets the reply with other words in it: the first `old` after the first `after` becomes `new`.
    RewriteReply {
        /// What comes before.
        after: String,
        /// What stands there.
        old: String,
        /// What the client reads there.
        new: String,
    },
}

impl Fault {
    /// What it does to the body of a request that is passed on.
    pub(super) fn request_change(&self) -> Change {
        let mut change = Change::default();
        if let Self::CutRequest { after_bytes } = self {
            change.cut_after = Some(*after_bytes);
        }
        if let Self::FlipRequestBit { at_byte } = self {
            change.flip_at = Some(*at_byte);
        }
        change
    }

    /// What it does to the body of a reply that is passed on.
    pub(super) fn reply_change(&self) -> Change {
        let mut change = Change::default();
        if let Self::CutReply { after_bytes } = self {
            change.cut_after = Some(*after_bytes);
        }
        if let Self::FlipReplyBit { at_byte } = self {
            change.flip_at = Some(*at_byte);
        }
        change
    }
}

/// An answer that the proxy makes up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status, as 503.
    pub status: u16,
    /// Headers besides `Content-Length`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// An S3 error with this status and code. Status 200 makes the success that holds an error, which S3 may answer
    /// to long calls such as CompleteMultipartUpload.
    #[must_use]
    pub fn error(status: u16, code: &str) -> Self {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
             <Message>Made by a test.</Message><RequestId>testkit</RequestId></Error>"
        );
        let content_type = ("Content-Type".to_owned(), "application/xml".to_owned());
        Self { status, headers: vec![content_type], body: body.into_bytes() }
    }

    /// An error of EC2, or of another service with its protocol.
    #[must_use]
    pub fn ec2_error(status: u16, code: &str) -> Self {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code>\
             <Message>Made by a test.</Message></Error></Errors><RequestID>testkit</RequestID></Response>"
        );
        let content_type = ("Content-Type".to_owned(), "text/xml;charset=UTF-8".to_owned());
        Self { status, headers: vec![content_type], body: body.into_bytes() }
    }

    /// The same answer with one header more.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The bytes on the wire. An answer to HEAD has no body, only its length.
    pub(super) fn to_bytes(&self, to_head_request: bool) -> Vec<u8> {
        let mut bytes = format!("HTTP/1.1 {} Made by a test\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", self.body.len()).as_bytes());
        if !to_head_request {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

type Predicate = Box<dyn Fn(&Head, &[u8]) -> bool + Send>;

/// One fault, the requests that it is for, and how many of them it hits. A request takes the first rule that matches
/// it and has not been used up.
pub struct Rule {
    fault: Fault,
    predicates: Vec<Predicate>,
    /// Matching requests that still go by unharmed.
    spared: u32,
    /// Matching requests that are still to be hit after those.
    left: u32,
}

impl Rule {
    /// Hits one request.
    #[must_use]
    pub fn once(fault: Fault) -> Self {
        Self::times(1, fault)
    }

    /// Hits this many requests.
    #[must_use]
    pub fn times(count: u32, fault: Fault) -> Self {
        Self { fault, predicates: Vec::new(), spared: 0, left: count }
    }

    /// Hits every request.
    #[must_use]
    pub fn always(fault: Fault) -> Self {
        Self::times(u32::MAX, fault)
    }

    /// Only requests with this method.
    #[must_use]
    pub fn method(self, method: &'static str) -> Self {
        self.when(move |head| head.method() == method)
    }

    /// Only requests whose target, path and query as sent, contains this text.
    #[must_use]
    pub fn target_contains(self, text: impl Into<String>) -> Self {
        let text = text.into();
        self.when(move |head| head.target().contains(&text))
    }

    /// Only calls of this name, as `RunInstances`: of services that are called by a form, as EC2 and SNS are, or by a header,
    /// as SQS is.
    #[must_use]
    pub fn action(mut self, action: &'static str) -> Self {
        self.predicates
            .push(Box::new(move |head, body| query::action(head, body).as_deref() == Some(action)));
        self
    }

    /// Only calls by a form that has this value for this name.
    #[must_use]
    pub fn form(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        self.predicates.push(Box::new(move |_, body| {
            query::value(body, name).as_deref() == Some(value.as_str())
        }));
        self
    }

    /// Only requests for whose head this is true; conditions add up.
    #[must_use]
    pub fn when(mut self, predicate: impl Fn(&Head) -> bool + Send + 'static) -> Self {
        self.predicates.push(Box::new(move |head, _| predicate(head)));
        self
    }

    /// Spares the first `count` matching requests.
    #[must_use]
    pub fn after(mut self, count: u32) -> Self {
        self.spared = count;
        self
    }

    /// The fault for this request, if the rule is for it; counts it.
    pub(super) fn claim(&mut self, head: &Head, body: &[u8]) -> Option<Fault> {
        if self.left == 0 || !self.predicates.iter().all(|matches| matches(head, body)) {
            return None;
        }
        if self.spared > 0 {
            self.spared -= 1;
            return None;
        }
        if self.left != u32::MAX {
            self.left -= 1;
        }
        Some(self.fault.clone())
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Rule")
            .field("fault", &self.fault)
            .field("spared", &self.spared)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
