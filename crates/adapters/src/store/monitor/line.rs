//! One line of the log of yas3fs.
//!
//! A line is `THREAD TIME LEVEL MESSAGE`; THREAD may have blanks in it, and older versions have none. Messages are those of
//! yas3fs 2.2 to 2.3.5, `yas3fs/__init__.py` (`check_status`, `do_cmd_on_s3_now_w_retries`) and its two plugins.

use std::str::FromStr;

const LEVELS: [&str; 5] = [" DEBUG ", " INFO ", " WARNING ", " ERROR ", " CRITICAL "];

const STATUS: &str = "entries, mem_size, disk_size, download_queue, prefetch_queue, s3_queue: ";

const MULTIPART: &str = "multipart_uploads_in_progress = ";

/// As yas3fs itself says it, and as its plugins do.
const FAILED: [&str; 2] =
    ["do_cmd_on_s3_now_w_retries FAILED", "PLUGIN do_cmd_on_s3_now_w_retries FAILED"];

/// What a line says that matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// So many uploads are queued; those that a thread has begun are not among them.
    Queued(u64),
    /// So many multipart uploads are in progress.
    Multipart(u64),
    /// Something was given up.
    Failed(String),
}

impl Line {
    /// Reads a line without its end. `None` if it says nothing of interest.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let line = String::from_utf8_lossy(line);
        let message = message(&line)?;
        if let Some(numbers) = message.strip_prefix(STATUS) {
            let numbers: Option<Vec<u64>> = numbers.split(", ").map(number).collect();
            let [_, _, _, _, _, queued] = numbers?.try_into().ok()?;
            return Some(Self::Queued(queued));
        }
        if let Some(count) = message.strip_prefix(MULTIPART) {
            return Some(Self::Multipart(number(count)?));
        }
        let is_failed = FAILED.iter().any(|words| message.starts_with(words));
        is_failed.then(|| Self::Failed(message.to_owned()))
    }
}

fn number(text: &str) -> Option<u64> {
    u64::from_str(text.trim_end()).ok()
}

/// What follows the first word that is a level: names of files stand behind it.
fn message(line: &str) -> Option<&str> {
    let at = |level: &&str| line.find(*level).map(|at| (at, at + level.len()));
    let (_, end) = LEVELS.iter().filter_map(at).min()?;
    Some(&line[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_it_says() {
        let cases = [
            (
                "CacheStatus 2026-11-23T06:00:00.123456+00:00 INFO entries, mem_size, disk_size, download_queue, prefetch_queue, s3_queue: 7, 0, 81, 1, 2, 3",
                Some(Line::Queued(3)),
            ),
            (
                "2014-11-10 12:00:00,123 INFO multipart_uploads_in_progress = 2",
                Some(Line::Multipart(2)),
            ),
            ("T 1 INFO multipart_uploads_in_progress = many", None),
            (
                "T 1 INFO entries, mem_size, disk_size, download_queue, prefetch_queue, s3_queue: 1, 2",
                None,
            ),
            (
                "Thread-7 (get_to_do_on_s3) 2026-11-23 ERROR do_cmd_on_s3_now_w_retries FAILED 'copy' key '<Key: b,k>'",
                Some(Line::Failed(
                    "do_cmd_on_s3_now_w_retries FAILED 'copy' key '<Key: b,k>'".to_owned(),
                )),
            ),
            (
                "T 1 INFO PLUGIN do_cmd_on_s3_now_w_retries FAILED ('a',)",
                Some(Line::Failed("PLUGIN do_cmd_on_s3_now_w_retries FAILED ('a',)".to_owned())),
            ),
            // A file that is called like a message.
            ("T 1 DEBUG open ' INFO multipart_uploads_in_progress = 0'", None),
            ("T 1 DEBUG open ' ERROR do_cmd_on_s3_now_w_retries FAILED'", None),
            ("", None),
        ];
        for (line, says) in cases {
            assert_eq!(Line::parse(line.as_bytes()), says, "{line}");
        }
    }
}
