//! The slots of a segment, in few ranges: those of values that were written as they were chosen lie close
//! together, and those of copies far before them.

use crate::limits::PLACES_RANGES_MAX;
use crate::types::{Slot, SlotRanges};

/// A bounded number of ranges that hold all slots added, and perhaps others between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::journal) struct GatheredSlots {
    ranges: Vec<(Slot, Slot)>,
}

impl GatheredSlots {
    /// One more slot. Where there are too many ranges, the two that are nearest to each other become one.
    pub(in crate::journal) fn add(&mut self, slot: Slot) {
        let at = self.ranges.partition_point(|(_, last)| last.next() < slot);
        match self.ranges.get_mut(at) {
            Some((first, last)) if *first <= slot.next() => {
                (*first, *last) = ((*first).min(slot), (*last).max(slot));
                let end = last.next();
                if let Some((_, last)) = self.ranges.get(at + 1).filter(|next| next.0 <= end) {
                    self.ranges[at].1 = *last;
                    self.ranges.remove(at + 1);
                }
            }
            Some(_) | None => self.ranges.insert(at, (slot, slot)),
        }
        if self.ranges.len() > PLACES_RANGES_MAX {
            let gap = |at: &usize| self.ranges[at + 1].0.0 - self.ranges[*at].1.0;
            let nearest = (0..PLACES_RANGES_MAX).min_by_key(gap).expect("there are two ranges");
            let (_, last) = self.ranges.remove(nearest + 1);
            self.ranges[nearest].1 = last;
        }
    }

    /// The ranges that have all of them.
    pub(in crate::journal) fn finish(self) -> SlotRanges {
        SlotRanges::new(self.ranges)
    }

    /// The same.
    pub(in crate::journal) fn as_slice(&self) -> &[(Slot, Slot)] {
        &self.ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Random;

    /// C31: whatever comes, there are few ranges, and they have every slot that came; where few would do,
    /// they have no other.
    #[test]
    fn c31_slots_are_gathered_in_few_ranges() {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let (mut gathered, mut all) = (GatheredSlots::default(), SlotRanges::default());
            let (mut slot, jumps) = (1, 1 + random.below(40));
            for _ in 0..300 {
                let jump = random.below(300) < jumps;
                let falls = jump && random.below(4) == 0;
                slot += if jump { random.below(1_000) } else { random.below(2) };
                slot -= if falls { random.below(slot) } else { 0 };
                gathered.add(Slot(slot));
                all.add(Slot(slot), Slot(slot));
            }
            let found = gathered.finish();
            assert!(found.as_slice().len() <= PLACES_RANGES_MAX, "seed {seed}: {found:?}");
            let has =
                |(first, last): &(Slot, Slot)| (first.0..=last.0).all(|n| found.contains(Slot(n)));
            assert!(all.as_slice().iter().all(has), "seed {seed}: {found:?} of {all:?}");
            if all.as_slice().len() <= PLACES_RANGES_MAX {
                assert_eq!(found, all, "seed {seed}");
            }
        }
    }
}
