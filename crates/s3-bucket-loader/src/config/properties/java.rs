//! The rules of a Java properties file: Latin-1, escapes, continuation lines, comments, three kinds of separators.
//!
//! Source: the documentation of `java.util.Properties.load(InputStream)`. The crate `java-properties` was looked at and
//! left out: it ends at the first fault, and reads Latin-1 as windows-1252.

use std::iter::Peekable;
use std::vec::IntoIter;

use super::file::Told;

/// One property, as the file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    /// The name.
    pub(crate) name: String,
    /// The value; blanks at its end belong to it.
    pub(crate) value: String,
    /// The line on which it begins, from 1.
    pub(crate) line: usize,
}

/// Reads a file. What cannot be understood is left out and told; any bytes have an answer.
pub(crate) fn parse(bytes: &[u8]) -> (Vec<Pair>, Vec<Told>) {
    let (mut pairs, mut faults) = (Vec::new(), Vec::new());
    for (line, text) in logical_lines(bytes) {
        let (name, value) = split(&text);
        match (unescape(name), unescape(value)) {
            (Ok(name), Ok(value)) => pairs.push(Pair { name, value, line }),
            (Err(message), _) | (_, Err(message)) => faults.push((line, message)),
        }
    }
    (pairs, faults)
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\x0c')
}

/// The lines that hold something, continued ones joined, with the number of their first.
fn logical_lines(bytes: &[u8]) -> Vec<(usize, Vec<char>)> {
    let mut lines = natural_lines(bytes).into_iter().enumerate().peekable();
    let mut logical = Vec::new();
    while let Some((index, line)) = lines.next() {
        let line = trimmed(line);
        if line.is_empty() || matches!(line[0], '#' | '!') {
            continue;
        }
        let text = continued(line, &mut lines);
        if !text.is_empty() {
            logical.push((index + 1, text));
        }
    }
    logical
}

/// Every byte of Latin-1 is the character of its number. A line ends with CR, LF, or both.
fn natural_lines(bytes: &[u8]) -> Vec<Vec<char>> {
    let mut lines = vec![Vec::new()];
    let mut bytes = bytes.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' | b'\n' => {
                bytes.next_if(|next| byte == b'\r' && *next == b'\n');
                lines.push(Vec::new());
            }
            _ => lines.last_mut().expect("there is a first line").push(char::from(byte)),
        }
    }
    lines
}

fn trimmed(line: Vec<char>) -> Vec<char> {
    line.into_iter().skip_while(|character| is_blank(*character)).collect()
}

/// Takes the lines that follow while an odd number of `\` stands at the end.
fn continued(
    mut text: Vec<char>,
    lines: &mut Peekable<std::iter::Enumerate<IntoIter<Vec<char>>>>,
) -> Vec<char> {
    while text.iter().rev().take_while(|character| **character == '\\').count() % 2 == 1 {
        text.pop();
        match lines.next() {
            Some((_, line)) => text.extend(trimmed(line)),
            None => break,
        }
    }
    text
}

/// Splits at the first `=`, `:` or blank that no `\` stands before.
fn split(text: &[char]) -> (&[char], &[char]) {
    let mut end = 0;
    while end < text.len() && !matches!(text[end], '=' | ':') && !is_blank(text[end]) {
        end += if text[end] == '\\' { 2 } else { 1 };
    }
    let end = end.min(text.len());
    let skip = |from: usize| from + text[from..].iter().take_while(|it| is_blank(**it)).count();
    let mut start = skip(end);
    if text.get(start).is_some_and(|separator| matches!(separator, '=' | ':')) {
        start = skip(start + 1);
    }
    (&text[..end], &text[start..])
}

fn unescape(text: &[char]) -> Result<String, String> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(character) = rest.next() {
        let plain = match (*character, character) {
            ('\\', _) => match rest.next() {
                None => break,
                Some('u') => {
                    let digits: String = rest.by_ref().take(4).collect();
                    let is_hex =
                        digits.len() == 4 && digits.chars().all(|it| it.is_ascii_hexdigit());
                    let unit = u16::from_str_radix(&digits, 16).ok().filter(|_| is_hex);
                    units.push(unit.ok_or_else(|| {
                        format!("`\\u{digits}` is no escape: write \\u and four hexadecimal digits, and \\\\ for a backslash")
                    })?);
                    continue;
                }
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\x0c',
                Some(other) => *other,
            },
            (character, _) => character,
        };
        units.extend_from_slice(plain.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).map_err(|_| "half of a surrogate pair stands alone".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &[u8]) -> Vec<(String, String, usize)> {
        let (pairs, faults) = parse(text);
        assert_eq!(faults, []);
        pairs.into_iter().map(|pair| (pair.name, pair.value, pair.line)).collect()
    }

    #[track_caller]
    fn assert_read(text: &[u8], expected: &[(&str, &str, usize)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, value, line)| ((*name).to_owned(), (*value).to_owned(), *line))
            .collect();
        assert_eq!(read(text), expected);
    }

    /// What OpenJDK 17 reads from the same bytes.
    #[test]
    fn a_file_is_read_as_java_reads_it() {
        assert_read(
            b"a=1\nb : 2\r\nc 3\rd\n",
            &[("a", "1", 1), ("b", "2", 2), ("c", "3", 3), ("d", "", 4)],
        );
        assert_read(b"  # no\n ! no \\\na=b # yes\n", &[("a", "b # yes", 3)]);
        assert_read(
            b"list = x,\\\n   y,\\\n\tz\nnext==1",
            &[("list", "x,y,z", 1), ("next", "=1", 4)],
        );
        assert_read(b"blank=kept \t\nend=\\", &[("blank", "kept \t", 1), ("end", "", 2)]);
        assert_read(b"\\:a\\=b\\ c = \\ d\\q", &[(":a=b c", " dq", 1)]);
        assert_read(
            b"l=\xe9\x80 \\u00fc\\uD83D\\uDE00",
            &[("l", "\u{e9}\u{80} \u{fc}\u{1f600}", 1)],
        );
        assert_read(b"path=C:\\\\x\\\\\nb=1", &[("path", "C:\\x\\", 1), ("b", "1", 2)]);
        assert_read(b"cont\\\n  = v", &[("cont", "v", 1)]);
    }

    #[test]
    fn faults_are_told_with_their_lines_and_the_rest_is_read() {
        let (pairs, faults) = parse(b"a=\\u00g1\nb=1\nc=\\ud800\n\\u12=x");
        assert_eq!(pairs.len(), 1);
        assert_eq!(faults.iter().map(|fault| fault.0).collect::<Vec<_>>(), [1, 3, 4]);
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let (pairs, faults) = parse(&bytes);
            prop_assert!(pairs.len() + faults.len() <= bytes.len());
        }

        #[test]
        fn bytes_that_matter_have_an_answer(text in "[\\\\u0=: \\t\\r\\n#!a-f]{0,60}") {
            parse(text.as_bytes());
        }
    }
}
