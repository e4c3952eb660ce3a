//! Chance and time: what differs from seed to seed, and never within one.

use s3bl_core::unit::Timestamp;

/// A moment of the simulated world, in milliseconds since it began. Only the world sees it; processes have clocks.
pub(crate) type Moment = u64;

pub(crate) const SECOND: Moment = 1000;
pub(crate) const MINUTE: Moment = 60 * SECOND;
pub(crate) const HOUR: Moment = 60 * MINUTE;
pub(crate) const DAY: Moment = 24 * HOUR;

/// A reproducible source of chance: SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xD134_2543_DE82_EF95) ^ 0x9E37_79B9_7F4A_7C15)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `bound - 1`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// A number from `low` to `high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// An index into something that has `count` elements.
    pub(crate) fn index(&mut self, count: usize) -> usize {
        self.below(count as u64) as usize
    }

    /// True `per_mille` times of a thousand.
    pub(crate) fn happens(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    /// A span up to `longest`, every order of magnitude alike.
    pub(crate) fn span(&mut self, longest: Moment) -> Moment {
        let bits = u64::from(longest.max(1).ilog2());
        let scale = 1 << self.between(0, bits);
        (scale + self.below(scale)).min(longest)
    }
}

/// The clock of one process: it is wrong, and it runs too fast or too slow, but never back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// What it shows when the world begins.
    origin: u64,
    /// How far it goes in a million milliseconds.
    pace: u64,
}

/// What a clock that is right shows when the world begins.
const ORIGIN: u64 = 1_764_000_000_000;

impl Clock {
    pub(crate) fn right() -> Self {
        Self { origin: ORIGIN, pace: 1_000_000 }
    }

    /// Up to a year wrong, and up to a tenth too fast or too slow.
    pub(crate) fn skewed(chance: &mut Chance) -> Self {
        let origin = ORIGIN - 365 * DAY + chance.span(730 * DAY);
        Self { origin, pace: chance.between(900_000, 1_100_000) }
    }

    pub(crate) fn at(&self, moment: Moment) -> Timestamp {
        Timestamp(self.origin + moment * self.pace / 1_000_000)
    }

    /// The first moment at which the clock shows `time` or more.
    pub(crate) fn moment_of(&self, time: Timestamp) -> Moment {
        (time.0.saturating_sub(self.origin) * 1_000_000).div_ceil(self.pace)
    }
}
