//! A slot has one value: what arrives for a slot that is known to be chosen is held against it.

use super::effects::{Effects, Stop};
use super::replica::Replica;
use crate::limits::DIGESTS_KEPT;
use crate::types::{NodeId, Slot, Value};
use std::collections::VecDeque;
use xxhash_rust::xxh3::xxh3_64;

/// Checksums of the last values that were chosen here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ChosenSums {
    upto: Slot,
    sums: VecDeque<u64>,
}

impl ChosenSums {
    /// The next slot is chosen.
    pub(super) fn push(&mut self, slot: Slot, value: &Value) {
        if slot != self.upto.next() {
            self.sums.clear();
        }
        if self.sums.len() == DIGESTS_KEPT {
            self.sums.pop_front();
        }
        self.sums.push_back(xxh3_64(value.bytes()));
        self.upto = slot;
    }

    /// The slot is remembered, with another value.
    fn contradicts(&self, slot: Slot, value: &Value) -> bool {
        let back = self.upto.0.checked_sub(slot.0);
        let at = back.and_then(|back| self.sums.len().checked_sub(1 + back as usize));
        at.and_then(|at| self.sums.get(at)).is_some_and(|sum| *sum != xxh3_64(value.bytes()))
    }
}

impl Replica {
    /// A peer proposes or serves another value for a slot that is known to be chosen here. Whoever
    /// of the two is wrong, an acknowledged entry is lost: the node ends rather than go on over it.
    pub(super) fn is_contradicted(
        &mut self,
        from: NodeId,
        slot: Slot,
        value: &Value,
        fx: &mut Effects,
    ) -> bool {
        let contradicted = slot <= self.chosen_upto && self.chosen_sums.contradicts(slot, value);
        if contradicted {
            self.stop(Stop::Contradicted { slot, peer: from }, fx);
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

    /// R23: another value for a remembered slot is noticed; slots that are not remembered say nothing.
    #[test]
    fn r23_another_value_for_a_chosen_slot_is_noticed() {
        let mut sums = ChosenSums::default();
        for slot in 5..=9 {
            sums.push(Slot(slot), &value(&slot.to_string()));
        }
        assert!(!sums.contradicts(Slot(9), &value("9")) && sums.contradicts(Slot(9), &value("x")));
        assert!(!sums.contradicts(Slot(5), &value("5")) && sums.contradicts(Slot(5), &value("x")));
        assert!(
            !sums.contradicts(Slot(4), &value("x")) && !sums.contradicts(Slot(10), &value("x"))
        );
    }
}
