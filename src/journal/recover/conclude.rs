//! What the records of a journal mean together: what is chosen, what is missing, and what is still in
//! doubt.

use crate::journal::recover::recovered::FindingKind;
use crate::journal::recover::replay::{FilePlace, MissingRecords, Replay};
use crate::journal::segment::indexed_record::DAMAGED;
use crate::limits::WINDOW_SLOTS;
use crate::types::{Ballot, Damage, LostRecords, Lsn, Slot};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Replay {
    /// Draws the conclusions from all records. `promised` bounds what was lost at the very end.
    pub(crate) fn finish(
        mut self,
        promised: Ballot,
        next_lsn: Lsn,
        place: FilePlace<'_>,
    ) -> Replayed {
        self.expect(next_lsn, place);
        self.bound_lost(promised);
        self.mark_known();
        let mut chosen = Runs::default();
        for slot in self.index.known_slots() {
            chosen.insert(slot.0);
        }
        self.distrust_applied(&chosen);
        let released = Arc::clone(&self.index.spilled.released);
        // What was released was chosen and applied.
        for (from, upto) in released.ranges.iter().map(|range| range.slots) {
            chosen.insert_run(from.0, upto.0);
        }
        let applied = self.index.baseline.slot;
        let mut holes = BTreeMap::new();
        let mut chosen_upto = Slot(chosen.end_of_run_from(applied.0 + 1));
        let floor = self.floor();
        if floor > chosen_upto {
            for slot in chosen.missing(chosen_upto.0 + 1, floor.0).into_iter().map(Slot) {
                // Without a loss, the records of a slot that was applied are all there, and the one
                // of the highest ballot holds the chosen value (Paxos Made Simple, P2).
                if self.lost.is_empty() && self.index.best(slot).is_some() {
                    continue;
                }
                self.index.distrust(slot);
                holes.insert(slot, Ballot::ZERO);
            }
            chosen_upto = Slot(chosen.end_of_run_from(floor.0 + 1)).max(floor);
        }
        for found in self.index.damaged() {
            let best = self.index.best(found.slot);
            // The best record's ballot is at or above the one in which the slot was chosen, so that a
            // copy of exactly that ballot is as good. Of a distrusted slot no ballot is known.
            if let Some(best) = best.filter(|best| best.flags & DAMAGED != 0)
                && found.slot > applied
                && !released.hides(best.location.segment, found.slot)
                && found.slot <= chosen_upto
            {
                holes.entry(found.slot).or_insert(best.location.ballot);
            }
        }
        self.downgrade_rewritten(chosen_upto, &holes);
        Replayed { replay: self, chosen_upto, holes }
    }

    /// Every slot up to here is chosen, whatever the records of single slots say: a checkpoint of it
    /// was durable (C25), or this acceptor knew it before it lost the records that say so, since it
    /// accepts nothing more than 2α above its chosen prefix (C4).
    fn floor(&self) -> Slot {
        let accepted = self.accepted_slot_max.0.saturating_sub(2 * WINDOW_SLOTS);
        let accepted = if self.lost.is_empty() { Slot(0) } else { Slot(accepted) };
        accepted.max(self.checkpointed)
    }

    /// Of slots that were applied before the checkpoint, a record that may hold what was not chosen is
    /// not believed: one of a higher ballot may be lost.
    fn distrust_applied(&mut self, chosen: &Runs) {
        let Some(reach) = self.lost.iter().map(|lost| lost.upto).max() else { return };
        let upto = reach.min(self.index.baseline.slot);
        for slot in self.index.slots_upto(upto) {
            if !chosen.contains(slot.0) {
                self.index.distrust(slot);
            }
        }
    }

    /// What does not verify and was written again since is no damage any more.
    fn downgrade_rewritten(&mut self, chosen_upto: Slot, holes: &BTreeMap<Slot, Ballot>) {
        let intact = |slot: &Slot| {
            let best = self.index.best_kept(*slot);
            let serves = best.is_some_and(|best| best.flags & DAMAGED == 0);
            !holes.contains_key(slot) && serves
        };
        let passed = |first: Lsn| {
            let lost = self.lost.iter().find(|lost| lost.first == first);
            holes.is_empty() && lost.is_some_and(|lost| lost.upto <= chosen_upto)
        };
        for finding in &mut self.findings {
            let mended = match (finding.kind, finding.slot, finding.lsns) {
                (FindingKind::Damaged | FindingKind::Suspect, Some(slot), _) => intact(&slot),
                (FindingKind::Damaged | FindingKind::Suspect, None, Some((first, _))) => {
                    passed(first)
                }
                (FindingKind::Damaged | FindingKind::Suspect, None, None)
                | (
                    FindingKind::Interrupted
                    | FindingKind::Mended
                    | FindingKind::OneCopy
                    | FindingKind::Torn,
                    ..,
                ) => false,
            };
            if mended {
                finding.kind = FindingKind::Mended;
            }
        }
    }
}

