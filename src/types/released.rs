//! What a shard's journal has let go (C26).

use super::{SegmentId, Slot};

/// Consecutive segments that were released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReleasedRange {
    /// The first of them.
    pub first: SegmentId,
    /// The last of them.
    pub last: SegmentId,
    /// The lowest and the highest slot of a value in them; the first one is higher where there was none.
    pub slots: (Slot, Slot),
}

/// All segments that a journal has released so far, and what only they knew of slots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Released {
    /// The segments, in rising order; no range touches the next one.
    pub ranges: Vec<ReleasedRange>,
    /// No record so far has a higher slot, nor can one have that is lost.
    pub highest_slot: Slot,
}

impl ReleasedRange {
    /// A value of this slot may have been in them.
    #[must_use]
    pub fn covers(&self, slot: Slot) -> bool {
        self.slots.0 <= slot && slot <= self.slots.1
    }

    fn join(&mut self, other: &ReleasedRange) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.slots = match (self.slots, other.slots) {
            ((from, upto), slots) if from > upto => slots,
            (slots, (from, upto)) if from > upto => slots,
            ((a, b), (c, d)) => (a.min(c), b.max(d)),
        };
    }
}

impl Released {
    /// The highest slot of a value in any of them; zero where there is none.
    #[must_use]
    pub fn upto(&self) -> Slot {
        let highest =
            self.ranges.iter().map(|range| range.slots).filter(|(from, upto)| from <= upto);
        highest.map(|(_, upto)| upto).max().unwrap_or_default()
    }

    /// How many segments they are.
    #[must_use]
    pub fn segments(&self) -> u64 {
        self.ranges.iter().map(|range| range.last.0 - range.first.0 + 1).sum()
    }

    /// The last of them; zero where there is none.
    #[must_use]
    pub fn last_segment(&self) -> SegmentId {
        self.ranges.last().map_or(SegmentId(0), |range| range.last)
    }

    /// The range that a segment lies in.
    #[must_use]
    pub fn range_of(&self, segment: SegmentId) -> Option<&ReleasedRange> {
        let at = self.ranges.partition_point(|range| range.last < segment);
        self.ranges.get(at).filter(|range| range.first <= segment)
    }

    /// The segment was released.
    #[must_use]
    pub fn contains(&self, segment: SegmentId) -> bool {
        self.range_of(segment).is_some()
    }

    /// A value of this slot may have been in any of them.
    #[must_use]
    pub fn covers(&self, slot: Slot) -> bool {
        self.ranges.iter().any(|range| range.covers(slot))
    }

    /// A value of this slot may have been in a segment behind this one.
    #[must_use]
    pub fn hides(&self, segment: SegmentId, slot: Slot) -> bool {
        self.ranges.iter().rev().any(|range| range.first > segment && range.covers(slot))
    }

    /// Adds segments; ranges that touch become one.
    pub fn add(&mut self, mut range: ReleasedRange) {
        let from = self.ranges.partition_point(|other| other.last.next() < range.first);
        let upto = self.ranges.partition_point(|other| other.first <= range.last.next());
        self.ranges.drain(from..upto.max(from)).for_each(|other| range.join(&other));
        self.ranges.insert(from, range);
    }

    /// Adds what another record says: facts only grow.
    pub fn merge(&mut self, other: &Released) {
        other.ranges.iter().for_each(|range| self.add(*range));
        self.highest_slot = self.highest_slot.max(other.highest_slot);
    }

    /// Keeps only the segments before this one, in which no value has a higher slot than this.
    pub fn keep_before(&mut self, segment: SegmentId, upto: Slot) {
        self.ranges.retain(|range| range.first < segment);
        if let Some(last) = self.ranges.last_mut() {
            last.last = last.last.min(segment.prev());
        }
        self.ranges.iter_mut().for_each(|range| range.slots.1 = range.slots.1.min(upto));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u64, last: u64, from: u64, upto: u64) -> ReleasedRange {
        let (first, last) = (SegmentId(first), SegmentId(last));
        ReleasedRange { first, last, slots: (Slot(from), Slot(upto)) }
    }

    /// C26: the set is the same in whatever order segments are added, and ranges never touch.
    #[test]
    fn c26_ranges_that_touch_become_one() {
        let parts =
            [range(3, 3, 30, 39), range(1, 1, 1, 12), range(2, 2, 1, 0), range(5, 6, 50, 70)];
        for turn in 0..parts.len() {
            let mut released = Released::default();
            let mut order = parts;
            order.rotate_left(turn);
            order.into_iter().for_each(|part| released.add(part));
            assert_eq!(released.ranges, [range(1, 3, 1, 39), range(5, 6, 50, 70)]);
            assert_eq!((released.segments(), released.last_segment()), (5, SegmentId(6)));
            assert_eq!(released.upto(), Slot(70));
            released.add(range(4, 4, 35, 55));
            assert_eq!(released.ranges, [range(1, 6, 1, 70)]);
            released.add(range(2, 5, 1, 0));
            assert_eq!(released.ranges, [range(1, 6, 1, 70)]);
        }
    }

    /// C26: a range answers for its own segments, and hides only what stands before it.
    #[test]
    fn c26_a_range_hides_only_what_stands_before_it() {
        let mut released = Released::default();
        assert_eq!((released.upto(), released.segments()), (Slot(0), 0));
        released.add(range(4, 6, 30, 60));
        let contains = [3, 4, 6, 7].map(|id| released.contains(SegmentId(id)));
        assert_eq!(contains, [false, true, true, false]);
        let hides = [(3, 30), (3, 60), (3, 61), (7, 40)];
        let hides = hides.map(|(id, slot)| released.hides(SegmentId(id), Slot(slot)));
        assert_eq!(hides, [true, true, false, false]);
        assert_eq!(
            [29, 30, 60, 61].map(|slot| released.covers(Slot(slot))),
            [false, true, true, false]
        );
        released.keep_before(SegmentId(6), Slot(50));
        assert_eq!(released.ranges, [range(4, 5, 30, 50)]);
        released.keep_before(SegmentId(4), Slot(50));
        assert_eq!(released.ranges, []);
    }
}
