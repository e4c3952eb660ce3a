//! Many entries as bytes: front-coded paths, small integers, zstd around it.
//!
//! Layout, version 1, after inflating:
//!
//! ```text
//! version    1 byte, 1
//! per entry:
//!   shared   varint   bytes of the path that equal the start of the previous entry's path (0 for the first)
//!   length   varint   bytes of the path that follow
//!   path     bytes
//!   kind     1 byte   EntryKind
//!   size     varint   bytes of content
//!   seconds  varint   zigzag, mtime seconds minus those of the previous entry (0 before the first)
//!   nanos    varint   mtime nanoseconds
//! ```
//!
//! varint: little-endian base 128, as in Protocol Buffers; at most 10 bytes.

use serde::{Deserialize, Serialize};

use super::{EntryKind, TocEntry};
use crate::limit::INFLATED_BYTES_MAX;
use crate::path::{PathError, RelPath};
use crate::unit::{ByteCount, FileTime};

const VERSION: u8 = 1;

/// Fast and good enough: paths shrink tenfold by front coding before zstd sees them.
const ZSTD_LEVEL: i32 = 1;

/// Why bytes are no packed entries.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The bytes are no zstd frame, or inflate to more than the limit.
    #[error("packed entries do not inflate within {INFLATED_BYTES_MAX} bytes")]
    Inflate(#[source] std::io::Error),
    /// Written by a newer program.
    #[error("packed entries have version {found}, this program reads {VERSION}")]
    Version {
        /// The version found.
        found: u8,
    },
    /// The bytes end within an entry.
    #[error("packed entries end within entry {index}")]
    Truncated {
        /// Index of the entry, from 0.
        index: u32,
    },
    /// A number that no writer makes.
    #[error("packed entry {index} has an impossible {field}")]
    Field {
        /// Index of the entry, from 0.
        index: u32,
        /// Which field.
        field: &'static str,
    },
    /// A path that could leave the root.
    #[error("packed entry {index} has no legal path")]
    Path {
        /// Index of the entry, from 0.
        index: u32,
        /// What is wrong with it.
        #[source]
        source: PathError,
    },
    /// More or fewer entries than the count says.
    #[error("packed entries hold {found} entries, {expected} were announced")]
    Count {
        /// The entries found.
        found: u32,
        /// The count announced.
        expected: u32,
    },
}

/// Entries as they travel and rest: opaque bytes with their count and sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedEntries {
    /// The zstd frame.
    pub bytes: bytes::Bytes,
    /// Entries within, at least 1.
    pub count: u32,
    /// Sum of the entries' sizes.
    pub content: ByteCount,
}

impl PackedEntries {
    /// Unpacks all entries, in the order in which they were packed.
    pub fn unpack(&self) -> Result<Vec<TocEntry>, PackError> {
        let raw =
            zstd::bulk::decompress(&self.bytes, INFLATED_BYTES_MAX).map_err(PackError::Inflate)?;
        let mut reader = Reader { rest: &raw, index: 0 };
        let found = reader.byte()?;
        if found != VERSION {
            return Err(PackError::Version { found });
        }
        // The count is a message's claim: it may not decide how much memory is taken.
        let mut entries = Vec::with_capacity(self.count.min(4096) as usize);
        let mut path: Vec<u8> = Vec::new();
        let mut seconds = 0i64;
        while !reader.rest.is_empty() {
            entries.push(reader.entry(&mut path, &mut seconds)?);
            reader.index += 1;
        }
        if reader.index != self.count {
            return Err(PackError::Count { found: reader.index, expected: self.count });
        }
        Ok(entries)
    }
}

/// Packs entries one by one. Entries in key order pack best, but any order is correct.
#[derive(Debug)]
pub struct Packer {
    raw: Vec<u8>,
    previous_path: Vec<u8>,
    previous_seconds: i64,
    count: u32,
    content: ByteCount,
}

impl Default for Packer {
    fn default() -> Self {
        Self {
            raw: vec![VERSION],
            previous_path: Vec::new(),
            previous_seconds: 0,
            count: 0,
            content: ByteCount::ZERO,
        }
    }
}

impl Packer {
    /// Entries packed so far.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Sum of the sizes of the entries packed so far.
    pub fn content(&self) -> ByteCount {
        self.content
    }

    /// Bytes packed so far, before zstd: an upper bound of the message.
    pub fn raw_bytes(&self) -> usize {
        self.raw.len()
    }

    /// Adds an entry.
    pub fn push(&mut self, path: &[u8], kind: EntryKind, size: ByteCount, mtime: FileTime) {
        let shared = path
            .iter()
            .zip(&self.previous_path)
            .take_while(|(ours, theirs)| ours == theirs)
            .count();
        put_varint(&mut self.raw, shared as u64);
        put_varint(&mut self.raw, (path.len() - shared) as u64);
        self.raw.extend_from_slice(&path[shared..]);
        self.raw.push(kind as u8);
        put_varint(&mut self.raw, size.0);
        put_varint(&mut self.raw, zigzag(mtime.seconds.wrapping_sub(self.previous_seconds)));
        put_varint(&mut self.raw, u64::from(mtime.nanoseconds));
        self.previous_path.truncate(shared);
        self.previous_path.extend_from_slice(&path[shared..]);
        self.previous_seconds = mtime.seconds;
        self.count += 1;
        self.content += size;
    }

