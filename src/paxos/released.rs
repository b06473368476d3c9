//! Slots whose values were released: what this replica says of its own, and what it does where peers
//! have released what it still needs (rule C27).
//!
//! A released slot is chosen, and a checkpoint stands for it. It is never reported as "nothing accepted",
//! because a promise covers only slots above the chosen watermark, and that is never below a released
//! slot; nor as damaged, because nobody has to repair it.

use super::replica::Replica;
use crate::types::{NodeId, Slot};
use std::collections::BTreeMap;

/// Released slots, here and at the peers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ReleasedSlots {
    /// Values of slots up to here may be gone from this node's journal.
    own_upto: Slot,
    /// Peers that released the slot that is to be learned next, each with its newest checkpoint.
    offers: BTreeMap<NodeId, Slot>,
    /// Nobody serves the next slot, and a peer has a checkpoint in its place.
    is_install_wanted: bool,
}

impl ReleasedSlots {
    /// A journal that released values of slots up to this one.
    pub(super) fn start(own_upto: Slot) -> ReleasedSlots {
        ReleasedSlots { own_upto, ..ReleasedSlots::default() }
    }

    pub(super) fn own_upto(&self) -> Slot {
        self.own_upto
    }

    /// What was missing is here.
    pub(super) fn progressed(&mut self) {
        self.offers.clear();
        self.is_install_wanted = false;
    }

    /// A checkpoint stands for all values up to this slot.
    pub(super) fn installed(&mut self, slot: Slot) {
        self.own_upto = self.own_upto.max(slot);
        self.progressed();
    }

    /// The connection to a peer is gone.
    pub(super) fn lost(&mut self, node: NodeId) {
        self.offers.remove(&node);
        self.is_install_wanted &= !self.offers.is_empty();
    }
}

impl Replica {
    /// The journal is about to release values of slots up to this one.
    ///
    /// # Panics
    /// When one of them is not chosen here.
    pub fn release_upto(&mut self, upto: Slot) {
        let chosen_upto = self.chosen_upto;
        assert!(upto <= chosen_upto, "slot {upto} is released, chosen is up to {chosen_upto}");
        self.released.own_upto = self.released.own_upto.max(upto);
    }

    /// Values of slots up to here may be gone from this node's journal.
    #[must_use]
    pub fn released_upto(&self) -> Slot {
        self.released.own_upto
    }

    /// Another voter was seen with this replica's state at that slot or later; always, where there is no
    /// other (C25).
    #[must_use]
    pub fn is_confirmed(&self, slot: Slot) -> bool {
        self.voters().is_single() || self.is_shared_since(slot)
    }

    /// The peers whose checkpoints stand for what this replica has to learn next, each with its newest
    /// one's slot; empty while somebody may still serve it.
    #[must_use]
    pub fn install_offers(&self) -> Vec<(NodeId, Slot)> {
        if !self.released.is_install_wanted {
            return Vec::new();
        }
        let needed = self.holes().keys().next().map_or(self.chosen_upto, |hole| hole.prev());
        let ahead = self.released.offers.iter().filter(|(_, slot)| **slot > needed);
        ahead.map(|(node, slot)| (*node, *slot)).collect()
    }

    /// A peer released the next slot; its newest checkpoint is at `checkpoint`.
    pub(super) fn hear_released(&mut self, from: NodeId, checkpoint: Slot) {
        self.released.offers.insert(from, checkpoint);
    }

    /// Everybody who could serve the next slot was asked in vain.
    pub(super) fn nobody_serves(&mut self) {
        self.released.is_install_wanted = !self.released.offers.is_empty();
    }

    /// Peers have released what this replica lacks, and nobody serves it: it neither campaigns nor
    /// proposes before a checkpoint is installed (C27).
    pub(super) fn is_install_wanted(&self) -> bool {
        self.released.is_install_wanted
    }
}
