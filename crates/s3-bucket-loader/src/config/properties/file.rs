//! The file itself, by Java's rules, and typed questions to it that gather all that is wrong.

use std::collections::{BTreeMap, BTreeSet};

use java_properties::{LineContent, PropertiesIter};

use super::table::{PROPERTIES, property};
use crate::config::nearest;

/// Words on a line of the file; line 0 is none of them.
pub(crate) type Told = (usize, String);

/// A value with the line that it stands in.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// The value, with the blanks at its end.
    pub(crate) text: String,
    /// The line, from 1.
    pub(crate) line: usize,
}

/// A file that is being read. What is wrong with it is gathered, so that all of it is told at once.
#[derive(Debug)]
pub(crate) struct PropertiesFile {
    found: BTreeMap<String, Found>,
    faults: Vec<(usize, String)>,
    notes: Vec<(usize, String)>,
    /// Properties that were asked for.
    asked: BTreeSet<&'static str>,
}

impl PropertiesFile {
    /// Reads a file. Of a repeated property the last line counts, as in Java, and the others are told.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let mut file = Self {
            found: BTreeMap::new(),
            faults: Vec::new(),
            notes: Vec::new(),
            asked: BTreeSet::new(),
        };
        for line in PropertiesIter::new(bytes) {
            match line {
                Ok(line) => {
                    let number = line.line_number();
                    if let LineContent::KVPair(name, text) = line.consume_content() {
                        file.take(name, text, number);
                    }
                }
                Err(error) => {
                    let line = error.line_number().unwrap_or(0);
                    file.faults.push((line, format!("cannot be read: {error}")));
                    break;
                }
            }
        }
        file
    }

    fn take(&mut self, name: String, text: String, line: usize) {
        if property(&name).is_none() {
            let known = PROPERTIES.iter().map(|property| property.name);
            let hint = nearest(&name, known).map(|it| format!(" (did you mean `{it}`?)"));
            let hint = hint.unwrap_or_default();
            self.faults.push((line, format!("`{name}` is no property of the original{hint}")));
            return;
        }
        if let Some(before) = self.found.insert(name.clone(), Found { text, line }) {
            let first = before.line;
            self.notes
                .push((line, format!("`{name}` stands in line {first} already; this one counts")));
        }
    }

    /// The line of a property, 0 if it is not there.
    pub(crate) fn line(&self, name: &str) -> usize {
        self.found.get(name).map_or(0, |found| found.line)
    }

    /// Says that something is wrong.
    pub(crate) fn fault(&mut self, name: &str, what: impl AsRef<str>) {
        let line = self.line(name);
        self.faults.push((line, format!("`{name}` {}", what.as_ref())));
    }

    /// Says something that is worth knowing.
    pub(crate) fn note(&mut self, name: &str, what: impl AsRef<str>) {
        let line = self.line(name);
        self.notes.push((line, format!("`{name}` {}", what.as_ref())));
    }

    /// All that is wrong, by line.
    pub(crate) fn into_words(mut self) -> (Vec<Told>, Vec<Told>) {
        self.faults.sort();
        self.notes.sort();
        (self.faults, self.notes)
    }

    /// Asks for a text; an empty one is none. Blanks at its end do not count, and are told.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        let Some(property) = property(name) else {
            unreachable!("only properties of the table are asked for");
        };
        let is_first = self.asked.insert(property.name);
        let text = self.found.get(name)?.text.clone();
        let trimmed = text.trim();
        if trimmed.len() < text.len() && !trimmed.is_empty() && is_first {
            self.note(
                name,
                "has blanks at its end, which the original took for a part of the value",
            );
        }
        (!trimmed.is_empty()).then(|| trimmed.to_owned())
    }

    /// Asks for a number.
    pub(crate) fn number(&mut self, name: &'static str) -> Option<u64> {
        let text = self.text(name)?;
        let number = text.parse().ok();
        if number.is_none() {
            self.fault(name, format!("is `{text}`, but must be a whole number"));
        }
        number
    }

    /// Asks for true or false, in any case; absent is false.
    pub(crate) fn is_true(&mut self, name: &'static str) -> bool {
        match self.text(name) {
            Some(text) if text.eq_ignore_ascii_case("true") => true,
            Some(text) if !text.eq_ignore_ascii_case("false") => {
                self.fault(name, format!("is `{text}`, but must be true or false"));
                false
            }
            Some(_) | None => false,
        }
    }

    /// Asks for one of some words; each stands for the flag's value beside it.
    pub(crate) fn choice(
        &mut self,
        name: &'static str,
        words: &[(&'static str, &'static str)],
    ) -> Option<&'static str> {
        let text = self.text(name)?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
            return Some(meaning);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let hint = match nearest(&text, known.iter().copied()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("it may be {}", known.join(", ")),
        };
        self.fault(name, format!("is `{text}`, which it cannot be: {hint}"));
        None
    }

    /// Asks for the name of a class, with or without its package.
    pub(crate) fn class(
        &mut self,
        name: &'static str,
        words: &[(&'static str, &'static str)],
    ) -> Option<&'static str> {
        let short = self.text(name)?.rsplit('.').next().unwrap_or_default().to_owned();
        if let Some(found) = self.found.get_mut(name) {
            found.text = short;
        }
        self.choice(name, words)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(file: &str, name: &'static str) -> Option<String> {
        PropertiesFile::parse(file.as_bytes()).text(name)
    }

    #[test]
    fn java_rules_hold() {
        let name = "tocGenerator.source.dir";
        for file in [
            "tocGenerator.source.dir=/data/caf\\u00e9",
            "tocGenerator.source.dir : /data/caf\\u00e9",
            "tocGenerator.source.dir /data/caf\\u00e9",
            "  tocGenerator.source.dir = /data\\\n   /caf\\u00e9",
            "! a comment\n# another\ntocGenerator.source.dir=/elsewhere\ntocGenerator.source.dir=/data/caf\\u00e9",
        ] {
            assert_eq!(text(file, name).as_deref(), Some("/data/caf\u{e9}"), "{file}");
        }
        let latin = b"tocGenerator.source.dir=/data/caf\xe9";
        assert_eq!(PropertiesFile::parse(latin).text(name).as_deref(), Some("/data/caf\u{e9}"));
    }

    #[test]
    fn all_that_is_wrong_is_told_with_its_line() {
        let mut file = PropertiesFile::parse(
            b"master.workers.totl=4\nmaster.workers.total=four\nmaster.workers.ec2.managed=yes \n",
        );
        assert_eq!(file.number("master.workers.total"), None);
        assert!(!file.is_true("master.workers.ec2.managed"));
        let (faults, notes) = file.into_words();
        let lines: Vec<usize> = faults.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 2, 3], "{faults:?}");
        assert!(faults[0].1.contains("did you mean `master.workers.total`?"), "{faults:?}");
        assert!(notes[0].1.contains("blanks at its end"), "{notes:?}");
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(bytes: Vec<u8>) {
            let mut file = PropertiesFile::parse(&bytes);
            let _ = file.text("tocGenerator.source.dir");
            let (faults, notes) = file.into_words();
            prop_assert!(faults.len() + notes.len() <= bytes.len() + 1);
        }
    }
}
