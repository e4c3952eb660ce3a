//! The S3 operations, applied to what is remembered.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::args::{Args, EtagKind};
use crate::body::Body;
use crate::checksum::{Declared, Kind, base64_of};
use crate::fault::{self, Rule};
use crate::head::Head;
use crate::limit::Limit;
use crate::operation::Operation;
use crate::reply::Reply;
use crate::store::{Object, Selection, Store};
use crate::tally::{Snapshot, Tally};
use crate::upload::{Refusal, Uploads, object_of};
use crate::xml;

/// Longest key: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>.
const KEY_BYTES_MAX: usize = 1024;
/// Most keys on a page of a listing.
const PAGE_KEYS_MAX: usize = 1000;

/// One server: its settings, what it remembers, and its counters.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) tally: Tally,
    pub(crate) latency: Duration,
    pub(crate) with_md5: bool,
    remembers: bool,
    limit: Option<Limit>,
    rules: Vec<Rule>,
    last_number: AtomicU64,
    store: Store,
    uploads: Uploads,
}

/// What becomes of a request, decided when its head is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Serve,
    SlowDown,
    Fault(fault::Kind),
}

impl Service {
    pub(crate) fn new(args: &Args) -> Self {
        Self {
            tally: Tally::new(),
            latency: Duration::from_millis(args.latency),
            with_md5: args.etag == EtagKind::Md5,
            remembers: args.remember,
            limit: args.rps_limit.map(|rate| Limit::new(rate.get(), Instant::now())),
            rules: args.fault.clone(),
            last_number: AtomicU64::new(0),
            store: Store::default(),
            uploads: Uploads::default(),
        }
    }

