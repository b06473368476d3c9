//! Slots in ranges.

use super::Slot;

/// A set of slots, as ranges of which each takes two numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotRanges {
    /// The first and the last slot of each, by rising slot; between two of them something is missing.
    ranges: Vec<(Slot, Slot)>,
}

impl SlotRanges {
    /// The set that has these ranges, in any order.
    #[must_use]
    pub fn new(ranges: impl IntoIterator<Item = (Slot, Slot)>) -> SlotRanges {
        let mut set = SlotRanges::default();
        ranges.into_iter().for_each(|(first, last)| set.add(first, last));
        set
    }

    /// The ranges, by rising slot.
    #[must_use]
    pub fn as_slice(&self) -> &[(Slot, Slot)] {
        &self.ranges
    }

    /// The range of the highest slots.
    #[must_use]
    pub fn last(&self) -> Option<(Slot, Slot)> {
        self.ranges.last().copied()
    }

    /// How many slots it has.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|(first, last)| last.0 - first.0 + 1).sum()
    }

    /// It has this slot.
    #[must_use]
    pub fn contains(&self, slot: Slot) -> bool {
        let at = self.ranges.partition_point(|(_, last)| *last < slot);
        self.ranges.get(at).is_some_and(|(first, _)| *first <= slot)
    }

    /// The first of its slots at or above this one.
    #[must_use]
    pub fn first_at_or_above(&self, slot: Slot) -> Option<Slot> {
        let at = self.ranges.partition_point(|(_, last)| *last < slot);
        self.ranges.get(at).map(|(first, _)| slot.max(*first))
    }

    /// It has a slot from `first` to `last`.
    #[must_use]
    pub fn touches(&self, first: Slot, last: Slot) -> bool {
        let at = self.ranges.partition_point(|(_, end)| *end < first);
        first <= last && self.ranges.get(at).is_some_and(|(begin, _)| *begin <= last)
    }

    /// The lowest of its slots, and the highest.
    #[must_use]
    pub fn ends(&self) -> Option<(Slot, Slot)> {
        Some((self.ranges.first()?.0, self.ranges.last()?.1))
    }

    /// A set of so many ranges at most, one at least, which has these slots, and others between the lowest of
    /// them where there are too many.
    #[must_use]
    pub fn coarse(&self, ranges_max: usize) -> SlotRanges {
        let surplus = self.ranges.len().saturating_sub(ranges_max);
        let (Some(first), Some(last)) = (self.ranges.first(), self.ranges.get(surplus)) else {
            return self.clone();
        };
        let mut coarse = self.clone();
        coarse.add(first.0, last.1);
        coarse
    }

    /// Adds the slots from `first` to `last`.
    pub fn add(&mut self, first: Slot, last: Slot) {
        if first > last {
            return;
        }
        // Those that touch it, which stand side by side, become one with it.
        let begin = self.ranges.partition_point(|range| range.1.plus(1) < first);
        let count = self.ranges[begin..].partition_point(|range| range.0 <= last.plus(1));
        let joined = &self.ranges[begin..begin + count];
        let first = joined.first().map_or(first, |range| first.min(range.0));
        let last = joined.last().map_or(last, |range| last.max(range.1));
        self.ranges.splice(begin..begin + count, [(first, last)]);
    }

    /// Takes the slots from `first` to `last` out.
    pub fn remove(&mut self, first: Slot, last: Slot) {
        if first > last {
            return;
        }
        let begin = self.ranges.partition_point(|range| range.1 < first);
        let count = self.ranges[begin..].partition_point(|range| range.0 <= last);
        let hit = &self.ranges[begin..begin + count];
        let before = hit.first().filter(|range| range.0 < first);
        let behind = hit.last().filter(|range| range.1 > last);
        let before = before.map(|range| (range.0, first.prev()));
        let behind = behind.map(|range| (last.plus(1), range.1));
        self.ranges.splice(begin..begin + count, before.into_iter().chain(behind));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Random;
    use std::collections::BTreeSet;

    /// Ranges have the slots that a plain set has, whatever is added and taken out, and as few ranges as
    /// there can be.
    #[test]
    fn c29_ranges_are_a_set() {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let (mut ranges, mut model) = (SlotRanges::default(), BTreeSet::new());
            for _ in 0..40 {
                let first = 1 + random.below(60);
                let last = first + random.below(12);
                if random.below(2) == 0 {
                    ranges.add(Slot(first), Slot(last));
                    model.extend(first..=last);
                } else {
                    ranges.remove(Slot(first), Slot(last));
                    model.retain(|slot| *slot < first || *slot > last);
                }
                let all: Vec<u64> =
                    ranges.as_slice().iter().flat_map(|(from, upto)| from.0..=upto.0).collect();
                assert_eq!(all, model.iter().copied().collect::<Vec<_>>(), "seed {seed}");
                assert_eq!(ranges.count(), model.len() as u64, "seed {seed}");
                let apart = ranges.as_slice().windows(2).all(|pair| pair[0].1.next() < pair[1].0);
                assert!(apart, "seed {seed}: {ranges:?}");
                let probe = random.below(80);
                assert_eq!(ranges.contains(Slot(probe)), model.contains(&probe), "seed {seed}");
                let (from, upto) = (random.below(80), random.below(80));
                let touches = model.iter().any(|slot| (from..=upto).contains(slot));
                assert_eq!(ranges.touches(Slot(from), Slot(upto)), touches, "seed {seed}");
                let ends = model.first().zip(model.last());
                assert_eq!(ranges.ends(), ends.map(|(a, b)| (Slot(*a), Slot(*b))), "seed {seed}");
                let coarse = ranges.coarse(2);
                assert!(coarse.as_slice().len() <= 2, "seed {seed}: {coarse:?}");
                let all = model.iter().all(|slot| coarse.contains(Slot(*slot)));
                assert!(all, "seed {seed}: {coarse:?} of {ranges:?}");
            }
            assert_eq!(SlotRanges::new(ranges.as_slice().iter().copied()), ranges, "seed {seed}");
        }
    }
}