/// What all records add up to.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub replay: Replay,
    pub chosen_upto: Slot,
    pub holes: BTreeMap<Slot, Ballot>,
}

impl Replayed {
    /// The lost records that may have held a slot above the chosen prefix.
    pub(crate) fn lost(&self) -> Vec<LostRecords> {
        let open = self.replay.lost.iter().filter(|lost| lost.upto > self.chosen_upto);
        let bounded = |lost: &MissingRecords| {
            let ballot_max = lost.ballot_max.expect("the end of the replay bounds every loss");
            let bound = Damage { ballot_max, upto: lost.upto, suspect: lost.suspect };
            LostRecords { last: lost.last, bound }
        };
        open.map(bounded).collect()
    }
}

/// A set of slots as runs of consecutive ones: slots come almost in order, so there are few.
#[derive(Debug, Default)]
struct Runs(BTreeMap<u64, u64>);

impl Runs {
    fn insert(&mut self, slot: u64) {
        let before = self.0.range(..=slot).next_back().map(|(from, upto)| (*from, *upto));
        if before.is_some_and(|(_, upto)| slot <= upto) {
            return;
        }
        let upto = self.0.remove(&(slot + 1)).unwrap_or(slot);
        let from = before.filter(|(_, upto)| upto + 1 == slot).map_or(slot, |(from, _)| from);
        self.0.insert(from, upto);
    }

    /// Adds the slots of `from..=upto`.
    fn insert_run(&mut self, from: u64, upto: u64) {
        if from > upto {
            return;
        }
        let upto = upto.max(self.end_of_run_from(upto.saturating_add(1)));
        let from = match self.0.range(..from).next_back() {
            Some((first, last)) if last + 1 >= from => *first,
            Some(_) | None => from,
        };
        self.0.retain(|first, _| *first < from || *first > upto);
        self.0.insert(from, upto);
    }

    fn contains(&self, slot: u64) -> bool {
        let run = self.0.range(..=slot).next_back();
        run.is_some_and(|(_, upto)| slot <= *upto)
    }

    /// The last slot of the run that holds `slot`; one less than `slot` if there is none.
    fn end_of_run_from(&self, slot: u64) -> u64 {
        let run = self.0.range(..=slot).next_back();
        run.map(|(_, upto)| *upto).filter(|upto| *upto >= slot).unwrap_or(slot - 1)
    }

    /// The slots of `from..=upto` that are in no run.
    fn missing(&self, from: u64, upto: u64) -> Vec<u64> {
        let mut missing = Vec::new();
        let mut slot = from;
        while slot <= upto {
            let end = self.end_of_run_from(slot);
            if end < slot {
                missing.push(slot);
            }
            slot = end.max(slot) + 1;
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs merge whatever the order of insertion.
    #[test]
    fn runs_of_slots_merge_in_any_order() {
        for order in [[1, 2, 3, 5, 6], [6, 5, 3, 2, 1], [2, 6, 1, 5, 3], [3, 1, 2, 2, 1]] {
            let mut runs = Runs::default();
            order.iter().for_each(|slot| runs.insert(*slot));
            assert_eq!(runs.end_of_run_from(1), 3);
            assert_eq!(runs.end_of_run_from(4), 3);
            assert!(runs.missing(1, 3).is_empty());
            assert_eq!(runs.missing(3, 4), [4]);
        }
    }

    /// A run that is added as a whole is the same as its slots one by one.
    #[test]
    fn a_run_of_slots_is_its_slots() {
        for from in 1..12 {
            for upto in from - 1..14 {
                let (mut whole, mut single) = (Runs::default(), Runs::default());
                for slot in [2, 5, 6, 9, 12] {
                    whole.insert(slot);
                    single.insert(slot);
                }
                whole.insert_run(from, upto);
                (from..=upto).for_each(|slot| single.insert(slot));
                assert_eq!(whole.0, single.0, "{from} to {upto}");
            }
        }
    }
}
