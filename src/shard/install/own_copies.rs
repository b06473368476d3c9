//! The last place to look for a value that no peer could give: whatever this node wrote down for its slot, though it
//! was never known to be chosen. It may be the only copy that is left, as where a node accepted the value, did not
//! hear that it was chosen, and installed a checkpoint behind it (C29, C32b).

use super::own_values::{FoundHere, NotHere, OwnValues};
use crate::checkpoint::install::{RecordsBeside, ValueFault, Verified, VerifyValues};
use crate::journal::ReadResult;
use crate::shard::core::Core;
use crate::shard::turn::Turn;
use crate::types::{Ballot, Slot, SlotRanges, Tick, Value};
use std::collections::BTreeSet;

/// Ranges of slots that are remembered as looked at.
const LOOKED_AT_RANGES_MAX: usize = 4096;

/// Looks for what was written down here of slots that no peer could give.
#[derive(Debug)]
pub struct OwnCopies {
    values: OwnValues,
    /// What was written down for these was looked at, and stays what it is.
    looked_at: SlotRanges,
    /// What was written down for these could not be read, held against the index or written anew, or a segment went
    /// meanwhile in which it may have stood.
    missed: BTreeSet<Slot>,
}

impl Default for OwnCopies {
    fn default() -> OwnCopies {
        OwnCopies {
            values: OwnValues::of_anything(),
            looked_at: SlotRanges::default(),
            missed: BTreeSet::new(),
        }
    }
}

impl OwnCopies {
    /// No peer could give this slot: it is looked for here, unless it was before.
    pub(super) fn want(&mut self, slot: Slot) {
        self.missed.remove(&slot);
        if !self.looked_at.contains(slot) {
            self.values.add(slot);
        }
    }

    /// What could not be looked at is looked for again.
    pub(super) fn look_again(&mut self) {
        std::mem::take(&mut self.missed).into_iter().for_each(|slot| self.want(slot));
    }

    /// What was found of this slot could not be kept: it is looked for again.
    pub(super) fn may_look_again(&mut self, slot: Slot) {
        self.looked_at.remove(slot, slot);
        self.missed.insert(slot);
    }

    fn note_looked_at(&mut self, slot: Slot) {
        self.looked_at.add(slot, slot);
        if self.looked_at.as_slice().len() > LOOKED_AT_RANGES_MAX {
            self.looked_at = SlotRanges::default(); // They are looked at once more.
        }
    }

    /// See [`OwnValues::is_reading`].
    pub(super) fn is_reading(&self) -> bool {
        self.values.is_reading()
    }

    /// See [`OwnValues::is_idle`].
    pub(super) fn is_idle(&self) -> bool {
        self.values.is_idle()
    }

    /// See [`OwnValues::next_deadline`].
    pub(super) fn next_deadline(&self, now: Tick) -> Option<Tick> {
        self.values.next_deadline(now)
    }

    /// See [`OwnValues::go_on`].
    pub(super) fn go_on(&mut self, turn: &mut Turn<'_>) {
        self.values.go_on(turn);
    }

    /// The journal delivered what it has.
    pub(super) fn found(
        &mut self,
        turn: &mut Turn<'_>,
        results: Vec<(Slot, ReadResult)>,
        verify: impl Fn(&Core, Vec<(Slot, Ballot, Value)>, RecordsBeside) -> VerifyValues,
    ) {
        let is_settled = self.values.released_before() == turn.core.tally.released_segments;
        for (slot, why) in self.values.found(turn, results, verify) {
            self.values.remove(slot);
            if why == NotHere::NotReadable || !is_settled {
                self.missed.insert(slot);
            } else {
                self.note_looked_at(slot);
            }
        }
    }

    /// Values were held against the index. Returns those that are what was chosen, and have live entries.
    pub(super) fn verified(&mut self, verified: Verified) -> Vec<(Slot, Ballot, Value)> {
        let mut values = verified.values.clone();
        let is_other = matches!(verified.refused, Some((_, _, ValueFault::OtherValue(_))));
        let FoundHere { right, wrong, .. } = self.values.verified(verified);
        right.iter().for_each(|slot| self.note_looked_at(*slot));
        match wrong {
            Some(slot) if is_other => self.note_looked_at(slot),
            // Of a damaged index nothing follows.
            Some(slot) => drop(self.missed.insert(slot)),
            None => {}
        }
        values.retain(|(slot, ..)| right.contains(slot));
        values
    }
}
