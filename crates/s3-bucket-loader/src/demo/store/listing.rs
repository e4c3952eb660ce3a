//! The listing of a bucket: which keys, in which order, and what a delimiter folds together.

use std::collections::BTreeMap;
use std::ops::Bound;

/// What to list.
#[derive(Debug, Clone, Copy)]
pub(in crate::demo) struct Query<'a> {
    /// Only keys that start with this.
    pub(in crate::demo) prefix: &'a str,
    /// Folds keys that agree up to its first occurrence after the prefix; never empty.
    pub(in crate::demo) delimiter: Option<&'a str>,
    /// Only what comes after this: a key, a folded prefix, or any other text.
    pub(in crate::demo) after: Option<&'a str>,
    /// How many entries at most.
    pub(in crate::demo) limit: usize,
}

/// An entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::demo) enum Entry<V> {
    /// A key with what it holds.
    Key(String, V),
    /// All keys that start with this, folded.
    Prefix(String),
}

impl<V> Entry<V> {
    /// Where the next page goes on.
    pub(in crate::demo) fn name(&self) -> &str {
        match self {
            Self::Key(name, _) | Self::Prefix(name) => name,
        }
    }
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::demo) struct Page<V> {
    /// In the order of their names' bytes; at most [`Query::limit`].
    pub(in crate::demo) entries: Vec<Entry<V>>,
    /// There is more after the last entry.
    pub(in crate::demo) truncated: bool,
}

/// Lists `map`.
///
/// Takes time in the number of entries returned: folded keys are jumped over, not walked.
pub(super) fn list<V: Clone>(map: &BTreeMap<String, V>, query: &Query<'_>) -> Page<V> {
    let mut entries: Vec<Entry<V>> = Vec::new();
    if query.limit == 0 {
        return Page { entries, truncated: false };
    }
    let mut start = first(query);
    while let Some(start_bound) = start.take() {
        let range = map.range::<str, _>((as_ref(&start_bound), Bound::Unbounded));
        for (key, value) in range.take_while(|(key, _)| key.starts_with(query.prefix)) {
            if entries.len() == query.limit {
                return Page { entries, truncated: true };
            }
            match folded(key, query) {
                None => entries.push(Entry::Key(key.clone(), value.clone())),
                Some(prefix) => {
                    entries.push(Entry::Prefix(prefix.to_owned()));
                    start = past(prefix).map(Bound::Included);
                    break;
                }
            }
        }
    }
    Page { entries, truncated: false }
}

fn as_ref(bound: &Bound<String>) -> Bound<&str> {
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}

/// Where the listing begins; `None` when nothing can follow.
fn first(query: &Query<'_>) -> Option<Bound<String>> {
    match query.after {
        Some(after) if folded(after, query) == Some(after) => past(after).map(Bound::Included),
        Some(after) if after >= query.prefix => Some(Bound::Excluded(after.to_owned())),
        Some(_) | None => Some(Bound::Included(query.prefix.to_owned())),
    }
}

/// The prefix that `key` folds into, its delimiter included.
fn folded<'a>(key: &'a str, query: &Query<'_>) -> Option<&'a str> {
    let delimiter = query.delimiter?;
    let rest = key.strip_prefix(query.prefix)?;
    let end = query.prefix.len() + rest.find(delimiter)? + delimiter.len();
    Some(&key[..end])
}

/// The least text that is greater than everything that starts with `prefix`; `None` when there is none.
fn past(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        // The order of UTF-8 bytes is that of code points, and `char` ranges skip the surrogates.
        if let Some(next) = (last..=char::MAX).nth(1) {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn map(keys: &[&str]) -> BTreeMap<String, ()> {
        keys.iter().map(|key| ((*key).to_owned(), ())).collect()
    }

    fn all() -> Query<'static> {
        Query { prefix: "", delimiter: None, after: None, limit: 1_000 }
    }

    fn names(page: &Page<()>) -> Vec<&str> {
        page.entries.iter().map(Entry::name).collect()
    }

    #[test]
    fn keys_come_in_the_order_of_their_bytes() {
        let map = map(&["b", "a/b", "a.b", "a", "ab", "B", "é", "z", "\u{1F600}", "\u{FFFD}"]);

        let page = list(&map, &all());

        assert_eq!(
            names(&page),
            ["B", "a", "a.b", "a/b", "ab", "b", "z", "é", "\u{FFFD}", "\u{1F600}"]
        );
    }

    #[test]
    fn a_delimiter_folds_what_follows_the_prefix() {
        let map = map(&["photos/", "photos/1/a", "photos/1/b", "photos/2/a", "photos/x", "readme"]);
        let query = Query { prefix: "photos/", delimiter: Some("/"), ..all() };

        let page = list(&map, &query);

        assert_eq!(names(&page), ["photos/", "photos/1/", "photos/2/", "photos/x"]);
    }

    #[test]
    fn a_page_that_ends_exactly_is_not_truncated() {
        let map = map(&["a", "b", "c"]);

        let page = list(&map, &Query { limit: 3, ..all() });

        assert!(!page.truncated);
    }

    #[test]
    fn nothing_is_past_the_greatest_text() {
        assert_eq!(past("a\u{10FFFF}"), Some("b".to_owned()));
        assert_eq!(past("\u{D7FF}"), Some("\u{E000}".to_owned()));
        assert_eq!(past("\u{10FFFF}\u{10FFFF}"), None);
    }

    /// The definition, without any jump.
    fn walked(map: &BTreeMap<String, ()>, query: &Query<'_>) -> Vec<String> {
        let named = map.keys().filter(|key| key.starts_with(query.prefix)).filter_map(|key| {
            let after = query.after.unwrap_or_default();
            let name = folded(key, query).unwrap_or(key);
            (name != after && key.as_str() > after).then(|| name.to_owned())
        });
        named.collect::<BTreeSet<_>>().into_iter().collect()
    }

    proptest! {
        #[test]
        fn pages_join_to_the_walk(
            keys in proptest::collection::btree_set("[ab/\u{10FFFF}]{1,5}", 0..40),
            prefix in "[ab/]{0,2}",
            delimiter in proptest::option::of("[/b]{1,2}"),
            limit in 1_usize..5,
        ) {
            let map: BTreeMap<String, ()> = keys.into_iter().map(|key| (key, ())).collect();
            let query =
                Query { prefix: &prefix, delimiter: delimiter.as_deref(), after: None, limit };
            let mut joined: Vec<String> = Vec::new();

            loop {
                let after = joined.last().cloned();
                let page = list(&map, &Query { after: after.as_deref(), ..query });
                prop_assert!(page.entries.len() <= limit);
                joined.extend(page.entries.iter().map(|entry| entry.name().to_owned()));
                if !page.truncated {
                    break;
                }
            }

            prop_assert_eq!(joined, walked(&map, &query));
        }

        #[test]
        fn any_text_can_be_gone_on_from(
            keys in proptest::collection::btree_set("[ab/]{1,4}", 0..40),
            after in "[ab/]{0,4}",
            prefix in "[ab/]{0,2}",
        ) {
            let map: BTreeMap<String, ()> = keys.into_iter().map(|key| (key, ())).collect();
            let query = Query { prefix: &prefix, delimiter: Some("/"), after: Some(&after), limit: 1_000 };

            let page = list(&map, &query);

            prop_assert_eq!(names(&page), walked(&map, &query));
        }
    }
}