    /// Counts a request and decides its fate; answers its number too.
    pub(crate) fn admit(&self, operation: Operation) -> (u64, Fate) {
        let number = self.last_number.fetch_add(1, Ordering::Relaxed) + 1;
        if operation == Operation::Stats {
            return (number, Fate::Serve);
        }
        self.tally.arrived(operation);
        let now = Instant::now();
        if self.limit.as_ref().is_some_and(|limit| !limit.admit(now)) {
            self.tally.slowed_down(now);
            return (number, Fate::SlowDown);
        }
        self.tally.accepted(now);
        let is_complete = operation == Operation::CompleteMultipartUpload;
        match fault::strike(&self.rules, number, is_complete) {
            Some(kind) => {
                self.tally.struck(kind);
                (number, Fate::Fault(kind))
            }
            None => (number, Fate::Serve),
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.tally.snapshot(self.uploads.count(), self.store.census())
    }

    /// Applies a request and answers it.
    pub(crate) fn apply(&self, operation: Operation, head: &Head, body: &Body) -> Reply {
        if head.key.len() > KEY_BYTES_MAX {
            return Reply::error(400, "KeyTooLongError", "Your key is too long");
        }
        match operation {
            Operation::PutObject => self.put_object(head, body),
            Operation::UploadPart => self.upload_part(head, body),
            Operation::CreateMultipartUpload => {
                let id = self.uploads.create(&head.bucket, &head.key, unix_now());
                Reply::xml(200, xml::initiated(&head.bucket, &head.key, &id))
            }
            Operation::CompleteMultipartUpload => self.complete(head, body),
            Operation::AbortMultipartUpload => {
                self.uploads.remove(upload_id(head)).map_or_else(refused, |()| Reply::empty(204))
            }
            Operation::ListParts => match self.uploads.get(upload_id(head)) {
                Ok(upload) => Reply::xml(200, xml::parts(&upload, upload_id(head))),
                Err(refusal) => refused(refusal),
            },
            Operation::ListMultipartUploads => self.list_uploads(head),
            Operation::ListObjects => self.list(head, false),
            Operation::ListObjectsV2 => self.list(head, true),
            Operation::HeadObject => self.head_object(head).without_body(),
            Operation::GetObject => match self.store.get(&head.bucket, &head.key) {
                Some(_) => not_implemented("this server keeps no bytes"),
                None => no_such_key(),
            },
            Operation::DeleteObject => {
                self.store.remove(&head.bucket, &head.key);
                Reply::empty(204)
            }
            Operation::HeadBucket | Operation::CreateBucket => Reply::empty(200),
            Operation::DeleteBucket => Reply::empty(204),
            Operation::GetBucketLocation => Reply::xml(200, xml::empty("LocationConstraint")),
            Operation::GetBucketVersioning => {
                Reply::xml(200, xml::empty("VersioningConfiguration"))
            }
            Operation::ListBuckets => Reply::xml(200, xml::buckets()),
            Operation::Stats => self.stats(),
            Operation::Other => not_implemented("not implemented by this server"),
        }
    }

    fn put_object(&self, head: &Head, body: &Body) -> Reply {
        if let Err(reply) = self.check(head, body) {
            return reply;
        }
        if self.is_taken(head) {
            return precondition_failed();
        }
        let object = object_of(&body.sum, unix_now());
        self.tally.wrote_body(object.size);
        self.keep(head, object);
        stored(object)
    }

    fn upload_part(&self, head: &Head, body: &Body) -> Reply {
        if let Err(reply) = self.check(head, body) {
            return reply;
        }
        let part = object_of(&body.sum, unix_now());
        let number = head.parameter("partNumber").unwrap_or("");
        match self.uploads.put_part(upload_id(head), number, part) {
            Ok(()) => {
                self.tally.wrote_body(part.size);
                stored(part)
            }
            Err(refusal) => refused(refusal),
        }
    }

    fn complete(&self, head: &Head, body: &Body) -> Reply {
        let Some(named) = xml::named_parts(&body.text) else {
            return Reply::error(400, "MalformedXML", "The XML you provided was not well-formed");
        };
        let object = match self.uploads.assemble(upload_id(head), &named) {
            Ok(object) => object,
            Err(refusal) => return refused(refusal),
        };
        // Here the declared checksum is that of the object and not that of the body.
        for declared in &head.declared {
            let is_good = object_matches(&object, declared);
            self.tally.checked(declared.kind, is_good);
            if is_good == Some(false) {
                return bad_digest();
            }
        }
        if head.object_size.is_some_and(|size| size != object.size) {
            return Reply::error(400, "InvalidRequest", "x-amz-mp-object-size does not match");
        }
        if self.is_taken(head) {
            return precondition_failed();
        }
        if let Err(refusal) = self.uploads.remove(upload_id(head)) {
            return refused(refusal);
        }
        self.keep(head, object);
        Reply::xml(200, xml::completed(&head.bucket, &head.key, &object))
    }

    /// Compares the body with every checksum that came with it.
    fn check(&self, head: &Head, body: &Body) -> Result<(), Reply> {
        for declared in head.declared.iter().chain(&body.declared) {
            let is_good = body.sum.matches(declared);
            self.tally.checked(declared.kind, is_good);
            if is_good == Some(false) {
                return Err(bad_digest());
            }
        }
        Ok(())
    }

    fn is_taken(&self, head: &Head) -> bool {
        head.only_if_absent && self.store.get(&head.bucket, &head.key).is_some()
    }

    fn keep(&self, head: &Head, object: Object) {
        self.tally.wrote_object(object.size);
        if self.remembers {
            self.store.put(&head.bucket, &head.key, object);
        }
    }

    fn head_object(&self, head: &Head) -> Reply {
        let Some(object) = self.store.get(&head.bucket, &head.key) else {
            return no_such_key();
        };
        let mut reply = Reply::empty(200)
            .with("ETag", &quoted(&object))
            .with("Last-Modified", &xml::http_date(object.modified))
            .with("Accept-Ranges", "bytes")
            .with("Content-Type", "application/octet-stream");
        if head.wants_checksum {
            reply = with_checksum(reply, &object);
        }
        reply.claimed_length = Some(object.size);
        reply
    }

    fn list(&self, head: &Head, is_v2: bool) -> Reply {
        let token = head.parameter("continuation-token").filter(|_| is_v2);
        let after = head.parameter(if is_v2 { "start-after" } else { "marker" }).unwrap_or("");
        let resumed = match token.map(decode_token) {
            None => None,
            Some(Some(key)) => Some(key),
            Some(None) => {
                return Reply::error(400, "InvalidArgument", "The continuation token is incorrect");
            }
        };
        let limit = head.parameter("max-keys").and_then(|text| text.parse().ok());
        let selection = Selection {
            prefix: head.parameter("prefix").unwrap_or(""),
            delimiter: head.parameter("delimiter").unwrap_or(""),
            after: resumed.as_deref().unwrap_or(after),
            limit: limit.unwrap_or(PAGE_KEYS_MAX).min(PAGE_KEYS_MAX),
        };
        let listing = xml::Listing {
            is_v2,
            bucket: &head.bucket,
            prefix: selection.prefix,
            delimiter: selection.delimiter,
            max_keys: selection.limit,
            is_url_encoded: head.parameter("encoding-type") == Some("url"),
            after,
            token,
            page: self.store.list(&head.bucket, selection),
        };
        Reply::xml(200, xml::listing(&listing))
    }

    fn list_uploads(&self, head: &Head) -> Reply {
        let prefix = head.parameter("prefix").unwrap_or("");
        let open = self.uploads.open(&head.bucket, prefix);
        Reply::xml(200, xml::uploads(&head.bucket, prefix, &open))
    }

    fn stats(&self) -> Reply {
        match serde_json::to_string(&self.snapshot()) {
            Ok(json) => Reply::json(json),
            Err(error) => Reply::error(500, "InternalError", &error.to_string()),
        }
    }
}

fn upload_id(head: &Head) -> &str {
    head.parameter("uploadId").unwrap_or("")
}

fn decode_token(token: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(token).ok()?).ok()
}

