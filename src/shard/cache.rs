//! Recently chosen values, for tail reads and for peers slightly behind.

use crate::types::{Ballot, Slot, Value};
use std::collections::BTreeMap;

/// What an entry costs beside its value.
const ENTRY_BYTES: usize = 96;

/// Chosen values by slot, bounded in bytes; the lowest slots go first.
#[derive(Debug, Default)]
pub struct Cache {
    values: BTreeMap<Slot, (Ballot, Value)>,
    bytes: usize,
}

impl Cache {
    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&(Ballot, Value)> {
        self.values.get(&slot)
    }

    pub(super) fn insert(&mut self, slot: Slot, ballot: Ballot, value: Value) {
        self.bytes += value.len() + ENTRY_BYTES;
        if let Some((_, old)) = self.values.insert(slot, (ballot, value)) {
            self.bytes -= old.len() + ENTRY_BYTES;
        }
    }

    /// Consecutive values from `from` to `upto`, of `max` bytes together at most, but at least one if
    /// it is here.
    pub(super) fn run(&self, from: Slot, upto: Slot, max: usize) -> Vec<(Slot, Ballot, Value)> {
        let (mut found, mut bytes, mut next) = (Vec::new(), 0, from);
        if from > upto {
            return found;
        }
        for (slot, (ballot, value)) in self.values.range(from..=upto) {
            bytes += value.len();
            if *slot != next || (bytes > max && !found.is_empty()) {
                break;
            }
            found.push((*slot, *ballot, value.clone()));
            next = slot.next();
        }
        found
    }

    /// The last slot from `from` to `upto` before which nothing is here: as far as the journal has
    /// to be read, and no farther, because what is here need not be durable yet, and the journal
    /// may hold an older value of its slot.
    pub(super) fn gap(&self, from: Slot, upto: Slot) -> Slot {
        let first = self.values.range(from..=upto.max(from)).next();
        first.map_or(upto, |(slot, _)| slot.prev())
    }

    /// Drops all slots up to this one.
    pub(super) fn drop_upto(&mut self, slot: Slot) {
        let above = self.values.split_off(&slot.next());
        let gone = std::mem::replace(&mut self.values, above);
        self.bytes -= gone.values().map(|(_, value)| value.len() + ENTRY_BYTES).sum::<usize>();
    }

    /// Drops the lowest slots beyond `bytes_max`, as far as `may_go` allows, which gets the slot
    /// and a ballot in which it was chosen: what is not yet applied, or not yet readable from the
    /// journal in such a ballot, stays.
    pub(super) fn trim(&mut self, bytes_max: usize, may_go: impl Fn(Slot, Ballot) -> bool) {
        while self.bytes > bytes_max {
            match self.values.first_key_value() {
                Some((slot, (ballot, _))) if may_go(*slot, *ballot) => {}
                Some(_) | None => return,
            }
            if let Some((_, (_, value))) = self.values.pop_first() {
                self.bytes -= value.len() + ENTRY_BYTES;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cache forgets its lowest slots, never one that is not readable elsewhere.
    #[test]
    fn forgets_the_lowest_that_may_go() {
        let mut cache = Cache::default();
        for slot in 1..=10 {
            cache.insert(Slot(slot), Ballot::ZERO, Value::new([0u8; 1000]));
        }
        cache.trim(5_500, |slot, _| slot < Slot(4));
        assert!(cache.get(Slot(3)).is_none() && cache.get(Slot(4)).is_some());
        cache.trim(5_500, |_, _| true);
        assert!(cache.get(Slot(5)).is_none() && cache.get(Slot(6)).is_some());
    }

    /// The journal is read up to the first slot that is here, not over it.
    #[test]
    fn a_gap_ends_before_what_is_here() {
        let mut cache = Cache::default();
        cache.insert(Slot(5), Ballot::ZERO, Value::new([0u8; 9]));
        assert_eq!(cache.gap(Slot(2), Slot(9)), Slot(4));
        assert_eq!(cache.gap(Slot(2), Slot(3)), Slot(3));
        assert_eq!(cache.gap(Slot(6), Slot(9)), Slot(9));
    }

    /// A run ends at the first gap and at its bound, and holds one value whatever its size.
    #[test]
    fn a_run_is_consecutive() {
        let mut cache = Cache::default();
        for slot in [3, 4, 6] {
            cache.insert(Slot(slot), Ballot::ZERO, Value::new([0u8; 100]));
        }
        assert_eq!(cache.run(Slot(3), Slot(9), 1_000).len(), 2);
        assert_eq!(cache.run(Slot(3), Slot(9), 10).len(), 1);
        assert_eq!(cache.run(Slot(5), Slot(9), 1_000).len(), 0);
    }
}
