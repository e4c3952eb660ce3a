//! `ListObjectsV2`: one page of keys.

use std::time::SystemTime;

use http::Method;

use super::put::unquoted;
use crate::client::{Call, Client};
use crate::clock::parse_iso_date;
use crate::error::{Error, Operation};
use crate::escape::decode;
use crate::request::Wish;
use crate::xml::Step;

/// A `ListObjectsV2` request for one page.
///
/// Keys come in the store's own order; that is byte order on AWS and another elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct ListObjectsV2<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// Only keys that begin so; empty for all.
    pub prefix: &'a str,
    /// Only keys after this one, in the store's order.
    pub start_after: Option<&'a str>,
    /// Goes on where the page with this token ended.
    pub continuation: Option<&'a str>,
    /// Groups the keys that have this behind the prefix.
    pub delimiter: Option<&'a str>,
    /// Entries a page, at most 1,000, which is the default.
    pub max_keys: Option<u16>,
}

impl<'a> ListObjectsV2<'a> {
    /// Asks for the first page of all keys that begin with `prefix`.
    pub const fn new(bucket: &'a str, prefix: &'a str) -> Self {
        Self {
            bucket,
            prefix,
            start_after: None,
            continuation: None,
            delimiter: None,
            max_keys: None,
        }
    }
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListObjectsV2Output {
    /// The objects, in the store's order.
    pub entries: Vec<ListEntry>,
    /// The groups that the delimiter made.
    pub common_prefixes: Vec<String>,
    /// The token of the next page; `None` when this is the last.
    pub next: Option<String>,
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListEntry {
    /// The key, decoded.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// The ETag as sent, without quotes; empty if the store gives none.
    pub etag: String,
    /// When it was written.
    pub last_modified: Option<SystemTime>,
    /// The storage class, if named.
    pub storage_class: Option<String>,
}

impl Call for ListObjectsV2<'_> {
    fn wish(&self) -> Wish<'_> {
        let mut wish = Wish::new(Operation::ListObjectsV2, Method::GET, self.bucket, None);
        if let Some(token) = self.continuation {
            wish.query.push(("continuation-token", token.into()));
        }
        if let Some(delimiter) = self.delimiter {
            wish.query.push(("delimiter", delimiter.into()));
        }
        wish.query.push(("encoding-type", "url".into()));
        wish.query.push(("list-type", "2".into()));
        if let Some(max) = self.max_keys {
            wish.query.push(("max-keys", max.to_string().into()));
        }
        if !self.prefix.is_empty() {
            wish.query.push(("prefix", self.prefix.into()));
        }
        if let Some(after) = self.start_after {
            wish.query.push(("start-after", after.into()));
        }
        wish
    }
}

impl Client {
    /// Lists one page.
    ///
    /// A page that says that more follows but not how, or that names the token it was asked with,
    /// is an error: taken for the last one it would hide keys, and followed it would never end.
    pub async fn list_objects_v2(
        &self,
        list: &ListObjectsV2<'_>,
    ) -> Result<ListObjectsV2Output, Error> {
        let mut page = Page::default();
        let about =
            self.send(list).await?.document(&["ListBucketResult"], |step| page.visit(step)).await?;
        page.finish(list).map_err(|fault| about.malformed(fault))
    }
}

/// A page while it is read.
#[derive(Default)]
struct Page {
    output: ListObjectsV2Output,
    is_truncated: bool,
    is_encoded: bool,
    fault: Option<&'static str>,
}

impl Page {
    fn visit(&mut self, step: &Step<'_>) {
        match step {
            Step::Enter { depth: 1, name: "Contents" } => {
                self.output.entries.push(ListEntry::default())
            }
            Step::Enter { .. } => {}
            Step::Leave { depth: 1, name, text } => self.visit_page(name, text),
            // Only `Contents` and `CommonPrefixes` have children of these names.
            Step::Leave { depth: 2, name: "Prefix", text } => {
                self.output.common_prefixes.push((*text).to_owned());
            }
            Step::Leave { depth: 2, name, text } => self.visit_entry(name, text),
            Step::Leave { .. } => {}
        }
    }

    fn visit_page(&mut self, name: &str, text: &str) {
        match name {
            "IsTruncated" => self.is_truncated = text.trim() == "true",
            "EncodingType" => self.is_encoded = text.trim() == "url",
            "NextContinuationToken" => self.output.next = Some(text.to_owned()),
            _ => {}
        }
    }

    fn visit_entry(&mut self, name: &str, text: &str) {
        let Some(entry) = self.output.entries.last_mut() else { return };
        match name {
            "Key" => text.clone_into(&mut entry.key),
            "Size" => match text.trim().parse() {
                Ok(size) => entry.size = size,
                Err(_) => self.fault = Some("an entry's size is no number"),
            },
            "ETag" => unquoted(text).clone_into(&mut entry.etag),
            "LastModified" => entry.last_modified = parse_iso_date(text),
            "StorageClass" => entry.storage_class = Some(text.to_owned()),
            _ => {}
        }
    }

    fn finish(self, list: &ListObjectsV2<'_>) -> Result<ListObjectsV2Output, &'static str> {
        let Self { mut output, is_truncated, is_encoded, fault } = self;
        if let Some(fault) = fault {
            return Err(fault);
        }
        if !is_truncated {
            output.next = None;
        } else if output.next.as_deref().is_none_or(str::is_empty) {
            return Err("the page is truncated but names no next one");
        } else if output.next.as_deref() == list.continuation {
            return Err("the page names itself as the next one");
        }
        if is_encoded {
            let keys = output.entries.iter_mut().map(|entry| &mut entry.key);
            for text in keys.chain(&mut output.common_prefixes) {
                *text = decode(std::mem::take(text)).ok_or("a key is not UTF-8")?;
            }
        }
        Ok(output)
    }
}
