//! What is remembered of the accepted objects: sizes and checksums, never their bytes.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An accepted object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) size: u64,
    pub(crate) crc64: u64,
    /// MD5 of the body, or of the parts' MD5s, when ETags are MD5.
    pub(crate) md5: Option<[u8; 16]>,
    /// Parts of a multipart upload; 0 for a plain PUT.
    pub(crate) parts: u16,
    /// Unix seconds.
    pub(crate) modified: u32,
}

impl Object {
    /// The ETag, without quotes: an MD5 if there is one, else CRC and size in a shape that no
    /// client compares with an MD5 of its own.
    pub(crate) fn etag(&self) -> String {
        let Some(md5) = self.md5 else {
            return format!("{:016x}{:016x}-{}", self.crc64, self.size, self.parts.max(1));
        };
        let hex = format!("{:032x}", u128::from_be_bytes(md5));
        if self.parts == 0 { hex } else { format!("{hex}-{}", self.parts) }
    }
}

/// Keys in byte order, by bucket.
#[derive(Debug, Default)]
pub(crate) struct Store {
    buckets: Mutex<BTreeMap<String, Keys>>,
}

type Keys = BTreeMap<Box<str>, Object>;

/// What to list; the fields are those of ListObjectsV2.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Selection<'a> {
    pub(crate) prefix: &'a str,
    /// Empty for none.
    pub(crate) delimiter: &'a str,
    /// Only names after this one, exclusive.
    pub(crate) after: &'a str,
    pub(crate) limit: usize,
}

/// A page of a listing, in byte order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) objects: Vec<(Box<str>, Object)>,
    pub(crate) prefixes: Vec<String>,
    /// The last name on a page that others follow; the next page starts after it.
    pub(crate) next: Option<String>,
}

/// What the store holds, for the statistics.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Census {
    /// Distinct keys that do not end in a slash.
    pub(crate) objects: u64,
    /// Bytes of those.
    pub(crate) bytes: u64,
    /// Distinct keys that end in a slash: directory markers.
    pub(crate) markers: u64,
}

impl Store {
    pub(crate) fn put(&self, bucket: &str, key: &str, object: Object) {
        let mut buckets = self.lock();
        match buckets.get_mut(bucket) {
            Some(keys) => {
                keys.insert(key.into(), object);
            }
            None => {
                buckets.insert(bucket.to_owned(), Keys::from([(key.into(), object)]));
            }
        }
    }

    pub(crate) fn get(&self, bucket: &str, key: &str) -> Option<Object> {
        self.lock().get(bucket)?.get(key).copied()
    }

    pub(crate) fn remove(&self, bucket: &str, key: &str) {
        if let Some(keys) = self.lock().get_mut(bucket) {
            keys.remove(key);
        }
    }

    pub(crate) fn list(&self, bucket: &str, selection: Selection<'_>) -> Page {
        self.lock().get(bucket).map_or_else(Page::default, |keys| list(keys, selection))
    }

