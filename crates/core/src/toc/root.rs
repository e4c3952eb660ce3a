//! How the root of a source looks, so that a worker on another machine notices that it has another one.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Names that a print keeps: those with the smallest hashes (a MinHash, Broder 1997), so that two prints of almost the
/// same root are almost equal.
const NAMES_KEPT: usize = 64;

/// A print of the names in the root of a source.
///
/// Files come and go while a run is on, so prints are compared by likeness and never for being equal. An empty root is
/// like an empty one only.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RootPrint {
    hashes: BTreeSet<u64>,
    names: u64,
}

impl RootPrint {
    /// Makes the print of some names, in any order.
    pub fn of<'a>(names: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut print = Self::default();
        for name in names {
            print.add(name);
        }
        print
    }

    /// Adds a name.
    pub fn add(&mut self, name: &[u8]) {
        self.names += 1;
        let digest = Sha256::digest(name);
        let start = digest.first_chunk().expect("SHA-256 has 32 bytes");
        self.hashes.insert(u64::from_be_bytes(*start));
        if self.hashes.len() > NAMES_KEPT {
            self.hashes.pop_last();
        }
    }

    /// Adds the names of another print.
    pub fn merge(&mut self, other: &Self) {
        self.names += other.names;
        self.hashes.extend(&other.hashes);
        while self.hashes.len() > NAMES_KEPT {
            self.hashes.pop_last();
        }
    }

    /// Whether the two show the same root, give or take a few names.
    pub fn is_like(&self, other: &Self) -> bool {
        let common = self.hashes.intersection(&other.hashes).count();
        2 * common >= self.hashes.len().max(other.hashes.len())
    }
}

impl fmt::Display for RootPrint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digest = Sha256::new();
        for hash in &self.hashes {
            digest.update(hash.to_be_bytes());
        }
        let digest = digest.finalize();
        let plural = if self.names == 1 { "" } else { "s" };
        write!(formatter, "{} name{plural}, ", self.names)?;
        digest.iter().take(4).try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(numbers: std::ops::Range<u32>) -> RootPrint {
        let names: Vec<String> = numbers.map(|number| format!("name {number}")).collect();
        RootPrint::of(names.iter().map(String::as_bytes))
    }

    #[test]
    fn a_root_that_changed_a_little_is_the_same_root() {
        assert!(print(0..1000).is_like(&print(20..1010)));
        assert!(print(0..3).is_like(&print(0..4)));
        assert!(print(0..0).is_like(&print(0..0)));
    }

    #[test]
    fn another_root_is_not() {
        assert!(!print(0..1000).is_like(&print(2000..3000)));
        assert!(!print(0..3).is_like(&print(0..0)));
        assert!(!print(0..1).is_like(&print(1..2)));
        assert!(!print(0..10).is_like(&print(0..1000)));
    }
}