    /// Closes the pack and starts an empty one. `None` if nothing was packed.
    pub fn finish(&mut self) -> Option<PackedEntries> {
        if self.count == 0 {
            return None;
        }
        let frame = zstd::bulk::compress(&self.raw, ZSTD_LEVEL)
            .expect("zstd compresses any bytes into a buffer that it sizes itself");
        let packed =
            PackedEntries { bytes: frame.into(), count: self.count, content: self.content };
        self.raw.truncate(1);
        self.previous_path.clear();
        self.previous_seconds = 0;
        self.count = 0;
        self.content = ByteCount::ZERO;
        Some(packed)
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        // The mask keeps seven bits, so the cast loses nothing.
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

struct Reader<'a> {
    rest: &'a [u8],
    index: u32,
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, PackError> {
        let (first, rest) =
            self.rest.split_first().ok_or(PackError::Truncated { index: self.index })?;
        self.rest = rest;
        Ok(*first)
    }

    fn varint(&mut self, field: &'static str) -> Result<u64, PackError> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7F);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(PackError::Field { index: self.index, field })
    }

    fn bytes(&mut self, length: u64) -> Result<&'a [u8], PackError> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (taken, rest) =
            self.rest.split_at_checked(length).ok_or(PackError::Truncated { index: self.index })?;
        self.rest = rest;
        Ok(taken)
    }

    fn entry(&mut self, path: &mut Vec<u8>, seconds: &mut i64) -> Result<TocEntry, PackError> {
        let index = self.index;
        let shared = usize::try_from(self.varint("shared length")?).unwrap_or(usize::MAX);
        if shared > path.len() {
            return Err(PackError::Field { index, field: "shared length" });
        }
        path.truncate(shared);
        let length = self.varint("path length")?;
        path.extend_from_slice(self.bytes(length)?);
        let kind = EntryKind::from_number(self.byte()?)
            .ok_or(PackError::Field { index, field: "kind" })?;
        let size = ByteCount(self.varint("size")?);
        *seconds = seconds.wrapping_add(unzigzag(self.varint("mtime")?));
        let nanoseconds = u32::try_from(self.varint("mtime")?)
            .ok()
            .filter(|nanoseconds| *nanoseconds < 1_000_000_000)
            .ok_or(PackError::Field { index, field: "mtime" })?;
        let path =
            RelPath::new(path.as_slice()).map_err(|source| PackError::Path { index, source })?;
        Ok(TocEntry { path, kind, size, mtime: FileTime { seconds: *seconds, nanoseconds } })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = TocEntry> {
        let path = prop::collection::vec(prop::collection::vec(1u8.., 1..12), 0..6)
            .prop_map(|segments| segments.join(&b'/'))
            .prop_filter_map("legal", |bytes| RelPath::new(bytes).ok());
        (path, 1u8..=4, any::<u64>(), any::<i64>(), 0u32..1_000_000_000).prop_map(
            |(path, kind, size, seconds, nanoseconds)| TocEntry {
                path,
                kind: EntryKind::from_number(kind).unwrap(),
                size: ByteCount(size),
                mtime: FileTime { seconds, nanoseconds },
            },
        )
    }

    fn pack(entries: &[TocEntry]) -> PackedEntries {
        let mut packer = Packer::default();
        for entry in entries {
            packer.push(entry.path.as_bytes(), entry.kind, entry.size, entry.mtime);
        }
        packer.finish().expect("entries were packed")
    }

    #[test]
    fn version_1_has_these_bytes() {
        let at = |seconds, nanoseconds| FileTime { seconds, nanoseconds };
        let mut packer = Packer::default();
        packer.push(b"a/b", EntryKind::File, ByteCount(300), at(1_400_000_000, 5));
        packer.push(b"a/c", EntryKind::Directory, ByteCount(0), at(-1, 0));
        let packed = packer.finish().unwrap();
        let raw = zstd::bulk::decompress(&packed.bytes, 1000).unwrap();
        let golden = [
            1, 0, 3, b'a', b'/', b'b', 1, 0xAC, 2, 0x80, 0xB8, 0x92, 0xB7, 0x0A, 5, // first
            2, 1, b'c', 2, 0, 0x81, 0xB8, 0x92, 0xB7, 0x0A, 0, // second
        ];
        assert_eq!(raw, golden);
    }

    #[test]
    fn a_forged_pack_is_refused() {
        let packed = |raw: &[u8], count| PackedEntries {
            bytes: zstd::bulk::compress(raw, 1).unwrap().into(),
            count,
            content: ByteCount::ZERO,
        };
        let escape = packed(&[1, 0, 4, b'.', b'.', b'/', b'x', 1, 0, 0, 0], 1);
        assert!(matches!(escape.unpack(), Err(PackError::Path { .. })));
        assert!(matches!(packed(&[9], 1).unpack(), Err(PackError::Version { found: 9 })));
        assert!(matches!(packed(&[1, 5, 0], 1).unpack(), Err(PackError::Field { .. })));
        let bomb = packed(&vec![0; INFLATED_BYTES_MAX + 1], 1);
        assert!(matches!(bomb.unpack(), Err(PackError::Inflate(_))));
    }

    proptest! {
        #[test]
        fn what_was_packed_is_unpacked(entries in prop::collection::vec(entry(), 1..40)) {
            prop_assert_eq!(pack(&entries).unpack().unwrap(), entries);
        }

        #[test]
        fn a_pack_cut_anywhere_is_an_error_and_no_panic(
            entries in prop::collection::vec(entry(), 1..10), cut in 0usize..1000,
        ) {
            let whole = pack(&entries);
            let raw = zstd::bulk::decompress(&whole.bytes, INFLATED_BYTES_MAX).unwrap();
            let cut = cut % raw.len();
            let bytes = zstd::bulk::compress(&raw[..cut], 1).unwrap().into();
            let cut_pack = PackedEntries { bytes, ..whole };
            prop_assert!(cut_pack.unpack().is_err());
        }
    }
}
