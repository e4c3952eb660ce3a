//! One entry that did not come out well, as a line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::ledger::{Finding, FindingPhase, Verdict};
use crate::path::RelPath;
use crate::task::Class;

/// A line of `failures.ndjson`: one JSON object, the keys in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureLine {
    /// Where the entry lies beneath the source root, which is `.`. Of a name that is not UTF-8 a likeness to look at.
    pub path: String,
    /// The name's bytes in base64, where they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub path_b64: Option<String>,
    /// `walk`, `write` or `validate`.
    pub phase: String,
    /// The kind of trouble, as [`Class::as_str`] names it.
    pub class: String,
    /// How the entry counts, as [`Verdict::as_str`] names it.
    pub verdict: String,
    /// What was tried, and what the other side said.
    pub message: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The worker that found it; `null` for the walk.
    pub worker: Option<String>,
}

impl FailureLine {
    /// The first line of a CSV file of such lines.
    pub const CSV_HEAD: &'static str =
        "path,path_b64,phase,class,verdict,message,attempts,worker\r\n";

    /// Makes the line of a finding.
    pub fn new(phase: FindingPhase, finding: &Finding, worker: Option<&str>) -> Self {
        let Finding { path, failure, verdict, index: _ } = finding;
        let (path, path_b64) = path_texts(path);
        Self {
            path,
            path_b64,
            phase: phase.as_str().to_owned(),
            class: Class::as_str(failure.class).to_owned(),
            verdict: Verdict::as_str(*verdict).to_owned(),
            message: failure.message.clone(),
            attempts: failure.attempts,
            worker: worker.map(str::to_owned),
        }
    }

    /// The line as JSON, with its line feed.
    pub fn to_json(&self) -> String {
        let mut line = serde_json::to_string(self).expect("texts and numbers have a JSON form");
        line.push('\n');
        line
    }

    /// The line as CSV (RFC 4180), with its line end. A text that a spreadsheet would run as a formula is prefixed
    /// by an apostrophe; [`FailureLine::to_json`] gives the text as it is.
    pub fn to_csv(&self) -> String {
        let attempts = self.attempts.to_string();
        let fields = [
            self.path.as_str(),
            self.path_b64.as_deref().unwrap_or(""),
            self.phase.as_str(),
            self.class.as_str(),
            self.verdict.as_str(),
            self.message.as_str(),
            attempts.as_str(),
            self.worker.as_deref().unwrap_or(""),
        ];
        let mut line = fields.map(csv_field).join(",");
        line.push_str("\r\n");
        line
    }
}

/// A path as text to look at, and, where that is not all of it, in base64.
pub(super) fn path_texts(path: &RelPath) -> (String, Option<String>) {
    let text = if path.is_root() { None } else { path.as_str() };
    let whole = path.as_str().is_none().then(|| BASE64.encode(path.as_bytes()));
    (text.map_or_else(|| path.to_string(), str::to_owned), whole)
}

/// Quotes a field where it must be.
fn csv_field(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let guard = if is_formula { "'" } else { "" };
    if text.contains(['"', ',', '\r', '\n']) {
        return format!("\"{guard}{}\"", text.replace('"', "\"\""));
    }
    format!("{guard}{text}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::path::RelPath;
    use crate::task::Failure;

    fn line(path: &[u8], message: &str) -> FailureLine {
        let finding = Finding {
            index: 3,
            path: RelPath::new(path).unwrap(),
            failure: Failure::new(Class::EtagMismatch, message, 2),
            verdict: Verdict::Mismatched,
        };
        FailureLine::new(FindingPhase::Validate, &finding, Some("w1"))
    }

    #[test]
    fn a_line_has_these_keys_in_this_order() {
        let expected = concat!(
            r#"{"path":"a/é","phase":"validate","class":"etag-mismatch","verdict":"mismatched","#,
            r#""message":"it is \"other\"","attempts":2,"worker":"w1"}"#,
            "\n"
        );
        assert_eq!(line("a/é".as_bytes(), "it is \"other\"").to_json(), expected);
    }

    #[test]
    fn a_name_that_is_not_utf8_comes_with_its_bytes() {
        let line = line(b"caf\xe9\n", "");
        assert_eq!(
            (line.path.as_str(), line.path_b64.as_deref()),
            ("caf\\xe9\\n", Some("Y2Fm6Qo="))
        );
    }

    #[test]
    fn the_root_is_a_dot_and_a_walk_has_no_worker() {
        let finding = Finding {
            index: 0,
            path: RelPath::root(),
            failure: Failure::new(Class::Unreadable, "", 1),
            verdict: Verdict::Failed,
        };
        let json = FailureLine::new(FindingPhase::Walk, &finding, None).to_json();
        assert!(json.starts_with(r#"{"path":".","phase":"walk","#), "{json}");
        assert!(json.ends_with("\"worker\":null}\n"), "{json}");
    }

    #[test]
    fn csv_is_quoted_where_it_must_be_and_runs_no_formula() {
        let csv = line(b"=HYPERLINK(\"x\"),b", "two\nlines").to_csv();
        let expected = "\"'=HYPERLINK(\"\"x\"\"),b\",,validate,etag-mismatch,mismatched,\"two\nlines\",2,w1\r\n";
        assert_eq!(csv, expected);
        assert_eq!(FailureLine::CSV_HEAD.split(',').count(), 8);
    }

    proptest! {
        #[test]
        fn json_survives_any_name_on_one_line(path in "[^\0/]{1,20}", message in "\\PC{0,40}") {
            let Ok(_) = RelPath::new(path.as_bytes()) else { return Ok(()) };
            let line = line(path.as_bytes(), &message);
            let json = line.to_json();
            prop_assert_eq!(json.matches('\n').count(), 1);
            prop_assert_eq!(serde_json::from_str::<FailureLine>(&json).unwrap(), line);
        }
    }
}
