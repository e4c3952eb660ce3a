//! Which files are uploaded in parts, and where the cuts are.

use crate::limit::{OBJECT_BYTES_MAX, PART_BYTES_MAX, PART_BYTES_MIN, PARTS_MAX};
use crate::unit::ByteCount;

/// The parts of one upload: all of one size but the last, gapless from offset 0, 1..=10,000 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartPlan {
    size: ByteCount,
    part_size: ByteCount,
}

/// Why a file has no plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the file has {size}, and the largest object has 48.8 TiB")]
pub struct PartPlanError {
    /// Its size.
    pub size: ByteCount,
}

const MEBIBYTE: u64 = 1024 * 1024;

impl PartPlan {
    /// Plans the upload of `size` bytes with parts of `part_size`, or of as many whole mebibytes more as 10,000
    /// parts need. Sizes below the smallest part are raised to it.
    pub fn new(size: ByteCount, part_size: ByteCount) -> Result<Self, PartPlanError> {
        if size > OBJECT_BYTES_MAX {
            return Err(PartPlanError { size });
        }
        let needed = size.0.div_ceil(u64::from(PARTS_MAX)).next_multiple_of(MEBIBYTE);
        let part_size = part_size.0.max(needed).clamp(PART_BYTES_MIN.0, PART_BYTES_MAX.0);
        Ok(Self { size, part_size: ByteCount(part_size) })
    }

    /// Number of parts, 1..=10,000.
    pub fn count(&self) -> u32 {
        let count = self.size.0.div_ceil(self.part_size.0).max(1);
        u32::try_from(count).expect("a plan has at most 10,000 parts")
    }

    /// Offset and length of part `number`, from 1 to [`PartPlan::count`].
    ///
    /// # Panics
    ///
    /// If there is no such part.
    pub fn range(&self, number: u32) -> (u64, u64) {
        assert!((1..=self.count()).contains(&number), "part {number} of {}", self.count());
        let offset = u64::from(number - 1) * self.part_size.0;
        (offset, self.part_size.0.min(self.size.0 - offset))
    }

    /// Size of every part but the last.
    pub fn part_size(&self) -> ByteCount {
        self.part_size
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_largest_object_has_ten_thousand_parts_of_five_gibibytes() {
        let plan = PartPlan::new(OBJECT_BYTES_MAX, ByteCount::mebibytes(8)).unwrap();
        assert_eq!((plan.count(), plan.part_size()), (10_000, PART_BYTES_MAX));
        let beyond = ByteCount(OBJECT_BYTES_MAX.0 + 1);
        assert!(PartPlan::new(beyond, ByteCount::mebibytes(8)).is_err());
    }

    proptest! {
        #[test]
        fn parts_are_legal_gapless_and_sum_to_the_file(
            size in 0..=OBJECT_BYTES_MAX.0, wish in 0..=PART_BYTES_MAX.0 + 1,
        ) {
            let plan = PartPlan::new(ByteCount(size), ByteCount(wish)).unwrap();
            prop_assert!((1..=PARTS_MAX).contains(&plan.count()));
            let mut end = 0;
            for number in 1..=plan.count() {
                let (offset, length) = plan.range(number);
                prop_assert_eq!(offset, end);
                prop_assert!(length <= PART_BYTES_MAX.0);
                prop_assert!(number == plan.count() || length >= PART_BYTES_MIN.0);
                end = offset + length;
            }
            prop_assert_eq!(end, size);
        }
    }
}
