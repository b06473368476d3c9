//! Absent slots that no peer could give, and when each is asked for again.

use crate::types::{Slot, Tick};
use std::collections::{BTreeMap, BTreeSet};

/// The slots, by number and by time: of very many the next one is found at once.
#[derive(Debug, Default)]
pub(super) struct InVain {
    at: BTreeMap<Slot, Tick>,
    by_time: BTreeSet<(Tick, Slot)>,
}

impl InVain {
    /// Nobody could give this slot: it is asked for again at this time.
    pub(super) fn add(&mut self, slot: Slot, at: Tick) {
        self.remove(slot);
        self.at.insert(slot, at);
        self.by_time.insert((at, slot));
    }

    /// The slot is no longer one of them.
    pub(super) fn remove(&mut self, slot: Slot) {
        if let Some(at) = self.at.remove(&slot) {
            self.by_time.remove(&(at, slot));
        }
    }

    /// Takes those out that are to be asked for again by now.
    pub(super) fn due(&mut self, now: Tick) -> Vec<Slot> {
        let mut due = Vec::new();
        while let Some((at, slot)) = self.by_time.first().copied()
            && at <= now
        {
            self.remove(slot);
            due.push(slot);
        }
        due
    }

    /// When the first of them is to be asked for again.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// This slot is one of them.
    pub(super) fn contains(&self, slot: Slot) -> bool {
        self.at.contains_key(&slot)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.at.len()
    }

    /// The slots, rising.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> {
        self.at.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A slot is due at the last time that was set for it, once.
    #[test]
    fn each_is_due_at_its_time() {
        let mut in_vain = InVain::default();
        for (slot, at) in [(7, 30), (5, 10), (9, 10), (7, 20), (8, 20)] {
            in_vain.add(Slot(slot), Tick(at));
        }
        in_vain.remove(Slot(8));
        assert!(in_vain.slots().eq([5, 7, 9].map(Slot)) && in_vain.len() == 3);
        assert_eq!(in_vain.next_deadline(), Some(Tick(10)));
        assert_eq!(in_vain.due(Tick(9)), []);
        assert_eq!(in_vain.due(Tick(19)), [Slot(5), Slot(9)]);
        assert!(in_vain.contains(Slot(7)) && !in_vain.contains(Slot(5)));
        assert_eq!(in_vain.due(Tick(30)), [Slot(7)]);
        assert_eq!((in_vain.len(), in_vain.next_deadline()), (0, None));
    }
}
