//! The index of one shard.

use super::recent::Recent;
use super::search::Search;
use crate::types::{Extent, Index, LogId, Slot};

/// Where the entries of all logs of a shard lie.
#[derive(Clone, Debug, Default)]
pub struct EntryIndex {
    recent: Recent,
}

impl EntryIndex {
    /// Takes in what a slot appended.
    ///
    /// # Panics
    /// When it does not follow what was appended before.
    pub fn record(&mut self, extents: &[(LogId, Extent)]) {
        for (log, extent) in extents {
            self.recent.push(*log, *extent);
        }
    }

    /// The log is gone, and nobody asks for its entries.
    pub fn remove(&mut self, log: LogId) {
        self.recent.remove(log);
    }

    /// Entries before `first` are trimmed, and nobody asks for them.
    pub fn trim(&mut self, log: LogId, first: Index) {
        self.recent.trim(log, first);
    }

    /// How many extents are in memory.
    #[must_use]
    pub fn extents_in_memory(&self) -> usize {
        self.recent.len()
    }

    /// A log's extents from the one that holds `index` on, by rising index; none where `index` is past
    /// the log's end.
    pub fn extents(&self, log: LogId, index: Index) -> impl Iterator<Item = &Extent> {
        self.recent.from(log, index).iter()
    }

    /// The extent that holds this index; none where it is past the log's end.
    #[must_use]
    pub fn extent_at(&self, log: LogId, index: Index) -> Option<&Extent> {
        self.extents(log, index).next().filter(|extent| extent.first <= index)
    }

    /// An extent of a log; none where there is no such.
    #[must_use]
    pub fn search(&self, log: LogId, by: Search) -> Option<Extent> {
        by.in_part(self.recent.of(log))
    }

    /// Checks the index against the state: what was applied last, and the next index of each log.
    ///
    /// # Panics
    /// When an invariant is broken.
    pub fn check(&self, applied_upto: Slot, next_index: impl Fn(LogId) -> Option<Index>) {
        self.recent.check(applied_upto);
        for (log, extent) in self.recent.iter() {
            let next = next_index(log);
            assert!(next.is_some(), "log {log} is gone, and the index has {extent:?} of it");
            assert!(Some(extent.end()) <= next, "log {log}: {extent:?} is past its end {next:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: LogId = LogId(7);

    /// Entries of ten bytes, `count` in each slot, stamped with ten times the slot.
    fn index_of(slots: u64, count: u32) -> EntryIndex {
        let mut index = EntryIndex::default();
        for slot in 1..=slots {
            index.record(&[(LOG, extent(slot, count))]);
        }
        index
    }

    fn extent(slot: u64, count: u32) -> Extent {
        let first = (slot - 1) * u64::from(count);
        Extent {
            first: Index(first),
            count,
            offset: 28,
            slot: Slot(slot),
            bytes_before: first * 10,
            stamp_ms: slot * 10,
            chain: slot,
        }
    }

    /// Each index is found in the extent that holds it, and none past the end or of another log.
    #[test]
    fn c31_an_extent_is_found_by_each_index_in_it() {
        let index = index_of(5, 3);
        for slot in 1..=5 {
            for nth in 0..3 {
                let at = Index((slot - 1) * 3 + nth);
                assert_eq!(index.extent_at(LOG, at), Some(&extent(slot, 3)), "{at}");
                assert_eq!(index.search(LOG, Search::Index(at)), Some(extent(slot, 3)), "{at}");
            }
        }
        assert_eq!(index.extent_at(LOG, Index(15)), None);
        assert_eq!(index.search(LogId(8), Search::Index(Index(0))), None);
        assert_eq!(index.extents(LOG, Index(7)).count(), 3);
    }

    /// C28: what lies before the extent that is found may go: what stays has as many bytes, or is as
    /// young, as asked for, and not an extent more.
    #[test]
    fn c28_extents_are_found_by_bytes_and_by_age() {
        let index = index_of(5, 3);
        let all = 150u64;
        let kept = |bytes| index.search(LOG, Search::BytesBefore(all - bytes)).map(|e| e.slot.0);
        let found = [0, 1, 30, 31, 149, 150].map(kept);
        assert_eq!(found, [Some(5), Some(5), Some(5), Some(4), Some(1), Some(1)]);
        let since = |stamp| index.search(LOG, Search::Stamp(stamp)).map(|e| e.slot.0);
        let found = [0, 10, 11, 50, 51].map(since);
        assert_eq!(found, [Some(1), Some(1), Some(2), Some(5), None]);
    }

    /// What is trimmed is forgotten in the end, and nothing else is.
    #[test]
    fn c28_trimmed_extents_are_forgotten() {
        let mut index = index_of(1000, 2);
        for first in 0..=2000 {
            index.trim(LOG, Index(first));
            let live = 1000 - first as usize / 2;
            let kept = index.extents_in_memory();
            assert!(live <= kept && kept <= 2 * live, "{kept} extents are kept of {live}");
            assert_eq!(index.extents(LOG, Index(first)).count(), live, "trimmed to {first}");
            index.check(Slot(1000), |_| Some(Index(2000)));
        }
        index.record(&[(LOG, Extent { first: Index(2000), ..extent(1001, 2) })]);
        assert_eq!(index.extents_in_memory(), 1);
        index.remove(LOG);
        assert_eq!(index.extents_in_memory(), 0);
    }

    /// Extents that do not follow each other are never taken in.
    #[test]
    fn c31_extents_are_dense_and_in_order() {
        let gap = std::panic::catch_unwind(|| index_of(1, 3).record(&[(LOG, extent(3, 3))]));
        assert!(gap.is_err(), "an index is missing");
        let back = Extent { slot: Slot(1), ..extent(2, 3) };
        let back = std::panic::catch_unwind(|| index_of(1, 3).record(&[(LOG, back)]));
        assert!(back.is_err(), "the place does not rise");
    }
}
