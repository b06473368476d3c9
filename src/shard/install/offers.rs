//! The checkpoints that peers have, for a node that needs one though their journals still have what it lacks: its own
//! state, or index, is to be replaced (C31, C32), or it has no room to learn.

use super::pace::answer_us;
use crate::paxos::Doubt;
use crate::shard::core::Core;
use crate::shard::turn::Turn;
use crate::types::{NodeId, Slot, Tick};
use crate::wire::peer::{InstallFetch, Message};
use std::collections::BTreeMap;

/// What peers offer, as far as they were asked.
#[derive(Debug, Default)]
pub(super) struct Offers {
    /// The slot of each peer's newest checkpoint.
    newest: BTreeMap<NodeId, Slot>,
    /// When the peers are asked again.
    ask_at: Tick,
}

impl Offers {
    /// Those that may take the place of this node's state, or give it an index, each with the peer that has it.
    pub(super) fn fit_to_heal(&self, core: &Core) -> Vec<(NodeId, Slot)> {
        // Of what was released here no slot can be applied again; and up to where the state was seen to differ,
        // what this journal has may be wrong.
        let differed = core.replica.digests().differing().map(|(_, slot)| slot).min();
        let least = core.journal.released_upto().max(differed.unwrap_or_default());
        // Where the state is right, none goes that is newer.
        let is_fenced = core.replica.doubt() == Some(Doubt::Fenced);
        let least = if is_fenced { least } else { least.max(core.checkpointed_upto) };
        let fits = |(node, slot): &(&NodeId, &Slot)| {
            let is_late_enough = **slot > Slot(0) && **slot >= least;
            // What lies before the checkpoint that this node began from, a start could not read either.
            let can_start = core.journal.may_start_from(**slot);
            is_late_enough && can_start && core.replica.may_hear(**node)
        };
        self.newest.iter().filter(fits).map(|(node, slot)| (*node, *slot)).collect()
    }

    /// Those behind what is known to be chosen here.
    pub(super) fn ahead(&self, core: &Core) -> Vec<(NodeId, Slot)> {
        let is_ahead = |(_, slot): &(&NodeId, &Slot)| **slot > core.replica.chosen_upto();
        self.newest.iter().filter(is_ahead).map(|(node, slot)| (*node, *slot)).collect()
    }

    /// Asks the peers for their newest checkpoints, once it is time.
    pub(super) fn ask(&mut self, turn: &mut Turn<'_>) {
        if turn.now < self.ask_at {
            return;
        }
        self.ask_at = turn.now.after(answer_us(turn.core));
        let me = turn.core.options.paxos.me;
        let peers = turn.core.options.paxos.members.iter().copied().filter(|node| *node != me);
        for node in peers.collect::<Vec<_>>() {
            if turn.core.replica.may_hear(node) {
                turn.send(node, Message::InstallFetch(InstallFetch { slot: Slot(0), place: None }));
            }
        }
    }

    /// A peer says which checkpoint of its own is the newest.
    pub(super) fn heard(&mut self, from: NodeId, newest: Slot) {
        self.newest.insert(from, newest);
    }

    /// When the peers are asked again, where that is later.
    pub(super) fn next_deadline(&self, now: Tick) -> Option<Tick> {
        Some(self.ask_at).filter(|at| *at > now)
    }
}
