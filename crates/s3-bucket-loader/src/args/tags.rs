//! How tags are written on the command line: as the query of a URL, checked by the rules of S3.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3bl_core::limit::{TAG_KEY_CHARACTERS_MAX, TAG_VALUE_CHARACTERS_MAX, TAGS_MAX};
use s3bl_core::path::percent_decoded;

/// What a header with tags carries as it is.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Reads `a=1&b=2` and writes it as S3 takes it. A blank may be written as it is, as `+` or as `%20`.
pub fn tagging(text: &str) -> Result<String, String> {
    let mut tags: Vec<(String, String)> = Vec::new();
    for pair in text.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (decoded(key)?, decoded(value)?);
        check(&key, &value)?;
        if tags.iter().any(|(known, _)| *known == key) {
            return Err(format!("the tag `{key}` is given twice"));
        }
        tags.push((key, value));
    }
    if tags.len() > TAGS_MAX {
        return Err(format!("{} tags, and an object takes {TAGS_MAX}", tags.len()));
    }
    let written = |text: &str| utf8_percent_encode(text, ESCAPED).to_string();
    let tags = tags.iter().map(|(key, value)| format!("{}={}", written(key), written(value)));
    Ok(tags.collect::<Vec<_>>().join("&"))
}

fn decoded(text: &str) -> Result<String, String> {
    percent_decoded(&text.replace('+', " "))
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| format!("`{text}` is not percent-encoded UTF-8"))
}

/// Letters, digits, blanks and `+ - = . _ : / @`, not `aws:` at the beginning, and not too many.
/// Source: Amazon S3 User Guide, "Categorizing your objects using tags" (read 2026-11).
fn check(key: &str, value: &str) -> Result<(), String> {
    if key.is_empty() {
        return Err("a tag has no key: write KEY=VALUE".to_owned());
    }
    if key.to_ascii_lowercase().starts_with("aws:") {
        return Err(format!("the tag `{key}` begins with `aws:`, which is AWS's own"));
    }
    for (text, limit) in [(key, TAG_KEY_CHARACTERS_MAX), (value, TAG_VALUE_CHARACTERS_MAX)] {
        if text.chars().count() > limit {
            return Err(format!("`{text}` has more than {limit} characters"));
        }
        let is_legal = |it: char| it.is_alphanumeric() || " +-=._:/@".contains(it);
        if let Some(wrong) = text.chars().find(|character| !is_legal(*character)) {
            return Err(format!("`{text}` holds {wrong:?}, which no tag may"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_written_as_a_query() {
        assert_eq!(tagging("a=1&b=").unwrap(), "a=1&b=");
        assert_eq!(tagging("team=r+d&pfad=/é x").unwrap(), "team=r%20d&pfad=%2F%C3%A9%20x");
        assert_eq!(tagging("a%3Db=c").unwrap(), "a%3Db=c");
    }

    #[test]
    fn tags_that_no_store_takes_are_refused() {
        let eleven = (0..11).map(|number| format!("k{number}=v")).collect::<Vec<_>>().join("&");
        let long = format!("{}=v", "k".repeat(129));
        for wrong in
            ["", "=v", "a=1&a=2", "aws:x=1", "a=%zz", "a=%ff", "a=b\n", "a=*", &eleven, &long]
        {
            assert!(tagging(wrong).is_err(), "{wrong:?} was read");
        }
    }
}
