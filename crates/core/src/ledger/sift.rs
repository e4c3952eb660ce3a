//! What a second crawl of one run still has to plan.
//!
//! A master that is killed before the TOC is closed leaves batches that are written and a walk without an end. The
//! next master walks again, and everything that a written batch already holds must be left out, or it would stand in
//! the TOC twice. An entry is known again by its key: its path, and whether it is a directory. Its size and time do
//! not matter: a file that changed after it was listed is, here as in a run without interruption, the version that
//! was written. To plan it a second time would let the second object fail the check of the first.

use super::Planned;
use crate::planted::{self, Bug};
use crate::toc::{PackError, Packer, TocEntry, WalkTotals};

/// What is left of a batch, and what was taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sifted {
    /// The entries that are new, in their order; `None` if there are none.
    pub rest: Option<Planned>,
    /// The sums of the entries that were known, as the walk counted them.
    pub known: WalkTotals,
}

/// Takes the entries out of a batch that `is_known` recognises. A batch without such entries stays as it is.
pub fn sift<E: From<PackError>>(
    planned: Planned,
    mut is_known: impl FnMut(&TocEntry) -> Result<bool, E>,
) -> Result<Sifted, E> {
    let entries = planned.entries.unpack()?;
    let mut known = WalkTotals::default();
    let mut fresh = Vec::with_capacity(entries.len());
    for entry in entries {
        if is_known(&entry)? && !planted::is(Bug::PlansTwice) {
            known.count_emitted(entry.kind, entry.size);
        } else {
            fresh.push(entry);
        }
    }
    if known.emitted == 0 {
        return Ok(Sifted { rest: Some(planned), known });
    }
    Ok(Sifted { rest: pack(&fresh), known })
}

/// The sums of a TOC that several crawls made: those of the last walk, without what it met again (`known`), and with
/// all that the batches before it hold (`kept`), be it there still or not.
pub fn joined_totals(walk: &WalkTotals, known: &WalkTotals, kept: &WalkTotals) -> WalkTotals {
    let joined = |walk: u64, known: u64, kept: u64| walk.saturating_sub(known).saturating_add(kept);
    WalkTotals {
        seen: joined(walk.seen, known.seen, kept.seen),
        emitted: joined(walk.emitted, known.emitted, kept.emitted),
        excluded: walk.excluded,
        unreadable: walk.unreadable,
        files: joined(walk.files, known.files, kept.files),
        directories: joined(walk.directories, known.directories, kept.directories),
        symlinks: joined(walk.symlinks, known.symlinks, kept.symlinks),
        specials: joined(walk.specials, known.specials, kept.specials),
        bytes: walk.bytes.saturating_sub(known.bytes) + kept.bytes,
    }
}

/// Packs entries as one batch. `None` if there are none.
fn pack(entries: &[TocEntry]) -> Option<Planned> {
    let (first, last) = (entries.first()?, entries.last()?);
    let mut packer = Packer::default();
    for entry in entries {
        packer.push(entry.path.as_bytes(), entry.kind, entry.size, entry.mtime);
    }
    let packed = packer.finish()?;
    Some(Planned { entries: packed, first: first.path.clone(), last: last.path.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::RelPath;
    use crate::toc::EntryKind;
    use crate::unit::{ByteCount, FileTime};

    fn batch(names: &[&str]) -> Planned {
        let entries: Vec<TocEntry> = names
            .iter()
            .map(|name| TocEntry {
                path: RelPath::new(name.as_bytes()).unwrap(),
                kind: EntryKind::File,
                size: ByteCount(10),
                mtime: FileTime::default(),
            })
            .collect();
        pack(&entries).unwrap()
    }

    fn sifted(known: &[&str]) -> Sifted {
        let is_known = |entry: &TocEntry| -> Result<bool, PackError> {
            Ok(known.contains(&entry.path.as_str().unwrap()))
        };
        sift(batch(&["a", "b", "c"]), is_known).unwrap()
    }

    #[test]
    fn what_is_known_is_taken_out_and_counted() {
        let sifted = sifted(&["a", "c", "z"]);
        assert_eq!(sifted.rest, Some(batch(&["b"])));
        assert_eq!((sifted.known.emitted, sifted.known.bytes), (2, ByteCount(20)));
    }

    #[test]
    fn the_totals_of_two_crawls_count_every_entry_once() {
        let count = |sizes: &[u64]| {
            let mut totals = WalkTotals::default();
            sizes.iter().for_each(|size| totals.count_emitted(EntryKind::File, ByteCount(*size)));
            totals
        };
        // Kept: a (10), b (20). The second walk meets a, grown to 11, and c (30); b is gone.
        let walk = WalkTotals { seen: 3, unreadable: 1, ..count(&[11, 30]) };
        let joined = joined_totals(&walk, &count(&[11]), &count(&[10, 20]));
        let expected = WalkTotals { seen: 4, unreadable: 1, ..count(&[10, 20, 30]) };
        assert_eq!(joined, expected);
        assert!(joined.reconciles());
    }

    #[test]
    fn a_batch_of_new_entries_stays_and_one_of_known_entries_vanishes() {
        assert_eq!(sifted(&[]).rest, Some(batch(&["a", "b", "c"])));
        assert_eq!(sifted(&["a", "b", "c"]).rest, None);
    }
}
