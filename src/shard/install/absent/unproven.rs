//! Slots that were answered for, until their rows show that no live entry is missing.

use crate::checkpoint::install::RowName;
use crate::limits::{EXAMINED_ROWS_MAX, EXAMINED_SLOTS_MAX};
use crate::types::{NodeId, Slot, SlotRanges};
use std::collections::BTreeMap;

/// What a node gave for a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    /// Who: it may be this node, whose own journal had it.
    pub(super) peer: NodeId,
    /// Rows of live entries in its value; none where it gave none, or one that nobody may ask for.
    pub(super) rows: Vec<RowName>,
}

/// The slots, each with its answer. How many answers are of a node, and how many rows they have, is asked in each turn,
/// and there may be very many slots: it is counted.
#[derive(Debug, Default)]
pub(super) struct Unproven {
    answers: BTreeMap<Slot, Answered>,
    counts: BTreeMap<NodeId, u64>,
    rows: usize,
}

impl Unproven {
    /// A slot was answered for.
    pub(super) fn add(&mut self, slot: Slot, answered: Answered) {
        self.remove(slot);
        *self.counts.entry(answered.peer).or_default() += 1;
        self.rows += answered.rows.len();
        self.answers.insert(slot, answered);
    }

    /// The answer does not count any more.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<Answered> {
        let answered = self.answers.remove(&slot)?;
        let count = self.counts.get_mut(&answered.peer).expect("each answer was counted");
        *count -= 1;
        self.rows -= answered.rows.len();
        Some(answered)
    }

    /// Takes those out whose rows were looked for.
    pub(super) fn take(&mut self, examined: &SlotRanges) -> Vec<(Slot, Answered)> {
        let slots: Vec<Slot> = self.slots().filter(|slot| examined.contains(*slot)).collect();
        slots.into_iter().filter_map(|slot| Some((slot, self.remove(slot)?))).collect()
    }

    /// The answer for this slot.
    pub(super) fn get(&self, slot: Slot) -> Option<&Answered> {
        self.answers.get(&slot)
    }

    /// Some answer is of this node.
    pub(super) fn has_one_of(&self, node: NodeId) -> bool {
        self.counts.get(&node).is_some_and(|count| *count > 0)
    }

    /// How many slots there are.
    pub(super) fn len(&self) -> usize {
        self.answers.len()
    }

    /// There are as many as are examined at a time.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= EXAMINED_SLOTS_MAX || self.rows >= EXAMINED_ROWS_MAX
    }

    /// There are none.
    pub(super) fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// The slots, rising.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> {
        self.answers.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Index, LogId};

    // A later answer for a slot takes the place of the one before, and is that of who gave it.
    #[test]
    fn the_last_answer_of_a_slot_counts() {
        let mut unproven = Unproven::default();
        let row = |nth| (LogId(1), Index(nth));
        let of = |peer| Answered { peer: NodeId(peer), rows: vec![row(1), row(2)] };
        for (slot, peer) in [(5, 1), (6, 2), (7, 1), (5, 2)] {
            unproven.add(Slot(slot), of(peer));
        }
        assert!(unproven.has_one_of(NodeId(1)) && unproven.len() == 3);
        assert_eq!(unproven.take(&SlotRanges::new([(Slot(6), Slot(9))])).len(), 2);
        assert!(!unproven.has_one_of(NodeId(1)) && unproven.has_one_of(NodeId(2)));
        assert_eq!(unproven.remove(Slot(5)), Some(of(2)));
        assert!(unproven.is_empty() && !unproven.has_one_of(NodeId(2)));
        unproven
            .add(Slot(5), Answered { peer: NodeId(1), rows: vec![row(1); EXAMINED_ROWS_MAX - 1] });
        assert!(!unproven.is_full());
        unproven.add(Slot(6), of(1));
        assert!(unproven.is_full());
        unproven.add(Slot(6), Answered { peer: NodeId(1), rows: Vec::new() });
        assert!(!unproven.is_full());
    }
}
