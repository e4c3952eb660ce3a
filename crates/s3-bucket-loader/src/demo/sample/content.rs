//! The bytes of sample files.

use std::io::{self, Write};

use fastrand::Rng;

/// What a file is full of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Bytes that do not compress, as in a photograph.
    Noise,
    /// Lines of words, as in a log.
    Lines,
}

const BLOCK_BYTES: usize = 64 * 1024;

impl Content {
    /// Writes `size` bytes, always the same for the same seed.
    pub(super) fn write(self, seed: u64, size: u64, target: &mut impl Write) -> io::Result<()> {
        let mut rng = Rng::with_seed(seed);
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        let mut remaining = size;
        while remaining > 0 {
            let length = usize::try_from(remaining).map_or(BLOCK_BYTES, |all| all.min(BLOCK_BYTES));
            self.fill(&mut rng, &mut block, length);
            target.write_all(&block)?;
            remaining -= length as u64;
        }
        Ok(())
    }

    fn fill(self, rng: &mut Rng, block: &mut Vec<u8>, length: usize) {
        const WORDS: [&str; 12] = [
            "accepted",
            "bucket",
            "checksum",
            "delivered",
            "entry",
            "file",
            "ledger",
            "part",
            "queue",
            "retry",
            "validated",
            "worker",
        ];
        block.clear();
        match self {
            Self::Noise => {
                block.resize(length, 0);
                rng.fill(block);
            }
            Self::Lines => {
                while block.len() < length {
                    let word = WORDS[rng.usize(..WORDS.len())];
                    let end = if rng.u8(..) < 32 { b'\n' } else { b' ' };
                    block.extend_from_slice(word.as_bytes());
                    block.push(end);
                }
                block.truncate(length);
            }
        }
    }
}
