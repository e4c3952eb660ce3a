//! What is uploaded but not completed: the parts of one upload, and the uploads of a bucket.

use std::time::SystemTime;

use http::Method;

use super::check::decode_crc_text;
use super::put::unquoted;
use crate::client::{Call, Client};
use crate::clock::parse_iso_date;
use crate::error::{Error, Operation};
use crate::request::Wish;
use crate::xml::Step;

/// S3's name for the document, and moto's (5.2.5).
const PARTS_ROOTS: [&str; 2] = ["ListPartsResult", "ListPartsResponse"];

/// A `ListParts` request for one page.
#[derive(Debug, Clone, Copy)]
pub struct ListParts<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The key of the object to be.
    pub key: &'a str,
    /// The upload.
    pub upload_id: &'a str,
    /// Only parts with a higher number.
    pub after: Option<u16>,
}

/// One page of an upload's parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListPartsOutput {
    /// The parts by number.
    pub parts: Vec<ListedPart>,
    /// The number to go on after; `None` when this is the last page.
    pub next: Option<u16>,
}

/// One uploaded part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListedPart {
    /// The part's number.
    pub part_number: u16,
    /// Its size in bytes.
    pub size: u64,
    /// Its ETag without quotes.
    pub etag: String,
    /// Its CRC-64/NVME, if the store keeps one.
    pub crc64nvme: Option<u64>,
}

/// A `ListMultipartUploads` request for one page.
#[derive(Debug, Clone, Copy)]
pub struct ListMultipartUploads<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// Only uploads of keys that begin so; empty for all.
    pub prefix: &'a str,
    /// Goes on after this key and upload.
    pub after: Option<(&'a str, &'a str)>,
}

/// One page of a bucket's uploads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListMultipartUploadsOutput {
    /// The uploads in the store's order.
    pub uploads: Vec<ListedUpload>,
    /// The key and upload to go on after; `None` when this is the last page.
    pub next: Option<(String, String)>,
}

/// One upload that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListedUpload {
    /// The key of the object to be.
    pub key: String,
    /// The upload.
    pub upload_id: String,
    /// When it was begun.
    pub initiated: Option<SystemTime>,
}

impl Call for ListParts<'_> {
    fn wish(&self) -> Wish<'_> {
        let mut wish = Wish::new(Operation::ListParts, Method::GET, self.bucket, Some(self.key));
        if let Some(after) = self.after {
            wish.query.push(("part-number-marker", after.to_string().into()));
        }
        wish.query.push(("uploadId", self.upload_id.into()));
        wish
    }
}

impl Call for ListMultipartUploads<'_> {
    fn wish(&self) -> Wish<'_> {
        let mut wish = Wish::new(Operation::ListMultipartUploads, Method::GET, self.bucket, None);
        // Without `encoding-type=url`: SeaweedFS (4.48) then says that keys are encoded and leaves
        // them raw.
        if let Some((key, _)) = self.after {
            wish.query.push(("key-marker", key.into()));
        }
        if !self.prefix.is_empty() {
            wish.query.push(("prefix", self.prefix.into()));
        }
        if let Some((_, upload)) = self.after {
            wish.query.push(("upload-id-marker", upload.into()));
        }
        wish.query.push(("uploads", "".into()));
        wish
    }
}

impl Client {
    /// Lists one page of an upload's parts.
    pub async fn list_parts(&self, list: &ListParts<'_>) -> Result<ListPartsOutput, Error> {
        let mut page = PartsPage::default();
        let reply = self.send(list).await?;
        let read = reply.document(&PARTS_ROOTS, |step| page.visit(step)).await?;
        page.finish(list).map_err(|fault| read.malformed(fault))
    }

    /// Lists one page of a bucket's uploads.
    pub async fn list_multipart_uploads(
        &self,
        list: &ListMultipartUploads<'_>,
    ) -> Result<ListMultipartUploadsOutput, Error> {
        let mut page = UploadsPage::default();
        let reply = self.send(list).await?;
        let read = reply.document(&["ListMultipartUploadsResult"], |step| page.visit(step)).await?;
        page.finish(list).map_err(|fault| read.malformed(fault))
    }
}

#[derive(Default)]
struct PartsPage {
    output: ListPartsOutput,
    is_truncated: bool,
    fault: Option<&'static str>,
}

impl PartsPage {
    fn visit(&mut self, step: &Step<'_>) {
        match step {
            Step::Enter { depth: 1, name: "Part" } => self.output.parts.push(ListedPart::default()),
            Step::Leave { depth: 1, name: "IsTruncated", text } => {
                self.is_truncated = text.trim() == "true"
            }
            Step::Leave { depth: 1, name: "NextPartNumberMarker", text } => {
                self.output.next = text.trim().parse().ok();
            }
            Step::Leave { depth: 2, name, text } => self.visit_part(name, text.trim()),
            Step::Enter { .. } | Step::Leave { .. } => {}
        }
    }

    fn visit_part(&mut self, name: &str, text: &str) {
        let Some(part) = self.output.parts.last_mut() else { return };
        match name {
            "PartNumber" => match text.parse() {
                Ok(number) => part.part_number = number,
                Err(_) => self.fault = Some("a part's number is none"),
            },
            "Size" => match text.parse() {
                Ok(size) => part.size = size,
                Err(_) => self.fault = Some("a part's size is no number"),
            },
            "ETag" => unquoted(text).clone_into(&mut part.etag),
            "ChecksumCRC64NVME" => part.crc64nvme = decode_crc_text(text),
            _ => {}
        }
    }

    fn finish(self, list: &ListParts<'_>) -> Result<ListPartsOutput, &'static str> {
        let Self { mut output, is_truncated, fault } = self;
        if let Some(fault) = fault {
            return Err(fault);
        }
        if !is_truncated {
            output.next = None;
        } else if output.next.is_none_or(|next| list.after.is_some_and(|after| next <= after)) {
            return Err("the page is truncated but names no next one");
        }
        Ok(output)
    }
}

#[derive(Default)]
struct UploadsPage {
    output: ListMultipartUploadsOutput,
    next_key: String,
    next_upload: String,
    is_truncated: bool,
}

impl UploadsPage {
    fn visit(&mut self, step: &Step<'_>) {
        match step {
            Step::Enter { depth: 1, name: "Upload" } => {
                self.output.uploads.push(ListedUpload::default())
            }
            Step::Leave { depth: 1, name, text } => match *name {
                "IsTruncated" => self.is_truncated = text.trim() == "true",
                "NextKeyMarker" => (*text).clone_into(&mut self.next_key),
                "NextUploadIdMarker" => (*text).clone_into(&mut self.next_upload),
                _ => {}
            },
            Step::Leave { depth: 2, name, text } => {
                let Some(upload) = self.output.uploads.last_mut() else { return };
                match *name {
                    "Key" => (*text).clone_into(&mut upload.key),
                    "UploadId" => (*text).clone_into(&mut upload.upload_id),
                    "Initiated" => upload.initiated = parse_iso_date(text),
                    _ => {}
                }
            }
            Step::Enter { .. } | Step::Leave { .. } => {}
        }
    }

    fn finish(
        self,
        list: &ListMultipartUploads<'_>,
    ) -> Result<ListMultipartUploadsOutput, &'static str> {
        let Self { mut output, next_key, next_upload, is_truncated } = self;
        if is_truncated {
            if next_key.is_empty() || list.after == Some((&next_key, &next_upload)) {
                return Err("the page is truncated but names no next one");
            }
            output.next = Some((next_key, next_upload));
        }
        Ok(output)
    }
}
