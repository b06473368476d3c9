//! Which segments may hold a slot, found without a look at each segment: a node has one for every 64 MiB that it
//! keeps, and each cold read asks.

use crate::types::{SegmentId, Slot, SlotRanges};
use std::collections::BTreeSet;

/// The ranges of slots of segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SlotSpans {
    /// By rising first slot.
    rows: Vec<SpanOf>,
}

/// A range of a segment's slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SpanOf {
    first: Slot,
    last: Slot,
    segment: SegmentId,
    /// The highest last slot of this range and all in front of it: where it is too low, all in front are.
    reach: Slot,
}

impl SlotSpans {
    /// A segment that has none yet has slots of these ranges.
    pub(super) fn add(&mut self, segment: SegmentId, slots: &SlotRanges) {
        for (first, last) in slots.as_slice() {
            let at = self.rows.partition_point(|row| (row.first, row.segment) < (*first, segment));
            self.rows.insert(at, SpanOf { first: *first, last: *last, segment, reach: *last });
            self.reach_from(at);
        }
    }

    /// A segment has none any more.
    pub(super) fn remove(&mut self, segment: SegmentId) {
        let first = self.rows.iter().position(|row| row.segment == segment);
        if let Some(first) = first {
            self.rows.retain(|row| row.segment != segment);
            self.reach_from(first);
        }
    }

    fn reach_from(&mut self, at: usize) {
        let mut reach = at.checked_sub(1).map_or(Slot(0), |before| self.rows[before].reach);
        for row in &mut self.rows[at..] {
            reach = reach.max(row.last);
            row.reach = reach;
        }
    }

    /// The segments with a slot of this range, rising.
    pub(super) fn touching(&self, first: Slot, last: Slot) -> BTreeSet<SegmentId> {
        self.rows_touching(first, last).map(|row| row.segment).collect()
    }

    /// Some segment has this slot.
    pub(super) fn contains(&self, slot: Slot) -> bool {
        self.rows_touching(slot, slot).next().is_some()
    }

    fn rows_touching(&self, first: Slot, last: Slot) -> impl Iterator<Item = &SpanOf> {
        let end = self.rows.partition_point(|row| row.first <= last);
        let near = self.rows[..end].iter().rev().take_while(move |row| row.reach >= first);
        near.filter(move |row| row.last >= first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A range that lies within a long one in front of it, and ranges that only touch at their ends, are found as if
    // each segment were looked at; and only the near ones are looked at.
    #[test]
    fn the_segments_of_a_slot_are_found() {
        let mut spans = SlotSpans::default();
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
            spans.add(*segment, slots);
        }
        spans.remove(all[8].0);
        spans.add(all[8].0, &SlotRanges::new([(Slot(7), Slot(300))]));
        all[8].1 = SlotRanges::new([(Slot(7), Slot(300))]);
        spans.remove(all.remove(20).0);
        for (first, last) in (0..450).flat_map(|first| [(first, first), (first, first + 25)]) {
            let (first, last) = (Slot(first), Slot(last));
            let expected = all.iter().filter(|(_, slots)| slots.touches(first, last));
            let expected: BTreeSet<SegmentId> = expected.map(|(segment, _)| *segment).collect();
            assert_eq!(spans.touching(first, last), expected, "{first} to {last}");
            assert_eq!(spans.contains(first), all.iter().any(|(_, s)| s.contains(first)));
        }
        let looked_at = |slot: u64| {
            let end = spans.rows.partition_point(|row| row.first <= Slot(slot));
            spans.rows[..end].iter().rev().take_while(|row| row.reach >= Slot(slot)).count()
        };
        assert_eq!(looked_at(405), 1, "those behind the long range end before it");
    }
}
