//! The absent values that may be in this node's own journal: found there, held against the index, and kept where they
//! do not count yet.

use super::Absent;
use super::against_index::against_index;
use crate::checkpoint::install::{KeptPart, Verified, VerifyValues};
use crate::journal::{ReadDamage, ReadResult};
use crate::limits::ABSENT_REST_US;
use crate::shard::core::Core;
use crate::shard::install::own_values::FoundHere;
use crate::shard::turn::Turn;
use crate::types::{Ballot, NodeId, Slot};

impl Absent {
    /// Values of this node's own journal are still to be held against the index: that they are right is no copy.
    pub(in crate::shard) fn doubts_own(&self, me: NodeId) -> bool {
        self.own.slots().count() > 0 || self.unproven.has_one_of(me)
    }

    /// The record of this slot that counts, of this ballot, does not serve, and another one in this node's journal may:
    /// it is looked for there. False where that is so already, or nobody needs it.
    pub(in crate::shard) fn mend(&mut self, slot: Slot, ballot: Ballot) -> bool {
        let is_new = !self.contains(slot) && !self.is_needless(slot);
        if is_new {
            self.require_ballot(slot, ballot);
            self.unproven.remove(slot);
            self.own.add(slot);
        }
        is_new
    }

    /// What was written down here for this slot has entries of a log: where the slot is absent, they are looked for.
    pub(in crate::shard) fn want_copy(&mut self, slot: Slot) {
        if self.contains(slot) {
            self.copies.may_look_again(slot);
            self.copies.want(slot);
        }
    }

    /// Nothing is being looked for in this node's own journal: one thing at a time is.
    pub(super) fn looks_for_nothing(&self) -> bool {
        self.own.is_idle() && self.copies.is_idle()
    }

    /// This node's own journal may be read: what is found there waits for its rows.
    pub(super) fn may_look_here(&self) -> bool {
        self.looks_for_nothing() && !self.unproven.is_full()
    }

    /// The own journal delivered what it has: the rest is fetched.
    pub(in crate::shard) fn found_here(
        &mut self,
        turn: &mut Turn<'_>,
        results: Vec<(Slot, ReadResult)>,
    ) {
        let me = turn.core.options.paxos.me;
        // What comes in the place of a record that is wrong, or lacks live entries, has to count before it.
        for (slot, found) in &results {
            let ballot = found.as_ref().map_or_else(ReadDamage::ballot, |(ballot, _)| *ballot);
            if ballot > Ballot::ZERO {
                self.require_ballot(*slot, ballot);
            }
        }
        // Nothing but the entries that the index knows is taken of what was not known to be chosen.
        let wanted = if self.copies.is_reading() { KeptPart::LiveOnly } else { KeptPart::Whole };
        let verify = |core: &Core, values, beside| VerifyValues {
            wanted,
            ..against_index(core, me, values, beside)
        };
        if self.copies.is_reading() {
            return self.copies.found(turn, results, verify);
        }
        for (slot, _) in self.own.found(turn, results, verify) {
            if self.own.remove(slot) {
                self.wanted.insert(slot);
            }
            self.slots.add(slot, slot);
        }
    }

    /// Values of this node's own journal were held against the index. What does not count there is written anew.
    pub(super) fn found_right(&mut self, turn: &mut Turn<'_>, verified: Verified) {
        let FoundHere { mut right, wrong, mended, rows } = self.own.verified(verified);
        wrong.into_iter().for_each(|slot| self.slots.add(slot, slot));
        for (slot, ballot, value) in mended {
            if !turn.core.keep_value(slot, self.ballot_at_least(slot, ballot), value) {
                right.retain(|other| *other != slot);
                self.own.add(slot);
                self.own.rest_until(turn.now.after(ABSENT_REST_US));
            }
        }
        // That all in it is right says nothing of what is not in it.
        self.await_proof(right.into_iter(), turn.core.options.paxos.me, &rows);
    }

    /// What was written down here for slots that no peer could give was held against the index. Entries that are right
    /// are kept, as what is left of the chosen value: it may have had others, and other commands beside them, so that
    /// nobody may learn it from here.
    pub(super) fn keep_copies(&mut self, turn: &mut Turn<'_>, verified: Verified) {
        let (me, rows, mut kept) = (verified.from, verified.rows.clone(), Vec::new());
        for (slot, ballot, value) in self.copies.verified(verified) {
            if !self.slots.contains(slot) && !self.in_vain.contains(slot) {
                continue; // It has come meanwhile.
            }
            if !turn.core.keep_value(slot, self.ballot_at_least(slot, ballot), value) {
                self.copies.may_look_again(slot);
                continue;
            }
            // What comes in its place, should entries be missing, has to overrule it.
            self.in_vain.remove(slot);
            self.slots.remove(slot, slot);
            self.wanted.remove(&slot);
            kept.push(slot);
        }
        if let Some(slot) = kept.first() {
            let (shard, count) = (turn.core.options.shard, kept.len());
            log::warn!(
                "shard {shard}: no peer could give the values of {count} slots, slot {slot} among them: their \
                 entries are in what was accepted here, and are kept"
            );
        }
        self.await_proof(kept.into_iter(), me, &rows);
    }
}
