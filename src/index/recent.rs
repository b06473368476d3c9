//! The extents of recent slots, in memory.

use crate::types::{Extent, Index, LogId, Slot};
use smallvec::SmallVec;
use std::collections::BTreeMap;

/// A log's extents. In a cluster of many logs most are quiet: a single extent lies in the map itself, not on the heap.
type LogExtents = SmallVec<[Extent; 1]>;

/// Bytes that a log takes beside its extents: its place in the map, whose nodes are half full where ids come in order,
/// and what its vector has spare.
const LOG_BYTES: usize = 72;

/// Extents of consecutive slots, by log and index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    /// By rising index, without gaps, for each log that was appended to.
    logs: BTreeMap<LogId, LogExtents>,
    extents: usize,
}

impl Recent {
    /// Takes in an extent behind those that the log has.
    ///
    /// # Panics
    /// When it does not follow them: entries are dense, and slots rise.
    pub(super) fn push(&mut self, log: LogId, extent: Extent) {
        let extents = self.logs.entry(log).or_default();
        if let Some(last) = extents.last() {
            let (end, first) = (last.end(), extent.first);
            assert!(end == first, "extents are dense: log={log} end={end} first={first}");
            let (before, place) = ((last.slot, last.offset), (extent.slot, extent.offset));
            assert!(before < place, "places rise: log={log} {before:?} then {place:?}");
        }
        extents.push(extent);
        self.extents += 1;
    }

    /// The log is gone, and nobody asks for its entries.
    pub(super) fn remove(&mut self, log: LogId) {
        self.extents -= self.logs.remove(&log).map_or(0, |extents| extents.len());
    }

    /// Forgets extents that lie whole before `first`, once they are half of the log's: so a trim costs
    /// no more than the appends did.
    pub(super) fn trim(&mut self, log: LogId, first: Index) {
        let Some(extents) = self.logs.get_mut(&log) else { return };
        let trimmed = extents.partition_point(|extent| extent.end() <= first);
        if 2 * trimmed < extents.len() {
            return;
        }
        extents.drain(..trimmed);
        extents.shrink_to_fit();
        self.extents -= trimmed;
        if extents.is_empty() {
            self.logs.remove(&log);
        }
    }

    /// Forgets the logs that do not exist, and those whose last entries are missing here: they are trimmed,
    /// and so is all before them.
    pub(super) fn retain(&mut self, next_index: impl Fn(LogId) -> Option<Index>) {
        let extents = &mut self.extents;
        self.logs.retain(|log, of_log| {
            let stays = of_log.last().map(Extent::end) == next_index(*log);
            *extents -= if stays { 0 } else { of_log.len() };
            stays
        });
    }

    /// Takes in the extents of later slots. Where some between are missing, because they are trimmed, so
    /// are all before them.
    pub(super) fn append(&mut self, newer: Recent) {
        for (log, extents) in newer.logs {
            let older = self.logs.entry(log).or_default();
            if older.last().map(Extent::end) != extents.first().map(|extent| extent.first) {
                self.extents -= older.len();
                older.clear();
            }
            self.extents += extents.len();
            older.extend(extents);
        }
    }

    /// How many extents there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.extents
    }

    /// Bytes of memory, about.
    pub(super) fn memory_bytes(&self) -> usize {
        self.extents * size_of::<Extent>() + self.logs.len() * LOG_BYTES
    }

    /// How many logs have extents here.
    #[must_use]
    pub fn logs(&self) -> usize {
        self.logs.len()
    }

    /// A log's extents, by rising index.
    pub(super) fn of(&self, log: LogId) -> &[Extent] {
        self.logs.get(&log).map_or(&[], SmallVec::as_slice)
    }

    /// A log's extents from the one that holds `index` on, or from the first one behind it.
    pub(super) fn from(&self, log: LogId, index: Index) -> &[Extent] {
        let all = self.of(log);
        &all[all.partition_point(|extent| extent.end() <= index)..]
    }

    /// All of them, by log and index.
    pub fn iter(&self) -> impl Iterator<Item = (LogId, Extent)> {
        self.logs.iter().flat_map(|(log, extents)| extents.iter().map(|extent| (*log, *extent)))
    }

    /// The extents of each log, by log.
    pub(super) fn by_log(&self) -> impl Iterator<Item = (LogId, &[Extent])> {
        self.logs.iter().map(|(log, extents)| (*log, extents.as_slice()))
    }

    /// Checks that what [`push`](Recent::push) demands still holds, and that no slot is above `upto`.
    ///
    /// # Panics
    /// When it does not hold.
    pub(super) fn check(&self, upto: Slot) {
        let mut count = 0;
        for (log, extents) in &self.logs {
            for pair in extents.windows(2) {
                let (end, first) = (pair[0].end(), pair[1].first);
                assert!(end == first, "log {log}: an extent from {first} behind {end}");
            }
            let last = extents.last().expect("a log without extents is not kept").slot;
            assert!(last <= upto, "log {log} has entries in slot {last}, applied is {upto}"); // R18
            count += extents.len();
        }
        assert!(count == self.extents, "{count} extents, counted were {}", self.extents);
    }
}
