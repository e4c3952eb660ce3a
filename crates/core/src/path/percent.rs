//! The map of `--names percent`: bytes that no key should carry as `%` and two hexadecimal digits.
//!
//! Written so are bytes that are no UTF-8, control characters, `\` (some stores take it for `/`), the two characters that
//! XML cannot carry, and `%` itself, so that the map is injective. Everything else stays as it is.

use std::borrow::Cow;

/// Whether XML 1.0 cannot carry the character, not even as a reference.
/// Source: Extensible Markup Language 1.0, section 2.2, production `Char`.
pub(super) fn breaks_xml(character: char) -> bool {
    matches!(character,
        '\u{0}'..='\u{8}' | '\u{B}' | '\u{C}' | '\u{E}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}')
}

fn is_escaped(character: char) -> bool {
    matches!(character, '\u{0}'..='\u{1F}' | '\u{7F}' | '%' | '\\' | '\u{FFFE}' | '\u{FFFF}')
}

/// Writes bytes as text from which [`percent_decoded`] reads them back.
pub(super) fn encoded(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text.contains(is_escaped)
    {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if is_escaped(character) {
                let mut buffer = [0; 4];
                push_escaped(&mut text, character.encode_utf8(&mut buffer).as_bytes());
            } else {
                text.push(character);
            }
        }
        push_escaped(&mut text, chunk.invalid());
    }
    Cow::Owned(text)
}

fn push_escaped(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        text.push_str(&format!("%{byte:02X}"));
    }
}

/// Reads `%XX` as bytes. `None` where a `%` is not followed by two hexadecimal digits.
pub fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        let (digits, tail) = tail.split_at_checked(2)?;
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let value = digit(digits[0])? << 4 | digit(digits[1])?;
        bytes.push(u8::try_from(value).expect("two hexadecimal digits are a byte"));
        rest = tail;
    }
    Some(bytes)
}
