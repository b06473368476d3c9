//! A slot has one value: what arrives for a slot that is known to be chosen is held against it.

use super::effects::{Effects, Stop};
use super::replica::Replica;
use crate::limits::DIGESTS_KEPT;
use crate::types::{Ballot, NodeId, Slot, Value};
use std::collections::VecDeque;
use xxhash_rust::xxh3::xxh3_64;

/// Checksums of the last values that were chosen here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ChosenSums {
    upto: Slot,
    sums: VecDeque<(u64, Ballot)>,
}

impl ChosenSums {
    /// The next slot is chosen, in that ballot.
    pub(super) fn push(&mut self, slot: Slot, ballot: Ballot, value: &Value) {
        if slot != self.upto.next() {
            self.sums.clear();
        }
        if self.sums.len() == DIGESTS_KEPT {
            self.sums.pop_front();
        }
        self.sums.push_back((xxh3_64(value.bytes()), ballot));
        self.upto = slot;
    }

    /// The slot is remembered, with another value. Below the ballot in which it was chosen another
    /// value may well have been proposed.
    fn contradicts(&self, slot: Slot, ballot: Ballot, value: &Value) -> bool {
        let back = self.upto.0.checked_sub(slot.0);
        let at = back.and_then(|back| self.sums.len().checked_sub(1 + back as usize));
        let known = at.and_then(|at| self.sums.get(at));
        known.is_some_and(|(sum, of)| ballot >= *of && *sum != xxh3_64(value.bytes()))
    }
}

impl Replica {
    /// A peer proposes or serves another value for a slot that is known to be chosen here. Whoever
    /// of the two is wrong, an acknowledged entry is lost: the node ends rather than go on over it.
    pub(super) fn is_contradicted(
        &mut self,
        from: NodeId,
        slot: Slot,
        ballot: Ballot,
        value: &Value,
        effects: &mut Effects,
    ) -> bool {
        let sums = &self.chosen_sums;
        let contradicted = slot <= self.chosen_upto && sums.contradicts(slot, ballot, value);
        if contradicted {
            self.stop(Stop::Contradicted { slot, peer: from }, effects);
        }
        contradicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        Value::new(text.as_bytes())
    }

    /// R23: another value for a remembered slot is noticed; slots that are not remembered say nothing,
    /// nor does what a leader proposed before the slot was chosen in a higher ballot.
    #[test]
    fn r23_another_value_for_a_chosen_slot_is_noticed() {
        let ballot = |round| Ballot::new(round, NodeId(1));
        let mut sums = ChosenSums::default();
        for slot in 5..=9 {
            sums.push(Slot(slot), ballot(3), &value(&slot.to_string()));
        }
        let says = |slot, round, text| sums.contradicts(Slot(slot), ballot(round), &value(text));
        assert!(!says(9, 3, "9") && says(9, 3, "x") && says(9, 4, "x"));
        assert!(!says(5, 3, "5") && says(5, 3, "x"));
        assert!(!says(9, 2, "x"), "an accept of a lower ballot that came late");
        assert!(!says(4, 9, "x") && !says(10, 9, "x"));
    }
}
