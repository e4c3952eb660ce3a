//! The append-only file of all changes.
//!
//! ```text
//! {"version":1}
//! {"create_bucket":{"bucket":"photos","created":1767225600}}
//! {"put":{"bucket":"photos","key":"a.jpg","object":{…,"segments":[{"file":1,"offset":0,"size":4096}]}}}
//! ```
//!
//! A last line without its line feed is what a killed process was about to write: nobody was told of it, and it is
//! cut off. Any other line that does not parse is damage, and the store does not open.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::blob::{BlobName, Segment};
use super::error::OpenError;
use super::index::{Index, Record};
use super::recovery::Recovery;

const VERSION: u32 = 1;

/// Lines beyond what exists that are worth a rewrite at the start.
const SURPLUS_LINES: usize = 10_000;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
}

/// The open journal.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    length: u64,
    line: Vec<u8>,
    /// Half a line could not be taken back: nothing may follow it.
    broken: bool,
}

impl Journal {
    /// Reads `path` into an index and opens it for more; a missing file is an empty journal.
    pub(super) fn open(path: &Path, recovery: Recovery) -> Result<(Self, Index), OpenError> {
        let (index, lines, length) = replay(path, recovery)?;
        if lines > 2 * index.record_count() + SURPLUS_LINES {
            return Ok((Self::rewrite(path, &index)?, index));
        }
        let file =
            OpenOptions::new().create(true).append(true).open(path).map_err(OpenError::io(path))?;
        file.set_len(length).map_err(OpenError::io(path))?;
        let mut journal = Self { file, length, line: Vec::new(), broken: false };
        if length == 0 {
            journal.append_line(&Header { version: VERSION }).map_err(OpenError::io(path))?;
        }
        Ok((journal, index))
    }

    /// Appends a change. When this returns an error, the journal is as it was.
    pub(super) fn append(&mut self, record: &Record<Segment>) -> io::Result<()> {
        self.append_line(record)
    }

    fn append_line(&mut self, value: &impl Serialize) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write has failed half-way"));
        }
        self.line.clear();
        serde_json::to_writer(&mut self.line, value)?;
        self.line.push(b'\n');
        if let Err(error) = self.file.write_all(&self.line) {
            // Half a line in the middle would be damage: take it back.
            self.broken = self.file.set_len(self.length).is_err();
            return Err(error);
        }
        self.length += self.line.len() as u64;
        Ok(())
    }

    /// Writes a journal of what exists beside the old one, and puts it in its place.
    fn rewrite(path: &Path, index: &Index) -> Result<Self, OpenError> {
        let fresh: PathBuf = path.with_extension("ndjson.new");
        let mut writer = BufWriter::new(File::create(&fresh).map_err(OpenError::io(&fresh))?);
        write_all(&mut writer, index).map_err(OpenError::io(&fresh))?;
        fs::rename(&fresh, path).map_err(OpenError::io(path))?;
        let file = OpenOptions::new().append(true).open(path).map_err(OpenError::io(path))?;
        let length = file.metadata().map_err(OpenError::io(path))?.len();
        Ok(Self { file, length, line: Vec::new(), broken: false })
    }
}

fn write_all(writer: &mut BufWriter<File>, index: &Index) -> io::Result<()> {
    serde_json::to_writer(&mut *writer, &Header { version: VERSION })?;
    writer.write_all(b"\n")?;
    for record in index.records() {
        serde_json::to_writer(&mut *writer, &record)?;
        writer.write_all(b"\n")?;
    }
    writer.flush()?;
    writer.get_ref().sync_all()
}

/// Reads all whole lines: the index, how many lines, and how many bytes they take.
fn replay(path: &Path, mut recovery: Recovery) -> Result<(Index, usize, u64), OpenError> {
    let mut index = Index::default();
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            recovery.finish(&index)?;
            return Ok((index, 0, 0));
        }
        opened => opened.map_err(OpenError::io(path))?,
    };
    let mut reader = BufReader::new(file);
    let (mut lines, mut length, mut line) = (0_usize, 0_u64, Vec::new());
    loop {
        line.clear();
        let size = reader.read_until(b'\n', &mut line).map_err(OpenError::io(path))?;
        if line.pop_if(|last| *last == b'\n').is_none() {
            recovery.finish(&index)?;
            return Ok((index, lines, length));
        }
        length += size as u64;
        lines += 1;
        replay_line(&line, lines, &mut recovery, &mut index).map_err(|source| {
            OpenError::Journal { path: path.to_owned(), line: lines as u64, source }
        })?;
    }
}

fn replay_line(
    line: &[u8],
    number: usize,
    recovery: &mut Recovery,
    index: &mut Index,
) -> Result<(), serde_json::Error> {
    if number == 1 {
        let header: Header = serde_json::from_slice(line)?;
        return if header.version == VERSION {
            Ok(())
        } else {
            Err(serde::de::Error::custom(format_args!("version {} is unknown", header.version)))
        };
    }
    let record: Record<BlobName> = serde_json::from_slice(line)?;
    index.apply(record.map(|name| recovery.segment(name)));
    Ok(())
}
