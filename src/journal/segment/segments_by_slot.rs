//! Which segments may hold a slot: an interval index, for each cold read asks, and a node that keeps much has thousands
//! of segments.

use crate::types::{SegmentId, Slot, SlotRanges};
use std::collections::BTreeSet;

/// The segments, found by ranges of their slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SegmentsBySlot {
    /// By rising first slot, and then by segment.
    ranges: Vec<SlotRange>,
}

/// A range of a segment's slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SlotRange {
    first: Slot,
    last: Slot,
    segment: SegmentId,
    /// The highest last slot of this range and all in front of it: a search backwards ends where it is too low.
    reach: Slot,
}

impl SegmentsBySlot {
    /// Adds a segment that is not here yet, with the ranges of its slots.
    pub(super) fn add(&mut self, segment: SegmentId, slots: &SlotRanges) {
        for (first, last) in slots.as_slice() {
            let at = self
                .ranges
                .partition_point(|range| (range.first, range.segment) < (*first, segment));
            self.ranges.insert(at, SlotRange { first: *first, last: *last, segment, reach: *last });
            self.update_reach(at);
        }
    }

    /// Removes a segment. Looks at all ranges.
    pub(super) fn remove(&mut self, segment: SegmentId) {
        let first = self.ranges.iter().position(|range| range.segment == segment);
        if let Some(first) = first {
            self.ranges.retain(|range| range.segment != segment);
            self.update_reach(first);
        }
    }

    /// Computes `reach` anew from this place on.
    fn update_reach(&mut self, at: usize) {
        let mut reach = at.checked_sub(1).map_or(Slot(0), |before| self.ranges[before].reach);
        for range in &mut self.ranges[at..] {
            reach = reach.max(range.last);
            range.reach = reach;
        }
    }

    /// The segments with a slot of this range, rising.
    pub(super) fn touching(&self, first: Slot, last: Slot) -> BTreeSet<SegmentId> {
        self.ranges_touching(first, last).map(|range| range.segment).collect()
    }

    /// Some segment has this slot.
    pub(super) fn contains(&self, slot: Slot) -> bool {
        self.ranges_touching(slot, slot).next().is_some()
    }

    fn ranges_touching(&self, first: Slot, last: Slot) -> impl Iterator<Item = &SlotRange> {
        let end = self.ranges.partition_point(|range| range.first <= last);
        let near = self.ranges[..end].iter().rev().take_while(move |range| range.reach >= first);
        near.filter(move |range| range.last >= first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A range that lies within a long one in front of it, and ranges that only touch at their ends, are found as if
    // each segment were looked at; and only the near ones are looked at.
    #[test]
    fn the_segments_of_a_slot_are_found() {
        let mut by_slot = SegmentsBySlot::default();
        let mut all: Vec<(SegmentId, SlotRanges)> = Vec::new();
        for nth in 1..=40_u64 {
            let own = (Slot(nth * 10), Slot(nth * 10 + 9));
            let copied = (Slot(nth * 3 + 1), Slot(nth * 3 + 2 + nth % 7));
            let slots = SlotRanges::new(if nth % 4 == 0 { vec![copied, own] } else { vec![own] });
            all.push((SegmentId(nth), slots));
        }
        // Not in order: 17 and 40 have no factor in common.
        for nth in (0..40).map(|nth| nth * 17 % 40) {
            let (segment, slots) = &all[nth];
            by_slot.add(*segment, slots);
        }
        by_slot.remove(all[8].0);
        by_slot.add(all[8].0, &SlotRanges::new([(Slot(7), Slot(300))]));
        all[8].1 = SlotRanges::new([(Slot(7), Slot(300))]);
        by_slot.remove(all.remove(20).0);
        for (first, last) in (0..450).flat_map(|first| [(first, first), (first, first + 25)]) {
            let (first, last) = (Slot(first), Slot(last));
            let expected = all.iter().filter(|(_, slots)| slots.touches(first, last));
            let expected: BTreeSet<SegmentId> = expected.map(|(segment, _)| *segment).collect();
            assert_eq!(by_slot.touching(first, last), expected, "{first} to {last}");
            assert_eq!(by_slot.contains(first), all.iter().any(|(_, s)| s.contains(first)));
        }
        let looked_at = |slot: u64| {
            let end = by_slot.ranges.partition_point(|range| range.first <= Slot(slot));
            by_slot.ranges[..end].iter().rev().take_while(|range| range.reach >= Slot(slot)).count()
        };
        assert_eq!(looked_at(405), 1, "those behind the long range end before it");
    }
}
