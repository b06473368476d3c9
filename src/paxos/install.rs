//! A checkpoint of a peer takes the place of slots that nobody serves any more (C29).

use super::effects::Effects;
use super::replica::{Replica, Role};
use crate::types::{Ballot, NodeId, Record, Slot, Tick, Value};

impl Replica {
    /// A peer that is linked and has been met: what it says may be heard (R13).
    #[must_use]
    pub fn may_hear(&self, node: NodeId) -> bool {
        self.peers
            .get(&node)
            .is_some_and(|peer| peer.up && peer.met.is_some() && !peer.is_unaccounted())
    }

    /// Writes down a chosen value that a checkpoint stands for, and that was not here; false where the
    /// journal has no space for it.
    ///
    /// # Panics
    /// When the slot is not known to be chosen.
    pub fn keep_value(
        &mut self,
        slot: Slot,
        ballot: Ballot,
        value: Value,
        effects: &mut Effects,
    ) -> bool {
        let has_room = self.has_room_to_keep(slot, &value);
        if has_room {
            self.persist(Record::Learned { slot, ballot, value }, effects);
        }
        has_room
    }

    /// Writes down what is left of a chosen value that a checkpoint stands for; false where the journal has no
    /// space for it.
    ///
    /// # Panics
    /// When the slot is not known to be chosen.
    pub fn keep_remnant(
        &mut self,
        slot: Slot,
        ballot: Ballot,
        value: Value,
        effects: &mut Effects,
    ) -> bool {
        let has_room = self.has_room_to_keep(slot, &value);
        if has_room {
            self.persist(Record::Remnant { slot, ballot, value }, effects);
        }
        has_room
    }

    fn has_room_to_keep(&self, slot: Slot, value: &Value) -> bool {
        let chosen_upto = self.chosen_upto;
        assert!(slot <= chosen_upto, "slot {slot} is kept, chosen is up to {chosen_upto}");
        self.has_room_to_learn(value.len()) && !self.is_sync_backlog_full()
    }

    /// A checkpoint stands for all slots up to this one: what is damaged of them is no hole any more. Returns
    /// those slots.
    pub fn forget_holes(&mut self, upto: Slot) -> Vec<Slot> {
        self.learner.forget_holes(upto)
    }

    /// A checkpoint is about to take the place of what this replica knows up to its slot: it leads no
    /// more. What it proposed, others settle.
    pub fn before_install(&mut self, now: Tick, effects: &mut Effects) {
        if !matches!(self.role, Role::Follower) {
            self.become_follower(now, None, effects);
        }
    }

    /// The checkpoint at a slot is durable here. Everything up to the slot is chosen, and needs no value any
    /// more. Promises and what is accepted above the slot stay as they are: this node may have been
    /// counted for it.
    pub fn installed(&mut self, now: Tick, slot: Slot, effects: &mut Effects) {
        self.released.installed(slot);
        self.learner.installed(now, slot);
        self.digests.restart(slot);
        self.weigh_digests(now, effects);
        if slot > self.chosen_upto {
            self.chosen_upto = slot;
            let above = self.acceptor.accepted.split_off(&slot.next());
            self.acceptor.accepted = above;
            self.acceptor.forget_chosen(slot);
        }
        self.advance_marked(effects);
        self.learn_more(now, effects);
    }

    /// The state is that after a slot once more: it was read back from a checkpoint of this replica's own,
    /// because others had another one. What is chosen behind the slot is applied again.
    pub fn rebuilt(&mut self, now: Tick, slot: Slot, effects: &mut Effects) {
        let chosen_upto = self.chosen_upto;
        assert!(slot <= chosen_upto, "rebuilt at slot {slot}, chosen is up to {chosen_upto}");
        self.digests.restart(slot);
        self.weigh_digests(now, effects);
    }
}
