//! A log that grows, is moved away and begun anew.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::line::Line;

/// Bytes before the end that tell how things stand when the log is opened.
const BEFORE_BYTES: u64 = 32 * 1024;

/// Bytes that are read in one step.
const STEP_BYTES: u64 = 256 * 1024;

/// Most bytes of a line that are kept.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// How things stand, by the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Uploads that wait.
    pub(super) queued: u64,
    /// Multipart uploads in progress.
    pub(super) multipart: u64,
    /// Words on the queue that were read since the log was opened.
    pub(super) reports: u64,
    /// How many of the last reports said that there is nothing to do.
    pub(super) calm: u64,
    /// The first failure since the log was opened.
    pub(super) failed: Option<String>,
}

/// A log that is followed.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    file: File,
    /// What is read of a line whose end is not there yet.
    partial: Vec<u8>,
    pub(super) standing: Standing,
    /// When something came last.
    pub(super) heard: Instant,
}

impl Tail {
    /// Opens a log. What failed earlier is not told again.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(BEFORE_BYTES)))?;
        let mut tail = Self {
            path: path.to_owned(),
            file,
            partial: Vec::new(),
            standing: Standing::default(),
            heard: Instant::now(),
        };
        tail.read_on()?;
        let Standing { queued, multipart, .. } = tail.standing;
        tail.standing = Standing { queued, multipart, ..Standing::default() };
        Ok(tail)
    }

    /// Reads what has come since.
    pub(super) fn update(&mut self) -> io::Result<()> {
        self.read_on()?;
        let now = match std::fs::metadata(&self.path) {
            Ok(now) => now,
            // It was moved away, and the next one is not there yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let ours = self.file.metadata()?;
        let is_another = (now.dev(), now.ino()) != (ours.dev(), ours.ino());
        if is_another {
            // The last words, which came before it was moved.
            self.read_on()?;
            self.file = File::open(&self.path)?;
        } else if now.len() < self.file.stream_position()? {
            self.file.seek(SeekFrom::Start(0))?;
        } else {
            return Ok(());
        }
        self.partial.clear();
        self.read_on()
    }

    fn read_on(&mut self) -> io::Result<()> {
        loop {
            let before = self.partial.len();
            let read = (&self.file).take(STEP_BYTES).read_to_end(&mut self.partial)?;
            if read == 0 {
                return Ok(());
            }
            self.heard = Instant::now();
            let Some(end) = self.partial[before..].iter().rposition(|byte| *byte == b'\n') else {
                // Of a line without end the beginning is what counts.
                self.partial.truncate(LINE_BYTES_MAX);
                continue;
            };
            let rest = self.partial.split_off(before + end + 1);
            let whole = std::mem::replace(&mut self.partial, rest);
            whole.split(|byte| *byte == b'\n').filter_map(Line::parse).for_each(|line| {
                self.standing.hear(line);
            });
        }
    }
}

impl Standing {
    fn hear(&mut self, line: Line) {
        match line {
            Line::Queued(queued) => {
                self.queued = queued;
                self.reports += 1;
                self.calm = if queued == 0 && self.multipart == 0 { self.calm + 1 } else { 0 };
            }
            Line::Multipart(multipart) => {
                self.multipart = multipart;
                if multipart > 0 {
                    self.calm = 0;
                }
            }
            Line::Failed(words) => {
                self.failed.get_or_insert(words);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn status(queued: u64) -> String {
        format!(
            "T 1 INFO entries, mem_size, disk_size, download_queue, prefetch_queue, s3_queue: 1, 2, 3, 4, 5, {queued}\n"
        )
    }

    fn say(path: &Path, words: &str) {
        let file = File::options().create(true).append(true).open(path);
        file.unwrap().write_all(words.as_bytes()).unwrap();
    }

    #[test]
    fn how_things_stand_is_known_at_once_and_old_failures_are_not_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        say(&path, "T 1 ERROR do_cmd_on_s3_now_w_retries FAILED\n");
        say(&path, &status(40));
        let mut tail = Tail::open(&path).unwrap();
        assert_eq!(tail.standing, Standing { queued: 40, ..Standing::default() });

        say(&path, &status(0)[..20]);
        tail.update().unwrap();
        assert_eq!(tail.standing.reports, 0);
        say(&path, &status(0)[20..]);
        say(&path, "T 1 INFO multipart_uploads_in_progress = 1\n");
        say(&path, &status(0));
        tail.update().unwrap();
        let standing = Standing { multipart: 1, reports: 2, ..Standing::default() };
        assert_eq!(tail.standing, standing);
        say(&path, "T 1 INFO multipart_uploads_in_progress = 0\n");
        say(&path, &status(0).repeat(2));
        tail.update().unwrap();
        assert_eq!((tail.standing.calm, tail.standing.reports), (2, 4));
    }

    #[test]
    fn nothing_is_lost_when_the_log_is_moved_away_or_emptied() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("log"), folder.path().join("log.1"));
        say(&path, &status(1));
        let mut tail = Tail::open(&path).unwrap();

        say(&path, "T 1 ERROR do_cmd_on_s3_now_w_retries FAILED 'first'\n");
        std::fs::rename(&path, &moved).unwrap();
        say(&path, &status(7));
        tail.update().unwrap();
        assert_eq!(
            tail.standing.failed.as_deref(),
            Some("do_cmd_on_s3_now_w_retries FAILED 'first'")
        );
        assert_eq!(tail.standing.queued, 7);

        File::create(&path).unwrap();
        tail.update().unwrap();
        say(&path, &status(9));
        tail.update().unwrap();
        assert_eq!(tail.standing.queued, 9);
        std::fs::remove_file(&path).unwrap();
        tail.update().unwrap();
    }
}
