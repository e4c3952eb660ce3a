//! What happened, as a number: two runs of one seed are the same run if their numbers are equal.

/// A hash over everything that happened (FNV-1a, 64 bits), and its text if somebody wants to read it.
#[derive(Debug, Clone)]
pub(crate) struct History {
    hash: u64,
    pub(crate) steps: u64,
    is_told: bool,
}

impl History {
    pub(crate) fn new(is_told: bool) -> Self {
        Self { hash: 0xCBF2_9CE4_8422_2325, steps: 0, is_told }
    }

    pub(crate) fn note(&mut self, now: u64, what: &str, facts: &[u64]) {
        self.steps += 1;
        self.add(&now.to_le_bytes());
        self.add(what.as_bytes());
        for fact in facts {
            self.add(&fact.to_le_bytes());
        }
        if self.is_told {
            self.tell(now, what, facts);
        }
    }

    /// The bytes of a message that was sent.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    #[expect(clippy::print_stderr, reason = "a seed that failed is told to whoever asked for it")]
    fn tell(&self, now: u64, what: &str, facts: &[u64]) {
        eprintln!("{:>12.3} s  {what} {facts:?}", now as f64 / 1000.0);
    }
}
