//! A set of hashes on disk.
//!
//! A file without a name holds the hashes, 16 bytes each, sorted. It is cut into at most 2^20 buckets by the leading
//! bits of a hash, and only where each begins is kept in memory. A question reads one bucket by one system
//! call that names its offset, so that many threads may ask at once without a lock.

use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Bytes of a hash.
pub(super) const HASH_BYTES: usize = 16;

/// A hash: bytes that look random, or the set is slow.
pub(super) type Hash = [u8; HASH_BYTES];

/// Hashes that are sorted in memory at once, about: 64 MiB of them.
const SORTED_AT_ONCE: u64 = 4 * 1024 * 1024;

/// Hashes of a bucket on the average, as long as there are few enough buckets: half a KiB.
const BUCKET_HASHES: u64 = 32;

/// Most leading bits that tell buckets apart: 2^20 buckets are 8 MiB of positions.
const BUCKET_BITS_MAX: u32 = 20;

/// Takes hashes in any order, spread by their leading bits over files that can be sorted in memory.
#[derive(Debug)]
pub(super) struct HashFileBuilder {
    parts: Vec<BufWriter<File>>,
    part_bits: u32,
    bucket_bits: u32,
}

impl HashFileBuilder {
    /// Begins a set of about `expected` hashes in files without names in `folder`.
    pub(super) fn new(folder: &Path, expected: u64) -> std::io::Result<Self> {
        let part_bits = bits_for(expected / SORTED_AT_ONCE).min(8);
        let part =
            || tempfile::tempfile_in(folder).map(|file| BufWriter::with_capacity(1 << 16, file));
        Ok(Self {
            parts: (0..1 << part_bits).map(|_| part()).collect::<Result<_, _>>()?,
            part_bits,
            bucket_bits: bits_for(expected / BUCKET_HASHES).min(BUCKET_BITS_MAX),
        })
    }

    /// Adds a hash.
    pub(super) fn add(&mut self, hash: &Hash) -> std::io::Result<()> {
        self.parts[leading(hash, self.part_bits)].write_all(hash)
    }

    /// Sorts what was added.
    pub(super) fn finish(self, folder: &Path) -> std::io::Result<HashFile> {
        let mut sorted = BufWriter::with_capacity(1 << 20, tempfile::tempfile_in(folder)?);
        let mut starts = vec![0; (1 << self.bucket_bits) + 1];
        for part in self.parts {
            let mut file = part.into_inner()?;
            let mut bytes = Vec::new();
            file.rewind()?;
            file.read_to_end(&mut bytes)?;
            let (hashes, rest) = bytes.as_chunks_mut::<HASH_BYTES>();
            assert!(rest.is_empty(), "only whole hashes were written");
            hashes.sort_unstable();
            for hash in hashes.iter() {
                starts[leading(hash, self.bucket_bits) + 1] += 1;
            }
            sorted.write_all(&bytes)?;
        }
        let mut end = 0;
        for start in &mut starts {
            end += *start;
            *start = end;
        }
        Ok(HashFile { file: sorted.into_inner()?, bits: self.bucket_bits, starts })
    }
}

/// The set, complete.
#[derive(Debug)]
pub(super) struct HashFile {
    file: File,
    bits: u32,
    /// Where each bucket begins, counted in hashes; the last one is where the last bucket ends.
    starts: Vec<u64>,
}

impl HashFile {
    /// Whether the hash was added.
    pub(super) fn contains(&self, hash: &Hash) -> std::io::Result<bool> {
        let bucket = leading(hash, self.bits);
        let (start, end) = (self.starts[bucket], self.starts[bucket + 1]);
        let length = usize::try_from(end - start).expect("a bucket was sorted in memory");
        let mut bytes = vec![0; length * HASH_BYTES];
        self.file.read_exact_at(&mut bytes, start * HASH_BYTES as u64)?;
        Ok(bytes.as_chunks::<HASH_BYTES>().0.binary_search(hash).is_ok())
    }
}

/// How many bits tell at least `count` things apart.
fn bits_for(count: u64) -> u32 {
    count.next_power_of_two().trailing_zeros()
}

/// The number in the first `bits` bits, at most 20.
fn leading(hash: &Hash, bits: u32) -> usize {
    let first = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    // A shift by all 32 bits, for no bits at all, leaves nothing.
    first.checked_shr(u32::BITS - bits).map_or(0, |number| number as usize)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sha2::{Digest as _, Sha256};

    use super::*;

    fn hash(number: u64) -> Hash {
        Sha256::digest(number.to_be_bytes()).as_chunks::<HASH_BYTES>().0[0]
    }

    fn set_of(expected: u64, numbers: impl Iterator<Item = u64>) -> HashFile {
        let folder = std::env::temp_dir();
        let mut builder = HashFileBuilder::new(&folder, expected).unwrap();
        numbers.for_each(|number| builder.add(&hash(number)).unwrap());
        builder.finish(&folder).unwrap()
    }

    #[test]
    fn exactly_what_was_added_is_contained() {
        // The second needs several buckets, the third several parts by what it expects.
        for (expected, count) in [(0, 0), (1, 1), (5000, 5000), (SORTED_AT_ONCE * 5, 5000)] {
            let set = set_of(expected, (0..count).map(|number| number * 2));
            for number in 0..count * 2 + 10 {
                let is_added = number % 2 == 0 && number < count * 2;
                assert_eq!(set.contains(&hash(number)).unwrap(), is_added, "{number} of {count}");
            }
        }
    }

    #[test]
    fn hashes_with_equal_beginnings_are_told_apart() {
        let mut builder = HashFileBuilder::new(&std::env::temp_dir(), 100_000).unwrap();
        let hashes: BTreeSet<Hash> = (0..=255)
            .map(|last| {
                let mut hash = [7; 16];
                hash[15] = last;
                hash
            })
            .collect();
        hashes.iter().filter(|hash| hash[15] % 2 == 0).for_each(|hash| builder.add(hash).unwrap());
        let set = builder.finish(&std::env::temp_dir()).unwrap();
        for hash in &hashes {
            assert_eq!(set.contains(hash).unwrap(), hash[15] % 2 == 0);
        }
    }
}
