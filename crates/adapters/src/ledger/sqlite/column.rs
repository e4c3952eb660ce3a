//! Values of this project as SQLite's values, and back.

use bytes::Bytes;
use rusqlite::Row;
use rusqlite::types::{ToSqlOutput, ValueRef};
use s3bl_core::checksum::Crc64Nvme;
use s3bl_core::path::RelPath;
use s3bl_core::unit::ByteCount;

use super::error::Fault;

/// A count as SQLite's signed integer. Counts beyond 2^63, which only sums over sparse files reach, stick there.
pub(super) fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A path: text where it is UTF-8, so that a person can read and compare it.
pub(super) fn path(path: &RelPath) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(readable(path.as_bytes()))
}

/// Bytes as text where they are UTF-8.
pub(super) fn readable(bytes: &[u8]) -> ValueRef<'_> {
    match std::str::from_utf8(bytes) {
        Ok(_) => ValueRef::Text(bytes),
        Err(_) => ValueRef::Blob(bytes),
    }
}

/// The checksum that stands beside a blob, as a signed integer with the same bits.
pub(super) fn checksum(bytes: &[u8]) -> i64 {
    Crc64Nvme::of(bytes).0.cast_signed()
}

/// The columns of a row, read from left to right.
pub(super) struct Columns<'row> {
    row: &'row Row<'row>,
    next: usize,
}

impl<'row> Columns<'row> {
    pub(super) fn of(row: &'row Row<'row>) -> Self {
        Self { row, next: 0 }
    }

    fn value(&mut self) -> Result<ValueRef<'row>, Fault> {
        self.next += 1;
        Ok(self.row.get_ref(self.next - 1)?)
    }

    fn damaged(&self) -> Fault {
        let statement: &rusqlite::Statement<'_> = self.row.as_ref();
        let name = statement.column_name(self.next - 1).unwrap_or("?");
        Fault::damaged(format!("column `{name}` holds an impossible value"))
    }

    /// A count; negative ones are damage.
    pub(super) fn count(&mut self) -> Result<u64, Fault> {
        self.optional_count()?.ok_or_else(|| self.damaged())
    }

    /// A count that may be absent.
    pub(super) fn signed(&mut self) -> Result<i64, Fault> {
        self.value()?.as_i64().map_err(|_| self.damaged())
    }

    pub(super) fn optional_count(&mut self) -> Result<Option<u64>, Fault> {
        match self.value()? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(count) => Ok(Some(u64::try_from(count).map_err(|_| self.damaged())?)),
            ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => Err(self.damaged()),
        }
    }

    /// A count of at most 2^32 - 1.
    pub(super) fn small_count(&mut self) -> Result<u32, Fault> {
        let count = self.count()?;
        u32::try_from(count).map_err(|_| self.damaged())
    }

    /// A number of bytes.
    pub(super) fn byte_count(&mut self) -> Result<ByteCount, Fault> {
        self.count().map(ByteCount)
    }

    /// A text.
    pub(super) fn text(&mut self) -> Result<&'row str, Fault> {
        self.optional_text()?.ok_or_else(|| self.damaged())
    }

    /// A text that may be absent.
    pub(super) fn optional_text(&mut self) -> Result<Option<&'row str>, Fault> {
        match self.value()? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(text) => {
                Ok(Some(std::str::from_utf8(text).map_err(|_| self.damaged())?))
            }
            ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => Err(self.damaged()),
        }
    }

    /// A value with a name of its own: a class, a verdict, an identifier.
    pub(super) fn word<T>(&mut self, read: impl FnOnce(&str) -> Option<T>) -> Result<T, Fault> {
        let word = self.text()?;
        read(word).ok_or_else(|| self.damaged())
    }

    /// A path.
    pub(super) fn path(&mut self) -> Result<RelPath, Fault> {
        match self.value()? {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                RelPath::new(bytes).map_err(|_| self.damaged())
            }
            ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => Err(self.damaged()),
        }
    }

    /// A blob and, in the next column, its checksum: compared.
    pub(super) fn checked_blob(&mut self) -> Result<Bytes, Fault> {
        let ValueRef::Blob(blob) = self.value()? else {
            return Err(self.damaged());
        };
        if self.value()? != ValueRef::Integer(checksum(blob)) {
            return Err(self.damaged());
        }
        Ok(Bytes::copy_from_slice(blob))
    }
}