    pub(crate) fn census(&self) -> Census {
        let mut census = Census::default();
        for (key, object) in self.lock().values().flatten() {
            if key.ends_with('/') {
                census.markers += 1;
            } else {
                census.objects += 1;
                census.bytes += object.size;
            }
        }
        census
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Keys>> {
        // Every change is a single map operation: a panic elsewhere leaves the map whole.
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn list(keys: &Keys, selection: Selection<'_>) -> Page {
    let mut page = Page::default();
    let mut last: Option<String> = None;
    let mut from = start(selection);
    while let Some(bound) = from.take() {
        for (key, object) in
            keys.range::<str, _>((bound.as_ref().map(String::as_str), Bound::Unbounded))
        {
            if !key.starts_with(selection.prefix) {
                return page;
            }
            if page.objects.len() + page.prefixes.len() == selection.limit {
                page.next = last;
                return page;
            }
            if let Some(prefix) = common_prefix(key, selection) {
                page.prefixes.push(prefix.to_owned());
                last = Some(prefix.to_owned());
                // Skips the keys below the prefix without visiting them.
                from = successor(prefix).map(Bound::Included);
                break;
            }
            page.objects.push((key.clone(), *object));
            last = Some(key.to_string());
        }
    }
    page
}

/// Where a listing starts: at the prefix, or after the marker, or after all that a marker which is
/// itself a common prefix stands for.
fn start(selection: Selection<'_>) -> Option<Bound<String>> {
    let Selection { prefix, after, .. } = selection;
    if after < prefix {
        return Some(Bound::Included(prefix.to_owned()));
    }
    match common_prefix(after, selection) {
        Some(common) if common == after => successor(after).map(Bound::Included),
        _ if after.is_empty() => Some(Bound::Unbounded),
        _ => Some(Bound::Excluded(after.to_owned())),
    }
}

/// The part of `key` up to and with the first delimiter after the prefix.
fn common_prefix<'a>(key: &'a str, selection: Selection<'_>) -> Option<&'a str> {
    let Selection { prefix, delimiter, .. } = selection;
    if delimiter.is_empty() {
        return None;
    }
    let found = key.strip_prefix(prefix)?.find(delimiter)?;
    Some(&key[..prefix.len() + found + delimiter.len()])
}

/// The least string after all that start with `prefix`; `None` if nothing can follow.
fn successor(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        // The scalar after a surrogate's neighbour, or nothing after the greatest.
        let next =
            if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: Object = Object { size: 3, crc64: 1, md5: None, parts: 0, modified: 0 };

    fn store(keys: &[&str]) -> Store {
        let store = Store::default();
        for key in keys {
            store.put("b", key, OBJECT);
        }
        store
    }

    fn names(page: &Page) -> Vec<&str> {
        page.objects.iter().map(|(key, _)| &**key).collect()
    }

    fn select<'a>(
        prefix: &'a str,
        delimiter: &'a str,
        after: &'a str,
        limit: usize,
    ) -> Selection<'a> {
        Selection { prefix, delimiter, after, limit }
    }

    #[test]
    fn a_listing_is_sorted_by_bytes_and_paged() {
        let store = store(&["a/", "a", "a-", "a.", "b", "ä", "\u{10000}", "\u{ffff}"]);
        let first = store.list("b", select("", "", "", 5));
        assert_eq!(names(&first), ["a", "a-", "a.", "a/", "b"]);
        let second = store.list("b", select("", "", first.next.as_deref().unwrap(), 5));
        assert_eq!(names(&second), ["ä", "\u{ffff}", "\u{10000}"]);
        assert_eq!(second.next, None);
    }

    #[test]
    fn a_full_last_page_is_not_truncated() {
        let page = store(&["a", "b"]).list("b", select("", "", "", 2));
        assert_eq!((page.objects.len(), page.next), (2, None));
    }

    #[test]
    fn a_delimiter_folds_keys_and_pages_after_the_fold() {
        let store = store(&["p/a/1", "p/a/2", "p/b", "p/c/1", "q"]);
        let first = store.list("b", select("p/", "/", "", 1));
        assert_eq!(first.prefixes, ["p/a/"]);
        let second = store.list("b", select("p/", "/", first.next.as_deref().unwrap(), 10));
        assert_eq!(names(&second), ["p/b"]);
        assert_eq!(second.prefixes, ["p/c/"]);
    }

    #[test]
    fn the_census_counts_markers_apart() {
        let census = store(&["d/", "d/x", "y"]).census();
        assert_eq!(census, Census { objects: 2, bytes: 6, markers: 1 });
    }

    #[test]
    fn etags_take_the_shape_of_their_kind() {
        assert_eq!(OBJECT.etag(), "00000000000000010000000000000003-1");
        let md5 = Object { md5: Some([0xab; 16]), ..OBJECT };
        assert_eq!(md5.etag(), "ab".repeat(16));
        assert_eq!(Object { parts: 2, ..md5 }.etag(), format!("{}-2", "ab".repeat(16)));
    }

    #[test]
    fn a_successor_skips_all_that_starts_alike() {
        assert_eq!(successor("a/").as_deref(), Some("a0"));
        assert_eq!(successor("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(successor("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(successor("\u{10ffff}"), None);
    }
}
