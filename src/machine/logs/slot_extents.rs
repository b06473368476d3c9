//! The extents that come to be while one slot is applied.

use crate::limits::{ENTRY_PREFIX_BYTES, EXTENT_BYTES};
use crate::types::{Extent, Index, LogId, Slot};
use std::collections::BTreeMap;

/// Extents of one slot, gathered command by command. Appends to one log share an extent, so that a batch
/// of a thousand small appends costs a log few rows of the index; but none joins an extent that is long
/// enough, so that a reader of one entry need not read all that a large value has of the log.
#[derive(Debug)]
pub(in crate::machine) struct SlotExtents {
    slot: Slot,
    stamp_ms: u64,
    found: Vec<(LogId, Extent)>,
    /// Where in `found` the extent of each log lies that the next append may join, while it is short.
    open: BTreeMap<LogId, usize>,
}

/// What an append brings to a log.
#[derive(Clone, Copy, Debug)]
pub(super) struct AppendedRun {
    pub(super) first: Index,
    pub(super) count: u32,
    /// Where in the slot's value the command begins, in bytes.
    pub(super) offset: u32,
    /// Of the log's entries before these, as in [`Extent`].
    pub(super) bytes_before: u64,
    pub(super) chain: u64,
}

impl SlotExtents {
    /// None yet, of a slot whose value has this stamp.
    pub(in crate::machine) fn new(slot: Slot, stamp_ms: u64) -> SlotExtents {
        SlotExtents { slot, stamp_ms, found: Vec::new(), open: BTreeMap::new() }
    }

    /// Takes in an append, which joins the one before it to the same log.
    pub(super) fn append(&mut self, log: LogId, appended: AppendedRun) {
        let AppendedRun { first, count, offset, bytes_before, chain } = appended;
        assert!(count > 0, "an append without entries: log={log} slot={}", self.slot);
        if let Some(nth) = self.open.get(&log) {
            let last = &mut self.found[*nth].1;
            let (end, before) = (last.end(), last.offset);
            assert!(end == first, "extents are dense: log={log} end={end} first={first}");
            assert!(before < offset, "offsets rise: log={log} {before} then {offset}");
            let bytes = bytes_before - last.bytes_before;
            let prefixes = u64::from(last.count) * ENTRY_PREFIX_BYTES as u64;
            let sum = last.count.checked_add(count);
            if let Some(sum) = sum.filter(|_| bytes + prefixes < EXTENT_BYTES) {
                last.count = sum;
                return;
            }
        }
        let (slot, stamp_ms) = (self.slot, self.stamp_ms);
        self.open.insert(log, self.found.len());
        self.found
            .push((log, Extent { first, count, offset, slot, bytes_before, stamp_ms, chain }));
    }

    /// An append to this log was refused: readers count the appends of an extent, so the next one must
    /// not join those before it.
    pub(super) fn interrupt(&mut self, log: LogId) {
        self.open.remove(&log);
    }

    /// The extents, in the order in which they began.
    pub(in crate::machine) fn finish(self) -> Vec<(LogId, Extent)> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(extents: &mut SlotExtents, log: u64, first: u64, count: u32, offset: u32) {
        let first = Index(first);
        let appended =
            AppendedRun { first, count, offset, bytes_before: first.0 * 10, chain: first.0 };
        extents.append(LogId(log), appended);
    }

    fn extent(first: u64, count: u32, offset: u32) -> Extent {
        let (slot, stamp_ms, bytes_before) = (Slot(5), 77, first * 10);
        Extent { first: Index(first), count, offset, slot, bytes_before, stamp_ms, chain: first }
    }

    /// Appends of one slot to one log share an extent, whatever lies between them.
    #[test]
    fn c31_appends_of_one_slot_share_an_extent() {
        let mut extents = SlotExtents::new(Slot(5), 77);
        append(&mut extents, 1, 3, 2, 8);
        append(&mut extents, 2, 0, 1, 50);
        append(&mut extents, 1, 5, 1, 90);
        let expected = [(LogId(1), extent(3, 3, 8)), (LogId(2), extent(0, 1, 50))];
        assert_eq!(extents.finish(), expected);
    }

    /// A refused append parts the extent: a reader counting appends would take its entries for ours.
    #[test]
    fn c31_a_refused_append_parts_an_extent() {
        let mut extents = SlotExtents::new(Slot(5), 77);
        append(&mut extents, 1, 0, 1, 8);
        extents.interrupt(LogId(1));
        append(&mut extents, 1, 1, 1, 90);
        append(&mut extents, 1, 2, 1, 120);
        assert_eq!(extents.finish(), [(LogId(1), extent(0, 1, 8)), (LogId(1), extent(1, 2, 90))]);
    }

    /// An extent of many bytes is joined by no further append; the next one may be joined again.
    #[test]
    fn c31_an_extent_is_joined_while_it_is_short() {
        let mut extents = SlotExtents::new(Slot(5), 77);
        // Ten bytes each, and their prefixes.
        let long = EXTENT_BYTES as u32 / 18 + 1;
        append(&mut extents, 1, 0, long - 1, 8);
        append(&mut extents, 1, u64::from(long) - 1, 1, 90);
        append(&mut extents, 1, u64::from(long), 5, 120);
        append(&mut extents, 1, u64::from(long) + 5, 7, 150);
        let expected = [extent(0, long, 8), extent(u64::from(long), 12, 120)];
        assert_eq!(extents.finish(), expected.map(|extent| (LogId(1), extent)));
    }

    /// However many entries an append has, the one behind it has an extent of its own.
    #[test]
    fn c31_a_run_beyond_32_bits_goes_on_in_a_second_extent() {
        let mut extents = SlotExtents::new(Slot(5), 77);
        append(&mut extents, 1, 0, u32::MAX, 8);
        append(&mut extents, 1, u64::from(u32::MAX), 2, 9);
        let second = (LogId(1), extent(u64::from(u32::MAX), 2, 9));
        assert_eq!(extents.finish(), [(LogId(1), extent(0, u32::MAX, 8)), second]);
    }
}