fn object_matches(object: &Object, declared: &Declared) -> Option<bool> {
    match declared.kind {
        Kind::Crc64Nvme => Some(base64_of(&object.crc64.to_be_bytes()) == declared.value),
        Kind::Crc32 | Kind::Crc32c | Kind::Md5 | Kind::Other => None,
    }
}

/// The reply to an accepted PUT or part.
fn stored(object: Object) -> Reply {
    with_checksum(Reply::empty(200).with("ETag", &quoted(&object)), &object)
}

fn with_checksum(reply: Reply, object: &Object) -> Reply {
    reply
        .with("x-amz-checksum-crc64nvme", &base64_of(&object.crc64.to_be_bytes()))
        .with("x-amz-checksum-type", "FULL_OBJECT")
}

fn quoted(object: &Object) -> String {
    format!("\"{}\"", object.etag())
}

fn bad_digest() -> Reply {
    Reply::error(400, "BadDigest", "The checksum you specified did not match what we received.")
}

fn no_such_key() -> Reply {
    Reply::error(404, "NoSuchKey", "The specified key does not exist.")
}

fn precondition_failed() -> Reply {
    Reply::error(412, "PreconditionFailed", "At least one of the pre-conditions did not hold")
}

fn not_implemented(message: &str) -> Reply {
    Reply::error(501, "NotImplemented", message)
}

fn refused(refusal: Refusal) -> Reply {
    match refusal {
        Refusal::NoSuchUpload => {
            Reply::error(404, "NoSuchUpload", "The specified multipart upload does not exist.")
        }
        Refusal::InvalidPart => {
            Reply::error(400, "InvalidPart", "One or more of the specified parts was not found.")
        }
        Refusal::InvalidPartOrder => {
            Reply::error(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
        }
        Refusal::InvalidArgument => {
            Reply::error(400, "InvalidArgument", "Part number must be from 1 to 10000.")
        }
    }
}

/// Seconds since 1970; 32 bits of them last until 2106.
fn unix_now() -> u32 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}
