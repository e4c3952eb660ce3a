//! Reading S3's XML: bounded, without entities of its own making, forgiving about characters.
//!
//! XML 1.0 forbids most control characters even as `&#x8;`, yet S3 has keys with them and writes
//! them so. They are taken as what they mean; one odd key must not hide its page.

use quick_xml::Reader;
use quick_xml::events::Event;

/// Elements of S3's replies nest four deep; a document that goes on is none of them.
const DEPTH_MAX: usize = 16;

/// Why a body is not the document that was expected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// It does not begin like XML.
    #[error("the reply is not XML")]
    NotXml,
    /// It is well-formed so far but another document, `Error` for example.
    #[error("the reply is a `{0}`")]
    OtherRoot(String),
    /// It ends early or breaks the rules of XML.
    #[error("the reply is broken XML")]
    Broken(#[source] Option<quick_xml::Error>),
    /// It is not UTF-8.
    #[error("the reply is not UTF-8")]
    NotUtf8,
}

/// What a walk meets. `depth` is 1 for the children of the root.
pub(crate) enum Step<'a> {
    /// An element begins.
    Enter { depth: usize, name: &'a str },
    /// An element ends; `text` is its own text without that of its children.
    Leave { depth: usize, name: &'a str, text: &'a str },
}

/// Walks a document whose root must be one of `roots`, in document order.
pub(crate) fn walk(
    document: &[u8],
    roots: &[&str],
    mut visit: impl FnMut(&Step<'_>),
) -> Result<(), Fault> {
    let document = std::str::from_utf8(document).map_err(|_| Fault::NotUtf8)?.trim_start();
    if !document.starts_with('<') {
        return Err(Fault::NotXml);
    }
    let mut reader = Reader::from_str(document);
    let mut text = String::new();
    let mut depth = 0;
    let mut has_root = false;
    loop {
        let event = reader.read_event().map_err(|error| Fault::Broken(Some(error)))?;
        match event {
            Event::Start(start) => {
                let name = start.local_name();
                let name = name.as_ref();
                enter(depth, has_root, name, roots)?;
                if depth > 0 {
                    visit(&Step::Enter { depth, name });
                }
                has_root = true;
                depth += 1;
                text.clear();
            }
            Event::Empty(element) => {
                let name = element.local_name();
                let name = name.as_ref();
                enter(depth, has_root, name, roots)?;
                has_root = true;
                if depth > 0 {
                    visit(&Step::Enter { depth, name });
                    visit(&Step::Leave { depth, name, text: "" });
                }
                text.clear();
            }
            Event::End(end) => {
                depth -= 1;
                if depth > 0 {
                    visit(&Step::Leave { depth, name: end.local_name().as_ref(), text: &text });
                }
                text.clear();
            }
            Event::Text(piece) => text.push_str(&piece),
            Event::CData(piece) => text.push_str(&piece),
            Event::GeneralRef(reference) => text.push(character(&reference)?),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::DocType(_) => {}
            Event::Eof if has_root && depth == 0 => return Ok(()),
            Event::Eof => return Err(Fault::Broken(None)),
        }
    }
}

fn enter(depth: usize, has_root: bool, name: &str, roots: &[&str]) -> Result<(), Fault> {
    match depth {
        0 if has_root => Err(Fault::Broken(None)),
        0 if !roots.contains(&name) => Err(Fault::OtherRoot(name.to_owned())),
        DEPTH_MAX.. => Err(Fault::Broken(None)),
        _ => Ok(()),
    }
}

fn character(reference: &quick_xml::events::BytesRef<'_>) -> Result<char, Fault> {
    let number = reference.resolve_char_ref().map_err(|error| Fault::Broken(Some(error)))?;
    if let Some(character) = number {
        return Ok(character);
    }
    match &**reference {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err(Fault::Broken(None)),
    }
}

/// Appends `text` as the content of an element.
pub(crate) fn push_text(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaves(document: &str) -> Result<Vec<(usize, String, String)>, Fault> {
        let mut found = Vec::new();
        walk(document.as_bytes(), &["R"], |step| {
            if let Step::Leave { depth, name, text } = step {
                found.push((*depth, (*name).to_owned(), (*text).to_owned()));
            }
        })?;
        Ok(found)
    }

    #[test]
    fn control_characters_written_as_references_are_read() {
        let found = leaves("<R><K>a&#x8;b&#1;&#xFFFF;&amp;&lt;&gt;</K></R>").unwrap();
        assert_eq!(found, [(1, "K".into(), "a\u{8}b\u{1}\u{FFFF}&<>".into())]);
    }

    #[test]
    fn raw_control_characters_namespaces_and_cdata_are_read() {
        let document = "\n<?xml version=\"1.0\"?><s:R xmlns:s=\"x\"><K>\u{8}</K><E/><C><![CDATA[<&]]></C></s:R> ";
        let expected = [
            (1, "K".into(), "\u{8}".into()),
            (1, "E".into(), String::new()),
            (1, "C".into(), "<&".into()),
        ];
        assert_eq!(leaves(document).unwrap(), expected);
    }

    #[test]
    fn a_document_cut_anywhere_is_broken() {
        let document = "<R><K>a&amp;b</K><E/></R>";
        for end in 1..document.len() {
            assert!(leaves(&document[..end]).is_err(), "cut at {end}");
        }
        assert!(leaves(document).is_ok());
    }

    #[test]
    fn other_documents_are_told_apart() {
        assert!(matches!(leaves("<Error/>"), Err(Fault::OtherRoot(name)) if name == "Error"));
        assert!(matches!(leaves("hello"), Err(Fault::NotXml)));
        assert!(matches!(leaves(""), Err(Fault::NotXml)));
        assert!(matches!(leaves("<R/><R/>"), Err(Fault::Broken(None))));
        assert!(matches!(leaves("<R>&custom;</R>"), Err(Fault::Broken(None))));
        assert!(matches!(walk(b"<R>\xff</R>", &["R"], |_| ()), Err(Fault::NotUtf8)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, text: String) {
            let _ = walk(&bytes, &["R"], |_| ());
            let _ = walk(format!("<R>{text}").as_bytes(), &["R"], |_| ());
        }

        #[test]
        fn text_that_was_written_is_read_back(text: String) {
            let mut document = "<R><K>".to_owned();
            push_text(&mut document, &text);
            document.push_str("</K></R>");
            prop_assert_eq!(leaves(&document).unwrap(), [(1, "K".to_owned(), text)]);
        }
    }

    #[test]
    fn endless_nesting_is_refused() {
        let document = "<R>".to_owned() + &"<a>".repeat(100) + &"</a>".repeat(100) + "</R>";
        assert!(matches!(leaves(&document), Err(Fault::Broken(None))));
    }
}
